"""SH-EMOA: an evolutionary multi-objective algorithm with successive halving over budgets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import check_counts, check_numbers
from naslib_ecnas.search.base import Batch, Evaluated, Floats, Optimiser, Problem, Rows
from naslib_ecnas.search.operators import Visited, crossover, order, perturb, survivors

# Cells in a tournament, and share of children made by mutation.
_TOURNAMENT, _MUTATION = 3, 0.5


def rungs(evaluations: int, population: int, budgets: int, eta: float) -> tuple[int, ...]:
    """Children to evaluate at each budget, the smallest budget first.

    With k budgets, n = ceil((evaluations - population) / (1 + eta + ... + eta^(k-1))) at the
    largest one, and eta times as many at each smaller one.

    Examples:
        >>> rungs(100, 10, 4, 3)
        (81, 27, 9, 3)
    """
    powers = [eta**i for i in range(budgets)]
    least = max(1, int(np.ceil((evaluations - population) / sum(powers))))
    return tuple(round(least * power) for power in reversed(powers))


class ShEmoa(Optimiser):
    """SH-EMOA (Izquierdo et al. 2021, "Bag of Baselines for Multi-objective Joint NAS and HPO").

    A steady-state algorithm: a parent is the best of three cells drawn without replacement, its
    child comes from a mutation or from a uniform crossover with a random partner, and the worst
    cell of the population with the child is removed: of the last nondominated front the cell with
    the least contributing hypervolume. After a number of children (`rungs`) the whole population
    is evaluated anew at the next larger budget, if there is one, and evolves there for 1 / eta as
    many.

    As published: the population of 10, 100 evaluations in a bracket (not counting those of the
    population at the larger budgets), the tournament of three, one child at a time, half mutation
    and half crossover, the selection of survivors. The published eta is 2, with budgets that
    follow from it; the tables' budgets differ by a factor of 3, so eta is 3 here.

    Different here: nondominated rank and then contributing hypervolume decide the tournament,
    where the published code sorts by a product of the two objectives; the reference point follows
    the worst costs in the population (`order`); the mutation is EC-NAS's perturbation; a crossover
    that gives no valid cell, or one of its parents, is drawn again and at last replaced by a
    mutation. After the last rung a new bracket begins with the old population. No cell is evaluated
    at one budget twice.

    Args:
        population: cells in the population.
        bracket: evaluations in a bracket, the first population included.
        eta: ratio of the children of a rung to those of the next one.
        offspring: children that are evaluated together; 1 as published.
        avoid_repeats: evaluate no cell at one budget twice, unlike the published method.

    Attributes:
        rung: index of the budget at which the population was, or will be, evaluated.
        population: the cells with their costs at the rung's budget, the best first.
    """

    name = "sh-emoa"
    uses_budgets = True

    def __init__(
        self,
        problem: Problem,
        *,
        population: int = 10,
        bracket: int = 100,
        eta: float = 3,
        offspring: int = 1,
        avoid_repeats: bool = True,
    ) -> None:
        super().__init__(problem)
        check_counts("SH-EMOA", population=population, offspring=offspring)
        check_counts("SH-EMOA", least=population + 1, bracket=bracket)
        check_numbers("SH-EMOA", least=1, eta=eta)
        self.capacity = population
        self.offspring = offspring
        self.rungs: tuple[int, ...] = rungs(bracket, population, max(1, len(self.budgets)), eta)
        self.rung: int = 0
        self.population: Evaluated = Evaluated()
        self._visited = [Visited(problem, avoid=avoid_repeats) for _ in self.rungs]  # at each rung
        self._known: list[dict[int, Floats]] = [{} for _ in self.rungs]  # costs of each rung's rows
        self._left = self.rungs[0]
        self._entering = True  # the population is to be evaluated at this rung

    def ask(self) -> Rows | Batch:
        """The population at a new budget, or the next children; none when every cell was evaluated
        and repeats are avoided."""
        rows = self._next()
        for _ in self.rungs:
            if len(rows):
                break
            self._climb()  # without new cells, the population is still evaluated at larger budgets
            rows = self._next()
        return Batch(rows, self.budgets[self.rung]) if self.budgets else rows

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Keep the best cells, and go to the next rung after this one's last child; cells with a
        NaN are left out."""
        new = Evaluated(*self._checked(rows, costs))
        if not len(new):
            return
        self._visited[self.rung].add(new.rows)
        known = self._known[self.rung]
        known.update(zip(new.rows.tolist(), new.costs, strict=True))
        if self._entering:
            self._enter(new)
        else:
            self._keep(self.population + new.known())
            self._left -= len(new)
        if self._left <= 0:
            self._climb()

    def _next(self) -> Rows:
        """The rows to evaluate at this rung; none if there are no new cells for it."""
        if not len(self.population):
            self._entering = True
            return self._visited[self.rung].sample(self.capacity)
        if self._entering:
            known = self._known[self.rung]
            if not self._visited[self.rung].avoid:
                known.clear()
            rows = self.population.rows
            new: Rows = rows[np.array([row not in known for row in rows.tolist()])]
            if len(new):
                return new
            self._enter(self.population[:0])
        return self._children(min(self.offspring, self._left))

    def _enter(self, new: Evaluated) -> None:
        """Take the costs of the population at this rung, some of which may be known from before."""
        known, told = self._known[self.rung], set(new.rows.tolist())
        before = [r for r in self.population.rows.tolist() if r in known and r not in told]
        if before:
            costs = np.array([known[row] for row in before])
            new = Evaluated(np.array(before, dtype=np.int32), costs) + new
        self._entering = False
        self._keep(new.known())

    def _keep(self, everyone: Evaluated) -> None:
        """Make the best of some cells the population, the best first."""
        kept = survivors(everyone.costs, self.capacity)
        self.population = everyone[kept[order(everyone.costs[kept])]]

    def _climb(self) -> None:
        """Go to the next rung, after the last one to the first."""
        self.rung = (self.rung + 1) % len(self.rungs)
        self._left = self.rungs[self.rung]
        # With one budget the next bracket continues with the same costs.
        self._entering = len(self.rungs) > 1

    def parents(self, n: int) -> NDArray[np.int64]:
        """(n,) positions in the population: the best of each tournament."""
        keys = self.rng.random((n, len(self.population)))
        drawn = np.argsort(keys, axis=1)[:, :_TOURNAMENT]
        return np.asarray(drawn.min(axis=1))  # the population is sorted, the best first

    def _children(self, n: int) -> Rows:
        rows, space, rng = self.population.rows, self.space, self.rng
        parents = rows[self.parents(n)]
        partners = rows[rng.integers(0, len(rows), n)]
        crossed = rng.random(n) >= _MUTATION

        def make(at: NDArray[np.intp]) -> Rows:
            allowed = self._visited[self.rung].proposable
            children = np.full(len(at), -1, dtype=np.int32)
            some = crossed[at]
            if some.any():
                pairs = parents[at[some]], partners[at[some]]
                children[some] = crossover(space, *pairs, rng, allowed=allowed)
            left = children < 0
            if left.any():
                children[left] = perturb(space, parents[at[left]], rng, allowed=allowed)
            return children

        return self._visited[self.rung].draw(make, n)
