"""Uniform crossover of two cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.space import Space

__all__ = ["crossover"]

_TRIES = 16


def crossover(
    space: Space,
    parents: NDArray[np.int32],
    partners: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    allowed: NDArray[np.bool_],
) -> NDArray[np.int32]:
    """A child of each couple: every edge and every operation is that of one or the other.

    Both cells are taken as drawn canonically in the space's V x V matrices; a vertex that a cell
    does not use has a random operation there.

    Args:
        space: the space.
        parents, partners: (n,) rows of it.
        rng: source of randomness.
        allowed: (n_cells,) mask of what may come out.

    Returns:
        (n,) int32 rows, none equal to its parent or partner; -1 where 16 tries gave no other
        allowed cell.
    """
    n, v = len(parents), space.vertices
    one, other = np.repeat(parents, _TRIES), np.repeat(partners, _TRIES)
    both = (space.matrices(parents), space.matrices(partners))
    (matrix, labels), (matrix2, labels2) = (
        (np.repeat(m, _TRIES, axis=0), np.repeat(k, _TRIES, axis=0)) for m, k in both
    )
    edges = np.where(rng.random(matrix.shape) < 0.5, matrix, matrix2)
    mixed = np.where(rng.random(labels.shape) < 0.5, labels, labels2)
    mixed = np.where(mixed < 0, rng.integers(0, 3, mixed.shape), mixed)
    rows = space.rows(edges, mixed.reshape(n * _TRIES, v - 2))
    good = ((rows >= 0) & (rows != one) & (rows != other) & allowed[rows]).reshape(n, _TRIES)
    first = good.argmax(axis=1)
    children: NDArray[np.int32] = rows.reshape(n, _TRIES)[np.arange(n), first]
    children[~good.any(axis=1)] = -1
    return children
