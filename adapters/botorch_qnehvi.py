"""BoTorch: its noisy expected hypervolume improvement as a method, and a benchmark as a problem."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters.choices import Evaluation
from naslib_ecnas.analysis import nondominated
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import MissingDependencyError, as_array, check_counts
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.accounting import Ledger
from naslib_ecnas.search.base import Evaluated, Optimiser, Problem, Rows
from naslib_ecnas.search.encoding import Encoding
from naslib_ecnas.search.operators import perturb
from naslib_ecnas.search.result import check_objectives

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
    from botorch.test_functions.base import MultiObjectiveTestProblem
    from botorch.utils.sampling import manual_seed
    from gpytorch.mlls import SumMarginalLogLikelihood
    from linear_operator.utils.warnings import NumericalWarning
except ImportError as error:
    raise MissingDependencyError("botorch", feature="this method", extra="botorch") from error

# Quasi-random draws of the models that the improvement is averaged over: half of BoTorch's usual
# number, for speed.
_DRAWS = 64
# Evaluations that the models are fitted to at most; a fit's time grows with their third power.
_MOST = 200
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

    Raises:
        ConfigError: a number is not possible.

    Examples:
        >>> from naslib_ecnas import load, search
        >>> search.run(load("4v"), Qnehvi, evaluations=30, seed=0).rows.shape
        (30,)
    """

    name: ClassVar[str] = "qnehvi"

    def __init__(
        self, problem: Problem, *, initial: int = 20, batch: int = 5, pool: int = 128
    ) -> None:
        super().__init__(problem)
        check_counts(self.name, initial=initial, batch=batch)
        check_counts(self.name, least=batch, pool=pool)
        self.initial: int = initial
        self.batch: int = batch
        self.pool: int = pool
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

    def _chosen(self, pool: Rows) -> NDArray[np.intp]:
        """(batch,) positions in the pool, chosen one after the other."""
        # The models are fitted to the front, then the latest.
        latest, best = self._told[::-1], nondominated(self._told.costs)[::-1]
        used = (latest[best] + latest[~best])[:_MOST]
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


class EcnasTestProblem(MultiObjectiveTestProblem):  # type: ignore[misc]
    """Metrics of a benchmark as a test problem of BoTorch, over the choices of `adapters.choices`.

    The inputs are whole numbers: 0 or 1 for an edge (`discrete_inds`) and 0 to 2 for an operation
    (`categorical_inds`), as `optimize_acqf_mixed_alternating` proposes them. The outputs are costs;
    with `negate=True` more is better, as BoTorch's optimisers want it. They have the inputs' dtype,
    or double for integers and booleans.

    Args:
        bench: the benchmark; its counter counts every evaluated cell.
        objectives: two or more metrics, in any direction.
        epochs: training budget; the largest by default.
        settings: `negate`, `noise_std` and `dtype` of BoTorch's test problems.

    Attributes:
        ref_point: (m,) point behind the true front's nadir (`analysis.Scale`), in costs.
        max_hv: hypervolume of the true front from there.

    Raises:
        ConfigError, UnknownMetricError, UnknownBudgetError: see `Evaluation`; ConfigError too for a
            single objective.
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        epochs: int | None = None,
        **settings: Any,
    ) -> None:
        evaluation = Evaluation(bench, check_objectives(objectives), epochs)
        edges, sizes = len(evaluation.choices.edges), evaluation.choices.sizes.tolist()
        self.dim: int = len(sizes)
        self.num_objectives: int = len(evaluation.metrics)
        self._bounds = [(0.0, size - 1.0) for size in sizes]
        self.discrete_inds: list[int] = list(range(edges))
        self.categorical_inds: list[int] = list(range(edges, self.dim))
        scale = Ledger.of(bench, evaluation.objectives, evaluation.epochs).scale
        span = np.subtract(scale.reference, scale.ideal)
        self._ref_point = (evaluation.signs * scale.reference).tolist()
        self._max_hv = float(scale.volume * np.abs(span).prod())
        super().__init__(**settings)
        self.evaluation: Evaluation = evaluation

    def forward(self, X: torch.Tensor, noise: bool = True) -> Any:
        """(..., m) costs of (..., dim) choices, with noise if there is a `noise_std`."""
        return super().forward(_floating(X), noise)

    def evaluate_true(self, X: torch.Tensor) -> Any:
        """(..., m) costs of (..., dim) choices, without noise."""
        return super().evaluate_true(_floating(X))

    def _evaluate_true(self, X: torch.Tensor) -> torch.Tensor:
        points = as_array(X).reshape(-1, self.dim)
        values = self.evaluation.values(self.evaluation.choices.decode(points))
        costs = torch.from_numpy(values * self.evaluation.signs).to(X)
        return costs.reshape(*X.shape[:-1], self.num_objectives)


def _floating(X: torch.Tensor) -> torch.Tensor:
    return X if X.is_floating_point() else X.double()
