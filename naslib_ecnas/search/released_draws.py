"""How the released code of EC-NAS draws cells for random search and MSE-HVI.

Its space is handed to the optimiser as a list of choices, and the ranges of the number of vertices
(2 to V) and of edges (1 to V (V - 1) / 2) became choices of their two ends. A matrix of so many
vertices is filled with coin tosses row by row until it has so many edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.space import Space
from naslib_ecnas.structures import MAX_EDGES

__all__ = ["draw_released", "raw_released"]

# Draws without a single allowed cell after which one is drawn uniformly instead.
_ROUNDS = 100


def raw_released(space: Space, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """(n,) int32 rows of draws as in the released code, -1 where they are no cell of the space."""
    v = space.vertices
    upper = np.triu(np.ones((v, v), dtype=np.bool_), 1)
    whole = rng.random(n) < 0.5  # all V vertices, or two
    many = rng.random(n) < 0.5  # any number of edges, or one
    tossed = (rng.random((n, v, v)) < 0.5) & upper
    flat = tossed.reshape(n, -1)
    flat[~many] &= np.cumsum(flat, axis=1)[~many] == 1  # the first in the order of filling
    labels = rng.integers(0, 3, (n, v - 2))
    rows = np.full(n, -1, dtype=np.int32)
    rows[whole] = space.rows(tossed[whole].astype(np.int8), labels[whole])
    # Edges are counted before pruning, so some cells are lost that NAS-Bench-101 would take.
    rows[whole & (flat.sum(axis=1) > MAX_EDGES)] = -1
    # Two vertices are the input and the output: a cell if the one possible edge was tossed.
    rows[~whole & tossed[:, 0, 1]] = 0
    return rows


def draw_released(optimiser: Optimiser, n: int) -> tuple[NDArray[np.int32], int]:
    """The allowed cells among n draws, and how many draws were none of them.

    Draws again where not one is, and at last takes one uniformly.

    Returns:
        (k,) rows with 1 <= k <= n, and the number of draws dropped.
    """
    skipped = 0
    for _ in range(_ROUNDS):
        rows = raw_released(optimiser.space, optimiser.rng, n)
        good = rows[optimiser.allowed(rows)]
        skipped += n - len(good)
        if len(good):
            return good, skipped
    return optimiser.sample(1), skipped
