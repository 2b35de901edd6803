"""TFRecord files: frames and their checksums, bounded memory; fields of protocol buffers."""

from __future__ import annotations

import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas import errors
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.tfrecord import (
    fields,
    frame,
    pack,
    read_batches,
    read_frames,
    varint,
    write_frames,
)
from naslib_ecnas.errors import FormatError, TruncatedError


def masked(data: bytes) -> int:
    """The checksum as record_writer.h defines it, written for the test."""
    crc = google_crc32c.value(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return (rotated + 0xA282EAD8) % (1 << 32)


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def read_all(path: Path) -> list[bytes]:
    return [data for _, data in read_frames(path)]


# -- frames ---------------------------------------------------------------------------------------


def test_golden_frame() -> None:
    # What tf.io.TFRecordWriter (TensorFlow 2.21) writes for the record b"abc".
    golden = bytes.fromhex("0300000000000000b099490e6162636e57f121")
    assert frame(b"abc") == framed(b"abc") == golden


@settings(max_examples=40, deadline=None)
@given(records=st.lists(st.binary(max_size=200), max_size=30), chunk=st.integers(1, 300))
def test_records_come_back_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("frames") / "x.tfrecord"
    write_frames(path, records)
    raw = path.read_bytes()
    assert raw == b"".join(map(framed, records))
    digest = sha256()
    found: list[bytes] = []
    offsets: list[int] = []
    for places, batch in read_batches(path, chunk=chunk, digest=digest):
        found += batch
        offsets += places
    assert found == read_all(path) == records
    assert [raw[o + 12 : o + 12 + len(d)] for o, d in zip(offsets, found, strict=True)] == records
    assert digest.hexdigest() == sha256(raw).hexdigest()


def test_huge_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.tfrecord"
    length = struct.pack("<Q", 1 << 60)
    path.write_bytes(framed(b"good") + length + struct.pack("<I", masked(length)) + b"x" * 50)
    with pytest.raises(errors.TruncatedError, match="beyond the end") as caught:
        read_all(path)
    assert (caught.value.path, caught.value.offset) == (str(path), 20)
    length = struct.pack("<Q", 1 << 27)
    with path.open("wb") as file:
        file.write(length + struct.pack("<I", masked(length)))
        file.truncate((1 << 27) + 16)
    with pytest.raises(FormatError, match="at most 65536 bytes"):
        read_all(path)
    with pytest.raises(FormatError, match="at most 65536 bytes"):
        write_frames(path, [bytes(1 << 17)])  # what would not be read is not written


def test_every_cut_and_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path, good = tmp_path / "x.tfrecord", framed(b"first") + framed(b"data")
    for cut in (1, 4, 5, 8, 15, 16, 19):
        path.write_bytes(good[:-cut])
        with pytest.raises(errors.TruncatedError) as caught:
            read_all(path)
        assert caught.value.offset == 21
    for bit in range(8 * 20):
        raw = bytearray(good)
        raw[21 + bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        with pytest.raises((errors.ChecksumError, errors.TruncatedError)) as flipped:
            read_all(path)
        assert flipped.value.offset == 21


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.binary(max_size=9), min_size=1, max_size=12),
    changes=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), max_size=4),
)
def test_the_first_wrong_checksum_is_named(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[bytes],
    changes: list[tuple[int, int]],
) -> None:
    raw = bytearray(b"".join(map(framed, records)))
    starts = [sum(len(framed(data)) for data in records[:i]) for i in range(len(records))]
    sizes = dict(zip(starts, map(len, records), strict=True))
    # Only data and their checksums are changed: wrong lengths are found at once.
    free = [start + 12 + place for start, size in sizes.items() for place in range(size + 4)]
    for place, change in changes:
        raw[free[place % len(free)]] ^= change
    stated = {s: struct.unpack_from("<I", raw, s + 12 + size)[0] for s, size in sizes.items()}
    wrong = [s for s in starts if stated[s] != masked(bytes(raw[s + 12 : s + 12 + sizes[s]]))]
    path = tmp_path_factory.mktemp("wrong") / "x.tfrecord"
    path.write_bytes(raw)
    if not wrong:
        assert read_all(path) == records
        return
    with pytest.raises(errors.ChecksumError, match=f"{stated[wrong[0]]:08x}") as caught:
        read_all(path)
    assert caught.value.offset == wrong[0]


