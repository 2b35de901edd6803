"""Named arrays in one safetensors file, in which every bit is under a checksum.

Tables and the surrogate's weights are such files. Any reader of safetensors opens them, in any
language; this one also checks them, reads single blocks, and starts fast. The layout:

    length    u64, bytes of the header
    header    JSON, padded with spaces so that the arrays start at a multiple of 64:
              {"__metadata__": {"ecnas": TEXT}, NAME: {"dtype", "shape", "data_offsets"}, ...}
    arrays    little-endian, in C order, one after the other; those of wide numbers come first

TEXT is JSON too: `{"crc32": HEX, "blocks": {NAME: BASE64}, "metadata": {...}}`. HEX is the CRC-32
of the header with eight zeros in its place. BASE64 are the CRC-32 of each 2,048 values of an array,
as u32. The header is written here and not by the safetensors library because the same content must
have the same bytes with every version of that library, and because it takes all arrays at once.
"""

from __future__ import annotations

import io
import json
import mmap
import os
import weakref
from binascii import a2b_base64, b2a_base64
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import (
    ChecksumError,
    ClosedTableError,
    FormatError,
    TruncatedError,
    UnknownTableError,
)
from naslib_ecnas.files import atomic_write, open_file

#: Values under one checksum: few enough that a single query reads little.
BLOCK = 1 << 11

#: How the header of every such file begins, after the eight bytes of its length.
PREFIX = b'{"__metadata__":{"ecnas":"{\\"crc32\\":\\"'

_ALIGN = 64
_LARGEST_HEADER = 1 << 24
_DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "|u1"}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
# Blocks of an array that are read on their own before the file's mapping is used.
_FEW = 8 if hasattr(os, "pread") else 0


