"""`load`: which names mean what, and which settings go with which table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.data.table import Columns, write_table
from naslib_ecnas.errors import (
    ConfigError,
    ProvenanceError,
    UnknownMetricError,
    UnknownTableError,
)
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.quality import Z90


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modelled")


@pytest.fixture(autouse=True)
def _one_cache(cache: Path, _own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modelled tables are predicted once for all these tests."""
    monkeypatch.setenv("ECNAS_CACHE", str(cache))


def test_what_is_there_is_not_taken_for_a_misspelt_name(tmp_path: Path) -> None:
    (tmp_path / "4_epochs").mkdir()
    with pytest.raises(UnknownTableError, match="no training") as caught:
        ecnas.load(str(tmp_path))
    assert "7v" not in str(caught.value)


def test_the_default_is_the_whole_modelled_space() -> None:
    bench = ecnas.load()
    assert bench.name == "7v"
    assert len(bench.rows) == 423_624
    assert bench.budgets == (4, 12, 36, 108)
    assert {p.kind for n, p in bench.provenance.items() if n in bench.metrics} == {"modelled"}
    for name in bench.metrics:
        for epochs in bench.budgets:
            values = bench.values(name, epochs)
            assert np.isfinite(values).all(), name
            assert (values > 0).all(), name


def test_energy_and_time_rise_with_epochs_for_every_cell() -> None:
    bench = ecnas.load("7v")
    for name in ("energy_kwh", "training_time_s"):
        values = np.stack([bench.values(name, b) for b in bench.budgets])
        assert (np.diff(values, axis=0) > 0).all(), name


@pytest.mark.parametrize(("name", "cells"), [("4v", 91), ("5v", 2_532)])
def test_the_small_tables_say_what_the_large_one_says(name: str, cells: int) -> None:
    small, large = ecnas.load(name), ecnas.load("7v")
    assert len(small.rows) == cells
    for metric in small.metrics:
        here, there = small.values(metric, 12), large.values(metric, 12)[:cells]
        np.testing.assert_allclose(here, there, rtol=2e-5)


def test_a_record_tells_its_deviation() -> None:
    record = ecnas.load("7v").query(1000, 108)
    assert 0 < record.energy_kwh_std < 0.2 * record.energy_kwh
    assert 0 < record.validation_accuracy_std < 0.5


def test_intervals_hold_the_mean_and_widen_with_the_coverage() -> None:
    bench = ecnas.load("4v")
    for name in ("energy_kwh", "validation_accuracy"):
        mean = bench.values(name, 4)[bench.rows]
        wide, narrow = (bench.interval(name, 4, coverage=c)[bench.rows] for c in (0.9, 0.5))
        assert (wide[:, 0] < narrow[:, 0]).all()
        assert (narrow[:, 0] < mean).all()
        assert (mean < narrow[:, 1]).all()
        assert (narrow[:, 1] <= wide[:, 1]).all()
    energy, std = (bench.values(n, 4)[0] for n in ("energy_kwh", "energy_kwh_std"))
    assert bench.interval("energy_kwh", 4)[0, 1] == pytest.approx(
        energy * np.exp(Z90 * std / energy), rel=1e-6
    )


@pytest.mark.parametrize("coverage", [0, 1, -0.5, True, "wide"])
def test_no_interval_without_a_coverage(coverage: object) -> None:
    with pytest.raises(ConfigError, match="no coverage"):
        ecnas.load("4v").interval("energy_kwh", coverage=coverage)  # type: ignore[arg-type]


def test_quality_is_at_hand() -> None:
    quality = ecnas.load("7v").quality
    assert len(quality) >= 6
    text = str(quality)
    for word in ("energy", "validation accuracy at 108 epochs", "training time", "tau"):
        assert word in text


def test_linear_scaling_is_by_epochs_over_four() -> None:
    bench = ecnas.load("4v", scaling="linear")
    four = bench.values("energy_kwh", 4)[bench.rows]
    np.testing.assert_allclose(bench.values("energy_kwh", 108)[bench.rows], 27 * four, rtol=1e-6)
    affine = ecnas.load("4v")
    np.testing.assert_allclose(affine.values("energy_kwh", 4)[bench.rows], four, rtol=1e-6)
    assert (affine.values("energy_kwh", 108)[bench.rows] < 27 * four).all()


