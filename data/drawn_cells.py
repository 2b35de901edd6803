"""From adjacency bits and operation texts, as files have them, to rows of the space."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import INPUT, OUTPUT, Cell
from naslib_ecnas.errors import InvalidCellError
from naslib_ecnas.space import Space
from naslib_ecnas.structures import MAX_VERTICES, OPERATIONS

__all__ = ["DrawnCells"]

_SLOTS = MAX_VERTICES - 2
_LABEL = {name: label for label, name in enumerate(OPERATIONS)}
#: An operation that is none; `Space.rows` allows it only at a vertex that pruning removes.
_UNKNOWN = -1
#: The matrix that stands for texts that are none; it is no cell.
_EMPTY = b"0" * MAX_VERTICES**2


class DrawnCells:
    """Numbers the distinct matrices and the distinct operation texts that a file has.

    A file of millions of rows has some thousand matrices and hundreds of operation texts, so each
    is parsed once and a row of the file costs two look-ups. Whether the two make a cell is decided
    for many rows at once.
    """

    def __init__(self) -> None:
        self.bits: dict[bytes, int] = {}
        """Number of each matrix that was met, by its text."""
        self.ops: dict[bytes, int] = {}
        """Number of each text of operations that was met."""
        self._space = Space()
        self._matrices: list[bytes] = []
        self._labels: list[list[int]] = []
        self._matrix_sizes: list[int] = []
        self._ops_sizes: list[int] = []

    def number_of_bits(self, text: bytes) -> int:
        """Number of a matrix: of new ones the next, with size 0 where it is no matrix."""
        number = self.bits.get(text)
        if number is None:
            number = self.bits[text] = len(self._matrices)
            side = isqrt(len(text))
            good = side * side == len(text) and 2 <= side <= MAX_VERTICES and not text.strip(b"01")
            whole = _EMPTY
            if good:
                # The output moves to the last vertex, the others keep their places.
                gap = b"0" * (MAX_VERTICES - side)
                lines = [text[i : i + side] for i in range(0, len(text), side)]
                wide = [line[:-1] + gap + line[-1:] for line in lines]
                unused = [b"0" * MAX_VERTICES] * (MAX_VERTICES - side)
                whole = b"".join([*wide[:-1], *unused, wide[-1]])
            self._matrices.append(whole)
            self._matrix_sizes.append(side if good else 0)
        return number

    def number_of_ops(self, text: bytes) -> int:
        """Number of a text of operations: of new ones the next, size -1 where it cannot be."""
        number = self.ops.get(text)
        if number is None:
            number = self.ops[text] = len(self._labels)
            names = text.decode("ascii", "replace").split(",")
            good = 2 <= len(names) <= MAX_VERTICES and (names[0], names[-1]) == (INPUT, OUTPUT)
            labels = [_LABEL.get(name, _UNKNOWN) for name in names[1:-1]] if good else []
            self._labels.append(labels + [0] * (_SLOTS - len(labels)))
            self._ops_sizes.append(len(names) if good else -1)
        return number

    def rows(self, bits: NDArray[np.int64], ops: NDArray[np.int64]) -> NDArray[np.int32]:
        """Rows of the seven-vertex space.

        Args:
            bits: (n,) numbers of matrices.
            ops: (n,) numbers of texts of operations.

        Returns:
            (n,) rows, -1 where the two are no cell.
        """
        entries = np.frombuffer(b"".join(self._matrices), dtype=np.int8) - np.int8(ord("0"))
        matrices = entries.reshape(-1, MAX_VERTICES, MAX_VERTICES)
        labels = np.array(self._labels)
        # Consecutive rows are often repeats of one cell: classify each pair once.
        pairs, which = np.unique(bits * len(labels) + ops, return_inverse=True)
        of_bits, of_ops = np.divmod(pairs, len(labels))
        found = self._space.rows(matrices[of_bits], labels[of_ops])
        same = np.array(self._matrix_sizes)[of_bits] == np.array(self._ops_sizes)[of_ops]
        rows: NDArray[np.int32] = np.where(same, found, np.int32(-1))[which.reshape(-1)]
        return rows

    @staticmethod
    def why_not(bits: str, ops: str) -> str:
        """Why two texts are no cell, in words."""
        try:
            cell = Cell(f"{bits}:{ops}")
        except InvalidCellError as error:
            return str(error)
        return f"{cell!r} is drawn with more than {MAX_VERTICES} vertices"
