"""Who is better in a population: non-dominated fronts, then contributing hypervolume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import contributions

__all__ = ["front_ranks", "order", "survivors"]


def front_ranks(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) front of each point: 0 what no other dominates, 1 what only those do, and so on.

    Equal points are on the same front. O(m n^2) for each front, for populations.
    """
    less = (costs[:, None] <= costs[None]).all(axis=2)
    beats = less & ~less.T
    rank = np.full(len(costs), -1, dtype=np.int64)
    left = np.ones(len(costs), dtype=np.bool_)
    number = 0
    while left.any():
        front = left & ~beats[left].any(axis=0)
        rank[front] = number
        left &= ~front
        number += 1
    return rank


def _reference(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) a tenth of the range beyond the worst costs, so that the worst contribute too."""
    worst = costs.max(axis=0)
    corner: NDArray[np.float64] = worst + 0.1 * (worst - costs.min(axis=0))
    return corner


def _delta(costs: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) contributing hypervolume of the points of one front; those of the best of each
    objective, which span it, are infinite, so that they stay wherever the reference lies."""
    delta = contributions(costs, reference)
    if len(costs) > 2:
        # argmin takes the first of equal points, so the others of them can still go.
        delta[costs.argmin(axis=0)] = np.inf
    return delta


def order(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) positions from the best to the worst: by front, then by contributing hypervolume.

    The reference point lies a tenth of the population's range beyond its worst costs.

    Args:
        costs: (n, m) costs, less is better, without NaN.
    """
    if not len(costs):
        return np.empty(0, dtype=np.int64)
    rank, corner = front_ranks(costs), _reference(costs)
    delta = np.empty(len(costs))
    for number in range(int(rank.max()) + 1):
        at = rank == number
        delta[at] = _delta(costs[at], corner)
    best_first: NDArray[np.int64] = np.lexsort((-delta, rank))
    return best_first


def survivors(costs: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """(at most n,) ascending positions of those that stay when the worst go one by one.

    Each time, of the last front the point with the least contributing hypervolume goes (the
    selection of SMS-EMOA), the last one of equal points.

    Args:
        costs: (k, m) costs, less is better, without NaN.
        n: how many may stay.
    """
    left = np.arange(len(costs))
    while len(left) > n:
        rank = front_ranks(costs[left])
        last = np.flatnonzero(rank == rank.max())
        delta = _delta(costs[left][last], _reference(costs[left]))
        worst = last[len(last) - 1 - int(np.argmin(delta[::-1]))]
        left = np.delete(left, worst)
    return left
