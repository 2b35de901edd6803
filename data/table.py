"""The table: typed columns over (cell, budget, repeat) in one memory-mapped file."""

from __future__ import annotations

import mmap
import os
import re
import zlib
from bisect import bisect_left
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.mapped_column import MappedColumn
from naslib_ecnas.data.table_format import (
    BLOCK,
    ROWS,
    ColumnSpec,
    Header,
    pack,
    padded,
    parse,
)
from naslib_ecnas.errors import (
    ChecksumError,
    EcnasError,
    FormatError,
    UnknownCellError,
    UnknownMetricError,
    UnknownTableError,
)
from naslib_ecnas.metrics import remedy_without
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.storage import atomic_write

__all__ = ["PREDICTED_FROM", "Table", "write_table"]

#: Attribute of a table that comes with the package: SHA-256 of what it was predicted from.
PREDICTED_FROM = "predicted_from"


class Table:
    """A table file, open for reading.

    Opening reads the header only. Every block of a column is checked against its checksum when
    it is first read.

    Attributes:
        path: the file.
        name: short name, such as `4v-4epochs`.
        space: the space whose rows the cells are.
        budgets: training budgets in epochs, ascending.
        repeats: length of the repeat axis.
        metrics: names of the columns.
        provenance: origin of each column.
        attributes: citation, licence, notes.
    """

    def __init__(self, path: Path, header: Header, file: BinaryIO, mapped: mmap.mmap) -> None:
        self.path = path
        self._file = file  # stays open for reading single blocks
        start = header.data_start
        self.name = header.name
        self.space = Space(header.vertices)
        self.budgets = header.budgets
        self.repeats = header.repeats
        self.provenance: Mapping[str, Provenance] = dict(header.provenance)
        self.attributes: Mapping[str, str] = dict(header.attributes)
        self._cells = header.cells
        sums = self._checksums(path, header, file)
        self._content = header.to_bytes() + sums.tobytes()
        whole = memoryview(mapped)
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
        self.metrics = tuple(self._columns)
        self._each = tuple(self._columns.values())
        self._check_rows()

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Table:
        """Map a table file.

        Raises:
            UnknownTableError: there is no such file.
            FormatError: it is no table, or a damaged one; the offset says where.
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
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            if isinstance(error, EcnasError):
                raise
            raise UnknownTableError(
                f"the table cannot be read ({getattr(error, 'strerror', None) or error})",
                value=str(file_path),
                expected="a table file",
                remedy="list the tables with: ecnas data list",
            ) from error
        return cls(file_path, header, file, mapped)

    @staticmethod
    def _checksums(path: Path, header: Header, file: BinaryIO) -> NDArray[np.uint32]:
        begin = header.data_start + header.data_bytes
        file.seek(begin)
        body = file.read(4 * header.checksums)
        check = int.from_bytes(file.read(4), "little")
        if zlib.crc32(body) != check:
            raise ChecksumError(
                "the checksums are damaged",
                path=path,
                offset=begin,
                value=f"CRC-32 {zlib.crc32(body):08x}",
                expected=f"{check:08x}",
                remedy="convert or copy the table again",
            )
        return np.frombuffer(body, dtype="<u4")

    def _check_rows(self) -> None:
        size = len(self.space)
        if self._rows is None:
            good = self._cells == size
            value: object = self._cells
        else:
            rows = self.rows
            good = bool((np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < size)
            value = (int(rows[0]), int(rows[-1]))
        if not good:
            raise FormatError(
                "the rows are not ascending rows of the space",
                path=self.path,
                value=value,
                expected=f"distinct rows from 0 to {size - 1}",
                remedy="convert the source again",
            )

    def __repr__(self) -> str:
        return (
            f"Table({self.name!r}: {self._cells:,} cells of {self.space.vertices} vertices, "
            f"budgets {self.budgets}, {self.repeats} repeats, {len(self.metrics)} columns)"
        )

    @property
    def checksum(self) -> str:
        """SHA-256 over the header and all block checksums, which names the content.

        Of a table that comes with the package, that of the models and settings that it was
        predicted from: the last digits of predictions (some 1e-6 of a value) depend on the
        machine's linear algebra and its number of threads.
        """
        from hashlib import sha256  # costs a query-only process 4 MB

        source = self.attributes.get(PREDICTED_FROM, "")
        return source if re.fullmatch("[0-9a-f]{64}", source) else sha256(self._content).hexdigest()

    @property
    def rows(self) -> NDArray[np.int32]:
        """(cells,) rows of the space that the table holds, ascending."""
        if self._rows is None:
            return np.arange(self._cells, dtype=np.int32)
        return self._rows.part(0, self._cells).astype(np.int32, copy=False)

    def __len__(self) -> int:
        return self._cells

    def position(self, row: int) -> int:
        """Position of a row's cell along the table's first axis.

        Raises:
            UnknownCellError: the table does not hold it.
        """
        if self._rows is None:
            if 0 <= row < self._cells:
                return row
        else:
            rows = self._rows.items  # checked as a whole when the table was opened
            at = bisect_left(rows, row)
            if at < self._cells and rows[at] == row:
                return at
        raise UnknownCellError(
            f"table {self.name} does not hold this cell",
            value=f"row {row}",
            expected=f"one of its {self._cells:,} cells of up to {self.space.vertices} vertices",
            remedy="Benchmark.rows has those that it holds",
        )

    def positions(self, rows: NDArray[np.integer]) -> NDArray[np.intp]:
        """(n,) positions of (n,) rows.

        Raises:
            UnknownCellError: the table does not hold one of them.
        """
        held = self.rows
        at = np.minimum(np.searchsorted(held, rows), self._cells - 1)
        missing = held[at] != rows
        if missing.any():
            self.position(int(rows[missing][0]))
        return at

    def column(self, name: str) -> NDArray[np.float64]:
        """(cells, budgets, repeats) float64 values of a metric, read-only; NaN where missing.

        Raises:
            UnknownMetricError: the table has no such column.
            ChecksumError: it is damaged.
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
        """One value, by position of cell, budget and repeat; NaN where missing."""
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
        return UnknownMetricError(
            f"table {self.name} has no such metric",
            value=name,
            expected="one of " + ", ".join(self.metrics),
            remedy=remedy_without(name),
        )

    def verify(self) -> None:
        """Check every value of every column; the padding between them holds nothing.

        Raises:
            ChecksumError: a block is damaged; the offset says where.
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


def write_table(
    path: str | PathLike[str], columns: Columns, *, predicted_from: str | None = None
) -> None:
    """Write a table file, whole or not at all.

    A column whose values all survive float32 is stored so.

    Args:
        path: of the file.
        columns: its content.
        predicted_from: SHA-256 of all that decides a prediction, which is the table's checksum
            then. What `columns.attributes` says of that is not believed.

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
