"""Framing: both checksums, bounded memory, whole files."""

from __future__ import annotations

import struct
import tracemalloc
from hashlib import sha256
from pathlib import Path

import google_crc32c
import numpy as np
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


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.binary(max_size=9), min_size=1, max_size=12),
    together=st.integers(1, 5),
    changes=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), max_size=4),
)
def test_the_first_wrong_checksum_is_told(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[bytes],
    together: int,
    changes: list[tuple[int, int]],
) -> None:
    raw = bytearray(b"".join(map(framed, records)))
    starts = [sum(len(framed(data)) for data in records[:i]) for i in range(len(records))]
    # Of data and their checksums, as those of a length are seen at once.
    free = [
        start + 12 + place
        for start, data in zip(starts, records, strict=True)
        for place in range(len(data) + 4)
    ]
    for place, change in changes:
        raw[free[place % len(free)]] ^= change
    wrong = [
        start
        for start, data in zip(starts, records, strict=True)
        if (found := bytes(raw[start + 12 :])[: len(data) + 4])[-4:]
        != struct.pack("<I", masked(found[:-4]))
    ]
    path = tmp_path_factory.mktemp("wrong") / "x.tfrecord"
    path.write_bytes(raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfrecord, "_TOGETHER", together)
        if not wrong:
            assert [data for _, data in tfrecord.read_frames(path)] == records
            return
        with pytest.raises(ChecksumError, match="data of a frame") as caught:
            list(tfrecord.read_frames(path))
    assert caught.value.offset == wrong[0]
    stated = struct.unpack_from("<I", raw, wrong[0] + 12 + len(records[starts.index(wrong[0])]))
    assert caught.value.expected == f"{stated[0]:08x}"


@settings(max_examples=60, deadline=None)
@given(records=st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_sound_frames_are_seen_at_once(records: list[bytes]) -> None:
    """Else every batch would be checked frame by frame, which is right but slow."""
    before = b"?" * 5
    stops = len(before) + np.cumsum([len(framed(data)) for data in records]) - 4
    starts = stops - [len(data) for data in records]
    assert tfrecord._sound(before + b"".join(map(framed, records)) + before, starts, stops)


def test_the_same_damage_to_several_frames_does_not_cancel_out(tmp_path: Path) -> None:
    raw = bytearray(framed(b"the same data") * 4)
    for frame in (1, 3):
        raw[frame * 29 + 15] ^= 1
    path = tmp_path / "x.tfrecord"
    path.write_bytes(raw)
    with pytest.raises(ChecksumError) as caught:
        list(tfrecord.read_frames(path))
    assert caught.value.offset == 29


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
