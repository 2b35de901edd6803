"""Regularised evolution with aging, made multi-objective by random scalarisations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import check_counts, check_numbers
from naslib_ecnas.search.base import Evaluated, Optimiser, Problem, Rows
from naslib_ecnas.search.operators import Scalarisation, Visited, random_weights


class RegularisedEvolution(Optimiser):
    """Aging evolution (Real et al., AAAI 2019, algorithm 1) over scalarised objectives.

    The population is a queue of the last P evaluations. A cycle draws S of them with replacement,
    takes the best of the sample as the parent, mutates it, and puts the child at the end of the
    queue; the oldest one is removed, however good it is.

    As published: population, sample and cycle, and S = P / 4. The one objective of the published
    method is here the Chebyshev function of all objectives, with weights drawn anew for each cycle
    (ParEGO's lattice) and costs normalised by all evaluations so far. A mutation is EC-NAS's
    perturbation with one edge and half an operation expected; it gives another, allowed cell.

    Different here: P = 100 as published is reached after 1,000 evaluations, since a search of 100
    would be a random one; and no cell is evaluated twice.

    Args:
        population: length of the queue (P); by default a tenth of the evaluations so far, from
            10 to 100.
        sample: size of a tournament (S); by default a quarter of the queue's length.
        offspring: cycles made before their children are evaluated together; 1 as published.
        edge_changes, op_changes: expected changes of a mutation.
        avoid_repeats: evaluate no cell twice; False as published.

    Attributes:
        queue: the cells of the queue with their costs, the oldest first.
    """

    name = "re"
    asynchronous = True

    def __init__(
        self,
        problem: Problem,
        *,
        population: int | None = None,
        sample: int | None = None,
        offspring: int = 1,
        edge_changes: float = 1.0,
        op_changes: float = 0.5,
        avoid_repeats: bool = True,
    ) -> None:
        super().__init__(problem)
        given = {"population": population, "sample": sample}
        given = {name: count for name, count in given.items() if count is not None}
        check_counts("regularised evolution", offspring=offspring, **given)
        check_numbers("a mutation", least=0, edge_changes=edge_changes, op_changes=op_changes)
        self._population = population
        self._sample = sample
        self.offspring = offspring
        self.queue: Evaluated = Evaluated()
        self._changes = {"edge_changes": edge_changes, "op_changes": op_changes}
        self._visited = Visited(problem, avoid=avoid_repeats)
        self._score = Scalarisation()
        self._evaluated = 0

    @property
    def capacity(self) -> int:
        """Length of the queue (P)."""
        return self._population or min(max(self._evaluated // 10, 10), 100)

    @property
    def tournament(self) -> int:
        """Size of a tournament (S)."""
        return self._sample or max(1, self.capacity // 4)

    def ask(self) -> Rows:
        """Random cells until the queue is full, then the children of the next cycles; none when
        every cell was evaluated and repeats are avoided."""
        missing = self.capacity - self._evaluated
        if missing > 0 or not len(self.queue):
            return self._visited.sample(max(1, missing))
        return self._visited.perturbed(self.queue.rows[self.parents()], **self._changes)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Put the cells without a NaN at the end of the queue, and remove the oldest."""
        new = Evaluated(*self._checked(rows, costs))
        self._visited.add(new.rows)
        self._score.see(new.costs)
        new = new.known()
        self._evaluated += len(new)
        self.queue = (self.queue + new)[-self.capacity :]

    def parents(self) -> NDArray[np.int64]:
        """(offspring,) positions in the queue: the winner of one tournament each."""
        n, m = self.queue.costs.shape
        drawn = self.rng.integers(0, n, (self.offspring, self.tournament))
        weights = random_weights(self.rng, m, self.offspring)
        scores = self._score(self.queue.costs[drawn], weights[:, None])
        chosen: NDArray[np.int64] = drawn[np.arange(self.offspring), scores.argmin(axis=1)]
        return chosen
