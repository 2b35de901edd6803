"""Tests: exact rank tests of few values with any ties, what they can show, and a Bayesian test.

A test of few values has a smallest p-value, however large the difference; where a correction for
several comparisons asks for less, nothing can be found. `runs_needed`, `blocks_needed` and
`detectable` say what can be found with given numbers, before or after the runs are made.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, floats

#: Values in a test up to which the distribution is exact; beyond, scipy's normal approximation.
_EXACT = 100
#: Level of all tests.
ALPHA = 0.05
# Comparisons that are simulated for a statement of power.
_SIMULATED = 4000


class RankTest(NamedTuple):
    """Statistic and two-sided p-value of a rank test."""

    statistic: float
    p_value: float


def rank_sum_test(a: ArrayLike, b: ArrayLike) -> RankTest:
    """The rank-sum test of Wilcoxon, Mann and Whitney for unpaired values.

    The p-value is the share of all assignments of the values to two groups of n and m whose rank
    sum is at least as far from its mean as the one found; equal values share their mean rank. From
    101 values on it is the normal approximation with scipy's correction for ties.

    Args:
        a: (n,) finite numbers.
        b: (m,) finite numbers.

    Returns:
        The statistic U, the number of the n m pairs in which a is larger, ties as one half.

    Examples:
        >>> rank_sum_test([1, 2, 3], [4, 5, 6])
        RankTest(statistic=0.0, p_value=0.1)
    """
    one, other = sample(a), sample(b)
    both = np.concatenate([one, other])
    larger = float((np.sign(one[:, None] - other) + 1).sum() / 2)
    if (both == both[0]).all():
        return RankTest(larger, 1.0)
    if len(both) > _EXACT:
        from scipy.stats import mannwhitneyu

        return RankTest(larger, float(mannwhitneyu(one, other, method="asymptotic").pvalue))
    weights, ranks = _weights(both)
    # The smaller group decides as well as the other, and its sums are fewer.
    few = ranks[: len(one)] if len(one) <= len(other) else ranks[len(one) :]
    offs, tail = _rank_sums(weights, len(few))
    found = abs(int(few.sum()) * len(both) - len(few) * sum(weights))
    return RankTest(larger, float(tail[np.searchsorted(offs, found)]))


def signed_rank_test(differences: ArrayLike) -> RankTest:
    """Wilcoxon's signed-rank test for paired values.

    The p-value is the share of all changes of sign whose sum of ranks is at least as far from its
    mean. Differences of 0 are left out; equal sizes share their mean rank. From 101 differences on
    it is scipy's normal approximation.

    Returns:
        The statistic is the smaller one of the sums of the ranks of either sign.

    Examples:
        >>> signed_rank_test([0.1, 0.3, 0.2])
        RankTest(statistic=0.0, p_value=0.25)
    """
    given = sample(differences)
    given = given[given != 0]
    if not len(given):
        return RankTest(0.0, 1.0)
    if len(given) > _EXACT:
        from scipy.stats import wilcoxon

        found = wilcoxon(given, method="asymptotic")
        return RankTest(float(found.statistic), float(found.pvalue))
    weights, ranks = _weights(np.abs(given))
    total = sum(weights)
    chance = np.zeros(total + 1)  # of each sum of the ranks of positive differences
    chance[0] = 1.0
    for weight in weights:
        negative = chance / 2
        chance = negative.copy()
        chance[weight:] += negative[: total + 1 - weight]
    positive = int(ranks[given > 0].sum())
    off = np.abs(2 * np.arange(total + 1) - total)
    p = min(1.0, float(chance[off >= abs(2 * positive - total)].sum()))
    unit = total / (len(given) * (len(given) + 1) / 2)  # 2 where the ranks are doubled
    return RankTest(min(positive, total - positive) / unit, p)


def sample(values: ArrayLike, what: str = "a rank test") -> NDArray[np.float64]:
    """The values as an array; ConfigError unless they are one or more finite numbers in a list."""
    given = floats(values)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise ConfigError(
            f"{what} needs a list of one or more finite numbers",
            value=given.shape if given.ndim != 1 else given.tolist(),
        )
    return given


def _weights(values: NDArray[np.float64]) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """Ranks as whole numbers: twice the mean ranks, or the ranks where there are no ties; sorted,
    and in the order of the values."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    doubled = (2 * ends - counts + 1)[place.reshape(-1)]
    ranks = doubled // 2 if (counts == 1).all() else doubled
    return tuple(sorted(ranks.tolist())), ranks


