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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters.choices import Choices, Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import (
    ConfigError,
    MissingDependencyError,
    UnknownMetricError,
    check_counts,
)
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.base import Evaluated, Optimiser, Problem

try:
    import optuna
    from optuna.distributions import CategoricalDistribution
    from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler, TPESampler
    from optuna.trial import BaseTrial, Trial
except ImportError as error:
    raise MissingDependencyError("optuna", feature="this adapter", extra="search") from error


def _distributions(choices: Choices) -> dict[str, CategoricalDistribution]:
    """Distribution of each parameter, as `study.ask` takes them."""
    return {name: CategoricalDistribution(of) for name, of in choices.categories.items()}


class EcnasObjective:
    """An objective for `study.optimize`: suggests a cell, trains it and returns its objectives.

    The parameters are `Choices.categories`. All of them stand for a cell that the table has, so no
    trial fails. Each trial has the user attributes `row` and `cell`, and `training_time_s` and
    `energy_kwh`, the sums of what was charged for it, where the table knows them. The values
    are the means over the table's repeats, in the metrics' units.

    Points drawn uniformly are not cells drawn uniformly: small cells have more points. To start
    from uniformly drawn cells, enqueue `choices.params(row)` of some of them.

    Args:
        bench: the benchmark; its counter counts every training.
        objectives: one or more metrics. A study whose `directions` are not those of the metrics is
            refused at its first trial.
        epochs: training budget; the largest by default.
        constraints: limit of each constrained metric in its unit (see `Evaluation`). A trial's
            constraints are how far it is past them, at the budget it was last trained for.
        budgets: smaller budgets, of a single objective. The cell is trained at each of them first,
            which is charged, reported at this number of epochs, and may be pruned there.

    Attributes:
        evaluation: the benchmark, metrics and budgets.
        choices: the parameters of the cells.
        search_space: the distribution of each parameter.

    Raises:
        ConfigError, UnknownMetricError, UnknownBudgetError: see `Evaluation`; ConfigError too for
            budgets that are not smaller or of several objectives, a study of other directions, and
            constraints before Optuna 5.

    Examples:
        objective = EcnasObjective(load("7v"), constraints={"training_time_s": 1200})
        study = optuna.create_study(directions=objective.directions)
        study.optimize(objective, n_trials=100)
        study.best_trials[0].user_attrs["cell"]
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        epochs: int | None = None,
        constraints: Mapping[str, float] | None = None,
        budgets: Sequence[int] = (),
    ) -> None:
        self.evaluation: Evaluation = Evaluation(bench, objectives, epochs, constraints, budgets)
        self.choices: Choices = self.evaluation.choices
        self.search_space: dict[str, CategoricalDistribution] = _distributions(self.choices)
        self._steps = self.evaluation.budgets
        if len(self._steps) > 1 and (
            self._steps[-1] > self.evaluation.epochs or len(self.evaluation.metrics) > 1
        ):
            message = "budgets must be smaller than epochs, and are for a single objective"
            raise ConfigError(message, value=budgets)

    @property
    def directions(self) -> list[str]:
        """`"maximize"` or `"minimize"` for each objective, as `optuna.create_study` takes them."""
        return ["maximize" if m.maximise else "minimize" for m in self.evaluation.metrics]

    def __call__(self, trial: BaseTrial) -> tuple[float, ...]:
        self._check(trial)
        params = {n: trial.suggest_categorical(n, of) for n, of in self.choices.categories.items()}
        row = self.choices.row(params)
        trial.set_user_attr("row", row)
        trial.set_user_attr("cell", str(self.choices.space.cell(row)))
        charged = {"training_time_s": 0.0, "energy_kwh": 0.0}
        pruned = False
        for step in self._steps:
            outcome = self.evaluation(row, step)
            charged = {n: v + outcome.record[n] for n, v in charged.items() if n in outcome.record}
            if len(self._steps) > 1:
                trial.report(outcome.values[0], step)
                pruned = step < self._steps[-1] and trial.should_prune()
            if pruned:
                break
        for name, excess in outcome.violations.items():
            trial.set_constraint(name, excess)
        for name, value in charged.items():
            trial.set_user_attr(name, value)
        if pruned:
            raise optuna.TrialPruned(f"pruned after the training of {step} epochs")
        return outcome.values

    @staticmethod
    def runtime(trial: BaseTrial) -> float:
        """Time in s charged for a trial, as OptunaHub's simulator of parallel workers takes it.

        Raises:
            UnknownMetricError: the table does not know it.
        """
        if "training_time_s" not in trial.user_attrs:
            raise UnknownMetricError(f"the training time of trial {trial.number} is not known")
        return float(trial.user_attrs["training_time_s"])

    def _check(self, trial: BaseTrial) -> None:
        study = getattr(trial, "study", None)  # a trial of fixed parameters has none
        found = self.directions if study is None else [d.name.lower() for d in study.directions]
        if found != self.directions:
            names = ", ".join(self.evaluation.objectives)
            message = f"a study of {names} must have the directions {self.directions}"
            raise ConfigError(message, value=found)
        if self.evaluation.constraints and not hasattr(trial, "set_constraint"):
            raise ConfigError("constraints need Optuna 5 or newer", value=optuna.__version__)


class _OptunaMethod(Optimiser):
    """A sampler of Optuna's as a search method, in memory, on the choices of `adapters.choices`.

    The first cells are drawn uniformly, as by other methods; then the sampler proposes one cell at
    a time. A cell that it proposes again is evaluated again. A proposal without costs stays open,
    as with Optuna's own parallel workers.
    """

    asynchronous = True

    def __init__(self, problem: Problem, *, initial: int = 10) -> None:
        super().__init__(problem)
        check_counts(self.name, initial=initial)
        self.initial = initial
        self._choices = Choices(self.space, self.rows)
        self._distributions = _distributions(self._choices)
        self._study: optuna.Study | None = None
        self._open: dict[int, list[Trial]] = {}  # by row, the proposals without costs

    @abstractmethod
    def _sampler(self, seed: int) -> BaseSampler: ...

    def ask(self) -> NDArray[np.int32]:
        """The first cells at random, then one proposal of the sampler."""
        if self._study is None:
            return self.sample(self.initial)
        trial = self._study.ask({**self._distributions})
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
                self._open[row] = [self._study.ask({**self._distributions})]
            self._study.tell(self._open[row].pop(0), cost)


class Motpe(_OptunaMethod):
    """The multi-objective tree-structured Parzen estimator (Ozaki et al. 2020), by Optuna.

    The estimator is one joint estimator over all choices (`multivariate`): for the 26 choices of
    seven vertices it is about four times as fast as one for each choice, and not worse. The time of
    a proposal grows with the number of trials: 1,000 evaluations on seven vertices take 15 to 20 s
    of one core. It often repeats good cells: about 300 of those 1,000 cells are different ones.

    Args:
        initial: cells drawn to start with.

    Examples:
        >>> from naslib_ecnas import load, search
        >>> search.run(load("4v"), Motpe, evaluations=30, seed=0).rows.shape
        (30,)
    """

    name: ClassVar[str] = "motpe"

    def _sampler(self, seed: int) -> BaseSampler:
        return TPESampler(
            seed=seed,
            n_startup_trials=self.initial,
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
