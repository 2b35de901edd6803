"""Table files: round trips, damage of every kind, what is read when; tables at another place."""

from __future__ import annotations

import gc
import json
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslib_ecnas import errors
from naslib_ecnas.data.carbon import CarbonIntensity, carbon_intensity
from naslib_ecnas.data.table import BLOCK, Columns, Table, at_place, pack, parse, write_table
from naslib_ecnas.errors import ChecksumError, FormatError
from naslib_ecnas.provenance import Provenance

often = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def columns(cells: int = 40, vertices: int = 5, repeats: int = 3, seed: int = 0) -> Columns:
    """A synthetic table with missing values; one column needs float64, one does not."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(91, cells, replace=False)).astype(np.int32)
    shape = (cells, 2, repeats)
    energy = rng.random(shape)
    energy[-1, 1, :] = np.nan
    accuracy = rng.integers(0, 9985, shape).astype(np.float32).astype(np.float64) / 16384
    provenance = {
        "energy_kwh": Provenance("synthetic", device="none", pue=1.0, note="made up für Tests"),
        "validation_accuracy": Provenance("synthetic"),
    }
    values = {"energy_kwh": energy, "validation_accuracy": accuracy}
    name, attributes = "synthetic", {"licence": "none"}
    return Columns(name, vertices, rows, (4, 12), repeats, values, provenance, attributes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "synthetic.ecnas"
    write_table(file, columns())
    return file


def header_of(content: bytes) -> tuple[dict[str, object], int]:
    """The JSON header of a table file, and where the data start."""
    length = struct.unpack_from("<Q", content, 16)[0]
    return json.loads(content[24 : 24 + length]), -(-(24 + length) // 64) * 64


# -- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [columns(), columns(cells=91, vertices=4), columns(cells=1, repeats=1)]
)
def test_what_is_written_is_read(tmp_path: Path, given: Columns) -> None:
    write_table(tmp_path / "t.ecnas", given)
    table = Table.open(tmp_path / "t.ecnas")
    again = table.to_columns()
    for name in ("name", "vertices", "budgets", "repeats", "provenance", "attributes"):
        assert getattr(again, name) == getattr(given, name)
    assert (again.rows == given.rows).all()
    for name, values in given.values.items():
        np.testing.assert_array_equal(again.values[name], values)
    for at in np.ndindex(given.shape):
        wanted = [given.values[name][at] for name in table.metrics]
        np.testing.assert_equal(table.record(*at), wanted)
        np.testing.assert_equal([table.value(name, *at) for name in table.metrics], wanted)
    assert [table.position(row) for row in given.rows.tolist()] == [*range(len(given.rows))]
    assert (table.positions(given.rows[::-1]) == np.arange(len(given.rows))[::-1]).all()
    assert len(table) == len(given.rows)
    table.verify()
    with pytest.raises(ValueError, match="read-only"):
        table.column("energy_kwh")[0] = 1


def test_the_same_content_has_the_same_bytes_and_checksum(tmp_path: Path, path: Path) -> None:
    write_table(tmp_path / "again.ecnas", columns())
    assert (tmp_path / "again.ecnas").read_bytes() == path.read_bytes()
    assert Table.open(path).checksum == Table.open(tmp_path / "again.ecnas").checksum
    write_table(tmp_path / "other.ecnas", columns(seed=1))
    assert Table.open(path).checksum != Table.open(tmp_path / "other.ecnas").checksum
    assert repr(Table.open(path)) == (
        "Table('synthetic': 40 cells of 5 vertices, budgets (4, 12), 3 repeats, 2 columns)"
    )


def test_the_layout_is_as_documented(path: Path) -> None:
    content = path.read_bytes()
    magic, version, check, length = struct.unpack_from("<8sIIQ", content)
    assert (magic, version) == (b"\x89ECNAS\r\n", 1)
    assert zlib.crc32(content[24 : 24 + length]) == check
    described, start = header_of(content)
    stored = {c["name"]: c for c in described["columns"]}  # type: ignore[attr-defined]
    assert stored["energy_kwh"]["dtype"] == "f8"
    assert stored["validation_accuracy"]["dtype"] == "f4"
    rows = np.frombuffer(content, "<i4", 40, start + stored["rows"]["offset"])
    assert (rows == columns().rows).all()
    energy = np.frombuffer(content, "<f8", 240, start + stored["energy_kwh"]["offset"])
    wanted = np.moveaxis(columns().values["energy_kwh"], 0, 2)
    np.testing.assert_array_equal(energy.reshape(2, 3, 40), wanted)
    header = parse(BytesIO(content), len(content), "t.ecnas")
    assert content.startswith(pack(header))
    assert len(pack(header)) % 64 == 0


def test_a_value_is_stored_in_four_bytes_only_where_nothing_is_lost(tmp_path: Path) -> None:
    """NaN, infinity and the smallest numbers are; what overflows or rounds is not, in silence."""
    given = columns(cells=1, repeats=1)
    file = tmp_path / "t.ecnas"
    kinds = {np.nan: "f4", np.inf: "f4", 2.0**-149: "f4", 0.1: "f8", 1e300: "f8"}
    for value, dtype in kinds.items():
        values = np.array([[[0.5], [value]]])
        object.__setattr__(given, "values", {"energy_kwh": values})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            write_table(file, given)
        table = Table.open(file)
        assert table._columns["energy_kwh"].spec.dtype == dtype
        np.testing.assert_array_equal(table.column("energy_kwh"), values)


# -- what is not there ----------------------------------------------------------------------------


def test_unknown_things_are_named(path: Path, tmp_path: Path) -> None:
    table = Table.open(path)
    with pytest.raises(
        errors.UnknownMetricError, match="'test_accuracy', only energy_kwh, validation"
    ):
        table.column("test_accuracy")
    absent = next(r for r in range(91) if r not in table.rows)
    write_table(tmp_path / "whole.ecnas", columns(cells=91, vertices=4))
    whole = Table.open(tmp_path / "whole.ecnas")
    for held, row in ((table, absent), (table, -1), (table, 10**9), (whole, -1), (whole, 91)):
        with pytest.raises(errors.UnknownCellError, match=f"row {row}"):
            held.position(row)
    # The first missing one is named, even if it lies behind all that are there.
    behind = int(table.rows[-1]) + 1
    for missing in ([absent, behind], [behind, absent]):
        with pytest.raises(errors.UnknownCellError, match=f"row {missing[0]}$"):
            table.positions(np.array([table.rows[0], *missing]))
    for nothing in (tmp_path / "none.ecnas", tmp_path):
        with pytest.raises(errors.UnknownTableError, match="ecnas data list"):
            Table.open(nothing)


def test_an_empty_or_foreign_file_is_no_table(tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_bytes(b"")
    with pytest.raises(errors.TruncatedError):
        Table.open(file)
    file.write_bytes(b"PK\x03\x04" + bytes(100))
    gc.collect()  # of the tests before
    with warnings.catch_warnings(record=True) as leaks:
        warnings.simplefilter("always")
        with pytest.raises(FormatError, match="ecnas data convert"):
            Table.open(file)
        gc.collect()
    assert leaks == []  # such as of a file left open


# -- damage ---------------------------------------------------------------------------------------


@settings(often, max_examples=120)
@given(st.data())
def test_a_flipped_bit_is_found(tmp_path: Path, path: Path, data: st.DataObject) -> None:
    good = path.read_bytes()
    content = bytearray(good)
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    damaged = tmp_path / "damaged.ecnas"
    damaged.write_bytes(content)
    described, start = header_of(good)
    stored = described["columns"]
    used = [(c["offset"], c["offset"] + c["nbytes"]) for c in stored]  # type: ignore[attr-defined]
    padding = range(24 + struct.unpack_from("<Q", good, 16)[0], start)
    inside, end = at - start, -(-used[-1][1] // 64) * 64
    if at in padding or (0 <= inside < end and not any(a <= inside < b for a, b in used)):
        # Padding contains nothing.
        np.testing.assert_equal(Table.open(damaged).to_columns().values, columns().values)
        return
    with pytest.raises(FormatError) as raised:
        Table.open(damaged).verify()
    assert str(damaged) in str(raised.value)
    assert raised.value.offset is not None


@settings(often, max_examples=60)
@given(st.data())
def test_a_truncated_file_is_found(tmp_path: Path, path: Path, data: st.DataObject) -> None:
    content = path.read_bytes()
    cut = tmp_path / "cut.ecnas"
    cut.write_bytes(content[: data.draw(st.integers(0, 30) | st.integers(0, len(content) - 1))])
    with pytest.raises((errors.TruncatedError, ChecksumError)) as raised:
        Table.open(cut)
    assert str(cut) in str(raised.value)


def with_header(path: Path, target: Path, change: dict[str, object]) -> Path:
    """The file with another header, its checksum right."""
    content = path.read_bytes()
    header, start = header_of(content)
    body = json.dumps(header | change, ensure_ascii=False, separators=(",", ":")).encode()
    front = struct.pack("<8sIIQ", content[:8], 1, zlib.crc32(body), len(body)) + body
    target.write_bytes(front.ljust(-(-len(front) // 64) * 64, b"\0") + content[start:])
    return target


BAD_COLUMNS = (("energy_kwh", "f8", 1 << 61), ("energy_kwh", "O", 0), ("nonsense", "f8", 0))
HOSTILE: list[dict[str, object]] = [
    *({"cells": value} for value in (1 << 60, -1, "x", 1e400)),
    *({"repeats": 0}, {"vertices": 9}, {"budgets": []}, {"budgets": [12, 4]}),
    *(
        {"columns": [{"name": name, "dtype": dtype, "offset": offset, "nbytes": 1920}]}
        for name, dtype, offset in BAD_COLUMNS
    ),
    *({"columns": []}, {"columns": 5}, {"provenance": {}}, {"attributes": None}),
    {"provenance": {"energy_kwh": {"kind": "guessed"}}},
]


def test_a_hostile_header_is_a_typed_error(path: Path, tmp_path: Path) -> None:
    for change in HOSTILE:
        hostile = with_header(path, tmp_path / "hostile.ecnas", change)
        with pytest.raises(FormatError, match=str(hostile)):
            Table.open(hostile)


def test_another_version_is_met_before_the_rest_of_the_header(path: Path) -> None:
    raw = path.read_bytes()
    for version in (0, 2, 1 << 31):
        changed = raw[:8] + struct.pack("<I", version) + raw[12:]
        with pytest.raises(FormatError, match="must be of version 1") as caught:
            parse(BytesIO(changed), len(changed), "t.ecnas")
        assert (caught.value.value, caught.value.offset) == (version, 8)


def test_only_ascending_rows_of_the_space_are_accepted(tmp_path: Path) -> None:
    given, file = columns(cells=3), tmp_path / "t.ecnas"
    bad = [[2, 1, 3], [1, 1, 3], [-1, 1, 3], [1, 2, 2_532], [-3, -2, -1], [2_532, 2_533, 2_534]]
    for rows in (*bad, [0, 7, 2_531]):
        object.__setattr__(given, "rows", np.array(rows, dtype=np.int32))
        write_table(file, given)
        if rows in bad:
            with pytest.raises(FormatError, match="ascending"):
                Table.open(file)
        else:
            assert Table.open(file).rows.tolist() == rows
    write_table(file, columns(cells=91, vertices=4))
    larger = with_header(file, tmp_path / "larger.ecnas", {"vertices": 5})
    with pytest.raises(FormatError, match="all 2532 cells") as raised:
        Table.open(larger)
    assert raised.value.value == 91


# -- blocks ---------------------------------------------------------------------------------------


def big(budgets: tuple[int, ...] = (4, 12, 36, 108)) -> Columns:
    """A whole space, so that a budget is longer than a block."""
    rows = np.arange(2_532, dtype=np.int32)
    values = {"energy_kwh": np.random.default_rng(0).random((2_532, len(budgets), 1))}
    provenance = {"energy_kwh": Provenance("synthetic")}
    return Columns("synthetic", 5, rows, budgets, 1, values, provenance)


def test_single_values_are_right_in_every_block(tmp_path: Path) -> None:
    """Before and after the first few blocks, which are read without the mapping."""
    given = big(tuple(range(1, 13)))
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
        # After eight blocks, all others are read in the mapping, and count as checked there.
        assert sum(column.checked) == max(0, block - 6)
    table.verify()
    assert sum(column.checked) == blocks


def test_a_block_is_checked_once(tmp_path: Path) -> None:
    """Neither read nor checked again: later damage stays unseen."""
    file = tmp_path / "big.ecnas"
    given = big()
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


def test_damage_is_met_at_the_first_use_of_its_block_only(tmp_path: Path) -> None:
    file = tmp_path / "big.ecnas"
    write_table(file, big())
    content = bytearray(file.read_bytes())
    start = Table.open(file)._columns["energy_kwh"]._file[1]
    content[start + 8 * BLOCK + 5] ^= 1
    file.write_bytes(content)
    table = Table.open(file)
    assert table.value("energy_kwh", 0, 0, 0) == big().values["energy_kwh"][0, 0, 0]
    for _ in range(2):
        with pytest.raises(ChecksumError) as raised:
            table.value("energy_kwh", BLOCK, 0, 0)
        assert raised.value.offset == start + 8 * BLOCK
    for budget in (0, 1):  # both lie in the block
        with pytest.raises(ChecksumError):
            table.at_budget("energy_kwh", budget)
    for ask in (table.verify, lambda: table.record(BLOCK, 0, 0)):
        with pytest.raises(ChecksumError):
            ask()
    assert len(table.at_budget("energy_kwh", 2)) == 2_532
    content[start + 2 * 2_532 * 8] ^= 1  # in the block in which the third budget begins
    file.write_bytes(content)
    with pytest.raises(ChecksumError):
        Table.open(file).at_budget("energy_kwh", 2)


# -- tables at another PUE or carbon intensity ----------------------------------------------------

Maker = Callable[..., Table]
ROWS = np.array([2, 11, 30], dtype=np.int32)
ENERGIES = ("energy_kwh", "energy_kwh_std", "halfway_energy_kwh", "total_energy_kwh")
INTENSITY = "carbon_intensity_g_per_kwh"
OTHERS = ("co2_g", INTENSITY, f"halfway_{INTENSITY}", "validation_accuracy", "predicted_energy_kwh")
METRICS = (*ENERGIES, *OTHERS)
PLACE = CarbonIntensity(50.0, "a synthetic place")


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Tables of synthetic numbers with a PUE of 1.6 in all energies and emissions."""

    def made(metrics: tuple[str, ...] = METRICS, pue: float | None = 1.6) -> Table:
        rng = np.random.default_rng(3)
        values = {name: rng.uniform(0.1, 0.9, (3, 2, 2)) for name in metrics}
        for array in values.values():
            array[1, 1, 1] = np.nan
        origin = Provenance("synthetic", device="none", note="made up")
        with_pue = Provenance("synthetic", device="none", pue=pue, note="made up")
        energy = {n: n.endswith(("kwh", "kwh_std", "co2_g", "co2_g_std")) for n in metrics}
        provenance = {n: with_pue if energy[n] else origin for n in metrics}
        attributes = {"licence": "none"}
        given = Columns("synthetic", 4, ROWS, (4, 108), 2, values, provenance, attributes)
        write_table(tmp_path / "synthetic.ecnas", given)
        return Table.open(tmp_path / "synthetic.ecnas")

    return made


