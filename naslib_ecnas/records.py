"""Answers of a benchmark (`Record`, `Records`, the true `Front`) and what they cost (`Spent`)."""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import (
    MissingDependencyError,
    ProvenanceError,
    SeparateCounterWarning,
    UnknownMetricError,
    as_int,
    vector,
)
from naslib_ecnas.metrics import J_PER_KWH, missing_metric_remedy
from naslib_ecnas.network import DERIVED
from naslib_ecnas.provenance import Provenance

if TYPE_CHECKING:
    import pandas


def _no_metric(of: str, name: Any, metrics: Collection[str]) -> UnknownMetricError:
    message = f"{of} has only {', '.join((*metrics, *DERIVED))}"
    return UnknownMetricError(message, value=name, remedy=missing_metric_remedy(name))


_RUN = ("total_energy_kwh", "total_time_s")
_TRAINING = ("energy_kwh", "training_time_s")


def power_parts(metrics: Collection[str], provenance: Mapping[str, Provenance]) -> tuple[str, str]:
    """Names of the energy and the time whose ratio is a table's mean power.

    The two of the whole run where the table has both. Else `energy_kwh` and `training_time_s`,
    which overstates the power where only the energy includes the start-up: at 4 epochs, in
    EC-NAS's own runs, by half (5v-4epochs: 681 W instead of 453 W in the median).
    """
    if set(_RUN) <= set(metrics):
        energy, time = (provenance[name] for name in _RUN)
        if energy.kind != "unknown" and energy.same_trainings(time):
            return _RUN
    return _TRAINING


