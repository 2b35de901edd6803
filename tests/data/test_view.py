"""Tables seen at another PUE or carbon intensity: each way of reading them says the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.data.carbon import CarbonIntensity, carbon_intensity
from naslib_ecnas.data.table import Columns, Table, View, at_place, seen_at, write_table
from naslib_ecnas.errors import (
    ConfigError,
    ProvenanceError,
    UnknownCellError,
    UnknownMetricError,
)
from naslib_ecnas.provenance import Provenance

ROWS = np.array([2, 11, 30], dtype=np.int32)
ENERGIES = ("energy_kwh", "energy_kwh_std", "halfway_energy_kwh", "total_energy_kwh")
METRICS = (
    *ENERGIES,
    "co2_g",
    "carbon_intensity_g_per_kwh",
    "halfway_carbon_intensity_g_per_kwh",
    "validation_accuracy",
    "predicted_energy_kwh",
)
PLACE = CarbonIntensity(50.0, "a synthetic place")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Table]:
    """Tables of synthetic numbers with a PUE of 1.6 in all energies and emissions."""

    def made(metrics: tuple[str, ...] = METRICS, pue: float | None = 1.6) -> Table:
        rng = np.random.default_rng(3)
        values = {name: rng.uniform(0.1, 0.9, (3, 2, 2)) for name in metrics}
        for array in values.values():
            array[1, 1, 1] = np.nan
        origin = Provenance("synthetic", device="none", note="made up")
        with_pue = Provenance("synthetic", device="none", pue=pue, note="made up")
        paid = {n: n.endswith(("kwh", "kwh_std", "co2_g", "co2_g_std")) for n in metrics}
        write_table(
            tmp_path / "synthetic.ecnas",
            Columns(
                name="synthetic",
                vertices=4,
                rows=ROWS,
                budgets=(4, 108),
                repeats=2,
                values=values,
                provenance={n: with_pue if paid[n] else origin for n in metrics},
                attributes={"licence": "none"},
            ),
        )
        return Table.open(tmp_path / "synthetic.ecnas")

    return made


def wanted(table: Table, name: str, pue: float | None, place: CarbonIntensity | None) -> np.ndarray:
    """The values of a metric written out."""
    factor = 1.0 if pue is None else pue / 1.6
    if name in ENERGIES:
        return table.column(name) * factor
    if "co2_g" in name:
        if place is None:
            return table.column(name) * factor
        return table.column(name.replace("co2_g", "energy_kwh")) * factor * place.g_per_kwh
    return table.column(name)


# -- what a view says ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", [None, PLACE])
@pytest.mark.parametrize("pue", [None, 1, 1.6, 2.5])
def test_all_ways_of_reading_agree(
    make: Callable[..., Table], pue: float | None, place: CarbonIntensity | None
) -> None:
    table = make()
    view = seen_at(table, pue=pue, carbon_intensity=place)
    columns = view.to_columns()
    assert tuple(columns.values) == view.metrics
    assert set(view.metrics) == set(view.provenance) == set(columns.provenance)
    for name in view.metrics:
        array = view.column(name)
        np.testing.assert_allclose(array, wanted(table, name, pue, place), rtol=1e-13)
        np.testing.assert_array_equal(columns.values[name], array)
        assert np.isnan(array).sum() == 1
        for budget in range(2):
            np.testing.assert_array_equal(view.at_budget(name, budget), array[:, budget])
    for i, j, k in np.ndindex(3, 2, 2):
        record = view.record(i, j, k)
        np.testing.assert_array_equal(record, [view.column(n)[i, j, k] for n in view.metrics])
        np.testing.assert_array_equal(record, [view.value(n, i, j, k) for n in view.metrics])


def test_emissions_follow_from_the_energies_and_their_deviations(
    make: Callable[..., Table],
) -> None:
    view = seen_at(make(), carbon_intensity=PLACE)
    for name in ENERGIES:
        emission = name.replace("energy_kwh", "co2_g")
        np.testing.assert_allclose(view.column(emission), 50 * view.column(name), rtol=1e-13)
    assert {"co2_g", "co2_g_std", "halfway_co2_g", "total_co2_g"} <= set(view.metrics)


def test_intensities_of_the_measuring_are_dropped_with_a_place_only(
    make: Callable[..., Table],
) -> None:
    table = make()
    name = "carbon_intensity_g_per_kwh"
    assert {name, f"halfway_{name}"} <= set(seen_at(table, pue=1).metrics)
    view = seen_at(table, carbon_intensity=PLACE)
    assert not [n for n in view.metrics if "intensity" in n]
    for ask in (
        lambda: view.column(name),
        lambda: view.at_budget(name, 0),
        lambda: view.value(name, 0, 0, 0),
    ):
        with pytest.raises(UnknownMetricError, match="energy_kwh") as caught:
            ask()
        assert f"{name}," not in str(caught.value)


def test_an_unknown_metric(make: Callable[..., Table]) -> None:
    view = seen_at(make(), pue=1)
    for name in ("energy", "co2_g_std", "training_time_s"):
        with pytest.raises(UnknownMetricError, match="synthetic"):
            view.value(name, 0, 0, 0)
        with pytest.raises(UnknownMetricError):
            view.column(name)


def test_forecasts_are_left_alone(make: Callable[..., Table]) -> None:
    table = make()
    view = seen_at(table, pue=1, carbon_intensity=PLACE)
    np.testing.assert_array_equal(
        view.column("predicted_energy_kwh"), table.column("predicted_energy_kwh")
    )
    assert "predicted_co2_g" not in view.metrics


def test_tables_without_emissions_get_them(make: Callable[..., Table]) -> None:
    table = make(("energy_kwh", "validation_accuracy"))
    view = seen_at(table, carbon_intensity=PLACE)
    assert view.metrics == ("energy_kwh", "validation_accuracy", "co2_g")
    assert view.record(0, 1, 0)[2] == 50 * table.value("energy_kwh", 0, 1, 0)


def test_a_second_view_counts_from_the_first(make: Callable[..., Table]) -> None:
    table = make()
    view = seen_at(seen_at(table, pue=3.2), pue=1, carbon_intensity=PLACE)
    for name in view.metrics:
        np.testing.assert_allclose(
            view.column(name), wanted(table, name, 1, PLACE), rtol=1e-13, err_msg=name
        )
    assert view.provenance["energy_kwh"].pue == 1


def test_cells_and_the_rest_are_the_tables(make: Callable[..., Table]) -> None:
    table = make()
    before = table.column("energy_kwh")
    view = seen_at(table, pue=1)
    assert isinstance(view, View)
    assert (view.name, view.budgets, view.repeats, len(view)) == ("synthetic", (4, 108), 2, 3)
    assert view.rows.tolist() == ROWS.tolist()
    assert view.position(11) == 1
    assert view.attributes == table.attributes
    with pytest.raises(UnknownCellError):
        view.position(3)
    view.verify()
    assert table.metrics == METRICS  # the table itself stays as it was
    np.testing.assert_array_equal(table.column("energy_kwh"), before)


# -- where it says the values are from -----------------------------------------------------------


def test_provenance(make: Callable[..., Table]) -> None:
    table = make()
    view = seen_at(table, pue=1.2, carbon_intensity=PLACE)
    for name in ENERGIES:
        assert view.provenance[name].pue == 1.2
        assert view.provenance[name].note == "made up"
        emission = view.provenance[name.replace("energy_kwh", "co2_g")]
        assert emission.pue == 1.2
        assert emission.note == "energy x a synthetic place"
        assert table.provenance[name].pue == 1.6
    assert seen_at(table, pue=2).provenance["co2_g"].pue == 2
    assert view.provenance["validation_accuracy"] == table.provenance["validation_accuracy"]


def test_checksums_tell_views_apart(make: Callable[..., Table]) -> None:
    table = make()
    other = CarbonIntensity(51.0, "elsewhere")
    views = [
        table,
        seen_at(table, pue=1),
        seen_at(table, pue=1.1),
        seen_at(table, carbon_intensity=PLACE),
        seen_at(table, carbon_intensity=other),
        seen_at(table, pue=1, carbon_intensity=PLACE),
    ]
    sums = [view.checksum for view in views]
    assert len(set(sums)) == len(sums)
    assert all(len(s) == 64 for s in sums)
    assert seen_at(table, pue=1.1).checksum == sums[2]


def test_a_written_view_is_a_table_of_the_same_numbers(
    make: Callable[..., Table], tmp_path: Path
) -> None:
    view = seen_at(make(), pue=1, carbon_intensity=PLACE)
    write_table(tmp_path / "view.ecnas", view.to_columns())
    again = Table.open(tmp_path / "view.ecnas")
    assert again.metrics == view.metrics
    assert again.rows.tolist() == view.rows.tolist()
    for name in view.metrics:
        np.testing.assert_array_equal(again.column(name), view.column(name))
        assert again.provenance[name] == view.provenance[name]
    # What was written can be seen elsewhere again.
    back = seen_at(again, pue=1.6)
    np.testing.assert_allclose(back.column("energy_kwh"), make().column("energy_kwh"), rtol=1e-13)


# -- settings ------------------------------------------------------------------------------------


def test_nothing_to_change_is_the_table_itself(make: Callable[..., Table]) -> None:
    table = make()
    assert seen_at(table) is table
    assert at_place(table, None, None) is table
    bare = make(("validation_accuracy",))
    assert seen_at(bare, pue=1, carbon_intensity=PLACE) is bare


@pytest.mark.parametrize("pue", [0.99, 0, -1, 100, True, "1.5", np.nan, np.inf])
def test_values_that_are_no_pue(make: Callable[..., Table], pue: object) -> None:
    with pytest.raises(ConfigError, match="effectiveness"):
        seen_at(make(), pue=pue)  # type: ignore[arg-type]


def test_an_unknown_pue_cannot_be_changed(make: Callable[..., Table]) -> None:
    table = make(pue=None)
    with pytest.raises(ProvenanceError, match="energy_kwh"):
        seen_at(table, pue=1)
    # Emissions of its own energies can be told all the same.
    view = seen_at(table, carbon_intensity=PLACE)
    np.testing.assert_array_equal(view.column("co2_g"), 50 * table.column("energy_kwh"))


def test_places_are_named_as_users_name_them(make: Callable[..., Table]) -> None:
    table = make()
    for choice in ("DK", "dk", 152, "152"):
        known = carbon_intensity(choice)
        found = at_place(table, 1.0, choice)
        assert found.checksum == seen_at(table, pue=1.0, carbon_intensity=known).checksum
    with pytest.raises(ConfigError):
        at_place(table, None, "Atlantis")
