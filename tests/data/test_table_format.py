"""The header of a table file: it comes back, and other versions and lengths are told apart."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.data.table import ALIGN, Columns, pack, parse, write_table
from naslib_ecnas.errors import FormatError, TruncatedError
from naslib_ecnas.provenance import Provenance


@pytest.fixture
def raw(tmp_path: Path) -> bytes:
    """A synthetic table of three cells."""
    values = {"energy_kwh": np.array([[[0.5]], [[0.25]], [[np.nan]]])}
    rows = np.array([1, 5, 80], dtype=np.int32)
    columns = Columns("t", 4, rows, (4,), 1, values, {"energy_kwh": Provenance("synthetic")})
    write_table(tmp_path / "t.ecnas", columns)
    return (tmp_path / "t.ecnas").read_bytes()


def test_a_header_comes_back_byte_for_byte(raw: bytes) -> None:
    header = parse(BytesIO(raw), len(raw), "t.ecnas")
    packed = pack(header)
    assert raw.startswith(packed)
    assert len(packed) % ALIGN == 0
    assert parse(BytesIO(raw), len(raw), "t.ecnas") == header


@pytest.mark.parametrize("version", [0, 2, 1 << 31])
def test_another_version_is_told_before_anything_else_of_the_header(
    raw: bytes, version: int
) -> None:
    changed = raw[:8] + struct.pack("<I", version) + raw[12:]
    assert struct.unpack("<I", raw[8:12]) == (1,)
    with pytest.raises(FormatError, match="another version") as caught:
        parse(BytesIO(changed), len(changed), "t.ecnas")
    assert (caught.value.value, caught.value.offset) == (version, 8)
    assert "update" in str(caught.value.remedy)


@pytest.mark.parametrize("size", range(0, 24, 5))
def test_a_file_that_ends_within_its_preamble_is_told(raw: bytes, size: int) -> None:
    with pytest.raises((TruncatedError, FormatError)) as caught:
        parse(BytesIO(raw[:size]), size, "t.ecnas")
    assert caught.value.path == "t.ecnas"
