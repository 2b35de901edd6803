"""Scores of runs: effect sizes, ranks and tests by hand and by scipy; aggregates of rliable."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from naslib_ecnas.analysis import (
    RunScores,
    a12,
    compare_runs,
    friedman,
    holm,
    improvements,
    interquartile_mean,
    interquartile_means,
    mean_ranks,
    pairwise,
    profiles,
    run_ranks,
)
from naslib_ecnas.errors import ConfigError

# Few levels, so that ties are common.
LEVELS = st.sampled_from([0.0, 0.5, 0.75, 1.0])
VALUES = st.lists(LEVELS, min_size=1, max_size=6)
TABLES = st.integers(2, 5).flatmap(
    lambda m: st.integers(1, 8).flatmap(lambda b: arrays(np.float64, (b, m), elements=LEVELS))
)


def scores_of(grid: np.ndarray, *, maximise: bool = True) -> RunScores:
    """Scores of a (methods, tables, runs) array."""
    runs = {
        name: {f"t{t}": runs for t, runs in enumerate(tables)}
        for name, tables in zip("abcdefgh", grid, strict=False)
    }
    return RunScores.of(runs, maximise=maximise)


def paired(table: object, *, maximise: bool = True) -> RunScores:
    """One run of each method, a column, on each table, a row."""
    return scores_of(np.asarray(table, dtype=float).T[..., None], maximise=maximise)


# -- effect sizes and ranks ----


@given(VALUES, VALUES)
def test_a12_counts_pairs(a: list[float], b: list[float]) -> None:
    pairs = [(x > y) + (x == y) / 2 for x in a for y in b]
    assert a12(a, b) == pytest.approx(np.mean(pairs))
    assert a12(a, b) + a12(b, a) == pytest.approx(1)
    assert a12(a, b, maximise=False) == pytest.approx(a12(b, a))


def test_interquartile_means_are_scipys() -> None:
    for n in range(1, 14):
        values = np.random.default_rng(n).normal(size=n)
        assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))


@pytest.mark.parametrize("maximise", [True, False])
def test_ranks_are_mean_ranks_of_all_runs(maximise: bool) -> None:
    grid = np.random.default_rng(0).integers(0, 6, (4, 1, 5)).astype(float)
    found = run_ranks(scores_of(grid, maximise=maximise), "t0")
    assert list(found.values()) == sorted(found.values())
    ranks = stats.rankdata(-grid if maximise else grid).reshape(4, 5).mean(axis=1)
    for name, rank in zip("abcd", ranks, strict=True):
        # The five best of 20 runs have the mean rank 3, the five worst 18: to 1 and to 4.
        assert found[name] == pytest.approx(0.4 + rank / 5)


@given(TABLES, st.booleans())
def test_ranks_equal_positions_in_a_sorted_list(table: np.ndarray, maximise: bool) -> None:
    means = mean_ranks(paired(table, maximise=maximise))
    assert list(means.values()) == sorted(means.values())
    ranks = stats.rankdata(-table if maximise else table, axis=1).mean(axis=0)
    assert means == pytest.approx(dict(zip("abcde", ranks, strict=False)))


# -- tests on each table and over tables ----


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize("compare", [compare_runs, pairwise])
def test_pairs_by_scipys_tests(compare: Callable[..., Any], maximise: bool) -> None:
    scores = scores_of(np.random.default_rng(1).normal(size=(4, 9, 7)), maximise=maximise)
    found, on_tables = compare(scores), compare is compare_runs
    tables = scores.tables if on_tables else [""]
    pairs = [*itertools.combinations("abcd", 2)]
    assert [(c.table, c.a, c.b) for c in found] == [(t, *pair) for t in tables for pair in pairs]
    for c in found:
        samples = scores.runs if on_tables else {n: {"": m} for n, m in scores.means().items()}
        one, other = (samples[name][c.table] for name in (c.a, c.b))
        test = stats.mannwhitneyu if on_tables else stats.wilcoxon
        assert c.p_value == pytest.approx(test(one, other, method="exact").pvalue)
        best = a12(one, other) if on_tables else np.mean(one > other)
        assert c.a12 == pytest.approx(best if maximise else 1 - best)
        assert (c.runs_a, c.runs_b) == ((7, 7) if on_tables else (9, 9))
        least = 2 / math.comb(14, 7) if on_tables else 2 / 2**9
        assert c.smallest_p == pytest.approx(min(1, len(found) * least))
    np.testing.assert_allclose([c.p_holm for c in found], holm([c.p_value for c in found]))
    # Against one method there are fewer corrections; it comes second.
    against = compare(scores, against="b")
    assert [(c.table, c.a, c.b) for c in against] == [(t, n, "b") for t in tables for n in "acd"]
    both = {(c.table, frozenset((c.a, c.b))): c for c in found}
    for c in against:
        same = both[c.table, frozenset((c.a, "b"))]
        assert (c.p_value, c.smallest_p) == (same.p_value, pytest.approx(same.smallest_p / 2))
        assert c.a12 == pytest.approx(same.a12 if c.a == "a" else 1 - same.a12)
    with pytest.raises(ConfigError, match="one of a, b, c, d, got 'z'"):
        compare(scores, against="z")


def test_methods_may_differ_in_tables_and_runs() -> None:
    runs = {"a": {"4v": [1, 2, 3], "5v": [1, 2]}, "b": {"4v": [3, 4]}, "c": {"5v": [0, 0, 1]}}
    scores = RunScores.of(runs, maximise=True)
    assert scores.tables == ()
    found = compare_runs(scores)
    assert [(c.table, c.a, c.b, c.runs_a, c.runs_b) for c in found] == [
        ("4v", "a", "b", 3, 2),
        ("5v", "a", "c", 2, 3),
    ]
    assert list(run_ranks(scores, "4v")) == ["b", "a"]
    with pytest.raises(ConfigError, match="one of 4v, 5v, got '7v'"):
        run_ranks(scores, "7v")
    for bad in ({}, {"a": {}}, {"a": {"4v": []}}, {"a": {"4v": [math.nan]}}):
        with pytest.raises(ConfigError):
            RunScores.of(bad, maximise=True)


def test_friedman_by_hand() -> None:
    # Rank sums 3, 6, 9 of 3 blocks: 12 / (3 * 3 * 4) * (9 + 36 + 81) - 3 * 3 * 4 = 6.
    found = friedman(paired([[0.9, 0.8, 0.7]] * 3))
    # Chi-squared with two degrees of freedom: exp(-6 / 2).
    assert (found.statistic, found.p_value) == pytest.approx((6.0, np.exp(-3.0)))
    found = friedman(paired(np.repeat([[0.1], [0.9]], 3, axis=1)))
    assert (found.statistic, found.p_value) == (0.0, 1.0)
    with pytest.raises(ConfigError, match="three or more"):
        friedman(paired([[0.1, 0.2]]))


@pytest.mark.filterwarnings("error")
def test_pairs_over_tables_by_hand() -> None:
    (found,) = pairwise(paired([[0.01 * i, 0.5 + 0.02 * i] for i in range(10)]))
    # Two of 2^10 changes of sign are as one-sided.
    assert (found.p_value, found.a12) == (pytest.approx(2 / 1024), 0.0)
    (found,) = pairwise(paired([[0.3, 0.3], [0.7, 0.7], [0.2, 0.2]] * 2))
    assert (found.p_value, found.p_holm, found.a12) == (1.0, 1.0, 0.5)
    (found,) = pairwise(paired([[0.9, 0.1], [0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]))
    assert found.a12 == 2.5 / 4


def test_tables_are_what_is_paired() -> None:
    runs = {
        "a": {"4v": [0.1, 0.5, 0.6, 0.9], "5v": [0.2], "7v": [1.0]},
        "b": {"5v": [0.3], "4v": [0.4, 0.4]},
    }
    means = RunScores.of(runs, maximise=True).means()
    np.testing.assert_allclose([means["a"], means["b"]], [[0.55, 0.2], [0.4, 0.3]])
    for wrong in ({"a": {"4v": [1]}, "b": {"5v": [1]}}, {"a": {"4v": [1]}}):
        with pytest.raises(ConfigError, match="needs two methods and a table"):
            pairwise(RunScores.of(wrong, maximise=True))


# -- intervals of a bootstrap ----

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
    means = interquartile_means(SCORES, rng=rng())
    for name, matrix in MATRICES.items():
        assert means[name].value == pytest.approx(theirs.aggregate_iqm(matrix))
    for (a, b), found in improvements(SCORES, rng=rng()).items():
        expected = theirs.probability_of_improvement(MATRICES[a], MATRICES[b])
        assert found.value == pytest.approx(expected)


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

    found = interquartile_means(SCORES, rng=rng())["a"]
    expected = bounds(middle, *MATRICES["a"].T)
    assert [found.lower, found.upper] == pytest.approx(expected, abs=0.05)
    profile = profiles(SCORES, THRESHOLDS, rng=rng())["a"]
    expected = bounds(shares, *MATRICES["a"].T)
    assert [profile.lower[3], profile.upper[3]] == pytest.approx(expected, abs=0.026)
    one = RunScores.of({name: {"t": MATRICES[name][:, 0]} for name in "ab"}, maximise=True)
    won = improvements(one, rng=rng())["a", "b"]
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
