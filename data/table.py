"""Tables: typed columns over (cell, budget, repeat) in one memory-mapped file.

`Columns` is the content of a table in memory, which every reader returns and every writer takes.
`Table` is a table file, open for reading, and `View` the same table at another PUE or carbon
intensity. The bytes of a table file:

    magic        8 bytes   89 45 43 4E 41 53 0D 0A
    version      u32       1
    check        u32       CRC-32 of the header
    length       u64       bytes of the header
    header                 JSON (UTF-8), see `Header`
    padding                zero bytes up to a multiple of 64
    data                   columns, each padded to a multiple of 64
    checksums    u32 each  CRC-32 of every 2,048 values of every column, in the header's order
    check        u32       CRC-32 of the checksums

All integers are little-endian. A column is stored budget by budget, repeat by repeat, cell by
cell, so that all cells at one budget lie together.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import struct
import weakref
import zlib
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.carbon import CarbonIntensity
from naslib_ecnas.data.carbon import carbon_intensity as intensity_of
from naslib_ecnas.errors import (
    ChecksumError,
    ClosedTableError,
    ConfigError,
    EcnasError,
    FormatError,
    ProvenanceError,
    TruncatedError,
    UnknownCellError,
    UnknownMetricError,
    UnknownTableError,
)
from naslib_ecnas.files import atomic_write
from naslib_ecnas.metrics import METRICS, missing_metric_remedy
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES

__all__ = [
    "ALIGN",
    "BLOCK",
    "MAGIC",
    "SUFFIX",
    "Columns",
    "Table",
    "View",
    "at_place",
    "check_pue",
    "pack",
    "parse",
    "write_table",
]

MAGIC = b"\x89ECNAS\r\n"
VERSION = 1
SUFFIX = ".ecnas"
ALIGN = 64

#: Values under one checksum: few enough that a single query reads little.
BLOCK = 1 << 11

#: The column of rows, present unless the table has every cell of the space.
ROWS = "rows"

#: Attribute of a predicted table: SHA-256 of the models and settings it was predicted from.
PREDICTED_FROM = "predicted_from"

_PREAMBLE = struct.Struct("<8sIIQ")
_LARGEST_HEADER = 1 << 24
_ITEM_SIZE = {"f8": 8, "f4": 4, "i4": 4}
_FEW = 8  # blocks of a column that are read on their own before the file's mapping is used
_AGAIN = "make the table again with: ecnas data convert SOURCE --afresh"


# -- the header -----------------------------------------------------------------------------------


def padded(length: int) -> int:
    """The length rounded up to a multiple of `ALIGN`."""
    return -(-length // ALIGN) * ALIGN


@dataclass(frozen=True)
class ColumnSpec:
    """Place and type of one column."""

    name: str
    dtype: str
    """`f8`, or `f4` if that loses nothing; `i4` for rows."""
    offset: int
    """Bytes from the start of the data."""
    nbytes: int

    @property
    def blocks(self) -> int:
        """Number of checksums."""
        return -(-self.nbytes // self.block_bytes)

    @property
    def block_bytes(self) -> int:
        """Bytes under one checksum."""
        return BLOCK * _ITEM_SIZE[self.dtype]


@dataclass(frozen=True)
class Header:
    """The JSON header: content of the table and places of its columns."""

    name: str
    vertices: int
    cells: int
    budgets: tuple[int, ...]
    repeats: int
    columns: tuple[ColumnSpec, ...]
    provenance: Mapping[str, Provenance]
    attributes: Mapping[str, str]

    @property
    def data_start(self) -> int:
        """Byte offset of the data in the file."""
        return padded(_PREAMBLE.size + len(self.to_bytes()))

    @property
    def data_bytes(self) -> int:
        """Bytes from the start of the data to the checksums."""
        return max((padded(c.offset + c.nbytes) for c in self.columns), default=0)

    @property
    def checksums(self) -> int:
        """Number of block checksums."""
        return sum(c.blocks for c in self.columns)

    @property
    def file_size(self) -> int:
        """Exact size of the file."""
        return self.data_start + self.data_bytes + 4 * self.checksums + 4

    def to_bytes(self) -> bytes:
        """The JSON of the header."""
        content = {
            "name": self.name,
            "vertices": self.vertices,
            "cells": self.cells,
            "budgets": list(self.budgets),
            "repeats": self.repeats,
            "columns": [
                {"name": c.name, "dtype": c.dtype, "offset": c.offset, "nbytes": c.nbytes}
                for c in self.columns
            ],
            "provenance": {k: p.to_json() for k, p in self.provenance.items()},
            "attributes": dict(self.attributes),
        }
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def pack(header: Header) -> bytes:
    """Preamble, header and padding of a table file."""
    body = header.to_bytes()
    start = _PREAMBLE.pack(MAGIC, VERSION, zlib.crc32(body), len(body)) + body
    return start.ljust(padded(len(start)), b"\0")


def parse(file: BinaryIO, size: int, path: str) -> Header:
    """The header of an open table file.

    Args:
        file: the file, at its start.
        size: its length in bytes.
        path: its path, for errors.

    Raises:
        FormatError: the file is not a table, or its header contradicts itself.
        ChecksumError: the header does not have its checksum.
        TruncatedError: the file does not have the length that the header says.
    """
    if size < _PREAMBLE.size:
        raise TruncatedError("the file ends within its preamble", path=path, offset=size)
    magic, version, check, length = _PREAMBLE.unpack(file.read(_PREAMBLE.size))
    if magic != MAGIC:
        remedy = "convert the file with: ecnas data convert"
        raise FormatError("the file is not a table", path=path, offset=0, remedy=remedy)
    if version != VERSION:
        message = f"the table must be of version {VERSION}"
        raise FormatError(message, path=path, offset=8, value=version, remedy=_AGAIN)
    most = min(_LARGEST_HEADER, size - _PREAMBLE.size)
    if length > most:
        message = f"the header must have at most {most} bytes"
        raise TruncatedError(message, path=path, offset=16, value=length)
    body = file.read(length)
    if zlib.crc32(body) != check:
        message = "the header does not have its checksum"
        raise ChecksumError(message, path=path, offset=_PREAMBLE.size, remedy=_AGAIN)
    header = _header(body, path)
    if header.to_bytes() != body:
        raise _inconsistent(path, "the JSON is not written as this package writes it")
    if size != header.file_size:
        message = f"the file must have {header.file_size} bytes, as its header says"
        raise TruncatedError(message, path=path, offset=min(size, header.file_size), value=size)
    return header


def _header(body: bytes, path: str) -> Header:
    try:
        content = json.loads(body)
        columns = tuple(
            ColumnSpec(str(c["name"]), str(c["dtype"]), int(c["offset"]), int(c["nbytes"]))
            for c in content["columns"]
        )
        header = Header(
            name=str(content["name"]),
            vertices=int(content["vertices"]),
            cells=int(content["cells"]),
            budgets=tuple(int(b) for b in content["budgets"]),
            repeats=int(content["repeats"]),
            columns=columns,
            provenance={
                str(k): Provenance.from_json(v, path=path) for k, v in content["provenance"].items()
            },
            attributes={str(k): str(v) for k, v in content["attributes"].items()},
        )
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,  # an infinity where a whole number is due
    ) as error:
        if isinstance(error, FormatError):
            raise
        raise _inconsistent(path, f"{type(error).__name__}: {error}") from error
    _check(header, path)
    return header


def _check(header: Header, path: str) -> None:
    if not 2 <= header.vertices <= MAX_VERTICES or header.cells < 1 or header.repeats < 1:
        raise _inconsistent(path, f"{header.vertices} vertices, {header.cells} cells")
    if not header.budgets or list(header.budgets) != sorted(set(header.budgets)):
        raise _inconsistent(path, f"budgets {header.budgets}")
    items = prod((header.cells, len(header.budgets), header.repeats))
    end, names = 0, set()
    for column in header.columns:
        is_rows = column.name == ROWS
        wanted = header.cells if is_rows else items
        if (
            (not is_rows and (column.name not in METRICS or column.dtype not in ("f8", "f4")))
            or (is_rows and column.dtype != "i4")
            or column.name in names
            or (not is_rows and column.name not in header.provenance)
            or column.offset != end
            or column.nbytes != wanted * _ITEM_SIZE[column.dtype]
        ):
            raise _inconsistent(path, f"column {column}")
        names.add(column.name)
        end = padded(column.offset + column.nbytes)
    if not names - {ROWS}:
        raise _inconsistent(path, "no columns")


def _inconsistent(path: str, reason: str) -> FormatError:
    message = f"the header contradicts itself: {reason[:200]}"
    return FormatError(message, path=path, offset=_PREAMBLE.size)


# -- content in memory ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """The content of a table in memory.

    Raises:
        FormatError: the rows are not ascending rows of the space, the budgets not ascending, a
            metric is unknown or without provenance, or an array has another shape.
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
    """(cells, budgets, repeats) float64 for each metric, NaN if missing."""
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    """Origin of each metric in `values`."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Texts for the header, such as citation and licence."""

    def __post_init__(self) -> None:
        rows = np.asarray(self.rows)
        size = len(Space(self.vertices))
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
            raise self._fault("rows must be a vector of whole numbers", rows)
        if int(rows.min()) < 0 or int(rows.max()) >= size or np.any(np.diff(rows) <= 0):
            raise self._fault(f"rows must be ascending and from 0 to {size - 1}", rows)
        budgets = self.budgets
        if not budgets or list(budgets) != sorted(set(budgets)) or budgets[0] < 1:
            raise self._fault("budgets must be positive and ascending", budgets)
        shape = (len(rows), len(budgets), self.repeats)
        for name, array in self.values.items():
            if name not in METRICS:
                raise self._fault("a column must be a known metric", name)
            if array.shape != shape or array.dtype != np.float64:
                found = f"{array.dtype} of {array.shape}"
                raise self._fault(f"column {name} must be float64 of {shape}", found)
            if name not in self.provenance:
                raise self._fault("a column must have a provenance", name)

    def _fault(self, message: str, value: object) -> FormatError:
        return FormatError(message, path=self.name, value=value)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(cells, budgets, repeats)."""
        return len(self.rows), len(self.budgets), self.repeats


# -- table files ----------------------------------------------------------------------------------


class MappedColumn:
    """One column of the file, each block checked when it is first read.

    Touching the mapping loads megabytes around each touch. To keep the memory of a process with
    few queries small, the first few blocks are read on their own.
    """

    __slots__ = ("_few", "_file", "_path", "_sums", "_view", "checked", "items", "spec")

    def __init__(
        self,
        spec: ColumnSpec,
        view: memoryview,
        sums: NDArray[np.uint32],
        path: str,
        file: tuple[int, int],
    ) -> None:
        self.spec = spec
        self._view = view
        self._sums = sums
        self._path = path
        self._file = file  # descriptor, and where the column starts in the file
        self._few: dict[int, Any] | None = {} if hasattr(os, "pread") else None
        #: 1 for each block that was checked in the mapping, else 0.
        self.checked = bytearray(spec.blocks)
        #: The column as numbers, to read one at a time.
        self.items = view.cast(self._code)

    @property
    def _code(self) -> Literal["f", "d"]:
        # Rows are integers, but only `position` reads them one at a time.
        code: Any = {"i4": "i", "f4": "f", "f8": "d"}[self.spec.dtype]
        return code  # type: ignore[no-any-return]

    def at(self, index: int) -> float:
        """The value at an index."""
        block = index // BLOCK
        if not self.checked[block]:
            if self._few is not None:
                alone: float = self._alone(block, self._few)[index - block * BLOCK]
                return alone
            self._check_mapped(block)
        value: float = self.items[index]
        return value

    def _alone(self, block: int, few: dict[int, Any]) -> Any:
        found = few.get(block)
        if found is None:
            descriptor, start = self._file
            begin = block * self.spec.block_bytes
            length = min(self.spec.block_bytes, self.spec.nbytes - begin)
            data = memoryview(os.pread(descriptor, length, start + begin))
            self._check(block, data)
            found = few[block] = data.cast(self._code)
            if len(few) >= _FEW:
                self._few = None
        return found

    def close(self) -> None:
        """Let go of the mapping; reading raises `ClosedTableError` from then on."""
        views = (self.items, self._view)
        self._few, self.checked = None, bytearray(self.spec.blocks)
        self.items = self._view = _Closed(self._path)  # type: ignore[assignment]
        for view in views:
            with suppress(BufferError):  # arrays that were handed out keep theirs
                view.release()

    def part(self, start: int, stop: int) -> NDArray[np.generic]:
        """The values from `start` to `stop`, as a read-only view of the file."""
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            if not self.checked[block]:
                self._check_mapped(block)
        return np.frombuffer(self._view, dtype="<" + self.spec.dtype)[start:stop]

    def _check_mapped(self, block: int) -> None:
        size = self.spec.block_bytes
        self._check(block, self._view[block * size : (block + 1) * size])
        self.checked[block] = 1

    def _check(self, block: int, data: memoryview) -> None:
        if zlib.crc32(data) != int(self._sums[block]):
            message = f"block {block} of column {self.spec.name} does not have its checksum"
            offset = self._file[1] + block * self.spec.block_bytes
            raise ChecksumError(message, path=self._path, offset=offset, remedy=_AGAIN)


class _Closed:
    """Stands in for the values of a closed column."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getitem__(self, key: Any) -> Any:
        raise ClosedTableError(f"the table {self._path} is closed")

    def __len__(self) -> int:
        return int(self[0])

    def release(self) -> None:
        """Nothing is held."""


