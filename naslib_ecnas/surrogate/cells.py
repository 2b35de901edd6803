"""Cells taken apart into arrays: the structures' edges and channels, the rows' operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.network import STACKS, channels
from naslib_ecnas.space import Space
from naslib_ecnas.structures import MAX_VERTICES, OPERATIONS, structures

__all__ = ["ABSENT", "SLOTS", "Shapes", "labels", "shapes"]

SLOTS = MAX_VERTICES - 2
#: Label of a slot that the structure does not have.
ABSENT = len(OPERATIONS)
_OUTPUT = MAX_VERTICES - 1


@dataclass(frozen=True)
class Shapes:
    """All S structures. Slot k is vertex k + 1; the input is vertex 0, the output vertex 6."""

    edge: NDArray[np.bool_]
    """(S, 7, 7) adjacency."""
    row: NDArray[np.int64]
    """(S,) first row that has the structure."""
    slots: NDArray[np.int64]
    """(S,) interior vertices."""
    channels: NDArray[np.int64]
    """(3, S, 5) channels of each slot in the three stacks, 0 past the last slot."""

    @property
    def live(self) -> NDArray[np.bool_]:
        """(S, 5) whether the structure has the slot."""
        return np.asarray(np.arange(SLOTS) < self.slots[:, None])

    @property
    def inner(self) -> NDArray[np.bool_]:
        """(S, 5, 5) edges between slots."""
        return self.edge[:, 1:_OUTPUT, 1:_OUTPUT]

    @property
    def from_input(self) -> NDArray[np.bool_]:
        """(S, 5) slots that the input feeds, each through a projection."""
        return self.edge[:, 0, 1:_OUTPUT]

    @property
    def to_output(self) -> NDArray[np.bool_]:
        """(S, 5) slots that the output concatenates."""
        return self.edge[:, 1:_OUTPUT, _OUTPUT]

    @property
    def skip(self) -> NDArray[np.bool_]:
        """(S,) whether the input feeds the output, through a projection that is added."""
        return self.edge[:, 0, _OUTPUT]

    @property
    def width(self) -> NDArray[np.float64]:
        """(S, 5) channels of the first stack in units of the cell's output."""
        return np.asarray(self.channels[0] / STACKS[0][0])

    @property
    def additions(self) -> NDArray[np.int64]:
        """(S, 5) tensors added to make the slot's input: its predecessors but one."""
        return np.asarray(np.maximum(self.edge[:, :, 1:_OUTPUT].sum(axis=1) - 1, 0))

    @property
    def reuses(self) -> NDArray[np.int64]:
        """(S, 5) successors but one: the gradients that the backward pass adds up."""
        return np.asarray(np.maximum(self.edge[:, 1:_OUTPUT].sum(axis=2) - 1, 0))


@cache
def shapes() -> Shapes:
    """All structures, once in a process."""
    table = structures()
    _, row = np.unique(table.row_structure, return_index=True)
    matrices, _ = Space().matrices(row)
    return Shapes(
        edge=matrices.astype(bool),
        row=row.astype(np.int64),
        slots=table.vertices.astype(np.int64) - 2,
        channels=np.stack([channels(width) for width, _ in STACKS]),
    )


@cache
def _digits() -> NDArray[np.uint8]:
    """(6, 243, 5) labels of the slots, by number of slots and packed operations."""
    number = np.arange(3**SLOTS)
    out = np.full((SLOTS + 1, len(number), SLOTS), ABSENT, dtype=np.uint8)
    for slots in range(SLOTS + 1):
        for slot in range(slots):
            out[slots, :, slot] = number // 3 ** (slots - 1 - slot) % 3
    return out


def labels(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Structures (n,) and labels of the slots (n, 5), `ABSENT` past the last, of valid rows."""
    table = structures()
    structure = table.row_structure[rows].astype(np.int64)
    return structure, _digits()[shapes().slots[structure], table.row_ops[rows]]
