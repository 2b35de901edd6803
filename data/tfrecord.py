"""The framing of TFRecord files: read in batches, written whole.

A frame is the length of its data (u64, little endian), the masked CRC-32C of these eight bytes, the
data, and the masked CRC-32C of the data. See `tensorflow/core/lib/io/record_writer.h`, and
`tensorflow/core/lib/hash/crc32c.h` for the mask.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.source import opened
from naslib_ecnas.errors import ChecksumError, FormatError, TruncatedError
from naslib_ecnas.storage import atomic_write

__all__ = ["Frames", "frame", "is_framed", "read_batches", "read_frames", "write_frames"]

_HEADER, _FOOTER = 12, 4
_CHUNK = 1 << 22
#: No row of any published file has a kilobyte; what claims more than this is no such file.
_MAX_DATA = 1 << 26
# Frames whose data are checked together: few enough to stay in the processor's cache.
_TOGETHER = 2048
_MASK_DELTA = 0xA282EAD8
#: Initial and final value of the CRC.
_ONES = np.uint32(0xFFFFFFFF)
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Frames:
    """Consecutive frames of a file."""

    offsets: list[int]
    """(n,) byte offset of each frame in the file."""
    buffer: bytes
    """The bytes that the frames were taken from."""
    starts: NDArray[np.int64]
    """(n,) place in the buffer of each frame's content."""
    stops: NDArray[np.int64]
    """(n,) place in the buffer behind it."""

    @property
    def data(self) -> list[bytes]:
        """(n,) content of each frame."""
        places = zip(self.starts.tolist(), self.stops.tolist(), strict=True)
        return [self.buffer[start:stop] for start, stop in places]

    def content(self, i: int) -> bytes:
        """Content of one frame."""
        return self.buffer[int(self.starts[i]) : int(self.stops[i])]


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """The frame of one record."""
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
        `(offset, data)`: byte offset of the frame in the file, and its content.

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
    """The frames of a TFRecord file in batches of about `chunk` bytes, as `read_frames`.

    Memory is bounded by a few times the batch, whatever lengths the frames claim.

    Args:
        path: the file.
        digest: an object of `hashlib` that is updated with all bytes of the file.
        chunk: bytes that are read at a time.
    """
    name = str(path)
    # hashlib lets go of the interpreter for large pieces, so hashing runs beside the decoding.
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
                raise FormatError(
                    "the file is compressed with gzip, which is not supported here",
                    path=name,
                    offset=0,
                    value=piece[:2],
                    expected="an uncompressed TFRecord file",
                    remedy="unpack it first: gunzip < FILE > FILE.tfrecord",
                )
            if digest is not None:
                if hashing is not None:
                    hashing.result()  # in the file's order
                hashing = beside.submit(digest.update, piece)
            buffer = rest + piece if rest else piece
            # A frame larger than the chunk: read on only as far as it truly reaches.
            frames, used = _split(buffer, offset, size, known, name)
            if frames.offsets:
                yield frames
            rest = buffer[used:]
            offset += used
            chunk = max(chunk, _wanted(rest, known))
        if rest:
            raise _truncated(rest, offset, name)


def _wanted(rest: bytes, known: dict[bytes, int]) -> int:
    """Bytes to read at once so that a large frame is not copied again and again."""
    return known.get(rest[:_HEADER], 0) if len(rest) >= _HEADER else 0


