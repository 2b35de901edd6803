"""TFRecord files of NAS-Bench-101 and EC-NAS: frames, rows and single records.

A frame is the length of its data (u64, little endian), the masked CRC-32C of these eight bytes, the
data, and the masked CRC-32C of the data. See `tensorflow/core/lib/io/record_writer.h`, and
`tensorflow/core/lib/hash/crc32c.h` for the mask.

The data of a frame are a row, written by Python's `json.dumps`:
`["<hash>", <epochs>, "<adjacency bits>", "<op,op,...>", "<base64>"]`. The base64 is a message (see
`protobuf.py`), written by `base64.encodebytes`: it has a line feed, escaped in JSON, after every 76
characters and at the end.
"""

from __future__ import annotations

import binascii
import json
import os
import re
import struct
from base64 import encodebytes
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeVar

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.assemble import NOWHERE, Source, opened
from naslib_ecnas.data.protobuf import ModelMetrics, ModelMetricsEnergy, decode, encode
from naslib_ecnas.errors import ChecksumError, FormatError, TruncatedError
from naslib_ecnas.files import atomic_write

__all__ = [
    "HASH_LENGTH",
    "Frames",
    "Row",
    "Training",
    "decode_row",
    "encode_row",
    "frame",
    "is_framed",
    "read_batches",
    "read_frames",
    "read_trainings",
    "write_frames",
    "write_trainings",
]

_HEADER, _FOOTER = 12, 4  # bytes before and after the data of a frame
_CHUNK = 1 << 22  # bytes read at a time
_MAX_DATA = 1 << 26  # most bytes of a frame's data; a row of a published file has under 1,024
_TOGETHER = 2048  # frames checked together: few enough to stay in the processor's cache
_MASK_DELTA = 0xA282EAD8
_ONES = np.uint32(0xFFFFFFFF)  # initial and final value of the CRC
_GZIP = b"\x1f\x8b"

#: Hexadecimal digits of NAS-Bench-101's hash of a cell.
HASH_LENGTH = 32
_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BITS = re.compile(r"[01]+", re.ASCII)
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_EPOCHS = re.compile(rb", ([1-9][0-9]{0,5}), ")
_MAX_EPOCHS = 999_999


# -- frames ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frames:
    """Consecutive frames of a file."""

    offsets: list[int]
    """(n,) byte offset of each frame in the file."""
    buffer: bytes
    """The bytes that the frames were taken from."""
    starts: NDArray[np.int64]
    """(n,) start of each frame's data in the buffer."""
    stops: NDArray[np.int64]
    """(n,) end of each frame's data in the buffer."""

    @property
    def data(self) -> list[bytes]:
        """(n,) data of each frame."""
        places = zip(self.starts.tolist(), self.stops.tolist(), strict=True)
        return [self.buffer[start:stop] for start, stop in places]

    def content(self, i: int) -> bytes:
        """Data of one frame."""
        return self.buffer[int(self.starts[i]) : int(self.stops[i])]


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """The frame around some data."""
    header = struct.pack("<Q", len(data))
    return b"".join(
        (
            header,
            struct.pack("<I", _masked(google_crc32c.value(header))),
            data,
            struct.pack("<I", _masked(google_crc32c.value(data))),
        )
    )


def is_framed(head: bytes) -> bool:
    """Whether the first bytes of a file are the header of a frame."""
    if len(head) < _HEADER:
        return False
    length, stated = struct.unpack("<8sI", head[:_HEADER])
    return bool(_masked(google_crc32c.value(length)) == stated)


