"""Reading files into columns, for the readers of all formats.

`opened` opens a file, `pieces` reads it and reports how far, `Source` locates a fault in it,
`cell_rows` finds the rows of cells that are given as texts, the checks compare them with the hashes
and trainable parameters beside them, and `Assembler` lays out trainings, added in any order, as
columns over (cell, budget, repeat).
"""

from __future__ import annotations

import io
import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.cell import INPUT, OUTPUT, Cell
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import (
    EcnasError,
    FormatError,
    ImplausibleValueWarning,
    UnknownTableError,
    printable,
)
from naslib_ecnas.files import open_file
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.nasbench_hash import wrong_hashes
from naslib_ecnas.progress import BYTES, listener, silent
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS

Values = NDArray[np.float64]
Rows = NDArray[np.int32]

#: Most bytes of any file of values; NAS-Bench-101's whole one has two gigabytes.
MOST_BYTES = 1 << 34
_PIECE = 1 << 21  # bytes read at a time


@dataclass(frozen=True)
class Source:
    """A file and a place in it, for error messages."""

    path: str | PathLike[str] | None = None
    """The file; None for bytes that come from no file."""
    offset: int | None = None
    """Byte offset of the frame with the fault; None for the whole file."""

    def fault(
        self, message: str, *, kind: type[FormatError] = FormatError, **details: Any
    ) -> FormatError:
        """An error at this place, to be raised."""
        return kind(message, path=self.path, offset=self.offset, **details)


#: The source of one of several trainings or cells, by its number.
At = Callable[[int], Source]