def test_the_papers_model_has_no_deviation_of_its_own() -> None:
    bench = ecnas.load("4v", model="paper")
    assert "energy_kwh_std" not in bench.metrics
    assert "paper" in str(bench.provenance["energy_kwh"])
    with pytest.raises(UnknownMetricError):
        bench.interval("energy_kwh", 4)


def test_a_device_has_a_scale_of_its_own() -> None:
    native, other = ecnas.load("4v"), ecnas.load("4v", device="Titan Xp")
    assert other.provenance["energy_kwh"].device == "titan-xp"
    ratio = (other.values("energy_kwh", 4) / native.values("energy_kwh", 4))[native.rows]
    assert 0.5 < np.median(ratio) < 3
    assert np.ptp(ratio) > 0.01
    np.testing.assert_array_equal(
        other.values("validation_accuracy", 4), native.values("validation_accuracy", 4)
    )


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"device": "abacus"}, ConfigError),
        ({"device": "nowhere.npz"}, UnknownTableError),
        ({"scaling": "square"}, ConfigError),
        ({"model": "yours"}, ConfigError),
        ({"model": "paper", "scaling": "affine"}, ConfigError),
        ({"model": "paper", "device": "titan-xp"}, ConfigError),
        ({"pue": 0.5}, ConfigError),
        ({"pue": "much"}, ConfigError),
        ({"carbon_intensity": "Atlantis"}, ConfigError),
        ({"carbon_intensity": -1}, ConfigError),
    ],
)
def test_impossible_settings(setting: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        ecnas.load("4v", **setting)  # type: ignore[arg-type]


def test_pue_and_carbon_intensity_are_the_users() -> None:
    plain, seen = ecnas.load("4v"), ecnas.load("4v", pue=1.2, carbon_intensity=300)
    row = 5
    before, after = plain.query(row, 36), seen.query(row, 36)
    assert after.energy_kwh == pytest.approx(before.energy_kwh * 1.2 / 1.59)
    assert after.energy_kwh_std == pytest.approx(before.energy_kwh_std * 1.2 / 1.59)
    assert after.co2_g == pytest.approx(300 * after.energy_kwh)
    assert after.training_time_s == before.training_time_s
    assert seen.spent.co2_g == pytest.approx(after.co2_g)
    assert seen.provenance["energy_kwh"].pue == 1.2
    assert "300" in str(seen.provenance["co2_g"])
    many = seen.query_many([row, row], 36)
    assert many["co2_g"][1] == after.co2_g
    assert seen.values("co2_g", 36)[row] == after.co2_g
    again = plain.at(pue=1.2, carbon_intensity=300)
    assert dict(again.query(row, 36)) == dict(after)
    assert again.table.checksum == seen.table.checksum != plain.table.checksum


def test_a_country_brings_its_source() -> None:
    bench = ecnas.load("4v", carbon_intensity="dk")
    assert "Ember" in str(bench.provenance["co2_g"])
    record = bench.query(3, 4)
    assert record.co2_g == pytest.approx(152 * record.energy_kwh)


def test_a_pue_that_nobody_knows_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "own.ecnas"
    write_table(
        path,
        Columns(
            name="own",
            vertices=4,
            rows=np.array([3], dtype=np.int32),
            budgets=(4,),
            repeats=1,
            values={"energy_kwh": np.ones((1, 1, 1))},
            provenance={"energy_kwh": Provenance("synthetic")},
        ),
    )
    with pytest.raises(ProvenanceError, match="does not say"):
        ecnas.load(path, pue=1.2)
    with pytest.raises(ConfigError, match="modelled tables"):
        ecnas.load(path, device="titan-xp")
    assert ecnas.load(path, carbon_intensity=10).query(3).co2_g == 10


def test_what_is_measured_says_nothing_of_quality(reference: Path) -> None:
    bench = ecnas.load(reference / "official" / "energy_4V9E_titanxp.tfrecord")
    with pytest.raises(UnknownMetricError, match="quality"):
        _ = bench.quality


def test_a_name_that_is_none_hears_of_the_tables_that_come_with_the_package() -> None:
    with pytest.raises(UnknownTableError, match="7v, 5v or 4v, or one of 4v-4epochs"):
        ecnas.load("6v")
