"""Building blocks of the search methods.

- `perturb`, `crossover`: new cells from old ones.
- `front_ranks`, `order`, `survivors`: selection by nondominated rank and hypervolume.
- `Visited`: keeps a search away from cells that it has evaluated.
- `Encoding`: cells as numbers for a regression.
- `Normaliser`, `scalarise`, `random_weights`: several objectives as one number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas import network
from naslib_ecnas.analysis import contributions
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.space import Space, rows_of_codes
from naslib_ecnas.topologies import (
    EDGES,
    MAX_VERTICES,
    moved,
    topologies,
)

__all__ = [
    "RHO",
    "Encoding",
    "Normaliser",
    "Visited",
    "chebyshev",
    "crossover",
    "front_ranks",
    "order",
    "perturb",
    "random_weights",
    "scalarise",
    "survivors",
    "weighted_sum",
]

_OUTPUT = MAX_VERTICES - 1
_SLOTS = MAX_VERTICES - 2
_LABEL_WEIGHTS = 3 ** np.arange(_SLOTS - 1, -1, -1, dtype=np.int16)

# Tries at once for each child. Two perturbations in three give another cell of seven vertices,
# but few do from the smallest cells: hence the rounds.
_TRIES = 16
_PERTURB_ROUNDS = 40

# Rounds in which cells that were visited are drawn again.
_AVOID_ROUNDS = 10

# Cells from which an encoding takes mean and variance.
_ENCODING_SAMPLE = 1000

#: Slope of the augmentation of the Chebyshev function in Knowles (2006).
RHO = 0.05

# Divisions of the weight lattice in Knowles (2006).
_DIVISIONS = 10


# -- perturbation ----
#
# `Space.mutate` draws from the same distribution, but goes on until the last of its rows is a
# cell, which for the few parents of one generation costs more than the rest of a search. Here
# every parent gets a block of tries, and the first good one is taken.


def perturb(
    space: Space,
    parents: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    allowed: NDArray[np.bool_],
    edge_changes: float = 2.0,
    op_changes: float = 0.5,
) -> NDArray[np.int32]:
    """One changed, allowed cell for each parent (algorithm 1 of the EC-NAS paper).

    Args:
        space: the space.
        parents: (n,) rows.
        rng: source of randomness.
        allowed: (n_cells,) mask of the rows that may be returned.
        edge_changes: expected number of flipped edges in a try.
        op_changes: expected number of changed operations in a try.

    Returns:
        (n,) int32 rows, none equal to its parent; -1 where 640 tries gave no allowed cell.

    Raises:
        ConfigError: rates that are negative or change nothing.
    """
    rates = (edge_changes, op_changes)
    if not (all(0 <= rate < np.inf for rate in rates) and any(rates)):
        raise ConfigError("edge_changes and op_changes must be at least 0, not both 0", value=rates)
    children = np.full(len(parents), -1, dtype=np.int32)
    left = np.arange(len(parents))
    for _ in range(_PERTURB_ROUNDS):
        if not len(left):
            break
        repeated = np.repeat(parents[left], _TRIES)
        found = _tries(space, repeated, rng, edge_changes=edge_changes, op_changes=op_changes)
        good = (found >= 0) & (found != repeated) & allowed[found]
        children[left] = _first_good(found, good)
        left = left[children[left] < 0]
    return children


def _first_good(rows: NDArray[np.int32], good: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(n,) first good row of each block of tries, -1 where a block has none.

    Args:
        rows: (n * tries,) rows, block after block.
        good: (n * tries,) mask.
    """
    blocks = np.where(good, rows, -1).reshape(-1, _TRIES)
    first: NDArray[np.int32] = blocks[np.arange(len(blocks)), (blocks >= 0).argmax(axis=1)]
    return first


