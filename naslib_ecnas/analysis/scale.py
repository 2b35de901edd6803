"""The yardstick of a table: its objectives from best to worst, and a hypervolume of at most 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.pareto import costs_of, hypervolume, normalised
from naslib_ecnas.errors import ConfigError, check_counts, floats
from naslib_ecnas.metrics import Metric, metric
from naslib_ecnas.nondominated import checked_points, complete, nondominated

__all__ = [
    "NADIR_MARGIN",
    "AnytimeBand",
    "Reference",
    "Scale",
    "anytime",
    "band",
    "checkpoints",
    "common_budgets",
    "costs_of",
    "normalised",
]


# How good the front of a run was after so many evaluations, or so many kWh.
#
# Everything here is a step function: what a run has found counts from the evaluation at which it
# was paid for, and nothing is known beyond the run's end.


Indicator = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True, eq=False)
class AnytimeBand:
    """Median and quartiles of several runs of one method at common budgets."""

    budgets: NDArray[np.float64]
    """(k,) in the unit of what was spent."""
    runs: int
    lower: NDArray[np.float64]
    """(k,) a quarter of the runs lies no higher."""
    median: NDArray[np.float64]
    upper: NDArray[np.float64]
    """(k,) three quarters of the runs lie no higher."""


def anytime(
    values: ArrayLike,
    cumulative: ArrayLike,
    budgets: ArrayLike,
    scale: Scale,
    *,
    indicator: Indicator | None = None,
    end: float | None = None,
) -> NDArray[np.float64]:
    """What a run had reached by the time that it had spent each of several budgets.

    An evaluation counts for a budget if it was paid for whole within it.

    Args:
        values: (n, m) values in the order of evaluation, in the metrics' units.
        cumulative: (n,) what was spent up to and with each evaluation, never falling: numbers of
            evaluations, kWh, seconds, ... (`SearchResult.cumulative`).
        budgets: (k,) budgets in the same unit, in any order.
        scale: the table's.
        indicator: a number for the (j, m) values of a front in the metrics' units; the scale's
            hypervolume where left out. Such as `lambda found: igd_plus(found, front, scale)`. It
            must be one that dominated cells do not change, and also have a value for no cells.
        end: budget that the run was given, where that is more than what it spent: one that
            stopped because no further evaluation fitted in stays what it was up to there.

    Returns:
        (k,) float64; NaN for a budget beyond the end, since nothing says what the run would have
        reached.

    Raises:
        ConfigError: the shapes do not fit, or what was spent falls or is not known.

    Example:
        >>> from naslib_ecnas.analysis import Scale
        >>> table = [[0.0, 0.5], [1.0, 1.0], [2.0, 0.0]]
        >>> scale = Scale.of(table, ("energy_kwh", "validation_accuracy"))
        >>> anytime(table[:2], [3.0, 5.0], [1, 3, 4, 5, 6], scale).round(2).tolist()
        [0.0, 0.67, 0.67, 1.0, nan]
    """
    costs = costs_of(values, scale.objectives)
    spent = _ascending(cumulative, len(costs))
    wanted = _finite(budgets)
    last = spent[-1] if len(spent) else 0.0
    if end is not None:
        if not end >= last:
            raise ConfigError(
                "a run cannot end before its last evaluation",
                value=end,
                expected=f"{last:g} or more",
                remedy="give the budget that the run was allowed",
            )
        last = end
    array = floats(values)
    measure = indicator or scale.hypervolume
    counts = np.searchsorted(spent, wanted, side="right")
    curve = np.full(len(wanted), np.nan)
    kept = np.empty(0, dtype=np.int64)
    done = 0
    for count in np.unique(counts[wanted <= last]).tolist():
        # What one part dominates, all later parts do: only the front need be carried on.
        kept = np.concatenate([kept, np.arange(done, count)])
        kept = kept[nondominated(costs[kept])]
        curve[(counts == count) & (wanted <= last)] = measure(array[kept])
        done = count
    return curve


def common_budgets(cumulatives: Sequence[ArrayLike], steps: int = 50) -> NDArray[np.float64]:
    """Budgets at which several runs can be compared: geometric, and every run has got there.

    They go from the first budget at which every run has made an evaluation to the last one that
    no run falls short of.

    Args:
        cumulatives: (n_i,) what each run had spent after each evaluation, n_i >= 1 and above 0.
        steps: how many, at least 2.

    Returns:
        (steps,) ascending float64 with these two as its exact ends; fewer where they are equal.

    Raises:
        ConfigError: no runs, a run without evaluations or with costs that are not known, or no
            budget that all have reached.
    """
    check_counts(least=None, steps=steps)
    if steps < 2 or not len(cumulatives):
        raise ConfigError(
            "no common budgets",
            value=steps if steps < 2 else "no runs",
            expected="at least one run and 2 steps",
            remedy="give what each run had spent after each of its evaluations",
        )
    spent = [_ascending(one) for one in cumulatives]
    first = max((float(one[0]) if len(one) else np.inf) for one in spent)
    last = min((float(one[-1]) if len(one) else 0.0) for one in spent)
    if not 0 < first <= last:
        raise ConfigError(
            "the runs have no budget in common",
            value=(first, last),
            expected="each run's first evaluation paid for, above 0, before any of them ends",
            remedy="leave out the runs that are too short, or compare at one budget",
        )
    budgets = np.geomspace(first, last, steps)
    # Rounding must not put the last one beyond the run's end, or the first before its start.
    budgets[0], budgets[-1] = first, last
    return np.unique(np.clip(budgets, first, last))


def band(curves: ArrayLike, budgets: ArrayLike) -> AnytimeBand:
    """Median and quartiles over runs, interpolated between neighbouring runs (numpy's linear).

    Args:
        curves: (r, k) one row for each run, r >= 1, as `anytime` gives them. A run may be
            infinite (IGD+ before its first evaluation); where one has a NaN the band is NaN,
            since the others alone would be another selection of runs.
        budgets: (k,) at which the curves were taken.

    Raises:
        ConfigError: the shapes do not fit.
    """
    array = floats(curves)
    at = _finite(budgets)
    if array.ndim != 2 or not len(array) or array.shape[1] != len(at):
        raise ConfigError(
            "the curves do not fit the budgets",
            value=array.shape,
            expected=f"shape (runs, {len(at)}) with at least one run",
            remedy="give one row for each run and one column for each budget",
        )
    ordered = np.sort(array, axis=0)
    lower, median, upper = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    return AnytimeBand(at, len(array), lower, median, upper)


def _quantile(ordered: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """(k,) quantile of (r, k) sorted columns; numpy's own makes NaN of two infinite values."""
    place = share * (len(ordered) - 1)
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    part = place - np.floor(place)
    equal = (below == above) | (part == 0)
    with np.errstate(invalid="ignore"):
        out = np.where(equal, below, below + part * (above - below))
    # Sorting puts NaN last.
    return np.where(np.isnan(ordered[-1]), np.nan, out)


def _ascending(cumulative: ArrayLike, length: int | None = None) -> NDArray[np.float64]:
    spent = floats(cumulative)
    fits = spent.ndim == 1 and (length is None or len(spent) == length)
    if not fits or not np.isfinite(spent).all() or (np.diff(spent) < 0).any():
        raise ConfigError(
            "this is not what a run had spent after each evaluation",
            value=spent.tolist() if fits else spent.shape,
            expected=f"{'n' if length is None else length} finite numbers that never fall",
            remedy="where a table does not say what a training costs, count evaluations",
        )
    return spent


def _finite(budgets: ArrayLike) -> NDArray[np.float64]:
    wanted = np.array(floats(budgets), dtype=np.float64)
    if wanted.ndim != 1 or np.isnan(wanted).any():
        raise ConfigError(
            "no budgets",
            value=wanted.tolist(),
            expected="a list of numbers",
            remedy="give them in the unit of what was spent",
        )
    return wanted


#: What lies at 1: the table's worst values, those of its front and a margin, or given ones.
Reference = Literal["worst", "nadir"] | Sequence[float]

#: How far the reference "nadir" lies behind the true front's worst values, as a share of the
#: front's range. Without it the front's extremes would lie on the reference and count nothing.
NADIR_MARGIN = 0.1


@dataclass(frozen=True)
class Scale:
    """Ideal and reference point of a table at one budget, and the volume of its true front.

    Make it by `Scale.of`. Which reference it has decides what the hypervolume sees:

    - `"worst"`, the worst value of each objective in the table. Every cell counts, but most of
      a space lies far behind its front and one gross outlier widens the scale, so that searches
      of very different worth all come near 1: fit to show a run from its first cells on.
    - `"nadir"`, the true front's own worst value of each objective and a margin behind it. Only
      cells that come near the front count, none of the rest of the table has a say, and
      differences between good searches show: fit to compare methods.
    - numbers: fit to compare tables with one another.

    Two hypervolumes can be compared only if their scales are equal.
    """

    objectives: tuple[str, ...]
    ideal: tuple[float, ...]
    """Best value of each objective over the table, in the metric's unit."""
    reference: tuple[float, ...]
    """Value of each objective that becomes 1, in the metric's unit."""
    volume: float
    """Normalised hypervolume of the table's true front, 0 to 1, before it is made 1."""

    @classmethod
    def of(
        cls, values: ArrayLike, objectives: Sequence[str], *, reference: Reference = "worst"
    ) -> Scale:
        """The scale of a table.

        Args:
            values: (n, m) values of every cell, in the metrics' units. Cells with a NaN in any
                objective are left out.
            objectives: m names of metrics.
            reference: `"worst"`, `"nadir"` or m values in the metrics' units. In costs, nadir is
                worst + 0.1 (worst - best) over the true front (`NADIR_MARGIN`); an objective in
                which the whole front is equal takes the worst value in the table.

        Raises:
            ConfigError: no cell has all objectives, the shapes do not fit, or the reference is
                not worse than the best cell in every objective.
        """
        array = checked_points(values, what="the values")
        known = complete(array)
        if not known.any():
            raise ConfigError(
                "no cell has a value in every objective",
                value=tuple(objectives),
                expected="metrics that the table holds at this budget",
                remedy="choose other objectives or another budget",
            )
        if not known.all():
            array = array[known]
        front = array[nondominated(costs_of(array, objectives))]
        metrics = [metric(name) for name in objectives]
        ideal = tuple(m.best(c) for m, c in zip(metrics, front.T, strict=True))
        corner = _corner(reference, metrics, ideal, front, array)
        points = normalised(front, objectives, ideal, corner)
        volume = hypervolume(points, np.ones(len(objectives)))
        return cls(tuple(objectives), ideal, corner, volume)

    def costs(self, values: ArrayLike) -> NDArray[np.float64]:
        """(n, m) values in the metrics' units as costs from 0, the ideal, to 1, the reference."""
        return normalised(values, self.objectives, self.ideal, self.reference)

    def hypervolume(self, values: ArrayLike) -> float:
        """Hypervolume of some cells as a share of the true front's, so that one has exactly 1.

        Args:
            values: (n, m) values in the metrics' units; rows with a NaN, and those not better
                than the reference in every objective, add nothing.

        Returns:
            0 to 1 for cells of the table; NaN where the true front spans no volume at all, as
            when every cell on it is the worst in one objective.
        """
        if self.volume == 0:
            return float("nan")
        return hypervolume(self.costs(values), np.ones(len(self.objectives))) / self.volume

    def anytime(self, values: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
        """Hypervolume of the first evaluations of a run, for several numbers of them.

        Args:
            values: (n, m) values in the order of evaluation.
            counts: (k,) ascending numbers of evaluations, each at most n.

        Returns:
            (k,) float64, never falling.
        """
        array = checked_points(values, what="the values")
        numbers = np.asarray(counts)
        if numbers.size and (np.any(np.diff(numbers) < 0) or numbers[0] < 0):
            raise ConfigError(
                "the numbers of evaluations do not ascend",
                value=numbers.tolist(),
                expected="ascending numbers from 0",
                remedy="sort them",
            )
        return anytime(array, np.arange(1.0, len(array) + 1), numbers, self)


def checkpoints(evaluations: int, steps: int = 50) -> NDArray[np.int64]:
    """Numbers of evaluations at which to look at a run: geometric, from 1 to all of them.

    They depend on the length of the run alone, so that curves of one length can be averaged.

    Example:
        >>> checkpoints(100, steps=5).tolist()
        [1, 3, 10, 32, 100]

    Raises:
        ConfigError: one of the two is no whole number of at least 1.
    """
    check_counts(evaluations=evaluations, steps=steps)
    return np.unique(np.rint(np.geomspace(1, evaluations, steps)).astype(np.int64))


def _corner(
    reference: Reference,
    metrics: Sequence[Metric],
    ideal: tuple[float, ...],
    front: NDArray[np.float64],
    table: NDArray[np.float64],
) -> tuple[float, ...]:
    """The values of the reference point."""
    if isinstance(reference, str):
        if reference not in ("worst", "nadir"):
            raise ConfigError(
                "no such reference",
                value=reference,
                expected="'worst', 'nadir' or a value for each objective",
                remedy="'nadir' compares methods, 'worst' shows a run from its start",
            )
        worst = tuple(m.worst(c) for m, c in zip(metrics, table.T, strict=True))
        if reference == "worst":
            return worst
        nadir = [m.worst(c) for m, c in zip(metrics, front.T, strict=True)]
        return tuple(
            w if n == i else float(m.from_cost(m.cost(n) + NADIR_MARGIN * (m.cost(n) - m.cost(i))))
            for m, i, n, w in zip(metrics, ideal, nadir, worst, strict=True)
        )
    corner = tuple(float(value) for value in reference)
    if len(corner) != len(metrics) or not all(
        m.cost(r) > m.cost(i) for m, i, r in zip(metrics, ideal, corner, strict=True)
    ):
        raise ConfigError(
            "the reference is not worse than the best cell in every objective",
            value=corner,
            expected=", ".join(
                f"{m.name} worse than {i:g}" for m, i in zip(metrics, ideal, strict=True)
            ),
            remedy="give a value for each objective, in the metrics' units",
        )
    return corner
