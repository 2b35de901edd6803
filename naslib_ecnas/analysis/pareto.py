"""Hypervolume of a set of points, and what each point adds to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, floats
from naslib_ecnas.metrics import metric
from naslib_ecnas.nondominated import candidates, checked_points

__all__ = [
    "attained",
    "contributions",
    "costs_of",
    "epsilon_additive",
    "epsilon_factor",
    "extremes",
    "hv_contributions",
    "hypervolume",
    "igd_plus",
    "knee",
    "normalised",
    "volume",
]


# moocore behind names of our own, imported when it is first used; everything is minimised.


def volume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Hypervolume of (n, m) points, n >= 1."""
    import moocore

    return float(moocore.hypervolume(points, ref=reference))


def hv_contributions(
    points: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) contributing hypervolumes of (n, m) points, n >= 1; dominated points count as well."""
    import moocore

    delta = moocore.hv_contributions(points, ref=reference, ignore_dominated=False)
    return np.asarray(delta, dtype=np.float64)


def igd_plus(points: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """IGD+ of (n, m) points to (k, m) targets, n, k >= 1."""
    import moocore

    return float(moocore.igd_plus(points, ref=targets))


def epsilon_additive(points: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Additive epsilon of (n, m) points to (k, m) targets, n, k >= 1."""
    import moocore

    return float(moocore.epsilon_additive(points, ref=targets))


def epsilon_factor(
    points: NDArray[np.float64], targets: NDArray[np.float64], maximise: Sequence[bool]
) -> float:
    """Multiplicative epsilon of (n, m) positive values to (k, m) positive targets, n, k >= 1."""
    import moocore

    return float(moocore.epsilon_mult(points, ref=targets, maximise=list(maximise)))


def attained(
    points: NDArray[np.float64], sets: NDArray[np.int64], percentile: float
) -> NDArray[np.float64]:
    """(k, m) minimal points that so many per cent of the sets of (n, m) points attain."""
    import moocore

    found = moocore.eaf(points, sets, percentiles=[percentile])
    return np.asarray(found, dtype=np.float64)[:, :-1]


# Values of metrics as costs: less is better, in units or from 0, the ideal, to 1.


def costs_of(values: ArrayLike, objectives: Sequence[str]) -> NDArray[np.float64]:
    """(n, m) values in the metrics' units, turned so that less is better in each column.

    Raises:
        ConfigError: not one column for each objective.
        UnknownMetricError: an objective is no metric.
    """
    array = checked_points(values, what="the values")
    if array.shape[1] != len(objectives):
        raise ConfigError(
            "the values do not fit the objectives",
            value=array.shape,
            expected=f"{len(objectives)} columns: {', '.join(objectives)}",
            remedy="give one column for each objective, in their order",
        )
    costs = np.empty_like(array)
    for column, name in enumerate(objectives):
        costs[:, column] = metric(name).cost(array[:, column])
    return costs


def normalised(
    values: ArrayLike, objectives: Sequence[str], ideal: ArrayLike, reference: ArrayLike
) -> NDArray[np.float64]:
    """Costs on a scale from 0, the ideal, to 1, the reference.

    An objective whose ideal is its reference does not tell points apart and is 0 throughout.

    Args:
        values: (n, m) values in the metrics' units.
        objectives: m names of metrics.
        ideal: (m,) values that become 0.
        reference: (m,) values that become 1.

    Returns:
        (n, m) float64, less is better; beyond 0 and 1 where a value lies outside.

    Raises:
        ConfigError: the shapes do not fit, or the reference is the better of the two.
        UnknownMetricError: an objective is no metric.

    Example:
        >>> normalised([[2.0, 0.5]], ("energy_kwh", "validation_accuracy"), [1, 1], [3, 0])
        array([[0.5, 0.5]])
    """
    costs = costs_of(values, objectives)
    low, high = (costs_of(np.atleast_2d(floats(end)), objectives)[0] for end in (ideal, reference))
    span = high - low
    if not (span >= 0).all():
        raise ConfigError(
            "this ideal is no better than the reference",
            value=(np.asarray(ideal).tolist(), np.asarray(reference).tolist()),
            expected="an ideal that is the reference or better in every objective",
            remedy="give the better end first",
        )
    flat = span == 0
    out: NDArray[np.float64] = (costs - low) / np.where(flat, 1.0, span)
    out[:, flat] = np.where(np.isnan(out[:, flat]), np.nan, 0.0)
    return out


