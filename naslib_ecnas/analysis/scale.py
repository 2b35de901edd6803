"""The scale of a table, and the curve of what a run reached against what it had spent.

A `Scale` maps a table's objectives to costs from 0 (the best values) to 1 (the reference point)
and measures hypervolume as a share of the true front's. `anytime` gives an indicator, such as this
hypervolume, after each budget: a step function in which an evaluation counts once it is paid for,
and which is not known beyond the run's end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.pareto import costs_of, hypervolume, normalised
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, check_types, floats
from naslib_ecnas.metrics import Metric, metric
from naslib_ecnas.nondominated import checked_points, complete, nondominated

#: The point with cost 1: "worst" values of the table, the true front's "nadir", or given values.
Reference = Literal["worst", "nadir"] | Sequence[float]

#: How far the reference "nadir" lies behind the true front's worst values, as a share of the
#: front's range. Without it the front's extremes would lie on the reference and count nothing.
NADIR_MARGIN = 0.1

Indicator = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True)
class Scale:
    """Ideal and reference point of a table at one budget, and the volume of its true front.

    Make it by `Scale.of`. The reference decides which differences the hypervolume shows:

    - `"nadir"`, the true front's own worst value of each objective and a margin behind it. Only
      cells that come near the front count, the rest of the table has no influence, and
      differences between good searches show. It is the reference wherever a share of the true
      front's hypervolume is given.
    - `"worst"`, the worst value of each objective in the table. Every cell counts, but most of
      a space lies far behind its front and one gross outlier widens the scale, so searches of
      very different quality all come near 1. It shows a run from its first cells on.
    - numbers: use them to compare tables with one another.

    Two hypervolumes can be compared only if their scales are equal.
    """

    objectives: tuple[str, ...]
    ideal: tuple[float, ...]
    """Best value of each objective over the table, in the metric's unit."""
    reference: tuple[float, ...]
    """Value of each objective that has cost 1, in the metric's unit."""
    volume: float
    """Hypervolume of the table's true front in normalised costs, 0 to 1."""

    @classmethod
    def of(
        cls, values: ArrayLike, objectives: Sequence[str], *, reference: Reference = "nadir"
    ) -> Scale:
        """The scale of a table.

        Args:
            values: (n, m) values of every cell, in the metrics' units. Cells with a NaN in any
                objective are left out.
            objectives: m names of metrics.
            reference: `"nadir"`, `"worst"` or m values in the metrics' units. In costs, nadir is
                worst + 0.1 (worst - best) over the true front (`NADIR_MARGIN`); an objective that
                is equal on the whole front takes the worst value in the table.

        Raises:
            ConfigError: no cell has all objectives, the shapes do not fit, or the reference is
                not worse than the best cell in every objective.
        """
        array = checked_points(values, what="the values")
        known = complete(array)
        if not known.any():
            raise ConfigError("no cell has a value in every objective", value=tuple(objectives))
        array = array if known.all() else array[known]
        front = array[nondominated(costs_of(array, objectives))]
        metrics = [metric(name) for name in objectives]
        ideal = tuple(m.best(c) for m, c in zip(metrics, front.T, strict=True))
        corner = _corner(reference, metrics, ideal, front, array)
        points = normalised(front, objectives, ideal, corner)
        return cls(tuple(objectives), ideal, corner, _volume(points))

    def costs(self, values: ArrayLike) -> NDArray[np.float64]:
        """(n, m) values in the metrics' units as costs from 0, the ideal, to 1, the reference."""
        return normalised(values, self.objectives, self.ideal, self.reference)

    def hypervolume(self, values: ArrayLike) -> float:
        """Hypervolume of (n, m) values as a share of the true front's, 0 to 1 for a table's cells.

        Rows with a NaN, and rows not better than the reference in every objective, add nothing.
        NaN where the true front spans no volume at all, as when every cell on it is the worst in
        one objective.
        """
        if self.volume == 0:
            return float("nan")
        return _volume(self.costs(values)) / self.volume

    def anytime(
        self, values: ArrayLike, counts: ArrayLike, seen: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Hypervolume of a run's first evaluations, for several numbers of them.

        Takes (n, m) values in the order of evaluation, (k,) ascending numbers of at most n, and
        the values by which the run chose, if others (see `anytime`); returns (k,) float64, which
        never fall without these.
        """
        numbers = _budgets(counts)
        if numbers.size and (np.any(np.diff(numbers) < 0) or numbers[0] < 0):
            raise ConfigError("numbers of evaluations must ascend from 0", value=numbers.tolist())
        array = checked_points(values, what="the values")
        return anytime(array, np.arange(1.0, len(array) + 1), numbers, self, seen=seen)


def _volume(costs: NDArray[np.float64]) -> float:
    """Hypervolume of (n, m) costs up to 1, whatever their order to the last digit."""
    return hypervolume(costs[np.lexsort(costs.T)], np.ones(costs.shape[1]))


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
            raise ConfigError("the reference must be 'worst', 'nadir' or values", value=reference)
        corner = [m.worst(column) for m, column in zip(metrics, table.T, strict=True)]
        for i, m in enumerate(metrics if reference == "nadir" else ()):
            nadir, best = m.cost(m.worst(front[:, i])), m.cost(ideal[i])
            if nadir != best:
                corner[i] = float(m.from_cost(nadir + NADIR_MARGIN * (nadir - best)))
        return tuple(corner)
    given = tuple(np.ravel(floats(reference, "the reference", finite=True)).tolist())
    if len(given) != len(metrics) or not all(
        m.cost(r) > m.cost(i) for m, i, r in zip(metrics, ideal, given, strict=True)
    ):
        raise ConfigError(f"the reference must be worse than the best values {ideal}", value=given)
    return given


# -- curves over what was spent ----


@dataclass(frozen=True, eq=False)
class AnytimeBand:
    """Median and quartiles of several runs of one method at common budgets."""

    budgets: NDArray[np.float64]
    """(k,) in the unit of what was spent."""
    runs: int
    lower: NDArray[np.float64]
    """(k,) quartile of which a quarter of the runs lies no higher."""
    median: NDArray[np.float64]
    upper: NDArray[np.float64]


def anytime(
    values: ArrayLike,
    cumulative: ArrayLike,
    budgets: ArrayLike,
    scale: Scale,
    *,
    indicator: Indicator | None = None,
    end: float | None = None,
    seen: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """What a run had reached when it had spent each of several budgets.

    An evaluation counts for a budget if its whole cost lies within it.

    Args:
        values: (n, m) values in the order of evaluation, in the metrics' units.
        cumulative: (n,) what was spent up to and with each evaluation, never falling: numbers of
            evaluations, kWh, seconds, ... (`SearchResult.cumulative`).
        budgets: (k,) budgets in the same unit, in any order.
        scale: the scale of the table.
        indicator: a function from the (j, m) values of a front in the metrics' units, j >= 0, to
            a number; the scale's hypervolume by default. An example is
            `lambda found: igd_plus(found, front, scale)`. Dominated cells must not change it.
        end: budget that the run was given, where it is more than the run spent. A run that
            stopped because no further evaluation fitted in keeps its value up to there.
        seen: (n, m) values by which the run chooses its front, where they are not the true
            `values`, by which the front is measured. Its value may then fall.

    Returns:
        (k,) float64; NaN for a budget beyond the end, since nobody knows what the run would have
        reached.

    Raises:
        ConfigError: the shapes do not fit, or what was spent falls or is not known.

    Example:
        >>> table = [[0.0, 0.5], [1.0, 1.0], [2.0, 0.0]]
        >>> scale = Scale.of(table, ("energy_kwh", "validation_accuracy"))
        >>> anytime(table[:2], [3.0, 5.0], [1, 3, 4, 5, 6], scale).round(2).tolist()
        [0.0, 0.52, 0.52, 1.0, nan]
    """
    check_types(Scale, scale=scale)
    costs = costs_of(values if seen is None else seen, scale.objectives)
    spent = _spent(cumulative, len(costs))
    wanted = _budgets(budgets)
    last = spent[-1] if len(spent) else 0.0
    if end is not None:
        check_numbers(end=end)
        if end < last:
            raise ConfigError(f"end must be at least what the run spent, {last:g}", value=end)
        last = end
    array = floats(values)
    measure = indicator or scale.hypervolume
    counts = np.searchsorted(spent, wanted, side="right")
    curve = np.full(len(wanted), np.nan)
    kept = np.empty(0, dtype=np.int64)
    done, measured = 0, None
    for count in np.unique(counts[wanted <= last]).tolist():
        # A point dominated now stays dominated: only the front need be carried on.
        before, kept = kept, np.concatenate([kept, np.arange(done, count)])
        kept = kept[nondominated(costs[kept])]
        if measured is None or not np.array_equal(kept, before):
            measured = measure(array[kept])
        curve[(counts == count) & (wanted <= last)] = measured
        done = count
    return curve


def mean_until(curve: ArrayLike, cumulative: ArrayLike, budgets: ArrayLike) -> NDArray[np.float64]:
    """Mean of an anytime curve from 0 to each of several budgets: the area under it.

    Args:
        curve: (n,) value after each evaluation; it is 0 before the first one is paid for, and
            stays at its last value.
        cumulative: (n,) what was spent up to and with each evaluation.
        budgets: (k,) above 0, in the same unit.

    Example:
        >>> mean_until([0.5, 1.0], [1.0, 2.0], [1.0, 2.0, 4.0]).tolist()
        [0.0, 0.25, 0.625]
    """
    given, paid = floats(curve), _spent(cumulative)
    if given.shape != paid.shape:
        raise ConfigError("a curve must have a value for each evaluation", value=given.shape)
    values, spent = np.append(0.0, given), np.append(0.0, paid)
    areas = np.append(0.0, np.cumsum(values[:-1] * np.diff(spent)))
    wanted = _budgets(budgets)
    if not (wanted > 0).all():
        raise ConfigError("budgets must be above 0", value=wanted.tolist())
    at = np.searchsorted(spent, wanted, side="right") - 1
    return np.asarray((areas[at] + values[at] * (wanted - spent[at])) / wanted)


def checkpoints(evaluations: int, steps: int = 50) -> NDArray[np.int64]:
    """Numbers of evaluations at which to look at a run: geometric, from 1 to all of them.

    They depend only on the length of the run, so curves of runs of one length can be averaged.
    Both arguments are whole numbers of at least 1.

    Example:
        >>> checkpoints(100, steps=5).tolist()
        [1, 3, 10, 32, 100]
    """
    check_counts(evaluations=evaluations, steps=steps)
    check_numbers(most=1e15, evaluations=evaluations)
    return np.unique(np.rint(np.geomspace(1, evaluations, steps)).astype(np.int64))


def common_budgets(cumulatives: Sequence[ArrayLike], steps: int = 50) -> NDArray[np.float64]:
    """Budgets at which several runs can be compared: geometric, and reached by every run.

    They go from the first budget at which every run has made an evaluation to the last one that
    every run has spent. The argument is what each run had spent after each evaluation, (n_i,) and
    above 0.

    Returns:
        (steps,) ascending float64 with these two as its exact ends; fewer where they are equal.

    Raises:
        ConfigError: fewer than 2 steps, or the runs have no budget in common.
    """
    check_counts(least=2, steps=steps)
    spent = [_spent(one) for one in cumulatives]
    first = max((float(one[0]) for one in spent if len(one)), default=0.0)
    last = min((float(one[-1]) if len(one) else 0.0 for one in spent), default=0.0)
    if not 0 < first <= last:
        raise ConfigError("the runs have no budget in common", value=(first, last))
    # Rounding must not put one beyond a run's end, or before its start.
    return np.unique(np.clip(np.geomspace(first, last, steps), first, last))


def band(curves: ArrayLike, budgets: ArrayLike) -> AnytimeBand:
    """Median and quartiles over runs, interpolated between neighbouring runs (numpy's linear).

    Args:
        curves: (r, k) one row for each run, r >= 1, as `anytime` gives them. A run may be
            infinite (IGD+ before its first evaluation); where one has a NaN the band is NaN,
            since the others alone would be another selection of runs.
        budgets: (k,) at which the curves were taken.
    """
    array = floats(curves)
    at = _budgets(budgets)
    if array.ndim != 2 or not len(array) or array.shape[1] != len(at):
        raise ConfigError(f"the curves must have shape (runs, {len(at)})", value=array.shape)
    ordered = np.sort(array, axis=0)
    edges = []
    for place in (share * (len(ordered) - 1) for share in (0.25, 0.5, 0.75)):
        below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
        # Not numpy's quantile, which makes NaN of two infinite values.
        equal = (below == above) | (place == math.floor(place))
        with np.errstate(invalid="ignore"):
            edge = np.where(equal, below, below + (place - math.floor(place)) * (above - below))
        # Sorting puts NaN last.
        edges.append(np.where(np.isnan(ordered[-1]), np.nan, edge))
    return AnytimeBand(at, len(array), *edges)


def _spent(cumulative: ArrayLike, length: int | None = None) -> NDArray[np.float64]:
    spent = floats(cumulative)
    fits = spent.ndim == 1 and (length is None or len(spent) == length)
    if not fits or not np.isfinite(spent).all() or (np.diff(spent) < 0).any():
        count = "" if length is None else f"{length} "
        raise ConfigError(
            f"what a run had spent must be {count}finite numbers that never fall",
            value=spent.tolist() if fits else spent.shape,
        )
    return spent


def _budgets(budgets: ArrayLike) -> NDArray[np.float64]:
    wanted = np.array(floats(budgets))
    if wanted.ndim != 1 or np.isnan(wanted).any():
        raise ConfigError("budgets must be a list of numbers", value=wanted.tolist())
    return wanted
