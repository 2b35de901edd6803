"""The table file: round trips, damage of every kind, what it costs."""

from __future__ import annotations

import gc
import json
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslib_ecnas.data.table import BLOCK, Columns, Table, write_table
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
    for cell, budget, repeat in np.ndindex(next(iter(given.values.values())).shape):
        np.testing.assert_equal(
            dict(zip(table.metrics, table.record(cell, budget, repeat), strict=True)),
            {name: values[cell, budget, repeat] for name, values in given.values.items()},
        )
    assert [table.position(row) for row in given.rows.tolist()] == [*range(len(given.rows))]
    assert (table.positions(given.rows[::-1]) == np.arange(len(given.rows))[::-1]).all()
    assert len(table) == len(given.rows)
    table.verify()


def test_it_says_what_it_is(path: Path) -> None:
    assert repr(Table.open(path)) == (
        "Table('synthetic': 40 cells of 5 vertices, budgets (4, 12), 3 repeats, 2 columns)"
    )


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
    with pytest.raises(UnknownMetricError, match="expected one of energy_kwh, validation"):
        table.column("test_accuracy")
    absent = next(r for r in range(91) if r not in table.rows)
    for row in (absent, -1, 10**9):
        with pytest.raises(UnknownCellError):
            table.position(row)
    # The first that is missing is named, also where it lies behind all that are there.
    behind = int(table.rows[-1]) + 1
    for missing in ([absent, behind], [behind, absent]):
        with pytest.raises(UnknownCellError) as raised:
            table.positions(np.array([table.rows[0], *missing]))
        assert raised.value.value == f"row {missing[0]}"
    write_table(tmp_path / "whole.ecnas", columns(cells=91, vertices=4))
    whole = Table.open(tmp_path / "whole.ecnas")
    for row in (-1, 91):
        with pytest.raises(UnknownCellError):
            whole.position(row)
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
    gc.collect()  # of the tests before
    with warnings.catch_warnings(record=True) as leaks:
        warnings.simplefilter("always")
        with pytest.raises(FormatError, match="ecnas data convert"):
            Table.open(file)
        gc.collect()
    assert leaks == []  # such as of a file left open


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


def _big(budgets: tuple[int, ...] = (4, 12, 36, 108)) -> Columns:
    """A whole space, so that a budget is longer than a block."""
    return Columns(
        name="synthetic",
        vertices=5,
        rows=np.arange(2_532, dtype=np.int32),
        budgets=budgets,
        repeats=1,
        values={"energy_kwh": np.random.default_rng(0).random((2_532, len(budgets), 1))},
        provenance={"energy_kwh": Provenance("synthetic")},
    )


def test_single_values_are_right_in_every_block(tmp_path: Path) -> None:
    """Before and after the first few blocks, which are read without the mapping."""
    given = _big(tuple(range(1, 13)))
    flat = given.values["energy_kwh"][:, :, 0].T.ravel()
    write_table(tmp_path / "big.ecnas", given)
    table = Table.open(tmp_path / "big.ecnas")
    column = table._columns["energy_kwh"]
    blocks = column.spec.blocks
    assert blocks == 15
    for block in range(blocks):
        for inside in (BLOCK - 1, 7, 0):
            index = min(block * BLOCK + inside, flat.size - 1)
            budget, cell = divmod(index, len(table))
            assert table.value("energy_kwh", cell, budget, 0) == flat[index]
            assert table.record(cell, budget, 0) == [flat[index]]
        # Once eight were read so, all others are read in the mapping, and count as checked there.
        assert sum(column.checked) == max(0, block - 6)
    table.verify()
    assert sum(column.checked) == blocks


def test_a_block_is_checked_once(tmp_path: Path) -> None:
    """What was read is not read, nor its checksum computed, again: later damage stays unseen."""
    file = tmp_path / "big.ecnas"
    given = _big()
    write_table(file, given)
    single, whole = Table.open(file), Table.open(file)
    start = single._columns["energy_kwh"]._file[1]
    value = single.value("energy_kwh", 1, 0, 0)
    before = whole.at_budget("energy_kwh", 0).copy()
    with file.open("r+b") as changed:
        changed.seek(start + 8 * 1_000)
        changed.write(b"\xff")
    assert single.value("energy_kwh", 1, 0, 0) == value == given.values["energy_kwh"][1, 0, 0]
    assert np.flatnonzero(whole.at_budget("energy_kwh", 0)[:, 0] != before[:, 0]).tolist() == [1000]
    assert whole.value("energy_kwh", 1, 0, 0) == value
    with pytest.raises(ChecksumError):
        single.verify()


def test_damage_is_met_on_the_first_touch_of_its_block_only(tmp_path: Path) -> None:
    big = _big()
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
    for budget in (0, 1):  # both lie in it
        with pytest.raises(ChecksumError):
            table.at_budget("energy_kwh", budget)
    with pytest.raises(ChecksumError):
        table.record(BLOCK, 0, 0)
    assert len(table.at_budget("energy_kwh", 2)) == 2_532
    content[start + 2 * 2_532 * 8] ^= 1  # in the block in which the third budget begins
    file.write_bytes(content)
    with pytest.raises(ChecksumError):
        Table.open(file).at_budget("energy_kwh", 2)


def test_a_value_is_stored_in_four_bytes_only_where_nothing_is_lost(tmp_path: Path) -> None:
    """NaN, infinity and the smallest numbers are; what overflows or rounds is not, in silence."""
    given = columns(cells=1, repeats=1)
    file = tmp_path / "t.ecnas"
    for value, dtype in (
        (np.nan, "f4"),
        (np.inf, "f4"),
        (2.0**-149, "f4"),
        (0.1, "f8"),
        (1e300, "f8"),
    ):
        values = np.array([[[0.5], [value]]])
        object.__setattr__(given, "values", {"energy_kwh": values})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            write_table(file, given)
        table = Table.open(file)
        assert table._columns["energy_kwh"].spec.dtype == dtype
        np.testing.assert_array_equal(table.column("energy_kwh"), values)


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


@pytest.mark.parametrize(
    "rows", [[2, 1, 3], [1, 1, 3], [-1, 1, 3], [1, 2, 2_532], [-3, -2, -1], [2_532, 2_533, 2_534]]
)
def test_rows_that_are_not_ascending_rows_of_the_space_are_refused(
    tmp_path: Path, rows: list[int]
) -> None:
    given = columns(cells=3)
    object.__setattr__(given, "rows", np.array(rows, dtype=np.int32))
    write_table(tmp_path / "t.ecnas", given)
    with pytest.raises(FormatError, match="ascending") as raised:
        Table.open(tmp_path / "t.ecnas")
    assert raised.value.value == (rows[0], rows[-1])


def test_the_first_and_the_last_row_of_a_space_may_be_in_a_table(tmp_path: Path) -> None:
    given = columns(cells=3)
    object.__setattr__(given, "rows", np.array([0, 7, 2_531], dtype=np.int32))
    write_table(tmp_path / "t.ecnas", given)
    assert Table.open(tmp_path / "t.ecnas").rows.tolist() == [0, 7, 2_531]


def test_without_rows_a_table_holds_the_whole_space(tmp_path: Path) -> None:
    write_table(tmp_path / "t.ecnas", columns(cells=91, vertices=4))
    larger = _with_header(tmp_path / "t.ecnas", tmp_path / "larger.ecnas", {"vertices": 5})
    with pytest.raises(FormatError, match="ascending") as raised:
        Table.open(larger)
    assert raised.value.value == 91


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
