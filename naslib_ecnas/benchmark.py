"""The benchmark: a table behind one query interface that counts what a search costs.

`Benchmark` answers queries with `Record` and `Records`, gives the true `Front`, and counts in
`spent` what the trainings would have cost.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Table, at_place
from naslib_ecnas.errors import (
    ConfigError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
    UnknownRepeatError,
    as_array,
    as_int,
    check_types,
)
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.network import DERIVED
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.records import (
    COSTS,
    Counter,
    Front,
    Power,
    Record,
    Records,
    Spent,
    mean_power,
    power_parts,
)
from naslib_ecnas.space import Space

if TYPE_CHECKING:
    import pandas

    from naslib_ecnas.quality import Quality

_DERIVED_ORIGIN = Provenance("derived", note="counted from the cell, exact")


class Benchmark:
    """Accuracy and cost of training any cell, looked up in a table.

    A benchmark can be pickled, copied and used after a fork: the pickle has the table's name and
    checksum and what was spent, not its values. Copies and the results of `at` read the same file
    and have counters of their own. In another process a copy warns once
    (`SeparateCounterWarning`) that the original does not see what it spends. Call
    `reset_spent()` there to silence the warning, and `absorb` to add its `spent` to the original.

    Args:
        table: an open table.

    Attributes:
        table: as above.
        name: name of the table.
        space: the space whose rows the cells are.
        budgets: training budgets in epochs, ascending.
        repeats: trainings of each cell that the table tells apart.
        metrics: metrics of the table.

    Examples:
        with load("7v") as bench:
            record = bench.query(cell)
            record.energy_kwh, record.validation_accuracy
            bench.spent
    """

    def __init__(self, table: Table) -> None:
        check_types(Table, table=table)
        self.table = table
        self.name: str = table.name
        self.space: Space = table.space
        self.budgets: tuple[int, ...] = table.budgets
        self.repeats: int = table.repeats
        self.metrics: tuple[str, ...] = table.metrics
        self._budget = {epochs: i for i, epochs in enumerate(table.budgets)}
        held = table.metrics
        columns = [held.index(name) if name in held else -1 for name in COSTS.values()]
        self._counter = Counter(f"benchmark {table.name}", columns)
        parts, unknown = power_parts(held, table.provenance), Provenance("unknown")
        energy, time = (table.provenance.get(name, unknown) for name in parts)
        self._power: Power = parts, (energy, time)

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

    # -- what the table holds ----

    @property
    def rows(self) -> NDArray[np.int32]:
        """(cells,) rows that the table holds, ascending."""
        return self.table.rows

    @property
    def provenance(self) -> dict[str, Provenance]:
        """Origin of every metric, the derived ones included."""
        origins = {**self.table.provenance, **dict.fromkeys(DERIVED, _DERIVED_ORIGIN)}
        parts, (energy, time) = self._power
        if set(parts) <= set(self.metrics) and energy.same_trainings(time):
            note = f"{' / '.join(parts)}, with all that the energy covers; energy {energy.kind}"
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
            carbon_intensity: gCO2eq/kWh, or a country, `"EU"` or `"world"` for a published
                figure (`naslib_ecnas.data.carbon`); by default the table's own emissions.

        Raises:
            ConfigError: the PUE or the carbon intensity is not possible.
            ProvenanceError: the table does not say what PUE its energies have.
        """
        return Benchmark(at_place(self.table, pue, carbon_intensity))

    # -- queries, which count ----

    @property
    def spent(self) -> Spent:
        """What all queries since the last `reset_spent` would have cost, and the number of whole
        columns that were read."""
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
            cell: a cell, its row, its NAS-Bench-101 hash, or anything that `Cell` accepts alone,
                such as a pair of a matrix and operations.
            epochs: training budget; by default the largest.
            repeat: which training, from 0; by default the mean over all.
            rng: a training at random, not together with `repeat`: one of the repeats of a measured
                table; of a modelled one a new training as it would come out, which may fail, its
                costs included in `spent`.

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
            row = cell if type(cell) is int else table.space.row(cell)
        budget = self._budget_index(epochs)
        epochs = table.budgets[budget]
        position = table.position(row)
        if rng is None and (repeat is not None or table.repeats == 1):
            if repeat is not None and not (type(repeat) is int and 0 <= repeat < table.repeats):
                repeat = _checked_repeat(table, repeat, rng)
            values = table.record(position, budget, repeat or 0)
        elif rng is not None and table.draw is not None:
            _checked_repeat(table, repeat, rng)
            means = table.record(position, budget, 0)
            alone = {name: np.array([v]) for name, v in zip(table.metrics, means, strict=True)}
            drawn = self.drawn(alone, epochs, rng)
            values = [float(column[0]) for column in drawn.values()]
        else:
            repeat, values = self._chosen(position, budget, repeat, rng)
        if values[0] != values[0] and all(map(math.isnan, values)):
            _refuse_missing(table, row, epochs, position, repeat)
        self._counter.count(epochs, values)
        return Record(row, epochs, repeat, table.metrics, values, self._power)

    def query_many(
        self,
        cells: ArrayLike | Sequence[Cell],
        epochs: int | None = None,
        *,
        repeat: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> Records:
        """One training of each of n cells; other arguments and errors as in `query`.

        The cells are (n,) rows, a sequence of what `query` takes, or a mask: an (n_cells,) array of
        booleans over the rows of the space.
        """
        table = self.table
        rows = _rows_of(table, cells)
        budget = self._budget_index(epochs)
        epochs = self.budgets[budget]
        at = table.positions(rows)
        repeat = _checked_repeat(table, repeat, rng)
        columns = {n: table.some(n, budget, at) for n in self.metrics}  # (n, repeats) each
        present = np.any([~np.isnan(values) for values in columns.values()], axis=0)
        if repeat is None and (rng is None or table.draw is not None):
            chosen = None
            answer = {name: _means(name, values) for name, values in columns.items()}
            known = present.any(axis=1)
            if rng is not None:
                answer = self.drawn(answer, epochs, rng)
        else:
            every, chosen = np.arange(len(rows)), np.full(len(rows), repeat)
            if rng is not None:
                # A random one of the repeats that exist: the one with the largest random key.
                chosen = np.where(present, rng.random(present.shape), -1.0).argmax(axis=1)
            answer = {name: values[every, chosen] for name, values in columns.items()}
            known = present[every, chosen]
        if not known.all():
            first = int(known.argmin())
            _refuse_missing(table, int(rows[first]), epochs, int(at[first]), repeat)
        unknown = np.full(len(rows), np.nan)
        costs = {name: answer.get(column, unknown) for name, column in COSTS.items()}
        self._counter.add(Spent.of(np.full(len(rows), epochs), costs))
        drawn = None if rng is None else chosen
        return Records(rows, epochs, repeat, answer, drawn, self._power)

    @property
    def noisy(self) -> bool:
        """Whether queries with `rng` differ: the table has repeats or a model of noise."""
        return self.repeats > 1 or self.table.draw is not None

    # -- the whole table, which costs nothing; `spent.columns` counts what was read ----

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
        metric(name)  # raises where there is none of this name
        budget = self._budget_index(epochs)
        repeat = _checked_repeat(self.table, repeat, None)
        if name == "average_power_w" and name not in self.metrics:
            parts, origins = self._power
            energy, seconds = (self.values(n, epochs, repeat=repeat) for n in parts)
            return mean_power(energy, seconds, *origins)
        out = np.full(len(self.space), np.nan)
        if name in DERIVED:
            out[self.rows] = DERIVED[name](self.rows)
        else:
            self._counter.read()
            each = self.table.at_budget(name, budget)
            out[self.rows] = _means(name, each) if repeat is None else each[:, repeat]
        return out

    def to_pandas(
        self, epochs: int | None = None, *, repeat: int | None = None
    ) -> pandas.DataFrame:
        """A data frame of all cells of the table, as of `Records.to_pandas`."""
        epochs = self.budget(epochs)
        repeat, rows = _checked_repeat(self.table, repeat, None), self.rows
        columns = {name: self.values(name, epochs, repeat=repeat)[rows] for name in self.metrics}
        return Records(rows, epochs, repeat, columns).to_pandas()

    def interval(
        self, name: str, epochs: int | None = None, *, coverage: float = 0.9
    ) -> NDArray[np.float64]:
        """Bounds of a modelled metric between which a single training of each cell would lie.

        They hold doubt of the mean and scatter between trainings; a training that fails is not
        among them.

        They are calibrated for a coverage of 0.9 (`quality` says what was reached); other coverages
        follow from the t distribution, scaled to it.

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
        from naslib_ecnas.nondominated import nondominated

        names = tuple(objectives) if isinstance(objectives, Iterable) else (objectives,)
        if len(names) < 2 or len(set(names)) < len(names):
            raise UnknownMetricError("a front needs two or more different metrics", value=names)
        epochs = self.budget(epochs)
        values = np.column_stack([self.values(name, epochs) for name in names])
        costs = np.column_stack([metric(n).cost(v) for n, v in zip(names, values.T, strict=True)])
        kept = np.flatnonzero(nondominated(costs))
        if not len(kept):
            message = f"no cell of table {self.name} has all objectives at {epochs} epochs"
            raise UnknownMetricError(message, value=names)
        kept = kept[np.lexsort(costs[kept].T[::-1])]
        return Front(names, epochs, kept.astype(np.int32), values[kept])

    # -- parts of queries ----

    def budget(self, epochs: int | None = None) -> int:
        """A budget of the table, by default the largest; UnknownBudgetError for any other."""
        return self.budgets[self._budget_index(epochs)]

    def _budget_index(self, epochs: int | None) -> int:
        """Position of a budget; of the largest for None."""
        if epochs is None:
            return len(self.budgets) - 1
        try:
            return self._budget[epochs]
        except (KeyError, TypeError):
            number = as_int(epochs)  # an integer that is not hashed as one, such as torch's
        if number is None or number not in self._budget:
            message = f"table {self.name} has values at {', '.join(map(str, self.budgets))} epochs"
            raise UnknownBudgetError(message, value=epochs)
        return self._budget[number]

    def drawn(
        self, means: Mapping[str, NDArray[np.float64]], epochs: int, rng: np.random.Generator
    ) -> dict[str, NDArray[np.float64]]:
        """A training of each of n cells of a modelled table; does not count.

        Takes (n,) means of metrics, those of its noise among them, and returns all of them, with
        single values of those in which trainings differ.
        """
        assert self.table.draw is not None
        drawn = self.table.draw(means, epochs, rng)
        if "co2_g" in means and "energy_kwh" in drawn:  # emissions follow from the energy
            drawn["co2_g"] = means["co2_g"] * (drawn["energy_kwh"] / means["energy_kwh"])
        return {**means, **drawn}

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


def _rows_of(table: Table, cells: Any) -> NDArray[np.int32]:
    """(n,) rows of a vector of rows, a mask over the space or a sequence of cells."""
    size, given = len(table.space), cells
    if isinstance(cells, (str, Mapping)):  # one cell, whose parts are no cells
        cells = None
    try:
        if not isinstance(cells, (list, tuple)) or {*map(type, cells)} <= {bool, np.bool_}:
            cells = as_array(cells)
            cells = cells if cells.dtype.kind in "iubf" else cells.tolist()
        if not isinstance(cells, np.ndarray):
            cells = np.array([table.space.row(cell) for cell in cells], dtype=np.int64)
    except (TypeError, OverflowError, RuntimeError):
        cells = np.empty((0, 0))
    if cells.dtype == np.bool_ and cells.shape == (size,):
        cells = np.flatnonzero(cells)
    if cells.ndim != 1 or (cells.size and cells.dtype.kind not in "iu"):
        message = f"cells must be (n,) rows, a sequence of cells, or a mask of {size} booleans"
        raise UnknownCellError(message, value=given)
    for row in cells[(cells < 0) | (cells >= size)][:1].tolist():
        table.position(row)  # raises
    rows: NDArray[np.int32] = cells.astype(np.int32)
    return rows


def _checked_repeat(table: Table, repeat: Any, rng: Any) -> int | None:
    """The repeat as a plain number, or None for the mean or a random one."""
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise ConfigError("rng must be made by numpy.random.default_rng", value=rng)
    if repeat is None:
        return None
    if rng is not None:
        raise UnknownRepeatError("repeat= and rng= exclude each other")
    number = as_int(repeat)
    if number is None or not 0 <= number < table.repeats:
        message = f"table {table.name} has the repeats 0 to {table.repeats - 1}"
        raise UnknownRepeatError(message, value=repeat)
    return number


def _refuse_missing(
    table: Table, row: int, epochs: int, position: int, repeat: int | None
) -> NoReturn:
    """Raise the error for a cell that is missing at a budget, or only in one repeat."""
    there = {
        budget
        for i, budget in enumerate(table.budgets)
        for r in range(table.repeats)
        if not all(map(math.isnan, table.record(position, i, r)))
    }
    if epochs in there:
        message = f"table {table.name} has fewer repeats of row {row} at {epochs} epochs"
        raise UnknownRepeatError(message, value=repeat)
    have = ", ".join(map(str, sorted(there))) or "no budget"
    message = f"table {table.name} has no values of row {row} at {epochs} epochs, only at {have}"
    raise UnknownBudgetError(message)


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
