"""Paths from a cell's input to its output: how many, and the extremes of costs along them.

The longest path bounds how parallel a cell can run; the shortest decides how easily gradients
reach the input, and a path without convolutions is one along which nothing is learnt. Costs are
sums over a path's vertices, found vertex by vertex in topological order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.structures import MAX_VERTICES
from naslib_ecnas.surrogate.cells import SLOTS, shapes

__all__ = [
    "Distances",
    "Floats",
    "barriers",
    "blocked",
    "counts",
    "distances",
    "free",
    "longest",
    "longest_of_structures",
    "shortest",
]

Floats = NDArray[np.floating[Any]]
#: Vertices last to first in the tables of structures, so that a step is one long vector.
Distances = dict[str, NDArray[np.float32]]
_OUTPUT = MAX_VERTICES - 1


def blocked(edge: NDArray[Any]) -> NDArray[np.float32]:
    """(7, 7, n) infinite where there is no edge, 0 where there is one."""
    return np.where(edge > 0, 0, np.inf).astype(np.float32)


@cache
def barriers() -> NDArray[np.float32]:
    """(7, 7, S) `blocked` of all structures."""
    return blocked(np.moveaxis(shapes().edge, 0, -1))


def longest(barred: NDArray[np.float32], cost: Sequence[Floats]) -> Floats:
    """(n,) largest cost of a path.

    Args:
        barred: (7, 7, n) from `blocked`.
        cost: five (n,) costs of the slots.
    """
    best: list[Floats] = [np.zeros(barred.shape[-1], dtype=np.float32)]
    for v in range(1, MAX_VERTICES):
        most = best[0] - barred[0, v]
        for u in range(1, v):
            most = np.maximum(most, best[u] - barred[u, v])
        best.append(most + cost[v - 1] if v < _OUTPUT else most)
    return best[_OUTPUT]


def shortest(barred: NDArray[np.float32], cost: Sequence[Floats]) -> Floats:
    """(n,) least cost of a path; arguments as for `longest`."""
    return -longest(barred, [-c for c in cost])


def free(edge: NDArray[np.float32], cost: Sequence[Floats]) -> Floats:
    """(n,) number of paths that cost nothing; `edge` is (7, 7, n) of 0 and 1."""
    paths: list[Floats] = [np.ones(edge.shape[-1], dtype=np.float32)]
    for v in range(1, MAX_VERTICES):
        here = edge[0, v] * paths[0]
        for u in range(1, v):
            here = here + edge[u, v] * paths[u]
        paths.append(here * (cost[v - 1] == 0) if v < _OUTPUT else here)
    return paths[_OUTPUT]


def longest_of_structures(cost: NDArray[np.float64]) -> Floats:
    """(S,) largest cost of a path of each structure, from (S, 5) costs of its slots."""
    return longest(barriers(), [cost[:, slot] for slot in range(SLOTS)])


@cache
def counts() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(7, S) paths from the input to each vertex, and from each vertex to the output."""
    edge = np.moveaxis(shapes().edge, 0, -1).astype(np.float32)
    ahead = np.zeros((MAX_VERTICES, edge.shape[-1]), dtype=np.float32)
    behind = np.zeros_like(ahead)
    ahead[0] = behind[_OUTPUT] = 1
    for v in range(1, MAX_VERTICES):
        ahead[v] = (ahead[:v] * edge[:v, v]).sum(axis=0)
    for v in range(_OUTPUT - 1, -1, -1):
        behind[v] = (behind[v + 1 :] * edge[v, v + 1 :]).sum(axis=0)
    return ahead, behind


@cache
def distances() -> Distances:
    """(5, S) edges between the input or the output and each slot, least and most.

    The keys are `nearest_input`, `farthest_input`, `nearest_output` and `farthest_output`;
    slots that are absent are 0.
    """
    barred = barriers()
    turned = barred[::-1, ::-1].transpose(1, 0, 2)  # every edge reversed, from output to input
    live = shapes().live.T
    out = {}
    for end, table, order in (("input", barred, 1), ("output", turned, -1)):
        for name, sign in (("nearest", -1), ("farthest", 1)):
            reach = np.full(barred.shape[1:], -np.inf, dtype=np.float32)
            reach[0] = 0
            for v in range(1, MAX_VERTICES):
                reach[v] = (reach[:v] - table[:v, v] + sign).max(axis=0)
            slots = sign * reach[1:_OUTPUT][::order]
            out[f"{name}_{end}"] = np.where(live, slots, 0).astype(np.float32)
    return out
