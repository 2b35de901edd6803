"""The table file: round trips, damage of every kind, what it costs."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.table import Table, write_table
from naslib_ecnas.data.table_format import BLOCK
from naslib_ecnas.errors import (
    ChecksumError,
    FormatError,
    StorageError,
    TruncatedError,
    UnknownCellError,
    UnknownMetricError,
    UnknownTableError,
)
from naslib_ecnas.provenance import Provenance


def columns(cells: int = 40, vertices: int = 5, repeats: int = 3, seed: int = 0) -> Columns:
    """A synthetic table with missing values; one column needs float64, one does not."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(91, cells, replace=False)).astype(np.int32)
    shape = (cells, 2, repeats)
    energy = rng.random(shape)
    energy[-1, 1, :] = np.nan
    accuracy = rng.integers(0, 9985, shape).astype(np.float32).astype(np.float64) / 16384
    return Columns(
        name="synthetic",
        vertices=vertices,
        rows=rows,
        budgets=(4, 12),
        repeats=repeats,
        values={"energy_kwh": energy, "validation_accuracy": accuracy},
        provenance={
            "energy_kwh": Provenance("synthetic", device="none", pue=1.0, note="made up für Tests"),
            "validation_accuracy": Provenance("synthetic"),
        },
        attributes={"licence": "none"},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "synthetic.ecnas"
    write_table(file, columns())
    return file


@pytest.mark.parametrize(
    "given", [columns(), columns(cells=91, vertices=4), columns(cells=1, repeats=1)]
)
def test_what_is_written_is_read(tmp_path: Path, given: Columns) -> None:
    file = tmp_path / "t.ecnas"
    write_table(file, given)
    table = Table.open(file)
    again = table.to_columns()
    assert (again.name, again.vertices, again.budgets, again.repeats) == (
        given.name,
        given.vertices,
        given.budgets,
        given.repeats,
    )
    assert (again.rows == given.rows).all()
    assert again.provenance == given.provenance
    assert again.attributes == given.attributes
    for name, values in given.values.items():
        np.testing.assert_array_equal(again.values[name], values)
        for cell, budget, repeat in np.ndindex(values.shape):
            np.testing.assert_equal(
                table.value(name, cell, budget, repeat), values[cell, budget, repeat]
            )
    assert len(table) == len(given.rows)
    table.verify()


def test_writing_is_reproducible(tmp_path: Path, path: Path) -> None:
    write_table(tmp_path / "again.ecnas", columns())
    assert (tmp_path / "again.ecnas").read_bytes() == path.read_bytes()
    assert Table.open(path).checksum == Table.open(tmp_path / "again.ecnas").checksum
    write_table(tmp_path / "other.ecnas", columns(seed=1))
    assert Table.open(path).checksum != Table.open(tmp_path / "other.ecnas").checksum


def test_the_layout_is_as_documented(path: Path) -> None:
    content = path.read_bytes()
    magic, version, check, length = struct.unpack_from("<8sIIQ", content)
    assert magic == b"\x89ECNAS\r\n"
    assert version == 1
    header = content[24 : 24 + length]
    assert zlib.crc32(header) == check
    described = json.loads(header)
    start = -(-(24 + length) // 64) * 64
    stored = {c["name"]: c for c in described["columns"]}
    assert stored["energy_kwh"]["dtype"] == "f8"
    assert stored["validation_accuracy"]["dtype"] == "f4"
    rows = np.frombuffer(content, "<i4", 40, start + stored["rows"]["offset"])
    assert (rows == columns().rows).all()
    energy = np.frombuffer(content, "<f8", 240, start + stored["energy_kwh"]["offset"])
    np.testing.assert_array_equal(
        energy.reshape(2, 3, 40), np.moveaxis(columns().values["energy_kwh"], 0, 2)
    )


def test_arrays_cannot_be_written_to(path: Path) -> None:
    table = Table.open(path)
    with pytest.raises(ValueError, match="read-only"):
        table.column("energy_kwh")[0] = 1


def test_unknown_things_are_named(path: Path, tmp_path: Path) -> None:
    table = Table.open(path)
    with pytest.raises(UnknownMetricError, match="energy_kwh, validation_accuracy"):
        table.column("test_accuracy")
    absent = next(r for r in range(91) if r not in table.rows)
    for row in (absent, -1, 10**9):
        with pytest.raises(UnknownCellError):
            table.position(row)
    with pytest.raises(UnknownCellError):
        table.positions(np.array([table.rows[0], absent]))
    with pytest.raises(UnknownTableError, match="ecnas data list"):
        Table.open(tmp_path / "none.ecnas")
    with pytest.raises(UnknownTableError):
        Table.open(tmp_path)


def test_an_empty_or_foreign_file_is_no_table(tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_bytes(b"")
    with pytest.raises(TruncatedError):
        Table.open(file)
    file.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(FormatError, match="ecnas data convert"):
        Table.open(file)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_flipped_bit_is_found(tmp_path: Path, path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    damaged = tmp_path / "damaged.ecnas"
    damaged.write_bytes(content)
    header = struct.unpack_from("<Q", path.read_bytes(), 16)[0]
    padding = range(24 + header, -(-(24 + header) // 64) * 64)
    stored = json.loads(path.read_bytes()[24 : 24 + header])["columns"]
    used = [(c["offset"], c["offset"] + c["nbytes"]) for c in stored]
    inside = at - padding.stop
    end = -(-used[-1][1] // 64) * 64
    if at in padding or (0 <= inside < end and not any(a <= inside < b for a, b in used)):
        # Padding holds nothing.
        np.testing.assert_equal(Table.open(damaged).to_columns().values, columns().values)
        return
    with pytest.raises(FormatError) as raised:
        Table.open(damaged).verify()
    assert str(damaged) in str(raised.value)
    assert raised.value.offset is not None


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_truncated_file_is_found(tmp_path: Path, path: Path, data: st.DataObject) -> None:
    content = path.read_bytes()
    cut = tmp_path / "cut.ecnas"
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises((TruncatedError, ChecksumError)) as raised:
        Table.open(cut)
    assert str(cut) in str(raised.value)


def test_damage_is_met_on_the_first_touch_of_its_block_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    big = Columns(
        name="synthetic",
        vertices=5,
        rows=np.arange(2_532, dtype=np.int32),
        budgets=(4, 12, 36, 108),
        repeats=1,
        values={"energy_kwh": rng.random((2_532, 4, 1))},
        provenance={"energy_kwh": Provenance("synthetic")},
    )
    file = tmp_path / "big.ecnas"
    write_table(file, big)
    content = bytearray(file.read_bytes())
    start = Table.open(file)._columns["energy_kwh"]._file[1]
    content[start + 8 * BLOCK + 5] ^= 1
    file.write_bytes(content)
    table = Table.open(file)
    assert table.value("energy_kwh", 0, 0, 0) == big.values["energy_kwh"][0, 0, 0]
    for _ in range(2):
        with pytest.raises(ChecksumError) as raised:
            table.value("energy_kwh", BLOCK, 0, 0)
        assert raised.value.offset == start + 8 * BLOCK
    with pytest.raises(ChecksumError):
        table.verify()
    with pytest.raises(ChecksumError):
        table.at_budget("energy_kwh", 0)
    assert len(table.at_budget("energy_kwh", 2)) == 2_532


def _with_header(path: Path, target: Path, change: dict[str, object]) -> Path:
    """The file with another header, its checksum right."""
    content = path.read_bytes()
    length = struct.unpack_from("<Q", content, 16)[0]
    header = json.loads(content[24 : 24 + length]) | change
    body = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    front = struct.pack("<8sIIQ", content[:8], 1, zlib.crc32(body), len(body)) + body
    front = front.ljust(-(-len(front) // 64) * 64, b"\0")
    target.write_bytes(front + content[-(-(24 + length) // 64) * 64 :])
    return target


@pytest.mark.parametrize(
    "change",
    [
        {"cells": 1 << 60},
        {"cells": -1},
        {"cells": "x"},
        {"repeats": 0},
        {"vertices": 9},
        {"budgets": []},
        {"budgets": [12, 4]},
        {"columns": []},
        {"columns": [{"name": "energy_kwh", "dtype": "f8", "offset": 1 << 61, "nbytes": 1920}]},
        {"columns": [{"name": "energy_kwh", "dtype": "O", "offset": 0, "nbytes": 1920}]},
        {"columns": [{"name": "nonsense", "dtype": "f8", "offset": 0, "nbytes": 1920}]},
        {"columns": 5},
        {"provenance": {}},
        {"provenance": {"energy_kwh": {"kind": "guessed"}}},
        {"attributes": None},
    ],
)
def test_a_hostile_header_is_a_typed_error(
    path: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    hostile = _with_header(path, tmp_path / "hostile.ecnas", change)
    with pytest.raises(FormatError) as raised:
        Table.open(hostile)
    assert str(hostile) in str(raised.value)


def test_rows_that_are_out_of_order_are_refused(path: Path, tmp_path: Path) -> None:
    given = columns()
    object.__setattr__(given, "rows", given.rows[::-1].copy())
    write_table(tmp_path / "t.ecnas", given)
    with pytest.raises(FormatError, match="ascending"):
        Table.open(tmp_path / "t.ecnas")


def test_columns_are_checked_when_made() -> None:
    good = columns()
    fields = {name: getattr(good, name) for name in good.__dataclass_fields__}
    for change in (
        {"rows": good.rows[::-1]},
        {"rows": good.rows.astype(float)},
        {"rows": good.rows + 10_000},
        {"rows": good.rows[:0]},
        {"budgets": (12, 4)},
        {"budgets": ()},
        {"values": {"nonsense": good.values["energy_kwh"]}},
        {"values": {"energy_kwh": good.values["energy_kwh"][:-1]}},
        {"values": {"energy_kwh": good.values["energy_kwh"].astype(np.float32)}},
        {"provenance": {}},
    ):
        with pytest.raises(FormatError):
            Columns(**{**fields, **change})


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(StorageError, match="ECNAS_CACHE"):
        write_table(blocked / "t.ecnas", columns())
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
