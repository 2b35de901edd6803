"""The cells of a front that stand for it: its extremes and its knee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.costs import costs_of, normalised
from naslib_ecnas.checked import floats
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import metric

__all__ = ["extremes", "knee"]


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
