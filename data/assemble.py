"""From single trainings in any order to columns over (cell, budget, repeat)."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.progress import listener
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

__all__ = ["ECNAS_SPACES", "NOWHERE", "Assembler", "Source", "check_bounds", "opened", "unreadable"]


# Where bytes that are being read lie, so that every fault can be located.


Fault = TypeVar("Fault", bound=FormatError)


@dataclass(frozen=True)
class Source:
    """A file and the place in it that a piece of bytes was taken from."""

    path: str | None = None
    """The file, None for bytes of no file."""
    offset: int | None = 0
    """Byte offset of the piece in the file, or of the frame that contains it."""
    exact: bool = True
    """Whether position i of the piece is byte `offset + i` of the file. Not so for bytes that
    were written as base64 or escaped."""

    def at(self, position: int) -> Source:
        """The source of the bytes from `position` on."""
        if not self.exact or self.offset is None:
            return self
        return replace(self, offset=self.offset + position)

    def encoded(self) -> Source:
        """The source of bytes that were decoded from this piece."""
        return replace(self, exact=False)

    def fault(
        self, what: str, *, at: int = 0, kind: type[Fault] | None = None, **details: Any
    ) -> FormatError:
        """An error of this place, to be raised.

        Args:
            what: what is wrong, one clause.
            at: position within the piece.
            kind: class of the error, `FormatError` by default.
            details: value, expected and remedy.
        """
        details.setdefault("remedy", "bring the file again, or check what wrote it")
        return (kind or FormatError)(what, path=self.path, offset=self.at(at).offset, **details)


#: Bytes of no file.
NOWHERE = Source()


class _Heard(io.FileIO):
    """A file that is read from its start to its end, and tells how far that is."""

    def __init__(self, path: Path) -> None:
        super().__init__(os.fspath(path))
        self._heard, self._name, self._done = listener(), path.name, 0

    def _tell(self, size: int) -> None:
        self._done += size
        self._heard.advanced(self._name, self._done)

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._tell(len(found))
        return found

    def readall(self) -> bytes:
        found = super().readall()
        self._tell(len(found))
        return found

    def readinto(self, buffer: Any, /) -> int:
        found = super().readinto(buffer)
        self._tell(found)
        return found


def opened(path: str | PathLike[str], *, buffered: bool = True, heard: bool = True) -> BinaryIO:
    """A file open for reading bytes.

    Args:
        path: the file.
        buffered: as Python's files are.
        heard: whether the listener to long work hears how far it is read, which is from its start
            to its end then.

    Raises:
        UnknownTableError: there is no such file, or it cannot be read.
    """
    try:
        file = _Heard(Path(path)) if heard else io.FileIO(os.fspath(path))
        return io.BufferedReader(file) if buffered else file
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise unreadable(error, path) from error


def unreadable(error: Exception, path: str | PathLike[str]) -> UnknownTableError:
    """The error of a file that cannot be opened or read on, to be raised."""
    return UnknownTableError(
        f"the file cannot be read ({getattr(error, 'strerror', None) or error})",
        value=str(path),
        expected="a readable file",
        remedy="check its name and permissions",
    )


#: Largest numbers of vertices of EC-NAS's spaces.
ECNAS_SPACES = (4, 5, 7)

# A grid may have this many places for each training, so that a file with a thousand repeats of
# one cell and a thousand other cells is an error and not a grid of gigabytes.
_SPARSE = 64

_ALWAYS = 1 << 16

# Values on a page of a growing column: two megabytes.
_PAGE = 1 << 18

Values = NDArray[np.float64]


def check_bounds(
    metric: str, values: Values, source: Source, offsets: list[int] | None = None
) -> None:
    """Raise FormatError where a value lies outside its metric's bounds; NaN is missing.

    Args:
        metric: name of the metric.
        values: (n,) values.
        source: the file.
        offsets: (n,) byte offsets of the values' frames.
    """
    known = METRICS[metric]
    wrong = (values < known.lower) | (values > known.upper) | np.isinf(values)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        where = replace(source, offset=None if offsets is None else offsets[first])
        raise where.fault(
            f"{metric} is out of its bounds",
            value=float(values[first]),
            expected=f"{known.lower:g} to {known.upper:g}, finite",
        )


class _Pages:
    """A column that grows by pages of its own, which go back to the system as they are taken.

    Lists of small arrays would do but for memory: what they free stays with the allocator, and a
    file of five million rows would need its values twice.
    """

    def __init__(self) -> None:
        self._pages: list[Values] = []
        self._size = 0

    def put(self, start: int, values: Values) -> None:
        """Append values that begin at place `start`; what is skipped is NaN."""
        self._append(np.broadcast_to(np.nan, start - self._size))
        self._append(values)

    def _append(self, values: Values) -> None:
        while len(values):
            at = self._size % _PAGE
            if at == 0:
                self._pages.append(np.frombuffer(mmap.mmap(-1, 8 * _PAGE), dtype=np.float64))
            part = values[: _PAGE - at]
            self._pages[-1][at : at + len(part)] = part
            self._size += len(part)
            values = values[len(part) :]

    def scatter(self, out: Values, slots: NDArray[np.int64]) -> None:
        """Set `out[slots[i]]` to value i and forget the values."""
        self._pages.reverse()
        for start in range(0, self._size, _PAGE):
            page = self._pages.pop()
            places = slots[start : min(start + _PAGE, self._size)]
            out[places] = page[: len(places)]


@dataclass
class Assembler:
    """Collects trainings and lays them out as columns.

    Memory is that of the values, twice for one metric.
    """

    source: Source
    """The file that is read."""
    _rows: list[NDArray[np.int32]] = field(default_factory=list)
    _budgets: list[NDArray[np.int32]] = field(default_factory=list)
    _repeats: list[NDArray[np.int32]] = field(default_factory=list)
    _values: dict[str, _Pages] = field(default_factory=dict)
    _count: int = 0

    def add(
        self,
        rows: NDArray[np.int32],
        budgets: NDArray[np.int32],
        values: Mapping[str, Values],
        *,
        repeats: NDArray[np.int32] | None = None,
        offsets: list[int] | None = None,
    ) -> None:
        """Add n trainings.

        Args:
            rows: (n,) rows of the space.
            budgets: (n,) epochs.
            values: (n,) values of each metric, NaN where missing.
            repeats: (n,) repeats, from 0; by default trainings of the same cell and budget are
                repeats in the order in which they are added. Give them always or never.
            offsets: (n,) byte offsets of the trainings' frames, for errors.
        """
        for metric, array in values.items():
            check_bounds(metric, array, self.source, offsets)
            self._values.setdefault(metric, _Pages()).put(self._count, array)
        self._rows.append(rows)
        self._budgets.append(budgets)
        if repeats is not None:
            self._repeats.append(repeats)
        self._count += len(rows)

    def finish(
        self,
        name: str,
        *,
        vertices: int | None,
        provenance: Mapping[str, Provenance] | None,
        default: Provenance,
        attributes: Mapping[str, str],
        drop_zero_co2: bool = False,
    ) -> Columns:
        """The columns of all trainings that were added; the assembler is empty afterwards.

        Args:
            name: short name of the table.
            vertices: vertices of its space, by default the smallest of 4, 5 and 7 that holds
                all cells.
            provenance: origin of the metrics whose origin is known.
            default: origin of the others; its repeats are set to those found.
            attributes: text for the header.
            drop_zero_co2: leave out a column of emissions that is 0 throughout, and note so.

        Raises:
            FormatError: nothing was added, a repeat occurs twice, or the trainings are so
                uneven that they are no table.
        """
        if not self._count:
            raise self.source.fault("the file holds no training", expected="at least one")
        cells, cell_at = np.unique(np.concatenate(self._rows), return_inverse=True)
        budgets, budget_at = np.unique(np.concatenate(self._budgets), return_inverse=True)
        place = cell_at.reshape(-1).astype(np.int64) * len(budgets) + budget_at.reshape(-1)
        del cell_at, budget_at
        rank = np.concatenate(self._repeats) if self._repeats else _appearances(place)
        repeats = int(rank.max()) + 1
        size = len(cells) * len(budgets) * repeats
        if size > max(_ALWAYS, _SPARSE * self._count):
            raise self.source.fault(
                "the trainings fill hardly any of their cells, budgets and repeats",
                value=f"{self._count} of {len(cells)} x {len(budgets)} x {repeats}",
                expected="about as many repeats of every cell",
            )
        slot = place * repeats + rank
        if self._repeats and len(np.unique(slot)) != len(slot):
            raise self.source.fault(
                "a cell has the same budget and repeat twice", expected="each once"
            )
        shape = (len(cells), len(budgets), repeats)
        values: dict[str, Values] = {}
        notes = dict(attributes)
        for metric in [known for known in METRICS if known in self._values]:
            flat = np.full(size, np.nan)
            self._values.pop(metric).scatter(flat, slot)
            if drop_zero_co2 and metric.endswith("co2_g") and not np.nan_to_num(flat).any():
                notes[f"missing {metric}"] = "0 for every training of the source: not recorded"
            elif not np.isnan(flat).all():
                values[metric] = flat.reshape(shape)
        known = dict(provenance or {})
        default = replace(default, repeats=repeats)
        return Columns(
            name=name,
            vertices=vertices if vertices is not None else _space_of(int(cells[-1])),
            rows=cells.astype(np.int32),
            budgets=tuple(budgets.tolist()),
            repeats=repeats,
            values=values,
            provenance={metric: known.get(metric, default) for metric in values},
            attributes=notes,
        )


def _appearances(place: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) how often the same place occurred before."""
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    new = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.empty(len(place), dtype=np.int64)
    rank[order] = np.arange(len(place)) - np.repeat(new, np.diff(new, append=len(place)))
    return rank


def _space_of(row: int) -> int:
    """Vertices of the smallest of EC-NAS's spaces that has a row."""
    return next(v for v in ECNAS_SPACES if row < _size(v))


@cache
def _size(vertices: int) -> int:
    return len(Space(vertices))
