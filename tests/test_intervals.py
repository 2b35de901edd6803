"""Bounds from standard deviations: closed forms, properties, and draws that they must hold."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.errors import ConfigError, UnknownMetricError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.quality import Z90, bounds

FRACTIONS = sorted(name for name, m in METRICS.items() if m.upper == 1.0)
COSTS = ("energy_kwh", "co2_g", "training_time_s", "halfway_energy_kwh")
COVERAGE = st.floats(0.01, 0.999)


def test_fractions_lie_evenly_about_the_mean() -> None:
    found = bounds("validation_accuracy", [0.5, 0.9], [0.1, 0.01])
    np.testing.assert_allclose(found, [[0.3355, 0.6645], [0.88355, 0.91645]], rtol=1e-12)


@pytest.mark.parametrize("name", FRACTIONS)
def test_fractions_are_cut_at_their_ends(name: str) -> None:
    assert bounds(name, [0.95, 0.02, 0.5], [0.1, 0.1, 9]).tolist()[0][1] == 1
    assert bounds(name, [0.95, 0.02, 0.5], [0.1, 0.1, 9]).tolist()[1][0] == 0
    assert bounds(name, [0.95, 0.02, 0.5], [0.1, 0.1, 9]).tolist()[2] == [0, 1]


@pytest.mark.parametrize("name", COSTS)
def test_costs_lie_evenly_in_the_logarithm(name: str) -> None:
    factor = math.exp(1.645 * 0.2)
    np.testing.assert_allclose(bounds(name, 10.0, 2.0), [10 / factor, 10 * factor], rtol=1e-12)


def test_other_coverages_are_quantiles_of_the_normal_distribution() -> None:
    low, high = bounds("test_accuracy", 0.5, 0.1, coverage=0.5)
    assert high - 0.5 == pytest.approx(0.0674490, abs=1e-6)
    assert 0.5 - low == pytest.approx(0.0674490, abs=1e-6)
    sigma = NormalDist().cdf(1) - NormalDist().cdf(-1)
    np.testing.assert_allclose(
        bounds("energy_kwh", 10, 1, coverage=sigma), [10 / math.exp(0.1), 10 * math.exp(0.1)]
    )
    assert pytest.approx(NormalDist().inv_cdf(0.95), abs=2e-4) == Z90


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("name", ["energy_kwh", "validation_accuracy"])
def test_bounds_are_the_last_axis(name: str, shape: tuple[int, ...]) -> None:
    mean = np.random.default_rng(0).uniform(0.1, 0.9, shape)
    found = bounds(name, mean, 0.1 * mean)
    assert found.shape == (*shape, 2)
    assert found.dtype == np.float64
    for index in np.ndindex(shape):
        wanted = bounds(name, mean[index], 0.1 * mean[index])
        np.testing.assert_allclose(found[index], wanted, rtol=1e-14)


@given(st.floats(1e-6, 1e6), st.floats(0, 2), COVERAGE, COVERAGE)
def test_properties_of_costs(mean: float, relative: float, one: float, other: float) -> None:
    low, high = bounds("energy_kwh", mean, relative * mean, one)
    assert 0 < low <= mean * (1 + 1e-12)
    assert high >= mean * (1 - 1e-12)
    assert low * high == pytest.approx(mean**2)
    wider = bounds("energy_kwh", mean, relative * mean, max(one, other))
    assert wider[0] <= low
    assert wider[1] >= high
    # The unit does not matter.
    np.testing.assert_allclose(
        bounds("energy_kwh", 1000 * mean, 1000 * relative * mean, one), [1000 * low, 1000 * high]
    )


@given(st.floats(0, 1), st.floats(0, 1), COVERAGE, COVERAGE)
def test_properties_of_fractions(mean: float, std: float, one: float, other: float) -> None:
    low, high = bounds("test_accuracy", mean, std, one)
    assert 0 <= low <= mean <= high <= 1
    wider = bounds("test_accuracy", mean, std, max(one, other))
    assert wider[0] <= low
    assert wider[1] >= high


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.99])
def test_synthetic_draws_lie_inside_as_often_as_they_should(coverage: float) -> None:
    error = np.random.default_rng(1).normal(size=20_000)
    for name, drawn in (
        ("energy_kwh", 3 * np.exp(0.1 * error)),
        ("test_accuracy", 0.5 + 0.05 * error),
    ):
        mean, std = (3, 0.3) if name == "energy_kwh" else (0.5, 0.05)
        low, high = bounds(name, mean, std, coverage)
        assert np.mean((drawn >= low) & (drawn <= high)) == pytest.approx(coverage, abs=0.01)


@pytest.mark.parametrize("name", ["energy_kwh", "validation_accuracy"])
def test_what_is_missing_has_no_bounds(name: str) -> None:
    found = bounds(name, [np.nan, 0.5, 0.5], [0.1, np.nan, 0.0])
    assert np.isnan(found[:2]).all()
    assert found[2].tolist() == [0.5, 0.5]


@pytest.mark.filterwarnings("error")
def test_a_cost_of_nothing_has_no_bounds_and_no_warning() -> None:
    assert np.isnan(bounds("energy_kwh", [0.0, -1.0], [0.1, 0.1])).all()


@pytest.mark.parametrize("coverage", [0, 1, 0.0, 1.0, -0.1, 1.5, 90, True, "0.9", None, math.nan])
def test_coverages_that_are_none(coverage: object) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1") as caught:
        bounds("energy_kwh", 1, 1, coverage)  # type: ignore[arg-type]
    assert caught.value.remedy


def test_an_unknown_metric() -> None:
    with pytest.raises(UnknownMetricError):
        bounds("energy", 1, 1)
