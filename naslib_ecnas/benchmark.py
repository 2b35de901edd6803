"""The benchmark: a table behind one query interface that counts what a search costs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import (
    ConfigError,
    ProvenanceError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
    UnknownRepeatError,
)
from naslib_ecnas.metrics import OBJECTIVES, metric, remedy_without
from naslib_ecnas.nondominated import nondominated
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

if TYPE_CHECKING:
    from naslib_ecnas.quality import Quality

__all__ = [
    "DERIVED",
    "Benchmark",
    "Front",
    "Record",
    "Records",
    "Spent",
    "checked_repeat",
    "mean_of",
    "mean_power",
    "means",
    "power_parts",
    "refuse_missing",
    "row_of",
    "rows_of",
]


# What a query asks a table for, checked: rows and repeats, and what is said of missing ones.


def row_of(space: Space, cell: Any) -> int:
    """The row that a cell, a row, a hash or anything that `Cell` accepts stands for."""
    if isinstance(cell, Cell):
        return cell.row
    if isinstance(cell, (int, np.integer)) and not isinstance(cell, bool):
        return int(cell)
    if isinstance(cell, str) and len(cell) == 32 and ":" not in cell:
        return space.row_of_hash(cell)
    return Cell(cell).row


def rows_of(table: Table, cells: Any) -> NDArray[np.int32]:
    """(n,) rows that a vector of rows or a sequence of cells stands for.

    Raises:
        UnknownCellError: they are neither, or lie outside the space.
    """
    space = table.space
    if isinstance(cells, np.ndarray):
        rows = cells
    else:
        try:
            rows = np.array([row_of(space, cell) for cell in cells], dtype=np.int64)
        except TypeError:
            rows = np.empty((0, 0))
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise UnknownCellError(
            "cells must be a vector of rows or a sequence of cells",
            value=cells if rows.ndim != 1 else str(rows.dtype),
            expected="shape (n,), integers",
            remedy="take rows from Space.rows, Space.sample or Cell.row",
        )
    if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= len(space)):
        wrong = rows[(rows < 0) | (rows >= len(space))][0]
        table.position(int(wrong))
    return rows.astype(np.int32)


def checked_repeat(table: Table, repeat: Any, rng: Any) -> int | None:
    """The repeat as a plain number, or None for the mean or a random one.

    Raises:
        ConfigError: `rng` is no generator.
        UnknownRepeatError: there is no such repeat, or both are given.
    """
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise ConfigError(
            "rng is no random generator",
            value=rng,
            expected="a numpy.random.Generator",
            remedy="make one: numpy.random.default_rng(seed)",
        )
    if repeat is None:
        return None
    whole = isinstance(repeat, (int, np.integer)) and not isinstance(repeat, bool)
    if rng is not None or not whole or not 0 <= repeat < table.repeats:
        raise UnknownRepeatError(
            f"table {table.name} has no such repeat"
            if rng is None
            else "repeat= and rng= exclude each other",
            value=repeat,
            expected=f"0 to {table.repeats - 1}, or none for the mean",
            remedy="leave the repeat out for the mean",
        )
    return int(repeat)


def refuse_missing(
    table: Table, row: int, epochs: int, position: int, repeat: int | None
) -> NoReturn:
    """Say what is missing: the cell at this budget, or only this repeat.

    Raises:
        UnknownRepeatError: the cell has other repeats at this budget.
        UnknownBudgetError: it has none.
    """
    there = [
        b
        for i, b in enumerate(table.budgets)
        if any(
            not math.isnan(v) for r in range(table.repeats) for v in table.record(position, i, r)
        )
    ]
    if epochs in there:
        raise UnknownRepeatError(
            f"table {table.name} has fewer repeats of this cell",
            value=f"row {row}, repeat {repeat}",
            expected=f"a repeat that is there, at most {table.repeats - 1}",
            remedy="leave the repeat out for the mean over those that are there",
        )
    raise UnknownBudgetError(
        f"table {table.name} has no values of this cell at {epochs} epochs",
        value=f"row {row}",
        expected="one of " + (", ".join(map(str, there)) or "none of its budgets") + " epochs",
        remedy="choose a budget that the cell was trained for",
    )


# The mean over repeats: over those that are there, and of what has a mean.


def means(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) means over the (n, repeats) that are there; a point in time has no mean."""
    if values.shape[1] == 1:
        return values[:, 0]
    if name.endswith("_unix_s"):
        return np.full(len(values), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all repeats missing: NaN is meant
        out: NDArray[np.float64] = np.nanmean(values, axis=1)
    return out


def mean_of(name: str, values: Sequence[float]) -> float:
    """`means` of the repeats of one cell."""
    if name.endswith("_unix_s"):
        return values[0] if len(values) == 1 else math.nan
    there = [v for v in values if not math.isnan(v)]
    return sum(there) / len(there) if there else math.nan


# What a query returns: one training of one cell, or many.


#: Metrics that follow from the cell alone, with the function that counts them.
DERIVED = {
    "parameters": network.parameters,
    "multiply_adds": network.multiply_adds,
    "activation_elements": network.activation_elements,
    "depth": network.depth,
}

_JOULES_PER_KWH = 3.6e6

_RUN = ("total_energy_kwh", "total_time_s")

_TRAINING = ("energy_kwh", "training_time_s")


def power_parts(metrics: Collection[str], provenance: Mapping[str, Provenance]) -> tuple[str, str]:
    """The energy and the time whose ratio is a table's mean power.

    Those of the whole run where the table has them. Else `energy_kwh` and `training_time_s`,
    which overstates it where only the energy holds start-up and evaluations: at 4 epochs, in
    EC-NAS's own runs, by half (5v-4epochs: 681 W for 453 W in the median).
    """
    if set(_RUN) <= set(metrics):
        energy, time = (provenance[name] for name in _RUN)
        if energy.kind != "unknown" and energy.same_trainings(time):
            return _RUN
    return _TRAINING


def mean_power(
    energy_kwh: ArrayLike, seconds: ArrayLike, energy: Provenance, time: Provenance
) -> NDArray[np.float64]:
    """Energy over time in W, where the two belong together; NaN where the time is 0.

    It covers all that the energy covers, such as PUE and CPU packages. The two are to be of one
    span of time: `power_parts` names them.

    Args:
        energy_kwh, seconds: values of one shape.
        energy, time: where they come from.

    Raises:
        ProvenanceError: they differ in kind or device, so are not of the same trainings.
    """
    if not energy.same_trainings(time):
        raise ProvenanceError(
            "power is energy over time, and these two are not of the same trainings",
            value=f"energy {energy}; time {time}",
            expected="energy and time measured in the same trainings",
            remedy="use a measured table, such as 5v-4epochs",
        )
    time_s = np.asarray(seconds, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.asarray(energy_kwh, dtype=np.float64) * _JOULES_PER_KWH / time_s
    return np.where(time_s > 0, power, np.nan)


class Record(Mapping[str, float]):
    """The metrics of one cell at one budget: a mapping whose names are attributes too.

    `record.energy_kwh` and `record["energy_kwh"]` are the same. Besides the table's columns it
    answers what follows from the cell (`parameters`, `multiply_adds`, `activation_elements`,
    `depth`).

    Attributes:
        row: row of the cell in its space.
        epochs: training budget.
        repeat: which training, or None where the values are means over all of them.
    """

    __slots__ = ("_metrics", "_values", "epochs", "repeat", "row")

    if TYPE_CHECKING:
        energy_kwh: float
        co2_g: float
        training_time_s: float
        train_accuracy: float
        validation_accuracy: float
        test_accuracy: float
        total_energy_kwh: float
        total_time_s: float
        parameters: int
        multiply_adds: int
        activation_elements: int
        depth: int

    def __init__(
        self,
        row: int,
        epochs: int,
        repeat: int | None,
        metrics: tuple[str, ...],
        values: list[float],
    ) -> None:
        self.row = row
        self.epochs = epochs
        self.repeat = repeat
        self._metrics = metrics
        self._values = values

    @property
    def cell(self) -> Cell:
        """The cell."""
        return Cell.from_row(self.row)

    def __getattr__(self, name: str) -> float:
        if name.startswith("_"):  # not a metric; copying and inspection ask for such names
            raise AttributeError(name)
        return self[name]

    def _derived(self, name: str) -> float:
        if isinstance(name, str) and name in DERIVED:
            return int(DERIVED[name](self.row)[0])
        raise UnknownMetricError(
            "the record has no such metric",
            value=name,
            expected="one of " + ", ".join((*self._metrics, *DERIVED)),
            remedy=remedy_without(name),
        )

    def __getitem__(self, name: str) -> float:
        try:
            return self._values[self._metrics.index(name)]
        except ValueError:
            return self._derived(name)

    # A mapping's own two wait for a KeyError, which an unknown metric is not.

    def __contains__(self, name: object) -> bool:
        return name in self._metrics or (isinstance(name, str) and name in DERIVED)

    def get(self, name: str, /, default: Any = None) -> Any:
        """The metric, or `default` where the record has no such metric."""
        try:
            return self[name]
        except UnknownMetricError:
            return default

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def __repr__(self) -> str:
        shown = ", ".join(f"{n}={v:.6g}" for n, v in self.items() if not math.isnan(v))
        return f"Record(row={self.row}, epochs={self.epochs}, repeat={self.repeat}, {shown})"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values: cell, budget, the table's metrics and the cell's costs."""
        return {
            "row": self.row,
            "cell": str(self.cell),
            "epochs": self.epochs,
            "repeat": self.repeat,
            **dict(self),
            **{name: int(count(self.row)[0]) for name, count in DERIVED.items()},
        }


@dataclass(frozen=True)
class Records:
    """The metrics of many cells at one budget, as columns."""

    rows: NDArray[np.int32]
    """(n,) rows."""
    epochs: int
    repeat: int | None
    """Which training; None for means, and where each was drawn at random."""
    columns: Mapping[str, NDArray[np.float64]]
    """(n,) values of each metric of the table."""
    drawn: NDArray[np.int64] | None = None
    """(n,) repeat of each, where they were drawn at random."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: str | int) -> Any:
        """`records["energy_kwh"]` is an (n,) array, `records[3]` a `Record`."""
        if isinstance(key, (int, np.integer)):
            values = [float(column[key]) for column in self.columns.values()]
            repeat = self.repeat if self.drawn is None else int(self.drawn[key])
            return Record(int(self.rows[key]), self.epochs, repeat, tuple(self.columns), values)
        if not isinstance(key, str):
            raise self._unknown(key)
        if key in self.columns:
            return self.columns[key]
        if key in DERIVED:
            return DERIVED[key](self.rows).astype(np.float64)
        raise self._unknown(key)

    def _unknown(self, key: Any) -> UnknownMetricError:
        return UnknownMetricError(
            "the records have no such metric",
            value=key,
            expected="an index, or one of " + ", ".join((*self.columns, *DERIVED)),
            remedy=remedy_without(key),
        )

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class Front:
    """Nondominated cells of a table, sorted by the first objective."""

    objectives: tuple[str, ...]
    epochs: int
    rows: NDArray[np.int32]
    """(n,) rows."""
    values: NDArray[np.float64]
    """(n, m) objectives in their own units."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def cells(self) -> list[Cell]:
        """The cells of the rows."""
        return [Cell.from_row(int(row)) for row in self.rows]


@dataclass(frozen=True)
class Spent:
    """What the trainings behind the queries would have cost.

    A quantity that the table does not know is NaN, not 0.
    """

    evaluations: int = 0
    epochs: int = 0
    seconds: float = 0.0
    """Training time."""
    energy_kwh: float = 0.0
    co2_g: float = 0.0


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
        from naslib_ecnas.data.table import at_place

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
        from naslib_ecnas.quality import bounds

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
