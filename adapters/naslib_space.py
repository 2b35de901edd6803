"""EC-NAS as a search space of NASLib's: the space, its data, and its registration.

Importing this module imports neither NASLib nor torch. The first use of `EcnasSearchSpace` imports
both, and patches NASLib (`naslib_patches`).

Example:
    >>> from naslib_ecnas.adapters import naslib_space  # doctest: +SKIP
    >>> api = naslib_space.dataset_api("7v")  # doctest: +SKIP
    >>> from naslib.optimizers import RegularizedEvolution  # doctest: +SKIP
    >>> optimizer = RegularizedEvolution(config)  # doctest: +SKIP
    >>> optimizer.adapt_search_space(  # doctest: +SKIP
    ...     naslib_space.EcnasSearchSpace(), dataset_api=api
    ... )
    >>> optimizer.performance_metric = Metric.TRAIN_ENERGY  # doctest: +SKIP

The last line makes the optimiser look for low energy: on this space it improves every metric in the
metric's own direction (`naslib_metrics`). `api["recorder"].result()` has the evaluations, their
front and their costs afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from naslib_ecnas.adapters.naslib_patches import patch, require

if TYPE_CHECKING:
    from naslib_ecnas.adapters.naslib_architecture import EcnasSearchSpace
    from naslib_ecnas.benchmark import Benchmark

__all__ = ["DEFAULT_TABLE", "NAME", "EcnasSearchSpace", "dataset_api", "register"]

#: The name of the space in configs.
NAME = "ecnas"
#: The table of `dataset: cifar10`.
DEFAULT_TABLE = "7v"


def __getattr__(name: str) -> Any:
    if name != "EcnasSearchSpace":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from naslib_ecnas.adapters.naslib_architecture import EcnasSearchSpace

    return EcnasSearchSpace


def dataset_api(
    table: str | Path | Benchmark = DEFAULT_TABLE,
    *,
    objectives: Mapping[str, Any] | None = None,
    seed: int = 0,
    method: str = "naslib",
) -> dict[str, Any]:
    """NASLib's `dataset_api`, a dict, for one of our tables.

    Args:
        table: name of a table of the catalog, a file, or a loaded benchmark; `"cifar10"` is the
            default table.
        objectives: objectives that replace the optimiser's `performance_metric`, as the section
            `objectives:` of a config has them (`naslib_objectives.Objectives.of`).
        seed: draws the weights of `chebyshev`.
        method: name of the optimiser, for the record.

    Returns:
        A dict that can be pickled, with

        - `ecnas`: the benchmark;
        - `api` (the names of `naslib_ecnas.nasbench101`) and `nb101_data` (the table with
          NAS-Bench-101's methods), for code of NASLib's that calls
          `dataset_api["nb101_data"].query(spec)`;
        - `dataset`: the name of the table;
        - `recorder`: every evaluation that an optimiser makes with this dict
          (`naslib_objectives.Recorder`).

    Raises:
        UnknownTableError: there is no such table.
        ConfigError, UnknownMetricError, UnknownBudgetError: the objectives are not possible.
    """
    from naslib_ecnas import nasbench101
    from naslib_ecnas.adapters.naslib_objectives import Objectives, Recorder
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.loading import load

    wanted = None if objectives is None else Objectives.of(objectives)
    table = DEFAULT_TABLE if table == "cifar10" else table
    bench = table if isinstance(table, Benchmark) else load(table)
    return {
        "ecnas": bench,
        # A module cannot be pickled.
        "api": SimpleNamespace(**{n: getattr(nasbench101, n) for n in nasbench101.__all__}),
        "nb101_data": nasbench101.NASBench(bench),
        "dataset": bench.name if isinstance(table, Benchmark) else str(table),
        "recorder": Recorder(bench, wanted, seed=seed, method=method),
    }


@cache
def register() -> None:
    """Register the space in NASLib by the name `ecnas`; a second call does nothing.

    Afterwards `get_search_space("ecnas", dataset)`, `supported_search_spaces["ecnas"]` and
    `get_dataset_api("ecnas", dataset)` work, where `dataset` is `cifar10` for the default table
    or the name of a table, also in modules that imported the two functions before. All other names
    are passed to NASLib's own code.

    Raises:
        NaslibNotFoundError: there is no NASLib.
    """
    patch("naslib.search_spaces:get_search_space", _get_search_space)
    patch("naslib.search_spaces:supported_search_spaces", _with_space)
    patch("naslib.utils:get_dataset_api", _get_dataset_api)
    require("naslib.search_spaces")
    require("naslib.utils")


def is_ours(search_space: Any) -> bool:
    """Whether this is the space's name, in any case."""
    return isinstance(search_space, str) and search_space.lower() == NAME


def argument(function: Any, name: str, args: Any, kwargs: Any) -> Any:
    """An argument of a call, by the function's own name for it; None if it is not given."""
    return signature(function).bind_partial(*args, **kwargs).arguments.get(name)


def _with_space(spaces: dict[str, Any]) -> dict[str, Any]:
    spaces[NAME] = __getattr__("EcnasSearchSpace")
    return spaces


def _get_search_space(original: Any, *args: Any, **kwargs: Any) -> Any:
    ours = is_ours(argument(original, "name", args, kwargs))
    return __getattr__("EcnasSearchSpace")() if ours else original(*args, **kwargs)


def _get_dataset_api(original: Any, *args: Any, **kwargs: Any) -> Any:
    if is_ours(argument(original, "search_space", args, kwargs)):
        return dataset_api(argument(original, "dataset", args, kwargs) or DEFAULT_TABLE)
    return original(*args, **kwargs)