def write_arrays(
    path: str | PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, Any] | None = None,
    *,
    narrow: Collection[str] = (),
) -> None:
    """Write arrays and metadata to a file, whole or not at all.

    The same arrays and metadata, in the same order, have the same bytes on every machine.

    Arrays have any shape and the type float64, float32, int64, int32 or uint8; those named in
    `narrow` are stored as float32. Metadata are plain values of JSON.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
        KeyError: an array has another type.
        ValueError: a number of the metadata is not finite.
    """
    types = {name: array.dtype.newbyteorder("<") for name, array in arrays.items()}
    types |= dict.fromkeys(narrow, np.dtype("<f4"))
    specs: dict[str, Any] = {}
    end = 0
    for name in sorted(arrays, key=lambda name: -types[name].itemsize):
        start, end = end, end + arrays[name].size * types[name].itemsize
        code, shape = _CODES[types[name].str], arrays[name].shape
        specs[name] = {"dtype": code, "shape": shape, "data_offsets": (start, end)}
    sums = {name: bytes(4 * -(-arrays[name].size // BLOCK)) for name in specs}
    with atomic_write(Path(path)) as file:
        file.seek(len(_header(specs, sums, metadata)))  # the sums do not change its length
        for name in specs:
            data = memoryview(arrays[name].astype(types[name], copy=False).tobytes())
            step = BLOCK * types[name].itemsize
            found = [crc32(data[at : at + step]) for at in range(0, len(data), step)]
            sums[name] = np.array(found, dtype="<u4").tobytes()
            file.write(data)
        file.seek(0)
        file.write(_header(specs, sums, metadata))


def _header(
    specs: Mapping[str, Any], sums: Mapping[str, bytes], metadata: Mapping[str, Any] | None
) -> bytes:
    """Length and JSON of a file's header."""
    blocks = {name: b2a_base64(each, newline=False).decode() for name, each in sums.items()}
    text = _json({"crc32": "0" * 8, "blocks": blocks, "metadata": metadata or {}})
    body = _json({"__metadata__": {"ecnas": text}, **specs}).encode()
    body = body.ljust(-(-(8 + len(body)) // _ALIGN) * _ALIGN - 8)
    check = f"{crc32(body):08x}".encode()
    return len(body).to_bytes(8, "little") + PREFIX + check + body[len(PREFIX) + 8 :]


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class ArrayFile:
    """A file of named arrays, open for reading.

    Opening reads and checks the header. Each block of an array is checked when it is first read.

    Args:
        path: the file.
        remedy: what to do about a damaged or foreign file, for errors.

    Attributes:
        path: the file.
        metadata: plain values of JSON, as they were written.
        arrays: the arrays by name, in the order of the file, to read parts of them.

    Raises:
        UnknownTableError: there is no such file, or it cannot be read.
        FormatError: the file is not one that `write_arrays` wrote, or it is damaged (mostly a
            `ChecksumError` or a `TruncatedError`); `offset` says where.
    """

    def __init__(self, path: str | PathLike[str], *, remedy: str | None = None) -> None:
        self.path: Path = Path(path)
        self._about = {"path": self.path, "remedy": remedy}
        self.metadata: dict[str, Any] = {}
        self.arrays: dict[str, StoredArray] = {}
        try:
            file = io.BufferedReader(open_file(self.path))
            self._close = weakref.finalize(self, file.close)
            try:
                size = os.fstat(file.fileno()).st_size
                self._header = self._checked_header(file, size)
                self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self._find_arrays(file, size)
            except BaseException:
                self._close()
                raise
        except (OSError, ValueError) as error:  # ValueError: emptied meanwhile
            if isinstance(error, FormatError):
                raise
            message = f"the file cannot be read ({getattr(error, 'strerror', None) or error})"
            raise UnknownTableError(message, value=str(path)) from error

    def _checked_header(self, file: BinaryIO, size: int) -> bytes:
        """The bytes of the header, compared with its checksum."""
        length = int.from_bytes(file.read(8), "little")
        front = file.read(len(PREFIX))
        if front != PREFIX[: len(front)]:
            message = "the file is not a safetensors file of this package"
            raise FormatError(message, offset=0, **self._about)
        most = min(_LARGEST_HEADER, size - 8)
        if length > most or len(front) < len(PREFIX):
            message = f"the file ends within its header, which may have at most {most} bytes"
            raise TruncatedError(message, offset=min(size, 8), value=length, **self._about)
        file.seek(8)
        header = file.read(length)
        at = len(PREFIX)
        found = crc32(memoryview(header)[at + 8 :], crc32(PREFIX + b"0" * 8))
        if header[at : at + 8] != f"{found:08x}".encode():
            message = "the header does not have its checksum"
            raise ChecksumError(message, offset=8, **self._about)
        return header

    def _find_arrays(self, file: BinaryIO, size: int) -> None:
        """Set `metadata` and `arrays` from the header of a file of some size."""
        whole = memoryview(self._mapped)
        first = end = 8 + len(self._header)
        try:
            specs = json.loads(self._header)
            about = json.loads(specs.pop("__metadata__")["ecnas"])
            self.metadata.update(about["metadata"])
            for name, spec in specs.items():
                dtype, shape = np.dtype(_DTYPES[spec["dtype"]]), tuple(map(index, spec["shape"]))
                start, end = end, end + prod(shape) * dtype.itemsize
                sums = memoryview(a2b_base64(about["blocks"][name])).cast("I")
                expected = [start - first, end - first], -(-prod(shape) // BLOCK)
                if min(shape, default=0) < 0 or (spec["data_offsets"], len(sums)) != expected:
                    raise ValueError(f"array {name} of {shape}")
                if end <= size:
                    view = whole[start:end]
                    self.arrays[name] = StoredArray(
                        name, dtype, shape, start, view, sums, file, self._about
                    )
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"[:200]
            message = f"the header contradicts itself ({reason})"
            raise FormatError(message, offset=8, **self._about) from error
        if end != size:
            message = f"the file must have {end} bytes, as its header says"
            raise TruncatedError(message, offset=min(end, size), value=size, **self._about)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A whole array, checked and read-only; it stays valid when the file is closed."""
        array = self.arrays[name]
        return array.part(0, prod(array.shape)).reshape(array.shape)

    def digest(self, *, without: str = "") -> str:
        """SHA-256 of arrays (by their block checksums) and metadata, apart from one key of it."""
        from hashlib import sha256  # takes 4 MB, which plain queries do not need

        specs = json.loads(self._header)
        about = json.loads(specs.pop("__metadata__")["ecnas"])
        about["metadata"].pop(without, None)
        return sha256(_json([specs, about["blocks"], about["metadata"]]).encode()).hexdigest()

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; reading more of it raises `ClosedTableError` from then on."""
        if self.closed:
            return
        for array in self.arrays.values():
            array.close()
        self._close()
        with suppress(BufferError):  # closes with the last array that was handed out
            self._mapped.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._close.alive


@dataclass(slots=True, eq=False, repr=False)
class StoredArray:
    """One array of an `ArrayFile`, to be read while that is open.

    Each block of 2,048 values is checked when it is first read. Touching the mapping loads
    megabytes around each touch. To keep the memory of a process with few queries small, the first
    few blocks are read on their own.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    """Where it starts in the file, in bytes."""
    _view: Any
    _sums: memoryview
    _file: BinaryIO
    _about: Mapping[str, Any]
    """Path and remedy, for errors."""
    items: Any = field(init=False)
    """Its values in C order, to read one at a time where the block is `checked`."""
    checked: bytearray = field(init=False)
    """1 for each block that was checked in the mapping, else 0."""
    _few: Any = field(init=False)
    """The values of those blocks that were read on their own, by the number of the block."""

    def __post_init__(self) -> None:
        self.items = self._view.cast(self.dtype.char)
        self.checked = bytearray(len(self._sums))
        self._few = {}

    def at(self, index: int) -> Any:
        """The value at an index in C order."""
        block = index // BLOCK
        if not self.checked[block]:
            if block not in self._few and len(self._few) < _FEW:
                start, stop = self._limits(block)
                data = os.pread(self._file.fileno(), stop - start, self.offset + start)
                self._check(block, data)
                code: Any = self.dtype.char
                self._few[block] = memoryview(data).cast(code)
            if block in self._few:
                return self._few[block][index - block * BLOCK]
            self._check(block)
        return self.items[index]

    def part(self, start: int, stop: int) -> NDArray[Any]:
        """The values from `start` to `stop` in C order, as a read-only view of the file."""
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            if not self.checked[block]:
                self._check(block)
        return np.frombuffer(self._view, self.dtype)[start:stop]

    def _limits(self, block: int) -> tuple[int, int]:
        step = BLOCK * self.dtype.itemsize
        return block * step, min((block + 1) * step, len(self._view))

    def _check(self, block: int, data: bytes | None = None) -> None:
        """Compare a block with its checksum: its bytes, or what the mapping has there."""
        start, stop = self._limits(block)
        if crc32(self._view[start:stop] if data is None else data) != self._sums[block]:
            message = f"block {block} of {self.name} does not have its checksum"
            raise ChecksumError(message, offset=self.offset + start, **self._about)
        self.checked[block] = data is None

    def close(self) -> None:
        """Let go of the mapping; reading raises `ClosedTableError` from then on."""
        views = self.items, self._view
        self.checked = bytearray(len(self._sums))
        self._few = self.items = self._view = _Closed(self._about["path"])
        for view in views:
            with suppress(BufferError):  # arrays that were handed out keep theirs
                view.release()


@dataclass
class _Closed:
    """Stands in for the values of an array of a closed file."""

    path: Path

    def __getitem__(self, key: Any) -> Any:
        raise ClosedTableError(f"the file {self.path} is closed")

    def __len__(self) -> int:
        return int(self[0])
