"""The paper's recipe: that it learns, repeats by its seed, and says what it was fitted on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.surrogate.fit.over_epochs import PAPER_FILE, fit_paper
from naslib_ecnas.surrogate.fit.reference import read_measured
from naslib_ecnas.surrogate.paper import PaperModel

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")


def test_equal_seeds_give_equal_weights(reference: Path) -> None:
    heard: list[str] = []
    state = torch.get_rng_state()
    one, same = (fit_paper(reference, epochs=2, limit=300, progress=heard.append) for _ in range(2))
    other = fit_paper(reference, epochs=2, limit=300, seed=7)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, same.arrays[name])
    assert (one.arrays["weight0"] != other.arrays["weight0"]).any()
    assert one.header["quality"] == same.header["quality"]
    assert len(heard) == 2
    assert "of 2" in heard[0]
    assert torch.equal(torch.get_rng_state(), state)


def test_it_learns_and_only_from_the_train_part(reference: Path) -> None:
    weights = fit_paper(reference, epochs=30, limit=600)
    data = read_measured(reference / PAPER_FILE).where(np.arange(600))
    valid = data.where(data["paper_split"] == "valid")
    train = data.where(data["paper_split"] == "train")
    assert weights.arrays["fitted_rows"].tolist() == sorted(train.rows.tolist())
    true = 1000 * valid["energy_kwh"]
    error = np.abs(PaperModel.from_weights(weights).wh(valid.rows) - true).mean()
    assert error < 0.5 * np.abs(true - np.median(true)).mean()
    (quality,) = weights.header["quality"].values()
    assert quality["mae"] == pytest.approx(error, abs=1e-3)
    assert quality["cells"] == len(valid.rows)
    assert weights.header["data"] == {PAPER_FILE: data.sha256}
    assert weights.header["anchors"].keys() == weights.header["quality"].keys()


def test_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        fit_paper(tmp_path)
