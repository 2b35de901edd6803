"""Predictions of all metrics, whatever the chunks, and energies by the name of their model."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.devices import DeviceModel
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS, EnergyModel, Weights
from naslib_ecnas.surrogate.paper import PaperModel

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
        np.testing.assert_array_equal(values.astype(np.float32), whole[name][some])
    with pytest.raises(UnknownCellError):
        models.predict([5, 423_624])


# -- energies by the name of their model ---------------------------------------------------------

ROWS = np.array([0, 5, 90, 91, 2531, 2532, 100_000, 423_623], dtype=np.int32)


def test_our_energies(models: Models) -> None:
    found, origin = models.energies(ROWS, BUDGETS), models.energy_provenance
    assert list(found) == ["energy_kwh", "energy_kwh_std"]
    assert (origin.kind, origin.device, origin.pue) == ("modelled", "NVIDIA GeForce RTX 3090", 1.59)
    assert "affine" in str(origin.note)
    # Any budgets in any order; energy is affine in the epochs.
    whole = found["energy_kwh"]
    odd = models.energies(ROWS, (7, 108, 100))["energy_kwh"]
    share = (np.array([7, 108, 100]) - 4) / 104
    np.testing.assert_allclose(odd, whole[:, :1] + (whole[:, 3:] - whole[:, :1]) * share)
    linear = Models.shipped(scaling="linear")
    for name, values in linear.energies(ROWS, BUDGETS).items():
        np.testing.assert_allclose(values, found[name][:, :1] * [1, 3, 9, 27], rtol=1e-12)
    assert "epochs / 4" in str(linear.energy_provenance.note)


def test_energies_at_4_epochs_are_those_of_the_model() -> None:
    weights = Weights.shipped("devices")
    device = DeviceModel.from_weights(weights, "titan-xp")
    for model, name in ((EnergyModel.shipped(), None), (device, "NVIDIA TITAN Xp")):
        models = Models.shipped(name)
        found = [values[:, 0] for values in models.energies(ROWS, (4,)).values()]
        np.testing.assert_allclose(found, model.predict(features(ROWS)), rtol=1e-12)
    origin = models.energy_provenance
    assert (origin.device, origin.pue) == ("titan-xp", weights.header["pue"])
    assert "calibrated" in str(origin.note)


def test_energies_of_the_papers_perceptron() -> None:
    models = Models.shipped(model="paper")
    found, origin = models.energies(ROWS, BUDGETS), models.energy_provenance
    assert list(found) == ["energy_kwh"]  # without a standard deviation
    wanted = np.outer(PaperModel.shipped().wh(ROWS) / 1000, [1, 3, 9, 27])
    np.testing.assert_allclose(found["energy_kwh"], wanted, rtol=1e-12)
    assert origin.kind == "modelled"
    assert "fitted anew" in str(origin.note)
