"""Energy over epochs: closed forms on a synthetic ratio, and the measured one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.models import FIRST, LAST, OverEpochs, Weights, shipped

BUDGETS = (4, 12, 36, 108)
ROWS = np.concatenate([np.arange(91), Space(7).sample(np.random.default_rng(3), 2000)])


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights.load(shipped("epochs"))


@pytest.fixture(scope="module")
def model(weights: Weights) -> OverEpochs:
    return OverEpochs.from_weights(weights)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return features(ROWS)


def test_the_given_energy_is_kept_and_the_rest_is_affine(model: OverEpochs, x: np.ndarray) -> None:
    energy = np.linspace(0.003, 0.05, len(x))
    mean, std = model.predict(x, energy, 0.02 * energy, BUDGETS)
    assert mean.shape == std.shape == (len(x), 4)
    np.testing.assert_allclose(mean[:, 0], energy)
    np.testing.assert_allclose(std[:, 0], 0.02 * energy)
    slope = np.diff(mean, axis=1) / np.diff(BUDGETS)
    np.testing.assert_allclose(slope, np.repeat(slope[:, :1], 3, axis=1))
    np.testing.assert_allclose(mean[:, 3] / mean[:, 0], model.ratios(x))


def test_start_up_and_epoch_are_positive_whatever_the_ratio(
    model: OverEpochs, x: np.ndarray
) -> None:
    for intercept in (-5.0, 3.0, 9.0):
        odd = replace(model, ratio=np.array([intercept, 2.0, -2.0, 1.0, 0.0, 3.0]))
        growth = odd.growth(x, np.full(len(x), 0.01))
        assert growth.start_kwh.min() >= 0
        assert growth.epoch_kwh.min() > 0
        np.testing.assert_allclose(growth.start_kwh + FIRST * growth.epoch_kwh, 0.01)


def test_the_share_of_the_start_up_is_the_model_s_or_the_one_given(
    model: OverEpochs, x: np.ndarray
) -> None:
    energy = np.linspace(0.003, 0.05, len(x))
    own = model.growth(x, energy)
    np.testing.assert_allclose(own.start_kwh / energy, model.shares(x), atol=1e-12)
    given = model.growth(x, energy, 0.25)
    np.testing.assert_allclose(given.start_kwh, 0.25 * energy)
    np.testing.assert_allclose(FIRST * given.epoch_kwh, 0.75 * energy)


def test_linear_scaling_multiplies(model: OverEpochs, x: np.ndarray) -> None:
    energy = np.full(len(x), 0.01)
    mean, std = model.predict(x, energy, energy / 50, [8, LAST], scaling="linear")
    np.testing.assert_allclose(mean, [[0.02, 0.27]] * len(x))
    np.testing.assert_allclose(std, mean / 50)
    affine = model.predict(x, energy, energy / 50, [LAST])[0][:, 0]
    assert (affine < mean[:, 1]).all()


def test_errors_of_the_model_stay_but_noise_does_not(model: OverEpochs, x: np.ndarray) -> None:
    energy = np.full(len(x), 0.01)
    quiet, loud = (model.predict(x, energy, s * energy, [LAST])[1] for s in (0.01, 0.3))
    assert (loud > 3 * quiet).all()
    own = model.predict(x, energy, 0.01 * energy, [LAST], fitted_device=True)[1]
    assert (own < quiet).all()


@pytest.mark.parametrize(
    ("budgets", "scaling"), [([0], "affine"), ([4, -1], "affine"), ([4], "quadratic")]
)
def test_impossible_questions_are_refused(
    model: OverEpochs, x: np.ndarray, budgets: list[int], scaling: str
) -> None:
    with pytest.raises(ConfigError):
        model.predict(x[:1], np.array([0.01]), np.array([0.001]), budgets, scaling=scaling)


def test_arrays_hold_the_whole_model(model: OverEpochs, x: np.ndarray) -> None:
    again = OverEpochs.from_weights(Weights({}, model.to_arrays()))
    np.testing.assert_array_equal(again.ratios(x), model.ratios(x))
    assert (again.sd, again.noise, again.transfer) == (model.sd, model.noise, model.transfer)


def test_the_shipped_one_is_as_good_as_promised(weights: Weights) -> None:
    quality = weights.header["quality"]["energy_108"]
    assert quality["cells"] == 700
    assert 0.99 < quality["bias"] < 1.01
    assert quality["mape"] <= 3
    assert 0.88 <= quality["coverage"] <= 0.92
    assert weights.header["quality"]["energy_108_linear"]["bias"] > 1.1


def test_fitting_again_gives_the_shipped_numbers(reference: Path, weights: Weights) -> None:
    from naslib_ecnas.surrogate.fit.over_epochs import fit_over_epochs

    again = fit_over_epochs(reference, folds=2)
    np.testing.assert_allclose(
        again.arrays["epochs_ratio"], weights.arrays["epochs_ratio"], rtol=1e-6, atol=1e-9
    )
    assert again.header["data"] == weights.header["data"]
    assert again.header["quality"]["energy_108"]["mape"] <= 3
