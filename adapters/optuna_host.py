"""Optuna: a benchmark as an objective for its samplers, and its samplers as search methods.

At one budget, the methods stand for released baselines of EC-NAS that need other frameworks:

- `Motpe` for MO-BOHB, a multi-objective TPE inside of Hyperband: without lower budgets, the TPE is
  left.
- `OptunaNsga2` for Bulk&Cut, which grows and then shrinks the parents of the best fronts: in a
  table no child inherits weights, and the variation of nondominated parents by edges and operations
  is left. `OptunaNsga3` is for more than two objectives.

`botorch_qnehvi.Qnehvi` stands for MO-SHBANANAS.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters.choices import Choices, Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import MissingDependencyError, check_counts
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.base import Evaluated, Optimiser, Problem
from naslib_ecnas.topologies import OPERATIONS

try:
    import optuna
    from optuna.distributions import CategoricalDistribution
    from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler, TPESampler
    from optuna.trial import BaseTrial, Trial
except ImportError as error:
    raise MissingDependencyError("optuna", feature="this adapter", extra="search") from error


class Parameters(Choices):
    """Choices as parameters of Optuna's, a boolean for an edge and a name for an operation."""

    @cached_property
    def distributions(self) -> dict[str, CategoricalDistribution]:
        """The search space by parameter, as `study.ask` takes it."""
        edge, operation = map(CategoricalDistribution, ((False, True), OPERATIONS))
        kinds = [edge] * len(self.edges) + [operation] * len(self.interior)
        return dict(zip(self.names, kinds, strict=True))

    def params(self, row: int, rng: np.random.Generator | None = None) -> dict[str, Any]:
        """Parameters of a cell, as `study.enqueue_trial` takes them; `rng` draws the operations of
        unused vertices."""
        point, kinds = self.encode([row], rng)[0].tolist(), self.distributions.items()
        return {name: kind.choices[n] for n, (name, kind) in zip(point, kinds, strict=True)}

    def row(self, params: dict[str, Any]) -> int:
        """Row of the cell of a trial's parameters."""
        kinds = self.distributions.items()
        return int(self.decode([[kind.choices.index(params[name]) for name, kind in kinds]])[0])


class EcnasObjective(Parameters):
    """An objective for `study.optimize`: suggests a cell and returns its objectives.

    The parameters are the choices of `adapters.choices`: a boolean for each possible edge and an
    operation for each interior vertex. All of them stand for a cell that the table has, so no trial
    fails. The values are the means over the table's repeats, in the metrics' units; a trial's user
    attributes `row` and `cell` identify the cell.

    Points drawn uniformly are not cells drawn uniformly: small cells have more points. To start
    from uniformly drawn cells, enqueue `params(row)` of some of them.

    Args:
        bench: the benchmark; its counter counts every trial.
        objectives: one or more metrics; `directions` has the direction of each.
        epochs: training budget; the largest by default.

    Raises:
        ConfigError, UnknownMetricError, UnknownBudgetError: see `Evaluation`.

    Example:
        objective = EcnasObjective(load("7v"))
        study = optuna.create_study(directions=objective.directions)
        study.optimize(objective, n_trials=100)
        study.best_trials[0].user_attrs["cell"]
    """

    def __init__(
        self, bench: Benchmark, objectives: Sequence[str] = OBJECTIVES, epochs: int | None = None
    ) -> None:
        self.evaluation: Evaluation = Evaluation(bench, objectives, epochs)
        super().__init__(bench.space, self.evaluation.rows)

    @property
    def directions(self) -> list[str]:
        """`"maximize"` or `"minimize"` for each objective, as `optuna.create_study` takes them."""
        return ["maximize" if m.maximise else "minimize" for m in self.evaluation.metrics]

    def __call__(self, trial: BaseTrial) -> tuple[float, ...]:
        for name, distribution in self.distributions.items():
            trial.suggest_categorical(name, distribution.choices)
        row = self.row(trial.params)
        trial.set_user_attr("row", row)
        trial.set_user_attr("cell", str(self.space.cell(row)))
        return tuple(self.evaluation.values([row])[0].tolist())


