"""Attainment surfaces of several runs of one method, and differences between two methods.

A run attains a point if it found a cell that is no worse in both objectives. The empirical
attainment function gives for each point the share of runs that attain it (Grunert da Fonseca,
Fonseca and Hall, EMO 2001); figure 5 of the EC-NAS paper shows where it reaches one half.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.pareto import costs_of
from naslib_ecnas.errors import ConfigError, check_numbers
from naslib_ecnas.metrics import metric
from naslib_ecnas.nondominated import nondominated


@dataclass(frozen=True, eq=False)
class AttainmentSurface:
    """The edge of the region that a share of the runs attains."""

    objectives: tuple[str, str]
    level: float
    """The requested share of the runs."""
    runs: int
    needed: int
    """At least this many runs attain each point of the surface: level * runs, rounded up."""
    points: NDArray[np.float64]
    """(k, 2) corners in the metrics' units, from the best to the worst in the first objective;
    k = 0 where fewer runs than needed found anything."""


@dataclass(frozen=True, eq=False)
class AttainmentDifference:
    """Boxes of objective space that one method's runs attain more often than another's.

    The boxes do not overlap. Outside them both methods attain equally often.
    """

    objectives: tuple[str, str]
    runs: tuple[int, int]
    best: NDArray[np.float64]
    """(k, 2) best corner of each box, in the metrics' units; this corner and the two edges
    through it belong to the box."""
    worst: NDArray[np.float64]
    """(k, 2) opposite corner, infinite where the box has no end."""
    difference: NDArray[np.float64]
    """(k,) share of the first method's runs that attain the box minus the share of the second's;
    from -1 to 1, never 0."""


def attainment_surface(
    runs: Sequence[ArrayLike], objectives: Sequence[str], level: float = 0.5
) -> AttainmentSurface:
    """Nondominated points of the region that at least a share of the runs attains.

    Level 0.5 is the median surface, 0.25 and 0.75 the quartiles, 1 what every run attains. With
    an even number of runs the median is what one half attains, not a mean of two surfaces.

    Args:
        runs: (n_i, 2) values that each run found, in the metrics' units. Dominated rows and rows
            with a NaN add nothing; a run with no other rows counts as a run that attains nothing.
        objectives: two names of metrics.
        level: share of the runs, above 0 and at most 1.

    Raises:
        ConfigError: no runs, not two objectives, shapes that do not fit, or an impossible level.
        UnknownMetricError: an objective is no metric.
    """
    names = _two(objectives)
    check_numbers(above=0, most=1, level=level)
    fronts = _fronts(runs, names)
    # A share such as 0.3 of 10 runs must not become 4 of them by the last bit of a float.
    needed = max(1, math.ceil(level * len(fronts) - 1e-9))
    found = [front for front in fronts if len(front)]
    points = np.empty((0, 2))
    if needed <= len(found):
        import moocore

        sets = np.repeat(np.arange(1, len(found) + 1), [len(front) for front in found])
        share = 100 * needed / len(found)
        costs = moocore.eaf(np.concatenate(found), sets, percentiles=[share])[:, :-1]
        points = _values(costs[np.lexsort(costs.T[::-1])], names)
    return AttainmentSurface(names, float(level), len(fronts), needed, points)


def attainment_difference(
    a: Sequence[ArrayLike], b: Sequence[ArrayLike], objectives: Sequence[str]
) -> AttainmentDifference:
    """Where the runs of method a attain more often than the runs of method b, and by how much.

    Exact: between two neighbouring values of the first objective each run attains everything
    beyond one value of the second objective, so the difference is a step function with few steps.
    Takes O(n r log r) for n points and r runs in all; the numbers of runs may differ.

    Arguments and errors are those of `attainment_surface`.
    """
    names = _two(objectives)
    first, second = _fronts(a, names), _fronts(b, names)
    everything = [*first, *second]
    edges = np.unique(np.concatenate([front[:, 0] for front in everything]))
    # Least second cost that each run attains at each first cost, infinite if it attains nothing.
    starts = np.column_stack(
        [
            np.append(np.inf, front[:, 1])[np.searchsorted(front[:, 0], edges, side="right")]
            for front in everything
        ]
    )
    # Whole numbers, so that equal shares cancel exactly whatever the numbers of runs.
    weights = np.repeat([len(second), -len(first)], [len(first), len(second)])
    boxes = np.array(_boxes(edges, starts, weights)).reshape(-1, 5)
    return AttainmentDifference(
        names,
        (len(first), len(second)),
        best=_values(boxes[:, [0, 1]], names),
        worst=_values(boxes[:, [2, 3]], names),
        difference=boxes[:, 4] / (len(first) * len(second)),
    )


def _two(objectives: Sequence[str]) -> tuple[str, str]:
    if isinstance(objectives, str) or len(objectives) != 2:
        raise ConfigError("attainment needs two objectives", value=objectives)
    first, second = (metric(name).name for name in objectives)
    return first, second


def _fronts(runs: Sequence[ArrayLike], names: tuple[str, str]) -> list[NDArray[np.float64]]:
    """(k, 2) costs of each run's front, ascending in the first objective."""
    if not isinstance(runs, Collection) or not len(runs):
        raise ConfigError("attainment needs at least one run of each method")
    fronts = [costs[nondominated(costs)] for costs in (costs_of(values, names) for values in runs)]
    return [front[np.argsort(front[:, 0])] for front in fronts]


def _values(costs: NDArray[np.float64], names: tuple[str, str]) -> NDArray[np.float64]:
    """(k, 2) values in the metrics' units of (k, 2) costs."""
    columns = [metric(name).from_cost(c) for name, c in zip(names, costs.T, strict=True)]
    return np.column_stack(columns)


def _boxes(
    edges: NDArray[np.float64], starts: NDArray[np.float64], weights: NDArray[np.int64]
) -> list[tuple[float, float, float, float, int]]:
    """Boxes (left, bottom, right, top, sum of weights) in which the sum is the same and not 0.

    Between one of the (e,) ascending edges and the next, each of r runs attains what is beyond its
    start, (e, r), and has a weight.
    """
    boxes = []
    open_boxes: dict[tuple[float, float, int], float] = {}  # (bottom, top, sum) -> left
    for edge, row in zip(edges.tolist(), starts, strict=True):
        order = np.argsort(row)
        levels, total = row[order], np.cumsum(weights[order])
        # Of equal starts the last sum holds, and a sum that stays the same opens no new box.
        last = np.append(levels[1:] > levels[:-1], True)
        levels, total = levels[last], total[last]
        turns = np.append(True, total[1:] != total[:-1])
        bottoms, total = levels[turns].tolist(), total[turns].tolist()
        here = {
            key
            for key in zip(bottoms, [*bottoms[1:], math.inf], total, strict=True)
            if key[2] and key[0] < math.inf
        }
        # A box goes on through every slab that has the same one.
        for bottom, top, weight in open_boxes.keys() - here:
            left = open_boxes[bottom, top, weight]
            boxes.append((left, bottom, edge, top, weight))
        open_boxes = {key: open_boxes.get(key, edge) for key in here}
    boxes.extend((left, low, math.inf, top, w) for (low, top, w), left in open_boxes.items())
    return sorted(boxes)
