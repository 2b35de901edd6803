"""Modelled tables: predictions whatever the chunks, energies by name, tables kept in the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.long_form import write_csv
from naslib_ecnas.data.table import Table, write_table
from naslib_ecnas.errors import ConfigError, StorageError, UnknownCellError, UnknownTableError
from naslib_ecnas.files import cache_folder
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import cached
from naslib_ecnas.surrogate.cached import embedded
from naslib_ecnas.surrogate.devices import DeviceModel
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.modelled import Models, energy_model
from naslib_ecnas.surrogate.models import BUDGETS, EnergyModel, Weights
from naslib_ecnas.surrogate.paper import SIZES, PaperModel

# -- predictions of all metrics ------------------------------------------------------------------


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.shipped()


def test_chunks_and_threads_change_nothing(models: Models) -> None:
    rows = Space(7).sample(np.random.default_rng(0), 20_000)
    done: list[int] = []
    whole = models.predict(rows, done.append, threads=3)
    assert done[-1] == len(rows)
    assert len(done) > 2
    assert done == sorted(set(done))
    some = np.array([0, 8191, 8192, 16_383, 16_384, 19_999])
    part = models.predict(rows[some], threads=1)
    assert set(part) == set(whole) <= set(METRICS)
    for name, values in whole.items():
        assert values.shape == (len(rows), 4)
        assert np.isfinite(values).all(), name
        np.testing.assert_array_equal(part[name], values[some], err_msg=name)
    for name, values in models.energies(rows[some], BUDGETS).items():
        np.testing.assert_allclose(values, part[name], rtol=1e-6)
    with pytest.raises(UnknownCellError):
        models.predict([5, 423_624])


# -- the embedded tables in the cache ------------------------------------------------------------

SETTINGS: list[dict[str, Any]]
SETTINGS = [{}, {"device": "titan-xp"}, {"scaling": "linear"}, {"model": "paper"}]


def test_made_once_and_anew_for_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    path = embedded("4v")
    assert path.is_relative_to(cache_folder())
    stamp = path.stat().st_mtime_ns
    for same in ({"scaling": "affine", "model": "ours"}, {"device": "NVIDIA GeForce RTX 3090"}):
        assert embedded("4v", **same) == path  # type: ignore[arg-type]
    assert path.stat().st_mtime_ns == stamp
    assert embedded("4v", afresh=True) == path
    assert path.stat().st_mtime_ns > stamp
    stamp = path.stat().st_mtime_ns
    monkeypatch.setattr(cached, "_VERSION", 99)
    assert embedded("4v").stat().st_mtime_ns > stamp
    monkeypatch.setenv("ECNAS_CACHE", str(path))  # a file is in the way
    with pytest.raises(StorageError, match="ECNAS_CACHE"):
        embedded("4v")


def test_tables_of_other_settings_or_values_are_other_tables(tmp_path: Path) -> None:
    paths = [*(embedded("4v", **setting) for setting in SETTINGS), embedded("5v")]
    assert len(set(paths)) == len(paths)
    tables = [Table.open(path) for path in paths]
    columns = tables[0].to_columns()
    doubled = {**columns.values, "energy_kwh": 2 * columns.values["energy_kwh"]}
    write_table(tmp_path / "changed.ecnas", replace(columns, values=doubled))
    # A file cannot claim to be the prediction of another one.
    said = {"predicted_from": tables[0].checksum, "description": "forged"}
    write_table(tmp_path / "forged.ecnas", replace(columns, attributes=said))
    write_csv(tmp_path / "forged.csv", replace(columns, attributes=said))
    tables += [Table.open(tmp_path / name) for name in ("changed.ecnas", "forged.ecnas")]
    tables.append(Table.open(converted(tmp_path / "forged.csv")))
    assert len({table.checksum for table in tables}) == len(tables)


def test_the_table_holds_the_predictions_of_the_models(models: Models) -> None:
    table = Table.open(embedded("5v"))
    predicted = models.predict(table.rows)
    assert set(table.metrics) == set(predicted)
    for name, values in predicted.items():
        np.testing.assert_allclose(table.column(name)[:, :, 0], values, rtol=1e-6)
    table.verify()


def test_processes_that_start_together_make_the_table_that_another_machine_makes(
    tmp_path: Path,
) -> None:
    here = Table.open(embedded("5v"))
    env = {**os.environ, "ECNAS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "3"}
    code = "from naslib_ecnas.surrogate.cached import embedded; print(embedded('5v'))"
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    running = [
        subprocess.Popen(command, stdout=pipe, text=True, cwd=tmp_path, env=env) for _ in range(2)
    ]
    printed = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    (path,) = printed
    there = Table.open(path)
    there.verify()
    assert there.checksum == here.checksum
    for metric in here.metrics:
        np.testing.assert_allclose(there.column(metric), here.column(metric), rtol=1e-5)


# -- energies by the name of their model ---------------------------------------------------------

ROWS = np.array([0, 5, 90, 91, 2531, 2532, 100_000, 423_623], dtype=np.int32)


def test_our_energies() -> None:
    energy, origin = energy_model(["ours"])
    found = energy(ROWS, BUDGETS)
    assert list(found) == ["energy_kwh", "energy_kwh_std"]
    at_4 = EnergyModel.from_arrays(Weights.shipped("energy").arrays).predict(features(ROWS))
    for values, wanted in zip(found.values(), at_4, strict=True):
        np.testing.assert_allclose(values[:, 0], wanted, rtol=1e-12)
    assert (origin.kind, origin.device, origin.pue) == ("modelled", "NVIDIA GeForce RTX 3090", 1.59)
    assert "affine" in str(origin.note)
    # Any budgets in any order; energy is affine in the epochs.
    whole = found["energy_kwh"]
    odd = energy(ROWS, (7, 108, 100))["energy_kwh"]
    share = (np.array([7, 108, 100]) - 4) / 104
    np.testing.assert_allclose(odd, whole[:, :1] + (whole[:, 3:] - whole[:, :1]) * share)
    linear, origin = energy_model(["ours"], scaling="linear")
    for values, affine in zip(linear(ROWS, BUDGETS).values(), found.values(), strict=True):
        np.testing.assert_allclose(values, affine[:, :1] * [1, 3, 9, 27], rtol=1e-12)
    assert "epochs / 4" in str(origin.note)


def test_energies_of_another_device() -> None:
    weights = Weights.shipped("devices")
    wanted = DeviceModel.from_weights(weights, "titan-xp").predict(features(ROWS))
    energy, origin = energy_model(["ours"], device="NVIDIA TITAN Xp")
    found = energy(ROWS, (4,)).values()
    np.testing.assert_allclose([values[:, 0] for values in found], wanted, rtol=1e-12)
    assert (origin.device, origin.pue) == ("titan-xp", weights.header["pue"])
    assert "calibrated" in str(origin.note)


def test_energies_of_the_papers_recipe() -> None:
    energy, origin = energy_model(["paper"])
    found = energy(ROWS, BUDGETS)
    assert list(found) == ["energy_kwh"]  # without a standard deviation
    model = PaperModel.from_arrays(Weights.shipped("paper").arrays)
    wanted = np.outer(model.wh(ROWS) / 1000, [1, 3, 9, 27])
    np.testing.assert_allclose(found["energy_kwh"], wanted, rtol=1e-12)
    assert origin.kind == "modelled"
    assert "fitted anew" in str(origin.note)
    same = energy_model(["paper"], scaling="linear")[0](ROWS, BUDGETS)["energy_kwh"]
    np.testing.assert_array_equal(same, found["energy_kwh"])


def test_energies_of_the_papers_weights(torch: Any, tmp_path: Path) -> None:
    shapes = [shape for a, b in pairwise(SIZES) for shape in ((b, a), (b,))]
    state = {str(i): torch.ones(shape) / 100 for i, shape in enumerate(shapes)}
    torch.save(state, tmp_path / "synthetic.pt")
    theirs, other = energy_model(["paper-weights", str(tmp_path / "synthetic.pt")])
    wh = PaperModel.from_torch_file(tmp_path / "synthetic.pt").wh(ROWS)
    energies = theirs(ROWS, (4, 108))["energy_kwh"]
    np.testing.assert_allclose(energies, np.stack([wh, 27 * wh], axis=1) / 1000, rtol=1e-12)
    assert "authors published" in str(other.note)


@pytest.mark.parametrize("choice", ["Ours", "ours file", "paper file", "paper-weights a b"])
def test_other_energy_models_are_refused(choice: str) -> None:
    with pytest.raises(ConfigError, match="must be ours, paper or paper-weights FILE"):
        energy_model(choice.split())


def test_settings_that_do_not_go_with_the_model_are_refused(tmp_path: Path) -> None:
    setting: dict[str, Any]
    for choice, setting in (
        ("ours", {"scaling": "square"}),
        ("ours", {"device": "abacus"}),
        ("paper", {"scaling": "affine"}),
        ("paper", {"device": "titan-xp"}),
        ("paper-weights none.pt", {"scaling": "affine"}),
    ):
        with pytest.raises(ConfigError):
            energy_model(choice.split(), **setting)
    with pytest.raises(UnknownTableError):
        energy_model(["ours"], device=str(tmp_path / "none.safetensors"))
