"""Aggregates of runs over tables, against rliable and scipy's bootstrap."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from scipy import stats

from naslib_ecnas.analysis import (
    RunScores,
    a12,
    improvements,
    interquartile_mean,
    interquartile_means,
    profiles,
)
from naslib_ecnas.errors import ConfigError

#: (runs, tables) of each method, as rliable has them.
MATRICES = {
    name: np.random.default_rng(0).normal(size=(10, 4)) + shift
    for name, shift in (("a", 0.0), ("b", 0.5), ("c", 1.0))
}
SCORES = RunScores.of(
    {name: {f"t{t}": m[:, t] for t in range(4)} for name, m in MATRICES.items()}, maximise=True
)
THRESHOLDS = np.linspace(-1, 2, 7)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_numbers_are_rliables() -> None:
    theirs = pytest.importorskip("rliable.metrics", reason="rliable is not installed")
    means = interquartile_means(SCORES, rng=rng(), resamples=10)
    for name, matrix in MATRICES.items():
        assert means[name].value == pytest.approx(theirs.aggregate_iqm(matrix))
    for (a, b), found in improvements(SCORES, rng=rng(), resamples=10).items():
        expected = theirs.probability_of_improvement(MATRICES[a], MATRICES[b])
        assert found.value == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore")
def test_intervals_and_profiles_are_rliables() -> None:
    # It needs an arch and a pandas of certain versions: another error than of import.
    try:
        theirs = importlib.import_module("rliable.library")
    except Exception as error:  # noqa: BLE001
        pytest.skip(f"rliable cannot be imported: {error}")
    shares, bounds = theirs.create_performance_profile(MATRICES, THRESHOLDS, reps=300)
    for name, found in profiles(SCORES, THRESHOLDS, rng=rng()).items():
        np.testing.assert_allclose(found.share, shares[name])
        np.testing.assert_allclose([found.lower, found.upper], bounds[name], atol=0.06)


def test_intervals_are_scipys() -> None:
    """Each table is a sample of its own to `scipy.stats.bootstrap`: that is stratified."""

    def bounds(statistic: object, *samples: np.ndarray) -> list[float]:
        options = {"method": "percentile", "n_resamples": 1500, "vectorized": False}
        found = stats.bootstrap(samples, statistic, **options, rng=1).confidence_interval
        return [found.low, found.high]

    def middle(*tables: np.ndarray) -> float:
        return float(stats.trim_mean(np.concatenate(tables), 0.25))

    def shares(*tables: np.ndarray) -> float:
        return float(np.mean([(table > THRESHOLDS[3]).mean() for table in tables]))

    found = interquartile_means(SCORES, rng=rng(), resamples=4000)["a"]
    expected = bounds(middle, *MATRICES["a"].T)
    assert [found.lower, found.upper] == pytest.approx(expected, abs=0.05)
    profile = profiles(SCORES, THRESHOLDS, rng=rng(), resamples=4000)["a"]
    expected = bounds(shares, *MATRICES["a"].T)
    assert [profile.lower[3], profile.upper[3]] == pytest.approx(expected, abs=0.026)
    one = RunScores.of({name: {"t": MATRICES[name][:, 0]} for name in "ab"}, maximise=True)
    won = improvements(one, rng=rng(), resamples=4000)["a", "b"]
    expected = bounds(a12, MATRICES["a"][:, 0], MATRICES["b"][:, 0])
    assert [won.lower, won.upper] == pytest.approx(expected, abs=0.05)


def test_directions_tables_and_methods() -> None:
    less = RunScores.of(SCORES.runs, maximise=False)
    one, other = (improvements(of, rng=rng())["a", "b"] for of in (SCORES, less))
    assert one.value == pytest.approx(1 - other.value)
    assert (one.lower, one.upper) == pytest.approx((1 - other.upper, 1 - other.lower))
    assert list(improvements(SCORES, rng=rng(), against="b")) == [("a", "b"), ("c", "b")]
    up, down = (profiles(of, THRESHOLDS, rng=rng())["a"] for of in (SCORES, less))
    np.testing.assert_allclose(up.share, 1 - down.share)
    assert (np.diff(up.share) <= 0).all()
    apart = RunScores.of({"a": {"4v": [1.0]}, "b": {"5v": [1.0]}}, maximise=True)
    with pytest.raises(ConfigError, match="no table on which all methods ran"):
        improvements(apart, rng=rng())


def test_interquartile_means_are_scipys() -> None:
    for n in range(1, 14):
        values = np.random.default_rng(n).normal(size=n)
        assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))