class _OptunaMethod(Optimiser):
    """A sampler of Optuna's as a search method, in memory, on the choices of `adapters.choices`.

    The first cells are drawn uniformly, as by other methods; then the sampler proposes one cell at
    a time. A cell that it proposes again is evaluated again. A proposal without costs stays open,
    as with Optuna's own parallel workers.
    """

    asynchronous = True

    def __init__(self, problem: Problem, *, initial: int) -> None:
        super().__init__(problem)
        check_counts(self.name, initial=initial)
        self.initial = initial
        self._choices = Parameters(self.space, self.rows)
        self._study: optuna.Study | None = None
        self._open: dict[int, list[Trial]] = {}  # by row, the proposals without costs

    @abstractmethod
    def _sampler(self, seed: int) -> BaseSampler: ...

    def ask(self) -> NDArray[np.int32]:
        """The first cells at random, then one proposal of the sampler."""
        if self._study is None:
            return self.sample(self.initial)
        trial = self._study.ask({**self._choices.distributions})
        row = self._choices.row(trial.params)
        self._open.setdefault(row, []).append(trial)
        return np.array([row], dtype=np.int32)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Finish the open trials, or add finished ones for cells that were not asked for.

        Cells with a NaN cost are ignored.
        """
        told = Evaluated(*self._checked(rows, costs)).known()
        if not len(told):
            return
        if self._study is None:
            # Only the first costs show the number of objectives, which Optuna needs.
            seed = int(self.rng.integers(2**31))
            with _quiet():
                self._study = optuna.create_study(
                    directions=["minimize"] * told.costs.shape[1], sampler=self._sampler(seed)
                )
        for row, cost in zip(told.rows.tolist(), told.costs.tolist(), strict=True):
            if not self._open.get(row):
                self._study.enqueue_trial(self._choices.params(row, self.rng))
                self._open[row] = [self._study.ask({**self._choices.distributions})]
            self._study.tell(self._open[row].pop(0), cost)


class Motpe(_OptunaMethod):
    """The multi-objective tree-structured Parzen estimator (Ozaki et al. 2020), by Optuna.

    The estimator is one joint estimator over all choices (`multivariate`): for the 26 choices of
    seven vertices it is about four times as fast as one for each choice, and not worse. The time of
    a proposal grows with the number of trials: 1,000 evaluations on seven vertices take 15 to 20 s
    of one core. It often repeats good cells: about 300 of those 1,000 cells are different ones.

    Args:
        initial: cells drawn to start with.
        candidates: points drawn from the estimator of good points; the best is proposed.

    Example:
        >>> from naslib_ecnas import load, search
        >>> search.run(load("4v"), Motpe, evaluations=30, seed=0).rows.shape
        (30,)
    """

    name: ClassVar[str] = "motpe"

    def __init__(self, problem: Problem, *, initial: int = 10, candidates: int = 24) -> None:
        super().__init__(problem, initial=initial)
        check_counts(self.name, candidates=candidates)
        self.candidates = candidates

    def _sampler(self, seed: int) -> BaseSampler:
        return TPESampler(
            seed=seed,
            n_startup_trials=self.initial,
            n_ei_candidates=self.candidates,
            multivariate=True,
            constant_liar=False,  # there is one open trial at most
        )


class _OptunaGenetic(_OptunaMethod):
    """A genetic sampler of Optuna's.

    Args:
        population: cells drawn to start with, and size of each generation; at least 2.
    """

    _kind: ClassVar[Callable[..., BaseSampler]]

    def __init__(self, problem: Problem, *, population: int = 20) -> None:
        check_counts(self.name, least=2, population=population)  # a crossover has two parents
        super().__init__(problem, initial=population)

    def _sampler(self, seed: int) -> BaseSampler:
        return self._kind(seed=seed, population_size=self.initial)


class OptunaNsga2(_OptunaGenetic):
    """NSGA-II (Deb et al. 2002) on the choices, by Optuna, with a `population` of at least 2.

    Uniform crossover, then each of the n choices is drawn anew with probability 1 / n.
    """

    name: ClassVar[str] = "optuna-nsga2"
    _kind = NSGAIISampler


class OptunaNsga3(_OptunaGenetic):
    """NSGA-III (Deb and Jain 2014) on the choices, by Optuna, for more than two objectives."""

    name: ClassVar[str] = "nsga3"
    _kind = NSGAIIISampler


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Optuna's log of a new study and its warnings of experimental options."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
