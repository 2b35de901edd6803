"""The linear model of the time of an epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.energy import LINEAR, EpochTime, EpochTimeData, read_epoch_times
from naslib_ecnas.surrogate.fit.reference import Measured


@pytest.fixture(scope="module")
def synthetic() -> tuple[EpochTimeData, np.ndarray]:
    """Times that are a sum over layers with 0.5 % of noise, and the exact ones."""
    rng = np.random.default_rng(0)
    rows = np.unique(Space(7).sample(rng, 800)).astype(np.int64)
    x = features(rows)[:, :LINEAR].astype(np.float64)
    exact = 5 + x @ np.abs(rng.normal(size=LINEAR)) / x.std(axis=0).sum()
    noisy = exact * (1 + 0.005 * rng.normal(size=len(rows)))
    columns = {"final_training_time_s": noisy}
    return EpochTimeData(Measured("synthetic", "", rows, columns), x), exact


def test_a_sum_over_layers_is_found(synthetic: tuple[EpochTimeData, np.ndarray]) -> None:
    data, exact = synthetic
    fitted = data.fit(data.measured.rows[:600])
    wrong = np.abs(fitted.predict(data.x[600:]) / exact[600:] - 1)
    assert wrong.mean() < 0.004


def test_no_other_cell_is_seen(synthetic: tuple[EpochTimeData, np.ndarray]) -> None:
    data, _ = synthetic
    chosen = data.measured.rows[::2]
    before = data.fit(chosen)
    other = data.measured["final_training_time_s"].copy()
    other[1::2] *= 100
    changed = Measured("synthetic", "", data.measured.rows, {"final_training_time_s": other})
    after = EpochTimeData(changed, data.x).fit(chosen)
    assert np.array_equal(before.coefficients, after.coefficients)
    assert before.intercept == after.intercept


def test_fewer_runs_than_features_still_give_times(
    synthetic: tuple[EpochTimeData, np.ndarray],
) -> None:
    data, exact = synthetic
    fitted = data.fit(data.measured.rows[:40])
    assert np.mean(np.abs(fitted.predict(data.x) / exact - 1)) < 0.15


def test_too_few_runs_are_told(synthetic: tuple[EpochTimeData, np.ndarray]) -> None:
    data, _ = synthetic
    with pytest.raises(ConfigError, match="too few"):
        data.fit(data.measured.rows[:9])


def test_the_floor_holds() -> None:
    model = EpochTime(np.zeros(LINEAR), -1.0, 2.5)
    assert model.predict(np.zeros((2, LINEAR))) == pytest.approx([2.5, 2.5])


def test_half_the_measured_times_foretell_the_other_half(reference: Path) -> None:
    data = read_epoch_times(reference)
    fitted = data.fit(data.measured.rows[::2])
    wrong = fitted.predict(data.x[1::2]) / data.measured["final_training_time_s"][1::2] - 1
    assert np.mean(np.abs(wrong)) < 0.01
