"""TFRecord files, and the wire format of the protocol buffers in their records.

A TFRecord file is a sequence of frames: the length of the data (u64, little endian), the masked
CRC-32C of these eight bytes, the data, and the masked CRC-32C of the data. See
`tensorflow/core/lib/io/record_writer.h`, and `tensorflow/core/lib/hash/crc32c.h` for the mask.

A protocol buffer is a sequence of fields: a varint (field number << 3 | wire type) and a value,
which is a varint (wire type 0), eight bytes (1), a length and so many bytes (2) or four bytes (5).
See https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from naslib_ecnas.data.assemble import Source, opened, pieces
from naslib_ecnas.errors import ChecksumError, TruncatedError
from naslib_ecnas.files import atomic_write

# -- frames ----

_HEADER, _FOOTER = 12, 4  # bytes before and after the data of a frame
_MAX_DATA = 1 << 16  # most bytes of a frame's data; a row of a published file has under 1,024
_TOO_LONG = f"a row must have at most {_MAX_DATA} bytes"


def _masked(crcs: Any) -> Any:
    """The masked form of a checksum, or of an int64 array of them."""
    return ((crcs >> 15 | crcs << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """The frame around some data."""
    length = struct.pack("<Q", len(data))
    sums = [struct.pack("<I", _masked(google_crc32c.value(part))) for part in (length, data)]
    return length + sums[0] + data + sums[1]


def is_framed(head: bytes) -> bool:
    """Whether the first bytes of a file are the header of a frame."""
    return len(head) >= _HEADER and _masked(google_crc32c.value(head[:8])) == int.from_bytes(
        head[8:_HEADER], "little"
    )


def write_frames(path: str | PathLike[str], records: Iterable[bytes]) -> None:
    """Write records as a TFRecord file, whole or not at all.

    Raises:
        FormatError: a record is larger than any that is read.
        StorageError: the folder cannot be written or the disk is full.
    """
    with atomic_write(Path(path)) as file:
        for data in records:
            if len(data) > _MAX_DATA:
                raise Source(path).fault(_TOO_LONG, value=len(data))
            file.write(frame(data))


def read_frames(path: str | PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """Byte offset and data of every frame of a file, as by `read_batches`."""
    for offsets, records in read_batches(path):
        yield from zip(offsets, records, strict=True)


def read_batches(
    path: str | PathLike[str], *, digest: Any = None
) -> Iterator[tuple[list[int], list[bytes]]]:
    """Byte offsets and data of a file's frames, some megabytes at a time, both checksums checked.

    Takes a few times the memory of a batch, whatever lengths the frames claim. If `digest`, an
    object of `hashlib`, is given, it is updated with all bytes of the file.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: the file ends within a frame.
        ChecksumError: bytes do not have their checksum.
        FormatError: a frame is larger than any row can be.
    """
    lengths: dict[bytes, int] = {}  # a file has few different headers, so each is checked once
    rest, begin = b"", 0
    with opened(path) as file:
        for piece in pieces(file):
            if digest is not None:
                digest.update(piece)
            buffer, at = rest + piece, 0
            records: list[bytes] = []
            stops: list[int] = []
            while (start := at + _HEADER) <= len(buffer):
                header = buffer[at:start]
                if header not in lengths:
                    lengths[header] = _length(header, Source(path, begin + at))
                stop = start + lengths[header]
                if stop + _FOOTER > len(buffer):
                    break
                records.append(buffer[start:stop])
                stops.append(stop)
                at = stop + _FOOTER
            if records:
                offsets = [begin, *(begin + stop + _FOOTER for stop in stops[:-1])]
                places = np.array(stops)[:, None] + np.arange(_FOOTER)
                stated = np.frombuffer(buffer, dtype=np.uint8)[places].view("<u4")[:, 0]
                found = _masked(np.fromiter(map(google_crc32c.value, records), np.int64))
                for i in np.flatnonzero(found != stated).tolist():
                    message = f"the data of a frame must have the checksum {stated[i]:08x}"
                    source, value = Source(path, offsets[i]), f"{found[i]:08x}"
                    raise source.fault(message, kind=ChecksumError, value=value)
                yield offsets, records
            rest, begin = buffer[at:], begin + at
        if rest:
            raise Source(path, begin).fault("the file ends within a frame", kind=TruncatedError)


def _length(header: bytes, source: Source) -> int:
    """The length in the header of a frame."""
    if not is_framed(header):
        message = "the length of a frame does not have the checksum beside it"
        raise source.fault(message, kind=ChecksumError)
    length = int.from_bytes(header[:8], "little")
    if length > _MAX_DATA:
        raise source.fault(_TOO_LONG, value=length)
    return length


# -- fields of a protocol buffer ----

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_SIZE = {FIXED64: 8, FIXED32: 4}
_MAX_FIELD = (1 << 29) - 1
_MAX_VARINT_BYTES = 10


class Field(NamedTuple):
    """One field of a message."""

    number: int
    wire_type: int
    start: int
    """Position of the value's first byte (behind the length, if any)."""
    stop: int
    """Position behind the value's last byte."""


def varint(data: bytes, at: int, stop: int, source: Source) -> tuple[int, int]:
    """An unsigned varint of at most 64 bits that begins at `at`, and the position behind it.

    Raises:
        TruncatedError: `stop` lies within it.
        FormatError: it has more than ten bytes or more than 64 bits.
    """
    value = 0
    for i, byte in enumerate(data[at : min(at + _MAX_VARINT_BYTES, stop)]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80 and not value >> 64:
            return value, at + i + 1
    if stop - at < _MAX_VARINT_BYTES:
        raise source.fault("the bytes end within a varint", kind=TruncatedError)
    raise source.fault("a varint must have at most ten bytes and 64 bits")


def fields(data: bytes, source: Source, start: int = 0, stop: int | None = None) -> Iterator[Field]:
    """The fields of the message `data[start:stop]`, in the order of its bytes.

    Raises:
        TruncatedError: a value lies beyond the end of the message.
        FormatError: an overlong varint, a group (wire types 3 and 4, long deprecated), field number
            0 or one over 2**29 - 1.
    """
    at, end = start, len(data) if stop is None else stop
    while at < end:
        tag, at = varint(data, at, end, source)
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number <= _MAX_FIELD:
            raise source.fault(f"a field number must be from 1 to {_MAX_FIELD}", value=number)
        if wire_type == VARINT:
            length = varint(data, at, end, source)[1] - at
        elif wire_type == LENGTH:
            length, at = varint(data, at, end, source)
        elif wire_type in _SIZE:
            length = _SIZE[wire_type]
        else:
            message = f"field {number} must have wire type 0, 1, 2 or 5"
            raise source.fault(message, value=wire_type)
        if length > end - at:
            message = f"field {number} of {length} bytes reaches beyond the end of its message"
            raise source.fault(message, kind=TruncatedError)
        yield Field(number, wire_type, at, at + length)
        at += length


def _packed_varint(value: int) -> bytes:
    """The shortest varint of a number from 0 to 2**64 - 1."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def pack(number: int, value: int | float | bytes) -> bytes:
    """A field of a message: a varint for an int, eight bytes for a float, else bytes."""
    if isinstance(value, bytes):
        return _packed_varint(number << 3 | LENGTH) + _packed_varint(len(value)) + value
    if isinstance(value, float):
        return _packed_varint(number << 3 | FIXED64) + struct.pack("<d", value)
    return _packed_varint(number << 3 | VARINT) + _packed_varint(value & (1 << 64) - 1)
