"""All that a page shows, gathered from a table and from runs over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ProvenanceError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.metrics import metric
from naslib_ecnas.nondominated import nondominated
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.record import DERIVED
from naslib_ecnas.report.runs import Run

__all__ = ["Column", "Page", "TrueFront", "gather"]

#: Metrics that a page offers, those of them that the table holds; objectives of runs come on top.
SHOWN = (
    "energy_kwh",
    "training_time_s",
    "validation_accuracy",
    "test_accuracy",
    "parameters",
    "co2_g",
)


@dataclass(frozen=True, eq=False)
class Column:
    """A metric over the whole space at one budget."""

    name: str
    epochs: int | None
    """Training budget; None where the metric follows from the cell alone."""
    values: NDArray[np.float64]
    """(n_cells,) in the metric's unit, NaN where the table holds no value."""
    typical_std: float
    """Median of the modelled standard deviation; NaN where the table has none."""


@dataclass(frozen=True, eq=False)
class TrueFront:
    """The nondominated cells of the table in two metrics."""

    objectives: tuple[str, str]
    epochs: int
    rows: NDArray[np.int32]
    """(k,) from the best in the first objective on."""


@dataclass(frozen=True, eq=False)
class Page:
    """What goes into one file."""

    table: str
    checksum: str
    vertices: int
    n_cells: int
    """Cells of the space; the table may hold fewer."""
    n_held: int
    budgets: tuple[int, ...]
    epochs: int
    """The budget that is shown first."""
    columns: tuple[Column, ...]
    provenance: Mapping[str, Provenance]
    fronts: tuple[TrueFront, ...]
    runs: tuple[Run, ...]
    exact_rows: NDArray[np.int32]
    """(e,) ascending rows whose values the page holds exactly: of the fronts and of the runs."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in their order."""
        return tuple(dict.fromkeys(column.name for column in self.columns))


def gather(bench: Benchmark, runs: Sequence[Run] = (), *, epochs: int | None = None) -> Page:
    """The page of a table, and of runs over it. Counts no query.

    Args:
        bench: the table.
        runs: searches of this very table.
        epochs: the budget that is shown first; the largest, or that of the runs, where left out.

    Raises:
        UnknownBudgetError: the table does not hold the budget.
        ProvenanceError: a run searched another table.
        UnknownMetricError: the table holds fewer than two metrics that a page could show.
    """
    for run in runs:
        _check(bench, run)
    shared = {run.epochs for run in runs}
    if epochs is None:
        epochs = shared.pop() if len(shared) == 1 else bench.budgets[-1]
    if epochs not in bench.budgets:
        raise UnknownBudgetError(
            f"table {bench.name} has no such budget",
            value=epochs,
            expected="one of " + ", ".join(map(str, bench.budgets)) + " epochs",
            remedy="choose a budget of the table",
        )
    asked = (name for run in runs for name in run.objectives)
    columns: list[Column] = []
    for name in dict.fromkeys((*SHOWN, *asked)):
        columns += _columns(bench, name)
    names = tuple(dict.fromkeys(column.name for column in columns))
    if len(names) < 2:
        raise UnknownMetricError(
            f"table {bench.name} holds too little to show",
            value=", ".join(names) or "no metric that differs between cells",
            expected="two or more of " + ", ".join(SHOWN),
            remedy="choose another table",
        )
    fronts = _fronts(bench.budgets, names, columns)
    kept = [front.rows for front in fronts]
    kept += [rows for run in runs for rows in (run.rows, run.front_rows)]
    return Page(
        table=bench.name,
        checksum=bench.table.checksum,
        vertices=bench.space.vertices,
        n_cells=len(bench.space),
        n_held=len(bench.rows),
        budgets=bench.budgets,
        epochs=int(epochs),
        columns=tuple(columns),
        provenance={name: bench.provenance[name] for name in names},
        fronts=fronts,
        runs=tuple(runs),
        exact_rows=np.unique(np.concatenate(kept)).astype(np.int32),
    )


def _check(bench: Benchmark, run: Run) -> None:
    if run.checksum != bench.table.checksum:
        raise ProvenanceError(
            f"the run {run.label} searched another table than {bench.name}",
            value=f"{run.table}, {run.checksum[:12]}",
            expected=f"{bench.name}, {bench.table.checksum[:12]}",
            remedy="name the runs' table by --table, with the --device, --pue, ... of the search",
        )
    last = max(int(run.rows.max(initial=0)), int(run.front_rows.max(initial=0)))
    first = min(int(run.rows.min(initial=0)), int(run.front_rows.min(initial=0)))
    if last >= len(bench.space) or first < 0:
        raise ProvenanceError(
            f"the run {run.label} has cells that the table has not",
            value=last if first >= 0 else first,
            expected=f"rows 0 to {len(bench.space) - 1}",
            remedy="run the search again",
        )


def _columns(bench: Benchmark, name: str) -> list[Column]:
    """A metric at each budget, once if budgets do not matter; none if the table has it not."""
    if name not in bench.provenance:
        return []
    budgets = (None,) if name in DERIVED else bench.budgets
    out = []
    for epochs in budgets:
        values = bench.values(name, epochs)
        spread = f"{name}_std"
        std = bench.values(spread, epochs) if spread in bench.metrics else np.empty(0)
        std = std[np.isfinite(std)]
        typical = float(np.median(std)) if len(std) else float("nan")
        out.append(Column(name, epochs, values, typical))
    known = np.concatenate([column.values for column in out])
    known = known[np.isfinite(known)]
    # One value throughout, such as emissions of 0 where none were taken, tells nothing.
    return out if known.size and known.min() < known.max() else []


def _fronts(
    budgets: Sequence[int], names: Sequence[str], columns: Sequence[Column]
) -> tuple[TrueFront, ...]:
    """The front of every pair of metrics at every budget, from unrounded values."""
    costs = {(c.name, c.epochs): metric(c.name).cost(c.values) for c in columns}
    out = []
    for epochs in budgets:
        for pair in combinations(names, 2):
            both = [costs[n, None] if (n, None) in costs else costs[n, epochs] for n in pair]
            rows = np.flatnonzero(nondominated(np.column_stack(both)))
            rows = rows[np.lexsort((both[1][rows], both[0][rows]))]
            out.append(TrueFront(pair, epochs, rows.astype(np.int32)))
    return tuple(out)