def _split(
    buffer: bytes, base: int, size: int, known: dict[bytes, int], path: str
) -> tuple[Frames, int]:
    """The whole frames in a buffer, and how many bytes they take.

    `known` remembers checked headers: a file has few distinct lengths.
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
                raise _beyond(length, base + position, size, path)
            break
        found.append(length)
        position = stop + _FOOTER
    lengths = np.array(found, dtype=np.int64)
    stops = np.cumsum(lengths + (_HEADER + _FOOTER)) - _FOOTER
    starts = stops - lengths
    frames = Frames((base + starts - _HEADER).tolist(), buffer, starts, stops)
    some = [slice(first, first + _TOGETHER) for first in range(0, len(found), _TOGETHER)]
    if not all(_sound(buffer, starts[part], stops[part]) for part in some):
        _check(frames, path)
    return frames, position


def _length(header: bytes, offset: int, size: int, path: str) -> int:
    """The length that a frame's header states, checked."""
    length, stated = struct.unpack("<QI", header)
    masked = _masked(google_crc32c.value(header[:8]))
    if masked != stated:
        raise ChecksumError(
            "the length of a frame does not have its checksum",
            path=path,
            offset=offset,
            value=f"{masked:08x}",
            expected=f"{stated:08x}",
            remedy="bring the file again; it is damaged, or no TFRecord file",
        )
    if offset + _HEADER + length + _FOOTER > size:
        raise _beyond(length, offset, size, path)
    if length > _MAX_DATA:
        raise FormatError(
            "a frame is larger than any row can be",
            path=path,
            offset=offset,
            value=f"{length} bytes",
            expected=f"at most {_MAX_DATA}",
            remedy="check that the file holds NAS-Bench-101 or EC-NAS rows",
        )
    return int(length)


def _beyond(length: int, offset: int, size: int, path: str) -> TruncatedError:
    return TruncatedError(
        "a frame reaches beyond the end of the file",
        path=path,
        offset=offset,
        value=f"a frame of {length} bytes of data",
        expected=f"at most the {max(size - offset - _HEADER - _FOOTER, 0)} that are left",
        remedy="bring the file again",
    )


def _truncated(rest: bytes, offset: int, path: str) -> TruncatedError:
    return TruncatedError(
        "the file ends within a frame",
        path=path,
        offset=offset,
        value=f"{len(rest)} bytes left",
        expected="a whole frame",
        remedy="bring the file again",
    )


def _sound(buffer: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> bool:
    """Whether all data have their checksums, by one CRC of the whole.

    As polynomials, bytes with their CRC behind them are a multiple of the CRC's generator, once
    its initial value is added to their first four bytes and its final value to their last four.
    Multiples behind each other are one multiple, so the remainder of all is 0. Damage to one frame
    is seen just where that frame's checksum shows it, as the generator divides no power of x;
    damage to several escapes with the chance that it has with any CRC, one in 2**32.

    Args:
        buffer: bytes that hold the frames.
        starts: (n,) places of the data of consecutive frames.
        stops: (n,) places behind their data.
    """
    begin, end = int(starts[0]) - _HEADER, int(stops[-1]) + _FOOTER
    stream = np.frombuffer(buffer, dtype=np.uint8)[begin:end].copy()
    starts, stops = starts - begin, stops - begin
    words: NDArray[np.uint32] = np.ndarray((len(stream) - 3,), "<u4", stream, strides=(1,))
    for place in range(0, _HEADER, 4):  # headers were checked: zeros are a multiple too
        words[starts - _HEADER + place] = 0
    masked = words[stops] - np.uint32(_MASK_DELTA)
    words[stops] = ~(masked << np.uint32(15) | masked >> np.uint32(17))
    words[starts] ^= _ONES
    words[0] ^= _ONES  # for the initial value that google_crc32c adds itself
    return bool(google_crc32c.value(stream.tobytes()) == _ONES)


def _check(frames: Frames, path: str) -> None:
    """Compare the checksums of all data one by one, and tell the first that is wrong."""
    for i, (offset, data) in enumerate(zip(frames.offsets, frames.data, strict=True)):
        masked = _masked(google_crc32c.value(data))
        stop = int(frames.stops[i])
        stated = int.from_bytes(frames.buffer[stop : stop + _FOOTER], "little")
        if masked != stated:
            raise ChecksumError(
                "the data of a frame does not have its checksum",
                path=path,
                offset=offset,
                value=f"{masked:08x}",
                expected=f"{stated:08x}",
                remedy="bring the file again; it is damaged",
            )
