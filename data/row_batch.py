"""Many rows at once: taken apart where they have the official form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from naslib_ecnas.data.drawn_cells import DrawnCells

__all__ = ["RowBatch", "RowSplitter"]

_EPOCHS = re.compile(rb", ([1-9][0-9]{0,5}), ")
# Stands in for a row of another form until the exact reader has read it.
_PLAIN = b'["' + b"0" * 32 + b'", 1, "0100", "input,output", ""]'


@dataclass(frozen=True)
class RowBatch:
    """The parts of n rows, as lists of n; those of odd rows mean nothing."""

    hashes: list[bytes] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)
    """Numbers of the matrices among `DrawnCells`."""
    ops: list[int] = field(default_factory=list)
    """Numbers of the operations among `DrawnCells`."""
    texts: list[bytes] = field(default_factory=list)
    """Messages in base64, line feeds escaped."""
    odd: set[int] = field(default_factory=set)
    """Places of the rows that have another form: the exact reader has to read them."""


class RowSplitter:
    """Splits rows at their quotes, of which the official form has eight.

    What repeats from row to row is parsed once: the epochs, the matrices, the operations.
    """

    def __init__(self, cells: DrawnCells) -> None:
        self._cells = cells
        self._epochs: dict[bytes, int] = {}
        self._meet(_PLAIN)

    def split(self, data: list[bytes]) -> RowBatch:
        """Take rows apart."""
        out = RowBatch()
        known_epochs, known_bits, known_ops = self._epochs, self._cells.bits, self._cells.ops
        for i, row in enumerate(data):
            try:
                head, name, number, matrix, comma, ops, other, text, tail = row.split(b'"')
                epochs, bit, op = known_epochs[number], known_bits[matrix], known_ops[ops]
            except (ValueError, KeyError):
                if not self._meet(row):
                    out.odd.add(i)
                    row = _PLAIN
                head, name, number, matrix, comma, ops, other, text, tail = row.split(b'"')
                epochs, bit, op = known_epochs[number], known_bits[matrix], known_ops[ops]
            if comma != b", " or other != b", " or head != b"[" or tail != b"]":
                out.odd.add(i)
            out.hashes.append(name)
            out.epochs.append(epochs)
            out.bits.append(bit)
            out.ops.append(op)
            out.texts.append(text)
        return out

    def _meet(self, row: bytes) -> bool:
        """Take note of a row's new parts; False where it does not have the official form."""
        parts = row.split(b'"')
        epochs = _EPOCHS.fullmatch(parts[2]) if len(parts) == 9 else None
        if epochs is None or b"\\" in parts[3] + parts[5]:
            return False
        self._epochs[parts[2]] = int(epochs[1])
        self._cells.number_of_bits(parts[3])
        self._cells.number_of_ops(parts[5])
        return True
