"""Whether methods differ over tables: mean ranks, Friedman, Wilcoxon, Nemenyi, and a Bayesian test.

Blocks must be independent draws of what one wants to speak about. Tables are; the seeds of one
table are not, and enter as one score of each method. Tables with cells in common, such as 4v and
5v, or several budgets of one table, tell less than their number says.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.bootstrap import interquartile_mean, median_interval
from naslib_ecnas.analysis.exact import (
    ALPHA,
    holm,
    sample,
    signed_rank_test,
    smallest_signed_rank_p,
)
from naslib_ecnas.analysis.unpaired import RunScores
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, check_types


@dataclass(frozen=True, eq=False)
class PairedScores:
    """One score of each method in each block; only scores of one block are comparable.

    A block is a table. Make it by `PairedScores.of`, which refuses scores that are not paired, or
    by `of_runs`.
    """

    methods: tuple[str, ...]
    blocks: tuple[Hashable, ...]
    scores: NDArray[np.float64]
    """(b, m) score of each method in each block."""
    maximise: bool
    """True where more is better (hypervolume), False where less is better (IGD+)."""

    @classmethod
    def of(cls, scores: Mapping[str, Mapping[Hashable, float]], *, maximise: bool) -> PairedScores:
        """The scores of a comparison.

        Args:
            scores: each method's score in each block, such as
                `{"semoa": {("7v", 0): 0.97, ("7v", 1): 0.98}, "random": {...}}`. Blocks keep the
                order of the first method.
            maximise: whether more is better.

        Raises:
            ConfigError: fewer than two methods, no block, or a block in which a method has no
                finite score; `value` lists them as `"method in block"`.
        """
        methods = tuple(scores)
        blocks = tuple(dict.fromkeys(block for of in scores.values() for block in of))
        if len(methods) < 2 or not blocks:
            found = f"{len(methods)} methods in {len(blocks)} blocks"
            raise ConfigError(f"a comparison needs two methods and one block, got {found}")
        table = np.array(
            [[scores[m].get(block, np.nan) for m in methods] for block in blocks], dtype=np.float64
        )
        missing = [f"{methods[m]} in {blocks[b]}" for b, m in np.argwhere(~np.isfinite(table))]
        if missing:
            raise ConfigError(
                "every method needs a finite score in every block, "
                f"but {len(missing)} of {table.size} scores are missing",
                value=missing,
            )
        return cls(methods, blocks, table, bool(maximise))

    @classmethod
    def of_runs(cls, scores: RunScores) -> PairedScores:
        """The interquartile mean of each method's runs on each table on which all methods ran.

        Raises:
            ConfigError: fewer than two methods, or no such table.
        """
        means: dict[str, dict[Hashable, float]] = {
            method: {table: interquartile_mean(of[table]) for table in scores.tables}
            for method, of in scores.runs.items()
        }
        return cls.of(means, maximise=scores.maximise)

    @property
    def ranks(self) -> NDArray[np.float64]:
        """(b, m) rank of each method within its block, 1 the best; equal scores share the mean."""
        here, others = self.scores[:, :, np.newaxis], self.scores[:, np.newaxis, :]
        better = others > here if self.maximise else others < here
        # Each method is equal to itself, which is not a tie.
        ties = (others == here).sum(axis=2) - 1
        return np.asarray(1.0 + better.sum(axis=2) + ties / 2, dtype=np.float64)

    def column(self, method: str) -> NDArray[np.float64]:
        """(b,) scores of one method; ConfigError if there is no such method."""
        if method not in self.methods:
            raise ConfigError(f"the method must be one of {', '.join(self.methods)}", value=method)
        return self.scores[:, self.methods.index(method)]


def mean_ranks(scores: PairedScores) -> dict[str, float]:
    """Mean rank of each method over the blocks, the best method first and 1 the best rank.

    Equal means keep the order of the methods.

    Example:
        >>> paired = PairedScores.of(
        ...     {"a": {0: 0.9, 1: 0.8}, "b": {0: 0.7, 1: 0.8}}, maximise=True
        ... )
        >>> mean_ranks(paired)
        {'a': 1.25, 'b': 1.75}
    """
    means = scores.ranks.mean(axis=0)
    order = np.argsort(means, kind="stable")
    return {scores.methods[i]: float(means[i]) for i in order}


@dataclass(frozen=True)
class FriedmanTest:
    """Whether any of several methods ranks better than another."""

    statistic: float
    """Friedman's chi-squared with the correction for ties."""
    p_value: float
    methods: int
    blocks: int


