"""The perturbation of EC-NAS's algorithm 1 for searches: many tries at once, the first good one.

`Space.mutate` draws the same distribution, but goes on until the last of its rows is a cell, which
for the few parents of one generation costs more than all the rest of a search. Here every parent
gets a block of tries, and the placement of each topology among the V vertices is looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas import network
from naslib_ecnas.analysis import contributions
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import (
    EDGES,
    MAX_VERTICES,
    labelled_graphs,
    moved,
    slot_map_labels,
    topologies,
)

__all__ = [
    "RHO",
    "SCALARISATIONS",
    "Encoding",
    "Known",
    "Normaliser",
    "chebyshev",
    "classified",
    "crossover",
    "front_ranks",
    "order",
    "perturb",
    "random_weights",
    "survivors",
    "tries",
    "weighted_sum",
]


_OUTPUT = MAX_VERTICES - 1

_SLOTS = MAX_VERTICES - 2

# Two tries in three give another cell of seven vertices, but few do from the smallest cells.
_TRIES, _ROUNDS = 16, 40


def perturb(
    space: Space,
    parents: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    allowed: NDArray[np.bool_],
    edge_changes: float = 2.0,
    op_changes: float = 0.5,
) -> NDArray[np.int32]:
    """One changed, valid and allowed cell for each parent, distributed as by `Space.mutate`.

    Args:
        space: the space.
        parents: (n,) rows of it.
        rng: source of randomness.
        allowed: (n_cells,) mask of what may come out.
        edge_changes: expected number of flipped edges in a try.
        op_changes: expected number of changed operations in a try.

    Returns:
        (n,) int32 rows, none equal to its parent; -1 where some 600 tries were in vain.

    Raises:
        ConfigError: rates that change nothing.
    """
    if not (0 <= edge_changes < np.inf and 0 <= op_changes < np.inf and edge_changes + op_changes):
        raise ConfigError(
            "a perturbation that changes nothing",
            value=(edge_changes, op_changes),
            expected="two rates of at least 0, not both 0",
            remedy="the paper has 2 edges and 0.5 operations",
        )
    children = np.full(len(parents), -1, dtype=np.int32)
    left = np.arange(len(parents))
    for _ in range(_ROUNDS):
        if not len(left):
            break
        from_ = np.repeat(parents[left], _TRIES)
        found = tries(space, from_, rng, edge_changes=edge_changes, op_changes=op_changes)
        good = (found >= 0) & (found != from_) & allowed[found]
        good = good.reshape(len(left), _TRIES)
        first = good.argmax(axis=1)
        hit = good[np.arange(len(left)), first]
        children[left[hit]] = found.reshape(len(left), _TRIES)[hit, first[hit]]
        left = left[~hit]
    return children


def tries(
    space: Space,
    parents: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    edge_changes: float,
    op_changes: float,
) -> NDArray[np.int32]:
    """One try for each parent: (n,) int32 rows, -1 where it is no cell, the parent where nothing
    changed.

    A parent is laid out at random among the V vertices, its unused vertices with random
    operations; then each possible edge is flipped and each interior vertex given another operation
    with the probabilities that give the expected numbers of changes.
    """
    table, places = topologies(), _places(space.vertices)
    n, slots = len(parents), space.vertices - 2
    topology = table.row_topology[parents]
    used = table.vertices[topology].astype(np.intp) - 2
    pick = (rng.random(n) * places.count[used]).astype(np.intp)
    subset = places.subsets[used, pick]
    codes = places.codes[topology, subset]
    codes = codes ^ (
        (rng.random((n, len(places.bits))) < _rate(edge_changes, places)) @ places.bits
    )
    if not slots:
        return classified(space, codes, np.zeros((n, 0), dtype=np.intp))
    own = places.digits[used[:, None], table.row_ops[parents][:, None], places.ranks[subset]]
    labels = np.where(own < 0, rng.integers(0, 3, (n, slots)), own)
    # 1 or 2 further on in the circle of three operations is another one.
    change = (rng.random((n, slots)) < min(1.0, op_changes / slots)) * rng.integers(
        1, 3, (n, slots)
    )
    return classified(space, codes, (labels + change) % 3)


def _rate(edge_changes: float, places: _Places) -> float:
    return min(1.0, edge_changes / len(places.bits))


def classified(
    space: Space, codes: NDArray[np.int32], labels: NDArray[np.integer]
) -> NDArray[np.int32]:
    """(n,) rows of (n,) codes with (n, V - 2) labels, -1 where there is no cell of the space."""
    table, raw = topologies(), labelled_graphs()
    weights = 3 ** np.arange(_SLOTS - 1, _SLOTS - 1 - labels.shape[1], -1, dtype=np.intp)
    topology = raw.topology[codes]
    labelling = slot_map_labels()[raw.slot_map[codes], labels @ weights]
    rows: NDArray[np.int32] = table.row_of[table.first[topology] + labelling]
    rows[(topology < 0) | (rows >= len(space))] = -1
    return rows


class _Places:
    """Where a topology can lie among the V vertices of a space.

    Attributes:
        codes: (n_topologies, 2**slots) code with its interior vertices at the slots of a subset.
        subsets: (slots + 1, ...) the subsets of each size, padded; `count` says how many.
        ranks: (2**slots, slots) which of the subset's slots each slot is, -1 outside.
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
            target = {a + 1: b + 1 for a, b in enumerate(kept)}
            self.codes[fits, subset] = moved(table.code[fits], target)
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