@lru_cache(maxsize=256)
def _rank_sums(
    weights: tuple[int, ...], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Distances of a rank sum of `size` of the N weights from its mean, ascending, in units of
    1 / N, and the chance of each or a larger one when the weights are drawn at random."""
    total, every = sum(weights), len(weights)
    ways = np.zeros((size + 1, total + 1))  # of choosing so many weights with such a sum
    ways[0, 0] = 1.0
    for weight in weights:
        ways[1:, weight:] += ways[:-1, : total + 1 - weight]
    sums = np.flatnonzero(ways[size])
    chance = ways[size, sums] / ways[size].sum()
    offs, place = np.unique(np.abs(sums * every - size * total), return_inverse=True)
    each = np.bincount(place.reshape(-1), weights=chance)
    return offs, np.minimum(1.0, each[::-1].cumsum()[::-1])


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values corrected for multiple tests (Holm, Scand. J. Stat. 1979), in the given order.

    The least is multiplied by their number n, the next by n - 1, and so on; no product is less
    than the one before it or more than 1.

    Examples:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    given = floats(p_values)
    if given.ndim != 1 or not ((given >= 0) & (given <= 1)).all():
        raise ConfigError("p-values must be a list of numbers from 0 to 1", value=given.tolist())
    order = np.argsort(given, kind="stable")
    steps = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    out = np.empty_like(given)
    out[order] = np.minimum(steps, 1.0)
    return out


# -- what tests of few values can show ----


def smallest_rank_sum_p(n: int, m: int) -> float:
    """Smallest two-sided p-value of the rank-sum test of n and m values without ties: all values of
    one group are better than all of the other.

    Examples:
        >>> smallest_rank_sum_p(3, 3)
        0.1
    """
    check_counts("a rank test", n=n, m=m)
    return min(1.0, 2 / math.comb(n + m, n))


def smallest_signed_rank_p(blocks: int) -> float:
    """Smallest two-sided p-value of the signed-rank test: one method is better in every block."""
    check_counts("a rank test", blocks=blocks)
    return min(1.0, 2.0 ** (1 - blocks))


def runs_needed(comparisons: int = 1) -> int:
    """Least number of runs of each method with which the rank-sum test can show a difference,
    if Holm's correction takes so many comparisons together.

    Examples:
        >>> runs_needed(), runs_needed(28)
        (4, 7)
    """
    return _least(lambda n: smallest_rank_sum_p(n, n), comparisons)


def blocks_needed(comparisons: int = 1) -> int:
    """Least number of blocks (tables) with which the signed-rank test can show a difference.

    Examples:
        >>> blocks_needed(), blocks_needed(28)
        (6, 11)
    """
    return _least(smallest_signed_rank_p, comparisons)


def _least(smallest: Callable[[int], float], comparisons: int) -> int:
    check_counts(comparisons=comparisons)
    return next(n for n in itertools.count(1) if comparisons * smallest(n) <= ALPHA)


def detectable(n: int, m: int | None = None, *, comparisons: int = 1, power: float = 0.8) -> float:
    """Smallest true effect (`a12` above .5) that the rank-sum test finds with a probability.

    Normal scores of equal spread whose means differ, simulated (4,000 comparisons, always the same
    draws), against .05 / comparisons: Holm's first step, so the least power among several tests.
    To .001; NaN where no difference can be found, however large.

    Args:
        n, m: runs of the one and of the other method, m = n by default; together at most 100.
        comparisons: number of tests that the correction takes together.
        power: the probability.
    """
    m = n if m is None else m
    check_counts("a comparison", runs=n, others=m, comparisons=comparisons)
    check_numbers(above=0, below=1, power=power)
    if n + m > _EXACT:
        raise ConfigError(f"power is simulated for up to {_EXACT} runs", value=n + m)
    from scipy.special import ndtri

    # Distances of a rank sum from its mean that are refused.
    offs, tail = _rank_sums(tuple(range(1, n + m + 1)), min(n, m))
    refused = offs[tail <= ALPHA / comparisons * (1 + 1e-12)]
    if not len(refused):
        return math.nan
    drawn = np.random.default_rng(0).standard_normal((_SIMULATED, n + m))
    low, high = 500, 1000  # thousandths
    while high - low > 1:
        middle = (low + high) // 2
        moved = drawn.copy()
        moved[:, :n] += math.sqrt(2) * ndtri(middle / 1000)
        ranks = moved.argsort(axis=1).argsort(axis=1)[:, :n] + 1
        off = np.abs(ranks.sum(axis=1) * (n + m) - n * (n + m) * (n + m + 1) // 2)
        low, high = (low, middle) if (off >= refused[0]).mean() >= power else (middle, high)
    return high / 1000


# -- critical differences of mean ranks ----


def critical_difference(methods: int, blocks: int, *, alpha: float = ALPHA) -> float:
    """Difference of mean ranks from which two of several methods differ (Nemenyi; Demsar 2006).

    It holds for all pairs together, and for many blocks: with few it is an approximation.

    Examples:
        >>> round(critical_difference(5, 30), 2)
        1.11
    """
    check_counts("a comparison", least=2, methods=methods)
    check_counts("a comparison", blocks=blocks)
    check_numbers(above=0, below=1, alpha=alpha)
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * blocks))


def groups(order: Collection[str], apart: Collection[frozenset[str]]) -> list[tuple[str, ...]]:
    """Longest runs of neighbours in an order of which no two are apart, two or more in each.

    Args:
        order: methods by mean rank.
        apart: pairs of methods that a test tells apart.

    Examples:
        >>> groups("abcd", [frozenset("ac"), frozenset("ad"), frozenset("bd")])
        [('a', 'b'), ('b', 'c'), ('c', 'd')]
    """
    names, found = list(order), []
    reached = 0
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and all(
            frozenset((one, names[end])) not in apart for one in names[start:end]
        ):
            end += 1
        if end > reached and end - start > 1:
            found.append(tuple(names[start:end]))
        reached = max(reached, end)
    return found


# -- practical equivalence ----


@dataclass(frozen=True)
class Practical:
    """Probabilities that one method is better than another by more than does not matter."""

    better: float
    equivalent: float
    """Neither is better by more than the region of practical equivalence is wide."""
    worse: float
    rope: float
    """Half the width of the region, in the unit of the score."""


def practical(differences: ArrayLike, *, rope: float, rng: np.random.Generator) -> Practical:
    """Bayesian signed-rank test with a region of practical equivalence (Benavoli et al. 2017).

    The chance, over the posterior, that each of the three outcomes is the most probable one for a
    further block. Unlike a large p-value, a large `equivalent` says that methods hardly differ.

    Args:
        differences: (b,) score of the one method minus score of the other in each block, turned so
            that more is better.
        rope: differences between -rope and rope do not matter, at least 0.
        rng: source of randomness; 50,000 draws from the posterior. The prior is one observation of
            no difference with a weight of 1/2.
    """
    check_numbers("a Bayesian test", least=0, rope=rope)
    given = sample(differences, "a Bayesian test")
    known = np.append(0.0, given)
    sums = known[:, None] + known
    above, below = ((np.sign(way - 2 * rope) + 1) / 2 for way in (sums, -sums))
    weights = rng.dirichlet(np.append(0.5, np.ones(len(given))), 50_000)
    better, worse = (((weights @ over) * weights).sum(axis=1) for over in (above, below))
    most = np.argmax([better, 1 - better - worse, worse], axis=0)
    p_better, p_equal, p_worse = (np.bincount(most, minlength=3) / len(most)).tolist()
    return Practical(p_better, p_equal, p_worse, rope)
