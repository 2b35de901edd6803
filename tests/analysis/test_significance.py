"""Paired scores, ranks and tests: against scipy, hand calculation and every permutation."""

from __future__ import annotations

import importlib
import itertools
import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from naslib_ecnas.analysis import (
    PairComparison,
    PairedScores,
    friedman,
    holm,
    mean_ranks,
    median_interval,
    pairwise,
    superiority,
)
from naslib_ecnas.errors import ConfigError, MissingDependencyError

# Few levels, so that ties are common.
TABLES = st.integers(2, 5).flatmap(
    lambda m: st.integers(1, 8).flatmap(
        lambda b: arrays(np.float64, (b, m), elements=st.sampled_from([0.0, 0.5, 0.75, 1.0]))
    )
)


def paired(table: object, *, maximise: bool = True) -> PairedScores:
    columns = np.asarray(table, dtype=float).T
    scores = {name: dict(enumerate(c.tolist())) for name, c in zip("abcdef", columns, strict=False)}
    return PairedScores.of(scores, maximise=maximise)


def draw(seed: int, blocks: int = 12, methods: int = 4) -> np.ndarray:
    """Synthetic scores in which later methods are a little better."""
    rng = np.random.default_rng(seed)
    return rng.random((blocks, methods)) + 0.2 * np.arange(methods)


def compare(scores: PairedScores, **options: Any) -> tuple[PairComparison, ...]:
    return pairwise(scores, rng=np.random.default_rng(0), resamples=50, **options)


@given(TABLES, st.booleans())
def test_ranks_equal_positions_in_a_sorted_list(table: np.ndarray, maximise: bool) -> None:
    scores = paired(table, maximise=maximise)
    for row, ranks in zip(table.tolist(), scores.ranks, strict=True):
        ordered = sorted(row, reverse=maximise)
        for score, rank in zip(row, ranks, strict=True):
            places = [place for place, other in enumerate(ordered, start=1) if other == score]
            assert rank == sum(places) / len(places)
    m = table.shape[1]
    assert (scores.ranks.sum(axis=1) == m * (m + 1) / 2).all()
    means = mean_ranks(scores)
    assert sorted(means) == sorted(scores.methods)
    assert list(means.values()) == sorted(means.values())
    assert [means[name] for name in scores.methods] == scores.ranks.mean(axis=0).tolist()
    # The other direction turns every rank round.
    other = mean_ranks(paired(table, maximise=not maximise))
    assert all(means[name] + other[name] == pytest.approx(m + 1) for name in means)


def test_blocks_are_paired_by_name_and_not_by_order() -> None:
    given = {"a": {("4v", 0): 1.0, ("5v", 0): 2.0}, "b": {("5v", 0): 3.0, ("4v", 0): 4.0}}
    scores = PairedScores.of(given, maximise=True)
    assert scores.blocks == (("4v", 0), ("5v", 0))
    assert scores.scores.tolist() == [[1.0, 4.0], [2.0, 3.0]]
    assert scores.column("b").tolist() == [4.0, 3.0]


def test_what_is_missing_is_named() -> None:
    scores = {
        "semoa": {("7v", 0): 0.9, ("7v", 1): math.nan},
        "random": {("7v", 0): 0.8, ("5v", 3): 0.7},
    }
    with pytest.raises(ConfigError, match="3 of 6 scores are missing") as caught:
        PairedScores.of(scores, maximise=True)
    missing = ["semoa in ('7v', 1)", "random in ('7v', 1)", "semoa in ('5v', 3)"]
    assert caught.value.value == missing
    assert "semoa in ('7v', 1)" in str(caught.value)
    # The infinite distance of a run that found nothing cannot be ranked by how much.
    with pytest.raises(ConfigError, match="1 of 2 scores are missing"):
        PairedScores.of({"a": {0: math.inf}, "b": {0: 1.0}}, maximise=False)
    with pytest.raises(ConfigError, match="the method must be one of a, b"):
        paired(np.ones((2, 2))).column("z")


# -- tests ----


def test_friedman_by_hand() -> None:
    # Rank sums 3, 6, 9 of 3 blocks: 12 / (3 * 3 * 4) * (9 + 36 + 81) - 3 * 3 * 4 = 6.
    found = friedman(paired([[0.9, 0.8, 0.7]] * 3))
    # Chi-squared with two degrees of freedom: exp(-6 / 2).
    assert (found.statistic, found.p_value) == pytest.approx((6.0, np.exp(-3.0)))
    assert (found.methods, found.blocks) == (3, 3)
    found = friedman(paired(np.repeat([[0.1], [0.9]], 3, axis=1)))
    assert (found.statistic, found.p_value) == (0.0, 1.0)
    with pytest.raises(ConfigError, match="three or more"):
        friedman(paired(draw(0, methods=2)))


