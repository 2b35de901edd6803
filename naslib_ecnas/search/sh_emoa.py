"""SH-EMOA: an evolutionary multi-objective algorithm whose budgets rise by successive halving."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, check_counts, check_numbers
from naslib_ecnas.search.base import Batch, Optimiser
from naslib_ecnas.search.operators import crossover, order, perturb, survivors
from naslib_ecnas.space import Space

__all__ = ["ShEmoa", "rungs"]


def rungs(evaluations: int, population: int, budgets: int, eta: float) -> tuple[int, ...]:
    """Children to evaluate at each budget, the smallest budget first.

    With k budgets, n = ceil((evaluations - population) / (1 + eta + ... + eta^(k-1))) at the
    largest one, and eta times as many at each smaller one.

    Example:
        >>> rungs(100, 10, 4, 3)
        (81, 27, 9, 3)
    """
    powers = [eta**i for i in range(budgets)]
    least = max(1, int(np.ceil((evaluations - population) / sum(powers))))
    return tuple(round(least * power) for power in reversed(powers))


class ShEmoa(Optimiser):
    """SH-EMOA (Izquierdo et al. 2021, "Bag of Baselines for Multi-objective Joint NAS and HPO").

    A population evolves steadily: a parent is the best of three drawn without replacement, its
    child comes from a mutation or from a uniform crossover with a random partner, and of the
    population with the child the worst one goes: of the last non-dominated front the cell with
    the least contributing hypervolume. After so many children (`rungs`) the whole population is
    evaluated anew at the next larger budget, and evolves there for 1 / eta as many.

    As published: the population of 10, 100 evaluations in a bracket (evaluating the population
    anew comes on top), the tournament of three, one child at a time, half mutation and half
    crossover, the selection of survivors. The published code has eta = 2 with budgets that it
    derives from it; the budgets of the tables are 3 apart, so eta is 3 here.

    Our reading: the tournament is decided by non-dominated rank and then by contributing
    hypervolume, where the published code sorts by a product of the two objectives and calls that
    a makeshift; the reference point follows the worst costs in the population (`ranking`), so the
    search needs to know nothing beforehand; the mutation is EC-NAS's perturbation, and a
    crossover that gives no cell, or one of its parents, is drawn again and at last becomes a
    mutation. After the last rung a new bracket begins with the population of the old one, at the
    smallest budget.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting. Without
            budgets, or with one, there is one rung.
        population: cells in the population.
        bracket: evaluations in a bracket, the first population included.
        eta: by how much a rung is shorter than the one before.
        offspring: children that are evaluated together; 1 as published.
        mutation: share of children made by mutation, 0 to 1.
        tournament: cells in a tournament.
        edge_changes, op_changes: expected changes of a mutation.

    Raises:
        ConfigError: a setting that is not possible.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> space, rng = Space(4), np.random.default_rng(0)
        >>> search = ShEmoa(space=space, rng=rng, budgets=(4, 12))
        >>> batch = search.ask()
        >>> len(batch.rows), batch.epochs
        (10, 4)
    """

    name = "sh-emoa"
    uses_budgets = True

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        budgets: tuple[int, ...] = (),
        population: int = 10,
        bracket: int = 100,
        eta: float = 3,
        offspring: int = 1,
        mutation: float = 0.5,
        tournament: int = 3,
        edge_changes: float = 2.0,
        op_changes: float = 0.5,
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper, budgets=budgets)
        check_counts(
            "SH-EMOA",
            population=population,
            offspring=offspring,
            tournament=tournament,
            bracket=bracket,
        )
        check_numbers(least=0, edge_changes=edge_changes, op_changes=op_changes)
        check_numbers(eta=eta, mutation=mutation)
        whole = bracket > population
        if not whole or not eta >= 1 or not 0 <= mutation <= 1:
            raise ConfigError(
                "no such SH-EMOA",
                value=(population, bracket, eta, offspring, mutation, tournament),
                expected="cells in each, a bracket of more than the population, eta of at least "
                "1, a share of mutations of 0 to 1",
                remedy="the published code has a population of 10 and brackets of 100",
            )
        self.capacity = population
        self.offspring = offspring
        self.tournament = tournament
        self.mutation = mutation
        self.rungs = rungs(bracket, population, max(1, len(budgets)), eta)
        self._changes = {"edge_changes": edge_changes, "op_changes": op_changes}
        #: Index of the budget at which the population was, or is to be, evaluated.
        self.rung = 0
        self._left = self.rungs[0]
        self._entering = True  # the population is to be evaluated at this rung
        #: (p,) rows of the population, the best first.
        self.population_rows: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        #: (p, m) their costs at the rung's budget; none while they are to be evaluated.
        self.population_costs: NDArray[np.float64] = np.empty((0, 2))

    def ask(self) -> NDArray[np.int32] | Batch:
        """The population at a new budget, or the next children."""
        if not len(self.population_rows):
            self._entering = True
            rows = self.sample(self.capacity)
        elif self._entering:
            rows = self.population_rows.copy()
        else:
            rows = self._children(min(self.offspring, self._left))
        return Batch(rows, self.budgets[self.rung]) if self.budgets else rows

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Survival of the best, and the next rung after the last child of this one; what has a
        NaN cost is left out."""
        new_rows, new_costs = self._checked(rows, costs)
        known = ~np.isnan(new_costs).any(axis=1)
        if self._entering:
            self.population_rows, self.population_costs = new_rows[known], new_costs[known]
            self._entering = False
        else:
            self._left -= len(new_rows)
            self.population_rows = np.concatenate([self.population_rows, new_rows[known]])
            self.population_costs = np.concatenate([self.population_costs, new_costs[known]])
        kept = survivors(self.population_costs, self.capacity)
        kept = kept[order(self.population_costs[kept])]
        self.population_rows = self.population_rows[kept]
        self.population_costs = self.population_costs[kept]
        if self._left <= 0:
            self.rung = (self.rung + 1) % len(self.rungs)
            self._left = self.rungs[self.rung]
            # At one budget the next bracket simply goes on.
            self._entering = len(self.rungs) > 1

    def parents(self, n: int) -> NDArray[np.int64]:
        """(n,) positions in the population: the best of each tournament."""
        p = len(self.population_rows)
        keys = self.rng.random((n, p))
        drawn = np.argsort(keys, axis=1)[:, : min(self.tournament, p)]
        best: NDArray[np.int64] = drawn.min(axis=1)  # the population is in order
        return best

    def _children(self, n: int) -> NDArray[np.int32]:
        rows = self.population_rows
        parents = rows[self.parents(n)]
        partners = rows[self.rng.integers(0, len(rows), n)]
        children = np.full(n, -1, dtype=np.int32)
        crossed = np.flatnonzero(self.rng.random(n) >= self.mutation)
        if len(crossed):
            children[crossed] = crossover(
                self.space, parents[crossed], partners[crossed], self.rng, allowed=self._allowed
            )
        left = np.flatnonzero(children < 0)
        if len(left):
            children[left] = perturb(
                self.space, parents[left], self.rng, allowed=self._allowed, **self._changes
            )
        vain = np.flatnonzero(children < 0)
        children[vain] = self.sample(len(vain))
        return children