def hypervolume(costs: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate within the reference point (S_r of the EC-NAS paper).

    O(n log n) for two and three objectives. Points with a NaN, and those that are not better
    than the reference in every objective, add nothing.

    Args:
        costs: (n, m) costs, less is better; n may be 0.
        reference: (m,) costs of the reference point.

    Raises:
        ConfigError: the shapes do not fit.

    Example:
        >>> hypervolume([[1.0, 2.0], [2.0, 1.0]], [3.0, 3.0])
        3.0
    """
    points, corner = _checked(costs, reference)
    points = points[candidates(points)]
    points = points[(points < corner).all(axis=1)]
    return volume(points, corner) if len(points) else 0.0


def contributions(costs: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Hypervolume that would be lost with each point (Delta_r of the EC-NAS paper).

    Delta_r(A, a) = S_r(A) - S_r(A without a). So a dominated point and each of several equal
    points contribute 0, and what lies just behind a point lessens what that one contributes; a
    point with a NaN takes no part and gets NaN.

    Args:
        costs: (n, m) costs, less is better; n may be 0.
        reference: (m,) costs of the reference point.

    Returns:
        (n,) float64.

    Raises:
        ConfigError: the shapes do not fit.

    Example:
        >>> contributions([[1.0, 2.0], [2.0, 1.0], [2.5, 2.5]], [3.0, 3.0]).tolist()
        [1.0, 1.0, 0.0]
    """
    points, corner = _checked(costs, reference)
    known = ~np.isnan(points).any(axis=1)
    delta = np.full(len(points), np.nan)
    delta[known] = 0.0
    inside = (points < corner).all(axis=1)
    if inside.any():
        delta[inside] = hv_contributions(points[inside], corner)
    return delta


def _checked(
    costs: ArrayLike, reference: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = checked_points(costs, what="the costs")
    corner = floats(reference, "the reference").copy()
    if corner.shape != (points.shape[1],) or np.isnan(corner).any():
        raise ConfigError(
            "the reference point does not fit the costs",
            value=corner.tolist(),
            expected=f"{points.shape[1]} numbers, one for each objective",
            remedy="give its costs, in the order of the objectives",
        )
    return points, corner


# The cells of a front that stand for it: its extremes and its knee.


def knee(values: ArrayLike, objectives: Sequence[str]) -> int:
    """Position of a front's knee (r_k of the EC-NAS paper).

    The paper's rule: the least sum of the objectives, each scaled to 0 .. 1 by the best and the
    worst value on the front itself. Of equal sums the first one.

    Args:
        values: (n, m) values of a front in the metrics' units, without NaN.
        objectives: m names of metrics.

    Raises:
        ConfigError: an empty front, a NaN, or shapes that do not fit.

    Example:
        >>> front = [[1.0, 0.5], [2.0, 0.85], [9.0, 0.9]]
        >>> knee(front, ("energy_kwh", "validation_accuracy"))
        1
    """
    array = floats(values)
    _check(array, objectives)
    metrics = [metric(name) for name in objectives]
    ideal = [m.best(column) for m, column in zip(metrics, array.T, strict=True)]
    worst = [m.worst(column) for m, column in zip(metrics, array.T, strict=True)]
    return int(np.argmin(normalised(array, objectives, ideal, worst).sum(axis=1)))


def extremes(values: ArrayLike, objectives: Sequence[str]) -> tuple[int, ...]:
    """Position of the best point of each objective (r_0, r_1 of the EC-NAS paper).

    Of several that are best in one objective, the one that no other of them dominates, the first
    if there are more.

    Args:
        values: (n, m) values of a front in the metrics' units, without NaN.
        objectives: m names of metrics.

    Returns:
        m positions: with energy and accuracy as objectives r_0, the least energy, then r_1, the
        highest accuracy.

    Raises:
        ConfigError: an empty front, a NaN, or shapes that do not fit.
    """
    array = floats(values)
    _check(array, objectives)
    costs = costs_of(array, objectives)
    found = []
    for column in range(costs.shape[1]):
        others = [costs[:, c] for c in range(costs.shape[1]) if c != column]
        found.append(int(np.lexsort([*others[::-1], costs[:, column]])[0]))
    return tuple(found)


def _check(values: NDArray[np.float64], names: Sequence[str]) -> None:
    costs = costs_of(values, names)
    if not len(costs) or np.isnan(costs).any():
        raise ConfigError(
            "not a front",
            value="no points" if not len(costs) else "points with NaN",
            expected="at least one point and a value in every objective",
            remedy="take the points that naslib_ecnas.analysis.nondominated marks",
        )
