"""What a benchmark answers: one training as a `Record`, many as `Records`, the true `Front`."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import UnknownMetricError
from naslib_ecnas.metrics import missing_metric_remedy
from naslib_ecnas.network import DERIVED

__all__ = ["Front", "Record", "Records"]


def _no_metric(of: str, name: Any, metrics: Collection[str]) -> UnknownMetricError:
    message = f"{of} has only {', '.join((*metrics, *DERIVED))}"
    return UnknownMetricError(message, value=name, remedy=missing_metric_remedy(name))


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
