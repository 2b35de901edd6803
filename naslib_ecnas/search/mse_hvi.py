"""MSE-HVI: Bayesian optimisation by the expected improvement of the hypervolume."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import nondominated
from naslib_ecnas.checked import check_counts
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search._regression import FourierFeatures, Posterior, Regression
from naslib_ecnas.search.avoidance import Known
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.encoding import Encoding
from naslib_ecnas.search.improvement import expected_improvement
from naslib_ecnas.search.perturbation import perturb
from naslib_ecnas.search.released_draws import draw_released
from naslib_ecnas.space import Space

__all__ = ["MseHvi"]

# Candidates of the largest improvement that are looked at again after one was chosen.
_FEW = 24


class MseHvi(Optimiser):
    """Mixed-surrogate expected hypervolume improvement (Izquierdo et al. 2021, "Bag of Baselines
    for Multi-objective Joint NAS and HPO"; MSE-HVI in the EC-NAS paper).

    As published: a few random cells, then one after another the cell with the largest expected
    improvement of the hypervolume, under a probabilistic surrogate for each objective, fitted to
    all evaluations so far; an objective that can be computed without a training is taken as it is
    (`known`), which is what is mixed about it.

    Our reading: the surrogate is a Gaussian process in random features over an encoding of the
    cell (`Encoding`, `Regression`) instead of one over raw parameters, with an exact improvement
    for any number of objectives (`expected_improvement`). It is maximised over a pool of
    perturbed cells of the front and uniform draws, since a space of cells has no gradient, and
    cells that were evaluated are not in the pool. Several cells are chosen at a time: each as if
    those before had already been found as predicted. The reference point is the worst cost seen
    in each objective. The released code looks the energy of every candidate up in the table
    before it is trained; no search may do that here, so energy is predicted like the rest.

    With `paper=True` the first cells and the pool are drawn as in the released code
    (`released_draws`): what is no cell is dropped and counted as `skipped`. Not reproduced: the
    free look at the energies, and the energy of 0 of what is no cell.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`.
        initial: random cells to start with.
        batch: cells chosen at a time; 1 as published.
        pool: candidates, half of them perturbed cells of the front.
        known: costs of an objective over the whole space that need no training, by its number:
            (n_cells,) each.
        cosines: random features of the surrogate.

    Raises:
        ConfigError: a setting that is not possible.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> space = Space(4)
        >>> search = MseHvi(space=space, rng=np.random.default_rng(0), batch=2)
        >>> for _ in range(20):
        ...     rows = search.ask()
        ...     cells = [space.cell(row) for row in rows]
        ...     search.tell(rows, [(cell.edges, 4 - cell.vertices) for cell in cells])
        >>> search.front_costs.tolist()  # the fewest edges for 2, 3 and 4 vertices
        [[1.0, 2.0], [2.0, 1.0], [3.0, 0.0]]
    """

    name = "mse-hvi"
    has_paper_setting = True

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        initial: int = 10,
        batch: int = 10,
        pool: int = 128,
        known: Mapping[int, ArrayLike] | None = None,
        cosines: int = 64,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper, budgets=budgets)
        check_counts("MSE-HVI", initial=initial, batch=batch, cosines=cosines, pool=pool)
        exact = {i: np.asarray(costs, dtype=np.float64) for i, costs in (known or {}).items()}
        wrong = [i for i, costs in exact.items() if costs.shape != (len(space),)]
        if pool < batch or wrong:
            raise ConfigError(
                "no such MSE-HVI",
                value={"initial": initial, "batch": batch, "pool": pool, "known": list(exact)},
                expected="at least one cell in each, a pool that holds a batch, and known costs "
                "of every cell of the space",
                remedy="leave them at their defaults",
            )
        self.initial = initial
        self.batch = batch
        self.pool = pool
        self._exact = exact
        self._known = Known(self._allowed, avoid=True)
        self._encode = Encoding(space, rng)
        self._features = FourierFeatures(len(self._encode), rng, cosines=cosines)
        self._model: Regression | None = None
        self._worst: NDArray[np.float64] = np.empty(0)  # set with the model
        #: (k,) rows of the front found so far, from the least first cost.
        self.front_rows: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        #: (k, m) their costs.
        self.front_costs: NDArray[np.float64] = np.empty((0, 2))
        self._told = 0

    def ask(self) -> NDArray[np.int32]:
        """The first cells at random, then those of the largest expected improvement."""
        if self._told < self.initial or self._model is None or len(self._model) < 2:
            missing = max(1, self.initial - self._told)
            return self._drawn(missing) if self.paper else self._known.sample(self.rng, missing)
        pool = np.unique(self._candidates())
        return pool[self._chosen(pool)]

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Learn the costs; what has a NaN is not learnt from and not asked for again."""
        new_rows, new_costs = self._checked(rows, costs)
        self._told += len(new_rows)
        self._known.note(new_rows)
        there = ~np.isnan(new_costs).any(axis=1)
        new_rows, new_costs = new_rows[there], new_costs[there]
        if not len(new_rows):
            return
        if self._model is None:
            self._model = Regression(len(self._features), new_costs.shape[1])
            self._worst = new_costs.max(axis=0)
            self.front_costs = new_costs[:0]
        self._model.add(self._features(self._encode(new_rows)), new_costs)
        self._worst = np.maximum(self._worst, new_costs.max(axis=0))
        every = np.concatenate([self.front_rows, new_rows])
        every_costs = np.concatenate([self.front_costs, new_costs])
        kept = np.flatnonzero(nondominated(every_costs))
        kept = kept[np.lexsort(every_costs[kept].T[::-1])]
        self.front_rows, self.front_costs = every[kept], every_costs[kept]

    def predict(self, rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, m) mean and standard deviation of the costs of (n,) cells.

        Raises:
            ConfigError: too little was told so far.
        """
        if self._model is None or len(self._model) < 2:
            raise ConfigError(
                "nothing to predict from",
                value=0 if self._model is None else len(self._model),
                expected="costs of at least two cells",
                remedy="tell more first",
            )
        return self._predicted(self._model.fit(), np.asarray(rows, dtype=np.int32))

    def _predicted(
        self, posterior: Posterior, rows: NDArray[np.int32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean, std = posterior(self._features(self._encode(rows)))
        for objective, costs in self._exact.items():
            mean[:, objective], std[:, objective] = costs[rows], 0.0
        return mean, std

    def _drawn(self, n: int) -> NDArray[np.int32]:
        rows, skipped = draw_released(self, n)
        self.skipped += skipped
        return rows

    def _candidates(self) -> NDArray[np.int32]:
        """Cells to choose from, those not yet evaluated where there are such."""
        new = self._known.proposable
        if self.paper:
            drawn = self._drawn(self.pool)
            return drawn[new[drawn]] if new[drawn].any() else drawn
        parents = self.front_rows[self.rng.integers(0, len(self.front_rows), self.pool // 2)]
        near = perturb(self.space, parents, self.rng, allowed=new)
        far = self.sample(self.pool - len(near))
        both = np.concatenate([near[near >= 0], far[new[far]]])
        return both if len(both) else self._known.sample(self.rng, self.batch)

    def _chosen(self, pool: NDArray[np.int32]) -> NDArray[np.int64]:
        """(at most batch,) positions in the pool, one after the other."""
        mean, std = self.predict(pool)
        front, worst = self.front_costs, self._worst
        bound = expected_improvement(mean, std, front, worst)
        chosen = [int(bound.argmax())]
        while len(chosen) < min(self.batch, len(pool)):
            last = chosen[-1]
            bound[last] = -1.0
            front = np.concatenate([front, mean[last : last + 1]])
            front = front[nondominated(front)]
            # A larger front never makes an improvement larger, so few have to be computed anew.
            some = np.argsort(-bound, kind="stable")[:_FEW]
            beyond = np.delete(bound, some).max(initial=-1.0)
            some = some[bound[some] >= 0]
            bound[some] = expected_improvement(mean[some], std[some], front, worst)
            if bound[some].max() < beyond:
                left = np.flatnonzero(bound >= 0)
                bound[left] = expected_improvement(mean[left], std[left], front, worst)
            chosen.append(int(bound.argmax()))
        return np.array(chosen, dtype=np.int64)
