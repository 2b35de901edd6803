"""Runs of methods on a table: effect sizes, ranks, errors and power over whole comparisons."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from naslib_ecnas.analysis import (
    RunScores,
    a12,
    compare_runs,
    holm,
    power,
    rank_sum_test,
    run_ranks,
    shift_interval,
)
from naslib_ecnas.errors import ConfigError

VALUES = st.lists(st.sampled_from([0.0, 0.5, 0.75, 1.0]), min_size=1, max_size=6)


def scores_of(grid: np.ndarray, *, maximise: bool = True) -> RunScores:
    """Scores of a (methods, tables, runs) array."""
    runs = {
        name: {f"t{t}": runs for t, runs in enumerate(tables)}
        for name, tables in zip("abcdefgh", grid, strict=False)
    }
    return RunScores.of(runs, maximise=maximise)


@given(VALUES, VALUES)
def test_a12_counts_pairs(a: list[float], b: list[float]) -> None:
    pairs = [(x > y) + (x == y) / 2 for x in a for y in b]
    assert a12(a, b) == pytest.approx(np.mean(pairs))
    assert a12(a, b) + a12(b, a) == pytest.approx(1)
    assert a12(a, b, maximise=False) == pytest.approx(a12(b, a))


@pytest.mark.parametrize("maximise", [True, False])
def test_ranks_are_mean_ranks_of_all_runs(maximise: bool) -> None:
    grid = np.random.default_rng(0).integers(0, 6, (4, 1, 5)).astype(float)
    found = run_ranks(scores_of(grid, maximise=maximise), "t0")
    assert list(found.values()) == sorted(found.values())
    ranks = stats.rankdata(-grid if maximise else grid).reshape(4, 5).mean(axis=1)
    for name, rank in zip("abcd", ranks, strict=True):
        # The five best of 20 runs have the mean rank 3, the five worst 18: to 1 and to 4.
        assert found[name] == pytest.approx(0.4 + rank / 5)


def test_each_pair_on_each_table() -> None:
    grid = np.random.default_rng(1).normal(size=(3, 2, 7))
    scores = scores_of(grid)
    found = compare_runs(scores)
    pairs = list(itertools.combinations("abc", 2))
    assert [(c.table, c.a, c.b) for c in found] == [(t, *p) for t in ("t0", "t1") for p in pairs]
    for c in found:
        one, other = (scores.runs[name][c.table] for name in (c.a, c.b))
        assert c.p_value == rank_sum_test(one, other).p_value
        assert (c.difference, c.lower, c.upper) == shift_interval(one, other)
        assert c.a12 == a12(one, other)
        assert (c.runs_a, c.runs_b) == (7, 7)
        assert c.smallest_p == pytest.approx(6 * 2 / math.comb(14, 7))
        assert c.smallest_p <= c.p_holm
    np.testing.assert_allclose([c.p_holm for c in found], holm([c.p_value for c in found]))
    against = compare_runs(scores, against="b")
    assert [(c.table, c.a, c.b) for c in against] == [
        (t, n, "b") for t in ("t0", "t1") for n in "ac"
    ]
    assert against[0].smallest_p == pytest.approx(4 * 2 / math.comb(14, 7))
    with pytest.raises(ConfigError, match="one of a, b, c, got 'z'"):
        compare_runs(scores, against="z")


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


# -- a thousand comparisons: errors without a difference, power with one ----


@pytest.mark.parametrize("kind", ["normal", "skewed with ties"])
def test_at_most_one_comparison_in_twenty_finds_what_is_not_there(kind: str) -> None:
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(1000 if kind == "normal" else 500):
        grid = rng.normal(size=(3, 2, 8))
        if kind != "normal":  # as hypervolumes: most near 1, some runs far off, many equal
            grid = np.round(1 - np.exp(grid - 4), 2)
        pairs = itertools.combinations(grid, 2)
        samples = [(a[t], b[t]) for a, b in pairs for t in range(2)]
        wrong += holm([rank_sum_test(*both).p_value for both in samples]).min() <= 0.05
    assert wrong <= (65 if kind == "normal" else 32)


def test_a_true_difference_is_found_with_the_stated_power() -> None:
    rng, effect, grids = np.random.default_rng(4), 0.9, 300
    hits = np.zeros(grids, dtype=bool)
    for i in range(grids):
        grid = rng.normal(size=(3, 2, 10))
        grid[0, 0] += math.sqrt(2) * stats.norm.ppf(effect)
        first = compare_runs(scores_of(grid))[0]
        assert (first.table, first.a, first.b) == ("t0", "a", "b")
        hits[i] = first.p_holm <= 0.05
    # Holm's later steps ask for a little less than the first, on which the statement rests.
    least = power(effect, 10, comparisons=6)
    most = power(effect, 10, comparisons=5)
    assert stats.binom.ppf(0.005, grids, least) <= hits.sum() <= stats.binom.ppf(0.995, grids, most)
    assert 0.7 < least < 0.9
