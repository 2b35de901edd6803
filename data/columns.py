"""What every reader yields and every writer takes: columns over (cell, budget, repeat)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import FormatError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

__all__ = ["Columns"]


@dataclass(frozen=True)
class Columns:
    """The content of a table in memory.

    Raises:
        FormatError: rows that are not sorted, distinct and of the space, budgets that are not
            sorted and distinct, an unknown metric, or an array of another shape.
    """

    name: str
    """Short name of the table, such as `4v-4epochs`."""
    vertices: int
    """Largest number of vertices of the space."""
    rows: NDArray[np.int32]
    """(cells,) rows of the space, ascending."""
    budgets: tuple[int, ...]
    """Training budgets in epochs, ascending."""
    repeats: int
    """Length of the repeat axis; missing repeats are NaN."""
    values: Mapping[str, NDArray[np.float64]]
    """(cells, budgets, repeats) float64 for each metric, NaN where missing."""
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    """Origin of each metric; every one of `values` has one."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Citation, licence, conversion notes: text for the header."""

    def __post_init__(self) -> None:
        rows = np.asarray(self.rows)
        size = len(Space(self.vertices))
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
            raise self._fault("rows are not a vector of integers", (rows.shape, str(rows.dtype)))
        if int(rows.min()) < 0 or int(rows.max()) >= size:
            raise self._fault("a row is not of the space", int(rows.max()))
        if np.any(np.diff(rows) <= 0):
            raise self._fault("rows are not ascending and distinct", int(np.diff(rows).min()))
        budgets = self.budgets
        if not budgets or list(budgets) != sorted(set(budgets)) or budgets[0] < 1:
            raise self._fault("budgets are not positive, ascending and distinct", budgets)
        shape = (len(rows), len(budgets), self.repeats)
        for name, array in self.values.items():
            if name not in METRICS:
                raise self._fault("a column is no known metric", name)
            if array.shape != shape or array.dtype != np.float64:
                raise self._fault(f"column {name} is not float64 of {shape}", array.shape)
            if name not in self.provenance:
                raise self._fault("a column has no provenance", name)

    def _fault(self, what: str, value: object) -> FormatError:
        return FormatError(
            what,
            path=self.name,
            value=value,
            expected="columns as naslib_ecnas.data.columns describes them",
            remedy="see that docstring",
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(cells, budgets, repeats)."""
        return len(self.rows), len(self.budgets), self.repeats