def wanted(table: Table, name: str, pue: float | None, place: CarbonIntensity | None) -> np.ndarray:
    """The values of a metric at a place, computed by hand."""
    factor = 1.0 if pue is None else pue / 1.6
    if "co2_g" in name and place is not None:
        return table.column(name.replace("co2_g", "energy_kwh")) * factor * place.g_per_kwh
    return table.column(name) * (factor if name in ENERGIES or "co2_g" in name else 1.0)


@pytest.mark.parametrize("place", [None, PLACE])
@pytest.mark.parametrize("pue", [None, 1, 1.6, 2.5])
def test_all_ways_of_reading_agree(
    make: Maker, pue: float | None, place: CarbonIntensity | None
) -> None:
    table = make()
    view = at_place(table, pue, place)
    given = view.to_columns()
    assert tuple(given.values) == view.metrics
    assert set(view.metrics) == set(view.provenance) == set(given.provenance)
    for name in view.metrics:
        array = view.column(name)
        np.testing.assert_allclose(array, wanted(table, name, pue, place), rtol=1e-13)
        np.testing.assert_array_equal(given.values[name], array)
        assert np.isnan(array).sum() == 1
        for budget in range(2):
            np.testing.assert_array_equal(view.at_budget(name, budget), array[:, budget])
    second = at_place(at_place(table, 3.2), pue, place) if pue else view  # counts from the first
    for name in view.metrics:
        np.testing.assert_allclose(second.column(name), view.column(name), rtol=1e-13)
    for at in np.ndindex(3, 2, 2):
        record = view.record(*at)
        np.testing.assert_array_equal(record, [view.column(n)[at] for n in view.metrics])
        np.testing.assert_array_equal(record, [view.value(n, *at) for n in view.metrics])


