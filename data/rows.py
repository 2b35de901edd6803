"""The rows of NAS-Bench-101's and EC-NAS's files: JSON around a message in base64.

A row is `["<hash>", <epochs>, "<adjacency bits>", "<op,op,...>", "<base64>"]`, written by Python's
`json.dumps`; the base64 is that of `base64.encodebytes`, with a line feed (escaped in JSON) after
every 76 characters and at the end.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import encodebytes
from dataclasses import dataclass
from math import isqrt

from naslib_ecnas.data.source import NOWHERE, Source

__all__ = ["HASH_LENGTH", "Row", "decode_row", "encode_row"]

#: Hexadecimal digits of NAS-Bench-101's hash of a cell.
HASH_LENGTH = 32

_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BITS = re.compile(r"[01]+", re.ASCII)
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_EPOCHS = re.compile(rb", ([1-9][0-9]{0,5}), ")
_MAX_EPOCHS = 999_999
_EXPECTED = '["<32 hex digits>", <epochs>, "<v*v bits>", "<v operations>", "<base64>"]'


@dataclass(frozen=True)
class Row:
    """One row, its message still as bytes."""

    hash: str
    """NAS-Bench-101's hash of the cell, 32 hexadecimal digits."""
    epochs: int
    """Training budget."""
    bits: str
    """Adjacency matrix row by row, `0` and `1`."""
    ops: str
    """Operations, comma-separated."""
    message: bytes
    """The metrics as a protocol buffer."""


def encode_row(row: Row) -> bytes:
    """The bytes of a row, as the official files have them."""
    text = encodebytes(row.message).decode("ascii")
    return json.dumps([row.hash, row.epochs, row.bits, row.ops, text]).encode("ascii")


def decode_row(data: bytes, source: Source = NOWHERE) -> Row:
    """Read a row, in the official form or any other JSON of the same content.

    Raises:
        FormatError: it is no such row.
    """
    parts = data.split(b'"')
    # Only the message has escapes in the official form, and only those of its line feeds.
    text = parts[7].replace(b"\\n", b"") if len(parts) == 9 else b"\\"
    if len(parts) == 9 and b"\\" not in parts[1] + parts[3] + parts[5] + text:
        epochs = _EPOCHS.fullmatch(parts[2])
        plain = parts[0] == b"[" and parts[4] == parts[6] == b", " and parts[8] == b"]"
        if epochs and plain:
            try:
                texts = [parts[i].decode("ascii") for i in (1, 3, 5)]
            except UnicodeDecodeError as error:
                raise _fault("a row is not ASCII", data, source) from error
            packed = parts[7].replace(b"\\n", b"")
            return _checked(texts[0], int(epochs[1]), texts[1], texts[2], packed, source)
    return _from_json(data, source)


def _from_json(data: bytes, source: Source) -> Row:
    try:
        items = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _fault(f"a row is not JSON ({type(error).__name__})", data, source) from error
    texts = isinstance(items, list) and len(items) == 5 and [items[i] for i in (0, 2, 3, 4)]
    if not texts or not all(isinstance(text, str) for text in texts) or type(items[1]) is not int:
        raise _fault("a row does not have the five items of a row", data, source)
    try:
        packed = items[4].replace("\n", "").encode("ascii")
    except UnicodeEncodeError as error:
        raise _fault("the message of a row is not base64", data, source) from error
    return _checked(items[0], items[1], items[2], items[3], packed, source)


def _checked(name: str, epochs: int, bits: str, ops: str, packed: bytes, source: Source) -> Row:
    if not _HASH.fullmatch(name):
        raise source.fault("no hash", value=name, expected="32 hexadecimal digits, lower case")
    if not 1 <= epochs <= _MAX_EPOCHS:
        raise source.fault(
            "no possible training budget",
            value=f"{epochs:.3e}" if abs(epochs) < 1 << 1000 else "a number of over 300 digits",
            expected=f"1 to {_MAX_EPOCHS} epochs",
        )
    if not _BITS.fullmatch(bits) or isqrt(len(bits)) ** 2 != len(bits):
        raise source.fault("no adjacency matrix", value=bits, expected="v * v digits 0 and 1")
    if not _BASE64.fullmatch(packed):
        raise source.fault("the message of a row is not base64", value=packed[-80:])
    return Row(name, epochs, bits, ops, binascii.a2b_base64(packed))


def _fault(what: str, data: bytes, source: Source) -> Exception:
    return source.fault(what, value=data[:120], expected=_EXPECTED)