def test_a_packed_file_and_one_that_cannot_be_finished(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x1f\x8b" + b"\x00" * 40)
    with pytest.raises(FormatError, match="gunzip"):
        read_all(path)

    def records() -> Any:
        yield b"a"
        raise FormatError("stop")

    with pytest.raises(FormatError):
        write_frames(tmp_path / "x.tfrecord", records())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_tensorflow_reads_and_writes_the_same(tmp_path: Path, reference: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="tensorflow is not installed")

    def theirs(path: Path) -> list[bytes]:
        return [item.numpy() for item in tensorflow.data.TFRecordDataset(str(path))]

    records = [bytes([i % 251]) * (i * 37 % 900) for i in range(300)]
    write_frames(tmp_path / "ours", records)
    assert theirs(tmp_path / "ours") == records
    with tensorflow.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()
    paths = sorted((reference / "official").glob("*.tfrecord"))
    assert len(paths) == 7
    for path in paths:
        assert read_all(path) == theirs(path)


# -- fields ---------------------------------------------------------------------------------------


@given(
    st.integers(0, (1 << 64) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(1, (1 << 29) - 1),
    st.floats(),
    st.binary(max_size=300),
)
def test_fields_come_back(large: int, value: int, number: int, real: float, raw: bytes) -> None:
    data = pack(number, value) + pack(3, real) + b"\x0d\x01\x02\x03\x04" + pack(70, raw)
    first, second, third, fourth = fields(b"..." + data + b"...", 3, 3 + len(data))
    assert [one.number for one in (first, second, third, fourth)] == [number, 3, 1, 70]
    assert [one.wire_type for one in (first, second, third, fourth)] == [0, 1, 5, 2]
    assert varint(b"..." + data, first.start, first.stop) == (value % (1 << 64), first.stop)
    assert (b"..." + data)[second.start : second.stop] == struct.pack("<d", real)
    assert (b"..." + data)[fourth.start : fourth.stop] == raw
    (whole,) = fields(pack(1, large))
    assert whole.stop == 1 + max(1, -(-large.bit_length() // 7))


FAULTS: dict[str, tuple[bytes, type[FormatError], int]] = {
    "tag cut": (b"\x80", TruncatedError, 0),
    "varint cut": (b"\x08", TruncatedError, 1),
    "double cut": (b"\x09\x00\x00", TruncatedError, 0),
    "bytes cut": (b"\x08\x01\x0a\x05abc", TruncatedError, 2),
    "length beyond the end": (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", TruncatedError, 0),
    "eleven bytes": (b"\x08" + b"\x80" * 10 + b"\x01", FormatError, 1),
    "over 64 bits": (b"\x08" + b"\xff" * 9 + b"\x7f", FormatError, 1),
    "field 0": (b"\x00\x00", FormatError, 0),
    "group": (b"\x0b", FormatError, 0),
    "end of group": (b"\x0c", FormatError, 0),
    "wire type 6": (b"\x0e", FormatError, 0),
    "field 2**29": (b"\x80\x80\x80\x80\x10\x00", FormatError, 0),
}


def test_faults_are_located() -> None:
    for name, (data, kind, at) in FAULTS.items():
        with pytest.raises(kind, match=r"file\.bin at byte") as caught:
            list(fields(data, source=Source("file.bin", 1000)))
        assert (caught.value.path, caught.value.offset) == ("file.bin", 1000 + at), name


@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    at = -1
    try:
        stops = [one.stop for one in fields(data, source=Source("x", 0))]
        assert not data or stops[-1] == len(data)
    except FormatError as error:
        at = error.offset if error.offset is not None else len(data) + 1
    assert at <= len(data)
