"""The yardstick of a table: its objectives from best to worst, and a hypervolume of at most 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.hypervolume import hypervolume
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import metric
from naslib_ecnas.nondominated import checked_points, nondominated

__all__ = ["Scale", "checkpoints", "costs_of", "normalised"]


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
    for column, name in enumerate(objectives):
        array[:, column] = metric(name).cost(array[:, column])
    return array


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
        ConfigError: the shapes do not fit.
        UnknownMetricError: an objective is no metric.

    Example:
        >>> normalised([[2.0, 0.5]], ("energy_kwh", "validation_accuracy"), [1, 1], [3, 0])
        array([[0.5, 0.5]])
    """
    costs = costs_of(values, objectives)
    low = costs_of(np.atleast_2d(ideal), objectives)[0]
    span = costs_of(np.atleast_2d(reference), objectives)[0] - low
    flat = span == 0
    out: NDArray[np.float64] = (costs - low) / np.where(flat, 1.0, span)
    out[:, flat] = np.where(np.isnan(out[:, flat]), np.nan, 0.0)
    return out


@dataclass(frozen=True)
class Scale:
    """Ideal and reference point of a table at one budget, and the volume of its true front.

    Make it by `Scale.of`. The reference is the worst value in the table, so one gross outlier
    among the measurements widens the scale; it is the table's own nevertheless.
    """

    objectives: tuple[str, ...]
    ideal: tuple[float, ...]
    """Best value of each objective over the table, in the metric's unit."""
    reference: tuple[float, ...]
    """Worst value of each objective over the table."""
    volume: float
    """Normalised hypervolume of the table's true front, 0 to 1, before it is made 1."""

    @classmethod
    def of(cls, values: ArrayLike, objectives: Sequence[str]) -> Scale:
        """The scale of a table.

        Args:
            values: (n, m) values of every cell, in the metrics' units. Cells with a NaN in any
                objective are left out.
            objectives: m names of metrics.

        Raises:
            ConfigError: no cell has all objectives, or the shapes do not fit.
        """
        array = checked_points(values, what="the values")
        array = array[~np.isnan(array).any(axis=1)]
        if not len(array):
            raise ConfigError(
                "no cell has a value in every objective",
                value=tuple(objectives),
                expected="metrics that the table holds at this budget",
                remedy="choose other objectives or another budget",
            )
        front = array[nondominated(costs_of(array, objectives))]
        metrics = [metric(name) for name in objectives]
        ideal = tuple(m.best(c) for m, c in zip(metrics, array.T, strict=True))
        reference = tuple(m.worst(c) for m, c in zip(metrics, array.T, strict=True))
        points = normalised(front, objectives, ideal, reference)
        volume = hypervolume(points, np.ones(len(objectives)))
        return cls(tuple(objectives), ideal, reference, volume)

    def hypervolume(self, values: ArrayLike) -> float:
        """Hypervolume of some cells as a share of the true front's, so that one has exactly 1.

        Args:
            values: (n, m) values in the metrics' units; rows with a NaN add nothing.

        Returns:
            0 to 1 for cells of the table; NaN where the true front spans no volume at all, as
            when every cell on it is the worst in one objective.
        """
        if self.volume == 0:
            return float("nan")
        points = normalised(values, self.objectives, self.ideal, self.reference)
        return hypervolume(points, np.ones(len(self.objectives))) / self.volume

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
        front = array[:0]
        curve = np.zeros(len(numbers))
        done = 0
        for k, count in enumerate(numbers.tolist()):
            # What one part dominates, all later parts do: only the front need be carried on.
            front = np.concatenate([front, array[done:count]])
            front = front[nondominated(costs_of(front, self.objectives))]
            curve[k] = self.hypervolume(front)
            done = count
        return curve


def checkpoints(evaluations: int, steps: int = 50) -> NDArray[np.int64]:
    """Numbers of evaluations at which to look at a run: geometric, from 1 to all of them.

    They depend on the length of the run alone, so that curves of one length can be averaged.

    Example:
        >>> checkpoints(100, steps=5).tolist()
        [1, 3, 10, 32, 100]
    """
    return np.unique(np.rint(np.geomspace(1, evaluations, steps)).astype(np.int64))