def test_which_metrics_a_view_has(make: Maker) -> None:
    """Emissions follow from every energy; intensities recorded while measuring go with a place."""
    table = make()
    assert {INTENSITY, f"halfway_{INTENSITY}"} <= set(at_place(table, 1).metrics)
    view = at_place(table, 1, PLACE)
    emissions = {"co2_g", "co2_g_std", "halfway_co2_g", "total_co2_g"}
    assert set(view.metrics) == {*ENERGIES, *emissions, "validation_accuracy", OTHERS[-1]}
    # Predictions stay as they are.
    np.testing.assert_array_equal(view.column(OTHERS[-1]), table.column(OTHERS[-1]))
    for ask in (view.column, lambda n: view.at_budget(n, 0), lambda n: view.value(n, 0, 0, 0)):
        with pytest.raises(errors.UnknownMetricError, match="only energy_kwh") as caught:
            ask(INTENSITY)
        assert f"{INTENSITY}," not in str(caught.value)
    for name in ("energy", "co2_g_std", "training_time_s"):
        with pytest.raises(errors.UnknownMetricError, match="synthetic"):
            at_place(table, 1).value(name, 0, 0, 0)
    few = at_place(make(("energy_kwh", "validation_accuracy")), None, PLACE)
    assert few.metrics == ("energy_kwh", "validation_accuracy", "co2_g")
    assert few.record(0, 1, 0)[2] == 50 * few.value("energy_kwh", 0, 1, 0)


