"""Exact rank tests of few values with any ties, and what such tests can show at all.

A test of few values has a smallest p-value, however large the difference; where a correction for
several comparisons asks for less, nothing can be found. `runs_needed`, `blocks_needed`, `power` and
`detectable` say what can be found with given numbers, before or after the runs are made.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, floats

#: Values in a test up to which the distribution is exact; beyond, scipy's normal approximation.
_EXACT = 100
#: Level of all tests and corrections that name none.
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

    Example:
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

    Example:
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


def shift_interval(
    a: ArrayLike, b: ArrayLike, *, confidence: float = 1 - ALPHA
) -> tuple[float, float, float]:
    """By how much unpaired values of a are larger than those of b, and the bounds of an interval.

    The median of all n m differences (Hodges and Lehmann), and the shifts that the rank-sum test
    does not refuse: the interval contains 0 if and only if the p-value of values without ties is
    above 1 - confidence. It is infinite where no shift could be refused, as with 3 and 3 values.
    """
    one, other = sample(a), sample(b)
    check_numbers("an interval", above=0, below=1, confidence=confidence)
    n, m = len(one), len(other)
    gaps = np.sort((one[:, None] - other).ravel())
    if n + m > _EXACT:
        from scipy.special import ndtri

        off = ndtri((1 + confidence) / 2) * math.sqrt(n * m * (n + m + 1) / 12)
    else:
        off = _least_off(n, m, 1 - confidence) / (n + m)
    middle = float(np.median(gaps))
    if off > n * m / 2:
        return middle, -math.inf, math.inf
    place = math.floor(n * m / 2 - off + 1e-9)
    return middle, float(gaps[place]), float(gaps[-1 - place])


def _least_off(n: int, m: int, level: float) -> float:
    """The least distance of a rank sum from its mean that is refused at a level, in units of
    1 / (n + m); infinite if none is."""
    offs, tail = _rank_sums(tuple(range(1, n + m + 1)), min(n, m))
    refused = offs[tail <= level * (1 + 1e-12)]
    return float(refused[0]) if len(refused) else math.inf


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

    Example:
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

    Example:
        >>> smallest_rank_sum_p(3, 3)
        0.1
    """
    check_counts("a rank test", n=n, m=m)
    return min(1.0, 2 / math.comb(n + m, n))


def smallest_signed_rank_p(blocks: int) -> float:
    """Smallest two-sided p-value of the signed-rank test: one method is better in every block."""
    check_counts("a rank test", blocks=blocks)
    return min(1.0, 2.0 ** (1 - blocks))


def runs_needed(comparisons: int = 1, *, alpha: float = ALPHA) -> int:
    """Least number of runs of each method with which the rank-sum test can show a difference.

    Args:
        comparisons: number of tests that Holm's correction takes together.
        alpha: level of the test.

    Example:
        >>> runs_needed(), runs_needed(28)
        (4, 7)
    """
    return _least(lambda n: smallest_rank_sum_p(n, n), comparisons, alpha)


def blocks_needed(comparisons: int = 1, *, alpha: float = ALPHA) -> int:
    """Least number of blocks (tables) with which the signed-rank test can show a difference.

    Example:
        >>> blocks_needed(), blocks_needed(28)
        (6, 11)
    """
    return _least(smallest_signed_rank_p, comparisons, alpha)


def _least(smallest: Callable[[int], float], comparisons: int, alpha: float) -> int:
    check_counts(comparisons=comparisons)
    check_numbers(above=0, below=1, alpha=alpha)
    return next(n for n in itertools.count(1) if comparisons * smallest(n) <= alpha)


def power(
    effect: float, n: int, m: int | None = None, *, comparisons: int = 1, alpha: float = ALPHA
) -> float:
    """Probability that the rank-sum test finds a difference of a given size.

    Normal scores of equal spread whose means differ, simulated (4,000 comparisons, always the same
    draws), against alpha / comparisons: Holm's first step, so the least power among several tests.

    Args:
        effect: probability that a run of the one method beats a run of the other (`a12`), above 0
            and below 1; .5 is no difference.
        n, m: runs of the one and of the other method, m = n by default; together at most 100.
        comparisons: number of tests that the correction takes together.
        alpha: level of the test.
    """
    check_numbers(above=0, below=1, effect=effect)
    hits = _wins(n, n if m is None else m, comparisons, alpha)
    return float(hits(effect).mean()) if hits else 0.0


def detectable(
    n: int,
    m: int | None = None,
    *,
    comparisons: int = 1,
    alpha: float = ALPHA,
    power: float = 0.8,
) -> float:
    """Smallest true effect (`a12` above .5) that is found with a given probability, to .001.

    NaN where no difference can be found, however large. Arguments are those of `power`.
    """
    check_numbers(above=0, below=1, power=power)
    hits = _wins(n, n if m is None else m, comparisons, alpha)
    if hits is None:
        return math.nan
    low, high = 500, 1000  # thousandths
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if hits(middle / 1000).mean() >= power else (middle, high)
    return high / 1000


def _wins(
    n: int, m: int, comparisons: int, alpha: float
) -> Callable[[float], NDArray[np.bool_]] | None:
    """Which simulated comparisons are found, as a function of the effect; None if none can be."""
    check_counts("a comparison", runs=n, others=m, comparisons=comparisons)
    check_numbers(above=0, below=1, alpha=alpha)
    if n + m > _EXACT:
        raise ConfigError(f"power is simulated for up to {_EXACT} runs", value=n + m)
    from scipy.special import ndtri

    least = _least_off(n, m, alpha / comparisons)
    if not math.isfinite(least):
        return None
    drawn = np.random.default_rng(0).standard_normal((_SIMULATED, n + m))

    def found(effect: float) -> NDArray[np.bool_]:
        moved = drawn.copy()
        moved[:, :n] += math.sqrt(2) * ndtri(effect)
        ranks = moved.argsort(axis=1).argsort(axis=1)[:, :n] + 1
        off = np.abs(ranks.sum(axis=1) * (n + m) - n * (n + m) * (n + m + 1) // 2)
        return np.asarray(off >= least)

    return found
