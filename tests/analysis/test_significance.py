"""Tests against scipy, other libraries and every arrangement; what few values can show."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from naslib_ecnas.analysis import (
    critical_difference,
    detectable,
    groups,
    holm,
    practical,
    rank_sum_test,
    signed_rank_test,
)
from naslib_ecnas.analysis.significance import smallest_rank_sum_p, smallest_signed_rank_p
from naslib_ecnas.errors import ConfigError

# Few levels, so that ties are common.
VALUES = st.lists(st.sampled_from([0.0, 0.5, 0.75, 1.0]), min_size=1, max_size=5)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (10, 10), (2, 9), (30, 12), (60, 60)])
def test_rank_sums_without_ties_are_scipys(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(5):
        a, b = rng.normal(0.4, 1, n), rng.normal(0, 1, m)
        theirs = stats.mannwhitneyu(a, b, method="exact" if n + m <= 100 else "asymptotic")
        assert tuple(rank_sum_test(a, b)) == pytest.approx(tuple(theirs), rel=1e-9)


@given(VALUES, VALUES)
def test_rank_sums_with_ties_by_every_arrangement(a: list[float], b: list[float]) -> None:
    ranks = stats.rankdata([*a, *b])
    mean = ranks.mean() * len(a)
    sums = [
        sum(ranks[i] for i in chosen)
        for chosen in itertools.combinations(range(len(ranks)), len(a))
    ]
    off = abs(ranks[: len(a)].sum() - mean) - 1e-9
    expected = np.mean([abs(one - mean) >= off for one in sums])
    found = rank_sum_test(a, b)
    assert found.p_value == pytest.approx(expected)
    assert found.p_value == pytest.approx(rank_sum_test(b, a).p_value)
    assert found.statistic == sum((x > y) + (x == y) / 2 for x in a for y in b)


@given(VALUES)
def test_signed_ranks_by_every_change_of_sign(values: list[float]) -> None:
    gaps = np.array([x - 0.5 for x in values])  # with ties and zeros
    gaps = gaps[gaps != 0]
    ranks = stats.rankdata(np.abs(gaps))
    sums = [np.dot(s, ranks) for s in itertools.product((0, 1), repeat=len(gaps))]
    off = abs(ranks[gaps > 0].sum() - ranks.sum() / 2) - 1e-9
    expected = np.mean([abs(one - ranks.sum() / 2) >= off for one in sums])
    found = signed_rank_test([x - 0.5 for x in values])
    assert found.p_value == pytest.approx(expected)
    assert found.statistic == min(ranks[gaps > 0].sum(), ranks[gaps < 0].sum())


@pytest.mark.parametrize("n", [5, 40, 150])
def test_signed_ranks_are_scipys(n: int) -> None:
    gaps = np.random.default_rng(n).normal(0.2, 1, n)
    theirs = stats.wilcoxon(gaps, method="exact" if n <= 100 else "asymptotic")
    assert tuple(signed_rank_test(gaps)) == pytest.approx((theirs.statistic, theirs.pvalue))


@pytest.mark.filterwarnings("error")
def test_equal_values_do_not_differ() -> None:
    assert tuple(rank_sum_test([0.5] * 3, [0.5] * 4)) == (6.0, 1.0)
    assert tuple(signed_rank_test([0.0, 0.0])) == (0.0, 1.0)


def test_holm_by_hand() -> None:
    # Sorted .005, .01, .03, .04: times 4, 3, 2, 1 is .02, .03, .06, .04, which must not fall.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


# -- what few values can show ----


def test_the_smallest_p_is_that_of_a_method_that_always_wins() -> None:
    for n, m in ((1, 1), (3, 3), (4, 9), (10, 10)):
        smallest = smallest_rank_sum_p(n, m)
        assert rank_sum_test(np.arange(n), n + np.arange(m)).p_value == pytest.approx(smallest)
    for blocks in (1, 2, 6, 10):
        smallest = smallest_signed_rank_p(blocks)
        assert signed_rank_test(1.0 + np.arange(blocks)).p_value == pytest.approx(smallest)


def test_the_detectable_effect_is_found_by_scipys_test_with_the_stated_power() -> None:
    effect, rng = detectable(8, 6, comparisons=3, power=0.7), np.random.default_rng(5)
    a = rng.normal(math.sqrt(2) * stats.norm.ppf(effect), 1, (2000, 8))
    b = rng.normal(0, 1, (2000, 6))
    found = stats.mannwhitneyu(a, b, axis=1, method="exact").pvalue <= 0.05 / 3
    assert found.mean() == pytest.approx(0.7, abs=0.035)
    assert detectable(30) < detectable(10) < detectable(10, comparisons=28)
    assert math.isnan(detectable(5, comparisons=28))
    with pytest.raises(ConfigError, match="up to 100 runs"):
        detectable(80)


# -- critical differences of mean ranks ----


def test_critical_differences_are_demsars() -> None:
    # Table 5 of Demsar (2006), q for .05 and .10.
    for methods, q05, q10 in ((2, 1.960, 1.645), (5, 2.728, 2.459), (10, 3.164, 2.920)):
        for alpha, q in ((0.05, q05), (0.1, q10)):
            expected = q * np.sqrt(methods * (methods + 1) / (6 * 14))
            assert critical_difference(methods, 14, alpha=alpha) == pytest.approx(expected, 1e-3)


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
    found = practical(gaps, rope=rope, rng=np.random.default_rng(0))
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
