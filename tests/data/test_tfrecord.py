"""TFRecord files: frames and their checksums, bounded memory; rows in any JSON."""

from __future__ import annotations

import base64
import json
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas import errors
from naslib_ecnas.data import tfrecord
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.tfrecord import Row, decode_row, encode_row, frame, read_frames, write_frames
from naslib_ecnas.errors import FormatError


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
    found, offsets = [], []
    with pytest.MonkeyPatch.context() as patch:
        # Checking frame by frame is right but slow: intact ones pass the check of many at once.
        patch.setattr(tfrecord, "_check", lambda *_: pytest.fail("checked one by one"))
        for batch in tfrecord.read_batches(path, chunk=chunk, digest=digest):
            found += batch.data
            offsets += batch.offsets
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
    with pytest.raises(FormatError, match="at most 67108864 bytes"):
        read_all(path)


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
    together=st.integers(1, 5),
    changes=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), max_size=4),
)
def test_the_first_wrong_checksum_is_named(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[bytes],
    together: int,
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfrecord, "_TOGETHER", together)
        if not wrong:
            assert read_all(path) == records
            return
        with pytest.raises(errors.ChecksumError, match=f"{stated[wrong[0]]:08x}") as caught:
            read_all(path)
    assert caught.value.offset == wrong[0]


def test_equal_damage_to_two_frames_does_not_cancel_out(tmp_path: Path) -> None:
    raw = bytearray(framed(b"the same data") * 4)
    for number in (1, 3):
        raw[number * 29 + 15] ^= 1
    (tmp_path / "x.tfrecord").write_bytes(raw)
    with pytest.raises(errors.ChecksumError) as caught:
        read_all(tmp_path / "x.tfrecord")
    assert caught.value.offset == 29


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


# -- rows -----------------------------------------------------------------------------------------

HERE = Source("file.tfrecord", 77, exact=False)
ROW = Row("0" * 32, 108, "0100", "input,output", bytes(range(200)))


def official(row: Row) -> bytes:
    """The bytes as EC-NAS-Bench's script writes them."""
    text = base64.encodebytes(row.message).decode("utf-8")
    return json.dumps([row.hash, int(row.epochs), row.bits, row.ops, text]).encode("utf-8")


@settings(max_examples=50)
@given(
    st.binary(max_size=400),
    st.integers(1, 999_999),
    st.text("0123456789abcdef", min_size=32, max_size=32),
)
def test_rows_come_back_and_have_the_official_bytes(message: bytes, epochs: int, name: str) -> None:
    row = Row(name, epochs, "010000000", "input,maxpool3x3,output", message)
    assert encode_row(row) == official(row)
    assert decode_row(encode_row(row), HERE) == row


def test_other_json_of_the_same_content_is_read() -> None:
    items = json.loads(official(ROW))
    assert decode_row(json.dumps(items, indent=3).encode(), HERE) == ROW
    items[3] = "input,out\\put"
    assert decode_row(json.dumps(items).encode(), HERE).ops == "input,out\\put"
    items[4] = base64.b64encode(ROW.message).decode()
    assert decode_row(json.dumps(items).encode(), HERE).message == ROW.message


def test_malformed_rows_are_refused_with_their_place() -> None:
    good = official(ROW)
    epochs = (b'"108"', b"0", b"true", b"1e99", b"9" * 1000, b"9" * 10_000, b"-4")
    bits = (b"01000", b"0102", "\u0660\u0661\u0660\u0660".encode())
    for data in (
        *(b"", b"[1, 2", b'["\xff", 4, "0", "1", "2"]', b"{}", b'["a", 4, "0", "1"]'),
        *(good.replace(b"108", other) for other in epochs),
        *(good.replace(b"0" * 32, other) for other in (b"0" * 31, b"A" * 32)),
        *(good.replace(b"0100", other) for other in bits),
        *(good.replace(b"AAEC", other) for other in (b"A EC", b"AAE", b"\\u00ff")),
        b"[" * 100_000,
    ):
        with pytest.raises(FormatError) as caught:
            decode_row(data, HERE)
        assert (caught.value.path, caught.value.offset) == ("file.tfrecord", 77)
        assert len(str(caught.value)) < 1000


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(official(ROW)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_read_or_refused(place: int, change: int) -> None:
    data = bytearray(official(ROW))
    data[place] ^= change
    try:
        row = decode_row(bytes(data), HERE)
    except FormatError:
        return
    assert decode_row(encode_row(row)) == row
