"""pymoo's NSGA-II and SMS-EMOA as search methods, on rows with the operators of `pymoo_problem`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters.pymoo_problem import CellProblem, operators
from naslib_ecnas.errors import ConfigError, MissingDependencyError
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.space import Space

try:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.sms import SMSEMOA
    from pymoo.core.algorithm import Algorithm
    from pymoo.core.population import Population
    from pymoo.core.termination import NoTermination
except ImportError as error:
    raise MissingDependencyError("pymoo", feature="this method", extra="search") from error

__all__ = ["PymooMethod", "PymooNsga2", "SmsEmoa"]

# Attempts at a child that the population does not have; pymoo's 100 take long in small spaces.
_MATINGS = 10


class PymooMethod(Optimiser):
    """A genetic algorithm of pymoo's through ask and tell.

    The first cells are drawn uniformly over those allowed, as other methods do. Children are
    crossed and perturbed as `pymoo_problem` says; none is in the population already, but one that
    was evaluated long ago and has died out may come again.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting.
        population: cells drawn to start with, and kept of each generation; at least 2.
        offspring: children in each generation.

    Raises:
        ConfigError: a number that is not possible.
    """

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        population: int,
        offspring: int,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper, budgets=budgets)
        if population < 2 or offspring < 1:
            raise ConfigError(
                f"no such {self.name}",
                value={"population": population, "offspring": offspring},
                expected="at least two cells and one child in each generation",
                remedy="leave them at their defaults",
            )
        self.population = population
        self.offspring = offspring
        self._algorithm: Algorithm | None = None

    @abstractmethod
    def _made(self, **settings: Any) -> Algorithm:
        """The algorithm with pymoo's settings."""

    def ask(self) -> NDArray[np.int32]:
        """The first cells at random, then the children of a generation."""
        if self._algorithm is None:
            return self.sample(self.population)
        children = self._algorithm.infill()
        if children is None:  # whatever was tried is in the population already
            return self.sample(self.offspring)
        return np.asarray(children.get("X")[:, 0], dtype=np.int32)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """The survivors of population and told cells; what has a NaN cost is left out."""
        where, values = self._checked(rows, costs)
        known = ~np.isnan(values).any(axis=1)
        if not known.any():
            return
        told = Population.new("X", where[known, None], "F", values[known])
        if self._algorithm is None:
            # pymoo has to know the number of objectives, which the first costs tell.
            problem = CellProblem(self.space, self.rows, values.shape[1])
            self._algorithm = self._made(
                pop_size=self.population, n_offsprings=self.offspring, **operators()
            )
            seed = int(self.rng.integers(2**31))
            self._algorithm.setup(problem, seed=seed, termination=NoTermination())
            self._algorithm.mating.n_max_iterations = _MATINGS
            self._algorithm.infill()  # pymoo's own first cells, which the told ones replace
        self._algorithm.advance(infills=told)


class PymooNsga2(PymooMethod):
    """NSGA-II (Deb et al. 2002) on rows, by pymoo.

    Unlike `optuna_methods.OptunaNsga2`, which varies drawings of cells, it varies the cells
    themselves, so that neither a drawing's order of vertices nor its unused ones matter.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting.
        population: cells drawn to start with, and kept of each generation; at least 2.
        offspring: children in each generation, as many as `population` by default.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> space = Space(4)
        >>> search = PymooNsga2(space=space, rng=np.random.default_rng(0), population=6)
        >>> for _ in range(10):
        ...     rows = search.ask()
        ...     cells = [space.cell(row) for row in rows]
        ...     search.tell(rows, [(cell.edges, 4 - cell.vertices) for cell in cells])
        >>> rows.shape
        (6,)
    """

    name: ClassVar[str] = "nsga2"

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        population: int = 20,
        offspring: int | None = None,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(
            space=space,
            rng=rng,
            rows=rows,
            paper=paper,
            budgets=budgets,
            population=population,
            offspring=population if offspring is None else offspring,
        )

    def _made(self, **settings: Any) -> Algorithm:
        return NSGA2(**settings)


class SmsEmoa(PymooMethod):
    """SMS-EMOA (Beume et al. 2007) on rows, by pymoo: the least hypervolume contribution goes.

    Each generation is one child, as published. SH-EMOA (`naslib_ecnas.search`) is of the same kind
    and rises through the budgets besides.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting.
        population: cells drawn to start with, and kept of each generation; at least 2.
        offspring: children in each generation.
    """

    name: ClassVar[str] = "sms-emoa"

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        population: int = 20,
        offspring: int = 1,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(
            space=space,
            rng=rng,
            rows=rows,
            paper=paper,
            budgets=budgets,
            population=population,
            offspring=offspring,
        )

    def _made(self, **settings: Any) -> Algorithm:
        return SMSEMOA(**settings)
