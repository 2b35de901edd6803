"""How far a set of cells is from the true front, and the hypervolume that the paper prints.

`values` are (n, m) values of the set in the metrics' units, `front` (k, m) values of the true front
or of the whole table. Less is better, and the true front itself is at the least; an empty set is at
infinity. All indicators agree with dominance: a set that attains more is never rated worse.
Dominated cells, equal cells and rows with a NaN change nothing, in the set and in the front.

Each raises ConfigError if the shapes do not fit or the front has no points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.pareto import costs_of, hypervolume
from naslib_ecnas.analysis.scale import Scale
from naslib_ecnas.errors import ConfigError, check_types, floats
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.nondominated import candidates, complete, nondominated

_WH_PER_KWH = 1000.0
# Costs of the reference point: the negative validation accuracy and the energy in Wh.
_PAPER_REFERENCE = (0.5, 1e6)


def igd_plus(values: ArrayLike, front: ArrayLike, scale: Scale) -> float:
    """Mean distance from the points of the true front to a set of cells; 0 for the front itself.

    IGD+ of Ishibuchi, Masuda, Tanigaki and Nojima (EMO 2015), on the scale's costs: for each
    point of the front the Euclidean distance to the nearest cell of the set, where an objective
    in which the cell is better than the point adds no distance.

    Example:
        >>> front = [[0.0, 0.5], [2.0, 1.0]]
        >>> names = ("energy_kwh", "validation_accuracy")
        >>> scale = Scale.of(front, names, reference="worst")
        >>> igd_plus([[2.0, 1.0]], front, scale)
        0.5
    """
    return _distance("igd_plus", values, front, scale)


def epsilon(values: ArrayLike, front: ArrayLike, scale: Scale) -> float:
    """Least shift that makes a set attain the whole true front; negative if it is better.

    The additive epsilon of Zitzler, Thiele, Laumanns, Fonseca and Grunert da Fonseca (IEEE TEC
    2003), on the scale's costs. 0.1 means: at the worst place of the front a tenth of the range
    from ideal to reference is missing in one objective.
    """
    return _distance("epsilon_additive", values, front, scale)


def epsilon_factor(values: ArrayLike, front: ArrayLike, objectives: Sequence[str]) -> float:
    """Least factor that makes a set attain the whole true front; 1 for the front itself.

    The multiplicative epsilon of the same source. It needs no scale and does not depend on units.
    1.1 means: for each cell of the front the set has a cell with at most 1.1 times its energy and
    at least 1 / 1.1 of its accuracy.

    Raises:
        ConfigError: a value is not positive.
        UnknownMetricError: one of the m `objectives` is no metric.
    """
    targets = _targets(front, objectives)
    points = floats(values, finite=True)
    points = points[complete(costs_of(points, objectives))]
    smallest = min(float(array.min()) for array in (targets, points) if len(array))
    if smallest <= 0:
        raise ConfigError(
            "a factor needs positive values", value=smallest, remedy="use epsilon, the additive one"
        )
    if not len(points):
        return math.inf
    import moocore

    maximise = [metric(name).maximise for name in objectives]
    return float(moocore.epsilon_mult(points, ref=targets, maximise=maximise))


def paper_hypervolume(values: ArrayLike, objectives: Sequence[str] = OBJECTIVES) -> float:
    """The hypervolume in the legend of the EC-NAS paper's figure 5, more is better.

    Costs are the negative validation accuracy and the energy in Wh, the reference point is
    (0.5, 1e6). Use it only to compare with the paper's figures: no cell takes more than about
    1.3 kWh, a thousandth of the reference, so it is 1e6 times (0.5 + the best validation
    accuracy) to within a part in a thousand and almost blind to energy.

    The objectives are `energy_kwh` and `validation_accuracy` in any order; others raise
    ConfigError.

    Example:
        >>> round(paper_hypervolume([[0.62, 0.94]]))
        1439107
    """
    if len(objectives) != len(OBJECTIVES) or set(objectives) != set(OBJECTIVES):
        wanted = " and ".join(OBJECTIVES)
        raise ConfigError(f"the paper's hypervolume is of {wanted}", value=tuple(objectives))
    costs = costs_of(values, objectives)
    energy, accuracy = (costs[:, objectives.index(name)] for name in OBJECTIVES)
    return hypervolume(np.column_stack([accuracy, energy * _WH_PER_KWH]), _PAPER_REFERENCE)


def _distance(name: str, values: ArrayLike, front: ArrayLike, scale: Scale) -> float:
    """A distance of moocore from the distinct points of the true front to a set, on the scale."""
    check_types(Scale, scale=scale)
    import moocore

    targets = scale.costs(_targets(front, scale.objectives))
    costs = scale.costs(values)
    points = costs[candidates(costs)]
    return float(getattr(moocore, name)(points, ref=targets)) if len(points) else math.inf


def _targets(front: ArrayLike, objectives: Sequence[str]) -> NDArray[np.float64]:
    """(k, m) distinct points of the front in the metrics' units, k >= 1."""
    kept = nondominated(costs_of(front, objectives))
    if not kept.any():
        raise ConfigError("the true front has no point with a value in every objective")
    return np.asarray(front, dtype=np.float64)[kept]