def test_cells_and_provenance_of_a_view(make: Maker) -> None:
    table = make()
    view = at_place(table, 1.2, PLACE)
    assert (view.name, view.budgets, view.repeats, len(view)) == ("synthetic", (4, 108), 2, 3)
    assert view.rows.tolist() == ROWS.tolist()
    assert view.position(11) == 1
    assert view.attributes == table.attributes
    with pytest.raises(errors.UnknownCellError):
        view.position(3)
    view.verify()
    assert table.metrics == METRICS  # the table itself stays as it was
    for name in ENERGIES:
        origin = view.provenance[name]
        assert (origin.pue, origin.note, table.provenance[name].pue) == (1.2, "made up", 1.6)
        emission = view.provenance[name.replace("energy_kwh", "co2_g")]
        assert (emission.pue, emission.note) == (1.2, "energy x a synthetic place")
    assert at_place(table, 2).provenance["co2_g"].pue == 2
    assert view.provenance["validation_accuracy"] == table.provenance["validation_accuracy"]
    assert at_place(at_place(table, 3.2), 1).provenance["energy_kwh"].pue == 1


def test_checksums_tell_views_apart(make: Maker) -> None:
    table = make()
    other = CarbonIntensity(51.0, "elsewhere")
    places = [(1, None), (1.1, None), (None, PLACE), (None, other), (1, PLACE)]
    sums = [table.checksum, *(at_place(table, *place).checksum for place in places)]
    assert len(set(sums)) == len(sums)
    assert all(len(s) == 64 for s in sums)
    assert at_place(table, 1.1).checksum == sums[2]
    for choice in ("DK", "dk", 152, "152"):
        named = at_place(table, 1.0, choice).checksum
        assert named == at_place(table, 1.0, carbon_intensity(choice)).checksum


