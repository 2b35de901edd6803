"""What a query returns: one training of one cell, or many."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ProvenanceError, UnknownMetricError
from naslib_ecnas.metrics import remedy_without
from naslib_ecnas.provenance import Provenance

__all__ = ["DERIVED", "Front", "Record", "Records", "Spent", "mean_power", "power_parts"]

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
