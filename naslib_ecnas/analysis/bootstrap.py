"""Bootstrap intervals of a median and, over several tables, of what rliable reports of runs.

`interquartile_means`, `profiles` and `improvements` are those of Agarwal et al. (NeurIPS 2021):
the runs are resampled within each table. Their intervals say how much depends on the seeds, for
these tables; nothing follows from them for other tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.exact import ALPHA, sample
from naslib_ecnas.analysis.unpaired import RunScores, wins
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, check_types

Floats = NDArray[np.float64]

# Resampled values that are held at a time.
_CHUNK = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """A number with the bounds of its bootstrap interval."""

    value: float
    lower: float
    upper: float
    confidence: float


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


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half: without the lowest and the highest quarter, rounded down.

    Example:
        >>> interquartile_mean([0, 1, 2, 9])
        1.5
    """
    return float(_middle(sample(values, "an interquartile mean")[None])[0])


def _middle(values: Floats) -> Floats:
    """(r,) interquartile means of (r, n) values."""
    cut = values.shape[1] // 4
    inner = np.sort(values, axis=1)[:, cut : values.shape[1] - cut]
    return np.asarray(inner.mean(axis=1), dtype=np.float64)


def interquartile_means(
    scores: RunScores,
    *,
    rng: np.random.Generator,
    tables: tuple[str, ...] | None = None,
    confidence: float = 1 - ALPHA,
    resamples: int = 2000,
) -> dict[str, Estimate]:
    """Interquartile mean of each method's runs on all tables, with a stratified bootstrap interval.

    Args:
        scores: the runs; all runs on these tables weigh alike.
        rng: source of randomness; `resamples` draws of each method's runs within each table.
        tables: by default those on which all methods ran.
        confidence: coverage by percentiles. With fewer than about ten runs it is too narrow.
    """
    tables = _tables(scores, tables)
    found = {}
    for method, of in scores.runs.items():
        drawn = [_resampled(of[table], rng, resamples) for table in tables]
        value = interquartile_mean(np.concatenate([of[table] for table in tables]))
        lower, upper = map(float, _bounds(_middle(np.concatenate(drawn, axis=1)), confidence))
        found[method] = Estimate(value, lower, upper, confidence)
    return found


def profiles(
    scores: RunScores,
    thresholds: ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 1 - ALPHA,
    resamples: int = 2000,
) -> dict[str, Profile]:
    """Performance profile of each method: the share of its runs better than each of (k,) scores.

    Every table on which all methods ran weighs alike. Arguments are those of `interquartile_means`.
    """
    at, tables = sample(thresholds, "a profile"), _tables(scores, None)
    check_counts("a bootstrap", resamples=resamples)
    found = {}
    for method, of in scores.runs.items():
        shares, drawn = np.zeros(len(at)), np.zeros((resamples, len(at)))
        for table in tables:
            better = (scores.sign * (of[table][:, None] - at) > 0).astype(np.float64)
            shares += better.mean(axis=0)
            drawn += _drawn(len(better), rng, resamples) @ better / len(better)
        bounds = _bounds(drawn / len(tables), confidence)
        found[method] = Profile(at, shares / len(tables), *bounds)
    return found


def improvements(
    scores: RunScores,
    *,
    rng: np.random.Generator,
    against: str | None = None,
    confidence: float = 1 - ALPHA,
    resamples: int = 2000,
) -> dict[tuple[str, str], Estimate]:
    """Probability of improvement of each pair (a, b): `a12` on each table, mean over the tables.

    Tables are those on which all methods ran. Arguments are those of `interquartile_means`;
    `against` is that of `compare_runs`.
    """
    check_types(RunScores, scores=scores)
    tables = _tables(scores, None)
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
        lower, upper = map(float, _bounds(drawn / len(tables), confidence))
        found[a, b] = Estimate(value / len(tables), lower, upper, confidence)
    return found


def _tables(scores: RunScores, tables: tuple[str, ...] | None) -> tuple[str, ...]:
    check_types(RunScores, scores=scores)
    chosen = scores.tables if tables is None else tables
    if not chosen:
        raise ConfigError("there is no table on which all methods ran", value=list(scores.runs))
    return chosen


def _resampled(values: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    check_counts("a bootstrap", resamples=resamples)
    return values[rng.integers(0, len(values), (resamples, len(values)))]


def _drawn(runs: int, rng: np.random.Generator, resamples: int) -> Floats:
    """(r, n) how often each run is in each resample."""
    check_counts("a bootstrap", resamples=resamples)
    return rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples).astype(np.float64)


def _bounds(drawn: Floats, confidence: float) -> tuple[Floats, Floats]:
    check_numbers("a bootstrap", above=0, below=1, confidence=confidence)
    lower, upper = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return lower, upper


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
    given = sample(values, "a median")
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
