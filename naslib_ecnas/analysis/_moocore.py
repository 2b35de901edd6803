"""moocore behind names of our own, imported when it is first used; everything is minimised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["contributions", "volume"]


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
