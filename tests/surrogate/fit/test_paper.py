"""The paper's recipe on the reference measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.surrogate.fit.paper import fit_paper
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.paper import PaperModel


def test_the_recipe_learns_from_the_train_part_only(
    torch: Any, reference: Path, reports: Any
) -> None:
    state = torch.get_rng_state()
    weights = fit_paper(reference, epochs=3)
    assert reports == [(done, 3) for done in range(4)]
    data = read_measured(reference / Files.SEVEN_VERTICES)
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
    one, same, other = (fit_paper(reference, epochs=1, batch=200, seed=s) for s in (42, 42, 7))
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, same.arrays[name])
    assert (one.arrays["layers.0"] != other.arrays["layers.0"]).any()
    assert one.header["quality"] == same.header["quality"]
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(UnknownTableError):
        fit_paper(reference / "elsewhere")
