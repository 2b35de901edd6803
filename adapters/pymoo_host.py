"""pymoo: a benchmark as a problem with operators for cells, and its algorithms as search methods.

A solution has one variable, the row of its cell, so two solutions are equal when their cells are.
Neighbouring rows have nothing in common, so pymoo's own operators for numbers do not apply: use
those of `operators`, with any of pymoo's genetic algorithms::

    problem = EcnasProblem(load("7v"))
    algorithm = NSGA2(pop_size=20, **operators())
    result = minimize(problem, algorithm, ("n_eval", 1000), seed=0)
    problem.values_of(result.F)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters.choices import Choices, Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, MissingDependencyError, check_counts, floats
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.nondominated import nondominated
from naslib_ecnas.search import base
from naslib_ecnas.search.operators import perturb
from naslib_ecnas.space import Space

try:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.sms import SMSEMOA, cv_and_dom_tournament
    from pymoo.core.algorithm import Algorithm
    from pymoo.core.crossover import Crossover
    from pymoo.core.duplicate import DefaultDuplicateElimination
    from pymoo.core.mutation import Mutation
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.core.sampling import Sampling
    from pymoo.core.termination import NoTermination
    from pymoo.operators.selection.tournament import TournamentSelection
except ImportError as error:
    raise MissingDependencyError("pymoo", feature="this adapter", extra="search") from error

# Attempts at a child that the population lacks; pymoo's default of 100 is slow in small spaces.
_MATINGS = 10


class CellProblem(Problem):  # type: ignore[misc]
    """A problem over the cells of some rows, with the choices that the operators need."""

    def __init__(
        self, space: Space, rows: ArrayLike, objectives: int, constraints: int = 0
    ) -> None:
        sizes = {"n_var": 1, "n_obj": objectives, "n_ieq_constr": constraints}
        super().__init__(**sizes, xl=0, xu=len(space) - 1, vtype=int)
        self.space = space
        self.choices = Choices(space, rows)

    def __deepcopy__(self, memo: dict[int, Any]) -> CellProblem:
        """The problem itself: a run's history, which copies it in each generation, shares it."""
        return self


class EcnasProblem(CellProblem):
    """Metrics of a benchmark as objectives that are minimised, for whole populations at once.

    Args:
        bench: the benchmark; its counter counts every evaluation.
        objectives: one or more metrics, in any direction.
        epochs: training budget; the largest by default.
        constraints: limit of each constrained metric, see `Evaluation`.

    Raises:
        ConfigError, UnknownMetricError, UnknownBudgetError: see `Evaluation`.
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        epochs: int | None = None,
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        self.evaluation: Evaluation = Evaluation(bench, objectives, epochs, constraints)
        sizes = len(self.evaluation.metrics), len(self.evaluation.constraints)
        super().__init__(bench.space, self.evaluation.rows, *sizes)

    def values_of(self, costs: ArrayLike) -> NDArray[np.float64]:
        """(n, m) objectives in the metrics' units, of pymoo's (n, m) costs `F`."""
        return np.atleast_2d(np.asarray(costs, dtype=np.float64)) * self.evaluation.signs

    def _evaluate(self, x: NDArray[Any], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        found = [self.evaluation(row) for row in _rows(x).tolist()]
        out["F"] = np.array([outcome.costs for outcome in found])
        out["G"] = np.array([[*outcome.violations.values()] for outcome in found])

    @cached_property
    def _front(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """(n,) rows and (n, m) costs of the best cells that keep the constraints."""
        ours, rows = self.evaluation, self.evaluation.feasible_rows
        columns = [ours.bench.values(name, ours.epochs)[rows] for name in ours.objectives]
        found = np.column_stack(columns) * ours.signs
        # With one objective, a second one that is equal leaves the first of the best cells.
        best = np.flatnonzero(nondominated(np.column_stack([found, found[:, 0]])))
        best = best[np.lexsort(found[best].T[::-1])]
        return rows[best], found[best]

    def _calc_pareto_set(self) -> NDArray[np.int32]:
        return self._front[0][:, None]

    def _calc_pareto_front(self) -> NDArray[np.float64]:
        return self._front[1]


class _Sampling(Sampling):  # type: ignore[misc]
    """Cells drawn uniformly from those that may be proposed."""

    def _do(
        self, problem: CellProblem, n: int, *args: Any, random_state: np.random.Generator, **_: Any
    ) -> NDArray[np.int32]:
        return random_state.choice(problem.choices.rows, (n, 1))


class _Crossover(Crossover):  # type: ignore[misc]
    """Uniform crossover of canonical graphs: each edge and operation comes from either parent.

    Canonical graphs order the vertices of both parents by one rule, so an exchanged edge tends to
    have the same place in both. A child that is not a cell, or may not be proposed, becomes the
    nearest one that may (`adapters.choices`). A pair is crossed with probability 0.9.
    """

    def __init__(self) -> None:
        super().__init__(2, 2, prob=0.9)

    def _do(
        self, problem: CellProblem, X: Any, *args: Any, random_state: np.random.Generator, **_: Any
    ) -> NDArray[np.int32]:
        choices = problem.choices
        # Random operations for vertices that a parent lacks, so that none is favoured.
        mother, father = (choices.encode(_rows(x), random_state) for x in X)
        swap = random_state.random(mother.shape) < 0.5
        children = np.where(swap, father, mother), np.where(swap, mother, father)
        return np.stack([choices.decode(child)[:, None] for child in children])


class _Mutation(Mutation):  # type: ignore[misc]
    """The perturbation of EC-NAS's algorithm 1 (`Space.mutate`), repeated until it may be proposed.

    After about a hundred failures a cell is drawn uniformly instead.
    """

    def _do(
        self, problem: CellProblem, X: Any, *args: Any, random_state: np.random.Generator, **_: Any
    ) -> NDArray[np.int32]:
        parents, choices = _rows(X), problem.choices
        found = perturb(problem.space, parents, random_state, allowed=choices.mask)
        drawn = random_state.choice(choices.rows, len(parents))
        return np.where(found < 0, drawn, found)[:, None]


def operators() -> dict[str, Any]:
    """Sampling, crossover, mutation and duplicate elimination for pymoo's genetic algorithms."""
    return {
        "sampling": _Sampling(),
        "crossover": _Crossover(),
        "mutation": _Mutation(),
        "eliminate_duplicates": DefaultDuplicateElimination(),
    }