# Uniform crossover of two cells.


_CROSSOVER_TRIES = 16


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
    one, other = np.repeat(parents, _CROSSOVER_TRIES), np.repeat(partners, _CROSSOVER_TRIES)
    both = (space.matrices(parents), space.matrices(partners))
    (matrix, labels), (matrix2, labels2) = (
        (np.repeat(m, _CROSSOVER_TRIES, axis=0), np.repeat(k, _CROSSOVER_TRIES, axis=0))
        for m, k in both
    )
    edges = np.where(rng.random(matrix.shape) < 0.5, matrix, matrix2)
    mixed = np.where(rng.random(labels.shape) < 0.5, labels, labels2)
    mixed = np.where(mixed < 0, rng.integers(0, 3, mixed.shape), mixed)
    rows = space.rows(edges, mixed.reshape(n * _CROSSOVER_TRIES, v - 2))
    good = ((rows >= 0) & (rows != one) & (rows != other) & allowed[rows]).reshape(
        n, _CROSSOVER_TRIES
    )
    first = good.argmax(axis=1)
    children: NDArray[np.int32] = rows.reshape(n, _CROSSOVER_TRIES)[np.arange(n), first]
    children[~good.any(axis=1)] = -1
    return children


# Who is better in a population: non-dominated fronts, then contributing hypervolume.


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


# Keeping a search away from the cells that it knows already.


_AVOIDANCE_ROUNDS = 10


class Known:
    """The cells that a search was told of, and which may still be proposed.

    Args:
        allowed: (n_cells,) mask of the cells that may be proposed at all.
        avoid: whether to keep away from known cells; off, everything allowed may come again.
    """

    def __init__(self, allowed: NDArray[np.bool_], *, avoid: bool) -> None:
        self.avoid = avoid
        self._allowed = allowed
        self._new = allowed.copy() if avoid else allowed
        self._left = int(allowed.sum())

    def note(self, rows: NDArray[np.int32]) -> None:
        """Remember cells. When all allowed ones are known, all are as good as new again."""
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
        """(n_cells,) mask of what may be proposed; not to be written to."""
        return self._new

    def draw(
        self, make: Callable[[NDArray[np.intp]], NDArray[np.int32]], n: int
    ) -> NDArray[np.int32]:
        """(n,) rows made one for each position, known and equal ones made again a few times.

        Args:
            make: rows for some of the positions 0 .. n - 1; -1 where it found none.
            n: how many.

        Returns:
            (n,) int32 rows; what cannot be made new stays known, equal to another, or -1.
        """
        rows = make(np.arange(n))
        if not self.avoid:
            return rows
        for _ in range(_AVOIDANCE_ROUNDS):
            first = np.zeros(n, dtype=np.bool_)
            first[np.unique(rows, return_index=True)[1]] = True
            stale = np.flatnonzero(~(first & (rows >= 0) & self._new[rows]))
            if not len(stale):
                break
            again = make(stale)
            rows[stale] = np.where(again >= 0, again, rows[stale])
        return rows

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
        """(at most n,) rows drawn uniformly, without replacement, from those not known."""
        new = np.flatnonzero(self._new)
        return rng.choice(new, min(n, len(new)), replace=False).astype(np.int32)


# Cells as numbers for a regression: what a table-free reader of the cell can tell of it.


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


# Many objectives as one number, for methods that know only one.


#: Slope of the augmentation in Knowles (2006).
RHO = 0.05

# Divisions of the weight lattice there.
_DIVISIONS = 10


class Normaliser:
    """Costs on a scale from 0 to 1 by the best and the worst that were seen so far.

    The scale moves with what is seen, so old costs have to be normalised again.
    """

    def __init__(self) -> None:
        self._low: NDArray[np.float64] | None = None
        self._high: NDArray[np.float64] | None = None

    def see(self, costs: NDArray[np.float64]) -> None:
        """Widen the scale by (n, m) costs; rows with a NaN are passed over."""
        known = costs[~np.isnan(costs).any(axis=1)]
        if not len(known):
            return
        low, high = known.min(axis=0), known.max(axis=0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)

    def __call__(self, costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, m) costs from 0, the best seen, to 1, the worst; 0 where all are alike.

        Raises:
            ConfigError: no costs were seen.
        """
        if self._low is None or self._high is None:
            raise ConfigError(
                "no scale yet",
                expected="costs that were seen before",
                remedy="tell the costs of a cell first",
            )
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

    The largest weighted cost plus rho times their sum; with fitting weights any point of a front
    is its minimum.

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


#: Scalarisations by name.
SCALARISATIONS = {"chebyshev": chebyshev, "sum": weighted_sum}


def random_weights(rng: np.random.Generator, m: int, n: int = 1) -> NDArray[np.float64]:
    """(n, m) weights drawn uniformly from ParEGO's lattice (Knowles 2006, equation 1).

    All vectors of multiples of 1/10 that sum to 1: 11 of them for two objectives, 66 for three.
    """
    # A composition of 10 into m parts is a choice of m - 1 bars among 10 + m - 1 places.
    keys = rng.random((n, _DIVISIONS + m - 1))
    bars = np.sort(np.argsort(keys, axis=1)[:, : m - 1], axis=1)
    ends = np.column_stack([np.full(n, -1), bars, np.full(n, _DIVISIONS + m - 1)])
    weights: NDArray[np.float64] = (np.diff(ends, axis=1) - 1) / _DIVISIONS
    return weights