class Table:
    """A table file, open for reading.

    Opening reads only the header. Each block of a column is checked against its checksum when it
    is first read. Pickling names the table and its checksum and ships no values: whoever
    unpickles opens the table again, or gets a `ChecksumError` where it has other content there.
    Copies in the same process are the table itself, since nothing in it can be changed.

    Attributes:
        path: the file.
        opener: opens the table again in another process.
        name: short name, such as `4v-4epochs`.
        space: the space that the cells belong to.
        budgets: training budgets in epochs, ascending.
        repeats: length of the repeat axis.
        metrics: names of the columns.
        provenance: origin of each column.
        attributes: citation, licence, notes.
    """

    def __init__(self, path: Path, header: Header, file: BinaryIO, mapped: mmap.mmap) -> None:
        self.path = path
        self.opener: Callable[[], Table] = partial(Table.open, path.absolute())
        self._close = weakref.finalize(self, file.close)  # it is open for reading single blocks
        start = header.data_start
        self.name: str = header.name
        self.space: Space = Space(header.vertices)
        self.budgets: tuple[int, ...] = header.budgets
        self.repeats: int = header.repeats
        self.provenance: Mapping[str, Provenance] = dict(header.provenance)
        self.attributes: Mapping[str, str] = dict(header.attributes)
        self._cells = header.cells
        sums = self._checksums(path, header, file)
        self._content = header.to_bytes() + sums.tobytes()
        self._mapped, whole = mapped, memoryview(mapped)
        self._columns: dict[str, MappedColumn] = {}
        first = 0
        for spec in header.columns:
            begin = start + spec.offset
            view = whole[begin : begin + spec.nbytes]
            self._columns[spec.name] = MappedColumn(
                spec,
                view,
                sums[first : first + spec.blocks],
                str(path),
                (file.fileno(), begin),
            )
            first += spec.blocks
        self._rows = self._columns.pop(ROWS, None)
        self.metrics: tuple[str, ...] = tuple(self._columns)
        self._each = tuple(self._columns.values())
        self._check_rows()

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Table:
        """Open a table file.

        Raises:
            UnknownTableError: there is no such file.
            FormatError: the file is not a table, or it is damaged; `offset` says where.
        """
        file_path = Path(path)
        try:
            file = file_path.open("rb")
            try:
                header = parse(file, os.fstat(file.fileno()).st_size, str(file_path))
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except BaseException:
                file.close()
                raise
        except (OSError, ValueError) as error:  # ValueError: the name contains a NUL
            if isinstance(error, EcnasError):
                raise
            message = f"the table cannot be read ({getattr(error, 'strerror', None) or error})"
            remedy = "list the tables with: ecnas data list"
            raise UnknownTableError(message, value=str(file_path), remedy=remedy) from error
        return cls(file_path, header, file, mapped)

    @staticmethod
    def _checksums(path: Path, header: Header, file: BinaryIO) -> NDArray[np.uint32]:
        begin = header.data_start + header.data_bytes
        file.seek(begin)
        body = file.read(4 * header.checksums)
        check = int.from_bytes(file.read(4), "little")
        if zlib.crc32(body) != check:
            message = "the checksums are damaged"
            raise ChecksumError(message, path=path, offset=begin, remedy=_AGAIN)
        return np.frombuffer(body, dtype="<u4")

    def _check_rows(self) -> None:
        size = len(self.space)
        if self._rows is None:
            if self._cells != size:
                message = f"without rows, a table must have all {size} cells of its space"
                raise FormatError(message, path=self.path, value=self._cells)
            return
        rows = self.rows
        if not ((np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < size):
            message = f"the rows must be ascending and from 0 to {size - 1}"
            raise FormatError(message, path=self.path, value=rows)

    def __repr__(self) -> str:
        return (
            f"Table({self.name!r}: {self._cells:,} cells of {self.space.vertices} vertices, "
            f"budgets {self.budgets}, {self.repeats} repeats, {len(self.metrics)} columns)"
        )

    def close(self) -> None:
        """Close the file, for all copies and views of the table; reading it is an error then.

        Arrays that were read before stay valid.
        """
        for column in (*self._columns.values(), *([] if self._rows is None else [self._rows])):
            column.close()
        self._close()
        with suppress(BufferError):  # closes with the last array that was handed out
            self._mapped.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._close.alive

    def __copy__(self) -> Table:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Table:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.opener, self.checksum)

    @property
    def checksum(self) -> str:
        """SHA-256 of the header and all block checksums, which identifies the content.

        For a predicted table, SHA-256 of the models and settings: the last digits of predictions
        (some 1e-6 of a value) depend on the machine's linear algebra and number of threads.
        """
        from hashlib import sha256  # takes 4 MB, which plain queries do not need

        source = self.attributes.get(PREDICTED_FROM, "")
        return source if re.fullmatch("[0-9a-f]{64}", source) else sha256(self._content).hexdigest()

    @property
    def rows(self) -> NDArray[np.int32]:
        """(cells,) rows of the table's cells in the space, ascending."""
        if self._rows is None:
            return np.arange(self._cells, dtype=np.int32)
        return self._rows.part(0, self._cells).astype(np.int32, copy=False)

    def __len__(self) -> int:
        return self._cells

    def position(self, row: int) -> int:
        """Position of a row's cell along the table's first axis.

        Raises:
            UnknownCellError: the table does not have this cell.
        """
        if self._rows is None:
            if 0 <= row < self._cells:
                return row
        else:
            rows = self._rows.items  # all checked when the table was opened
            at = bisect_left(rows, row)
            if at < self._cells and rows[at] == row:
                return at
        raise UnknownCellError(f"table {self.name} does not hold the cell of row {row}")

    def positions(self, rows: NDArray[np.integer]) -> NDArray[np.intp]:
        """(n,) positions of (n,) rows.

        Raises:
            UnknownCellError: the table does not have one of the cells.
        """
        held = self.rows
        at = np.minimum(np.searchsorted(held, rows), self._cells - 1)
        missing = held[at] != rows
        if missing.any():
            self.position(int(rows[missing][0]))
        return at

    def column(self, name: str) -> NDArray[np.float64]:
        """(cells, budgets, repeats) float64 values of a metric, read-only; NaN if missing.

        Raises:
            UnknownMetricError: the table has no such column.
            ChecksumError: the column is damaged.
        """
        budgets = [self.at_budget(name, b) for b in range(len(self.budgets))]
        out = np.stack(budgets, axis=1)
        out.flags.writeable = False
        return out

    def at_budget(self, name: str, budget: int) -> NDArray[np.float64]:
        """(cells, repeats) values of a metric at one budget, by the budget's position."""
        column = self._column(name)
        size = self._cells * self.repeats
        part = column.part(budget * size, (budget + 1) * size)
        by_cell = part.reshape(self.repeats, self._cells).T
        return np.asarray(by_cell, dtype=np.float64)

    def value(self, name: str, position: int, budget: int, repeat: int) -> float:
        """One value, by positions of cell, budget and repeat; NaN if missing."""
        return self._column(name).at((budget * self.repeats + repeat) * self._cells + position)

    def record(self, position: int, budget: int, repeat: int) -> list[float]:
        """All metrics of one training, in the order of `metrics`."""
        index = (budget * self.repeats + repeat) * self._cells + position
        block = index // BLOCK
        return [c.items[index] if c.checked[block] else c.at(index) for c in self._each]

    def _column(self, name: str) -> MappedColumn:
        column = self._columns.get(name)
        if column is None:
            raise self._unknown(name)
        return column

    def _unknown(self, name: str) -> UnknownMetricError:
        message = f"table {self.name} has no metric {name!r}, only {', '.join(self.metrics)}"
        return UnknownMetricError(message, remedy=missing_metric_remedy(name))

    def verify(self) -> None:
        """Check every block of every column.

        Raises:
            ChecksumError: a block is damaged; `offset` says where.
        """
        size = self._cells * len(self.budgets) * self.repeats
        for column in self._columns.values():
            column.part(0, size)

    def to_columns(self) -> Columns:
        """The whole content in memory, checked."""
        return Columns(
            name=self.name,
            vertices=self.space.vertices,
            rows=self.rows.copy(),
            budgets=self.budgets,
            repeats=self.repeats,
            values={name: self.column(name) for name in self.metrics},
            provenance=self.provenance,
            attributes=self.attributes,
        )


