"""Cells as numbers for a regression: what a table-free reader of the cell can tell of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.space import Space

__all__ = ["Encoding"]

_SAMPLE = 1000


class Encoding:
    """Columns of about mean 0 and variance 1 for the cells of a space.

    The entries of the canonical matrix and the operation of each vertex, one-hot; how many
    vertices have each operation; and of the network that the cell makes the logarithms of its
    parameters and multiply-adds and its depth, which are counted from the cell and not trained
    for.

    Args:
        space: the space.
        rng: draws the cells that mean and variance are taken from.
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self.space = space
        self._upper = np.triu_indices(space.vertices, 1)
        raw = self._raw(space.sample(rng, _SAMPLE))
        spread = raw.std(axis=0)
        self._used = spread > 0
        self._mean, self._spread = raw.mean(axis=0)[self._used], spread[self._used]

    def __len__(self) -> int:
        return len(self._mean)

    def __call__(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """(n, len(self)) columns of (n,) rows."""
        out: NDArray[np.float64] = (self._raw(rows)[:, self._used] - self._mean) / self._spread
        return out

    def _raw(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        matrices, labels = self.space.matrices(rows)
        one_hot = labels[:, :, None] == np.arange(3)
        columns = [
            matrices[:, self._upper[0], self._upper[1]],
            one_hot.reshape(len(rows), -1),
            one_hot.sum(axis=1),
            np.log(network.parameters(rows))[:, None],
            np.log(network.multiply_adds(rows))[:, None],
            network.depth(rows)[:, None],
        ]
        return np.column_stack([column.astype(np.float64) for column in columns])
