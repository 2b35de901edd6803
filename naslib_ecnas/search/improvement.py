"""Expected improvement of the hypervolume, exact for independent predictions of the costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.search.base import Floats

# Numbers held at once for some of the points: (points, boxes of all objectives but one).
_ELEMENTS = 4_000_000


def expected_gain(
    partials: Sequence[Callable[[Floats], Floats]], front: Floats, reference: Floats
) -> Floats:
    """Expected gain in hypervolume from each of n points with independent random costs.

    The costs of the front cut the space below the reference into boxes. A point Y gains, in each
    box (a, b) that is not dominated yet, the volume of the part that it dominates, whose
    expectation is a product over the objectives of E[max(0, b - max(a, Y))] = psi(b) - psi(a),
    with psi(t) = E[max(0, t - Y)] (the idea is of Emmerich et al. 2006).

    Args:
        partials: psi of each objective, which returns (n, k) expectations for (k,) costs t.
        front: (k, m) costs of the front; points not better than the reference do not matter.
        reference: (m,) costs of the reference point.

    Returns:
        (n,) float64 of at least 0.
    """
    front = front[(front < reference).all(axis=1)]
    ends = [np.append(np.unique(front[:, d]), reference[d]) for d in range(len(reference))]
    free = _undominated(ends, front).astype(np.float64)
    # (n, intervals) of each objective
    parts = [np.diff(psi(t), axis=1, prepend=0.0) for psi, t in zip(partials, ends, strict=True)]
    out = np.empty(len(parts[0]))
    step = max(1, _ELEMENTS // free[0].size)
    for some in (slice(i, i + step) for i in range(0, len(out), step)):
        gain = np.tensordot(parts[0][some], free, axes=(1, 0))
        for part in parts[1:]:
            gain = np.einsum("ni,ni...->n...", part[some], gain)
        out[some] = gain
    return np.maximum(out, 0.0)


def _undominated(ends: list[Floats], front: Floats) -> NDArray[np.bool_]:
    """Mask of the boxes that no point of the front dominates.

    In each objective a box reaches from the previous end (minus infinity for the first) to its own
    end; a point of the front dominates it if the point is no worse than the lower corner.
    """
    dominated = np.zeros([len(e) for e in ends], dtype=np.bool_)
    dominated[tuple(np.searchsorted(e, front[:, d]) + 1 for d, e in enumerate(ends))] = True
    for axis in range(len(ends)):  # and so is every box that lies behind a dominated one
        dominated = np.logical_or.accumulate(dominated, axis=axis)
    return ~dominated


def normal_partial(t: Floats, mean: Floats, std: Floats) -> Floats:
    """E[max(0, t - Y)] of Y ~ N(mean, std^2), std > 0."""
    from scipy.special import ndtr

    gap = t - mean
    u = gap / std
    return np.asarray(gap * ndtr(u) + std * np.exp(-0.5 * u**2) / math.sqrt(2 * math.pi))


def lognormal_partial(t: Floats, mean: Floats, std: Floats) -> Floats:
    """E[max(0, t - Y)] of Y > 0 with ln Y ~ N(mean, std^2), std > 0 (Black and Scholes 1973)."""
    from scipy.special import ndtr

    above = np.maximum(t, np.finfo(float).tiny)
    u = (np.log(above) - mean) / std
    return np.asarray(
        above * ndtr(u) - np.exp(np.minimum(mean + 0.5 * std**2, 50.0)) * ndtr(u - std)
    )