#: Tables that were unpickled in this process and are still in use, by checksum.
_unpickled: weakref.WeakValueDictionary[str, Table] = weakref.WeakValueDictionary()


def _reopened(opener: Callable[[], Table], checksum: str) -> Table:
    """The table that was pickled, open in this process.

    Raises:
        ChecksumError: the table of this name has other content here.
        UnknownTableError: there is no such table here.
    """
    table = _unpickled.get(checksum)
    if table is None or table.closed:
        table = opener()
        if table.checksum != checksum:
            table.close()
            message = f"table {table.name} had checksum {checksum} where it was pickled"
            raise ChecksumError(message, path=table.path, value=table.checksum)
        _unpickled[checksum] = table
    return table


def write_table(
    path: str | PathLike[str], columns: Columns, *, predicted_from: str | None = None
) -> None:
    """Write a table file, whole or not at all.

    A column is stored as float32 if that changes none of its values.

    Args:
        path: the file.
        columns: its content. An attribute `PREDICTED_FROM` of it is ignored.
        predicted_from: SHA-256 of everything that decides a prediction, for a predicted table; it
            becomes the table's checksum.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    cells = len(columns.rows)
    attributes = {k: v for k, v in columns.attributes.items() if k != PREDICTED_FROM}
    if predicted_from is not None:
        attributes[PREDICTED_FROM] = predicted_from
    specs, offset = [], 0
    if cells != len(Space(columns.vertices)):
        specs.append(ColumnSpec(ROWS, "i4", 0, 4 * cells))
        offset = padded(4 * cells)
    for name, values in columns.values.items():
        dtype = "f4" if _fits_float32(values) else "f8"
        nbytes = values.size * np.dtype(dtype).itemsize
        specs.append(ColumnSpec(name, dtype, offset, nbytes))
        offset = padded(offset + nbytes)
    header = Header(
        name=columns.name,
        vertices=columns.vertices,
        cells=cells,
        budgets=columns.budgets,
        repeats=columns.repeats,
        columns=tuple(specs),
        provenance={name: columns.provenance[name] for name in columns.values},
        attributes=attributes,
    )
    sums: list[int] = []
    with atomic_write(Path(path)) as file:
        file.write(pack(header))
        for spec in specs:
            if spec.name == ROWS:
                data = np.asarray(columns.rows).astype("<i4").tobytes()
            else:
                turned = np.moveaxis(columns.values[spec.name], 0, 2)
                data = turned.astype("<" + spec.dtype).tobytes()
            view = memoryview(data)
            step = spec.block_bytes
            sums += [zlib.crc32(view[at : at + step]) for at in range(0, len(data), step)]
            file.write(data)
            file.write(bytes(padded(len(data)) - len(data)))
        body = np.array(sums, dtype="<u4").tobytes()
        file.write(body + zlib.crc32(body).to_bytes(4, "little"))


def _fits_float32(values: NDArray[np.float64]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float32), values, equal_nan=True))


# -- views ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    """A column that is a multiple of a column of the table."""

    source: str
    factor: float


class View(Table):
    """A table with some columns replaced by multiples of the columns in the file."""

    def __init__(
        self,
        table: Table,
        columns: Mapping[str, _Column],
        provenance: Mapping[str, Provenance],
        without: Collection[str] = (),
    ) -> None:
        self.__dict__.update(vars(table))
        self._made_of = (table, columns, provenance, without)
        held = table.metrics
        self._table = table
        self._changed = {
            **{name: _Column(name, 1.0) for name in held if name not in without},
            **columns,
        }
        self.metrics = tuple(self._changed)
        self.provenance = {
            name: provenance.get(name) or table.provenance[name] for name in self.metrics
        }
        self._plan = [(held.index(c.source), c.factor) for c in self._changed.values()]

    def __reduce__(self) -> tuple[Any, ...]:
        return View, self._made_of

    def at_budget(self, name: str, budget: int) -> NDArray[np.float64]:
        """As `Table.at_budget`."""
        column = self._changed.get(name)
        if column is None:
            raise self._unknown(name)
        values = self._table.at_budget(column.source, budget)
        return values if column.factor == 1.0 else values * column.factor

    def value(self, name: str, position: int, budget: int, repeat: int) -> float:
        """As `Table.value`."""
        column = self._changed.get(name)
        if column is None:
            raise self._unknown(name)
        return self._table.value(column.source, position, budget, repeat) * column.factor

    def record(self, position: int, budget: int, repeat: int) -> list[float]:
        """As `Table.record`."""
        values = self._table.record(position, budget, repeat)
        return [values[i] * factor for i, factor in self._plan]

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's checksum and the changes of this view."""
        from hashlib import sha256

        changed = sorted((n, c.source, c.factor) for n, c in self._changed.items())
        return sha256(f"{self._table.checksum} {changed}".encode()).hexdigest()

    def to_columns(self) -> Columns:
        """The whole content in memory."""
        held = self._table.to_columns()
        values = {name: self.column(name) for name in self.metrics}
        return replace(held, values=values, provenance=self.provenance)


