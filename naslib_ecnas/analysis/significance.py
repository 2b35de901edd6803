"""Whether methods differ over tables: mean ranks, Friedman, Wilcoxon, Nemenyi, and a Bayesian test.

What is paired must be independent draws of what one wants to speak about. Tables are; the seeds of
one table are not, and enter as one score of each method, their interquartile mean. Tables with
cells in common, such as 4v and 5v, or several budgets of one table, tell less than their number
says.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from naslib_ecnas.analysis.exact import (
    ALPHA,
    RankTest,
    sample,
    signed_rank_test,
    smallest_signed_rank_p,
)
from naslib_ecnas.analysis.unpaired import PairTest, RunScores, pair_tests
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, check_types


def mean_ranks(scores: RunScores) -> dict[str, float]:
    """Mean rank of each method over tables, the best method first and 1 the best rank.

    On each table its interquartile mean is ranked; equal ones share the mean rank, and equal mean
    ranks keep the order of the methods.

    Example:
        >>> runs = {"a": {"4v": [0.9], "5v": [0.8]}, "b": {"4v": [0.7], "5v": [0.8]}}
        >>> mean_ranks(RunScores.of(runs, maximise=True))
        {'a': 1.25, 'b': 1.75}
    """
    from scipy.stats import rankdata

    check_types(RunScores, scores=scores)
    means = np.column_stack([*scores.means().values()])
    ranks = rankdata(-scores.sign * means, axis=1).mean(axis=0).tolist()
    return dict(sorted(zip(scores.runs, ranks, strict=True), key=lambda item: item[1]))


def friedman(scores: RunScores) -> RankTest:
    """Friedman's test over three or more methods (Demsar, JMLR 2006, section 3.2.2).

    Its chi-squared has the correction for ties. The p-value comes from the chi-squared
    distribution, an approximation for few tables. Where all methods are equal on every table the
    statistic is 0 and the p-value 1.

    Raises:
        ConfigError: fewer than three methods.
    """
    check_types(RunScores, scores=scores)
    means = [*scores.means().values()]
    if len(means) < 3:
        raise ConfigError("Friedman's test needs three or more methods", value=[*scores.runs])
    if all((other == means[0]).all() for other in means):
        return RankTest(0.0, 1.0)
    from scipy.stats import friedmanchisquare

    found = friedmanchisquare(*means)
    return RankTest(float(found.statistic), float(found.pvalue))


def pairwise(scores: RunScores, *, against: str | None = None) -> tuple[PairTest, ...]:
    """Every pair of methods over tables by Wilcoxon's signed-rank test, corrected by Holm.

    Two-sided and exact (`signed_rank_test`), on the interquartile means of the runs on each table.
    Read it together with the effect sizes: with many tables a difference of no importance is
    significant. The interval of the median difference is the exact one of the sign test.

    Args:
        scores: the methods to compare.
        against: compare the other methods only with this one, which needs fewer corrections; it
            becomes `b`.

    Returns:
        One comparison for each pair, a before b in the order of the methods.

    Raises:
        ConfigError: an unknown method, fewer than two, or no table on which all ran.
    """
    from scipy.stats import quantile_test

    check_types(RunScores, scores=scores)
    means, pairs = scores.means(), scores.pairs(against)
    samples = [(means[a], means[b]) for a, b in pairs]
    effects = []
    for one, other in samples:
        bounds = quantile_test(one - other).confidence_interval()
        lower, upper = (
            end if np.isnan(bound) else float(bound)
            for bound, end in zip(bounds, (-math.inf, math.inf), strict=True)
        )
        better = (np.sign(scores.sign * (one - other)) + 1) / 2
        effects.append((float(better.mean()), float(np.median(one - other)), lower, upper))
    p_values = [signed_rank_test(one - other).p_value for one, other in samples]
    named = [("", a, b) for a, b in pairs]
    return pair_tests(named, samples, p_values, lambda n, _: smallest_signed_rank_p(n), effects)


# -- critical differences of mean ranks ----


def critical_difference(methods: int, blocks: int, *, alpha: float = ALPHA) -> float:
    """Difference of mean ranks from which two of several methods differ (Nemenyi; Demsar 2006).

    It holds for all pairs together, and for many blocks: with few it is an approximation.

    Example:
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

    Example:
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


def practical(
    differences: ArrayLike,
    *,
    rope: float,
    rng: np.random.Generator,
    samples: int = 50_000,
    prior: float = 0.5,
) -> Practical:
    """Bayesian signed-rank test with a region of practical equivalence (Benavoli et al. 2017).

    The chance, over the posterior, that each of the three outcomes is the most probable one for a
    further block. Unlike a large p-value, a large `equivalent` says that methods hardly differ.

    Args:
        differences: (b,) score of the one method minus score of the other in each block, turned so
            that more is better.
        rope: differences between -rope and rope do not matter, at least 0.
        rng: source of randomness; `samples` draws from the posterior.
        prior: weight of a pseudo-observation of no difference, above 0.
    """
    check_counts("a Bayesian test", samples=samples)
    check_numbers("a Bayesian test", least=0, rope=rope)
    check_numbers("a Bayesian test", above=0, prior=prior)
    given = sample(differences, "a Bayesian test")
    known = np.append(0.0, given)
    sums = known[:, None] + known
    above, below = ((np.sign(way - 2 * rope) + 1) / 2 for way in (sums, -sums))
    weights = rng.dirichlet(np.append(prior, np.ones(len(given))), samples)
    better, worse = (((weights @ over) * weights).sum(axis=1) for over in (above, below))
    most = np.argmax([better, 1 - better - worse, worse], axis=0)
    p_better, p_equal, p_worse = (np.bincount(most, minlength=3) / samples).tolist()
    return Practical(p_better, p_equal, p_worse, rope)
