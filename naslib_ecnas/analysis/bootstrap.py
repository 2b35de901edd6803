"""Bootstrap intervals of what rliable reports of runs on several tables.

`interquartile_means`, `profiles` and `improvements` are those of Agarwal et al. (NeurIPS 2021):
the runs are resampled within each table. Their intervals say how much depends on the seeds, for
these tables; nothing follows from them for other tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.exact import ALPHA, sample
from naslib_ecnas.analysis.unpaired import RunScores, interquartile_mean, middle, wins
from naslib_ecnas.errors import ConfigError, check_counts, check_types

Floats = NDArray[np.float64]


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


def interquartile_means(
    scores: RunScores,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> dict[str, Estimate]:
    """Interquartile mean of each method's runs on the tables on which all ran, with the 95 %
    interval of a stratified bootstrap; with fewer than about ten runs it is too narrow.

    Args:
        scores: the runs; all runs on these tables weigh alike.
        rng: source of randomness; `resamples` draws of each method's runs within each table.
    """
    tables = _tables(scores, resamples)
    found = {}
    for method, of in scores.runs.items():
        shapes = [(resamples, len(of[table])) for table in tables]
        drawn = [of[t][rng.integers(0, n[1], n)] for t, n in zip(tables, shapes, strict=True)]
        value = interquartile_mean(np.concatenate([of[table] for table in tables]))
        lower, upper = map(float, _bounds(middle(np.concatenate(drawn, axis=1))))
        found[method] = Estimate(value, lower, upper)
    return found


def profiles(
    scores: RunScores,
    thresholds: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> dict[str, Profile]:
    """Performance profile of each method: the share of its runs better than each of (k,) scores.

    Every table on which all methods ran weighs alike. Arguments are those of `interquartile_means`.
    """
    at, tables = sample(thresholds, "a profile"), _tables(scores, resamples)
    found = {}
    for method, of in scores.runs.items():
        shares, drawn = np.zeros(len(at)), np.zeros((resamples, len(at)))
        for table in tables:
            better = (scores.sign * (of[table][:, None] - at) > 0).astype(np.float64)
            shares += better.mean(axis=0)
            drawn += _drawn(len(better), rng, resamples) @ better / len(better)
        bounds = _bounds(drawn / len(tables))
        found[method] = Profile(at, shares / len(tables), *bounds)
    return found


def improvements(
    scores: RunScores,
    *,
    rng: np.random.Generator,
    against: str | None = None,
    resamples: int = 2000,
) -> dict[tuple[str, str], Estimate]:
    """Probability of improvement of each pair (a, b): `a12` on each table, mean over the tables.

    Tables are those on which all methods ran. Arguments are those of `interquartile_means`;
    `against` is that of `compare_runs`.
    """
    tables = _tables(scores, resamples)
    counts = {
        (method, table): _drawn(len(of[table]), rng, resamples)
        for method, of in scores.runs.items()
        for table in tables
    }
    found = {}
    for a, b in scores.pairs(against):
        value, drawn = 0.0, np.zeros(resamples)
        for table in tables:
            better = wins(scores.runs[a][table], scores.runs[b][table], scores.sign)
            value += float(better.mean())
            drawn += (counts[a, table] @ better * counts[b, table]).sum(axis=1) / better.size
        lower, upper = map(float, _bounds(drawn / len(tables)))
        found[a, b] = Estimate(value / len(tables), lower, upper)
    return found


def _tables(scores: RunScores, resamples: int) -> tuple[str, ...]:
    check_types(RunScores, scores=scores)
    check_counts("a bootstrap", resamples=resamples)
    if not scores.tables:
        raise ConfigError("there is no table on which all methods ran", value=list(scores.runs))
    return scores.tables


def _drawn(runs: int, rng: np.random.Generator, resamples: int) -> Floats:
    """(r, n) how often each run is in each resample."""
    return rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples).astype(np.float64)


def _bounds(drawn: Floats) -> tuple[Floats, Floats]:
    confidence = 1 - ALPHA
    lower, upper = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return lower, upper
