"""Nondominated points: the mask of a front, and the prefilter that makes it fast."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, floats

# Up to this number of points, sorting them all is faster than filtering them first.
_FEW = 10_000
# Size of the sample that pivots are chosen from, the share of it that a pivot must dominate, and
# the largest number of pivots.
_SAMPLE = 2000
_WORTH = 0.02
_PIVOTS = 32


def checked_points(points: ArrayLike, *, what: str = "the points") -> NDArray[np.float64]:
    """The points as an (n, m) float64 array with m >= 2, not copied if they are one.

    Raises:
        ConfigError: they have another shape, or one is infinite (NaN is allowed).
    """
    array = floats(points, what, finite=True)
    if array.ndim != 2 or array.shape[1] < 2:
        message = f"{what} must have the shape (n, m), with m of at least two objectives"
        raise ConfigError(message, value=array.shape)
    return array


def nondominated(costs: ArrayLike) -> NDArray[np.bool_]:
    """Mask of the points that no other point dominates.

    A point dominates another one if it is no worse in every objective and better in one. Of
    equal points only the first is kept. A point with a NaN is neither kept nor dominates.

    Args:
        costs: (n, m) costs with m >= 2, less is better (`Metric.cost`).

    Returns:
        (n,) bool.

    Raises:
        ConfigError: the costs have another shape.

    Examples:
        >>> nondominated([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [3.0, 3.0]]).tolist()
        [True, True, False, False]
    """
    points = checked_points(costs, what="the costs")
    mask = np.zeros(len(points), dtype=np.bool_)
    left = candidates(points)
    if len(left):
        mask[left] = _is_nondominated(points[left])
    return mask


def complete(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) mask of the (n, m) points without NaN."""
    # Column by column, as numpy is slow on rows of few entries.
    known: NDArray[np.bool_] = ~np.logical_or.reduce([np.isnan(column) for column in points.T])
    return known


def candidates(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(k,) ascending positions, among (n, m) costs without NaN, that include the whole front.

    Only points that are worse than a pivot in every objective are dropped, so neither the front
    nor the first of equal points is lost. It makes the front of a whole space ten times faster,
    as most points are far from the front and need not be sorted.
    """
    left = np.flatnonzero(complete(points))
    if len(left) <= _FEW:
        return left
    columns = points.T.copy()
    if len(left) < len(points):
        columns = columns[:, left]
    for pivot in _pivots(points[left[:: len(left) // _SAMPLE]]):
        each = [column <= bound for column, bound in zip(columns, pivot, strict=True)]
        keep = np.flatnonzero(np.logical_or.reduce(each))
        left, columns = left[keep], columns.take(keep, axis=1)
    return left


def _pivots(sample: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The points of a sample that dominate most of it, chosen greedily."""
    best = sample[_is_nondominated(sample)]
    beats = (sample.T[:, np.newaxis] > best.T[:, :, np.newaxis]).all(axis=0)
    found: list[NDArray[np.float64]] = []
    while len(found) < _PIVOTS:
        counts = np.count_nonzero(beats, axis=1)
        first = int(counts.argmax())
        if counts[first] <= _WORTH * beats.shape[1]:
            break
        found.append(best[first])
        beats = beats[:, ~beats[first]]
    return found


def _is_nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The mask of (n, m) points without NaN, n >= 1."""
    import moocore  # here, as a process that only queries does not need it

    return np.asarray(moocore.is_nondominated(points, keep_weakly=False), dtype=np.bool_)
