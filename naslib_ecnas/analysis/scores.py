"""Scores of runs on tables: effect sizes, ranks, tests on each table and over tables, intervals.

Seed 3 of one method has nothing in common with seed 3 of another, so the runs of two methods on a
table are two independent samples; what they show holds for this table. Over tables, what is paired
must be independent draws of what one wants to speak about. Tables are; each enters with one score
of each method, the interquartile mean of its runs. Tables with cells in common, such as 4v and 5v,
or several budgets of one table, tell less than their number says.

`interquartile_means`, `profiles` and `improvements` are those of rliable (Agarwal et al., NeurIPS
2021): the runs are resampled within each table. Their intervals say how much depends on the seeds,
for these tables; nothing follows from them for other tables.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.significance import (
    ALPHA,
    RankTest,
    holm,
    rank_sum_test,
    sample,
    signed_rank_test,
    smallest_rank_sum_p,
    smallest_signed_rank_p,
)
from naslib_ecnas.errors import ConfigError, check_choice, check_types

Floats = NDArray[np.float64]

_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class RunScores:
    """One score of each run of each method on each table. Make it by `RunScores.of`."""

    runs: Mapping[str, Mapping[str, Floats]]
    """Method -> table -> (n,) score of each run; methods and tables may differ in n."""
    maximise: bool
    """True where more is better (hypervolume), False where less is better (IGD+)."""

    @classmethod
    def of(cls, scores: Mapping[str, Mapping[str, ArrayLike]], *, maximise: bool) -> RunScores:
        """The scores of a comparison, such as `{"semoa": {"7v": [0.97, 0.98]}, "random": ...}`.

        Raises:
            ConfigError: no method or no table, or a score that is missing or not finite.
        """
        runs = {
            method: {table: sample(of[table], f"{method} on {table}") for table in of}
            for method, of in scores.items()
        }
        if not runs or not all(runs.values()):
            raise ConfigError("every method needs a table", value=list(scores))
        return cls(runs, bool(maximise))

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables on which all methods ran, in the order of the first method."""
        first, *others = self.runs.values()
        return tuple(table for table in first if all(table in of for of in others))

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is better."""
        return 1.0 if self.maximise else -1.0

    def pairs(self, against: str | None = None) -> list[tuple[str, str]]:
        """All pairs of methods, or each other method with one; ConfigError if it is unknown."""
        if against is None:
            return list(itertools.combinations(self.runs, 2))
        check_choice([*self.runs], method=against)
        return [(method, against) for method in self.runs if method != against]

    def means(self) -> dict[str, Floats]:
        """Of each method, (t,) interquartile means of its runs on each of `tables`.

        Raises:
            ConfigError: fewer than two methods, or no table on which all of them ran.
        """
        if len(self.runs) < 2 or not self.tables:
            found = f"{len(self.runs)} methods on {len(self.tables)} tables"
            raise ConfigError(f"a comparison needs two methods and a table, got {found}")
        return {
            method: np.array([interquartile_mean(of[table]) for table in self.tables])
            for method, of in self.runs.items()
        }


# -- effect sizes and ranks ----


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half: without the lowest and the highest quarter, rounded down.

    Examples:
        >>> interquartile_mean([0, 1, 2, 9])
        1.5
    """
    return float(middle(sample(values, "an interquartile mean")[None])[0])


def middle(values: Floats) -> Floats:
    """(r,) interquartile means of (r, n) values."""
    cut = values.shape[1] // 4
    inner = np.sort(values, axis=1)[:, cut : values.shape[1] - cut]
    return np.asarray(inner.mean(axis=1), dtype=np.float64)


def a12(a: ArrayLike, b: ArrayLike, *, maximise: bool = True) -> float:
    """Probability that a value of a is better than a value of b, ties as one half.

    The effect size of Vargha and Delaney (2000): over all n m pairs of (n,) and (m,) values.

    Examples:
        >>> a12([1, 2, 3], [2, 3])
        0.3333333333333333
    """
    one, other = sample(a, "a12"), sample(b, "a12")
    return float(wins(one, other, 1.0 if maximise else -1.0).mean())


def wins(a: Floats, b: Floats, sign: float) -> Floats:
    """(n, m) 1 where a is better, 0 where b is, one half where they are equal."""
    return np.asarray((np.sign(sign * (a[:, None] - b)) + 1) / 2, dtype=np.float64)


