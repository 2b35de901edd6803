"""EHVI: Bayesian optimisation of several objectives with Gaussian processes of the cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas import network
from naslib_ecnas.analysis import contributions, nondominated
from naslib_ecnas.errors import check_counts, check_numbers
from naslib_ecnas.processes import one_blas_thread
from naslib_ecnas.search.base import Batch, Evaluated, Floats, Optimiser, Problem, Rows
from naslib_ecnas.search.encoding import Groups
from naslib_ecnas.search.gaussian_process import (
    Prediction,
    Process,
    Products,
    View,
    expected_gain,
    fitted,
)
from naslib_ecnas.search.operators import front_ranks, perturb
from naslib_ecnas.space import Space

# Cells over which the columns are scaled, and among which the first ones are chosen.
_SAMPLE, _CHOICES = 600, 2000
# Cells of up to so many vertices are evaluated first.
_SMALLEST = 3
# A space of at most so many cells is a pool as a whole.
_WHOLE = 3000
# Each so many-th turn chooses among the neighbours of the front alone.
_LOCAL = 3
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


class Model:
    """Gaussian processes of the costs at one budget, given the cells evaluated so far.

    With the model of a smaller budget as `below`, its targets are further groups of columns, one of
    each objective: as evaluated there, or else as predicted.

    Attributes:
        evaluated: the cells with their costs, in the order in which they were evaluated.
    """

    def __init__(self, space: Space, groups: Groups, below: Model | None = None) -> None:
        self.evaluated: Evaluated = Evaluated()
        self._groups = groups
        self._below = below
        self._columns: list[Floats] = []  # of each group, of the evaluated cells
        self._at = np.full(len(space), -1)  # position of each row among the evaluated cells
        # Hyperparameters by objective, view and number of groups, and the number of cells that they
        # were fitted to.
        self._fitted: dict[tuple[int, str, int], tuple[Floats, int]] = {}

    def add(self, new: Evaluated) -> None:
        """Learn the costs of new cells, at least one."""
        self._at[new.rows] = len(self.evaluated) + np.arange(len(new))
        self.evaluated += new
        columns = self._groups(new.rows)
        both = zip(self._columns or [c[:0] for c in columns], columns, strict=True)
        self._columns = [np.concatenate(pair) for pair in both]

    def given(self) -> NDArray[np.intp]:
        """Positions of the evaluated cells that the processes are given: of too many the best by
        nondominated rank, and some of the others, so that bad regions stay known as such."""
        n = len(self.evaluated)
        if n <= _MOST:
            return np.arange(n)
        ranked = np.argsort(front_ranks(self.evaluated.costs), kind="stable")
        best, others = np.split(ranked, [3 * _MOST // 4])
        spread = np.linspace(0, len(others) - 1, _MOST - len(best)).astype(np.intp)
        return np.sort(np.concatenate([best, np.sort(others)[spread]]))

    def predictions(self, rows: Rows, turn: int) -> list[Prediction]:
        """Predictions of each objective for (n,) cells, in the view of a turn."""
        given = self.given()
        known, new = [columns[given] for columns in self._columns], self._groups(rows)
        if self._below is not None and len(self._below.evaluated):
            both = np.concatenate([self.evaluated.rows[given], rows])
            for targets in self._below.targets(both, turn).T[..., None]:
                known.append(targets[: len(given)])
                new.append(targets[len(given) :])
        cross = Products(known, new)
        processes = self._processes(known, self.evaluated.costs[given], turn)
        return [Prediction(process, cross, new) for process in processes]

    def targets(self, rows: Rows, turn: int) -> Floats:
        """(n, m) standardised targets of (n,) cells: of their costs if evaluated, or predicted."""
        at = self._at[rows]
        found = []
        for objective, prediction in enumerate(self.predictions(rows, turn)):
            process = prediction.process
            seen = process.view.seen(self.evaluated.costs[at, objective])
            found.append((np.where(at < 0, prediction.mean, seen) - process.mean) / process.scale)
        return np.column_stack(found)

    def _processes(self, known: list[Floats], costs: Floats, turn: int) -> list[Process]:
        """The process of each objective, in the view of a turn, given (n, m) costs."""
        products, found = Products(known, known), []
        for objective, own in enumerate(costs.T):
            best, median = float(own.min()), float(np.median(own))
            if best > 0:
                name, views = "log", [View(shift=0.0)]
            elif turn % 2:
                gap = median - best + 1e-12
                name, views = "gap", [View(shift=share * gap - best) for share in _SHIFTS]
            else:
                name, views = "cut", [View(cut=median)]
            key = objective, name, len(known)
            theta, before = self._fitted.get(key, (None, 0))
            climb = theta is None or len(self.evaluated) >= _GROWTH * before
            process = fitted(products, own, views, theta, climb=climb)
            if climb:
                self._fitted[key] = process.theta, len(self.evaluated)
            found.append(process)
        return found


class Ehvi(Optimiser):
    """Expected hypervolume improvement with Gaussian processes (Emmerich et al. 2006, 2011).

    The first cells are all of up to three vertices, which are the cheapest of every space, and
    a ladder: cells evenly spaced in the logarithm of their multiply-adds, which are known without
    a training. Then each turn fits a Gaussian process to each objective (`fitted`) over four
    groups of columns (`Groups`), and evaluates a few cells of a pool: the cells of the largest
    expected gain in hypervolume, in the units of the objectives, one after another, each as if
    those before it had come as predicted. The reference point lies just beyond the worst costs
    seen, so that the ends of the front move outwards. A cell is never evaluated twice.

    Costs above 0, such as energy and time, are log-normal. Others, such as an accuracy, are seen
    in two ways in turn, as either alone gets stuck on some tables: as log(cost - best + shift),
    which fits well but expects little beyond the best; and as they are but cut at their median,
    which expects much and spends none of the model on how bad the worst ones are.

    In each third turn the pool is the neighbours of the front, which have more in common with it
    than the processes know. In the others it is the whole space if that is small, or else these
    neighbours, other perturbed cells of the front, and random cells of all sizes.

    Args:
        initial: cells of the ladder.
        batch: cells evaluated in each turn; by default five, and a fiftieth of the evaluations
            after 250.
        pool: largest number of candidates in a large space.
        thrift: power of the predicted cost (of the first objective above 0, such as the energy) by
            which a gain is divided; 1 looks for the most gain for the energy.
    """

    name = "ehvi"
    asynchronous = True
    # Cells evaluated in a turn at least, by default.
    _least_batch = 5

    def __init__(
        self,
        problem: Problem,
        *,
        initial: int = 10,
        batch: int | None = None,
        pool: int = 2500,
        thrift: float = 0.0,
    ) -> None:
        super().__init__(problem)
        check_counts("EHVI", initial=initial, batch=1 if batch is None else batch)
        check_counts("EHVI", least=batch or self._least_batch, pool=pool)
        check_numbers("EHVI", least=0, thrift=thrift)
        self.initial = initial
        self.thrift = thrift
        self.pool = pool
        self._batch = batch
        self._new = self._allowed.copy()  # mask of the cells that were not evaluated
        self._started = False
        # Positions in `rows` at which the numbers of vertices change.
        sizes = [len(Space(vertices)) for vertices in range(2, self.space.vertices + 1)]
        self._starts = np.array([0, *np.searchsorted(self.rows, sizes)])
        self._groups = Groups(self.space, self._of_all_sizes(_SAMPLE))
        self._model = Model(self.space, self._groups)
        self._near: dict[int, Rows] = {}  # neighbours of cells that were on the front
        self._turn = 0

    @property
    def evaluated(self) -> Evaluated:
        """The cells with their costs, in the order in which they were evaluated."""
        return self._model.evaluated

    @property
    def batch(self) -> int:
        """Cells of the next turn."""
        return self._batch or max(self._least_batch, len(self.evaluated) // 50)

    def ask(self) -> Rows | Batch:
        """The first cells, or the next batch; nothing when every cell was evaluated."""
        if not self._started:
            self._started = True
            return self._first()
        self._turn += bool(len(self.evaluated))
        return self._best(self._pool(), self.batch)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Learn the costs; cells with a NaN are not learnt from and not asked for again."""
        self._learn(self._model, rows, costs)

    def _learn(self, model: Model, rows: ArrayLike, costs: ArrayLike) -> None:
        new = Evaluated(*self._checked(rows, costs))
        self._new[new.rows] = False
        new = new.known()
        if len(new):
            model.add(new)

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
        front = self.evaluated.rows[nondominated(self.evaluated.costs)]
        near = self._neighbours(front)
        if self._turn % _LOCAL == 0 and len(near) > self.batch:
            pool = near
        elif len(left) <= max(self.pool, self.batch) or len(self.rows) <= _WHOLE:
            return left
        else:
            drawn = [self._of_all_sizes(_ANYWHERE // 2), self.sample(_ANYWHERE // 2)]
            if len(front):
                parents = front[self.rng.integers(0, len(front), _PERTURBED)]
                drawn.append(perturb(self.space, parents, self.rng, allowed=self._new))
            pool = np.unique(np.concatenate([near, *drawn]))
            pool = pool[(pool >= 0) & self._new[pool]]
        if len(pool) > self.pool:
            pool = np.sort(self.rng.choice(pool, self.pool, replace=False))
        return pool if len(pool) else left[: self.pool]

    def _neighbours(self, front: Rows) -> Rows:
        """Neighbours of the cells of the front that were not evaluated, ascending."""
        for row in front.tolist():
            if row not in self._near:
                self._near[row] = self.space.neighbours(row)
        near = [front[:0], *(self._near[row] for row in front.tolist())]
        found = np.unique(np.concatenate(near))
        new: Rows = found[self._new[found]]
        return new

    # -- the choice ----

    def _best(self, pool: Rows, n: int) -> Rows:
        """(at most n,) cells of a pool; in random order if there is no choice or no knowledge."""
        if len(pool) <= n or not len(self.evaluated):
            return self.rng.permutation(pool)[:n]
        import scipy.linalg  # noqa: F401  # its BLAS is one of those that keep to one thread

        with one_blas_thread():
            return pool[self._chosen(pool, n)]

    def _chosen(self, pool: Rows, n: int) -> NDArray[np.intp]:
        """(n,) positions in the pool of the largest expected gains, one after another."""
        costs = self.evaluated.costs
        front = costs[nondominated(costs)]
        reference = costs.max(axis=0) + 0.01 * np.ptp(costs, axis=0)
        most = round(_BOXES ** (1 / len(reference)))
        if len(front) > most:
            front = front[np.argsort(-contributions(front, reference), kind="stable")[:most]]
        predictions = self._model.predictions(pool, self._turn)
        price = self._price(predictions)
        gain = expected_gain([p.partial_expectation for p in predictions], front, reference) / price
        short = np.argsort(-gain, kind="stable")[: max(_SHORTLIST, n)]
        predictions = [prediction.among(short) for prediction in predictions]
        chosen = [0]
        while len(chosen) < n:
            front = np.vstack([front, [p.suppose(chosen[-1]) for p in predictions]])
            front = front[nondominated(front)]
            gain = expected_gain([p.partial_expectation for p in predictions], front, reference)
            gain /= price[short]
            gain[chosen] = -1.0
            chosen.append(int(gain.argmax()))
        return short[chosen]

    def _price(self, predictions: list[Prediction]) -> Floats:
        """(n,) power of the predicted cost by which the gains of n cells are divided."""
        for prediction in predictions:
            if prediction.process.view.shift == 0.0:
                return np.exp(self.thrift * prediction.mean)
        return np.ones(len(predictions[0].mean))
