"""Exact rank tests against scipy and every arrangement; what few values can show."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from naslib_ecnas.analysis import (
    blocks_needed,
    detectable,
    holm,
    power,
    rank_sum_test,
    runs_needed,
    shift_interval,
    signed_rank_test,
)
from naslib_ecnas.analysis.exact import smallest_rank_sum_p, smallest_signed_rank_p
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


def test_eight_methods_need_unpaired_tests_or_eleven_pairs() -> None:
    pairs = 28
    assert pairs * smallest_signed_rank_p(10) > 0.05 > pairs * smallest_signed_rank_p(11)
    assert blocks_needed(pairs) == 11
    assert pairs * smallest_rank_sum_p(6, 6) > 0.05 > pairs * smallest_rank_sum_p(7, 7)
    assert runs_needed(pairs) == 7
    assert (runs_needed(), blocks_needed()) == (4, 6)
    assert runs_needed(alpha=0.01) == 5  # 2 of 252


def test_an_interval_contains_the_shifts_that_are_not_refused() -> None:
    rng = np.random.default_rng(0)
    for n, m in ((4, 4), (10, 8), (7, 20)):
        a, b = rng.normal(1, 1, n), rng.normal(0, 1, m)
        middle, lower, upper = shift_interval(a, b)
        assert middle == np.median(np.subtract.outer(a, b))
        assert lower <= middle <= upper
        for shift, inside in (
            *((lower + 1e-9, True), (lower - 1e-9, False)),
            *((upper - 1e-9, True), (upper + 1e-9, False)),
        ):
            assert (rank_sum_test(a - shift, b).p_value > 0.05) == inside
    assert shift_interval([1, 2, 3], [0, 0, 0])[1:] == (-math.inf, math.inf)
    # Many values: by the normal approximation.
    a, b = rng.normal(1, 1, 80), rng.normal(0, 1, 70)
    _, lower, upper = shift_interval(a, b, confidence=0.9)
    for bound in (lower, upper):
        assert rank_sum_test(a - bound, b).p_value == pytest.approx(0.1, abs=0.003)


def test_the_stated_power_is_that_of_scipys_test() -> None:
    rng, shift = np.random.default_rng(5), math.sqrt(2) * stats.norm.ppf(0.85)
    a, b = rng.normal(shift, 1, (2000, 8)), rng.normal(0, 1, (2000, 6))
    found = stats.mannwhitneyu(a, b, axis=1, method="exact").pvalue <= 0.05 / 3
    assert power(0.85, 8, 6, comparisons=3) == pytest.approx(found.mean(), abs=0.035)
    # Without a difference it is the level, or what of it a discrete test uses.
    size = sum(p <= 0.05 for p in _every_p(5)) / math.comb(10, 5)
    assert power(0.5, 5) == pytest.approx(size, abs=0.011)


def _every_p(n: int) -> list[float]:
    chosen = itertools.combinations(range(2 * n), n)
    groups = ((list(one), sorted({*range(2 * n)} - {*one})) for one in chosen)
    return [rank_sum_test(one, other).p_value for one, other in groups]


def test_the_detectable_effect_is_the_least_with_the_power() -> None:
    for n, comparisons in ((10, 1), (10, 28), (40, 6)):
        effect = detectable(n, comparisons=comparisons)
        assert power(effect, n, comparisons=comparisons) >= 0.8
        assert power(effect - 0.001, n, comparisons=comparisons) < 0.8
    assert detectable(30) < detectable(10) < detectable(10, comparisons=28)
    assert math.isnan(detectable(5, comparisons=28))
    assert power(0.99, 5, comparisons=28) == 0.0
    with pytest.raises(ConfigError, match="up to 100 runs"):
        power(0.7, 80)
