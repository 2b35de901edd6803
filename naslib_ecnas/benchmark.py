"""The benchmark: a table behind one query interface that counts what a search costs.

`Benchmark` answers queries with `Record` (one training of one cell) and `Records` (many cells as
columns), gives the true `Front`, and counts in `spent` what the trainings would have cost.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Table, at_place
from naslib_ecnas.errors import (
    ConfigError,
    ProvenanceError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
    UnknownRepeatError,
)
from naslib_ecnas.metrics import OBJECTIVES, metric, missing_metric_remedy
from naslib_ecnas.nondominated import nondominated
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.spent import COSTS, Counter, Spent

if TYPE_CHECKING:
    from naslib_ecnas.quality import Quality

__all__ = [
    "DERIVED",
    "Benchmark",
    "Front",
    "Record",
    "Records",
    "mean_power",
    "power_parts",
]

#: Metrics that follow from the cell alone, with the function that counts them.
DERIVED = {
    "parameters": network.parameters,
    "multiply_adds": network.multiply_adds,
    "activation_elements": network.activation_elements,
    "depth": network.depth,
}

_DERIVED_ORIGIN = Provenance("derived", note="counted from the cell, exact")


# -- mean power -----------------------------------------------------------------------------------

_JOULES_PER_KWH = 3.6e6

_RUN = ("total_energy_kwh", "total_time_s")

_TRAINING = ("energy_kwh", "training_time_s")


def power_parts(metrics: Collection[str], provenance: Mapping[str, Provenance]) -> tuple[str, str]:
    """Names of the energy and the time whose ratio is a table's mean power.

    The two of the whole run where the table has both. Else `energy_kwh` and `training_time_s`,
    which overstates the power where only the energy includes start-up and evaluations: at 4
    epochs, in EC-NAS's own runs, by half (5v-4epochs: 681 W instead of 453 W in the median).
    """
    if set(_RUN) <= set(metrics):
        energy, time = (provenance[name] for name in _RUN)
        if energy.kind != "unknown" and energy.same_trainings(time):
            return _RUN
    return _TRAINING


def mean_power(
    energy_kwh: ArrayLike, seconds: ArrayLike, energy: Provenance, time: Provenance
) -> NDArray[np.float64]:
    """Energy over time in W; NaN where the time is 0.

    It includes all that the energy includes, such as PUE and CPU packages. Energy and time must
    cover the same span of the run: take the two that `power_parts` names.

    Args:
        energy_kwh, seconds: values of one shape.
        energy, time: their provenance.

    Raises:
        ProvenanceError: the two differ in kind or device, so belong to different trainings.
    """
    if not energy.same_trainings(time):
        raise ProvenanceError(
            "power needs energy and time of the same trainings", value=f"{energy}; {time}"
        )
    time_s = np.asarray(seconds, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.asarray(energy_kwh, dtype=np.float64) * _JOULES_PER_KWH / time_s
    return np.where(time_s > 0, power, np.nan)


# -- what queries return --------------------------------------------------------------------------


def _no_metric(of: str, name: Any, metrics: Collection[str]) -> UnknownMetricError:
    known = ", ".join((*metrics, *DERIVED))
    remedy = missing_metric_remedy(name)
    return UnknownMetricError(f"{of} has only {known}", value=name, remedy=remedy)


class Record(Mapping[str, float]):
    """The metrics of one cell at one budget: a mapping whose names are attributes too.

    `record.energy_kwh` and `record["energy_kwh"]` are the same. Besides the table's columns it
    answers what follows from the cell (`parameters`, `multiply_adds`, `activation_elements`,
    `depth`). A metric without a value in this table is not in the mapping; asking for it raises
    `UnknownMetricError`.

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
        self.row: int = row
        self.epochs: int = epochs
        self.repeat: int | None = repeat
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

    def __getitem__(self, name: str) -> float:
        try:
            value = self._values[self._metrics.index(name)]
        except ValueError:
            if isinstance(name, str) and name in DERIVED:
                return int(DERIVED[name](self.row)[0])
            raise _no_metric("the record", name, self._metrics) from None
        if math.isnan(value):
            which = "" if self.repeat is None else f" in repeat {self.repeat}"
            raise UnknownMetricError(
                f"the table has no {name} of row {self.row} at {self.epochs} epochs{which}"
            )
        return value

    # The mixins of Mapping catch KeyError, which UnknownMetricError is not.

    def __contains__(self, name: object) -> bool:
        return self.get(name) is not None

    def get(self, name: Any, /, default: Any = None) -> Any:
        """The metric, or `default` where it has no value."""
        try:
            return self[name]
        except UnknownMetricError:
            return default

    def __iter__(self) -> Iterator[str]:
        named = zip(self._metrics, self._values, strict=True)
        return (name for name, value in named if not math.isnan(value))

    def __len__(self) -> int:
        return sum(not math.isnan(value) for value in self._values)

    def __repr__(self) -> str:
        shown = ", ".join(f"{n}={v:.6g}" for n, v in self.items())
        return f"Record(row={self.row}, epochs={self.epochs}, repeat={self.repeat}, {shown})"

    def to_dict(self) -> dict[str, Any]:
        """Cell, budget, all columns of the table (NaN where missing) and the derived metrics."""
        return {
            "row": self.row,
            "cell": str(self.cell),
            "epochs": self.epochs,
            "repeat": self.repeat,
            **dict(zip(self._metrics, self._values, strict=True)),
            **{name: int(count(self.row)[0]) for name, count in DERIVED.items()},
        }


