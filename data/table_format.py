"""The bytes of a table file: preamble, header, columns, checksums.

    magic        8 bytes   89 45 43 4E 41 53 0D 0A
    version      u32       1
    check        u32       CRC-32 of the header
    length       u64       bytes of the header
    header                 JSON (UTF-8), described by `Header`
    padding                zero bytes up to a multiple of 64
    data                   columns, each padded to a multiple of 64
    checksums    u32 each  CRC-32 of every 2,048 values of every column, in the header's order
    check        u32       CRC-32 of the checksums

All integers are little-endian. A column is stored budget by budget, repeat by repeat, cell by
cell, so that all cells at one budget lie together.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import BinaryIO

from naslib_ecnas.errors import ChecksumError, FormatError, TruncatedError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.structures import MAX_VERTICES

__all__ = ["ALIGN", "BLOCK", "MAGIC", "SUFFIX", "ColumnSpec", "Header", "pack", "padded", "parse"]

MAGIC = b"\x89ECNAS\r\n"
VERSION = 1
SUFFIX = ".ecnas"
ALIGN = 64
#: Values under one checksum: few enough that a single query reads little.
BLOCK = 1 << 11

_PREAMBLE = struct.Struct("<8sIIQ")
_LARGEST_HEADER = 1 << 24
_ITEM_SIZE = {"f8": 8, "f4": 4, "i4": 4}
#: The column of rows, present unless the table holds the whole space.
ROWS = "rows"


def padded(length: int) -> int:
    """Length up to the next multiple of `ALIGN`."""
    return -(-length // ALIGN) * ALIGN


@dataclass(frozen=True)
class ColumnSpec:
    """Place and type of one column."""

    name: str
    dtype: str
    """`f8`, or `f4` where that loses nothing; `i4` for rows."""
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
    """The JSON header: what the table holds and where."""

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
        """Where the data start in the file."""
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
    """Preamble, header and padding."""
    body = header.to_bytes()
    start = _PREAMBLE.pack(MAGIC, VERSION, zlib.crc32(body), len(body)) + body
    return start.ljust(padded(len(start)), b"\0")


def parse(file: BinaryIO, size: int, path: str) -> Header:
    """Header of an open file.

    Args:
        file: the file, at its start.
        size: its length in bytes.
        path: for messages.

    Raises:
        FormatError: not such a file, or a header that contradicts itself.
        ChecksumError: the header does not have its digest.
        TruncatedError: the file is not as long as the header says.
    """
    if size < _PREAMBLE.size:
        raise TruncatedError(
            "the file ends within its preamble",
            path=path,
            offset=size,
            expected=f"at least {_PREAMBLE.size} bytes",
            remedy="convert or copy the table again",
        )
    magic, version, check, length = _PREAMBLE.unpack(file.read(_PREAMBLE.size))
    if magic != MAGIC:
        raise FormatError(
            "not a table of this package",
            path=path,
            offset=0,
            value=magic,
            expected=repr(MAGIC),
            remedy="convert the file with: ecnas data convert",
        )
    if version != VERSION:
        raise FormatError(
            "a table of another version",
            path=path,
            offset=8,
            value=version,
            expected=f"version {VERSION}",
            remedy="convert the source again, or update naslib-ecnas",
        )
    if length > min(_LARGEST_HEADER, size - _PREAMBLE.size):
        raise TruncatedError(
            "the header is longer than the file or than any header",
            path=path,
            offset=16,
            value=length,
            expected=f"at most {min(_LARGEST_HEADER, size - _PREAMBLE.size)} bytes",
            remedy="convert or copy the table again",
        )
    body = file.read(length)
    if zlib.crc32(body) != check:
        raise ChecksumError(
            "the header is damaged",
            path=path,
            offset=_PREAMBLE.size,
            value=f"CRC-32 {zlib.crc32(body):08x}",
            expected=f"{check:08x}",
            remedy="convert or copy the table again",
        )
    header = _header(body, path)
    if header.to_bytes() != body:
        raise _inconsistent(path, "another spelling of the header than this package writes")
    if size != header.file_size:
        raise TruncatedError(
            "the file has not the length that its header says",
            path=path,
            offset=min(size, header.file_size),
            value=size,
            expected=f"{header.file_size} bytes",
            remedy="convert or copy the table again",
        )
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


def _inconsistent(path: str, value: str) -> FormatError:
    return FormatError(
        "the header contradicts itself",
        path=path,
        offset=_PREAMBLE.size,
        value=value,
        expected="a header as naslib_ecnas.data.table_format describes it",
        remedy="convert the source again",
    )
