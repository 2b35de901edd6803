"""Fronts: values as costs, hypervolume and what each point adds to it, knee and extremes.

`values` are (n, m) in the units of the m metrics that `objectives` names, `costs` (n, m) with less
being better; n may be 0. Shapes that do not fit and infinite values raise ConfigError, an unknown
name UnknownMetricError.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, floats
from naslib_ecnas.metrics import metric
from naslib_ecnas.nondominated import candidates, checked_points


def costs_of(values: ArrayLike, objectives: Sequence[str]) -> NDArray[np.float64]:
    """(n, m) values in the metrics' units, turned so that less is better in each column.

    Alone of all functions here it takes infinite values, such as the corners of a box.
    """
    array = checked_points(values, what="the values", finite=False)
    if array.shape[1] != len(objectives):
        wanted = ", ".join(objectives)
        raise ConfigError(f"the values must have one column each for {wanted}", value=array.shape)
    costs = np.empty_like(array)
    for column, name in enumerate(objectives):
        costs[:, column] = metric(name).cost(array[:, column])
    return costs


def normalised(
    values: ArrayLike, objectives: Sequence[str], ideal: ArrayLike, reference: ArrayLike
) -> NDArray[np.float64]:
    """Costs on a scale from 0, the ideal, to 1, the reference.

    An objective whose ideal equals its reference does not tell points apart and is 0 throughout.

    Args:
        values: (n, m) values in the metrics' units.
        objectives: m names of metrics.
        ideal: (m,) values that become 0.
        reference: (m,) values that become 1, not better than the ideal.

    Returns:
        (n, m) float64, less is better; outside 0 to 1 where a value lies beyond the two ends.

    Example:
        >>> normalised([[2.0, 0.5]], ("energy_kwh", "validation_accuracy"), [1, 1], [3, 0])
        array([[0.5, 0.5]])
    """
    costs = _finite_costs(values, objectives)
    low, high = (
        _finite_costs(np.atleast_2d(floats(end)), objectives)[0] for end in (ideal, reference)
    )
    span = high - low
    if not (span >= 0).all():
        ends = (np.asarray(ideal).tolist(), np.asarray(reference).tolist())
        raise ConfigError("the reference must not be better than the ideal", value=ends)
    flat = span == 0
    out: NDArray[np.float64] = (costs - low) / np.where(flat, 1.0, span)
    out[:, flat] = np.where(np.isnan(out[:, flat]), np.nan, 0.0)
    return out


def hypervolume(costs: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate within the reference point (S_r of the EC-NAS paper).

    O(n log n) for two and three objectives. Points with a NaN, and points that are not better
    than the (m,) costs of the reference in every objective, add nothing.

    Example:
        >>> hypervolume([[1.0, 2.0], [2.0, 1.0]], [3.0, 3.0])
        3.0
    """
    points, corner = _checked(costs, reference)
    points = points[candidates(points)]
    points = points[(points < corner).all(axis=1)]
    if not len(points):
        return 0.0
    import moocore

    return float(moocore.hypervolume(points, ref=corner))


def contributions(costs: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Hypervolume that would be lost with each point (Delta_r of the EC-NAS paper).

    Delta_r(A, a) = S_r(A) - S_r(A without a). A dominated point and each of several equal points
    contribute 0, and a dominated point lessens what the point in front of it contributes. A point
    with a NaN contributes NaN and changes nothing for the others.

    Returns:
        (n,) float64.

    Example:
        >>> contributions([[1.0, 2.0], [2.0, 1.0], [2.5, 2.5]], [3.0, 3.0]).tolist()
        [1.0, 1.0, 0.0]
    """
    points, corner = _checked(costs, reference)
    delta = np.where(np.isnan(points).any(axis=1), np.nan, 0.0)
    inside = (points < corner).all(axis=1)
    if inside.any():
        import moocore

        delta[inside] = moocore.hv_contributions(points[inside], ref=corner, ignore_dominated=False)
    return delta


def _checked(
    costs: ArrayLike, reference: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = checked_points(costs, what="the costs")
    corner = floats(reference, "the reference").copy()
    m = points.shape[1]
    if corner.shape != (m,) or not np.isfinite(corner).all():
        raise ConfigError(f"the reference point must be {m} finite numbers", value=corner.tolist())
    return points, corner


# -- the cells that stand for a front ----


def knee(values: ArrayLike, objectives: Sequence[str]) -> int:
    """Position of a front's knee (r_k of the EC-NAS paper).

    The paper's rule: the least sum of the objectives, each scaled to 0 .. 1 by the best and the
    worst value on the front itself. Of equal sums the first. A front without points or with a
    NaN raises ConfigError.

    Example:
        >>> front = [[1.0, 0.5], [2.0, 0.85], [9.0, 0.9]]
        >>> knee(front, ("energy_kwh", "validation_accuracy"))
        1
    """
    costs = _front_costs(values, objectives)
    low = costs.min(axis=0)
    span = costs.max(axis=0) - low
    return int(np.argmin(((costs - low) / np.where(span > 0, span, 1.0)).sum(axis=1)))


def extremes(values: ArrayLike, objectives: Sequence[str]) -> tuple[int, ...]:
    """Position of the best point of each objective (r_0, r_1 of the EC-NAS paper).

    Of several points that are best in one objective, the one that none of the others dominates;
    of several such the first. A front without points or with a NaN raises ConfigError.

    Returns:
        m positions: with energy and accuracy as objectives r_0, the least energy, then r_1, the
        highest accuracy.
    """
    costs = _front_costs(values, objectives).T
    order = range(len(costs) - 1, -1, -1)
    # The last key decides first.
    sorts = ([costs[j] for j in order if j != i] + [costs[i]] for i in range(len(costs)))
    return tuple(int(np.lexsort(keys)[0]) for keys in sorts)


def _finite_costs(values: ArrayLike, objectives: Sequence[str]) -> NDArray[np.float64]:
    return costs_of(checked_points(values, what="the values"), objectives)


def _front_costs(values: ArrayLike, objectives: Sequence[str]) -> NDArray[np.float64]:
    costs = _finite_costs(values, objectives)
    if not len(costs) or np.isnan(costs).any():
        raise ConfigError(f"a front needs at least one point and no NaN, got {len(costs)} points")
    return costs