def _tries(
    space: Space,
    parents: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    edge_changes: float,
    op_changes: float,
) -> NDArray[np.int32]:
    """One perturbation of each parent.

    A parent is laid out at random among the V vertices, its unused vertices with random
    operations; then each possible edge is flipped and each interior vertex given another operation
    with the probabilities that give the expected numbers of changes.

    Returns:
        (n,) int32 rows, -1 for an invalid cell, the parent where nothing changed.
    """
    table, places = topologies(), _places(space.vertices)
    n, slots = len(parents), space.vertices - 2
    topology = table.row_topology[parents]
    used = table.vertices[topology].astype(np.intp) - 2
    pick = (rng.random(n) * places.count[used]).astype(np.intp)
    subset = places.subsets[used, pick]
    codes = places.codes[topology, subset]
    rate = min(1.0, edge_changes / len(places.bits))
    codes = codes ^ ((rng.random((n, len(places.bits))) < rate) @ places.bits)
    if not slots:
        return rows_of_codes(codes, np.zeros(n, dtype=np.int16), len(space))
    own = places.digits[used[:, None], table.row_ops[parents][:, None], places.ranks[subset]]
    labels = np.where(own < 0, rng.integers(0, 3, (n, slots)), own)
    # Adding 1 or 2 modulo 3 gives one of the other two operations.
    changed = rng.random((n, slots)) < min(1.0, op_changes / slots)
    labels = (labels + changed * rng.integers(1, 3, (n, slots))) % 3
    # As `space.packed_labels`, which takes longer for few rows.
    packed: NDArray[np.int16] = labels @ _LABEL_WEIGHTS[:slots]
    return rows_of_codes(codes, packed, len(space))


class _Places:
    """All placements of a topology's interior vertices in the V - 2 slots of a space.

    Attributes:
        codes: (n_topologies, 2**slots) code of each topology with its interior vertices in a
            subset of the slots.
        subsets: (slots + 1, ...) the subsets of each size, padded; `count` has their numbers.
        ranks: (2**slots, slots) position of each slot within the subset, -1 outside.
        digits: (slots + 1, 243, slots + 1) the operations of a labelling; -1 in the last column,
            which rank -1 reads.
        bits: (edges,) the bit of each possible edge.
    """

    def __init__(self, vertices: int) -> None:
        table, slots = topologies(), vertices - 2
        used = table.vertices.astype(np.intp) - 2
        sizes = [bin(s).count("1") for s in range(1 << slots)]
        self.count = np.bincount(sizes, minlength=_SLOTS + 1)
        self.subsets = np.zeros((_SLOTS + 1, max(self.count)), dtype=np.intp)
        self.codes = np.zeros((len(table.code), 1 << slots), dtype=np.int32)
        self.ranks = np.full((1 << slots, slots), -1, dtype=np.intp)
        for size in range(slots + 1):
            self.subsets[size, : self.count[size]] = [s for s, k in enumerate(sizes) if k == size]
        for subset, size in enumerate(sizes):
            kept = [s for s in range(slots) if subset >> s & 1]
            self.ranks[subset, kept] = np.arange(size)
            fits = used == size
            self.codes[fits, subset] = moved(table.code[fits], kept)
        self.digits = np.full((_SLOTS + 1, 3**_SLOTS, _SLOTS + 1), -1, dtype=np.int8)
        for size in range(_SLOTS + 1):
            for a in range(size):
                number = np.arange(3**_SLOTS)
                self.digits[size, :, a] = number // 3 ** (size - 1 - a) % 3
        inside = {*range(vertices - 1), _OUTPUT}
        edges = [b for b, (i, j) in enumerate(EDGES) if i in inside and j in inside]
        self.bits = 1 << np.array(edges, dtype=np.int32)


@lru_cache(maxsize=MAX_VERTICES)
def _places(vertices: int) -> _Places:
    return _Places(vertices)


