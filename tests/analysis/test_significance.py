"""Scores over tables: ranks and tests against scipy, libraries and hand calculation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from naslib_ecnas.analysis import (
    RunScores,
    critical_difference,
    friedman,
    groups,
    holm,
    mean_ranks,
    pairwise,
    practical,
)
from naslib_ecnas.errors import ConfigError

# Few levels, so that ties are common.
TABLES = st.integers(2, 5).flatmap(
    lambda m: st.integers(1, 8).flatmap(
        lambda b: arrays(np.float64, (b, m), elements=st.sampled_from([0.0, 0.5, 0.75, 1.0]))
    )
)


def paired(table: object, *, maximise: bool = True) -> RunScores:
    """One run of each method, a column, on each table, a row."""
    columns = np.asarray(table, dtype=float).T
    runs = {
        n: {str(t): [x] for t, x in enumerate(c)} for n, c in zip("abcdef", columns, strict=False)
    }
    return RunScores.of(runs, maximise=maximise)


def draw(seed: int, blocks: int = 12, methods: int = 4) -> np.ndarray:
    """Synthetic scores in which later methods are a little better."""
    rng = np.random.default_rng(seed)
    return rng.random((blocks, methods)) + 0.2 * np.arange(methods)


@given(TABLES, st.booleans())
def test_ranks_equal_positions_in_a_sorted_list(table: np.ndarray, maximise: bool) -> None:
    means = mean_ranks(paired(table, maximise=maximise))
    assert list(means.values()) == sorted(means.values())
    for name, column in zip("abcdef", table.T, strict=False):
        ranks = []
        for score, row in zip(column, table.tolist(), strict=True):
            ordered = enumerate(sorted(row, reverse=maximise), start=1)
            ranks.append(np.mean([place for place, other in ordered if other == score]))
        assert means[name] == pytest.approx(np.mean(ranks))


# -- tests ----


def test_friedman_by_hand() -> None:
    # Rank sums 3, 6, 9 of 3 blocks: 12 / (3 * 3 * 4) * (9 + 36 + 81) - 3 * 3 * 4 = 6.
    found = friedman(paired([[0.9, 0.8, 0.7]] * 3))
    # Chi-squared with two degrees of freedom: exp(-6 / 2).
    assert (found.statistic, found.p_value) == pytest.approx((6.0, np.exp(-3.0)))
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
    found = pairwise(paired(table))
    assert [(c.table, c.a, c.b) for c in found] == [
        ("", *pair) for pair in itertools.combinations("abcd", 2)
    ]
    for c in found:
        a, b = table[:, "abcd".index(c.a)], table[:, "abcd".index(c.b)]
        assert c.p_value == pytest.approx(stats.wilcoxon(a, b).pvalue)
        assert c.difference == pytest.approx(np.median(a - b))
        # The sign test: the fourth of 15 from either end (binomial, 95 %).
        assert (c.lower, c.upper) == tuple(np.sort(a - b)[[3, 11]])
        assert (c.runs_a, c.runs_b) == (15, 15)
        assert c.smallest_p == pytest.approx(6 * 2 / 2**15)
    np.testing.assert_allclose([c.p_holm for c in found], holm([c.p_value for c in found]))


def test_a_method_that_always_wins() -> None:
    (found,) = pairwise(paired([[0.01 * i, 0.5 + 0.02 * i] for i in range(10)]))
    # Two of 2^10 changes of sign are as one-sided.
    assert (found.p_value, found.a12) == (pytest.approx(2 / 1024), 0.0)
    assert found.lower <= found.difference <= found.upper < 0
    (few,) = pairwise(paired([[0.1, 0.2]] * 5))
    assert (few.lower, few.upper) == (-math.inf, math.inf)


@pytest.mark.filterwarnings("error")
def test_equal_methods_do_not_differ() -> None:
    (found,) = pairwise(paired([[0.3, 0.3], [0.7, 0.7], [0.2, 0.2]] * 2))
    assert (found.p_value, found.p_holm, found.a12) == (1.0, 1.0, 0.5)
    assert (found.difference, found.lower, found.upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("maximise", "share"), [(True, 2.5 / 4), (False, 1.5 / 4)])
def test_shares_of_tables_by_hand(maximise: bool, share: float) -> None:
    table = [[0.9, 0.1], [0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    assert pairwise(paired(table, maximise=maximise))[0].a12 == share


def test_against_one_method_costs_fewer_corrections() -> None:
    scores = paired(draw(1, blocks=20))
    found = pairwise(scores, against="b")
    assert [(c.a, c.b) for c in found] == [("a", "b"), ("c", "b"), ("d", "b")]
    everyone = {(c.a, c.b): c for c in pairwise(scores)}
    assert found[1].p_value == everyone["b", "c"].p_value
    assert found[1].p_holm <= everyone["b", "c"].p_holm
    assert found[1].a12 == pytest.approx(1 - everyone["b", "c"].a12)


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


# -- critical differences ----


def test_critical_differences_are_demsars() -> None:
    # Table 5 of Demsar (2006), q for .05 and .10.
    for methods, q05, q10 in ((2, 1.960, 1.645), (5, 2.728, 2.459), (10, 3.164, 2.920)):
        for alpha, q in ((0.05, q05), (0.1, q10)):
            expected = q * np.sqrt(methods * (methods + 1) / (6 * 14))
            assert critical_difference(methods, 14, alpha=alpha) == pytest.approx(expected, 1e-3)


def test_critical_differences_are_those_of_scikit_posthocs() -> None:
    theirs = pytest.importorskip("scikit_posthocs", reason="scikit-posthocs is not installed")
    table = draw(2, blocks=14)
    p_values = np.asarray(theirs.posthoc_nemenyi_friedman(table))
    ranks = mean_ranks(paired(table))
    for a, b in itertools.combinations(range(4), 2):
        apart = abs(ranks["abcd"[a]] - ranks["abcd"[b]]) > critical_difference(4, 14)
        assert apart == (p_values[a, b] < 0.05)


@given(st.integers(2, 6), st.sets(st.integers(0, 35)))
def test_groups_by_brute_force(n: int, codes: set[int]) -> None:
    names = "abcdef"[:n]
    apart = {frozenset((names[c // 6 % n], names[c % 6 % n])) for c in codes}
    apart = {pair for pair in apart if len(pair) == 2}
    runs = [names[i:j] for i in range(n) for j in range(i + 2, n + 1)]
    runs = [r for r in runs if not any(frozenset(p) in apart for p in itertools.combinations(r, 2))]
    longest = [r for r in runs if not any(r != other and r in other for other in runs)]
    assert ["".join(group) for group in groups(names, apart)] == longest


# -- practical equivalence ----


@pytest.mark.parametrize("rope", [0.0, 0.01, 0.05])
def test_practical_equivalence_is_baycomps(rope: float) -> None:
    theirs = pytest.importorskip("baycomp", reason="baycomp is not installed")
    gaps = np.append(np.random.default_rng(6).normal(0.01, 0.02, 9), [0.0, 0.02])
    found = practical(gaps, rope=rope, rng=np.random.default_rng(0), samples=20_000)
    test = theirs.SignedRankTest
    shares = test.probs(np.zeros(len(gaps)), gaps, rope, nsamples=20_000, random_state=1)
    worse, equivalent, better = shares if rope else (shares[0], 0.0, shares[1])
    expected = pytest.approx((better, equivalent, worse), abs=0.015)
    assert (found.better, found.equivalent, found.worse) == expected


def test_practical_equivalence_in_plain_cases() -> None:
    rng = np.random.default_rng(0)
    same = practical([0.001, -0.002, 0.0] * 4, rope=0.01, rng=rng)
    assert same.equivalent == 1.0
    better = practical([0.1] * 12, rope=0.01, rng=rng)
    assert better.better > 0.999
    # The other direction is the mirror image; few blocks leave the question open.
    gaps = np.array([0.02, 0.0, -0.03, 0.05])
    one, other = (practical(g, rope=0.01, rng=rng) for g in (gaps, -gaps))
    assert one.better == pytest.approx(other.worse, abs=0.02)
    assert practical([0.1], rope=0.01, rng=rng).better < 0.95
    # One block: its weight w is uniform to the power of 2: it outweighs the rest if
    # 1 - (1 - w)^2 > 1/2, as a pair of it with the prior's zero lies beyond the rope as well.
    edge = 1 - np.sqrt(0.5)
    chance = 1 - stats.beta(1, 0.5).cdf(edge)
    assert practical([0.1], rope=0.01, rng=rng).better == pytest.approx(chance, abs=0.01)
