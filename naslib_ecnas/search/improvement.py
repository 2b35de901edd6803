"""Expected improvement of the hypervolume under independent normal predictions, exactly."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["expected_improvement"]

_REACH = 8.0
_STEPS = 4096


def expected_improvement(
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    front: NDArray[np.float64],
    reference: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expected gain in hypervolume from each of n points alone.

    The costs of the front cut the space below the reference into boxes. A point at y improves a
    box that nothing dominates yet by the volume of its part beyond y, which is a product over the
    objectives of E[max(0, b - max(a, Y))] = psi(b) - psi(a), with psi(t) = E[max(0, t - Y)] =
    (t - mu) Phi((t - mu) / s) + s phi((t - mu) / s) (Emmerich et al. 2006 for the idea).

    Args:
        mean: (n, m) predicted costs.
        std: (n, m) their standard deviations, 0 where a cost is known.
        front: (k, m) costs of the front; those not better than the reference do not matter.
        reference: (m,) costs of the reference point.

    Returns:
        (n,) float64 of at least 0.
    """
    m = mean.shape[1]
    front = front[(front < reference).all(axis=1)]
    ends = [np.append(np.unique(front[:, d]), reference[d]) for d in range(m)]
    free = _undominated(ends, front)
    parts = []  # (n, intervals) of each objective
    for d in range(m):
        psi = _partial_expectation(ends[d], mean[:, d, None], std[:, d, None])
        parts.append(np.diff(psi, axis=1, prepend=0.0))
    gain = np.tensordot(parts[0], free.astype(np.float64), axes=(1, 0))
    for part in parts[1:]:
        gain = np.einsum("ni,ni...->n...", part, gain)
    return np.maximum(gain, 0.0)


def _undominated(ends: list[NDArray[np.float64]], front: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the boxes, by their upper ends, that no point of the front dominates.

    A box reaches from the end before (minus infinity for the first) to its own end; a point of the
    front dominates it if it is no worse than the lower corner.
    """
    corners = np.zeros([len(e) for e in ends], dtype=np.int32)
    places = [np.searchsorted(e, front[:, d]) + 1 for d, e in enumerate(ends)]
    np.add.at(corners, tuple(places), 1)
    for axis in range(len(ends)):  # how many points have their corner at or before a box
        corners = np.cumsum(corners, axis=axis)
    free: NDArray[np.bool_] = corners == 0
    return free


def _partial_expectation(
    t: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float64]:
    """psi(t) = E[max(0, t - Y)] for normal Y; max(0, t - mean) where std is 0."""
    gap = t - mean
    certain = std <= 0
    u = gap / np.where(certain, 1.0, std)
    density = np.exp(-0.5 * u**2) / math.sqrt(2 * math.pi)
    psi = gap * _normal_cdf(u) + std * density
    return np.where(certain, np.maximum(gap, 0.0), np.maximum(psi, 0.0))


def _normal_cdf(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phi(u) from a table, to 5e-7: numpy has no error function, and calling math's is slow."""
    at, values = _table()
    return np.interp(u, at, values)


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at = np.linspace(-_REACH, _REACH, _STEPS + 1)
    return at, np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in at])
