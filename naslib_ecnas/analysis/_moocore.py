"""moocore behind names of our own, imported when it is first used; everything is minimised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["contributions", "is_nondominated", "volume"]


def is_nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) mask of the nondominated of (n, m) points without NaN, the first of equal ones."""
    import moocore

    return np.asarray(moocore.is_nondominated(points, keep_weakly=False), dtype=np.bool_)


def volume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Hypervolume of (n, m) points, n >= 1."""
    import moocore

    return float(moocore.hypervolume(points, ref=reference))


def contributions(
    points: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) contributing hypervolumes of (n, m) points, n >= 1; dominated points count as well."""
    import moocore

    delta = moocore.hv_contributions(points, ref=reference, ignore_dominated=False)
    return np.asarray(delta, dtype=np.float64)