def run_ranks(scores: RunScores, table: str) -> dict[str, float]:
    """Mean rank of each method's runs among all runs on a table, scaled so that it lies between 1,
    every run is better than all others, and the number of methods; the best method first.

    For equal numbers of runs it is 1/2 plus the sum of the method's chances to be beaten (`a12`),
    its own counting 1/2.
    """
    check_types(RunScores, scores=scores)
    here = {method: of[table] for method, of in scores.runs.items() if table in of}
    if not here:
        names = dict.fromkeys(name for of in scores.runs.values() for name in of)
        raise ConfigError(f"the table must be one of {', '.join(names)}", value=table)
    means = {
        method: 0.5 + sum(a12(of, own, maximise=scores.maximise) for of in here.values())
        for method, own in here.items()
    }
    return dict(sorted(means.items(), key=lambda item: item[1]))


def mean_ranks(scores: RunScores) -> dict[str, float]:
    """Mean rank of each method over tables, the best method first and 1 the best rank.

    On each table its interquartile mean is ranked; equal ones share the mean rank, and equal mean
    ranks keep the order of the methods.

    Examples:
        >>> runs = {"a": {"4v": [0.9], "5v": [0.8]}, "b": {"4v": [0.7], "5v": [0.8]}}
        >>> mean_ranks(RunScores.of(runs, maximise=True))
        {'a': 1.25, 'b': 1.75}
    """
    from scipy.stats import rankdata

    check_types(RunScores, scores=scores)
    means = np.column_stack([*scores.means().values()])
    ranks = rankdata(-scores.sign * means, axis=1).mean(axis=0).tolist()
    return dict(sorted(zip(scores.runs, ranks, strict=True), key=lambda item: item[1]))


# -- tests on each table and over tables ----


@dataclass(frozen=True)
class PairTest:
    """Two methods compared by their runs on a table, or over tables."""

    table: str
    """"" for a comparison over tables."""
    a: str
    b: str
    runs_a: int
    """Number of runs, or of tables."""
    runs_b: int
    p_value: float
    """Two-sided: of the rank-sum test on a table, of the signed-rank test over tables."""
    p_holm: float
    """Corrected by Holm for all pairs (on all tables) that were compared together."""
    smallest_p: float
    """The smallest corrected p-value that is possible with so many values and comparisons."""
    a12: float
    """Probability that a run of a is better than a run of b (Vargha, Delaney), or share of the
    tables on which a is better; ties as one half."""


def _tested(
    samples: Mapping[tuple[str, str, str], tuple[Floats, Floats]],
    test: Callable[[Floats, Floats], RankTest],
    smallest: Callable[[int, int], float],
    better: Callable[[Floats, Floats], Floats],
) -> tuple[PairTest, ...]:
    """The test of each (table, a, b), corrected by Holm; the mean of `better` is its `a12`."""
    p_values, found = [test(*both).p_value for both in samples.values()], []
    for names, p, p_holm in zip(samples, p_values, holm(p_values).tolist(), strict=True):
        one, other = samples[names]
        least = min(1.0, len(samples) * smallest(len(one), len(other)))
        a12 = float(better(one, other).mean())
        found.append(PairTest(*names, len(one), len(other), p, p_holm, least, a12))
    return tuple(found)


def compare_runs(scores: RunScores, *, against: str | None = None) -> tuple[PairTest, ...]:
    """Every pair of methods on every table by the exact rank-sum test, corrected by Holm.

    The correction takes all pairs on all tables together: where no method differs from another, at
    most one comparison in twenty finds any difference at .05. So it may be read after the best
    method was chosen. A method that was named before the runs needs fewer corrections.

    Args:
        scores: the runs.
        against: compare the other methods only with this one, which becomes `b`.
    """
    check_types(RunScores, scores=scores)
    pairs, runs = scores.pairs(against), scores.runs
    samples = {
        (table, a, b): (runs[a][table], runs[b][table])
        for table in dict.fromkeys(table for of in runs.values() for table in of)
        for a, b in pairs
        if table in runs[a] and table in runs[b]
    }
    return _tested(samples, rank_sum_test, smallest_rank_sum_p, partial(wins, sign=scores.sign))


