"""moocore behind names of our own, imported when it is first used; everything is minimised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "attained",
    "hv_contributions",
    "epsilon_additive",
    "epsilon_factor",
    "igd_plus",
    "volume",
]


def volume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Hypervolume of (n, m) points, n >= 1."""
    import moocore

    return float(moocore.hypervolume(points, ref=reference))


def hv_contributions(
    points: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) contributing hypervolumes of (n, m) points, n >= 1; dominated points count as well."""
    import moocore

    delta = moocore.hv_contributions(points, ref=reference, ignore_dominated=False)
    return np.asarray(delta, dtype=np.float64)


def igd_plus(points: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """IGD+ of (n, m) points to (k, m) targets, n, k >= 1."""
    import moocore

    return float(moocore.igd_plus(points, ref=targets))


def epsilon_additive(points: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Additive epsilon of (n, m) points to (k, m) targets, n, k >= 1."""
    import moocore

    return float(moocore.epsilon_additive(points, ref=targets))


def epsilon_factor(
    points: NDArray[np.float64], targets: NDArray[np.float64], maximise: Sequence[bool]
) -> float:
    """Multiplicative epsilon of (n, m) positive values to (k, m) positive targets, n, k >= 1."""
    import moocore

    return float(moocore.epsilon_mult(points, ref=targets, maximise=list(maximise)))


def attained(
    points: NDArray[np.float64], sets: NDArray[np.int64], percentile: float
) -> NDArray[np.float64]:
    """(k, m) minimal points that so many per cent of the sets of (n, m) points attain."""
    import moocore

    found = moocore.eaf(points, sets, percentiles=[percentile])
    return np.asarray(found, dtype=np.float64)[:, :-1]
