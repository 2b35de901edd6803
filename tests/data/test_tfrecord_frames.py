"""Framing: both checksums, bounded memory, whole files."""

from __future__ import annotations

import struct
import tracemalloc
from hashlib import sha256
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.data import tfrecord
from naslib_ecnas.errors import (
    ChecksumError,
    FormatError,
    StorageError,
    TruncatedError,
    UnknownTableError,
)


def masked(data: bytes) -> int:
    """The checksum as record_writer.h defines it, written for the test."""
    crc = google_crc32c.value(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return (rotated + 0xA282EAD8) % (1 << 32)


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def test_golden_frame() -> None:
    # What tf.io.TFRecordWriter (TensorFlow 2.21) writes for the record b"abc".
    golden = bytes.fromhex("0300000000000000b099490e6162636e57f121")
    assert tfrecord.frame(b"abc") == framed(b"abc") == golden


@settings(max_examples=40, deadline=None)
@given(
    records=st.lists(st.binary(max_size=200), max_size=30),
    chunk=st.integers(1, 300),
)
def test_records_come_back_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("frames") / "x.tfrecord"
    tfrecord.write_frames(path, records)
    raw = path.read_bytes()
    assert raw == b"".join(map(framed, records))
    digest = sha256()
    found, offsets = [], []
    for batch in tfrecord.read_batches(path, chunk=chunk, digest=digest):
        found += batch.data
        offsets += batch.offsets
    assert found == records
    assert [raw[o + 12 : o + 12 + len(d)] for o, d in zip(offsets, found, strict=True)] == records
    assert digest.hexdigest() == sha256(raw).hexdigest()
    assert [data for _, data in tfrecord.read_frames(path)] == records


def test_a_frame_of_2_to_the_60_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    length = struct.pack("<Q", 1 << 60)
    path = tmp_path / "huge.tfrecord"
    path.write_bytes(framed(b"good") + length + struct.pack("<I", masked(length)) + b"x" * 50)
    tracemalloc.start()
    with pytest.raises(TruncatedError, match="beyond the end") as caught:
        list(tfrecord.read_frames(path))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert (caught.value.path, caught.value.offset) == (str(path), 20)


def test_a_frame_larger_than_any_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.tfrecord"
    length = struct.pack("<Q", 1 << 27)
    with path.open("wb") as file:
        file.write(length + struct.pack("<I", masked(length)))
        file.truncate((1 << 27) + 16)
    with pytest.raises(FormatError, match="larger than any row") as caught:
        list(tfrecord.read_frames(path))
    assert caught.value.offset == 0


@pytest.mark.parametrize("cut", [1, 4, 5, 8, 15, 16, 19])
def test_every_cut_is_seen(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.tfrecord"
    path.write_bytes((framed(b"first") + framed(b"data"))[:-cut])
    with pytest.raises(TruncatedError) as caught:
        list(tfrecord.read_frames(path))
    assert caught.value.offset == 21


@pytest.mark.parametrize("bit", range(8 * 20))
def test_every_flipped_bit_is_seen(tmp_path: Path, bit: int) -> None:
    raw = bytearray(framed(b"first") + framed(b"data"))
    raw[21 + bit // 8] ^= 1 << bit % 8
    path = tmp_path / "flipped.tfrecord"
    path.write_bytes(raw)
    with pytest.raises((ChecksumError, TruncatedError)) as caught:
        list(tfrecord.read_frames(path))
    assert caught.value.offset == 21


def test_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "packed.tfrecord"
    path.write_bytes(b"\x1f\x8b" + b"\x00" * 40)
    with pytest.raises(FormatError, match="gzip"):
        list(tfrecord.read_frames(path))


def test_missing_files_and_unwritable_folders(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError, match="cannot be read"):
        list(tfrecord.read_frames(tmp_path / "none"))
    with pytest.raises(UnknownTableError):
        list(tfrecord.read_frames(tmp_path))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        tfrecord.write_frames(tmp_path / "file" / "x.tfrecord", [b"a"])


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def records() -> object:
        yield b"a"
        raise FormatError("stop")

    with pytest.raises(FormatError):
        tfrecord.write_frames(tmp_path / "x.tfrecord", records())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
