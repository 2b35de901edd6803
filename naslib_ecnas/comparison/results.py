"""The runs of a comparison as one tidy table: a line for each run at each of its checkpoints.

Nothing in it depends on when, where or in which order the runs were made, so that a comparison
which was stopped and taken up again ends in the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import Scale, anytime, epsilon, igd_plus
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.grid import Unit
from naslib_ecnas.comparison.run_file import Run
from naslib_ecnas.errors import ProvenanceError
from naslib_ecnas.figures.sheet import Sheet
from naslib_ecnas.search.history import result_of
from naslib_ecnas.search.result import SearchResult

__all__ = ["COLUMNS", "FILE", "Results", "Yardstick", "gather"]

#: The tidy file in the folder of a comparison.
FILE = "results.csv"
COLUMNS = (
    "table",
    "method",
    "seed",
    "budget_epochs",
    "evaluations",
    "epochs",
    "training_time_s",
    "energy_kwh",
    "co2_g",
    "hypervolume",
    "hypervolume_of_table",
    "igd_plus",
    "epsilon",
)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The true front of a table, and what runs over it are measured by."""

    front: NDArray[np.float64]
    """(k, m) values of the true front."""
    scale: Scale
    """From the front's ideal to a little behind its nadir (`Scale`, reference `nadir`)."""
    whole: Scale
    """From the front's ideal to the worst values of the table."""

    @classmethod
    def of(cls, bench: Benchmark, objectives: Sequence[str], epochs: int) -> Yardstick:
        """The yardstick of a table at a budget."""
        front = bench.front(objectives, epochs).values
        values = np.column_stack([bench.values(name, epochs) for name in objectives])
        return cls(
            np.asarray(front, dtype=np.float64),
            Scale.of(values, objectives, reference="nadir"),
            Scale.of(values, objectives),
        )


@dataclass(frozen=True, eq=False)
class Results:
    """The runs of a comparison."""

    runs: dict[Unit, SearchResult]
    benchmarks: dict[str, Benchmark]
    yardsticks: dict[str, Yardstick]
    """By table."""
    sheet: Sheet
    """`COLUMNS` for each run at each checkpoint: what had been spent by then, and of the front
    found by then the hypervolume (share of the true front's, from 0 to 1, its reference a little
    behind the true front's nadir), the same with the table's worst values as the reference, IGD+
    and the additive epsilon (0 is best)."""

    def own(self, unit: Unit) -> NDArray[np.float64]:
        """(n, m) objectives of a run's evaluations, NaN for those at another budget."""
        return _own(self.runs[unit])


def _own(result: SearchResult) -> NDArray[np.float64]:
    at_budget = (result.epochs == result.config.epochs)[:, None]
    return np.asarray(np.where(at_budget, result.values, np.nan), dtype=np.float64)


def gather(out: Path, units: Sequence[Unit], setting: dict[str, Any]) -> Results:
    """Read the runs of a comparison.

    Args:
        out: folder of the comparison.
        units: its runs, all of them there.
        setting: further arguments of `load`.

    Raises:
        FormatError: a run is damaged.
        ProvenanceError: a run is of another state of its table.
    """
    from naslib_ecnas.loading import load

    chosen = {k: v for k, v in setting.items() if v is not None}
    benchmarks = {name: load(name, **chosen) for name in sorted({unit.table for unit in units})}
    runs: dict[Unit, SearchResult] = {}
    yardsticks: dict[str, Yardstick] = {}
    rows: list[tuple[Any, ...]] = []
    for unit in sorted(units):
        run, bench = Run.read(out / unit.file), benchmarks[unit.table]
        if run.checksum != bench.table.checksum:
            raise ProvenanceError(
                "a run was made on another state of its table",
                value=str(unit),
                expected="runs and table with one checksum",
                remedy="run the comparison again: such runs are made anew",
            )
        runs[unit] = result_of(
            bench,
            rows=run.rows,
            epochs=run.epochs,
            objectives=run.objectives,
            method=run.method,
            seed=run.seed,
            budget=run.budget,
        )
        if unit.table not in yardsticks:
            yardsticks[unit.table] = Yardstick.of(bench, run.objectives, run.budget)
        rows += _rows(unit, runs[unit], yardsticks[unit.table])
    return Results(runs, benchmarks, yardsticks, Sheet.of(COLUMNS, rows))


def _rows(unit: Unit, result: SearchResult, yardstick: Yardstick) -> Iterator[tuple[Any, ...]]:
    counts = result.anytime_counts
    own, made = _own(result), np.arange(1.0, len(result.rows) + 1)
    scale, front = yardstick.scale, yardstick.front
    curves = [
        anytime(own, made, counts, scale),
        anytime(own, made, counts, yardstick.whole),
        *(
            anytime(own, made, counts, scale, indicator=partial(_to, indicator, front, scale))
            for indicator in (igd_plus, epsilon)
        ),
    ]
    spent = [result.cumulative[name] for name in ("seconds", "energy_kwh", "co2_g")]
    for i, count in enumerate(counts.tolist()):
        yield (
            unit.table,
            unit.method,
            unit.seed,
            result.config.epochs,
            count,
            int(result.cumulative["epochs"][count - 1]),
            *(float(column[count - 1]) for column in spent),
            *(float(curve[i]) for curve in curves),
        )


def _to(
    indicator: Any, front: NDArray[np.float64], scale: Scale, found: NDArray[np.float64]
) -> float:
    return float(indicator(found, front, scale))
