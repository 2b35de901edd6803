"""EC-NAS as a search space of NASLib's: the space, its data, and its registration.

Importing this module imports neither NASLib nor torch. The first use of `EcnasSearchSpace` imports
both, and patches NASLib (`naslib_patches`).

Examples:
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
from naslib_ecnas.errors import check_choice

if TYPE_CHECKING:
    from naslib_ecnas.adapters.naslib_architecture import EcnasSearchSpace
    from naslib_ecnas.benchmark import Benchmark

__all__ = ["DEFAULT_TABLE", "NAME", "EcnasSearchSpace", "dataset_api", "register"]

#: The name of the space in configs.
NAME = "ecnas"
#: The table of `dataset: cifar10`.
DEFAULT_TABLE = "7v"
#: How cells may be drawn, the default first.
SAMPLING = ("nasbench101", "uniform")


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
    sampling: str = SAMPLING[0],
    **settings: Any,
) -> dict[str, Any]:
    """NASLib's `dataset_api`, a dict, for one of our tables.

    Args:
        table: name of a table of the catalog, a file, or a loaded benchmark; `"cifar10"` is the
            default table.
        objectives: objectives that replace the optimiser's `performance_metric`, as the section
            `objectives:` of a config has them (`naslib_objectives.Objectives.of`).
        seed: draws the weights of `chebyshev`.
        method: name of the optimiser, for the record.
        sampling: `"nasbench101"` draws random cells, mutants and neighbours as NASLib does for
            NAS-Bench-101, which favours cells of few vertices; `"uniform"` draws each distinct
            cell of the table equally often, mutates it into another one, and has neighbours with
            one vertex more.
        settings: further arguments of `load`, such as `device` and `carbon_intensity`.

    Returns:
        A dict that can be pickled, with

        - `ecnas`: the benchmark;
        - `api` (the names of `naslib_ecnas.nasbench101`) and `nb101_data` (the table with
          NAS-Bench-101's methods), for code of NASLib's that calls
          `dataset_api["nb101_data"].query(spec)`;
        - `dataset` (the name of the table) and `sampling`;
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
    bench = table if isinstance(table, Benchmark) else load(table, **settings)
    check_choice(SAMPLING, sampling=sampling)
    return {
        "ecnas": bench,
        # A module cannot be pickled.
        "api": SimpleNamespace(**{n: getattr(nasbench101, n) for n in nasbench101.__all__}),
        "nb101_data": nasbench101.NASBench(bench),
        "dataset": bench.name if isinstance(table, Benchmark) else str(table),
        "recorder": Recorder(bench, wanted, seed=seed, method=method),
        "sampling": sampling,
    }


@cache
def register() -> None:
    """Register the space in NASLib by the name `ecnas`; a second call does nothing.

    Afterwards `get_search_space("ecnas", dataset)`, `supported_search_spaces["ecnas"]` and
    `get_dataset_api("ecnas", dataset)` work, where `dataset` is `cifar10` for the default table
    or the name of a table, also in modules that imported the two functions before, and so does
    `nasbench101` with a dataset such as `ecnas:7v`. All other names are passed to NASLib's code.

    Raises:
        NaslibNotFoundError: there is no NASLib.
    """
    patch("naslib.search_spaces:get_search_space", _get_search_space)
    patch("naslib.search_spaces:supported_search_spaces", _with_space)
    patch("naslib.utils:get_dataset_api", _get_dataset_api)
    require("naslib.search_spaces")
    require("naslib.utils")


def table_of(search_space: Any, dataset: Any) -> str | None:
    """Name or file of the table that these two values of a config ask for; None for NASLib's own.

    It is the dataset of the space `ecnas`, or `T` of a dataset `ecnas:T` of `nasbench101`.
    """
    space, data = str(search_space).lower(), str(dataset)
    if space in (NAME, "nasbench101") and data.lower().startswith(f"{NAME}:"):
        return data[len(NAME) + 1 :]
    if space != NAME:
        return None
    return DEFAULT_TABLE if dataset in (None, "cifar10") else data


def argument(function: Any, name: str, args: Any, kwargs: Any) -> Any:
    """An argument of a call, by the function's own name for it; None if it is not given."""
    return signature(function).bind_partial(*args, **kwargs).arguments.get(name)


def _with_space(spaces: dict[str, Any]) -> dict[str, Any]:
    spaces[NAME] = __getattr__("EcnasSearchSpace")
    return spaces


def _get_search_space(original: Any, *args: Any, **kwargs: Any) -> Any:
    ours = table_of(*(argument(original, key, args, kwargs) for key in ("name", "dataset")))
    return original(*args, **kwargs) if ours is None else __getattr__("EcnasSearchSpace")()


def _get_dataset_api(original: Any, *args: Any, **kwargs: Any) -> Any:
    asked = [argument(original, key, args, kwargs) for key in ("search_space", "dataset")]
    ours = table_of(*asked)
    return original(*args, **kwargs) if ours is None else dataset_api(ours)
