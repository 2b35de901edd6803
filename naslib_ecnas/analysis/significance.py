"""Whether methods differ by more than chance: Friedman, Wilcoxon, Holm, effect sizes.

The tests and intervals assume that the blocks are independent draws. Seeds on one table are
independent for that table alone, so what is found over few tables holds for these tables only.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import (
    ConfigError,
    MissingDependencyError,
    check_counts,
    check_numbers,
    floats,
)

# Resampled values that are held at a time.
_CHUNK = 1_000_000


@dataclass(frozen=True, eq=False)
class PairedScores:
    """One score of each method in each block; only scores of one block are comparable.

    A block is usually a table, a budget and a seed, under which all methods start from the same
    conditions. Make it by `PairedScores.of`, which refuses scores that are not paired.
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
        MissingDependencyError: scipy is not installed.
    """
    if len(scores.methods) < 3:
        raise ConfigError("Friedman's test needs three or more methods", value=scores.methods)
    blocks, methods = scores.scores.shape
    if (scores.scores == scores.scores[:, :1]).all():
        return FriedmanTest(0.0, 1.0, methods, blocks)
    return FriedmanTest(*_test("friedmanchisquare", *scores.scores.T), methods, blocks)


def pairwise(
    scores: PairedScores,
    *,
    rng: np.random.Generator,
    against: str | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> tuple[PairComparison, ...]:
    """Every pair of methods by Wilcoxon's signed-rank test, corrected by Holm.

    scipy's test with its defaults: two-sided, blocks in which the two are equal left out, exact
    where that is possible. Read it together with the effect sizes: with many blocks a difference
    of no importance is significant.

    Args:
        scores: the methods to compare.
        rng, confidence, resamples: of the bootstrap interval, see `median_interval`.
        against: compare the other methods only with this one, which needs fewer corrections; it
            becomes `b`.

    Returns:
        One comparison for each pair, a before b in the order of the methods.

    Raises:
        ConfigError: an unknown method, or an impossible coverage or number of resamples.
        MissingDependencyError: scipy is not installed.
    """
    if against is None:
        pairs = list(itertools.combinations(scores.methods, 2))
    else:
        scores.column(against)  # refuses a method that is not there
        pairs = [(method, against) for method in scores.methods if method != against]
    gaps = [scores.column(a) - scores.column(b) for a, b in pairs]
    # Without a difference there is nothing to rank, and scipy's answer depends on its version.
    tests = [_test("wilcoxon", gap) if gap.any() else (0.0, 1.0) for gap in gaps]
    corrected = holm([p for _, p in tests]).tolist()
    found = []
    for (a, b), gap, (statistic, p), p_holm in zip(pairs, gaps, tests, corrected, strict=True):
        lower, upper = median_interval(gap, rng=rng, confidence=confidence, resamples=resamples)
        effect = superiority(scores, a, b), float(np.median(gap)), lower, upper
        found.append(PairComparison(a, b, len(gap), statistic, p, p_holm, *effect, confidence))
    return tuple(found)


def superiority(scores: PairedScores, a: str, b: str) -> float:
    """Probability that a beats b in a block: the share of blocks, ties as one half.

    1 where a is always better, 0.5 where neither is.
    """
    one, other = scores.column(a), scores.column(b)
    better = one > other if scores.maximise else one < other
    return float(np.mean(better + (one == other) / 2))


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


def median_interval(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Bootstrap interval of a median, by the percentiles of the resampled medians.

    Args:
        values: (n,) finite numbers, n >= 1, such as differences over blocks.
        rng: source of randomness.
        confidence: coverage, between 0 and 1. With fewer than about ten values the interval is
            too narrow for it.
        resamples: number of resamples.

    Raises:
        ConfigError: no values, or an impossible coverage or number of resamples.
    """
    given = floats(values)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise ConfigError(
            "a median needs a list of one or more finite numbers",
            value=given.shape if given.ndim != 1 else given.tolist(),
        )
    check_counts("a bootstrap", resamples=resamples)
    check_numbers("a bootstrap", above=0, below=1, confidence=confidence)
    medians = np.empty(resamples)
    step = max(1, _CHUNK // len(given))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = given[rng.integers(0, len(given), (count, len(given)))]
        medians[start : start + count] = np.median(drawn, axis=1)
    lower, upper = np.quantile(medians, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(lower), float(upper)


def _test(name: str, *samples: NDArray[np.float64]) -> tuple[float, float]:
    """Statistic and p-value of a test of `scipy.stats`."""
    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        feature = "a test of significance"
        raise MissingDependencyError("scipy", feature=feature, extra="search") from error
    found = getattr(stats, name)(*samples)
    return float(found.statistic), float(found.pvalue)
