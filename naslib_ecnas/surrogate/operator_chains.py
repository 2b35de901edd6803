"""Which operations follow which: pairs and triples along edges, at the ends, by distance.

Accuracy depends on what is composed with what, as n-grams of text do on the order of its words:
a convolution after a pool is another function than a pool after a convolution, and the vertices
that the output concatenates are the features the next cell sees. All counts are sums over vertices,
so that they do not depend on how the slots are numbered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.cells import SLOTS
from naslib_ecnas.surrogate.feature import OPERATORS, Feature, each

__all__ = ["CHAINS", "DISTANCES", "chains", "summed"]

_PAIRS = tuple((a, b) for a in OPERATORS for b in OPERATORS)
#: End and rule -> words for it; the keys are those of `paths.distances`.
_WHERE = {
    "nearest_input": "shortest way from the input",
    "farthest_input": "longest way from the input",
    "nearest_output": "shortest way to the output",
    "farthest_output": "longest way to the output",
}

CHAINS: tuple[Feature, ...] = (
    *(Feature(f"{a}_{b}", "", f"edges from {a} to {b}") for a, b in _PAIRS),
    *(
        Feature(f"{a}_{middle}_{b}", "", f"paths of two edges {a}, {middle}, {b}")
        for middle in OPERATORS
        for a, b in _PAIRS
    ),
    *(Feature(f"input_{a}_{b}", "", f"paths from the input to {a}, then {b}") for a, b in _PAIRS),
    *(Feature(f"{a}_{b}_output", "", f"paths from {a} to {b}, then the output") for a, b in _PAIRS),
    *each("input_{}_output", "", "vertices {} between the input and the output"),
    *each("{}_output_width", "width", "channels of the output that vertices {} fill"),
)

DISTANCES: tuple[Feature, ...] = tuple(
    feature
    for key, words in _WHERE.items()
    for feature in (
        *each(f"{{}}_{key}_sum", "edges", f"sum over vertices {{}} of the {words}"),
        *each(f"{{}}_{key}_most", "edges", f"most over vertices {{}} of the {words}"),
    )
)


def chains(
    edge: NDArray[np.float32], one: NDArray[np.float32], width: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Blocks of (k, n) columns in the order of `CHAINS`.

    Args:
        edge: (7, 7, n) adjacency.
        one: (5, 3, n) is 1 where the slot has the operation.
        width: (5, n) widths of the slots.
    """
    n = edge.shape[-1]
    between = len(_PAIRS)
    pairs = np.zeros((3, 3, n), dtype=np.float32)
    first, last = np.zeros_like(pairs), np.zeros_like(pairs)
    triples = np.zeros((3, between, n), dtype=np.float32)
    alone = np.zeros((3, n), dtype=np.float32)
    share = np.zeros_like(alone)
    for slot in range(SLOTS):
        v = slot + 1
        own, from_input, to_output = one[slot], edge[0, v], edge[v, -1]
        after = np.zeros((3, n), dtype=np.float32)
        after_last, before = np.zeros_like(after), np.zeros_like(after)
        for other in range(slot + 1, SLOTS):
            there = edge[v, other + 1] * one[other]
            after += there
            after_last += there * edge[other + 1, -1]
        for other in range(slot):
            before += edge[other + 1, v] * one[other]
        both = own[:, None] * after
        pairs += both
        first += both * from_input
        last += own[:, None] * after_last
        if 0 < slot < SLOTS - 1:
            around = (before[:, None] * after).reshape(between, n)
            triples += own[:, None] * around
        alone += own * (from_input * to_output)
        share += own * (width[slot] * to_output)
    flat = (between, n)
    return [
        pairs.reshape(flat),
        triples.reshape(3 * between, n),
        first.reshape(flat),
        last.reshape(flat),
        alone,
        share,
    ]


def summed(
    one: NDArray[np.float32], distances: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """Blocks of (3, n) columns in the order of `DISTANCES`.

    Args:
        one: (5, 3, n) as for `chains`.
        distances: (5, n) distances of the slots, one array for each key of `paths.distances`.
    """
    out = []
    for distance in distances:
        each_slot = one * distance[:, None]
        out += [each_slot.sum(axis=0), each_slot.max(axis=0)]
    return out
