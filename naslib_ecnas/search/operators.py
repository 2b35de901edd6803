"""Building blocks of the methods: new cells from old, selection, scalarisation, visited cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import contributions
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.base import Floats, Problem, Rows
from naslib_ecnas.space import Space, perturbed

# Tries at once for each child. Two perturbations in three give another cell of seven vertices,
# but few do from the smallest cells: hence the rounds.
_TRIES = 16
_PERTURB_ROUNDS = 40
#: Slope of the augmentation of the Chebyshev function in Knowles (2006).
RHO = 0.05
# Divisions of the weight lattice in Knowles (2006).
_DIVISIONS = 10


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


# -- several objectives as one number, for methods with a single objective ----


def chebyshev(costs: ArrayLike, weights: ArrayLike, rho: float = RHO) -> Floats:
    """(n,) augmented Chebyshev function of ParEGO (Knowles 2006, equation 2).

    The largest weighted cost plus rho times their sum; every point of a front is its minimum for
    some weights. Takes (n, m) normalised costs, less is better, and (m,) or (n, m) weights.

    Examples:
        >>> chebyshev([[0.2, 0.6]], [0.5, 0.5]).round(3).tolist()
        [0.32]
    """
    weighted = np.asarray(costs, dtype=np.float64) * np.asarray(weights)
    out: Floats = weighted.max(axis=-1) + rho * weighted.sum(axis=-1)
    return out


class Scalarisation:
    """The Chebyshev function of costs on a scale from the best (0) to the worst (1) seen so far.

    The scale changes with what is seen, so old costs must be scored again.
    """

    def __init__(self) -> None:
        self._low: Floats = np.array(np.inf)
        self._high: Floats = np.array(-np.inf)

    def see(self, costs: Floats) -> None:
        """Widen the scale to (n, m) costs; rows with a NaN are ignored."""
        known = costs[~np.isnan(costs).any(axis=1)]
        if len(known):
            self._low = np.minimum(self._low, known.min(axis=0))
            self._high = np.maximum(self._high, known.max(axis=0))

    def __call__(self, costs: Floats, weights: Floats) -> Floats:
        """(...,) scores of (..., m) costs, less is better; an objective of which all costs seen
        are equal counts 0."""
        span = self._high - self._low
        return chebyshev((costs - self._low) / np.where(span > 0, span, 1.0), weights)


def random_weights(rng: np.random.Generator, m: int, n: int = 1) -> Floats:
    """(n, m) weights drawn uniformly from ParEGO's lattice (Knowles 2006, equation 1).

    The lattice is all vectors of multiples of 1/10 that sum to 1: 11 for m = 2, 66 for m = 3.
    """
    # A composition of 10 into m parts is a choice of m - 1 bars among 10 + m - 1 places.
    places = _DIVISIONS + m - 1
    bars = np.sort(np.argsort(rng.random((n, places)), axis=1)[:, : m - 1], axis=1)
    ends = np.column_stack([np.full(n, -1), bars, np.full(n, places)])
    weights: Floats = (np.diff(ends, axis=1) - 1) / _DIVISIONS
    return weights


# -- visited cells ----


class Visited:
    """The cells that a search may still propose.

    Args:
        problem: its allowed cells are those that may be proposed at all.
        avoid: whether visited cells may not be proposed again.

    Attributes:
        proposable: (n_cells,) mask of the cells that may be proposed; must not be written to.
    """

    def __init__(self, problem: Problem, *, avoid: bool) -> None:
        self.avoid = avoid
        self.proposable: NDArray[np.bool_] = problem.mask.copy() if avoid else problem.mask
        self._problem = problem

    def add(self, rows: Rows) -> None:
        """Mark cells as visited."""
        if self.avoid:
            self.proposable[rows] = False

    def perturbed(self, parents: Rows, **changes: float) -> Rows:
        """(n,) rows drawn as by `draw`, each made from a parent by `perturb`."""
        space, rng = self._problem.space, self._problem.rng

        def make(at: NDArray[np.intp]) -> Rows:
            return perturb(space, parents[at], rng, allowed=self.proposable, **changes)

        return self.draw(make, len(parents))

    def draw(self, make: Callable[[NDArray[np.intp]], Rows], n: int) -> Rows:
        """(n,) int32 rows made by `make`; where it finds none, a row is drawn uniformly.

        With `avoid`, visited and repeated cells are made again up to ten times, then drawn, and
        there are fewer rows where fewer are left. `make` returns a row for each of some positions
        of 0 .. n - 1, -1 where it finds none.
        """
        if not self.avoid:
            rows = make(np.arange(n))
            failed = np.flatnonzero(rows < 0)
            rows[failed] = self.sample(len(failed))
            return rows
        rows, stale = np.full(n, -1, dtype=np.int32), np.arange(n)
        for _ in range(10 if np.count_nonzero(self.proposable) > n else 0):
            rows[stale] = make(stale)
            first = np.zeros(n, dtype=np.bool_)
            first[np.unique(rows, return_index=True)[1]] = True
            stale = np.flatnonzero(~(first & (rows >= 0) & self.proposable[rows]))
            if not len(stale):
                return rows
        made = np.delete(rows, stale)
        drawn = self.sample(n)
        return np.concatenate([made, drawn[~np.isin(drawn, made)][: len(stale)]])

    def sample(self, n: int) -> Rows:
        """(n,) rows drawn uniformly; with `avoid` different ones, fewer where fewer are left."""
        rng, rows = self._problem.rng, self._problem.rows
        if not self.avoid:
            return rows[rng.integers(0, len(rows), n)]
        left = np.flatnonzero(self.proposable)
        return rng.choice(left, min(n, len(left)), replace=False).astype(np.int32)
