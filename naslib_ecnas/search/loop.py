"""The loop that runs a search method over a benchmark and counts what the search costs."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import Scale, costs_of
from naslib_ecnas.benchmark import Benchmark, Records, Spent
from naslib_ecnas.errors import ConfigError, UnknownMetricError
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.record import DERIVED
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.files import prepare, write
from naslib_ecnas.search.methods import method_of
from naslib_ecnas.search.result import SearchConfig, SearchResult

__all__ = ["DETAILS", "check", "run"]

#: What is kept of every evaluation besides the objectives, where the table holds it.
DETAILS = (
    "energy_kwh",
    "validation_accuracy",
    "test_accuracy",
    "training_time_s",
    "co2_g",
    "parameters",
)


def run(
    bench: Benchmark,
    method: str | type[Optimiser],
    *,
    objectives: Sequence[str] = OBJECTIVES,
    epochs: int | None = None,
    evaluations: int,
    seed: int,
    out: str | PathLike[str] | None = None,
    overwrite: bool = False,
    paper: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> SearchResult:
    """Search a benchmark for the best trade-offs between objectives.

    The rule of charging, the same for every method: each evaluation that a method asks for is
    charged as a whole training, a cell that comes again included. Exactly `evaluations` are
    made; of the last answer no more than is left is evaluated. The values are the means over
    the table's repeats. A method is only let loose on the cells that have a value in every
    objective at this budget, so nothing is ever made up for a cell that a table lacks.

    Args:
        bench: the benchmark; its own counter goes on counting.
        method: name of a method (`METHODS`), or a class of one's own.
        objectives: two or more metrics, each better in its own direction.
        epochs: training budget of every evaluation, the largest by default.
        evaluations: how many.
        seed: of the one random generator; the same seed gives the same run, bit for bit.
        out: new or empty folder for `history.jsonl`, `front.json`, `spent.json` and
            `config.json`; None writes nothing.
        overwrite: replace the files of an earlier search in `out`.
        paper: the method as published code has it, where that departs from its paper.
        on_progress: called with the evaluations made and the evaluations in all.

    Raises:
        ConfigError: a setting that is not possible, or a folder that is not empty.
        UnknownMetricError: an objective is no metric of this benchmark.
        UnknownBudgetError: the benchmark does not have this budget.
        StorageError: the folder cannot be written.
    """
    kind = check(method, evaluations=evaluations, seed=seed, paper=paper)
    names = _objectives(objectives)
    budget = bench.budgets[-1] if epochs is None else epochs
    everything = _values(bench, names, budget)
    scale = Scale.of(everything, names)
    optimiser = kind(
        space=bench.space,
        rng=np.random.default_rng(seed),
        rows=np.flatnonzero(~np.isnan(everything).any(axis=1)),
        paper=paper,
    )
    folder = None if out is None else prepare(Path(out), overwrite=overwrite)

    parts: list[tuple[NDArray[np.int32], Records]] = []
    made = 0
    while made < evaluations:
        rows = optimiser.ask()[: evaluations - made]
        if not len(rows) or not optimiser.allowed(rows).all():
            raise ConfigError(
                f"the method {optimiser.name} proposed what it was not allowed to",
                value=rows.tolist(),
                expected="at least one row, all of them among those it was given",
                remedy="propose rows that Optimiser.allowed accepts",
            )
        records = bench.query_many(rows, budget)
        optimiser.tell(rows, costs_of(_columns(records, names), names))
        parts.append((rows, records))
        made += len(rows)
        if on_progress is not None:
            on_progress(made, evaluations)

    details = _details([records for _, records in parts])
    cumulative = _cumulative(details, budget, evaluations)
    origin = bench.provenance
    config = SearchConfig(
        method=optimiser.name,
        paper=paper,
        table=bench.name,
        checksum=bench.table.checksum,
        vertices=bench.space.vertices,
        objectives=names,
        epochs=budget,
        evaluations=evaluations,
        seed=seed,
        provenance={name: origin[name] for name in names},
        versions={
            "naslib-ecnas": version("naslib-ecnas"),
            "moocore": version("moocore"),
            "numpy": version("numpy"),
            "python": platform.python_version(),
        },
    )
    result = SearchResult.of(
        config,
        rows=np.concatenate([rows for rows, _ in parts]),
        values=np.concatenate([_columns(records, names) for _, records in parts]),
        details=details,
        cumulative=cumulative,
        spent=Spent(
            evaluations=evaluations,
            epochs=evaluations * budget,
            seconds=float(cumulative["seconds"][-1]),
            energy_kwh=float(cumulative["energy_kwh"][-1]),
            co2_g=float(cumulative["co2_g"][-1]),
        ),
        scale=scale,
    )
    if folder is not None:
        write(result, folder)
    return result


def check(
    method: str | type[Optimiser], *, evaluations: int, seed: int, paper: bool = False
) -> type[Optimiser]:
    """Refuse what no table could make possible, before one is fetched for it.

    Returns:
        The class of the method.

    Raises:
        ConfigError: there is no such method or setting, or a number is out of range.
    """
    kind = method_of(method) if isinstance(method, str) else method
    _at_least("evaluations", evaluations, 1)
    _at_least("seed", seed, 0)
    kind.check_paper(paper)
    return kind


def _objectives(names: Sequence[str]) -> tuple[str, ...]:
    wanted = (names,) if isinstance(names, str) else tuple(names)
    for name in wanted:
        metric(name)
    if len(wanted) < 2 or len(set(wanted)) < len(wanted):
        raise ConfigError(
            "a multi-objective search needs objectives",
            value=wanted,
            expected="two or more different metrics",
            remedy="such as energy_kwh and validation_accuracy",
        )
    return wanted


def _values(bench: Benchmark, names: Sequence[str], budget: int) -> NDArray[np.float64]:
    """(n_cells, m) objectives over the whole space, NaN where the table has no training."""
    values = np.column_stack([bench.values(name, budget) for name in names])
    if all(name in DERIVED for name in names):
        # These follow from the cell alone, but a cell can be evaluated only where it was trained.
        trained = np.zeros(len(values), dtype=np.bool_)
        for name in bench.metrics:
            trained |= ~np.isnan(bench.values(name, budget))
        values[~trained] = np.nan
    return values


def _at_least(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f"no possible {name}",
            value=value,
            expected=f"a whole number of at least {least}",
            remedy="choose a number in this range",
        )


def _columns(records: Records, names: Sequence[str]) -> NDArray[np.float64]:
    return np.column_stack([np.asarray(records[name], dtype=np.float64) for name in names])


def _details(parts: Sequence[Records]) -> dict[str, NDArray[np.float64]]:
    out = {}
    for name in DETAILS:
        try:
            columns = [np.asarray(records[name], dtype=np.float64) for records in parts]
        except UnknownMetricError:  # a table need not hold them all
            continue
        out[name] = np.concatenate(columns)
    return out


def _cumulative(
    details: Mapping[str, NDArray[np.float64]], epochs: int, evaluations: int
) -> dict[str, NDArray[np.float64]]:
    """What was spent after each evaluation; NaN where the table does not say what one costs."""
    unknown = np.full(evaluations, np.nan)
    made = np.arange(1.0, evaluations + 1)
    return {
        "evaluations": made,
        "epochs": made * epochs,
        "seconds": np.cumsum(details.get("training_time_s", unknown)),
        "energy_kwh": np.cumsum(details.get("energy_kwh", unknown)),
        "co2_g": np.cumsum(details.get("co2_g", unknown)),
    }
