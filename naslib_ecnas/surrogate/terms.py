"""Features that are sums over a cell's layers.

Training on a GPU runs one layer after another, so that its time and energy are nearly a sum over
layers: each vertex contributes by its operation and its place, the projections and additions by
the structure alone. Such a feature is a table of the structures, and a cell costs six look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.structures import OPERATIONS
from naslib_ecnas.surrogate.cells import SLOTS, Shapes, labels, shapes
from naslib_ecnas.surrogate.feature import Feature, each

__all__ = ["Sums", "Term", "Value", "by_operator", "of_structure", "stacked"]


#: (S,) or (S, 5) numbers of all structures.
Value = Callable[[Shapes], NDArray[Any]]
_OPERATORS = range(len(OPERATIONS))


@dataclass(frozen=True)
class Term:
    """One feature: a number of the structure plus, for each slot, weight x number.

    Values are functions, so that describing the features enumerates no structures.
    """

    feature: Feature
    of_structure: Value | None = None
    """Gives (S,)."""
    of_slots: Value | None = None
    """Gives (S, 5); slots that are absent count nothing."""
    weights: tuple[int, ...] = (1,) * len(OPERATIONS)
    """How often each operation counts its slot's number."""


@dataclass(frozen=True)
class Sums:
    """Several terms in one table, for look-ups of all of them at once."""

    fixed: NDArray[np.float32]
    """(S, F)"""
    by_op: NDArray[np.float32]
    """(S, 5, 4, F), the last label for slots that are absent."""

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, F) sums of valid rows."""
        structure, label = labels(rows)
        out = self.fixed[structure]
        for slot in range(SLOTS):
            out += self.by_op[structure, slot, label[:, slot]]
        return out


def of_structure(name: str, unit: str, description: str, value: Value) -> Term:
    """A term that the operations do not change; `value` gives (S,)."""
    return Term(Feature(name, unit, description), of_structure=value)


def by_operator(name: str, unit: str, description: str, value: Value) -> list[Term]:
    """One term for each operation: the (S, 5) of `value` summed over the slots that have it."""
    return [
        Term(feature, of_slots=value, weights=tuple(int(op == label) for op in _OPERATORS))
        for label, feature in enumerate(each(name, unit, description))
    ]


def stacked(terms: Sequence[Term]) -> Sums:
    """The terms in one table, in their order."""
    shape = shapes()
    live = shape.live
    fixed = np.zeros((len(live), len(terms)), dtype=np.float32)
    by_op = np.zeros((*live.shape, len(OPERATIONS) + 1, len(terms)), dtype=np.float32)
    for column, term in enumerate(terms):
        if term.of_structure:
            fixed[:, column] = term.of_structure(shape)
        if term.of_slots:
            per_slot = np.where(live, term.of_slots(shape), 0)
            for label, weight in enumerate(term.weights):
                by_op[:, :, label, column] = weight * per_slot
    return Sums(fixed, by_op)
