"""SEMOA, the simple evolutionary multi-objective algorithm of the EC-NAS paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import contributions, nondominated
from naslib_ecnas.errors import ConfigError, check_choice, check_counts, check_numbers
from naslib_ecnas.search.base import Evaluated, Floats, Optimiser, Problem, Rows
from naslib_ecnas.search.operators import Visited
from naslib_ecnas.space import Space

# How often a generation without a single allowed cell is drawn again.
_GENERATION_ROUNDS = 640
#: Settings that replace those of algorithm 1: `shipped`, in which cells come again as in the paper,
#: and the released code at one budget (`Semoa` lists what is not reproduced).
PRESETS = ("shipped", "paper")
# eta+ of the rank sampling of algorithm 1, and of the released code.
_PRESSURE, _RELEASED_PRESSURE = 2.0, 1.9


def rank_probabilities(n: int, pressure: float) -> Floats:
    """(n,) probability of each of n >= 1 individuals in linear rank sampling, the best first.

    The pressure eta+ is 1 (uniform) to 2 (the last individual is never drawn).

    Examples:
        >>> rank_probabilities(3, 2.0).round(3).tolist()
        [0.667, 0.333, 0.0]
    """
    if n == 1:  # the formula divides by n - 1
        return np.ones(1)
    # p_i = (1 / |P|) (eta+ - 2 (eta+ - 1) (i - 1) / (|P| - 1)), i = 1 .. |P| (algorithm 1)
    i = np.arange(1, n + 1)
    return (pressure - 2 * (pressure - 1) * (i - 1) / (n - 1)) / n


def mutate_once(
    space: Space, rows: ArrayLike, rng: np.random.Generator, edge_changes: float, op_changes: float
) -> Rows:
    """One perturbation of each row as in the released code: not repeated, first vertex unchanged.

    Each possible edge of the canonical matrix is flipped, and each interior vertex but the first
    given another operation, with the probabilities of `Space.mutate`. Vertices that the cell does
    not use have random operations. Returns (n,) int32 rows, -1 where the result is invalid.
    """
    matrices, labels = space.matrices(rows)
    labels = np.where(labels < 0, rng.integers(0, 3, labels.shape), labels)
    upper = np.triu(np.ones(matrices.shape[1:], dtype=np.bool_), 1)
    flips = rng.random(matrices.shape) < min(1.0, edge_changes / upper.sum())
    changed = rng.random(labels.shape) < min(1.0, op_changes / max(labels.shape[1], 1))
    changed[:, :1] = False
    labels = np.where(changed, (labels + rng.integers(1, 3, labels.shape)) % 3, labels)
    return space.rows(matrices ^ (flips & upper), labels)


class Semoa(Optimiser):
    """Algorithm 1 of the EC-NAS paper (arXiv 2210.06015).

    The population is the set of all nondominated cells so far. A generation takes parents from
    it by linear rank sampling over the contributing hypervolume, perturbs each, and keeps the
    cells that no other cell dominates. No cell is evaluated twice; with the preset `shipped` they
    are, as in algorithm 1, which on the tables takes about two thirds of the evaluations.

    The paper leaves two things open. The reference point of the contributing hypervolume is the
    worst cost seen so far in each objective. A perturbed cell that may not be proposed
    (a table can lack cells) is perturbed anew from its parent; after some hundred failures a cell
    is drawn uniformly from the allowed ones.

    With `paper=True` it departs from the paper as the released code does: a pressure of 1.9, no
    extremes among the parents, and dominated cells stay in the population, which never shrinks. A
    perturbation is made once (`mutate_once`): an unchanged cell is evaluated again, an invalid or
    not allowed one is dropped and not charged; the released code evaluates it, with an energy of 0.
    Not reproduced: its cycle through the four budgets with the whole population trained anew at
    each, and its ranking against an archive that holds the population already, which at one budget
    ranks nothing.

    Args:
        population: cells drawn uniformly to start with.
        offspring: cells in each generation (lambda), as many as `population` by default.
        edge_changes, op_changes: expected changes of edges and operations in a perturbation.
        paper: behave like the released code, the preset `paper`.
        preset: one of the `PRESETS`; `paper` is the same as `paper=True`.

    Attributes:
        population: the cells of the population with their costs, in no particular order.
    """

    name = "semoa"
    asynchronous = True
    has_paper_setting = True

    def __init__(
        self,
        problem: Problem,
        *,
        population: int = 10,
        offspring: int | None = None,
        edge_changes: float = 2.0,
        op_changes: float = 0.5,
        paper: bool = False,
        preset: str | None = None,
    ) -> None:
        super().__init__(problem)
        offspring = population if offspring is None else offspring
        check_counts("SEMOA", population=population, offspring=offspring)
        check_numbers("a perturbation", least=0, edge_changes=edge_changes, op_changes=op_changes)
        if paper and preset not in (None, "paper"):
            raise ConfigError("paper=True allows no other preset", value=preset)
        if preset is not None:
            check_choice(PRESETS, preset=preset)
        self.paper: bool = paper or preset == "paper"
        self.initial = population
        self.offspring = offspring
        self.population: Evaluated = Evaluated()
        self._changes = {"edge_changes": edge_changes, "op_changes": op_changes}
        self._visited = Visited(problem, avoid=preset is None and not paper)
        self._worst: Floats = np.array(-np.inf)

    def ask(self) -> Rows:
        """The first cells at random, then the perturbed parents of a generation; none when every
        cell was evaluated and repeats are avoided."""
        if not len(self.population):
            return self._visited.sample(self.initial)
        if len(self.rows) == 1:  # no other cell to perturb it into
            return self._visited.sample(self.offspring)
        if not self.paper:
            parents = self.population.rows[self.parents()]
            return self._visited.perturbed(parents, **self._changes)
        for _ in range(_GENERATION_ROUNDS):
            parents = self.population.rows[self.parents()]
            valid = self._good(mutate_once(self.space, parents, self.rng, **self._changes))
            if len(valid):
                return valid
        return self.sample(self.offspring)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """P <- nondominated(P u O); cells with a NaN are left out."""
        new = Evaluated(*self._checked(rows, costs))
        self._visited.add(new.rows)
        everyone = self.population + new.known()
        if not len(everyone):
            return
        self._worst = np.maximum(self._worst, everyone.costs.max(axis=0))
        if self.paper:
            # Only points equal to an earlier one are removed.
            kept = np.sort(np.unique(everyone.costs, axis=0, return_index=True)[1])
        else:
            kept = np.flatnonzero(nondominated(everyone.costs))
        self.population = everyone[kept]

    def parents(self) -> NDArray[np.int64]:
        """(lambda,) positions in the population, drawn by LinearRankSample(P, lambda)."""
        costs = self.population.costs
        delta = contributions(costs, self._worst)
        ranked = np.argsort(-delta, kind="stable")  # Delta_r(P, a) descending
        # The m extremes are always parents, then lambda - m are drawn.
        m = 0 if self.paper else costs.shape[1]
        forced = np.argmin(costs, axis=0)[: min(m, self.offspring)]
        p = rank_probabilities(len(costs), _RELEASED_PRESSURE if self.paper else _PRESSURE)
        drawn = self.rng.choice(len(costs), self.offspring - len(forced), p=p)
        return np.concatenate([forced, ranked[drawn]])
