"""The benchmark: a table behind one query interface that counts what a search costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import UnknownBudgetError, UnknownMetricError
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.nondominated import nondominated
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.questions import checked_repeat, refuse_missing, row_of, rows_of
from naslib_ecnas.record import (
    DERIVED,
    Front,
    Record,
    Records,
    Spent,
    mean_power,
    power_parts,
)
from naslib_ecnas.repeats import mean_of, means
from naslib_ecnas.space import Space

if TYPE_CHECKING:
    from naslib_ecnas.quality import Quality

__all__ = ["Benchmark", "Front", "Record", "Records", "Spent"]

_DERIVED_ORIGIN = Provenance("derived", note="counted from the cell, exact")


class Benchmark:
    """Answers what training a cell gives and costs, from a table.

    Args:
        table: an open table.

    Example:
        bench = load("7v")
        record = bench.query(cell)
        record.energy_kwh, record.validation_accuracy
        bench.spent
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.reset_spent()
        self._budget = {epochs: i for i, epochs in enumerate(table.budgets)}
        # Columns that `spent` adds up; -1 where the table has none.
        self._costs = tuple(
            table.metrics.index(name) if name in table.metrics else -1
            for name in ("training_time_s", "energy_kwh", "co2_g")
        )

    def __repr__(self) -> str:
        return f"Benchmark({self.table!r})"

    # -- what there is ----------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.table.name

    @property
    def space(self) -> Space:
        """The space whose rows the cells are."""
        return self.table.space

    @property
    def rows(self) -> NDArray[np.int32]:
        """(cells,) rows that the table holds, ascending."""
        return self.table.rows

    @property
    def budgets(self) -> tuple[int, ...]:
        """Training budgets in epochs, ascending."""
        return self.table.budgets

    @property
    def repeats(self) -> int:
        """Trainings of each cell that the table tells apart."""
        return self.table.repeats

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of the table."""
        return self.table.metrics

    @property
    def provenance(self) -> dict[str, Provenance]:
        """Origin of every metric, the derived ones included."""
        out = {**self.table.provenance, **dict.fromkeys(DERIVED, _DERIVED_ORIGIN)}
        parts = power_parts(self.metrics, self.table.provenance)
        if set(parts) <= set(self.metrics):
            energy, time = (self.table.provenance[name] for name in parts)
            if not energy.same_trainings(time):
                return out
            out["average_power_w"] = replace(
                energy,
                kind="derived",
                note=f"{' / '.join(parts)}, with all that the energy covers, such as PUE and CPU; "
                f"energy {energy.kind}",
            )
        return out

    @property
    def quality(self) -> Quality:
        """How good a modelled table is on trainings that its models have not seen.

        Raises:
            UnknownMetricError: nothing of the table is modelled, or nothing is known of it.
        """
        from naslib_ecnas.quality import Quality

        return Quality.of_table(self.table)

    def at(
        self, *, pue: float | None = None, carbon_intensity: float | str | None = None
    ) -> Benchmark:
        """The same table with energies and emissions for another place; it counts on its own.

        Args:
            pue: power usage effectiveness, 1 for the machines alone; the table's own where left
                out.
            carbon_intensity: gCO2eq/kWh, or the code of a country or `"world"` for a published
                figure (`naslib_ecnas.data.carbon`); the table's own emissions where left out.

        Raises:
            ConfigError: it is no PUE or no carbon intensity.
            ProvenanceError: the table does not say what PUE its energies have.
        """
        from naslib_ecnas.data.view import at_place

        return Benchmark(at_place(self.table, pue, carbon_intensity))

    # -- queries, which count ---------------------------------------------------------------

    @property
    def spent(self) -> Spent:
        """What all queries since the last `reset_spent` would have cost."""
        return Spent(self._evaluations, self._epochs, *self._sums)

    def reset_spent(self) -> None:
        """Start counting anew."""
        self._evaluations = self._epochs = 0
        self._sums = [0.0, 0.0, 0.0]

    def query(
        self,
        cell: Cell | int | str,
        epochs: int | None = None,
        *,
        repeat: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> Record:
        """One training of one cell.

        Args:
            cell: a cell, its row, its NAS-Bench-101 hash, or anything that `Cell` accepts alone.
            epochs: training budget; the largest where left out.
            repeat: which training, from 0; the mean over all of them where left out.
            rng: draws the repeat at random; not together with `repeat`.

        Raises:
            InvalidCellError: it is no cell.
            UnknownCellError: the table does not hold it.
            UnknownBudgetError: the table does not hold it at this budget.
            UnknownRepeatError: there is no such repeat.
        """
        row = cell.row if type(cell) is Cell else row_of(self.space, cell)
        table = self.table
        if epochs is None:
            epochs = table.budgets[-1]
        budget = self._budget_index(epochs)
        epochs = table.budgets[budget]
        position = table.position(row)
        if rng is None and (repeat is not None or table.repeats == 1):
            if repeat is not None:
                repeat = checked_repeat(self.table, repeat, rng)
            values = table.record(position, budget, repeat or 0)
        else:
            repeat, values = self._chosen(position, budget, repeat, rng)
        if values[0] != values[0] and all(map(math.isnan, values)):
            refuse_missing(table, row, epochs, position, repeat)
        self._evaluations += 1
        self._epochs += epochs
        sums = self._sums
        seconds, energy, co2 = self._costs
        sums[0] += values[seconds] if seconds >= 0 else math.nan
        sums[1] += values[energy] if energy >= 0 else math.nan
        sums[2] += values[co2] if co2 >= 0 else math.nan
        return Record(row, epochs, repeat, table.metrics, values)

    def query_many(
        self,
        cells: ArrayLike | Sequence[Cell],
        epochs: int | None = None,
        *,
        repeat: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> Records:
        """One training of each of many cells.

        Args:
            cells: (n,) rows, or cells.
            epochs: training budget; the largest where left out.
            repeat: which training, from 0; the mean over all of them where left out.
            rng: draws each repeat at random; not together with `repeat`.

        Raises:
            UnknownCellError: the table does not hold one of them.
            UnknownBudgetError: the table does not hold one of them at this budget.
            UnknownRepeatError: there is no such repeat.
        """
        rows = rows_of(self.table, cells)
        if epochs is None:
            epochs = self.budgets[-1]
        budget = self._budget_index(epochs)
        epochs = self.budgets[budget]
        at = self.table.positions(rows)
        repeat = checked_repeat(self.table, repeat, rng)
        columns = {
            name: self.table.at_budget(name, budget)[at] for name in self.metrics
        }  # (n, repeats) each
        present = np.zeros((len(rows), self.repeats), dtype=bool)
        for values in columns.values():
            present |= ~np.isnan(values)
        if repeat is not None:
            chosen = np.full(len(rows), repeat)
        elif rng is not None:
            # A random one of those that are there: the largest of random keys.
            chosen = np.where(present, rng.random(present.shape), -1.0).argmax(axis=1)
        else:
            chosen = None
        if chosen is None:
            answer = {name: means(name, values) for name, values in columns.items()}
            known = present.any(axis=1)
        else:
            every = np.arange(len(rows))
            answer = {name: values[every, chosen] for name, values in columns.items()}
            known = present[every, chosen]
        if not known.all():
            first = int(np.flatnonzero(~known)[0])
            refuse_missing(self.table, int(rows[first]), epochs, int(at[first]), repeat)
        self._evaluations += len(rows)
        self._epochs += len(rows) * epochs
        for i, column in enumerate(self._costs if len(rows) else ()):
            name = self.metrics[column]
            self._sums[i] += float(answer[name].sum()) if column >= 0 else math.nan
        return Records(rows, epochs, repeat, answer, None if rng is None else chosen)

    # -- the whole table, which does not count ----------------------------------------------

    def values(
        self, name: str, epochs: int | None = None, *, repeat: int | None = None
    ) -> NDArray[np.float64]:
        """A metric over the whole space.

        Args:
            name: a metric of the table or one that follows from the cell.
            epochs: training budget; the largest where left out.
            repeat: which training; the mean over all of them where left out.

        Returns:
            (n_cells,) float64 over the space's rows, NaN where the table holds no value.
        """
        if epochs is None:
            epochs = self.budgets[-1]
        budget = self._budget_index(epochs)
        repeat = checked_repeat(self.table, repeat, None)
        rows = self.rows
        held: NDArray[np.float64]
        if not isinstance(name, str):
            metric(name)  # says what there is
        if name == "average_power_w" and name not in self.metrics:
            parts = power_parts(self.metrics, self.table.provenance)
            energy, seconds = (self.values(n, epochs, repeat=repeat) for n in parts)
            return mean_power(energy, seconds, *(self.table.provenance[n] for n in parts))
        if name in DERIVED:
            held = DERIVED[name](rows).astype(np.float64)
        else:
            by_repeat = self.table.at_budget(metric(name).name, budget)
            held = means(name, by_repeat) if repeat is None else by_repeat[:, repeat]
        if len(rows) == len(self.space):
            return np.array(held)
        out = np.full(len(self.space), np.nan)
        out[rows] = held
        return out

    def interval(
        self, name: str, epochs: int | None = None, *, coverage: float = 0.9
    ) -> NDArray[np.float64]:
        """Where a single training of each cell would lie: bounds of a modelled metric.

        For accuracies at 108 epochs it is the mean over three trainings, as published: single ones
        scatter by some .005 more.

        Calibrated for a coverage of 0.9 (`quality` says what was reached); other coverages are
        taken from the normal distribution.

        Args:
            name: a modelled metric, whose `<name>_std` the table has.
            epochs: training budget; the largest where left out.
            coverage: share of trainings that shall lie inside, between 0 and 1.

        Returns:
            (n_cells, 2) lower and upper bounds, NaN where the table holds no value.

        Raises:
            UnknownMetricError: the table knows no standard deviation of it.
            ConfigError: the coverage is none.
        """
        from naslib_ecnas.intervals import bounds

        return bounds(name, self.values(name, epochs), self.values(f"{name}_std", epochs), coverage)

    def front(self, objectives: Sequence[str] = OBJECTIVES, epochs: int | None = None) -> Front:
        """The true front: all nondominated cells of the table.

        Cells with a missing objective take no part. Of equal points the lowest row stays.

        Args:
            objectives: two or more metrics; each knows its own direction.
            epochs: training budget; the largest where left out.
        """
        names = tuple(objectives)
        if len(names) < 2 or len(set(names)) < len(names):
            raise UnknownMetricError(
                "a front needs two or more different objectives",
                value=names,
                expected="such as " + ", ".join(OBJECTIVES),
                remedy="name the metrics to be traded off",
            )
        if epochs is None:
            epochs = self.budgets[-1]
        values = np.column_stack([self.values(name, epochs) for name in names])
        costs = np.column_stack([metric(n).cost(v) for n, v in zip(names, values.T, strict=True)])
        kept = np.flatnonzero(nondominated(costs))
        if not len(kept):
            raise UnknownMetricError(
                f"no cell of table {self.name} has all objectives at {epochs} epochs",
                value=names,
                expected="objectives with values; a point in time has no mean over repeats",
                remedy="choose other metrics or another budget",
            )
        kept = kept[np.lexsort(costs[kept].T[::-1])]
        return Front(names, epochs, kept.astype(np.int32), values[kept])

    # -- parts of queries -------------------------------------------------------------------

    def _budget_index(self, epochs: int) -> int:
        try:
            return self._budget[epochs]
        except (KeyError, TypeError):
            raise UnknownBudgetError(
                f"table {self.name} has no such budget",
                value=epochs,
                expected="one of " + ", ".join(f"{b}" for b in self.budgets) + " epochs",
                remedy="choose a budget of the table",
            ) from None

    def _chosen(
        self, position: int, budget: int, repeat: int | None, rng: np.random.Generator | None
    ) -> tuple[int | None, list[float]]:
        repeat = checked_repeat(self.table, repeat, rng)
        each = [self.table.record(position, budget, r) for r in range(self.repeats)]
        there = [r for r, values in enumerate(each) if not all(map(math.isnan, values))]
        if rng is not None:
            # With no repeat there at all, the first one's NaNs tell so.
            repeat = there[int(rng.integers(len(there)))] if there else 0
            return repeat, each[repeat]
        if not there:
            return None, each[0]
        means = [mean_of(n, v) for n, v in zip(self.metrics, zip(*each, strict=True), strict=True)]
        return None, means
