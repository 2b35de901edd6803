"""Fitting the noise: known noise is found again; the reference data give the shipped weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.quality import Quality
from naslib_ecnas.surrogate.fit.noise import fit_failures, fit_noise, standardised
from naslib_ecnas.surrogate.models import Weights
from naslib_ecnas.surrogate.noise import KNOTS, failure_inputs

scipy = pytest.importorskip("scipy", reason="scipy is not installed")


def test_known_failures_are_found_again() -> None:
    """From trainings that are drawn with a probability of their own for each cell."""
    rng, truth = np.random.default_rng(0), np.array([-6.0, 1.5, 0.8, 1.0, 0.3])
    rows = np.arange(0, 423_624, 10)
    inputs = failure_inputs(rows)
    p = 1 / (1 + np.exp(-inputs @ truth))
    own = rng.beta(3 * p, 3 * (1 - p))
    single = [rng.random(len(rows)) < factor * own for factor in (0.2, 1, 1)]
    three = (rng.random((3, len(rows))) < own).all(axis=0)
    found, (first, concentration) = fit_failures(
        inputs, np.column_stack([*single, three]), np.zeros(4)
    )
    again = 1 / (1 + np.exp(-inputs @ found))
    assert np.abs(again - p).mean() < 0.1 * p.mean()
    assert abs(first - 0.2) < 0.03
    assert 2 < concentration < 4.5


def test_standard_shapes_have_mean_0_and_nine_tenths_within_their_deviation() -> None:
    np.testing.assert_allclose(standardised(KNOTS), KNOTS, atol=5e-3)
    np.testing.assert_allclose(standardised(3 * KNOTS + 1), KNOTS, atol=5e-3)
    skewed = standardised(np.expm1(KNOTS / 3))
    z = np.interp(np.random.default_rng(2).standard_normal(200_000), KNOTS, skewed)
    assert abs(z.mean()) < 0.01
    assert abs(np.mean(np.abs(z) <= 1.645) - 0.9) < 0.005


@pytest.fixture(scope="module")
def again(reference: Path) -> Weights:
    return fit_noise(reference)


def test_fitting_again_gives_the_shipped_weights(again: Weights) -> None:
    shipped = Weights.shipped("noise")
    assert again.header["data"] == shipped.header["data"]
    for name, array in shipped.arrays.items():
        np.testing.assert_allclose(again.arrays[name], array, rtol=1e-3, atol=1e-3, err_msg=name)


def test_draws_are_like_real_trainings_of_cells_not_fitted(again: Weights) -> None:
    lines = Quality.from_json(again.header["quality"])
    assert len(lines) == 7
    for line in lines:
        found, failures = line.scores, line.target.startswith("failures")
        most = 2 * found["expected_error"] if failures else 0.03
        assert abs(found["expected"] - found["seen"]) <= most, line.target
        assert found["cells"] == (23_991 if failures else 4_761)
        assert ("left out in turn" if failures else "held out") in line.about
