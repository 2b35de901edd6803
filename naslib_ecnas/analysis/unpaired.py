"""Comparisons of runs on one table, whose seeds are not pairs: exact tests and effect sizes.

Seed 3 of one method has nothing in common with seed 3 of another, so the runs of two methods on a
table are two independent samples. What they show holds for this table.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.exact import (
    holm,
    rank_sum_test,
    sample,
    shift_interval,
    smallest_rank_sum_p,
)
from naslib_ecnas.errors import ConfigError, check_types

Floats = NDArray[np.float64]


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
        if against not in self.runs:
            raise ConfigError(f"the method must be one of {', '.join(self.runs)}", value=against)
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

    def on(self, table: str) -> dict[str, Floats]:
        """The runs on one table, by method; ConfigError if there are none."""
        found = {method: of[table] for method, of in self.runs.items() if table in of}
        if not found:
            names = dict.fromkeys(name for of in self.runs.values() for name in of)
            raise ConfigError(f"the table must be one of {', '.join(names)}", value=table)
        return found


# -- tests on each table ----


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
    difference: float
    """Median of all differences of a run of a and a run of b, or of the differences over tables,
    in the unit of the score."""
    lower: float
    """Bounds of its 95 % interval, not corrected for their number; infinite where too few values
    bound it."""
    upper: float


def pair_tests(
    named: Sequence[tuple[str, str, str]],
    samples: Sequence[tuple[Floats, Floats]],
    p_values: Sequence[float],
    smallest: Callable[[int, int], float],
    effects: Sequence[tuple[float, float, float, float]],
) -> tuple[PairTest, ...]:
    """The tests of (table, a, b) with their samples and p-values, corrected by Holm."""
    sizes = [(len(one), len(other)) for one, other in samples]
    return tuple(
        PairTest(*names, *size, p, p_holm, min(1.0, len(named) * smallest(*size)), *effect)
        for names, size, p, p_holm, effect in zip(
            named, sizes, p_values, holm(p_values).tolist(), effects, strict=True
        )
    )


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
    pairs = scores.pairs(against)
    compared = [
        (table, a, b)
        for table in dict.fromkeys(table for of in scores.runs.values() for table in of)
        for a, b in pairs
        if table in scores.runs[a] and table in scores.runs[b]
    ]
    samples = [(scores.runs[a][table], scores.runs[b][table]) for table, a, b in compared]
    p_values = [rank_sum_test(*both).p_value for both in samples]
    effects = [(a12(*both, maximise=scores.maximise), *shift_interval(*both)) for both in samples]
    return pair_tests(compared, samples, p_values, smallest_rank_sum_p, effects)


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half: without the lowest and the highest quarter, rounded down.

    Example:
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

    Example:
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
    here = scores.on(table)
    means = {
        method: 0.5 + sum(a12(of, own, maximise=scores.maximise) for of in here.values())
        for method, own in here.items()
    }
    return dict(sorted(means.items(), key=lambda item: item[1]))