def _rows(x: NDArray[Any]) -> NDArray[np.int32]:
    """(n,) rows of (n, 1) solutions; ConfigError if one is not a whole number."""
    column = floats(np.asarray(x)[:, 0], "solutions")
    with np.errstate(invalid="ignore"):
        rows = column.astype(np.int32)
    if (rows != column).any():
        value, remedy = column[rows != column][0], "use pymoo_host.operators()"
        raise ConfigError("a solution must be a row", value=value, remedy=remedy)
    return rows


class _PymooMethod(base.Optimiser):
    """A genetic algorithm of pymoo's as a search method.

    The first cells are drawn uniformly. Children are made by `operators`. No child is in the
    population already, but a cell that has left it may come again.
    """

    _kind: ClassVar[Callable[..., Algorithm]]
    _children: ClassVar[int | None] = None
    """Children in each generation; None for as many as `population`."""

    def __init__(self, problem: base.Problem, *, population: int = 20) -> None:
        super().__init__(problem)
        check_counts(self.name, least=2, population=population)
        self.population = population
        self._algorithm: Algorithm | None = None

    def ask(self) -> NDArray[np.int32]:
        """The first cells at random, then the children of each generation."""
        if self._algorithm is None:
            return self.sample(self.population)
        children = self._algorithm.infill()
        if children is None:  # all attempts are in the population already
            return self.sample(self._children or self.population)
        return _rows(children.get("X"))

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Select the next population from the present one and these cells, without NaN costs."""
        told = base.Evaluated(*self._checked(rows, costs)).known()
        if not len(told):
            return
        new = Population.new("X", told.rows[:, None], "F", told.costs)
        if self._algorithm is None:
            # Only the first costs show the number of objectives, which pymoo needs.
            problem = CellProblem(self.space, self.rows, told.costs.shape[1])
            sizes = {"pop_size": self.population, "n_offsprings": self._children}
            self._algorithm = self._kind(**sizes, **operators())
            seed = int(self.rng.integers(2**31))
            self._algorithm.setup(problem, seed=seed, termination=NoTermination())
            self._algorithm.mating.n_max_iterations = _MATINGS
            self._algorithm.infill()  # pymoo's own first cells, which these replace
        self._algorithm.advance(infills=new)


class PymooNsga2(_PymooMethod):
    """NSGA-II (Deb et al. 2002) on rows, by pymoo.

    Unlike `optuna_host.OptunaNsga2`, which varies labelled graphs, it varies the cells themselves,
    so that neither the order of a graph's vertices nor its unused ones matter.

    Args:
        population: cells drawn to start with, and size of each generation; at least 2.

    Examples:
        >>> from naslib_ecnas import load, search
        >>> search.run(load("4v"), PymooNsga2, evaluations=30, seed=0).rows.shape
        (30,)
    """

    name: ClassVar[str] = "nsga2"
    _kind = NSGA2


def _tournament(*args: Any, **kwargs: Any) -> Any:
    """pymoo's own, which cannot be pickled."""
    return cv_and_dom_tournament(*args, **kwargs)


class SmsEmoa(_PymooMethod):
    """SMS-EMOA (Beume et al. 2007) on rows, by pymoo: drops the least hypervolume contribution.

    SH-EMOA (`naslib_ecnas.search`) is of the same kind and also raises the budgets.

    Args:
        population: cells drawn to start with, and size of each generation; at least 2. Each has one
            child, as published.
    """

    name: ClassVar[str] = "sms-emoa"
    _kind = staticmethod(partial(SMSEMOA, selection=TournamentSelection(func_comp=_tournament)))
    _children = 1