def mean_power(
    energy_kwh: ArrayLike, seconds: ArrayLike, energy: Provenance, time: Provenance
) -> NDArray[np.float64]:
    """Energy over time in W, with all that the energy includes; NaN where the time is 0.

    They are values of one shape, of the columns that `power_parts` names, with their provenance.

    Raises:
        ProvenanceError: the two differ in kind or device, so belong to different trainings.
    """
    if not energy.same_trainings(time):
        message = "power needs energy and time of the same trainings"
        raise ProvenanceError(message, value=f"{energy}; {time}")
    time_s = np.asarray(seconds, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.asarray(energy_kwh, dtype=np.float64) * J_PER_KWH / time_s
    return np.where(time_s > 0, power, np.nan)


#: The energy and the time of `power_parts`, and their provenance.
Power = tuple[tuple[str, str], tuple[Provenance, Provenance]]


class Record(Mapping[str, float]):
    """The metrics of one cell at one budget: a mapping whose names are attributes too.

    `record.energy_kwh` and `record["energy_kwh"]` are the same. Besides the table's columns it
    answers what follows from them (`average_power_w`) and from the cell (`parameters`,
    `multiply_adds`, `activation_elements`, `depth`). A metric without a value in this table is not
    in the mapping; asking for it raises `UnknownMetricError`.

    Attributes:
        row: row of the cell in its space.
        epochs: training budget.
        repeat: which training, or None where the values are means over all of them.
    """

    __slots__ = ("_metrics", "_power", "_values", "epochs", "repeat", "row")

    if TYPE_CHECKING:
        energy_kwh: float
        co2_g: float
        training_time_s: float
        train_accuracy: float
        validation_accuracy: float
        test_accuracy: float
        average_power_w: float
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
        power: Power | None = None,
    ) -> None:
        self.row: int = row
        self.epochs: int = epochs
        self.repeat: int | None = repeat
        self._metrics = metrics
        self._values = values
        self._power = power

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
            if name != "average_power_w" or self._power is None:
                raise _no_metric("the record", name, self._metrics) from None
            (energy, time), origins = self._power
            value = float(mean_power(self[energy], self[time], *origins))
        if math.isnan(value):
            which = "" if self.repeat is None else f" in repeat {self.repeat}"
            message = f"the table has no {name} of row {self.row} at {self.epochs} epochs{which}"
            raise UnknownMetricError(message)
        return value

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
    """The metrics of many cells at one budget, as columns whose names are attributes too.

    `records.energy_kwh` and `records["energy_kwh"]` are the same (n,) array, NaN where a value is
    missing; they answer the same names as `Record`. `records[3]` is a `Record`, and a slice, a
    list of positions or a mask selects some of the records.
    """

    rows: NDArray[np.int32]
    """(n,) rows."""
    epochs: int
    repeat: int | None
    """Which training; None for means, and where each was drawn at random."""
    columns: Mapping[str, NDArray[np.float64]]
    """(n,) values of each metric of the table, NaN where missing."""
    drawn: NDArray[np.int64] | None = None
    """(n,) repeat of each, where they were drawn at random."""
    power: Power | None = field(default=None, repr=False)
    """How `average_power_w` follows from the columns."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getattr__(self, name: str) -> NDArray[np.float64]:
        if name.startswith("_") or name == "columns":  # not a metric; copying asks for such names
            raise AttributeError(name)
        return self._column(name)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._column(key)
        at = as_int(key)
        if at is not None:
            values = [float(column[at]) for column in self.columns.values()]
            repeat = self.repeat if self.drawn is None else int(self.drawn[at])
            metrics = tuple(self.columns)
            return Record(int(self.rows[at]), self.epochs, repeat, metrics, values, self.power)
        which = key if isinstance(key, slice) else vector(key, "iub")
        if which is None:
            raise _no_metric("the list of records", key, self.columns)
        columns = {name: column[which] for name, column in self.columns.items()}
        drawn = None if self.drawn is None else self.drawn[which]
        return replace(self, rows=self.rows[which], columns=columns, drawn=drawn)

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with a line for each record.

        Its columns are `row`, `cell` (its text), `epochs`, `repeat` (missing for means), the
        metrics of the table and those that follow from the cell.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError("pandas", feature="a data frame") from error
        repeat = [self.repeat] * len(self) if self.drawn is None else self.drawn
        of = {"row": self.rows, "cell": [str(Cell.from_row(row)) for row in self.rows.tolist()]}
        of |= {"epochs": self.epochs, "repeat": pandas.array(repeat, "Int64")}
        derived = {name: count(self.rows) for name, count in DERIVED.items()}
        frame: pandas.DataFrame = pandas.DataFrame({**of, **self.columns, **derived})
        return frame

    def _column(self, name: str) -> NDArray[np.float64]:
        if name in self.columns:
            return self.columns[name]
        if name in DERIVED:
            return DERIVED[name](self.rows).astype(np.float64)
        if name == "average_power_w" and self.power is not None:
            (energy, time), origins = self.power
            return mean_power(self._column(energy), self._column(time), *origins)
        raise _no_metric("the list of records", name, self.columns)


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


# -- what queries cost ----

#: Costs of a training by their names in `Spent`, with the metric that each adds up.
COSTS = {"seconds": "training_time_s", "energy_kwh": "energy_kwh", "co2_g": "co2_g"}


@dataclass(frozen=True)
class Spent:
    """What the trainings behind queries would have cost.

    `seconds`, `energy_kwh` and `co2_g` are sums over all trainings and raise
    `UnknownMetricError` where the table does not know the cost of one of them; `known` has the
    sums over the others. Two of them are added by `+`.

    Whole columns (`Benchmark.values`, also by `front`, `interval` and `to_pandas`) cost nothing, so
    `columns` counts them: a search that used them knew more than its trainings told it.
    """

    evaluations: int = 0
    epochs: int = 0
    known: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(COSTS, 0.0))
    """Sum of each cost (`COSTS`) over the trainings of which it is known."""
    unknown: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COSTS, 0))
    """Number of trainings of which each cost is not known."""
    columns: int = 0
    """Number of columns of the whole table that were read, whose trainings are not charged."""

    @classmethod
    def of(cls, epochs: ArrayLike, costs: Mapping[str, ArrayLike]) -> Spent:
        """The sums of trainings of (n,) epochs and (n,) costs by name, NaN where not known."""
        budgets = np.asarray(epochs)
        columns = {name: np.asarray(costs[name], dtype=np.float64) for name in COSTS}
        return cls(
            len(budgets),
            int(budgets.sum()),
            # Cumulated, since a search adds up its trainings one by one.
            {n: float(np.nancumsum(c)[-1]) if c.size else 0.0 for n, c in columns.items()},
            {n: int(np.isnan(c).sum()) for n, c in columns.items()},
        )

    @property
    def seconds(self) -> float:
        """Training time in s."""
        return self._sum("seconds")

    @property
    def energy_kwh(self) -> float:
        """Training energy in kWh."""
        return self._sum("energy_kwh")

    @property
    def co2_g(self) -> float:
        """Training emissions in gCO2eq."""
        return self._sum("co2_g")

    def _sum(self, name: str) -> float:
        if self.unknown[name]:
            some = f"{self.unknown[name]} of {self.evaluations} trainings"
            message = f"{COSTS[name]} of {some} is not known (known has the sum of the others)"
            raise UnknownMetricError(message, remedy=missing_metric_remedy(name))
        return self.known[name]

    def __add__(self, other: Spent) -> Spent:
        if not isinstance(other, Spent):
            return NotImplemented
        return Spent(
            self.evaluations + other.evaluations,
            self.epochs + other.epochs,
            {name: self.known[name] + other.known[name] for name in COSTS},
            {name: self.unknown[name] + other.unknown[name] for name in COSTS},
            self.columns + other.columns,
        )

    def to_dict(self) -> dict[str, float]:
        """Evaluations, epochs and costs by name, NaN where a training's cost is not known; and
        columns, if any were read."""
        costs = {n: math.nan if self.unknown[n] else self.known[n] for n in COSTS}
        columns = {"columns": self.columns} if self.columns else {}
        return {"evaluations": self.evaluations, "epochs": self.epochs, **costs, **columns}

    def __repr__(self) -> str:
        costs = []
        for name in COSTS:
            missing = self.unknown[name]
            known = "unknown" if 0 < missing == self.evaluations else f"{self.known[name]:.6g}"
            note = f" without {missing} unknown" if 0 < missing < self.evaluations else ""
            costs.append(f"{name}={known}{note}")
        if self.columns:
            costs.append(f"columns={self.columns}")
        return f"Spent(evaluations={self.evaluations}, epochs={self.epochs}, {', '.join(costs)})"


_COLUMN = Spent(columns=1)

# A counter belongs to the process whose mark it has. `os.fork`, and unpickling in another process,
# leave a copy with another mark than that of the process it is in.
_process = os.urandom(16)
_lock = threading.Lock()
_warned = False


def _after_fork() -> None:
    global _process, _lock, _warned
    # Another thread of the parent may have held the lock.
    _process, _lock, _warned = os.urandom(16), threading.Lock(), False


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


class Counter:
    """Adds up what queries cost, from all threads of one process.

    A copy in another process counts for itself and warns once in each process
    (`SeparateCounterWarning`), unless it was reset there.

    Args:
        of: what it counts for, for the warning.
        columns: where a query's values have each of `COSTS`; -1 for none.
    """

    def __init__(self, of: str, columns: Sequence[int]) -> None:
        self._of = of
        self._held = [(name, at) for name, at in zip(COSTS, columns, strict=True) if at >= 0]
        self.reset()

    def reset(self) -> None:
        """Start anew, in this process."""
        with _lock:
            self._home = _process
            self._queries = self._epochs = 0
            self._known = dict.fromkeys((name for name, _ in self._held), 0.0)
            self._missing = dict.fromkeys(self._known, 0)
            self._added = Spent()

    @property
    def spent(self) -> Spent:
        """The sums so far."""
        with _lock:
            known = dict.fromkeys(COSTS, 0.0) | self._known
            unknown = dict.fromkeys(COSTS, self._queries) | self._missing
            return Spent(self._queries, self._epochs, known, unknown) + self._added

    def count(self, epochs: int, values: Sequence[float]) -> None:
        """Count one query, whose values are NaN where not known."""
        if self._home is not _process:
            self._move()
        known, missing = self._known, self._missing
        _lock.acquire()  # takes half the time of `with`
        try:
            self._queries += 1
            self._epochs += epochs
            for name, column in self._held:
                cost = values[column]
                if cost == cost:
                    known[name] += cost
                else:
                    missing[name] += 1
        finally:
            _lock.release()

    def read(self) -> None:
        """Count a whole column that was read."""
        with _lock:
            self._added += _COLUMN

    def add(self, spent: Spent) -> None:
        """Count trainings that were added up elsewhere."""
        if self._home is not _process:
            self._move()
        with _lock:
            self._added += spent

    def _move(self) -> None:
        """Belong to this process from now on; warn once if this was another's."""
        global _warned
        separate, self._home = self._home != _process, _process
        if separate and not _warned:
            _warned = True
            warnings.warn(
                f"this copy of the {self._of} counts for itself in this process, and the original "
                "does not see what it spends (see Benchmark.reset_spent and Benchmark.absorb)",
                SeparateCounterWarning,
                stacklevel=4,
            )