@contextmanager
def reading(path: str | PathLike[str]) -> Iterator[None]:
    """Context in which an error of the system means that the file cannot be read.

    Raises:
        UnknownTableError: in place of that error.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, EcnasError):
            raise
        message = f"the file cannot be read ({error.strerror or error})"
        raise UnknownTableError(message, value=str(path)) from error


@contextmanager
def opened(path: str | PathLike[str], *, most: int = MOST_BYTES) -> Iterator[io.BufferedReader]:
    """A regular file of at most `most` bytes, open for reading them.

    Raises:
        UnknownTableError: there is no such file, or it cannot be read, also in the middle.
    """
    with reading(path):
        file: Any = io.BufferedReader(open_file(path, most=most))
        with file:
            yield file


def pieces(file: io.BufferedReader, what: str = "reading") -> Iterator[bytes]:
    """The bytes of a file from where it is, some at a time; reports how many are read."""
    done, size = file.tell(), os.fstat(file.fileno()).st_size
    progress, task = listener(), f"{what} {Path(file.name).name.removesuffix('.part')}"
    while piece := file.read(_PIECE):
        done += len(piece)
        progress(task, done, size, unit=BYTES)
        yield piece


# -- cells from texts -----------------------------------------------------------------------------

_LABELS = {name: label for label, name in enumerate(OPERATIONS)}
_space = cache(Space)


@lru_cache(1 << 12)  # a file has hundreds of different texts
def _labels(ops: str, vertices: int) -> tuple[int, ...] | None:
    """Labels of the operations between input and output, -1 if unknown; None if malformed."""
    first, *names, last = ops.split(",") if "," in ops else ("", "")
    if len(names) != vertices - 2 or (first, last) != (INPUT, OUTPUT):
        return None
    return tuple(_LABELS.get(name, -1) for name in names)


def cell_rows(cells: Sequence[tuple[str, str]]) -> Rows:
    """(n,) rows of n cells as the official files have them; -1 for what is not a cell.

    Each is a pair of texts: the bits of the adjacency matrix row by row, and the operations with
    commas between them. An unknown operation is wrong only at a vertex that is kept.
    """
    rows = np.full(len(cells), -1, dtype=np.int32)
    alike: dict[int, list[tuple[int, str, tuple[int, ...]]]] = defaultdict(list)
    for i, (bits, ops) in enumerate(cells):
        vertices = round(len(bits) ** 0.5)
        labels = _labels(ops, vertices)
        if labels is not None and vertices**2 == len(bits) and vertices <= MAX_VERTICES:
            alike[vertices].append((i, bits, labels))
    for vertices, some in alike.items():
        places, texts, labels_of = zip(*some, strict=True)
        entries = np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)
        matrices = (entries - ord("0")).reshape(-1, vertices, vertices)
        interior = np.array(labels_of, dtype=np.int8).reshape(len(some), vertices - 2)
        rows[list(places)] = _space(MAX_VERTICES).rows(matrices, interior)
    return rows


def rows_with_hashes(cells: Sequence[tuple[str, str]], hashes: Sequence[str], at: At) -> Rows:
    """(n,) rows of n cells, as by `cell_rows`, with the hashes beside them compared.

    Raises:
        FormatError: the texts describe no cell of the space, or another one than the hash.
    """
    rows = cell_rows(cells)
    for i in np.flatnonzero(rows < 0).tolist():
        message = f"a row must have a cell of at most {MAX_VERTICES} vertices and nine edges"
        raise at(i).fault(message, value=":".join(cells[i]))
    check_hashes(rows, hashes, at)
    return rows


def check_hashes(rows: Rows, hashes: Sequence[str], at: At) -> None:
    """Raise FormatError unless (n,) hashes are those of (n,) rows, see `wrong_hashes`."""
    for i in wrong_hashes(rows, hashes):
        true = Cell.from_row(int(rows[i])).nasbench_hash
        raise at(i).fault(f"the hash of a row must be its cell's, {true}", value=hashes[i])


#: In place of trainable parameters that a source does not state; none can state it.
UNSTATED = -1 << 40


def check_parameters(rows: Rows, stated: NDArray[Any], at: At) -> None:
    """Raise FormatError unless (n,) numbers of trainable parameters are those of (n,) rows."""
    true = network.parameters(rows)
    for i in np.flatnonzero((stated != true) & (stated != UNSTATED)).tolist():
        raise at(i).fault(f"the cell has {true[i]} trainable parameters", value=stated[i].item())


# -- columns from trainings ----------------------------------------------------------------------

# Places that a grid may have for each training, so that a file with a thousand repeats of one cell
# and a thousand other cells, or with a repeat 9,999 alone, is an error and takes no gigabytes.
_SPARSE = 64
_ODD = np.uint64(0x9E3779B97F4A7C15)  # mixes bits
# Trainings that a cell may have at all budgets: else a file of some bytes has gigabytes of them.
_MOST = 1 << 12
# Units of quantities that no two trainings of a cell share, as they may share an accuracy.
_TELLING = ("kWh", "J", "s")


def say(about: str, text: str) -> None:
    """Tell whoever listens to the progress of a file, else by a warning, of a doubt about it."""
    if listener() is silent:
        warnings.warn(f"{about}: {text}", ImplausibleValueWarning, stacklevel=2)
    else:
        listener()(about, note=text)


@dataclass
class Assembler:
    """Collects trainings and lays them out as columns.

    Takes as much memory as the values, plus one metric's values while it lays them out.
    """

    source: Source
    """The file that the trainings come from."""
    devices: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    """Names of devices by sort (`gpu`, `cpu`), in their order, which become attributes."""
    _rows: list[NDArray[np.int32]] = field(default_factory=list)
    _budgets: list[NDArray[np.int32]] = field(default_factory=list)
    _repeats: list[NDArray[np.int32]] = field(default_factory=list)
    _values: dict[str, list[tuple[int, Values]]] = field(default_factory=dict)
    """Parts of each metric's values, with the number of the first training."""
    _count: int = 0
    _of_cell: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(_space(MAX_VERTICES)), dtype=np.int64)
    )
    """Trainings of each row."""

    def add(
        self,
        rows: NDArray[np.int32],
        budgets: NDArray[np.int32],
        values: Mapping[str, Values],
        *,
        repeats: NDArray[np.int32] | None = None,
        offsets: list[int] | None = None,
    ) -> None:
        """Add n trainings by their (n,) rows, budgets in epochs, and values, NaN where missing.

        Repeats count from 0; they are given always or never. By default, trainings of the same
        cell and budget are numbered in the order in which they are added. `offsets` are those of
        the trainings' frames in the file, for errors.

        Raises:
            FormatError: a value lies outside its metric's bounds, or a cell has too many trainings.
        """
        self._of_cell += np.bincount(rows, minlength=len(self._of_cell))
        if self._of_cell.max() > _MOST:
            message = f"a cell must have at most {_MOST} trainings at all budgets"
            raise self.source.fault(message, value=int(self._of_cell.max()))
        for metric, numbers in values.items():
            found = METRICS[metric].fault(numbers)
            if found is not None:
                at = None if offsets is None else offsets[found[0]]
                raise replace(self.source, offset=at).fault(found[1])
            self._values.setdefault(metric, []).append((self._count, numbers))
        self._rows.append(rows)
        self._budgets.append(budgets)
        if repeats is not None:
            self._repeats.append(repeats)
        self._count += len(rows)

    def finish(
        self,
        origin: Provenance,
        *,
        name: str | None = None,
        provenance: Mapping[str, Provenance] = MappingProxyType({}),
        vertices: int | None = None,
        attributes: Mapping[str, str] = MappingProxyType({}),
    ) -> Columns:
        """The columns of all trainings that were added; the assembler is empty afterwards.

        A column of emissions that are all 0 is left out, with a note: they were not recorded.

        Args:
            origin: origin of the columns; its repeats are set to the number found, and its source
                to the file unless it names one.
            name: short name of the table, by default the file's without its suffix.
            provenance: origins that the file itself states.
            vertices: vertices of the space, by default the smallest of 4, 5 and 7 that contains
                all cells.
            attributes: texts for the header.

        Raises:
            FormatError: nothing was added, a repeat occurs twice or has the values of another one,
                or the trainings fill too little of the grid of cells, budgets and repeats.
        """
        if not self._count or not self._values:
            what = "metric" if self._count else "training"
            raise self.source.fault(f"the file holds no {what}")
        cells, cell_at = np.unique(np.concatenate(self._rows), return_inverse=True)
        budgets, budget_at = np.unique(np.concatenate(self._budgets), return_inverse=True)
        place = cell_at.reshape(-1).astype(np.int64) * len(budgets) + budget_at.reshape(-1)
        del cell_at, budget_at
        rank = np.concatenate(self._repeats) if self._repeats else _appearances(place)
        repeats = int(rank.max()) + 1
        size = len(cells) * len(budgets) * repeats
        if size > _SPARSE * self._count:
            grid = f"{len(cells)} cells x {len(budgets)} budgets x {repeats} repeats"
            raise self.source.fault(f"{self._count} trainings fill hardly any of {grid}")
        slot = place * repeats + rank
        if self._repeats and len(np.unique(slot)) != len(slot):
            raise self.source.fault("a cell has the same budget and repeat twice")
        shape = (len(cells), len(budgets), repeats)
        values: dict[str, Values] = {}
        devices = {sort: "; ".join(names) for sort, names in self.devices.items()}
        notes = {**devices, **attributes}
        marks, told = np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=bool)
        for metric in [known for known in METRICS if known in self._values]:
            flat = np.full(size, np.nan)
            for start, numbers in self._values.pop(metric):
                flat[slot[start : start + len(numbers)]] = numbers
            known, kind = METRICS[metric], provenance.get(metric, origin).kind
            if repeats > 1:
                marks = (marks ^ (marks >> np.uint64(29))) * _ODD + flat.view(np.uint64)
                if known.unit in _TELLING and kind in ("measured", "unknown"):
                    told |= flat > 0
            doubt = None if kind == "synthetic" else known.doubt(flat)
            if doubt is not None:
                say(Path(str(self.source.path)).name, f"{metric}: {doubt}")
                notes[f"doubt of {metric}"] = doubt
            if metric.endswith("co2_g") and not np.nan_to_num(flat).any():
                notes[f"missing {metric}"] = "0 for every training of the source: not recorded"
            elif not np.isnan(flat).all():
                values[metric] = flat.reshape(shape)
        self._check_copies(marks.reshape(shape), told.reshape(shape), cells, budgets)
        path = Path(str(self.source.path))
        origin = replace(origin, source=origin.source or printable(path.name), repeats=repeats)
        return Columns(
            name=name or path.stem,
            vertices=vertices or next(v for v in (4, 5, 7) if cells[-1] < len(_space(v))),
            rows=cells.astype(np.int32),
            budgets=tuple(budgets.tolist()),
            repeats=repeats,
            values=values,
            provenance={metric: provenance.get(metric, origin) for metric in values},
            attributes=notes,
        )

    def _check_copies(self, marks: Any, told: Any, cells: Rows, budgets: Rows) -> None:
        """Raise FormatError if a training has all values of another one of its cell and budget.

        `marks` are hashes of the (cells, budgets, repeats) trainings; only those `told` count.
        """
        order = np.argsort(marks, axis=2)
        ordered, telling = (np.take_along_axis(each, order, axis=2) for each in (marks, told))
        same = (ordered[..., 1:] == ordered[..., :-1]) & telling[..., 1:]
        if same.any():
            cell, budget, _ = np.argwhere(same)[0].tolist()
            where = f"such as of the cell of row {cells[cell]} at {budgets[budget]} epochs"
            message = f"{same.sum()} trainings are copies of others, {where}"
            raise self.source.fault(message, remedy="keep each training once")


def _appearances(place: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) how often each place occurred before in the array."""
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    new = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.empty(len(place), dtype=np.int64)
    rank[order] = np.arange(len(place)) - np.repeat(new, np.diff(new, append=len(place)))
    return rank
