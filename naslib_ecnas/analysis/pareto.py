"""Fronts: values as costs, hypervolume and distance to the true front, knee and extremes.

`values` are (n, m) in the units of the m metrics that `objectives` names, `costs` (n, m) with less
being better; n may be 0. Shapes that do not fit and infinite values raise ConfigError, an unknown
name UnknownMetricError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, check_types, floats
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.nondominated import candidates, checked_points, complete, nondominated

# How far the reference lies behind the true front's worst values, as a share of the front's range.
# Without it the front's extremes would lie on the reference and count nothing.
_MARGIN = 0.1
_WH_PER_KWH = 1000.0
# Costs of the reference point: the negative validation accuracy and the energy in Wh.
_PAPER_REFERENCE = (0.5, 1e6)


def costs_of(values: ArrayLike, objectives: Sequence[str]) -> NDArray[np.float64]:
    """(n, m) values in the metrics' units, turned so that less is better in each column."""
    array = checked_points(values, what="the values")
    if array.shape[1] != len(objectives):
        wanted = ", ".join(objectives)
        raise ConfigError(f"the values must have one column each for {wanted}", value=array.shape)
    costs = np.empty_like(array)
    for column, name in enumerate(objectives):
        costs[:, column] = metric(name).cost(array[:, column])
    return costs