@pytest.mark.parametrize("maximise", [True, False])
def test_friedman_is_scipys_whatever_the_direction(maximise: bool) -> None:
    for seed in range(5):
        table = np.round(draw(seed), 1)  # with ties
        theirs = stats.friedmanchisquare(*table.T)
        found = friedman(paired(table, maximise=maximise))
        assert (found.statistic, found.p_value) == pytest.approx(tuple(theirs))


def test_wilcoxon_is_scipys() -> None:
    table = draw(0, blocks=15)
    found = compare(paired(table))
    assert [(c.a, c.b) for c in found] == list(itertools.combinations("abcd", 2))
    for c in found:
        a, b = table[:, "abcd".index(c.a)], table[:, "abcd".index(c.b)]
        theirs = stats.wilcoxon(a, b)
        assert (c.statistic, c.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert c.median_difference == pytest.approx(np.median(a - b))
        assert c.blocks == 15
    np.testing.assert_allclose([c.p_holm for c in found], holm([c.p_value for c in found]))


def test_a_method_that_always_wins() -> None:
    (found,) = compare(paired([[0.01 * i, 0.5 + 0.02 * i] for i in range(10)]))
    # Two of 2^10 changes of sign are as one-sided.
    assert found.p_value == pytest.approx(2 / 1024)
    assert (found.statistic, found.superiority) == (0.0, 0.0)
    assert found.lower <= found.median_difference <= found.upper < 0


@pytest.mark.filterwarnings("error")
def test_equal_methods_do_not_differ() -> None:
    (found,) = compare(paired([[0.3, 0.3], [0.7, 0.7], [0.2, 0.2]]))
    assert (found.statistic, found.p_value, found.p_holm) == (0.0, 1.0, 1.0)
    assert (found.superiority, found.median_difference) == (0.5, 0.0)
    assert (found.lower, found.upper) == (0.0, 0.0)


def test_against_one_method_costs_fewer_corrections() -> None:
    scores = paired(draw(1, blocks=20))
    found = compare(scores, against="b")
    assert [(c.a, c.b) for c in found] == [("a", "b"), ("c", "b"), ("d", "b")]
    everyone = {(c.a, c.b): c for c in compare(scores)}
    assert found[1].p_value == everyone["b", "c"].p_value
    assert found[1].p_holm <= everyone["b", "c"].p_holm
    assert found[1].superiority == pytest.approx(1 - everyone["b", "c"].superiority)


def test_superiority_by_hand() -> None:
    table = [[0.9, 0.1], [0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    assert superiority(paired(table), "a", "b") == 2.5 / 4
    assert superiority(paired(table), "b", "a") == 1.5 / 4
    assert superiority(paired(table, maximise=False), "a", "b") == 1.5 / 4


def test_holm_by_hand() -> None:
    # Sorted .005, .01, .03, .04: times 4, 3, 2, 1 is .02, .03, .06, .04, which must not fall.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_bootstrap_in_parts_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=25)
    whole = median_interval(values, rng=np.random.default_rng(3), resamples=101)
    assert whole[0] <= np.median(values) <= whole[1]
    assert whole != median_interval(values, rng=np.random.default_rng(4), resamples=101)
    module = importlib.import_module("naslib_ecnas.analysis.significance")
    monkeypatch.setattr(module, "_CHUNK", 1000)
    assert median_interval(values, rng=np.random.default_rng(3), resamples=101) == whole


def test_bootstrap_equals_every_resample_of_three() -> None:
    values = [0.0, 1.0, 5.0]
    every = [np.median(drawn) for drawn in itertools.product(values, repeat=3)]
    # The median is the least in 7 of 27 resamples and the greatest in 7.
    assert (every.count(0.0), every.count(1.0), every.count(5.0)) == (7, 13, 7)
    rng = np.random.default_rng(0)
    # With 40 % in the middle neither bound leaves the 13; with 60 % both do.
    assert median_interval(values, rng=rng, confidence=0.4, resamples=20_000) == (1.0, 1.0)
    assert median_interval(values, rng=rng, confidence=0.6, resamples=20_000) == (0.0, 5.0)
    with pytest.raises(ConfigError, match="a median needs"):
        median_interval([np.inf], rng=rng)


def test_scipy_is_asked_for_by_the_name_of_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    for test in (friedman, compare):
        with pytest.raises(MissingDependencyError, match=r"naslib-ecnas\[search\]"):
            test(paired(draw(0)))