def write_frames(path: str | PathLike[str], records: Iterable[bytes]) -> None:
    """Write records as a TFRecord file, whole or not at all.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    with atomic_write(Path(path)) as file:
        for data in records:
            file.write(frame(data))


def read_frames(path: str | PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """The frames of a TFRecord file, both checksums checked.

    Yields:
        `(offset, data)`: byte offset of the frame in the file, and its data.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: a frame reaches beyond the end of the file.
        ChecksumError: bytes do not have their checksum.
        FormatError: it is a gzip file, or a frame is larger than any row can be.
    """
    for frames in read_batches(path, chunk=1 << 16):
        yield from zip(frames.offsets, frames.data, strict=True)


def read_batches(
    path: str | PathLike[str], *, digest: Any = None, chunk: int = _CHUNK
) -> Iterator[Frames]:
    """The frames of a TFRecord file, as by `read_frames`, in batches of about `chunk` bytes.

    Takes a few times the memory of a batch, whatever lengths the frames claim.

    Args:
        path: the file.
        digest: an object of `hashlib` to update with all bytes of the file.
        chunk: bytes to read at a time.
    """
    name = str(path)
    # hashlib releases the interpreter lock for large pieces, so hashing runs beside the decoding.
    with opened(path, buffered=False) as file, ThreadPoolExecutor(1) as beside:
        size = os.fstat(file.fileno()).st_size
        known: dict[bytes, int] = {}
        rest, offset = b"", 0
        hashing: Future[None] | None = None
        while True:
            piece = file.read(chunk)
            if not piece:
                break
            if offset == 0 and not rest and piece[:2] == _GZIP:
                remedy = "unpack it first: gunzip < FILE > FILE.tfrecord"
                message = "the file is packed with gzip"
                raise FormatError(message, path=name, offset=0, remedy=remedy)
            if digest is not None:
                if hashing is not None:
                    hashing.result()  # in the file's order
                hashing = beside.submit(digest.update, piece)
            buffer = rest + piece if rest else piece
            frames, used = _split(buffer, offset, size, known, name)
            if frames.offsets:
                yield frames
            rest = buffer[used:]
            offset += used
            # The rest of a large frame is read at once and not copied again and again.
            chunk = max(chunk, known.get(rest[:_HEADER], 0))
        if rest:
            raise TruncatedError("the file ends within a frame", path=name, offset=offset)


def _split(
    buffer: bytes, base: int, size: int, known: dict[bytes, int], path: str
) -> tuple[Frames, int]:
    """The complete frames in a buffer, and their number of bytes.

    Args:
        buffer: bytes of the file.
        base: their byte offset in the file.
        size: size of the file.
        known: lengths by checked header, of which a file has few; new ones are added.
        path: the file.
    """
    found: list[int] = []
    position, end = 0, len(buffer)
    while end - position >= _HEADER:
        start = position + _HEADER
        header = buffer[position:start]
        length = known.get(header)
        if length is None:
            length = _length(header, base + position, size, path)
            if len(known) < 1 << 16:
                known[header] = length
        stop = start + length
        if stop + _FOOTER > end:
            if base + stop + _FOOTER > size:
                raise _beyond(length, base + position, path)
            break
        found.append(length)
        position = stop + _FOOTER
    lengths = np.array(found, dtype=np.int64)
    stops = np.cumsum(lengths + (_HEADER + _FOOTER)) - _FOOTER
    starts = stops - lengths
    frames = Frames((base + starts - _HEADER).tolist(), buffer, starts, stops)
    some = [slice(first, first + _TOGETHER) for first in range(0, len(found), _TOGETHER)]
    if not all(_intact(buffer, starts[part], stops[part]) for part in some):
        _check(frames, path)
    return frames, position


def _length(header: bytes, offset: int, size: int, path: str) -> int:
    """The length of the data that a frame's header states, checked."""
    length, stated = struct.unpack("<QI", header)
    masked = _masked(google_crc32c.value(header[:8]))
    if masked != stated:
        message = f"the length of a frame must have the checksum {stated:08x}"
        raise ChecksumError(message, path=path, offset=offset, value=f"{masked:08x}")
    if offset + _HEADER + length + _FOOTER > size:
        raise _beyond(length, offset, path)
    if length > _MAX_DATA:
        message = f"a row must have at most {_MAX_DATA} bytes"
        raise FormatError(message, path=path, offset=offset, value=length)
    return int(length)


def _beyond(length: int, offset: int, path: str) -> TruncatedError:
    message = f"a frame with {length} bytes of data reaches beyond the end of the file"
    return TruncatedError(message, path=path, offset=offset)


