"""Rows: the official bytes, other JSON of the same content, and everything else refused."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.tfrecord import Row, decode_row, encode_row
from naslib_ecnas.errors import FormatError

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


BAD = {
    "nothing": b"",
    "no JSON": b"[1, 2",
    "not UTF-8": b'["\xff", 4, "0", "1", "2"]',
    "an object": b"{}",
    "four items": b'["a", 4, "0", "1"]',
    "a number as a text": official(ROW).replace(b"108", b'"108"'),
    "epochs 0": official(ROW).replace(b"108", b"0"),
    "epochs true": official(ROW).replace(b"108", b"true"),
    "epochs 1e99": official(ROW).replace(b"108", b"1e99"),
    "epochs of a thousand digits": official(ROW).replace(b"108", b"9" * 1000),
    "epochs of ten thousand digits": official(ROW).replace(b"108", b"9" * 10_000),
    "negative epochs": official(ROW).replace(b"108", b"-4"),
    "a short hash": official(ROW).replace(b"0" * 32, b"0" * 31),
    "a hash in capitals": official(ROW).replace(b"0" * 32, b"A" * 32),
    "bits of no square": official(ROW).replace(b"0100", b"01000"),
    "bits that are none": official(ROW).replace(b"0100", b"0102"),
    "bits in other digits": official(ROW).replace(b"0100", "\u0660\u0661\u0660\u0660".encode()),
    "base64 of other characters": official(ROW).replace(b"AAEC", b"A EC"),
    "base64 cut": official(ROW).replace(b"AAEC", b"AAE"),
    "base64 that is not ASCII": official(ROW).replace(b"AAEC", b"\\u00ff"),
    "deep nesting": b"[" * 100_000,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_garbage_is_refused_with_its_place(data: bytes) -> None:
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
