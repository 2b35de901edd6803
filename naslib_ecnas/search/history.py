"""From the evaluations of a search to its result: values, costs, front, all read from the table."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.benchmark import Benchmark, Spent
from naslib_ecnas.checked import whole_numbers
from naslib_ecnas.errors import ConfigError, UnknownMetricError
from naslib_ecnas.search.ledger import Ledger
from naslib_ecnas.search.limits import QUANTITIES
from naslib_ecnas.search.result import SearchConfig, SearchResult

__all__ = ["DETAILS", "result_of"]

#: What is kept of every evaluation besides the objectives, where the table holds it.
DETAILS = (
    "energy_kwh",
    "validation_accuracy",
    "test_accuracy",
    "training_time_s",
    "co2_g",
    "parameters",
)


def result_of(
    bench: Benchmark,
    *,
    rows: ArrayLike,
    epochs: ArrayLike,
    objectives: Sequence[str],
    method: str,
    seed: int,
    budget: int | None = None,
    paper: bool = False,
    limits: Mapping[str, float] | None = None,
    charge_repeats: bool = True,
    options: Mapping[str, object] | None = None,
    skipped: int = 0,
    answered: int = 0,
    ended_by: str = "evaluations",
) -> SearchResult:
    """The result of evaluations that were made, whoever made them.

    Args:
        bench: the benchmark; its counter is not touched.
        rows: (n,) row of each evaluation, in order, n >= 1.
        epochs: (n,) training budget of each.
        objectives: two or more metrics.
        method: what made them, for the record.
        seed: of the run, for the record.
        budget: the run's own budget, whose evaluations make the front; the largest of `epochs`
            where left out.
        paper, limits, charge_repeats, options: settings of the run, for the record.
        skipped, answered, ended_by: see `SearchResult`.

    Raises:
        ConfigError: nothing was evaluated, or the shapes do not fit.
        UnknownMetricError, UnknownBudgetError, UnknownCellError: the table does not hold it.
    """
    where = whole_numbers(rows)
    each = whole_numbers(epochs, "the epochs").astype(np.int64)
    if where.shape != each.shape or not len(where):
        raise ConfigError(
            "no evaluations to make a result of",
            value=(where.shape, each.shape),
            expected="rows and epochs of one shape (n,), n >= 1",
            remedy="evaluate a cell",
        )
    bench.table.positions(where)
    where = where.astype(np.int32)
    names = tuple(objectives)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            "a result needs objectives",
            value=names,
            expected="two or more different metrics",
            remedy="such as energy_kwh and validation_accuracy",
        )
    if budget is not None:
        bench.values(names[0], budget)  # refuses what is no budget
    ledger = Ledger.of(bench, names)
    own = int(each.max()) if budget is None else budget
    budgets = np.unique(each).tolist()
    values = np.empty((len(where), len(names)))
    charges = np.empty((len(where), len(QUANTITIES)))
    for at_budget in budgets:
        at = each == at_budget
        values[at] = ledger.objectives(at_budget)[where[at]]
        charges[at] = ledger.charges(where[at], at_budget)
    cumulative = dict(zip(QUANTITIES, np.cumsum(charges, axis=0).T, strict=True))
    total = {name: column[-1].item() for name, column in cumulative.items()}
    origin = bench.provenance
    config = SearchConfig(
        method=method,
        paper=paper,
        table=bench.name,
        checksum=bench.table.checksum,
        vertices=bench.space.vertices,
        objectives=names,
        epochs=own,
        evaluations=len(where),
        seed=seed,
        provenance={name: origin[name] for name in names},
        versions={
            "naslib-ecnas": version("naslib-ecnas"),
            "moocore": version("moocore"),
            "numpy": version("numpy"),
            "python": platform.python_version(),
        },
        limits=dict(limits or {"evaluations": len(where)}),
        charge_repeats=charge_repeats,
        options=dict(options or {}),
    )
    return SearchResult.of(
        config,
        rows=where,
        epochs=each,
        values=values,
        details=_details(ledger, where, each),
        cumulative=cumulative,
        spent=Spent(
            evaluations=len(where),
            epochs=int(each.sum()),
            seconds=total["seconds"],
            energy_kwh=total["energy_kwh"],
            co2_g=total["co2_g"],
        ),
        scale=ledger.scale(own),
        skipped=skipped,
        answered=answered,
        ended_by=ended_by,
    )


def _details(
    ledger: Ledger, rows: NDArray[np.int32], epochs: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    out = {}
    for name in DETAILS:
        try:
            out[name] = ledger.detail(name, rows, epochs)
        except UnknownMetricError:  # a table need not hold them all
            continue
    return out
