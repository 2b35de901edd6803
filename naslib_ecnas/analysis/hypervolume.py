"""Hypervolume of a set of points, and what each point adds to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import _moocore
from naslib_ecnas.checked import floats
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.nondominated import candidates, checked_points

__all__ = ["contributions", "hypervolume"]


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
    return _moocore.volume(points, corner) if len(points) else 0.0


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
        delta[inside] = _moocore.hv_contributions(points[inside], corner)
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
