"""Predictions of all metrics, whatever the chunks, and energies by the name of their model."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, UnknownCellError, UnknownTableError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.devices import DeviceModel
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.modelled import Models, energy_model
from naslib_ecnas.surrogate.models import BUDGETS, EnergyModel, Weights
from naslib_ecnas.surrogate.paper import SIZES, PaperModel

# -- predictions of all metrics ------------------------------------------------------------------


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.shipped()


def test_a_cell_alone_has_the_bits_that_it_has_among_others(models: Models) -> None:
    rows = Space(7).sample(np.random.default_rng(0), 6000)
    whole = models.predict(rows)
    some = np.array([0, 2047, 2048, 4095, 5999])
    assert set(whole) <= set(METRICS)
    for name, values in whole.items():
        assert values.shape == (len(rows), 4)
        assert np.isfinite(values).all(), name
        np.testing.assert_array_equal(models.predict(rows[some])[name], values[some], name)
        for at in some:
            np.testing.assert_array_equal(models.predict(rows[at])[name], values[[at]], name)
    for name, values in models.energies(rows[some], BUDGETS).items():
        np.testing.assert_array_equal(values, whole[name][some])
    with pytest.raises(UnknownCellError):
        models.predict([5, 423_624])


# -- energies by the name of their model ---------------------------------------------------------

ROWS = np.array([0, 5, 90, 91, 2531, 2532, 100_000, 423_623], dtype=np.int32)


def test_our_energies() -> None:
    energy, origin = energy_model(["ours"])
    found = energy(ROWS, BUDGETS)
    assert list(found) == ["energy_kwh", "energy_kwh_std"]
    at_4 = EnergyModel.shipped().predict(features(ROWS))
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
    model = PaperModel.shipped()
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
