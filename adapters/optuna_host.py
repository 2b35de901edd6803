"""Optuna's samplers as search methods: the multi-objective TPE, NSGA-II and NSGA-III.

They stand, each at one budget, for methods among the released baselines of EC-NAS that come with
a whole machinery of their own:

- `Motpe` for MO-BOHB, which is a multi-objective TPE inside of Hyperband. A table at one budget
  has no lower ones to filter by, and what is left then is the TPE.
- `OptunaNsga2` for Bulk&Cut, which grows and then shrinks the parents of the best fronts. In a
  table no child inherits weights, and what is left is the variation of nondominated parents by
  edges and operations. `OptunaNsga3` is for more than two objectives.

`botorch_qnehvi.Qnehvi` stands for MO-SHBANANAS.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters.choices import Choices, Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, MissingDependencyError
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS

__all__ = [
    "EcnasObjective",
    "Motpe",
    "OptunaGenetic",
    "OptunaMethod",
    "OptunaNsga2",
    "OptunaNsga3",
    "distributions",
    "params_of",
    "point_of",
]


# A benchmark as an Optuna objective, for any of Optuna's samplers.


try:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import BaseTrial
except ImportError as error:
    raise MissingDependencyError("optuna", feature="this adapter", extra="search") from error

_EDGE = (False, True)


class EcnasObjective:
    """What `study.optimize` calls: it suggests a cell and answers its objectives.

    The parameters are the choices of `adapters.choices`: a boolean for each possible edge and an
    operation for each interior vertex. Whatever a sampler suggests stands for a cell that the
    table holds, so no trial fails and none has to be pruned. The values are the means over the
    table's repeats, in the metrics' units; a trial's user attributes `row` and `cell` say which
    cell it was.

    A point drawn at random is no cell drawn at random: small cells have more drawings. To start
    from uniformly drawn cells, enqueue `params(row)` of some of them.

    Args:
        bench: the benchmark; its counter counts every trial.
        objectives: one or more metrics; `directions` has the direction of each.
        epochs: training budget; the largest where left out.

    Raises:
        ConfigError, UnknownMetricError, UnknownBudgetError: see `Evaluation`.

    Example:
        objective = EcnasObjective(load("7v"))
        study = optuna.create_study(directions=objective.directions)
        study.optimize(objective, n_trials=100)
        study.best_trials[0].user_attrs["cell"]
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        epochs: int | None = None,
    ) -> None:
        self.evaluation: Evaluation = Evaluation(bench, objectives, epochs)
        self.choices: Choices = Choices(bench.space, self.evaluation.rows)

    @property
    def directions(self) -> list[str]:
        """`"maximize"` or `"minimize"` for each objective, as `optuna.create_study` takes them."""
        return ["maximize" if m.maximise else "minimize" for m in self.evaluation.metrics]

    @property
    def distributions(self) -> dict[str, CategoricalDistribution]:
        """The search space by parameter, as `study.ask` takes it."""
        return distributions(self.choices)

    def params(self, row: int) -> dict[str, Any]:
        """Parameters of a cell, as `study.enqueue_trial` takes them."""
        return params_of(self.choices, row)

    def suggest(self, trial: BaseTrial) -> int:
        """Row of the cell that a trial suggests."""
        for name, distribution in self.distributions.items():
            trial.suggest_categorical(name, distribution.choices)
        return self.row(trial.params)

    def row(self, params: dict[str, Any]) -> int:
        """Row of the cell of a trial's parameters."""
        return int(self.choices.decode([point_of(self.choices, params)])[0])

    def __call__(self, trial: BaseTrial) -> tuple[float, ...]:
        row = self.suggest(trial)
        trial.set_user_attr("row", row)
        trial.set_user_attr("cell", str(self.choices.space.cell(row)))
        return tuple(self.evaluation.values([row])[0].tolist())


def distributions(choices: Choices) -> dict[str, CategoricalDistribution]:
    """Optuna's distribution of each choice."""
    edge, operation = (CategoricalDistribution(values) for values in (_EDGE, OPERATIONS))
    kinds = [edge] * len(choices.edges) + [operation] * len(choices.interior)
    return dict(zip(choices.names, kinds, strict=True))


def params_of(choices: Choices, row: int, rng: np.random.Generator | None = None) -> dict[str, Any]:
    """Parameters of a cell; `rng` draws the operations of vertices that it does not use."""
    point = choices.encode([row], rng)[0].tolist()
    edges = len(choices.edges)
    values = [_EDGE[n] for n in point[:edges]] + [OPERATIONS[n] for n in point[edges:]]
    return dict(zip(choices.names, values, strict=True))


def point_of(choices: Choices, params: dict[str, Any]) -> list[int]:
    """The inverse of `params_of`, for any parameters."""
    edges = choices.names[: len(choices.edges)]
    operations = choices.names[len(edges) :]
    return [int(params[n]) for n in edges] + [OPERATIONS.index(params[n]) for n in operations]


try:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler, TPESampler
    from optuna.trial import Trial, TrialState
except ImportError as error:
    raise MissingDependencyError("optuna", feature="this method", extra="search") from error


