"""EHVI: Bayesian optimisation of several objectives with Gaussian processes of the cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas import network
from naslib_ecnas.analysis import contributions, nondominated
from naslib_ecnas.errors import check_counts
from naslib_ecnas.search.base import Evaluated, Floats, Optimiser, Problem, Rows
from naslib_ecnas.search.encoding import Groups
from naslib_ecnas.search.gaussian_process import Prediction, Process, Products, View, fitted
from naslib_ecnas.search.improvement import expected_gain
from naslib_ecnas.search.operators import front_ranks, perturb
from naslib_ecnas.space import Space

# Cells over which the columns are scaled, and among which the first ones are chosen.
_SAMPLE, _CHOICES = 600, 2000
# Cells of up to so many vertices are evaluated first.
_SMALLEST = 3
# A space of at most so many cells is a pool as a whole.
_WHOLE = 3000
# Perturbed cells of the front and cells from anywhere in a pool.
_PERTURBED, _ANYWHERE = 500, 250
# Shifts of log(cost - best + shift), relative to the median of cost - best.
_SHIFTS = (0.03, 0.1, 0.3)
# Candidates that the further cells of a batch are chosen from.
_SHORTLIST = 250
# Boxes of a front at most: with many objectives only the cells of largest contributions count.
_BOXES = 1_000_000
# Evaluated cells that the processes are given at most.
_MOST = 500
# Growth of their number after which hyperparameters are fitted anew.
_GROWTH = 1.1


class Ehvi(Optimiser):
    """Expected hypervolume improvement with Gaussian processes (Emmerich et al. 2006, 2011).

    The first cells are all of up to three vertices, which are the cheapest of every space, and
    a ladder: cells evenly spaced in the logarithm of their multiply-adds, which are known without
    a training. Then each turn fits a Gaussian process to each objective (`fitted`) over three
    groups of columns (`Groups`), and evaluates a few cells of a pool: the cells of the largest
    expected gain in hypervolume, in the units of the objectives, one after another, each as if
    those before it had come as predicted. The reference point lies just beyond the worst costs
    seen, so that the ends of the front move outwards. A cell is never evaluated twice.

    Costs above 0, such as energy and time, are log-normal. Others, such as an accuracy, are seen
    in two ways in turn, as either alone gets stuck on some tables: as log(cost - best + shift),
    which fits well but expects little beyond the best; and as they are but cut at their median,
    which expects much and spends none of the model on how bad the worst ones are.

    The pool is the whole space if it is small. Otherwise it is all neighbours of the front, other
    perturbed cells of the front, and random cells of all sizes.

    Args:
        initial: cells of the ladder.
        batch: cells evaluated in each turn; by default five, and a fiftieth of the evaluations
            after 250.
        pool: largest number of candidates in a large space.

    Attributes:
        evaluated: the cells with their costs, in the order in which they were evaluated.

    Raises:
        ConfigError: an impossible setting.
    """

    name = "ehvi"
    asynchronous = True

    def __init__(
        self, problem: Problem, *, initial: int = 10, batch: int | None = None, pool: int = 2500
    ) -> None:
        super().__init__(problem)
        check_counts("EHVI", initial=initial, batch=1 if batch is None else batch)
        check_counts("EHVI", least=batch or 5, pool=pool)
        self.initial = initial
        self.pool = pool
        self._batch = batch
        self.evaluated: Evaluated = Evaluated()
        self._new = self._allowed.copy()  # mask of the cells that were not evaluated
        self._started = False
        # Positions in `rows` at which the numbers of vertices change.
        sizes = [len(Space(vertices)) for vertices in range(2, self.space.vertices + 1)]
        self._starts = np.array([0, *np.searchsorted(self.rows, sizes)])
        self._groups = Groups(self.space, self._of_all_sizes(_SAMPLE))
        self._columns: list[Floats] = []  # of each group, of the evaluated cells
        self._near: dict[int, Rows] = {}  # neighbours of cells that were on the front
        # Hyperparameters by objective and view, and the number of cells that they were fitted to.
        self._fitted: dict[tuple[int, str], tuple[Floats, int]] = {}
        self._turn = 0

    @property
    def batch(self) -> int:
        """Cells of the next turn."""
        return self._batch or max(5, len(self.evaluated) // 50)

    def ask(self) -> Rows:
        """The first cells, or the next batch; nothing when every cell was evaluated."""
        if not self._started:
            self._started = True
            return self._first()
        pool = self._pool()
        if len(pool) <= self.batch or not len(self.evaluated):
            return self.rng.permutation(pool)[: self.batch]
        return pool[self._chosen(pool)]

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Learn the costs; cells with a NaN are not learnt from and not asked for again."""
        new = Evaluated(*self._checked(rows, costs))
        self._new[new.rows] = False
        new = new.known()
        if len(new):
            self.evaluated += new
            columns = self._groups(new.rows)
            both = zip(self._columns or [c[:0] for c in columns], columns, strict=True)
            self._columns = [np.concatenate(pair) for pair in both]

    # -- candidates ----

    def _of_all_sizes(self, n: int) -> Rows:
        """(n,) random rows, of each number of vertices equally many: most cells are the largest."""
        held = np.flatnonzero(np.diff(self._starts))
        size = held[self.rng.integers(0, len(held), n)]
        return self.rows[self.rng.integers(self._starts[size], self._starts[size + 1])]

    def _first(self) -> Rows:
        """The smallest cells, and the ladder."""
        small = self.rows[self.rows < len(Space(min(_SMALLEST, self.space.vertices)))]
        drawn = [self._of_all_sizes(_CHOICES // 2), self.sample(_CHOICES // 2)]
        rows = np.unique(np.concatenate(drawn))
        work = np.log(network.multiply_adds(rows))
        rungs = np.linspace(work.min(), work.max(), self.initial)
        nearest = np.abs(work - rungs[:, None]).argmin(axis=1)
        return np.unique(np.concatenate([small, rows[nearest]]))

    def _pool(self) -> Rows:
        """Candidates that were not evaluated, ascending."""
        left: Rows = self.rows[self._new[self.rows]]
        if len(left) <= max(self.pool, self.batch) or len(self.rows) <= _WHOLE:
            return left
        far = [self._of_all_sizes(_ANYWHERE // 2), self.sample(_ANYWHERE // 2)]
        front = self.evaluated.rows[nondominated(self.evaluated.costs)]
        for row in front.tolist():
            if row not in self._near:
                self._near[row] = self.space.neighbours(row)
        near = [self._near[row] for row in front.tolist()]
        if len(front):
            parents = front[self.rng.integers(0, len(front), _PERTURBED)]
            near.append(perturb(self.space, parents, self.rng, allowed=self._new))
        pool = np.unique(np.concatenate([*near, *far]))
        pool = pool[(pool >= 0) & self._new[pool]]
        if len(pool) > self.pool:
            pool = np.sort(self.rng.choice(pool, self.pool, replace=False))
        return pool if len(pool) else left[: self.pool]

    # -- the choice ----

    def _chosen(self, pool: Rows) -> NDArray[np.intp]:
        """(batch,) positions in the pool of the largest expected gains, one after another."""
        costs = self.evaluated.costs
        front = costs[nondominated(costs)]
        reference = costs.max(axis=0) + 0.01 * np.ptp(costs, axis=0)
        most = round(_BOXES ** (1 / len(reference)))
        if len(front) > most:
            front = front[np.argsort(-contributions(front, reference), kind="stable")[:most]]
        given = self._given()
        known, groups = [columns[given] for columns in self._columns], self._groups(pool)
        processes, cross = self._processes(known, costs[given]), Products(known, groups)
        predictions = [Prediction(process, cross, groups) for process in processes]
        gain = expected_gain([p.partial_expectation for p in predictions], front, reference)
        batch = self.batch
        short = np.argsort(-gain, kind="stable")[: max(_SHORTLIST, batch)]
        predictions = [prediction.among(short) for prediction in predictions]
        chosen = [0]
        while len(chosen) < batch:
            front = np.vstack([front, [p.suppose(chosen[-1]) for p in predictions]])
            front = front[nondominated(front)]
            gain = expected_gain([p.partial_expectation for p in predictions], front, reference)
            gain[chosen] = -1.0
            chosen.append(int(gain.argmax()))
        return short[chosen]

    def _given(self) -> NDArray[np.intp]:
        """Positions of the evaluated cells that the processes are given: of too many the best by
        nondominated rank, and some of the others, so that bad regions stay known as such."""
        n = len(self.evaluated)
        if n <= _MOST:
            return np.arange(n)
        ranked = np.argsort(front_ranks(self.evaluated.costs), kind="stable")
        best, others = np.split(ranked, [3 * _MOST // 4])
        spread = np.linspace(0, len(others) - 1, _MOST - len(best)).astype(np.intp)
        return np.sort(np.concatenate([best, np.sort(others)[spread]]))

    def _processes(self, known: list[Floats], costs: Floats) -> list[Process]:
        """The process of each objective, in the next of its views, given (n, m) costs."""
        self._turn += 1
        products, found = Products(known, known), []
        for objective, own in enumerate(costs.T):
            best, median = float(own.min()), float(np.median(own))
            if best > 0:
                name, views = "log", [View(shift=0.0)]
            elif self._turn % 2:
                gap = median - best + 1e-12
                name, views = "gap", [View(shift=share * gap - best) for share in _SHIFTS]
            else:
                name, views = "cut", [View(cut=median)]
            theta, before = self._fitted.get((objective, name), (None, 0))
            climb = theta is None or len(self.evaluated) >= _GROWTH * before
            process = fitted(products, own, views, theta, climb=climb)
            if climb:
                self._fitted[objective, name] = process.theta, len(self.evaluated)
            found.append(process)
        return found