def pairwise(scores: RunScores, *, against: str | None = None) -> tuple[PairTest, ...]:
    """Every pair of methods over tables by Wilcoxon's signed-rank test, corrected by Holm.

    Two-sided and exact (`signed_rank_test`), on the interquartile means of the runs on each table.
    Read it together with the effect sizes: with many tables a difference of no importance is
    significant.

    Args:
        scores: the methods to compare.
        against: compare the other methods only with this one, which needs fewer corrections; it
            becomes `b`.

    Returns:
        One comparison for each pair, a before b in the order of the methods.

    Raises:
        ConfigError: an unknown method, fewer than two, or no table on which all ran.
    """
    check_types(RunScores, scores=scores)
    means, pairs = scores.means(), scores.pairs(against)
    return _tested(
        {("", a, b): (means[a], means[b]) for a, b in pairs},
        lambda one, other: signed_rank_test(one - other),
        lambda n, _: smallest_signed_rank_p(n),
        lambda one, other: np.diagonal(wins(one, other, scores.sign)),
    )


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


# -- intervals of a bootstrap ----


@dataclass(frozen=True)
class Estimate:
    """A number with the bounds of its bootstrap interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Profile:
    """Share of a method's runs that reach each of several scores, mean over the tables."""

    thresholds: Floats
    """(k,) scores."""
    share: Floats
    """(k,) share of the runs that are better."""
    lower: Floats
    """(k,) bounds of bootstrap intervals, each for its own threshold."""
    upper: Floats


def interquartile_means(scores: RunScores, *, rng: np.random.Generator) -> dict[str, Estimate]:
    """Interquartile mean of each method's runs on the tables on which all ran, with the 95 %
    interval of a stratified bootstrap; with fewer than about ten runs it is too narrow.

    Args:
        scores: the runs; all runs on these tables weigh alike.
        rng: source of randomness; 2,000 draws of each method's runs within each table.
    """
    tables = _tables(scores)
    found = {}
    for method, of in scores.runs.items():
        shapes = [(_RESAMPLES, len(of[table])) for table in tables]
        drawn = [of[t][rng.integers(0, n[1], n)] for t, n in zip(tables, shapes, strict=True)]
        value = interquartile_mean(np.concatenate([of[table] for table in tables]))
        lower, upper = map(float, _bounds(middle(np.concatenate(drawn, axis=1))))
        found[method] = Estimate(value, lower, upper)
    return found


def profiles(
    scores: RunScores, thresholds: ArrayLike, *, rng: np.random.Generator
) -> dict[str, Profile]:
    """Performance profile of each method: the share of its runs better than each of (k,) scores.

    Every table on which all methods ran weighs alike. Arguments are those of `interquartile_means`.
    """
    at, tables = sample(thresholds, "a profile"), _tables(scores)
    found = {}
    for method, of in scores.runs.items():
        shares, drawn = np.zeros(len(at)), np.zeros((_RESAMPLES, len(at)))
        for table in tables:
            better = (scores.sign * (of[table][:, None] - at) > 0).astype(np.float64)
            shares += better.mean(axis=0)
            drawn += _drawn(len(better), rng) @ better / len(better)
        bounds = _bounds(drawn / len(tables))
        found[method] = Profile(at, shares / len(tables), *bounds)
    return found


def improvements(
    scores: RunScores, *, rng: np.random.Generator, against: str | None = None
) -> dict[tuple[str, str], Estimate]:
    """Probability of improvement of each pair (a, b): `a12` on each table, mean over the tables.

    Tables are those on which all methods ran. Arguments are those of `interquartile_means`;
    `against` is that of `compare_runs`.
    """
    tables = _tables(scores)
    counts = {
        (method, table): _drawn(len(of[table]), rng)
        for method, of in scores.runs.items()
        for table in tables
    }
    found = {}
    for a, b in scores.pairs(against):
        value, drawn = 0.0, np.zeros(_RESAMPLES)
        for table in tables:
            better = wins(scores.runs[a][table], scores.runs[b][table], scores.sign)
            value += float(better.mean())
            drawn += (counts[a, table] @ better * counts[b, table]).sum(axis=1) / better.size
        lower, upper = map(float, _bounds(drawn / len(tables)))
        found[a, b] = Estimate(value / len(tables), lower, upper)
    return found


def _tables(scores: RunScores) -> tuple[str, ...]:
    check_types(RunScores, scores=scores)
    if not scores.tables:
        raise ConfigError("there is no table on which all methods ran", value=list(scores.runs))
    return scores.tables


def _drawn(runs: int, rng: np.random.Generator) -> Floats:
    """(r, n) how often each run is in each resample."""
    return rng.multinomial(runs, np.full(runs, 1 / runs), size=_RESAMPLES).astype(np.float64)


def _bounds(drawn: Floats) -> tuple[Floats, Floats]:
    confidence = 1 - ALPHA
    lower, upper = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return lower, upper