def crossover(
    space: Space,
    parents: NDArray[np.int32],
    partners: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    allowed: NDArray[np.bool_],
) -> NDArray[np.int32]:
    """A child of each pair: every edge and every operation is taken from one or the other.

    Both cells are taken in their canonical V x V matrices; a vertex that a cell does not use has
    a random operation there.

    Args:
        space: the space.
        parents, partners: (n,) rows.
        rng: source of randomness.
        allowed: (n_cells,) mask of the rows that may be returned.

    Returns:
        (n,) int32 rows, none equal to its parent or partner; -1 where 16 tries gave no other
        allowed cell.
    """
    one, other = np.repeat(parents, _TRIES), np.repeat(partners, _TRIES)
    (matrix, labels), (matrix2, labels2) = (
        tuple(np.repeat(part, _TRIES, axis=0) for part in space.matrices(rows))
        for rows in (parents, partners)
    )
    edges = np.where(rng.random(matrix.shape) < 0.5, matrix, matrix2)
    mixed = np.where(rng.random(labels.shape) < 0.5, labels, labels2)
    mixed = np.where(mixed < 0, rng.integers(0, 3, mixed.shape), mixed)
    found = space.rows(edges, mixed)
    return _first_good(found, (found >= 0) & (found != one) & (found != other) & allowed[found])


# -- selection by nondominated rank and hypervolume ----


def front_ranks(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) rank of each point: 0 where no other point dominates it, then again without these.

    Equal points have the same rank. Takes O(m n^2) for each front, so it is for populations.
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
    """(m,) a tenth of the range beyond the worst costs, so that the worst points contribute too."""
    worst = costs.max(axis=0)
    corner: NDArray[np.float64] = worst + 0.1 * (worst - costs.min(axis=0))
    return corner