def test_a_written_view_is_a_table_of_the_same_numbers(make: Maker, tmp_path: Path) -> None:
    view = at_place(make(), 1, PLACE)
    write_table(tmp_path / "view.ecnas", view.to_columns())
    again = Table.open(tmp_path / "view.ecnas")
    assert (again.metrics, again.provenance) == (view.metrics, view.provenance)
    for name in view.metrics:
        np.testing.assert_array_equal(again.column(name), view.column(name))
    # The written table can be seen at another place again.
    back = at_place(again, 1.6)
    np.testing.assert_allclose(back.column("energy_kwh"), make().column("energy_kwh"), rtol=1e-13)
    assert at_place(again) is again
    bare = make(("validation_accuracy",))
    assert at_place(bare, 1, PLACE) is bare


def test_impossible_places_are_refused(make: Maker) -> None:
    table = make()
    for pue in (0.99, 100):
        with pytest.raises(errors.ConfigError, match="effectiveness"):
            at_place(table, pue)
    table = make(pue=None)
    with pytest.raises(errors.ProvenanceError, match="energy_kwh"):
        at_place(table, 1)
    # Emissions of its own energies follow all the same.
    view = at_place(table, None, PLACE)
    np.testing.assert_array_equal(view.column("co2_g"), 50 * table.column("energy_kwh"))
