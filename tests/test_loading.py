"""`load`: which names mean what, and which settings go with which table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.errors import ConfigError, ProvenanceError, UnknownMetricError, UnknownTableError
from naslib_ecnas.quality import Z90


@pytest.fixture(scope="module")
def cache(modelled_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modelled tables, as a folder where others may come in."""
    folder = tmp_path_factory.mktemp("modelled")
    shutil.copytree(modelled_cache, folder, copy_function=os.link, dirs_exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def _one_cache(cache: Path, _own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECNAS_CACHE", str(cache))


def test_a_table_that_was_made_before_is_opened_with_few_modules() -> None:
    """No models, no formats, no network, no catalog: that is what makes the first answer fast."""
    code = "import sys, naslib_ecnas as e; e.load().query(1000, epochs=108); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    plain = {k: v for k, v in os.environ.items() if not k.startswith("COV")}  # imports more
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", env=plain)
    loaded = set(done.stdout.split())
    assert {"naslib_ecnas.data.arrays", "naslib_ecnas.surrogate.tables"} <= loaded
    others = {f"naslib_ecnas.data.{name}" for name in ("convert", "catalog", "fetch", "long_form")}
    others |= {f"naslib_ecnas.surrogate.{name}" for name in ("modelled", "models", "features")}
    assert not loaded & (others | {"msgspec", "filelock", "hashlib", "tempfile", "numpy.ma"})


def test_the_default_is_the_whole_modelled_space() -> None:
    bench = ecnas.load()
    assert bench.name == "7v"
    assert len(bench.rows) == 423_624
    assert bench.budgets == (4, 12, 36, 108)
    assert {p.kind for n, p in bench.provenance.items() if n in bench.metrics} == {"modelled"}
    for name in bench.metrics:
        values = np.stack([bench.values(name, epochs) for epochs in bench.budgets])
        assert np.isfinite(values).all(), name
        assert (values > 0).all(), name
        if name in ("energy_kwh", "training_time_s"):  # both rise with the epochs
            assert (np.diff(values, axis=0) > 0).all(), name
    record = bench.query(1000, 108)
    assert 0 < record.energy_kwh_std < 0.2 * record.energy_kwh
    assert 0 < record.validation_accuracy_std < 0.5
    with pytest.raises(UnknownMetricError, match="energy_kwh"):
        record.train_accuracy  # noqa: B018
    # The small tables say what the large one says.
    for name, cells in (("4v", 91), ("5v", 2_532)):
        small = ecnas.load(name)
        assert len(small.rows) == cells
        for metric in small.metrics:
            here, there = small.values(metric, 12), bench.values(metric, 12)[:cells]
            np.testing.assert_allclose(here, there, rtol=2e-5)


def test_quality_and_intervals_that_widen_with_the_coverage(reference: Path) -> None:
    bench = ecnas.load("4v")
    for name in ("energy_kwh", "validation_accuracy"):
        mean = bench.values(name, 4)[bench.rows]
        wide, narrow = (bench.interval(name, 4, coverage=c)[bench.rows] for c in (0.9, 0.5))
        assert (wide[:, 0] < narrow[:, 0]).all()
        assert (narrow[:, 0] < mean).all()
        assert (mean < narrow[:, 1]).all()
        assert (narrow[:, 1] <= wide[:, 1]).all()
    energy, std = (bench.values(n, 4)[0] for n in ("energy_kwh", "energy_kwh_std"))
    upper = pytest.approx(energy * np.exp(Z90 * std / energy), rel=1e-6)
    assert bench.interval("energy_kwh", 4)[0, 1] == upper
    with pytest.raises(ConfigError, match="coverage"):
        bench.interval("energy_kwh", coverage=1)
    quality = ecnas.load("7v").quality
    assert len(quality) >= 6
    for word in ("energy", "validation accuracy at 108 epochs", "training time", "tau"):
        assert word in str(quality)
    measured = ecnas.load(reference / "official" / "energy_4V9E_titanxp.tfrecord")
    with pytest.raises(UnknownMetricError, match="quality"):
        _ = measured.quality


def test_scalings_models_and_devices() -> None:
    affine, linear = ecnas.load("4v"), ecnas.load("4v", scaling="linear")
    rows = linear.rows
    np.testing.assert_allclose(affine.values("energy_kwh", 4), linear.values("energy_kwh", 4))
    assert (affine.values("energy_kwh", 108) < linear.values("energy_kwh", 108))[rows].all()
    paper = ecnas.load("4v", model="paper")
    assert "energy_kwh_std" not in paper.metrics
    assert "paper" in str(paper.provenance["energy_kwh"])
    with pytest.raises(UnknownMetricError):
        paper.interval("energy_kwh", 4)
    other = ecnas.load("4v", device="Titan Xp")
    assert other.provenance["energy_kwh"].device == "titan-xp"
    ratio = (other.values("energy_kwh", 4) / affine.values("energy_kwh", 4))[rows]
    assert np.ptp(ratio) > 0.01
    name = "validation_accuracy"
    np.testing.assert_array_equal(other.values(name, 4), affine.values(name, 4))


def test_impossible_settings_and_names(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{"scaling": "affine"}, {"device": "titan-xp"}]
    for setting in settings:
        with pytest.raises(ConfigError, match="one device and scales linearly"):
            ecnas.load("4v", model="paper", **setting)
    with pytest.raises(UnknownTableError, match="no calibration at"):
        ecnas.load("4v", device="nowhere.safetensors")
    # What is there is not taken for a misspelt name.
    (tmp_path / "4_epochs").mkdir()
    with pytest.raises(UnknownTableError, match="no training") as caught:
        ecnas.load(str(tmp_path))
    assert "7v" not in str(caught.value)
    with pytest.raises(UnknownTableError, match="name or path, got ''"):
        ecnas.load("")
    with pytest.raises(UnknownTableError, match="7v, 5v, 4v, 4v-4epochs"):
        ecnas.load("6v")


def test_pue_and_carbon_intensity_are_the_users() -> None:
    """What follows for every metric: data/test_table.py."""
    plain, seen = ecnas.load("4v"), ecnas.load("4v", pue=1.2, carbon_intensity=300)
    row = 5
    before, after = plain.query(row, 36), seen.query(row, 36)
    assert after.energy_kwh_std == pytest.approx(before.energy_kwh_std * 1.2 / 1.59)
    assert after.co2_g == pytest.approx(300 * after.energy_kwh)
    assert seen.spent.co2_g == pytest.approx(after.co2_g)
    assert seen.query_many([row, row], 36)["co2_g"][1] == after.co2_g
    assert seen.values("co2_g", 36)[row] == after.co2_g
    again = plain.at(pue=1.2, carbon_intensity=300)
    assert again.query(row, 36) == after
    assert again.table.checksum == seen.table.checksum != plain.table.checksum
    denmark = ecnas.load("4v", carbon_intensity="dk")
    assert "Ember" in str(denmark.provenance["co2_g"])
    assert denmark.query(3, 4).co2_g == pytest.approx(152 * denmark.query(3, 4).energy_kwh)


def test_settings_of_modelled_tables_are_not_for_others(tmp_path: Path, table_file: Any) -> None:
    values = {"energy_kwh": np.ones((1, 1, 1))}
    path = table_file(tmp_path / "own.ecnas", values, rows=[3], budgets=(4,))
    with pytest.raises(ConfigError, match="modelled tables"):
        ecnas.load(path, device="titan-xp")
    with pytest.raises(ProvenanceError, match="cannot be changed"):
        ecnas.load(path, pue=1.2)
