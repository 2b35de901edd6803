"""What runs reach: curves against what was spent, and surfaces in objective space.

`anytime` gives an indicator, such as a scale's hypervolume, after each budget: a step function in
which an evaluation counts once it is paid for, and which is not known beyond the run's end.

A run attains a point if it found a cell that is no worse in both objectives. The empirical
attainment function gives for each point the share of runs that attain it (Grunert da Fonseca,
Fonseca and Hall, EMO 2001); figure 5 of the EC-NAS paper shows where it reaches one half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.pareto import Scale, costs_of
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, check_types, floats
from naslib_ecnas.metrics import metric
from naslib_ecnas.nondominated import nondominated

Indicator = Callable[[NDArray[np.float64]], float]
# Points of a curve.
_STEPS = 50


# -- curves over what was spent ----


@dataclass(frozen=True, eq=False)
class AnytimeBand:
    """Median and quartiles of several runs of one method at common budgets."""

    budgets: NDArray[np.float64]
    """(k,) in the unit of what was spent."""
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
        seen: (n, m) values by which the run chooses its front, where they are not the true
            `values`, by which the front is measured. Its value may then fall.

    Returns:
        (k,) float64; NaN for a budget beyond the end, since nobody knows what the run would have
        reached.

    Raises:
        ConfigError: the shapes do not fit, or what was spent falls or is not known.

    Examples:
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

    Examples:
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


def checkpoints(evaluations: int) -> NDArray[np.int64]:
    """At most 50 numbers of evaluations at which to look at a run, geometric from 1 to all.

    They depend only on the length of the run, so curves of runs of one length can be averaged.
    """
    check_counts(evaluations=evaluations)
    check_numbers(most=1e15, evaluations=evaluations)
    return np.unique(np.rint(np.geomspace(1, evaluations, _STEPS)).astype(np.int64))


def common_budgets(cumulatives: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Budgets at which several runs can be compared: geometric, and reached by every run.

    They go from the first budget at which every run has made an evaluation to the last one that
    every run has spent. The argument is what each run had spent after each evaluation, (n_i,) and
    above 0.

    Returns:
        (50,) ascending float64 with these two as its exact ends; fewer where they are equal.

    Raises:
        ConfigError: the runs have no budget in common.
    """
    spent = [_spent(one) for one in cumulatives]
    first = max((float(one[0]) for one in spent if len(one)), default=0.0)
    last = min((float(one[-1]) if len(one) else 0.0 for one in spent), default=0.0)
    if not 0 < first <= last:
        raise ConfigError("the runs have no budget in common", value=(first, last))
    # Rounding must not put one beyond a run's end, or before its start.
    return np.unique(np.clip(np.geomspace(first, last, _STEPS), first, last))


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
    return AnytimeBand(at, *edges)


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


# -- attainment ----


def attainment_surface(
    runs: Sequence[ArrayLike], objectives: Sequence[str], level: float = 0.5
) -> NDArray[np.float64]:
    """Nondominated points of the region that at least a share of the runs attains.

    Level 0.5 is the median surface, 0.25 and 0.75 the quartiles, 1 what every run attains. With
    an even number of runs the median is what one half attains, not a mean of two surfaces.

    Args:
        runs: (n_i, 2) values that each run found, in the metrics' units. Dominated rows and rows
            with a NaN add nothing; a run with no other rows counts as a run that attains nothing.
        objectives: two names of metrics.
        level: share of the runs, above 0 and at most 1; the number of runs is rounded up.

    Returns:
        (k, 2) corners in the metrics' units, from the best to the worst in the first objective; k =
        0 where fewer runs than needed found anything.

    Raises:
        ConfigError: no runs, not two objectives, shapes that do not fit, or an impossible level.
        UnknownMetricError: an objective is no metric.
    """
    if isinstance(objectives, str) or len(objectives) != 2:
        raise ConfigError("attainment needs two objectives", value=objectives)
    check_numbers(above=0, most=1, level=level)
    if not isinstance(runs, Collection) or not len(runs):
        raise ConfigError("attainment needs at least one run")
    every = [costs_of(values, objectives) for values in runs]
    fronts = [costs[nondominated(costs)] for costs in every]
    # A share such as 0.3 of 10 runs must not become 4 of them by the last bit of a float.
    needed = max(1, math.ceil(level * len(fronts) - 1e-9))
    found = [front for front in fronts if len(front)]
    if needed > len(found):
        return np.empty((0, 2))
    import moocore

    sets = np.repeat(np.arange(1, len(found) + 1), [len(front) for front in found])
    share = 100 * needed / len(found)
    costs = moocore.eaf(np.concatenate(found), sets, percentiles=[share])[:, :-1]
    costs = costs[np.lexsort(costs.T[::-1])]
    columns = zip(objectives, costs.T, strict=True)
    return np.column_stack([metric(name).from_cost(column) for name, column in columns])