@dataclass(frozen=True, eq=False)
class Records:
    """The metrics of many cells at one budget, as columns."""

    rows: NDArray[np.int32]
    """(n,) rows."""
    epochs: int
    repeat: int | None
    """Which training; None for means, and where each was drawn at random."""
    columns: Mapping[str, NDArray[np.float64]]
    """(n,) values of each metric of the table, NaN where missing."""
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
        if isinstance(key, str) and key in self.columns:
            return self.columns[key]
        if isinstance(key, str) and key in DERIVED:
            return DERIVED[key](self.rows).astype(np.float64)
        raise _no_metric("the list of records", key, self.columns)

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True, eq=False)
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


class Benchmark:
    """Accuracy and cost of training any cell, looked up in a table.

    A benchmark can be pickled, copied and used after a fork: the pickle has the table's name and
    checksum and what was spent, not its values. Copies and the results of `at` read the same file
    and have counters of their own. In another process a copy warns once
    (`SeparateCounterWarning`) that the original does not see what it spends. Call
    `reset_spent()` there to silence the warning, and `absorb` to add its `spent` to the original.

    Args:
        table: an open table.

    Example:
        with load("7v") as bench:
            record = bench.query(cell)
            record.energy_kwh, record.validation_accuracy
            bench.spent
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._budget = {epochs: i for i, epochs in enumerate(table.budgets)}
        held = table.metrics
        columns = [held.index(name) if name in held else -1 for name in COSTS.values()]
        self._counter = Counter(f"benchmark {table.name}", columns)

    def __repr__(self) -> str:
        return f"Benchmark({self.table!r})"

    def __copy__(self) -> Benchmark:
        return copy.deepcopy(self)  # with its own counter; the table is never copied

    def close(self) -> None:
        """Close the table's file, for copies and other views of it too.

        Queries raise `ClosedTableError` then; arrays and records stay valid.
        """
        self.table.close()

    def __enter__(self) -> Benchmark:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- what the table holds ---------------------------------------------------------------

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
        origins = {**self.table.provenance, **dict.fromkeys(DERIVED, _DERIVED_ORIGIN)}
        parts = power_parts(self.metrics, self.table.provenance)
        if set(parts) <= set(self.metrics):
            energy, time = (origins[name] for name in parts)
            if energy.same_trainings(time):
                note = f"{' / '.join(parts)}, with all that the energy covers, such as PUE and CPU"
                note += f"; energy {energy.kind}"
                origins["average_power_w"] = replace(energy, kind="derived", note=note)
        return origins

    @property
    def quality(self) -> Quality:
        """Errors of a modelled table on trainings that its models have not seen.

        Raises:
            UnknownMetricError: the table is not modelled, or its quality was not measured.
        """
        from naslib_ecnas.quality import Quality

        return Quality.of_table(self.table)

    def at(
        self, *, pue: float | None = None, carbon_intensity: float | str | None = None
    ) -> Benchmark:
        """The same table with energies and emissions for another place, and its own counter.

        Args:
            pue: power usage effectiveness, 1 for the machines alone; by default the
                table's own.
            carbon_intensity: gCO2eq/kWh, or the code of a country or `"world"` for a published
                figure (`naslib_ecnas.data.carbon`); by default the table's own emissions.

        Raises:
            ConfigError: the PUE or the carbon intensity is not possible.
            ProvenanceError: the table does not say what PUE its energies have.
        """
        return Benchmark(at_place(self.table, pue, carbon_intensity))

    # -- queries, which count ---------------------------------------------------------------

    @property
    def spent(self) -> Spent:
        """What all queries since the last `reset_spent` would have cost."""
        return self._counter.spent

    def reset_spent(self) -> None:
        """Start counting anew, in this process."""
        self._counter.reset()

    def absorb(self, spent: Spent) -> None:
        """Add what a copy spent, such as one in another process."""
        self._counter.add(spent)

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
            epochs: training budget; by default the largest.
            repeat: which training, from 0; by default the mean over all.
            rng: draws the repeat at random; not together with `repeat`.

        Raises:
            InvalidCellError: the matrix and operations are not a cell.
            UnknownCellError: the table does not hold it.
            UnknownBudgetError: the table does not hold it at this budget.
            UnknownRepeatError: there is no such repeat.
        """
        table = self.table
        # A query takes microseconds, so the usual types are tried first.
        if type(cell) is Cell:
            row = cell.row
        else:
            row = cell if type(cell) is int else _row_of(table.space, cell)
        budget = self._budget_index(epochs)
        epochs = table.budgets[budget]
        position = table.position(row)
        if rng is None and (repeat is not None or table.repeats == 1):
            if repeat is not None and not (type(repeat) is int and 0 <= repeat < table.repeats):
                repeat = _checked_repeat(table, repeat, rng)
            values = table.record(position, budget, repeat or 0)
        else:
            repeat, values = self._chosen(position, budget, repeat, rng)
        if values[0] != values[0] and all(map(math.isnan, values)):
            _refuse_missing(table, row, epochs, position, repeat)
        self._counter.count(epochs, values)
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
            epochs: training budget; by default the largest.
            repeat: which training, from 0; by default the mean over all.
            rng: draws each repeat at random; not together with `repeat`.

        Raises:
            UnknownCellError: the table does not hold one of them.
            UnknownBudgetError: the table does not hold one of them at this budget.
            UnknownRepeatError: there is no such repeat.
        """
        table = self.table
        rows = _rows_of(table, cells)
        budget = self._budget_index(epochs)
        epochs = self.budgets[budget]
        at = table.positions(rows)
        repeat = _checked_repeat(table, repeat, rng)
        columns = {n: table.at_budget(n, budget)[at] for n in self.metrics}  # (n, repeats) each
        present = np.zeros((len(rows), self.repeats), dtype=bool)
        for values in columns.values():
            present |= ~np.isnan(values)
        if repeat is None and rng is None:
            chosen = None
            answer = {name: _means(name, values) for name, values in columns.items()}
            known = present.any(axis=1)
        else:
            if repeat is None and rng is not None:
                # A random one of the repeats that exist: the one with the largest random key.
                chosen = np.where(present, rng.random(present.shape), -1.0).argmax(axis=1)
            else:
                chosen = np.full(len(rows), repeat)
            every = np.arange(len(rows))
            answer = {name: values[every, chosen] for name, values in columns.items()}
            known = present[every, chosen]
        if not known.all():
            first = int(np.flatnonzero(~known)[0])
            _refuse_missing(table, int(rows[first]), epochs, int(at[first]), repeat)
        unknown = np.full(len(rows), np.nan)
        costs = {name: answer.get(column, unknown) for name, column in COSTS.items()}
        self._counter.add(Spent.of(np.full(len(rows), epochs), costs))
        return Records(rows, epochs, repeat, answer, None if rng is None else chosen)

    # -- the whole table, which does not count ----------------------------------------------

    def values(
        self, name: str, epochs: int | None = None, *, repeat: int | None = None
    ) -> NDArray[np.float64]:
        """A metric over the whole space.

        Args:
            name: a metric of the table or one that follows from the cell.
            epochs: training budget; by default the largest.
            repeat: which training; by default the mean over all.

        Returns:
            (n_cells,) float64 over the space's rows, NaN where the table holds no value.
        """
        budget = self._budget_index(epochs)
        repeat = _checked_repeat(self.table, repeat, None)
        rows = self.rows
        held: NDArray[np.float64]
        metric(name)  # raises where there is none of this name
        if name == "average_power_w" and name not in self.metrics:
            parts = power_parts(self.metrics, self.table.provenance)
            energy, seconds = (self.values(n, epochs, repeat=repeat) for n in parts)
            return mean_power(energy, seconds, *(self.table.provenance[n] for n in parts))
        if name in DERIVED:
            held = DERIVED[name](rows).astype(np.float64)
        else:
            by_repeat = self.table.at_budget(name, budget)
            held = _means(name, by_repeat) if repeat is None else by_repeat[:, repeat]
        if len(rows) == len(self.space):
            return np.array(held)
        out = np.full(len(self.space), np.nan)
        out[rows] = held
        return out

    def interval(
        self, name: str, epochs: int | None = None, *, coverage: float = 0.9
    ) -> NDArray[np.float64]:
        """Bounds of a modelled metric between which a single training of each cell would lie.

        For accuracies at 108 epochs they are bounds of the mean over three trainings, as published:
        single ones scatter by some .005 more.

        They are calibrated for a coverage of 0.9 (`quality` says what was reached); other coverages
        follow from the normal distribution.

        Args:
            name: a modelled metric, whose `<name>_std` the table has.
            epochs: training budget; by default the largest.
            coverage: share of trainings within the bounds, between 0 and 1.

        Returns:
            (n_cells, 2) lower and upper bounds, NaN where the table holds no value.

        Raises:
            UnknownMetricError: the table has no standard deviation of it.
            ConfigError: the coverage is not between 0 and 1.
        """
        from naslib_ecnas.quality import bounds

        return bounds(name, self.values(name, epochs), self.values(f"{name}_std", epochs), coverage)

    def front(self, objectives: Sequence[str] = OBJECTIVES, epochs: int | None = None) -> Front:
        """The true front: all nondominated cells of the table.

        Cells with a missing objective take no part. Of equal points the lowest row stays.

        Args:
            objectives: two or more metrics; each knows its own direction.
            epochs: training budget; by default the largest.
        """
        names = tuple(objectives)
        if len(names) < 2 or len(set(names)) < len(names):
            raise UnknownMetricError("a front needs two or more different metrics", value=names)
        epochs = self.budgets[self._budget_index(epochs)]
        values = np.column_stack([self.values(name, epochs) for name in names])
        costs = np.column_stack([metric(n).cost(v) for n, v in zip(names, values.T, strict=True)])
        kept = np.flatnonzero(nondominated(costs))
        if not len(kept):
            raise UnknownMetricError(
                f"no cell of table {self.name} has all objectives at {epochs} epochs", value=names
            )
        kept = kept[np.lexsort(costs[kept].T[::-1])]
        return Front(names, epochs, kept.astype(np.int32), values[kept])

    # -- parts of queries -------------------------------------------------------------------

    def _budget_index(self, epochs: int | None) -> int:
        """Position of a budget; of the largest for None."""
        if epochs is None:
            return len(self.budgets) - 1
        try:
            return self._budget[epochs]
        except (KeyError, TypeError):
            have = ", ".join(map(str, self.budgets))
            raise UnknownBudgetError(
                f"table {self.name} has values at {have} epochs", value=epochs
            ) from None

    def _chosen(
        self, position: int, budget: int, repeat: int | None, rng: np.random.Generator | None
    ) -> tuple[int | None, list[float]]:
        """The repeat that was drawn, if any, and the values: its own, or the means over all."""
        repeat = _checked_repeat(self.table, repeat, rng)
        each = [self.table.record(position, budget, r) for r in range(self.repeats)]
        there = [r for r, values in enumerate(each) if not all(map(math.isnan, values))]
        if rng is not None:
            # If there is no repeat at all, the NaNs of the first one are returned.
            repeat = there[int(rng.integers(len(there)))] if there else 0
            return repeat, each[repeat]
        columns = zip(*each, strict=True)
        return None, [_mean(n, v) for n, v in zip(self.metrics, columns, strict=True)]


def _row_of(space: Space, cell: Any) -> int:
    """The row of a cell, a row, a NAS-Bench-101 hash or anything that `Cell` accepts."""
    if isinstance(cell, Cell):
        return cell.row
    if isinstance(cell, (int, np.integer)) and not isinstance(cell, bool):
        return int(cell)
    if isinstance(cell, str) and len(cell) == 32 and ":" not in cell:
        return space.row_of_hash(cell)
    return Cell(cell).row


def _rows_of(table: Table, cells: Any) -> NDArray[np.int32]:
    """(n,) rows of a vector of rows or a sequence of cells."""
    rows: NDArray[Any] = cells
    if not isinstance(cells, np.ndarray):
        try:
            rows = np.array([_row_of(table.space, cell) for cell in cells], dtype=np.int64)
        except (TypeError, OverflowError):
            rows = np.empty((0, 0))
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise UnknownCellError(
            "cells must be an (n,) array of rows or a sequence of cells", value=cells
        )
    outside = rows[(rows < 0) | (rows >= len(table.space))]
    if outside.size:
        table.position(int(outside[0]))  # raises
    return rows.astype(np.int32)


def _checked_repeat(table: Table, repeat: Any, rng: Any) -> int | None:
    """The repeat as a plain number, or None for the mean or a random one."""
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise ConfigError("rng must be made by numpy.random.default_rng", value=rng)
    if repeat is None:
        return None
    if rng is not None:
        raise UnknownRepeatError("repeat= and rng= exclude each other")
    whole = isinstance(repeat, (int, np.integer)) and not isinstance(repeat, bool)
    if not whole or not 0 <= repeat < table.repeats:
        raise UnknownRepeatError(
            f"table {table.name} has the repeats 0 to {table.repeats - 1}", value=repeat
        )
    return int(repeat)


def _refuse_missing(
    table: Table, row: int, epochs: int, position: int, repeat: int | None
) -> NoReturn:
    """Raise the error for a cell that is missing at a budget, or only in one repeat."""
    there = [
        b
        for i, b in enumerate(table.budgets)
        if any(
            not math.isnan(v) for r in range(table.repeats) for v in table.record(position, i, r)
        )
    ]
    if epochs in there:
        raise UnknownRepeatError(
            f"table {table.name} has fewer repeats of row {row} at {epochs} epochs", value=repeat
        )
    have = ", ".join(map(str, there)) or "no budget"
    raise UnknownBudgetError(
        f"table {table.name} has no values of row {row} at {epochs} epochs, only at {have}"
    )


def _means(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) means over the (n, repeats) that are there, NaN where there are none.

    A mean of points in time would be the time of no training, so it is NaN.
    """
    if values.shape[1] == 1:
        return values[:, 0]
    if name.endswith("_unix_s"):
        return np.full(len(values), np.nan)
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        means: NDArray[np.float64] = np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1)
    return means


def _mean(name: str, values: Sequence[float]) -> float:
    """`_means` of one cell with several repeats, fast."""
    there = [v for v in values if not math.isnan(v)]
    return sum(there) / len(there) if there and not name.endswith("_unix_s") else math.nan
