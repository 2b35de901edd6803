"""The numbers behind a figure or a table: named columns, written as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.storage import atomic_write

__all__ = ["Sheet"]


@dataclass(frozen=True)
class Sheet:
    """Rows of values under headings that carry their units."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    """One value for each heading: text, a whole number, or a float that is NaN where unknown."""

    def __post_init__(self) -> None:
        odd = [row for row in self.rows if len(row) != len(self.headings)]
        if odd or len(set(self.headings)) < len(self.headings):
            raise ConfigError(
                "rows do not fit the headings",
                value=odd[0] if odd else self.headings,
                expected=f"{len(self.headings)} values under different headings",
                remedy="give one value for each heading",
            )

    @classmethod
    def of(cls, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> Sheet:
        """A sheet of rows, numpy's numbers turned into plain ones."""
        return cls(tuple(headings), tuple(tuple(map(_plain, row)) for row in rows))

    def __len__(self) -> int:
        return len(self.rows)

    def records(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict, for JSON."""
        return (dict(zip(self.headings, row, strict=True)) for row in self.rows)

    def text(self) -> str:
        """The sheet as CSV; an unknown value is an empty field, floats are written exactly."""
        return "".join(map(_line, (self.headings, *self.rows)))

    def write(self, path: Path) -> Path:
        """Write it as CSV, whole or not at all.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        with atomic_write(path) as file:
            file.write(self.text().encode("utf-8"))
        return path


def _line(row: Sequence[Any]) -> str:
    out = io.StringIO()
    # With both characters as the terminator, each of them in a text is quoted.
    csv.writer(out, lineterminator="\r\n").writerow([_field(value) for value in row])
    return out.getvalue()[:-2] + "\n"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _field(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return "" if value is None else value
