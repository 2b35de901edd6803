"""Cells as numbers for a regression: single columns, and groups of columns for a kernel."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas import network
from naslib_ecnas.search.base import Floats, Rows
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES


class Encoding:
    """Columns of about mean 0 and variance 1 for the cells of a space.

    The entries of the canonical matrix, the operation of each vertex (one-hot), the number of
    vertices with each operation, and the log parameters, log multiply-adds and depth of the
    network. Mean and variance are those of 1,000 cells that `rng` draws.
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self.space = space
        raw = self._raw(space.sample(rng, 1000))
        spread = raw.std(axis=0)
        self._used = spread > 0
        self._mean, self._spread = raw.mean(axis=0)[self._used], spread[self._used]

    def __len__(self) -> int:
        return len(self._mean)

    def __call__(self, rows: Rows) -> Floats:
        """(n, len(self)) columns of (n,) rows."""
        return np.asarray((self._raw(rows)[:, self._used] - self._mean) / self._spread)

    def _raw(self, rows: Rows) -> Floats:
        size = [np.log(network.parameters(rows)), np.log(network.multiply_adds(rows))]
        columns = [_graph(self.space, rows), *size, network.depth(rows)]
        return np.column_stack(columns).astype(np.float64, copy=False)


class Groups:
    """Four groups of columns for the cells of a space, which a kernel can weigh one by one.

    The drawn graph (as in `Encoding`); the paths (`paths`); the network's size, which are the
    logarithms of its parameters, multiply-adds and activations, and the depth of the cell; and the
    shape of the cell (`_shape`). Columns of a group other than the paths count alike. Each group
    has mean 0 and a mean square norm of 1 over a sample of cells, (n,) rows.
    """

    def __init__(self, space: Space, sample: Rows) -> None:
        self.space = space
        self._centres, self._factors = [], []
        for columns, alike in zip(self._raw(sample), (True, False, True, True), strict=True):
            centred = columns - columns.mean(axis=0)
            factors = _inverse(centred.std(axis=0)) if alike else np.ones(columns.shape[1])
            norm = np.sqrt(((centred * factors) ** 2).sum(axis=1).mean())
            self._centres.append(columns.mean(axis=0))
            self._factors.append(factors * _inverse(norm))

    def __call__(self, rows: Rows) -> list[Floats]:
        """(n, columns) of each group for (n,) rows."""
        parts = zip(self._raw(rows), self._centres, self._factors, strict=True)
        return [(columns - centre) * factors for columns, centre, factors in parts]

    def _raw(self, rows: Rows) -> tuple[NDArray[Any], ...]:
        counts = network.parameters(rows), network.multiply_adds(rows)
        size = (*np.log([*counts, network.activation_elements(rows)]), network.cell_depth(rows))
        graph, found = _graph(self.space, rows), paths(self.space, rows)
        return graph, found, np.column_stack(size), _shape(self.space, rows, found)


def _inverse(spread: ArrayLike) -> Floats:
    """1 / spread, and 0 where it is 0, which leaves out columns that do not vary."""
    known = np.asarray(spread) > 0
    return np.asarray(known / np.where(known, spread, 1.0))


def _graph(space: Space, rows: Rows) -> NDArray[np.int8]:
    """(n, columns) entries of the matrix, one-hot operations, and the number of each operation."""
    matrices, labels = space.matrices(rows)
    upper = np.triu_indices(space.vertices, 1)
    one_hot = labels[:, :, None] == np.arange(3)
    columns = (matrices[:, upper[0], upper[1]], one_hot.reshape(len(rows), -1), one_hot.sum(axis=1))
    return np.column_stack(columns).astype(np.int8)


def _shape(space: Space, rows: Rows, found: NDArray[np.bool_]) -> Floats:
    """(n, 11) columns of the shape of cells, given the `paths` of (n,) rows.

    The logarithm of the number of strings; the largest and the smallest number of vertices with
    each operation, and of all, on one path; and the number of edges of the input and the output.
    """
    numbers = np.arange(space.vertices - 1)
    paths_with = found.astype(np.float32) @ _numbers(space.vertices - 2)
    there = paths_with.reshape(len(rows), 4, -1) > 0  # whether a path has so many
    most = np.where(there, numbers, 0).max(axis=2)
    fewest = np.where(there, numbers, MAX_VERTICES).min(axis=2)
    matrices, _ = space.matrices(rows)
    ends = matrices[:, 0].sum(axis=1), matrices[:, :, -1].sum(axis=1)
    return np.column_stack([np.log(found.sum(axis=1)), most, fewest, *ends])


@cache
def _numbers(longest: int) -> NDArray[np.float32]:
    """(strings, 4 * (longest + 1)) 1 where a string of `paths` has so many vertices (0 to longest)
    with an operation, or of all, and 0 elsewhere."""
    parts = []
    for length in range(longest + 1):
        strings = np.arange(3**length)[:, None] // 3 ** np.arange(length) % 3
        parts.append((strings[..., None] == np.arange(3)).sum(axis=1))
    counts = np.concatenate(parts)
    counts = np.column_stack([counts, counts.sum(axis=1)])
    one_hot: NDArray[np.bool_] = counts[..., None] == np.arange(longest + 1)
    return one_hot.reshape(len(counts), -1).astype(np.float32)


def paths(space: Space, rows: Rows) -> NDArray[np.bool_]:
    """(n, strings) mask of the strings of operations on the paths from each cell's input to its
    output (the path encoding of White et al. 2021, "BANANAS").

    Shorter strings come first, and those of one length in the order of numbers in base 3: 364 in
    the space of seven vertices.

    Examples:
        >>> paths(Space(3), np.array([0]))  # the input's edge to the output: the empty string
        array([[ True, False, False, False]])
    """
    matrices, labels = space.matrices(rows)
    last = space.vertices - 1
    out = np.zeros((len(rows), (3**last - 1) // 2), dtype=np.bool_)
    for length in range(last):
        powers = 3 ** np.arange(length)[::-1]
        for path in combinations(range(1, last), length):
            ends = zip((0, *path), (*path, last), strict=True)
            there = np.flatnonzero(np.all([matrices[:, a, b] for a, b in ends], axis=0))
            string = labels[np.ix_(there, np.array(path, dtype=int) - 1)] @ powers
            out[there, (3**length - 1) // 2 + string] = True
    return out
