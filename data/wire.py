"""The wire format of protocol buffers, read strictly and written canonically.

A message is a sequence of fields; a field is a varint tag (number << 3 | wire type) and a value:
a varint (0), eight bytes (1), a length and so many bytes (2) or four bytes (5). Groups (3, 4) are
long deprecated and not used by any file that is read here. See
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from naslib_ecnas.data.source import NOWHERE, Source
from naslib_ecnas.errors import TruncatedError

__all__ = [
    "FIXED32",
    "FIXED64",
    "LENGTH",
    "VARINT",
    "Field",
    "double",
    "fields",
    "int32",
    "pack_bytes",
    "pack_double",
    "pack_int32",
    "pack_varint",
    "varint",
]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_SIZE = {FIXED64: 8, FIXED32: 4}
_MAX_FIELD = (1 << 29) - 1
_MAX_VARINT_BYTES = 10


class Field(NamedTuple):
    """One field of a message."""

    number: int
    wire_type: int
    value: int
    """The varint, or the number of bytes of another value."""
    start: int
    """Position of the value's first byte in the message (behind the length, if any)."""
    stop: int
    """Position behind the value's last byte."""


def varint(data: bytes, position: int, source: Source = NOWHERE) -> tuple[int, int]:
    """An unsigned varint of at most 64 bits.

    Returns:
        `(value, position behind it)`.

    Raises:
        TruncatedError: the bytes end within it.
        FormatError: it has more than ten bytes or more than 64 bits.
    """
    value = 0
    for i in range(_MAX_VARINT_BYTES):
        if position + i >= len(data):
            raise source.fault(
                "the bytes end within a varint",
                at=position,
                kind=TruncatedError,
                value=data[position:],
                expected="a last byte below 0x80",
            )
        byte = data[position + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if value >> 64:
                break
            return value, position + i + 1
    raise source.fault(
        "an overlong varint",
        at=position,
        value=data[position : position + _MAX_VARINT_BYTES],
        expected=f"at most {_MAX_VARINT_BYTES} bytes and 64 bits",
    )


def fields(data: bytes, source: Source = NOWHERE) -> Iterator[Field]:
    """The fields of a message, in the order of its bytes.

    Raises:
        TruncatedError: a value lies beyond the end of the message.
        FormatError: an overlong varint, a group, field number 0 or one over 2**29 - 1.
    """
    position, end = 0, len(data)
    while position < end:
        at = position
        tag, position = varint(data, position, source)
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number <= _MAX_FIELD:
            raise source.fault(
                "no possible field number",
                at=at,
                value=number,
                expected=f"1 to {_MAX_FIELD}",
            )
        if wire_type == VARINT:
            start = position
            value, position = varint(data, position, source)
            yield Field(number, VARINT, value, start, position)
            continue
        if wire_type == LENGTH:
            value, position = varint(data, position, source)
        elif wire_type in _SIZE:
            value = _SIZE[wire_type]
        else:
            raise source.fault(
                f"field {number} has a wire type that is not in use",
                at=at,
                value=wire_type,
                expected="0 (varint), 1 (8 bytes), 2 (length-delimited) or 5 (4 bytes)",
            )
        if value > end - position:
            raise source.fault(
                f"field {number} reaches beyond the end of its message",
                at=at,
                kind=TruncatedError,
                value=f"{value} bytes",
                expected=f"at most the {end - position} that are left",
            )
        yield Field(number, wire_type, value, position, position + value)
        position += value


def double(data: bytes, field: Field) -> float:
    """The value of a field of eight bytes."""
    value: float = struct.unpack_from("<d", data, field.start)[0]
    return value


def int32(field: Field, source: Source = NOWHERE) -> int:
    """The value of a varint field as a signed number of 32 bits.

    Raises:
        FormatError: it does not fit. (Negative numbers are written as 64 bits.)
    """
    value = field.value - (1 << 64) if field.value >> 63 else field.value
    if not -(1 << 31) <= value < 1 << 31:
        raise source.fault(
            f"field {field.number} does not fit 32 bits", at=field.start, value=value
        )
    return value


def pack_varint(value: int) -> bytes:
    """The shortest varint of a number from 0 to 2**64 - 1."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int, wire_type: int) -> bytes:
    return pack_varint(number << 3 | wire_type)


def pack_int32(number: int, value: int) -> bytes:
    """A varint field with a signed number."""
    return _tag(number, VARINT) + pack_varint(value & (1 << 64) - 1)


def pack_double(number: int, value: float) -> bytes:
    """A field of eight bytes."""
    return _tag(number, FIXED64) + struct.pack("<d", value)


def pack_bytes(number: int, value: bytes) -> bytes:
    """A length-delimited field: a string, bytes or a message."""
    return _tag(number, LENGTH) + pack_varint(len(value)) + value
