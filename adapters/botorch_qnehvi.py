"""qNEHVI, Bayesian optimisation by noisy expected hypervolume improvement, by BoTorch."""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import nondominated
from naslib_ecnas.errors import MissingDependencyError, check_counts
from naslib_ecnas.search.base import Evaluated, Optimiser, Problem, Rows
from naslib_ecnas.search.encoding import Encoding
from naslib_ecnas.search.operators import perturb

try:
    import torch
    from botorch.acquisition.multi_objective.monte_carlo import (
        qNoisyExpectedHypervolumeImprovement,
    )
    from botorch.exceptions.warnings import BotorchWarning
    from botorch.fit import fit_gpytorch_mll
    from botorch.models.gp_regression import SingleTaskGP
    from botorch.models.model_list_gp_regression import ModelListGP
    from botorch.sampling.normal import SobolQMCNormalSampler
    from botorch.utils.sampling import manual_seed
    from gpytorch.mlls import SumMarginalLogLikelihood
    from linear_operator.utils.warnings import NumericalWarning
except ImportError as error:
    raise MissingDependencyError("botorch", feature="this method", extra="botorch") from error

# Quasi-random draws of the models that the improvement is averaged over: half of BoTorch's usual
# number, for speed.
_DRAWS = 64
# Steps of a fit; later ones change little.
_FIT_STEPS = 50


class Qnehvi(Optimiser):
    """Noisy expected hypervolume improvement over a pool of candidates (Daulton et al. 2021).

    For each objective a Gaussian process is fitted to the evaluated cells, on their `Encoding`. A
    batch is then chosen, one cell after the other, from a pool of new cells: half of it perturbed
    from the nondominated cells, half drawn uniformly. The plain acquisition function is enough: its
    logarithm (Ament et al. 2023) helps an ascent by gradients, which is not used here.

    A run of 100 evaluations of two objectives takes about 20 s of one core, with three objectives
    several times as long.

    It stands for MO-SHBANANAS of the released baselines of EC-NAS, which fits an ensemble of
    networks instead of Gaussian processes, chooses among perturbed nondominated cells too, and
    filters them by successive halving over lower budgets, which a table at one budget lacks.

    Args:
        initial: cells drawn to start with.
        batch: cells of a proposal.
        pool: candidates of each batch.
        most: largest number of evaluations that the models are fitted to, the nondominated ones
            first and then the latest; the time of a fit grows with its third power.

    Raises:
        ConfigError: a number is not possible.

    Example:
        >>> from naslib_ecnas import load, search
        >>> search.run(load("4v"), Qnehvi, evaluations=30, seed=0).rows.shape
        (30,)
    """

    name: ClassVar[str] = "qnehvi"

    def __init__(
        self,
        problem: Problem,
        *,
        initial: int = 20,
        batch: int = 5,
        pool: int = 128,
        most: int = 200,
    ) -> None:
        super().__init__(problem)
        check_counts(self.name, initial=initial, batch=batch)
        check_counts(self.name, least=2, most=most)
        check_counts(self.name, least=batch, pool=pool)
        self.initial: int = initial
        self.batch: int = batch
        self.pool: int = pool
        self.most: int = most
        self._encoding = Encoding(self.space, self.rng)
        self._new = self._allowed.copy()
        self._told = Evaluated()

    def ask(self) -> Rows:
        """The first cells at random, then the batch of the largest expected improvement."""
        if len(np.unique(self._told.costs, axis=0)) < 2:  # there is nothing to fit yet
            return self.sample(self.initial)
        pool = self._candidates()
        if not len(pool):  # every cell is evaluated
            return self.sample(self.batch)
        if len(pool) <= self.batch:
            return pool
        return pool[self._chosen(pool)]

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Store costs; the models are fitted when the next cells are asked for.

        A cell with a NaN cost is ignored by the models and not proposed again.
        """
        where, values = self._checked(rows, costs)
        self._new[where] = False
        self._told += Evaluated(where, values).known()

    def _candidates(self) -> Rows:
        """(at most `pool`,) distinct rows that are not evaluated yet."""
        new = np.flatnonzero(self._new).astype(np.int32)
        if len(new) <= self.pool:
            return self.rng.permutation(new)
        front = self._told.rows[nondominated(self._told.costs)]
        parents = front[self.rng.integers(0, len(front), self.pool // 2)]
        near = perturb(self.space, parents, self.rng, allowed=self._new)
        near = np.unique(near[near >= 0])
        far = self.rng.choice(new, self.pool, replace=False)
        far = far[~np.isin(far, near)][: self.pool - len(near)]
        # In random order, so that none of equal improvements is preferred.
        return self.rng.permutation(np.concatenate([near, far]))

    def _fitted_to(self) -> Evaluated:
        """What the models are fitted to: the front, then the latest, at most `most`."""
        latest, best = self._told[::-1], nondominated(self._told.costs)[::-1]
        return (latest[best] + latest[~best])[: self.most]

    def _chosen(self, pool: Rows) -> NDArray[np.intp]:
        """(batch,) positions in the pool, chosen one after the other."""
        used = self._fitted_to()
        inputs = self._encoding(np.concatenate([used.rows, pool]))
        inputs = inputs - inputs.min(axis=0)  # the models' priors are for the unit cube
        inputs /= np.maximum(inputs.max(axis=0), np.finfo(float).tiny)
        known, choices = (torch.from_numpy(x) for x in np.split(inputs, [len(used)]))
        # BoTorch maximises: 0 is the worst cost, 1 the best.
        span = np.ptp(used.costs, axis=0)
        gains = (used.costs.max(axis=0) - used.costs) / np.where(span > 0, span, 1.0)

        seed = int(self.rng.integers(2**31))
        with warnings.catch_warnings(), manual_seed(seed):
            # Such as that an objective is constant, or that a fit was repeated.
            warnings.simplefilter("ignore", BotorchWarning)
            warnings.simplefilter("ignore", NumericalWarning)
            acquisition = self._acquisition(known, torch.from_numpy(gains), seed)
            left = np.arange(len(pool))
            taken: list[int] = []
            for _ in range(self.batch):
                with torch.no_grad():
                    value = acquisition(choices[left].unsqueeze(1))
                taken.append(int(left[int(value.argmax())]))
                left = np.delete(left, int(value.argmax()))
                acquisition.set_X_pending(choices[taken])
        return np.array(taken)

    @staticmethod
    def _acquisition(
        known: torch.Tensor, gains: torch.Tensor, seed: int
    ) -> qNoisyExpectedHypervolumeImprovement:
        models = ModelListGP(*(SingleTaskGP(known, gain[:, None]) for gain in gains.T))
        fit_gpytorch_mll(
            SumMarginalLogLikelihood(models.likelihood, models),
            optimizer_kwargs={"options": {"maxiter": _FIT_STEPS}},
        )
        return qNoisyExpectedHypervolumeImprovement(
            model=models,
            ref_point=[0.0] * gains.shape[1],
            X_baseline=known,
            sampler=SobolQMCNormalSampler(torch.Size([_DRAWS]), seed=seed),
            prune_baseline=True,
        )