def hypervolume(costs: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate within the reference point (S_r of the EC-NAS paper).

    O(n log n) for two and three objectives. Points with a NaN, and points that are not better
    than the (m,) costs of the reference in every objective, add nothing.

    Examples:
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

    Examples:
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


# -- the hypervolume of a table ----


@dataclass(frozen=True)
class Scale:
    """Ideal and reference point of a table at one budget, and the volume of its true front.

    Make it by `Scale.of`. The reference is the true front's own worst value of each objective and a
    margin behind it: only cells that come near the front count, the rest of the table has no
    influence, and differences between good searches show. Two hypervolumes can be compared only if
    their scales are equal.
    """

    objectives: tuple[str, ...]
    ideal: tuple[float, ...]
    """Best value of each objective over the table, in the metric's unit."""
    reference: tuple[float, ...]
    """Value of each objective that has cost 1, in the metric's unit."""
    volume: float
    """Hypervolume of the table's true front in normalised costs, 0 to 1."""

    @classmethod
    def of(cls, values: ArrayLike, objectives: Sequence[str]) -> Scale:
        """The scale of a table.

        Args:
            values: (n, m) values of every cell, in the metrics' units. Cells with a NaN in any
                objective are left out.
            objectives: m names of metrics. In costs, the reference is worst + 0.1 (worst - best)
                over the true front; an objective that is equal on the whole front takes the worst
                value in the table.

        Raises:
            ConfigError: no cell has all objectives, or the shapes do not fit.
        """
        array = checked_points(values, what="the values")
        known = complete(array)
        if not known.any():
            raise ConfigError("no cell has a value in every objective", value=tuple(objectives))
        array = array if known.all() else array[known]
        front = array[nondominated(costs_of(array, objectives))]
        metrics = [metric(name) for name in objectives]
        ideal = tuple(m.best(c) for m, c in zip(metrics, front.T, strict=True))
        corner = [m.worst(column) for m, column in zip(metrics, array.T, strict=True)]
        for i, m in enumerate(metrics):
            nadir, best = m.cost(m.worst(front[:, i])), m.cost(ideal[i])
            if nadir != best:
                corner[i] = float(m.from_cost(nadir + _MARGIN * (nadir - best)))
        scale = cls(tuple(objectives), ideal, tuple(corner), volume=1.0)
        return replace(scale, volume=_volume(scale.costs(front)))

    def costs(self, values: ArrayLike) -> NDArray[np.float64]:
        """(n, m) values in the metrics' units as costs from 0, the ideal, to 1, the reference.

        An objective that is equal in the whole table is 0 throughout; NaN stays NaN.
        """
        costs = costs_of(values, self.objectives)
        low, high = costs_of([self.ideal, self.reference], self.objectives)
        shares: NDArray[np.float64] = (costs - low) / np.where(high > low, high - low, np.inf)
        return shares

    def hypervolume(self, values: ArrayLike) -> float:
        """Hypervolume of (n, m) values as a share of the true front's, 0 to 1 for a table's cells.

        Rows with a NaN, and rows not better than the reference in every objective, add nothing.
        NaN where the true front spans no volume, as where its values differ by the last bit only.
        """
        if self.volume == 0:
            return float("nan")
        return _volume(self.costs(values)) / self.volume


def _volume(costs: NDArray[np.float64]) -> float:
    """Hypervolume of (n, m) costs up to 1, whatever their order to the last digit."""
    return hypervolume(costs[np.lexsort(costs.T)], np.ones(costs.shape[1]))


# -- distance from the true front ----
#
# `front` are (k, m) values of the true front or of the whole table. Less is better, and the true
# front itself is at the least; an empty set is at infinity. Dominated cells, equal cells and rows
# with a NaN change nothing, in the set and in the front.


def igd_plus(values: ArrayLike, front: ArrayLike, scale: Scale) -> float:
    """Mean distance from the points of the true front to a set of cells; 0 for the front itself.

    IGD+ of Ishibuchi, Masuda, Tanigaki and Nojima (EMO 2015), on the scale's costs: for each
    point of the front the Euclidean distance to the nearest cell of the set, where an objective
    in which the cell is better than the point adds no distance.

    Examples:
        >>> front = [[0.0, 0.5], [2.0, 1.0]]
        >>> names = ("energy_kwh", "validation_accuracy")
        >>> round(igd_plus([[2.0, 1.0]], front, Scale.of(front, names)), 4)
        0.4545
    """
    return _distance("igd_plus", values, front, scale)


def epsilon(values: ArrayLike, front: ArrayLike, scale: Scale) -> float:
    """Least shift that makes a set attain the whole true front; negative if it is better.

    The additive epsilon of Zitzler, Thiele, Laumanns, Fonseca and Grunert da Fonseca (IEEE TEC
    2003), on the scale's costs. 0.1 means: at the worst place of the front a tenth of the range
    from ideal to reference is missing in one objective.
    """
    return _distance("epsilon_additive", values, front, scale)


def _distance(name: str, values: ArrayLike, front: ArrayLike, scale: Scale) -> float:
    """A distance of moocore from the distinct points of the true front to a set, on the scale."""
    check_types(Scale, scale=scale)
    kept = nondominated(costs_of(front, scale.objectives))
    if not kept.any():
        raise ConfigError("the true front has no point with a value in every objective")
    import moocore

    targets = scale.costs(np.asarray(front, dtype=np.float64)[kept])
    costs = scale.costs(values)
    points = costs[candidates(costs)]
    return float(getattr(moocore, name)(points, ref=targets)) if len(points) else math.inf


def paper_hypervolume(values: ArrayLike) -> float:
    """The hypervolume in the legend of the EC-NAS paper's figure 5, more is better.

    Values are (n, 2) kWh and validation accuracies. Costs are the negative accuracy and the energy
    in Wh, the reference point is (0.5, 1e6). Use it only to compare with the paper's figures: no
    cell takes more than about 1.3 kWh, a thousandth of the reference, so it is 1e6 times (0.5 + the
    best validation accuracy) to within a part in a thousand and almost blind to energy.

    Examples:
        >>> round(paper_hypervolume([[0.62, 0.94]]))
        1439107
    """
    energy, accuracy = costs_of(values, OBJECTIVES).T
    return hypervolume(np.column_stack([accuracy, energy * _WH_PER_KWH]), _PAPER_REFERENCE)


# -- the cells that stand for a front ----


def knee(values: ArrayLike, objectives: Sequence[str]) -> int:
    """Position of a front's knee (r_k of the EC-NAS paper).

    The paper's rule: the least sum of the objectives, each scaled to 0 .. 1 by the best and the
    worst value on the front itself. Of equal sums the first. A front without points or with a
    NaN raises ConfigError.

    Examples:
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


def _front_costs(values: ArrayLike, objectives: Sequence[str]) -> NDArray[np.float64]:
    costs = costs_of(values, objectives)
    if not len(costs) or np.isnan(costs).any():
        raise ConfigError(f"a front needs at least one point and no NaN, got {len(costs)} points")
    return costs
