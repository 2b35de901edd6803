"""Building blocks of the search methods: new cells from old ones, selection, visited cells, and
cells as numbers for a regression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.analysis import contributions
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.base import Floats, Rows
from naslib_ecnas.space import Space, perturbed

# Tries at once for each child. Two perturbations in three give another cell of seven vertices,
# but few do from the smallest cells: hence the rounds.
_TRIES = 16
_PERTURB_ROUNDS = 40


# -- new cells from old ones ----


def perturb(
    space: Space,
    parents: Rows,
    rng: np.random.Generator,
    *,
    allowed: NDArray[np.bool_],
    edge_changes: float = 2.0,
    op_changes: float = 0.5,
) -> Rows:
    """One changed, allowed cell for each of (n,) parents (algorithm 1 of the EC-NAS paper).

    The distribution is that of `Space.mutate`. For the few parents of a generation it is faster to
    give each a block of tries, of which the first good one is taken.

    Args:
        parents: (n,) rows.
        allowed: (n_cells,) mask of the rows that may be returned.
        edge_changes, op_changes: expected number of flipped edges and of changed operations.

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
        found = perturbed(space, repeated, rng, edge_changes, op_changes)
        good = (found >= 0) & (found != repeated) & allowed[found]
        children[left] = _first_good(found, good)
        left = left[children[left] < 0]
    return children


def _first_good(rows: Rows, good: NDArray[np.bool_]) -> Rows:
    """(n,) first good row of each of n blocks of tries, -1 where a block has none."""
    blocks = np.where(good, rows, -1).reshape(-1, _TRIES)
    return np.asarray(blocks[np.arange(len(blocks)), (blocks >= 0).argmax(axis=1)])


def crossover(
    space: Space,
    parents: Rows,
    partners: Rows,
    rng: np.random.Generator,
    *,
    allowed: NDArray[np.bool_],
) -> Rows:
    """A child of each of (n,) pairs: every edge and every operation comes from one or the other.

    Both cells are taken in their canonical V x V matrices; a vertex that a cell does not use has
    a random operation there. `allowed` is a (n_cells,) mask.

    Returns:
        (n,) int32 rows, none equal to its parent or partner; -1 where 16 tries gave no other
        allowed cell.
    """
    one, other = np.repeat(parents, _TRIES), np.repeat(partners, _TRIES)
    (matrix, labels), (matrix2, labels2) = space.matrices(one), space.matrices(other)
    edges = np.where(rng.random(matrix.shape) < 0.5, matrix, matrix2)
    mixed = np.where(rng.random(labels.shape) < 0.5, labels, labels2)
    mixed = np.where(mixed < 0, rng.integers(0, 3, mixed.shape), mixed)
    found = space.rows(edges, mixed)
    return _first_good(found, (found >= 0) & (found != one) & (found != other) & allowed[found])


# -- selection by nondominated rank and hypervolume ----


def front_ranks(costs: Floats) -> NDArray[np.int64]:
    """(n,) rank of each point: 0 where no other point dominates it, then again without these.

    Equal points have the same rank.
    """
    import moocore

    return moocore.pareto_rank(costs).astype(np.int64) if len(costs) else np.empty(0, np.int64)


def _delta(costs: Floats, population: Floats) -> Floats:
    """(n,) contributing hypervolume of the points of one front of a population.

    The reference point lies a tenth of the population's range beyond its worst costs, so that the
    worst points contribute too. The best of each objective has an infinite contribution.
    """
    worst = population.max(axis=0)
    delta = contributions(costs, worst + 0.1 * (worst - population.min(axis=0)))
    if len(costs) > 2:
        # argmin takes the first of equal points, so the others can still be removed.
        delta[costs.argmin(axis=0)] = np.inf
    return delta


def order(costs: Floats) -> NDArray[np.int64]:
    """(n,) positions of (n, m) costs from the best to the worst: by rank, then by contributing
    hypervolume. The costs must have no NaN."""
    rank, delta = front_ranks(costs), np.empty(len(costs))
    for number in range(rank.max(initial=-1) + 1):
        front = rank == number
        delta[front] = _delta(costs[front], costs)
    return np.asarray(np.lexsort((-delta, rank)))


def survivors(costs: Floats, n: int) -> NDArray[np.int64]:
    """(at most n,) ascending positions of the points left when the worst are removed one by one.

    Each time the point of the last front with the least contributing hypervolume is removed (the
    selection of SMS-EMOA), the last one of equal points. The costs must have no NaN.
    """
    left = np.arange(len(costs))
    while len(left) > n:
        rank = front_ranks(costs[left])
        last = np.flatnonzero(rank == rank.max())
        delta = _delta(costs[left[last]], costs[left])
        left = np.delete(left, last[len(last) - 1 - int(np.argmin(delta[::-1]))])
    return left


# -- visited cells ----


class Visited:
    """The cells that a search may still propose.

    Args:
        allowed: (n_cells,) mask of the cells that may be proposed at all.
        avoid: whether visited cells may not be proposed again.

    Attributes:
        proposable: (n_cells,) mask of the cells that may be proposed; must not be written to.
    """

    def __init__(self, allowed: NDArray[np.bool_], *, avoid: bool) -> None:
        self.avoid = avoid
        self._allowed = allowed
        self.proposable: NDArray[np.bool_] = allowed.copy() if avoid else allowed

    def add(self, rows: Rows) -> None:
        """Mark cells as visited. When all allowed cells are, all may be proposed again."""
        if self.avoid:
            self.proposable[rows] = False
            if not self.proposable.any():
                self.proposable[:] = self._allowed

    def draw(self, make: Callable[[NDArray[np.intp]], Rows], n: int) -> Rows:
        """(n,) int32 rows, in which visited and repeated cells are drawn again up to ten times.

        `make` returns a row for each of some positions of 0 .. n - 1, -1 where it finds none.
        """
        rows = make(np.arange(n))
        if not self.avoid:
            return rows
        for _ in range(10):
            first = np.zeros(n, dtype=np.bool_)
            first[np.unique(rows, return_index=True)[1]] = True
            stale = np.flatnonzero(~(first & (rows >= 0) & self.proposable[rows]))
            if not len(stale):
                break
            again = make(stale)
            rows[stale] = np.where(again >= 0, again, rows[stale])
        return rows

    def sample(self, rng: np.random.Generator, n: int) -> Rows:
        """(at most n,) rows drawn uniformly, without replacement, from the proposable ones."""
        new = np.flatnonzero(self.proposable)
        return rng.choice(new, min(n, len(new)), replace=False).astype(np.int32)


# -- cells as numbers ----


class Encoding:
    """Columns of about mean 0 and variance 1 for the cells of a space.

    The entries of the canonical matrix, the operation of each vertex (one-hot), the number of
    vertices with each operation, and the log parameters, log multiply-adds and depth of the
    network. Mean and variance are those of 1,000 cells that `rng` draws.
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self.space = space
        self._upper = np.triu_indices(space.vertices, 1)
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
        matrices, labels = self.space.matrices(rows)
        one_hot = labels[:, :, None] == np.arange(3)
        size = [np.log(network.parameters(rows)), np.log(network.multiply_adds(rows))]
        upper = matrices[:, self._upper[0], self._upper[1]]
        columns = [upper, one_hot.reshape(len(rows), -1), one_hot.sum(axis=1), *size]
        return np.column_stack([*columns, network.depth(rows)]).astype(np.float64, copy=False)