def at_place(
    table: Table,
    pue: float | None = None,
    carbon_intensity: CarbonIntensity | float | str | None = None,
) -> Table:
    """The table with energies at another PUE, and emissions that follow from the energies.

    Args:
        table: an open table.
        pue: power usage effectiveness of the data centre, at least 1 (which leaves the energy at
            the machines' plugs); the table's own by default.
        carbon_intensity: gCO2eq/kWh, or a code such as `"DK"` (see `data.carbon`), for all
            emissions. By default the table's own, which were recorded during the measurements.

    Returns:
        A `View`, or the table itself if nothing changes.

    Raises:
        ConfigError: the PUE or the carbon intensity is impossible.
        ProvenanceError: the table does not say what PUE its energies have.
    """
    place = carbon_intensity
    if place is not None and not isinstance(place, CarbonIntensity):
        place = intensity_of(place)
    columns: dict[str, _Column] = {}
    provenance: dict[str, Provenance] = {}
    energies = [name for name in table.metrics if _is_energy(name)]
    if pue is not None:
        check_pue(pue)
        for name in (*energies, *(n for n in table.metrics if _is_emission(n))):
            known = table.provenance[name]
            if known.pue is None:
                message = f"the PUE of {name} cannot be changed, since it is unknown"
                raise ProvenanceError(message, value=str(known))
            columns[name] = _Column(name, pue / known.pue)
            provenance[name] = replace(known, pue=float(pue))
    if place is not None:
        for name in energies:
            emission = name.replace("energy_kwh", "co2_g")
            factor = columns[name].factor if name in columns else 1.0
            columns[emission] = _Column(name, factor * place.g_per_kwh)
            provenance[emission] = replace(
                provenance.get(name, table.provenance[name]),
                note=f"energy x {place.about}",
            )
    # The intensities recorded during the measurements do not belong to these emissions.
    without = [name for name in table.metrics if _is_intensity(name)] if place else []
    return View(table, columns, provenance, without) if columns else table


def check_pue(pue: object) -> None:
    """Raise ConfigError unless the value is a possible power usage effectiveness."""
    if isinstance(pue, bool) or not isinstance(pue, (int, float)) or not 1 <= pue < 100:
        raise ConfigError("a power usage effectiveness must be from 1 to below 100", value=pue)


def _is_energy(name: str) -> bool:
    return name.endswith(("energy_kwh", "energy_kwh_std")) and not name.startswith("predicted")


def _is_emission(name: str) -> bool:
    return name.endswith(("co2_g", "co2_g_std")) and not name.startswith("predicted")


def _is_intensity(name: str) -> bool:
    return name.endswith("carbon_intensity_g_per_kwh") and not name.startswith("predicted")