def _delta(costs: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) contributing hypervolume of the points of one front; infinite for the best point of
    each objective, so that the extremes survive wherever the reference lies."""
    delta = contributions(costs, reference)
    if len(costs) > 2:
        # argmin takes the first of equal points, so the others can still be removed.
        delta[costs.argmin(axis=0)] = np.inf
    return delta


def order(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) positions from the best to the worst: by rank, then by contributing hypervolume.

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
    """(at most n,) ascending positions of the points left when the worst are removed one by one.

    Each time the point of the last front with the least contributing hypervolume is removed (the
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


# -- visited cells ----


class Visited:
    """The cells that a search has evaluated, and the cells that it may still propose.

    Args:
        allowed: (n_cells,) mask of the cells that may be proposed at all.
        avoid: whether to keep away from visited cells; otherwise every allowed cell may be
            proposed again.
    """

    def __init__(self, allowed: NDArray[np.bool_], *, avoid: bool) -> None:
        self.avoid = avoid
        self._allowed = allowed
        self._new = allowed.copy() if avoid else allowed
        self._left = int(allowed.sum())

    def add(self, rows: NDArray[np.int32]) -> None:
        """Mark cells as visited. When all allowed cells are, all may be proposed again."""
        if not self.avoid:
            return
        distinct = np.unique(rows)
        self._left -= int(self._new[distinct].sum())
        self._new[distinct] = False
        if not self._left:
            self._new[:] = self._allowed
            self._left = int(self._allowed.sum())

    @property
    def proposable(self) -> NDArray[np.bool_]:
        """(n_cells,) mask of the cells that may be proposed; must not be written to."""
        return self._new

    def draw(
        self, make: Callable[[NDArray[np.intp]], NDArray[np.int32]], n: int
    ) -> NDArray[np.int32]:
        """(n,) rows, in which visited and repeated cells are drawn again a few times.

        Args:
            make: returns a row for each of some positions of 0 .. n - 1, -1 where it finds none.
            n: how many.

        Returns:
            (n,) int32 rows; -1, visited or repeated cells remain where ten rounds gave no new one.
        """
        rows = make(np.arange(n))
        if not self.avoid:
            return rows
        for _ in range(_AVOID_ROUNDS):
            first = np.zeros(n, dtype=np.bool_)
            first[np.unique(rows, return_index=True)[1]] = True
            stale = np.flatnonzero(~(first & (rows >= 0) & self._new[rows]))
            if not len(stale):
                break
            again = make(stale)
            rows[stale] = np.where(again >= 0, again, rows[stale])
        return rows

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
        """(at most n,) rows drawn uniformly, without replacement, from the proposable ones."""
        new = np.flatnonzero(self._new)
        return rng.choice(new, min(n, len(new)), replace=False).astype(np.int32)


# -- cells as numbers ----


class Encoding:
    """Columns of about mean 0 and variance 1 for the cells of a space.

    The entries of the canonical matrix, the operation of each vertex (one-hot), the number of
    vertices with each operation, and the log parameters, log multiply-adds and depth of the
    network. All of them follow from the cell without a training.

    Args:
        space: the space.
        rng: draws the cells from which mean and variance are computed.
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self.space = space
        self._upper = np.triu_indices(space.vertices, 1)
        raw = self._raw(space.sample(rng, _ENCODING_SAMPLE))
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


# -- several objectives as one number ----


class Normaliser:
    """Costs on a scale from 0 to 1, the best and the worst cost of each objective seen so far.

    The scale changes with what is seen, so old costs must be normalised again.
    """

    def __init__(self) -> None:
        self._low: NDArray[np.float64] | None = None
        self._high: NDArray[np.float64] | None = None

    def see(self, costs: NDArray[np.float64]) -> None:
        """Widen the scale to (n, m) costs; rows with a NaN are ignored."""
        known = costs[~np.isnan(costs).any(axis=1)]
        if not len(known):
            return
        low, high = known.min(axis=0), known.max(axis=0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)

    def __call__(self, costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, m) costs from 0, the best seen, to 1, the worst; 0 where both are equal.

        Raises:
            ConfigError: no costs were seen.
        """
        if self._low is None or self._high is None:
            raise ConfigError("costs must be seen before others can be normalised")
        span = self._high - self._low
        scaled: NDArray[np.float64] = (costs - self._low) / np.where(span > 0, span, 1.0)
        return scaled


def weighted_sum(costs: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """(n,) sum of weighted costs; finds only the convex part of a front.

    Args:
        costs: (n, m) normalised costs, less is better.
        weights: (m,) weights, or (n, m) with one set for each point.
    """
    out: NDArray[np.float64] = (np.asarray(costs) * np.asarray(weights)).sum(axis=-1)
    return out


def chebyshev(costs: ArrayLike, weights: ArrayLike, rho: float = RHO) -> NDArray[np.float64]:
    """(n,) augmented Chebyshev function of ParEGO (Knowles 2006, equation 2).

    The largest weighted cost plus rho times their sum. Every point of a front is its minimum for
    some weights.

    Args:
        costs: (n, m) normalised costs, less is better.
        weights: (m,) weights, or (n, m) with one set for each point.
        rho: slope of the augmentation.

    Example:
        >>> chebyshev([[0.2, 0.6]], [0.5, 0.5]).round(3).tolist()
        [0.32]
    """
    weighted = np.asarray(costs, dtype=np.float64) * np.asarray(weights)
    out: NDArray[np.float64] = weighted.max(axis=-1) + rho * weighted.sum(axis=-1)
    return out


_SCALARISATIONS = {"chebyshev": chebyshev, "sum": weighted_sum}


def scalarise(name: str) -> Callable[[ArrayLike, ArrayLike], NDArray[np.float64]]:
    """The function `chebyshev` or, for "sum", `weighted_sum`.

    Raises:
        ConfigError: another name.
    """
    if name not in _SCALARISATIONS:
        raise ConfigError("scalarisation must be chebyshev or sum", value=name)
    return _SCALARISATIONS[name]


def random_weights(rng: np.random.Generator, m: int, n: int = 1) -> NDArray[np.float64]:
    """(n, m) weights drawn uniformly from ParEGO's lattice (Knowles 2006, equation 1).

    The lattice holds all vectors of multiples of 1/10 that sum to 1: 11 for two objectives, 66
    for three.
    """
    # A composition of 10 into m parts is a choice of m - 1 bars among 10 + m - 1 places.
    keys = rng.random((n, _DIVISIONS + m - 1))
    bars = np.sort(np.argsort(keys, axis=1)[:, : m - 1], axis=1)
    ends = np.column_stack([np.full(n, -1), bars, np.full(n, _DIVISIONS + m - 1)])
    weights: NDArray[np.float64] = (np.diff(ends, axis=1) - 1) / _DIVISIONS
    return weights
