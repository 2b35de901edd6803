"""Which points of a set no other one beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError

__all__ = ["checked_points", "nondominated"]

_SAMPLE = 2000


def checked_points(points: ArrayLike, *, what: str = "the points") -> NDArray[np.float64]:
    """The points as a new (n, m) float64 array with m >= 2.

    Raises:
        ConfigError: another shape.
    """
    array = np.array(points, dtype=np.float64)
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
    left = _undecided(points)
    if len(left):
        mask[left] = _is_nondominated(points[left])
    return mask


def _is_nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The mask of (n, m) points without NaN, n >= 1."""
    import moocore  # costs a process that only queries time and memory

    return np.asarray(moocore.is_nondominated(points, keep_weakly=False), dtype=np.bool_)


def _undecided(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(k,) positions of the points without NaN that no point of a small sample beats.

    Sorting is what a front costs, and most of a table is far from it: a whole space takes a
    third of the time this way. Only points worse in every objective are dropped, so neither the
    front nor the first of equal points is lost.
    """
    left = np.flatnonzero(~np.isnan(points).any(axis=1))
    if len(left) <= _SAMPLE:
        return left
    sample = points[left[:: len(left) // _SAMPLE]]
    # Column by column: strided rows of few objectives are what numpy is slowest at.
    columns = [np.ascontiguousarray(points[left, c]) for c in range(points.shape[1])]
    for pivot in sample[_is_nondominated(sample)]:
        beaten = columns[0] > pivot[0]
        for column, bound in zip(columns[1:], pivot[1:], strict=True):
            beaten &= column > bound
        keep = ~beaten
        left = left[keep]
        columns = [column[keep] for column in columns]
    return left
