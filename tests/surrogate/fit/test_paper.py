"""The paper's recipe and the learning curve, on the reference measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.surrogate.fit.paper import fit_paper, learning_curve
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.paper import PaperModel


@pytest.fixture(scope="module")
def folder(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every third of the measured energies, and the one-epoch times of these cells."""
    made = tmp_path_factory.mktemp("measured")
    energies = parquet.read_table(reference / Files.SEVEN_VERTICES)
    energies = energies.take(list(range(0, len(energies), 3)))
    times = parquet.read_table(reference / Files.ONE_EPOCH)
    cells = set(zip(*(energies[c].to_pylist() for c in ("adjacency", "operations")), strict=True))
    pairs = zip(*(times[c].to_pylist() for c in ("adjacency", "operations")), strict=True)
    parquet.write_table(energies, made / Files.SEVEN_VERTICES)
    parquet.write_table(times.filter([pair in cells for pair in pairs]), made / Files.ONE_EPOCH)
    return made


def test_the_recipe_learns_from_the_train_part_only(torch: Any, folder: Path, reports: Any) -> None:
    state = torch.get_rng_state()
    weights = fit_paper(folder, epochs=6, batch=16, progress=reports)
    assert reports == [(done, 6) for done in range(7)]
    data = read_measured(folder / Files.SEVEN_VERTICES)
    valid = data.where(data["paper_split"] == "valid")
    train = data.where(data["paper_split"] == "train")
    assert weights.arrays["fitted_rows"].tolist() == sorted(train.rows.tolist())
    true = 1000 * valid["energy_kwh"]
    error = np.abs(PaperModel.from_arrays(weights.arrays).wh(valid.rows) - true).mean()
    assert error < 0.5 * np.abs(true - np.median(true)).mean()
    (line,) = weights.header["quality"]
    assert line["scores"]["mae"] == pytest.approx(error, abs=1e-3)
    assert line["scores"]["cells"] == len(valid.rows)
    assert line["anchor"]
    assert weights.header["data"] == {Files.SEVEN_VERTICES: data.sha256}
    one, same, other = (fit_paper(folder, epochs=1, batch=200, seed=s) for s in (42, 42, 7))
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, same.arrays[name])
    assert (one.arrays["layers.0"] != other.arrays["layers.0"]).any()
    assert one.header["quality"] == same.header["quality"]
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(UnknownTableError):
        fit_paper(folder / "elsewhere")


@pytest.mark.usefixtures("lightgbm")
def test_more_cells_are_better(folder: Path, reports: Any) -> None:
    found = learning_curve(folder, progress=reports, sizes=(50, 300), draws=2)
    assert reports == [(done, 4) for done in range(5)]
    drawn = [(point["size"], point["draw"]) for point in found]
    assert drawn == [(50, 0), (300, 0), (50, 1), (300, 1)]
    assert set(found[0]) == {"size", "draw", "mae_wh", "mape", "tau"}
    few, many = found[::2], found[1::2]
    assert np.mean([p["mae_wh"] for p in many]) < 0.75 * np.mean([p["mae_wh"] for p in few])
    assert all(b["tau"] > a["tau"] for a, b in zip(few, many, strict=True))
    assert few[0]["mae_wh"] != few[1]["mae_wh"]


def test_impossible_curves_are_refused(folder: Path) -> None:
    settings: dict[str, Any]
    for settings in ({"draws": 0}, {"sizes": (100, 1100)}, {"sizes": ()}):
        with pytest.raises(ConfigError):
            learning_curve(folder, **settings)
