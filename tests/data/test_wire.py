"""The wire format: strict reading, canonical writing."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.data import protobuf
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.errors import FormatError, TruncatedError

HERE = Source("file.bin", 1000)


@given(st.integers(0, (1 << 64) - 1))
def test_varints_come_back(value: int) -> None:
    packed = protobuf.pack_varint(value)
    assert protobuf.varint(packed, 0) == (value, len(packed))
    assert len(packed) == max(1, -(-value.bit_length() // 7))


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(1, (1 << 29) - 1))
def test_signed_numbers_come_back(value: int, number: int) -> None:
    (field,) = protobuf.fields(protobuf.pack_int32(number, value))
    assert (field.number, field.wire_type, protobuf.int32(field)) == (
        number,
        protobuf.VARINT,
        value,
    )


@given(st.floats(allow_nan=False), st.binary(max_size=300))
def test_other_fields_come_back(value: float, raw: bytes) -> None:
    data = protobuf.pack_double(3, value) + protobuf.pack_bytes(70, raw)
    first, second = protobuf.fields(data)
    assert protobuf.double(data, first) == value
    assert (second.number, data[second.start : second.stop]) == (70, raw)


def test_negative_zero_and_nan_keep_their_bits() -> None:
    for value in (-0.0, math.nan):
        data = protobuf.pack_double(1, value)
        assert data == b"\x09" + struct.pack("<d", value)


def test_a_field_of_four_bytes_is_passed_over() -> None:
    data = b"\x0d\x01\x02\x03\x04" + protobuf.pack_double(2, 1.0)
    assert [field.number for field in protobuf.fields(data)] == [1, 2]


@pytest.mark.parametrize(
    ("data", "kind", "at"),
    [
        (b"\x80", TruncatedError, 0),
        (b"\x08", TruncatedError, 1),
        (b"\x09\x00\x00", TruncatedError, 0),
        (b"\x08\x01\x0a\x05abc", TruncatedError, 2),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", TruncatedError, 0),
        (b"\x08" + b"\x80" * 10 + b"\x01", FormatError, 1),
        (b"\x08" + b"\xff" * 9 + b"\x7f", FormatError, 1),
        (b"\x00\x00", FormatError, 0),
        (b"\x0b", FormatError, 0),
        (b"\x0c", FormatError, 0),
        (b"\x0e", FormatError, 0),
        (b"\x80\x80\x80\x80\x10\x00", FormatError, 0),
    ],
    ids=[
        "tag cut",
        "varint cut",
        "double cut",
        "bytes cut",
        "length beyond the end",
        "eleven bytes",
        "over 64 bits",
        "field 0",
        "group",
        "end of group",
        "wire type 6",
        "field 2**29",
    ],
)
def test_faults_are_located(data: bytes, kind: type[FormatError], at: int) -> None:
    with pytest.raises(kind, match=r"file\.bin at byte") as caught:
        list(protobuf.fields(data, HERE))
    assert (caught.value.path, caught.value.offset) == ("file.bin", 1000 + at)


def test_numbers_over_32_bits_are_refused() -> None:
    (field,) = protobuf.fields(b"\x08" + protobuf.pack_varint(1 << 31))
    with pytest.raises(FormatError, match="32 bits"):
        protobuf.int32(field)


@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    offsets = []
    try:
        offsets = [1000 + field.stop for field in protobuf.fields(data, HERE)]
        assert not data or offsets[-1] == 1000 + len(data)
    except FormatError as error:
        offsets.append(error.offset if error.offset is not None else -1)
    assert all(1000 <= offset <= 1000 + len(data) for offset in offsets)
