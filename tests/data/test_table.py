"""Table files: round trips, contradictions, tables at another place."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import errors
from naslib_ecnas.data.arrays import ArrayFile, write_arrays
from naslib_ecnas.data.carbon import CarbonIntensity, carbon_intensity
from naslib_ecnas.data.table import Columns, Table, at_place, write_table
from naslib_ecnas.errors import ChecksumError, FormatError
from naslib_ecnas.provenance import Provenance


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
        table, stored = Table.open(file), ArrayFile(file).arrays["energy_kwh"]
        assert (stored.dtype, stored.shape) == (dtype, (2, 1, 1))
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
        with pytest.raises(errors.UnknownTableError, match="cannot be read"):
            Table.open(nothing)


# -- contradictions -------------------------------------------------------------------------------

HOSTILE: dict[str, list[Any]] = {
    "repeats": [0, 2, "x", None],
    "vertices": [9, 1, "x", None],
    "budgets": [[], [12, 4], [4, 4], [4], [4, 12, 36], ["x", 4], 5, None],
    "provenance": [{}, None, {"energy_kwh": {"kind": "guessed"}}, {"nonsense": {}}, "x"],
    "attributes": [None, "x", 3],
}


def rewritten(path: Path, arrays: Any = None, **about: Any) -> Path:
    """The table with other arrays or metadata."""
    with ArrayFile(path) as file:
        held = {name: file[name] for name in file.arrays}
        metadata = {**file.metadata, **about}
    write_arrays(path, held if arrays is None else arrays(held), metadata)
    return path


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, each in HOSTILE.items() for v in each])
def test_metadata_that_contradict_the_arrays(path: Path, name: str, value: Any) -> None:
    with pytest.raises(FormatError, match="holds no table") as caught:
        Table.open(rewritten(path, **{name: value}))
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda held: {},
        lambda held: {"bias": held["rows"]},
        lambda held: {"rows": held["rows"]},
        lambda held: {**held, "rows": held["rows"].astype(np.int64)},
        lambda held: {**held, "rows": held["rows"][:0]},
        lambda held: {**held, "rows": held["rows"][:, None]},
        lambda held: {**held, "rows": held["rows"][:-1]},
        lambda held: {k: v for k, v in held.items() if k != "rows"},
        lambda held: {**held, "test_accuracy": held["energy_kwh"]},
        lambda held: {**held, "energy_kwh": held["energy_kwh"].ravel()},
        lambda held: {**held, "energy_kwh": np.zeros((2, 3, 40), np.int32)},
    ],
)
def test_arrays_that_are_no_table(path: Path, change: Callable[[Any], Any]) -> None:
    with pytest.raises(FormatError, match="holds no table"):
        Table.open(rewritten(path, change))


def test_what_no_reader_accepts_is_not_made() -> None:
    good = columns()
    energy = good.values["energy_kwh"]
    wrong_pue = {**good.provenance, "energy_kwh": Provenance("measured", pue=0.5)}
    for change in (
        *({"values": {"energy_kwh": energy * factor}} for factor in (0.0, -1.0, np.inf, 1e9)),
        *({"values": {}}, {"budgets": (4, 1_000_000)}, {"budgets": (0, 4)}),
        *({"provenance": wrong_pue}, {"attributes": {"a": 3}}, {"attributes": {"a": "\ud800"}}),
        *({"name": 3}, {"attributes": {"a": "x" * (1 << 22)}}),
    ):
        with pytest.raises(FormatError):
            replace(good, **change)
    numbers = replace(good, budgets=tuple(np.array([4, 12])), repeats=np.int64(good.repeats))
    assert type(numbers.budgets[0]) is type(numbers.repeats) is int


def test_only_ascending_rows_of_the_space_are_accepted(tmp_path: Path) -> None:
    given, file = columns(cells=3), tmp_path / "t.ecnas"
    bad = [[2, 1, 3], [1, 1, 3], [-1, 1, 3], [1, 2, 2_532], [-3, -2, -1], [2_532, 2_533, 2_534]]
    for rows in (*bad, [0, 7, 2_531]):
        object.__setattr__(given, "rows", np.array(rows, dtype=np.int32))
        write_table(file, given)
        if rows in bad:
            with pytest.raises(FormatError, match="ascending"):
                Table.open(file)
            with pytest.raises(FormatError, match="ascending"):
                replace(given)
        else:
            assert Table.open(file).rows.tolist() == rows


def test_damage_is_found_in_every_way_of_reading(path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = ArrayFile(path).arrays["energy_kwh"].offset
    content[start + 5] ^= 1
    path.write_bytes(content)
    table = Table.open(path)
    assert len(table.at_budget("validation_accuracy", 1)) == 40
    for ask in (
        lambda: table.record(9, 1, 0),
        lambda: table.at_budget("energy_kwh", 1),
        table.to_columns,
        table.verify,
    ):
        with pytest.raises(ChecksumError, match="--afresh") as raised:
            ask()
        assert raised.value.offset == start


# -- tables at another PUE or carbon intensity ----------------------------------------------------

Maker = Callable[..., Table]
ROWS = np.array([2, 11, 30], dtype=np.int32)
ENERGIES = ("energy_kwh", "energy_kwh_std", "halfway_energy_kwh", "total_energy_kwh")
ENERGIES += ("predicted_energy_kwh",)
INTENSITY = "carbon_intensity_g_per_kwh"
OTHERS = ("co2_g", INTENSITY, f"halfway_{INTENSITY}", "validation_accuracy")
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


def test_which_metrics_a_view_has(make: Maker) -> None:
    """Emissions follow from every energy; intensities recorded while measuring go with a place."""
    table = make()
    assert {INTENSITY, f"halfway_{INTENSITY}"} <= set(at_place(table, 1).metrics)
    view = at_place(table, 1, PLACE)
    emissions = {"co2_g", "co2_g_std", "halfway_co2_g", "total_co2_g", "predicted_co2_g"}
    assert set(view.metrics) == {*ENERGIES, *emissions, "validation_accuracy"}
    for ask in (view.column, lambda n: view.at_budget(n, 0)):
        with pytest.raises(errors.UnknownMetricError, match="only energy_kwh") as caught:
            ask(INTENSITY)
        assert f"{INTENSITY}," not in str(caught.value)
    for name in ("energy", "co2_g_std", "training_time_s"):
        with pytest.raises(errors.UnknownMetricError, match="synthetic"):
            at_place(table, 1).column(name)
    few = at_place(make(("energy_kwh", "validation_accuracy")), None, PLACE)
    assert few.metrics == ("energy_kwh", "validation_accuracy", "co2_g")
    assert few.record(0, 1, 0)[2] == 50 * few.record(0, 1, 0)[0]


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
        assert (emission.kind, emission.pue) == ("derived", 1.2)
        assert emission.note == "energy (synthetic) x a synthetic place"
    assert at_place(table, 2).provenance["co2_g"].pue == 2
    # Predictions of a tracker, whose PUE nobody knows, do not stay as they are.
    guess = make(("co2_g", "predicted_energy_kwh"), pue=None)
    assert at_place(guess, None, PLACE).metrics == (
        "co2_g",
        "predicted_energy_kwh",
        "predicted_co2_g",
    )
    with pytest.raises(errors.ProvenanceError, match="co2_g"):
        at_place(guess, 1.2)
    guess = make(("validation_accuracy", "predicted_energy_kwh"), pue=None)
    assert at_place(guess, 1.2, PLACE).metrics == ("validation_accuracy",)
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


def test_a_view_that_changes_nothing_is_the_table(make: Maker) -> None:
    table, bare = make(), make(("validation_accuracy",))
    assert at_place(table) is table
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
