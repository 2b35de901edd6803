"""TFRecord files: frames and their checksums, bounded memory; fields of protocol buffers."""

from __future__ import annotations

import struct
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas import errors
from naslib_ecnas.data import assemble, tfrecord
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


def read_all(path: Path) -> list[bytes]:
    return [data for _, data in read_frames(path)]


# -- frames ---------------------------------------------------------------------------------------


def test_golden_frame() -> None:
    # What tf.io.TFRecordWriter (TensorFlow 2.21) writes for the record b"abc".
    golden = bytes.fromhex("0300000000000000b099490e6162636e57f121")
    assert frame(b"abc") == golden


@settings(max_examples=40, deadline=None)
@given(records=st.lists(st.binary(max_size=200), max_size=30), chunk=st.integers(1, 300))
def test_records_come_back_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("frames") / "x.tfrecord"
    write_frames(path, records)
    raw = path.read_bytes()
    assert raw == b"".join(map(frame, records))
    digest = sha256()
    found: list[bytes] = []
    offsets: list[int] = []
    with patch.object(assemble, "_PIECE", chunk):
        for places, batch in read_batches(path, digest=digest):
            found += batch
            offsets += places
    assert found == read_all(path) == records
    assert [raw[o + 12 : o + 12 + len(d)] for o, d in zip(offsets, found, strict=True)] == records
    assert digest.hexdigest() == sha256(raw).hexdigest()


def test_huge_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.tfrecord"
    for size in (1 << 60, (1 << 16) + 1):
        length = struct.pack("<Q", size)
        header = length + struct.pack("<I", tfrecord._masked(google_crc32c.value(length)))
        path.write_bytes(frame(b"good") + header + b"x" * 50)
        with pytest.raises(FormatError, match="at most 65536 bytes") as caught:
            read_all(path)
        assert (caught.value.path, caught.value.offset) == (str(path), 20)
    with pytest.raises(FormatError, match="at most 65536 bytes"):
        write_frames(path, [bytes(1 << 17)])  # what would not be read is not written


def test_every_cut_and_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path, good = tmp_path / "x.tfrecord", frame(b"first") + frame(b"data")
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
    first, second, third, fourth = fields(b"..." + data + b"...", Source(), 3, 3 + len(data))
    assert [one.number for one in (first, second, third, fourth)] == [number, 3, 1, 70]
    assert [one.wire_type for one in (first, second, third, fourth)] == [0, 1, 5, 2]
    assert varint(b"..." + data, first.start, first.stop, Source()) == (
        value % (1 << 64),
        first.stop,
    )
    assert (b"..." + data)[second.start : second.stop] == struct.pack("<d", real)
    assert (b"..." + data)[fourth.start : fourth.stop] == raw
    (whole,) = fields(pack(1, large), Source())
    assert whole.stop == 1 + max(1, -(-large.bit_length() // 7))


FAULTS: dict[str, tuple[bytes, type[FormatError]]] = {
    "tag cut": (b"\x80", TruncatedError),
    "varint cut": (b"\x08", TruncatedError),
    "double cut": (b"\x09\x00\x00", TruncatedError),
    "bytes cut": (b"\x08\x01\x0a\x05abc", TruncatedError),
    "length beyond the end": (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", TruncatedError),
    "eleven bytes": (b"\x08" + b"\x80" * 10 + b"\x01", FormatError),
    "over 64 bits": (b"\x08" + b"\xff" * 9 + b"\x7f", FormatError),
    "field 0": (b"\x00\x00", FormatError),
    "group": (b"\x0b", FormatError),
    "end of group": (b"\x0c", FormatError),
    "wire type 6": (b"\x0e", FormatError),
    "field 2**29": (b"\x80\x80\x80\x80\x10\x00", FormatError),
}


def test_faults_are_located() -> None:
    for name, (data, kind) in FAULTS.items():
        with pytest.raises(kind, match=r"file\.bin at byte") as caught:
            list(fields(data, Source("file.bin", 1000)))
        assert type(caught.value) is kind, name
        assert (caught.value.path, caught.value.offset) == ("file.bin", 1000), name


@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    with suppress(FormatError):
        stops = [one.stop for one in fields(data, Source())]
        assert not data or stops[-1] == len(data)