class OptunaMethod(Optimiser):
    """A sampler of Optuna's through ask and tell, in memory, on the choices of `adapters.choices`.

    The first cells are drawn uniformly over those allowed, as other methods do, and then told;
    from there on the sampler proposes one cell at a time. A cell that it proposes again is
    evaluated again.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting.
        initial: cells drawn to start with.
    """

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        initial: int,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper, budgets=budgets)
        if initial < 1:
            raise ConfigError(
                f"no such {self.name}",
                value=initial,
                expected="at least one cell to start with",
                remedy="leave it at its default",
            )
        self.initial = initial
        self._choices = Choices(space, self.rows)
        # A type of its own, since a dict of one kind is no dict of its base.
        self._distributions: dict[str, BaseDistribution] = {**distributions(self._choices)}
        self._study: optuna.Study | None = None
        self._open: tuple[Trial, int] | None = None

    @abstractmethod
    def _sampler(self, seed: int) -> BaseSampler:
        """The sampler with a seed."""

    def ask(self) -> NDArray[np.int32]:
        """The first cells at random, then one that the sampler proposes."""
        if self._study is None:
            return self.sample(self.initial)
        self._close()
        trial = self._study.ask(self._distributions)
        rows = self._choices.decode([point_of(self._choices, trial.params)])
        self._open = (trial, int(rows[0]))
        return rows

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Finishes the open trial, or enters a new one for a cell that was not asked for.

        What has a NaN cost is a failed trial, from which the sampler learns nothing.
        """
        where, values = self._checked(rows, costs)
        if not len(where):
            return
        if self._study is None:
            # Optuna has to know the number of objectives, which the first costs tell.
            seed = int(self.rng.integers(2**31))
            with _quiet():
                self._study = optuna.create_study(
                    directions=["minimize"] * values.shape[1], sampler=self._sampler(seed)
                )
        for row, cost in zip(where.tolist(), values, strict=True):
            trial = self._trial(self._study, row)
            if np.isnan(cost).any():
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, cost.tolist())

    def _trial(self, study: optuna.Study, row: int) -> Trial:
        """The open trial if it is of this cell, else a new one."""
        if self._open is not None and self._open[1] == row:
            trial, self._open = self._open[0], None
            return trial
        study.enqueue_trial(params_of(self._choices, row, self.rng))
        return study.ask(self._distributions)

    def _close(self) -> None:
        """Give up a proposal that was never told."""
        if self._study is not None and self._open is not None:
            self._study.tell(self._open[0], state=TrialState.FAIL)
            self._open = None


class Motpe(OptunaMethod):
    """The multi-objective tree-structured Parzen estimator (Ozaki et al. 2020), by Optuna.

    The estimator is the joint one over all choices (`multivariate`): for the 26 choices of seven
    vertices it is some four times as fast as one for each choice, and no worse. The time of an
    answer grows with the trials told: 1,000 evaluations on seven vertices take 15 to 20 s of one
    core. It likes to come back to what was good: some 300 of those 1,000 cells are different ones.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting.
        initial: cells drawn to start with.
        candidates: points drawn from the good estimator, of which the best one is proposed.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> space = Space(4)
        >>> search = Motpe(space=space, rng=np.random.default_rng(0))
        >>> for _ in range(30):
        ...     rows = search.ask()
        ...     cells = [space.cell(row) for row in rows]
        ...     search.tell(rows, [(cell.edges, 4 - cell.vertices) for cell in cells])
        >>> rows.shape
        (1,)
    """

    name: ClassVar[str] = "motpe"

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        initial: int = 10,
        candidates: int = 24,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(
            space=space, rng=rng, rows=rows, paper=paper, budgets=budgets, initial=initial
        )
        if candidates < 1:
            raise ConfigError(
                "no such TPE",
                value=candidates,
                expected="at least one candidate",
                remedy="Optuna's default is 24",
            )
        self.candidates = candidates

    def _sampler(self, seed: int) -> BaseSampler:
        return TPESampler(
            seed=seed,
            n_startup_trials=self.initial,
            n_ei_candidates=self.candidates,
            multivariate=True,
            constant_liar=False,  # there is one open trial at most
        )


class OptunaGenetic(OptunaMethod):
    """A genetic sampler of Optuna's.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting.
        population: cells drawn to start with, and kept of each generation; at least 2.
    """

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        population: int = 20,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(
            space=space, rng=rng, rows=rows, paper=paper, budgets=budgets, initial=population
        )
        if population < 2:
            raise ConfigError(
                "no such population",
                value=population,
                expected="at least two cells",
                remedy="a crossover has two parents",
            )


class OptunaNsga2(OptunaGenetic):
    """NSGA-II (Deb et al. 2002) on the choices, by Optuna.

    Uniform crossover, then each choice drawn anew with a chance of one in their number.

    Args:
        space, rng, rows, paper, budgets, population: see `OptunaGenetic`.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> search = OptunaNsga2(space=Space(4), rng=np.random.default_rng(0), population=5)
        >>> search.ask().shape
        (5,)
    """

    name: ClassVar[str] = "optuna-nsga2"

    def _sampler(self, seed: int) -> BaseSampler:
        return NSGAIISampler(seed=seed, population_size=self.initial)


class OptunaNsga3(OptunaGenetic):
    """NSGA-III (Deb and Jain 2014) on the choices, by Optuna, for more than two objectives.

    Args:
        space, rng, rows, paper, budgets, population: see `OptunaGenetic`.
    """

    name: ClassVar[str] = "nsga3"

    def _sampler(self, seed: int) -> BaseSampler:
        return NSGAIIISampler(seed=seed, population_size=self.initial)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's log of a new study and its warnings of experimental options."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