def _intact(buffer: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> bool:
    """Whether all frames have the checksums of their data, found by one CRC over all of them.

    As a polynomial, data followed by its CRC is a multiple of the CRC's generator once the initial
    value is added to the first four bytes and the final value to the last four. A concatenation of
    multiples is a multiple, so the remainder over all frames is 0. Damage to one frame is found
    whenever that frame's own checksum finds it, since the generator divides no power of x; damage
    to several frames escapes with the chance of any CRC, one in 2**32.

    Args:
        buffer: bytes that hold the frames.
        starts: (n,) starts of the data of consecutive frames.
        stops: (n,) ends of the data.
    """
    begin, end = int(starts[0]) - _HEADER, int(stops[-1]) + _FOOTER
    stream = np.frombuffer(buffer, dtype=np.uint8)[begin:end].copy()
    starts, stops = starts - begin, stops - begin
    words: NDArray[np.uint32] = np.ndarray((len(stream) - 3,), "<u4", stream, strides=(1,))
    for place in range(0, _HEADER, 4):  # headers were checked; zeros are a multiple, too
        words[starts - _HEADER + place] = 0
    masked = words[stops] - np.uint32(_MASK_DELTA)
    words[stops] = ~(masked << np.uint32(15) | masked >> np.uint32(17))
    words[starts] ^= _ONES
    words[0] ^= _ONES  # for the initial value that google_crc32c adds itself
    return bool(google_crc32c.value(stream.tobytes()) == _ONES)


def _check(frames: Frames, path: str) -> None:
    """Raise ChecksumError for the first frame whose data do not have their checksum."""
    for i, (offset, data) in enumerate(zip(frames.offsets, frames.data, strict=True)):
        masked = _masked(google_crc32c.value(data))
        stop = int(frames.stops[i])
        stated = int.from_bytes(frames.buffer[stop : stop + _FOOTER], "little")
        if masked != stated:
            message = f"the data of a frame must have the checksum {stated:08x}"
            raise ChecksumError(message, path=path, offset=offset, value=f"{masked:08x}")


# -- rows -----------------------------------------------------------------------------------------

_FORM = '["<32 hex digits>", <epochs>, "<v*v bits>", "<v operations>", "<base64>"]'


@dataclass(frozen=True)
class Row:
    """One row, with its message as bytes."""

    hash: str
    """NAS-Bench-101's hash of the cell, 32 hexadecimal digits."""
    epochs: int
    """Training budget."""
    bits: str
    """Adjacency matrix row by row, `0` and `1`."""
    ops: str
    """Operations, comma-separated."""
    message: bytes
    """The metrics as a protocol buffer."""


def encode_row(row: Row) -> bytes:
    """The bytes of a row, as the official files have them."""
    text = encodebytes(row.message).decode("ascii")
    return json.dumps([row.hash, row.epochs, row.bits, row.ops, text]).encode("ascii")


def decode_row(data: bytes, source: Source = NOWHERE) -> Row:
    """Read a row, in the official form or any other JSON of the same content.

    Raises:
        FormatError: the data are not such a row.
    """
    parts = data.split(b'"')
    # In the official form only the message has escapes, those of its line feeds.
    text = parts[7].replace(b"\\n", b"") if len(parts) == 9 else b"\\"
    if len(parts) == 9 and b"\\" not in parts[1] + parts[3] + parts[5] + text:
        epochs = _EPOCHS.fullmatch(parts[2])
        plain = parts[0] == b"[" and parts[4] == parts[6] == b", " and parts[8] == b"]"
        if epochs and plain:
            try:
                texts = [parts[i].decode("ascii") for i in (1, 3, 5)]
            except UnicodeDecodeError as error:
                raise source.fault("a row must be ASCII", value=data) from error
            packed = parts[7].replace(b"\\n", b"")
            return _checked(texts[0], int(epochs[1]), texts[1], texts[2], packed, source)
    return _from_json(data, source)


def _from_json(data: bytes, source: Source) -> Row:
    try:
        items = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise source.fault("a row must be JSON", value=data) from error
    texts = isinstance(items, list) and len(items) == 5 and [items[i] for i in (0, 2, 3, 4)]
    if not texts or not all(isinstance(text, str) for text in texts) or type(items[1]) is not int:
        raise source.fault(f"a row must be {_FORM}", value=data)
    try:
        packed = items[4].replace("\n", "").encode("ascii")
    except UnicodeEncodeError as error:
        raise source.fault("the message of a row must be base64", value=data) from error
    return _checked(items[0], items[1], items[2], items[3], packed, source)


def _checked(name: str, epochs: int, bits: str, ops: str, packed: bytes, source: Source) -> Row:
    if not _HASH.fullmatch(name):
        raise source.fault("a hash must be 32 hexadecimal digits in lower case", value=name)
    if not 1 <= epochs <= _MAX_EPOCHS:
        # No value for a huge number: Python refuses to print more than 4,300 digits.
        value = epochs if abs(epochs) < 1 << 64 else None
        raise source.fault(f"the epochs must be from 1 to {_MAX_EPOCHS}", value=value)
    if not _BITS.fullmatch(bits) or isqrt(len(bits)) ** 2 != len(bits):
        raise source.fault("an adjacency matrix must be v * v digits 0 and 1", value=bits)
    if not _BASE64.fullmatch(packed):
        raise source.fault("the message of a row must be base64", value=packed[-80:])
    return Row(name, epochs, bits, ops, binascii.a2b_base64(packed))


# -- records --------------------------------------------------------------------------------------

M = TypeVar("M", ModelMetrics, ModelMetricsEnergy)


@dataclass(frozen=True)
class Training(Generic[M]):
    """One record: a training of one cell."""

    hash: str
    """NAS-Bench-101's hash of the cell, 32 hexadecimal digits."""
    epochs: int
    """Training budget."""
    bits: str
    """Adjacency matrix in the file's labelling, row by row, `0` and `1`."""
    ops: str
    """Operations, comma-separated, `input` first and `output` last."""
    message: M
    """The metrics."""


def read_trainings(path: str | PathLike[str], kind: type[M]) -> Iterator[Training[M]]:
    """The records of a file, in its order. Hashes and cells are not checked.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: a frame, a row or a message is malformed; the offset is the frame's.
    """
    for offset, data in read_frames(path):
        source = Source(str(path), offset, exact=False)
        row = decode_row(data, source)
        message = decode(kind, row.message, source)
        yield Training(row.hash, row.epochs, row.bits, row.ops, message)


def write_trainings(path: str | PathLike[str], trainings: Iterable[Training[M]]) -> None:
    """Write records, whole or not at all.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    write_frames(
        path,
        (encode_row(Row(t.hash, t.epochs, t.bits, t.ops, encode(t.message))) for t in trainings),
    )
