"""Values of metrics as costs: less is better, in units or from 0, the ideal, to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.checked import floats
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import metric
from naslib_ecnas.nondominated import checked_points

__all__ = ["costs_of", "normalised"]


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