@dataclass(frozen=True)
class PairComparison:
    """Two methods compared over the same blocks."""

    a: str
    b: str
    blocks: int
    statistic: float
    """Wilcoxon's signed-rank statistic: the smaller sum of ranks."""
    p_value: float
    """Two-sided; 1 where the two are equal in every block."""
    p_holm: float
    """The p-value corrected by Holm for all pairs that were compared together."""
    smallest_p: float
    """The smallest corrected p-value that is possible with so many blocks and comparisons."""
    superiority: float
    """Share of the blocks in which a is better than b, ties as one half."""
    median_difference: float
    """Median of a's score minus b's over the blocks, in the unit of the score."""
    lower: float
    """Bounds of a bootstrap interval of the median difference."""
    upper: float
    confidence: float


def friedman(scores: PairedScores) -> FriedmanTest:
    """Friedman's test over three or more methods (Demsar, JMLR 2006, section 3.2.2).

    The p-value comes from the chi-squared distribution, an approximation for few blocks. Where
    all methods are equal in every block the statistic is 0 and the p-value 1.

    Raises:
        ConfigError: fewer than three methods.
    """
    if len(scores.methods) < 3:
        raise ConfigError("Friedman's test needs three or more methods", value=scores.methods)
    blocks, methods = scores.scores.shape
    if (scores.scores == scores.scores[:, :1]).all():
        return FriedmanTest(0.0, 1.0, methods, blocks)
    from scipy.stats import friedmanchisquare

    found = friedmanchisquare(*scores.scores.T)
    return FriedmanTest(float(found.statistic), float(found.pvalue), methods, blocks)


def pairwise(
    scores: PairedScores,
    *,
    rng: np.random.Generator,
    against: str | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> tuple[PairComparison, ...]:
    """Every pair of methods by Wilcoxon's signed-rank test, corrected by Holm.

    Two-sided and exact (`signed_rank_test`). Read it together with the effect sizes: with many
    blocks a difference of no importance is significant.

    Args:
        scores: the methods to compare.
        rng, confidence, resamples: of the bootstrap interval, see `median_interval`.
        against: compare the other methods only with this one, which needs fewer corrections; it
            becomes `b`.

    Returns:
        One comparison for each pair, a before b in the order of the methods.

    Raises:
        ConfigError: an unknown method, or an impossible coverage or number of resamples.
    """
    check_types(PairedScores, scores=scores)
    if against is None:
        pairs = list(itertools.combinations(scores.methods, 2))
    else:
        scores.column(against)  # refuses a method that is not there
        pairs = [(method, against) for method in scores.methods if method != against]
    gaps = [scores.column(a) - scores.column(b) for a, b in pairs]
    tests = [signed_rank_test(gap) for gap in gaps]
    corrected = holm([p for _, p in tests]).tolist()
    smallest = min(1.0, len(pairs) * smallest_signed_rank_p(len(scores.blocks)))
    found = []
    for (a, b), gap, (statistic, p), p_holm in zip(pairs, gaps, tests, corrected, strict=True):
        lower, upper = median_interval(gap, rng=rng, confidence=confidence, resamples=resamples)
        effect = superiority(scores, a, b), float(np.median(gap)), lower, upper
        tested = len(gap), statistic, p, p_holm, smallest
        found.append(PairComparison(a, b, *tested, *effect, confidence))
    return tuple(found)


def superiority(scores: PairedScores, a: str, b: str) -> float:
    """Probability that a beats b in a block: the share of blocks, ties as one half.

    1 where a is always better, 0.5 where neither is.
    """
    check_types(PairedScores, scores=scores)
    one, other = scores.column(a), scores.column(b)
    better = one > other if scores.maximise else one < other
    return float(np.mean(better + (one == other) / 2))


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
