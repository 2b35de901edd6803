"""Which points of a set no other one beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, floats

__all__ = ["candidates", "checked_points", "complete", "nondominated"]

# Up to so many points, sorting them all is quicker than to look for those worth it.
_FEW = 10_000
# Points of which the best serve to drop others, and how many of those left one has to beat.
_SAMPLE = 2000
_WORTH = 0.02
_PIVOTS = 32


def checked_points(points: ArrayLike, *, what: str = "the points") -> NDArray[np.float64]:
    """The points as an (n, m) float64 array with m >= 2: the given one if it is such an array.

    Raises:
        ConfigError: another shape.
    """
    array = floats(points)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ConfigError(
            f"{what} are not a matrix of at least two objectives",
            value=array.shape,
            expected="shape (n, m) with m >= 2",
            remedy="give one row for each point and one column for each objective",
        )
    return array


def nondominated(costs: ArrayLike) -> NDArray[np.bool_]:
    """Mask of the points that no other point dominates.

    A point dominates another one if it is no worse in every objective and better in one. Of
    equal points the first one is kept, so a front holds each point of objective space once. A
    point with a NaN is left out: what is not known is neither on a front nor dominates.

    Args:
        costs: (n, m) costs, less is better (`Metric.cost`).

    Returns:
        (n,) bool.

    Raises:
        ConfigError: the costs do not have this shape.

    Example:
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
    # Column by column: strided rows of few objectives are what numpy is slowest at.
    known = ~np.isnan(points[:, 0])
    for column in points.T[1:]:
        known &= ~np.isnan(column)
    return known


def candidates(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(k,) ascending positions of points without NaN, the whole front among them.

    Sorting is what a front costs, and most of a table is far from it: a whole space takes a
    tenth of the time this way. Only points worse in every objective than another one are
    dropped, so neither the front nor the first of equal points is lost.

    Args:
        points: (n, m) costs, less is better.
    """
    left = np.flatnonzero(complete(points))
    if len(left) <= _FEW:
        return left
    columns = [np.ascontiguousarray(column) for column in points.T]
    if len(left) < len(points):
        columns = [column[left] for column in columns]
    for pivot in _pivots(points[left[:: len(left) // _SAMPLE]]):
        keep = columns[0] <= pivot[0]
        for column, bound in zip(columns[1:], pivot[1:], strict=True):
            keep |= column <= bound
        where = np.flatnonzero(keep)
        left = left[where]
        columns = [column[where] for column in columns]
    return left


def _pivots(sample: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The points of a sample that drop the most, each after what those before it have left."""
    best = sample[_is_nondominated(sample)]
    beats = np.ones((len(best), len(sample)), dtype=np.bool_)
    for column, bounds in zip(sample.T, best.T, strict=True):
        beats &= np.ascontiguousarray(column) > bounds[:, np.newaxis]
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
    import moocore  # costs a process that only queries time and memory

    return np.asarray(moocore.is_nondominated(points, keep_weakly=False), dtype=np.bool_)
