"""Cells as texts and back, many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import hash_index
from naslib_ecnas.cell import INPUT, OUTPUT, Cell
from naslib_ecnas.data.source import Source
from naslib_ecnas.errors import InvalidCellError
from naslib_ecnas.space import Space
from naslib_ecnas.structures import MAX_VERTICES, OPERATIONS, structures

__all__ = ["CellTexts", "texts_of"]


def texts_of(rows: NDArray[np.int32]) -> list[str]:
    """(n,) texts of rows, each as `str` of the cell."""
    table = structures()
    structure = table.row_structure[rows].tolist()
    number = table.row_ops[rows].tolist()
    return [
        f"{_bits(s)}:{_names(int(table.vertices[s]) - 2, n)}"
        for s, n in zip(structure, number, strict=True)
    ]


@cache
def _bits(structure: int) -> str:
    """A structure's matrix, row by row."""
    table = structures()
    return str(Cell.from_row(int(table.row_of[table.first[structure]]))).partition(":")[0]


@cache
def _names(slots: int, number: int) -> str:
    """Operations of a labelling, comma-separated."""
    inner = [OPERATIONS[number // 3 ** (slots - 1 - slot) % 3] for slot in range(slots)]
    return ",".join((INPUT, *inner, OUTPUT))


class CellTexts:
    """The rows of cells' texts, and whether their hashes are right; each is looked at once.

    Args:
        source: the file, for errors.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._space = Space(MAX_VERTICES)
        self._rows: dict[str, int] = {}
        self._hashes: dict[int, str] = {}

    def rows(self, texts: Sequence[Any]) -> NDArray[np.int32]:
        """(n,) int32 rows of (n,) texts.

        Raises:
            FormatError: a text is no cell.
        """
        cells = [text if isinstance(text, str) else str(text) for text in texts]
        new = [text for text in dict.fromkeys(cells) if text not in self._rows]
        self._rows.update(zip(new, self._parsed(new), strict=True))
        return np.fromiter((self._rows[text] for text in cells), np.int32, len(cells))

    def check(self, rows: NDArray[np.int32], hashes: Sequence[Any]) -> None:
        """Compare (n,) hashes with those of the rows; None and an empty text are none.

        Raises:
            FormatError: one is that of another cell.
        """
        places = rows.tolist()
        stated = [row for row, text in zip(places, hashes, strict=True) if text not in (None, "")]
        new = [row for row in dict.fromkeys(stated) if row not in self._hashes]
        if new:
            hash_index.prepare(len(self._hashes) + len(new))
            found = hash_index.as_text(hash_index.of_rows(np.array(new)))
            self._hashes.update(zip(new, found.tolist(), strict=True))
        for row, text in zip(places, hashes, strict=True):
            if text not in (None, "") and text != self._hashes[row]:
                raise self._source.fault(
                    "the hash of a line is not that of its cell",
                    value=text,
                    expected=self._hashes[row],
                )

    def _parsed(self, texts: list[str]) -> list[int]:
        """Rows of texts, those of the usual form together."""
        rows = [-1] * len(texts)
        alike: defaultdict[int, list[tuple[int, bytes, tuple[int, ...]]]] = defaultdict(list)
        for place, text in enumerate(texts):
            bits, _, names = text.partition(":")
            labels = _labels().get(names)
            if labels is not None and len(bits) == (len(labels) + 2) ** 2 and bits.isascii():
                alike[len(labels) + 2].append((place, bits.encode(), labels))
        for v, found in alike.items():
            places, matrix, labelled = zip(*found, strict=True)
            matrices = np.frombuffer(b"".join(matrix), np.uint8).reshape(-1, v, v) - ord("0")
            known = self._space.rows(
                matrices, np.array(labelled, np.int8).reshape(len(found), v - 2)
            )
            for place, row in zip(places, known.tolist(), strict=True):
                rows[place] = row
        return [self._one(text) if row < 0 else row for text, row in zip(texts, rows, strict=True)]

    def _one(self, text: str) -> int:
        """The row of a text of any form that a `Cell` takes, or the error that it gives."""
        try:
            return Cell(text).row
        except InvalidCellError as error:
            raise self._source.fault(f"a line has no cell: {error}", value=text) from error


@cache
def _labels() -> dict[str, tuple[int, ...]]:
    """Labels of every text of operations."""
    return {
        _names(slots, number): tuple(number // 3 ** (slots - 1 - s) % 3 for s in range(slots))
        for slots in range(MAX_VERTICES - 1)
        for number in range(3**slots)
    }
