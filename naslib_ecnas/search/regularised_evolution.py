"""Regularised evolution with aging, made multi-objective by random scalarisations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import check_counts, check_numbers
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.operators import Normaliser, perturb, random_weights, scalarise
from naslib_ecnas.space import Space

__all__ = ["RegularisedEvolution"]


class RegularisedEvolution(Optimiser):
    """Aging evolution (Real et al., AAAI 2019, algorithm 1) over scalarised objectives.

    The population is a queue of the last P evaluations. A cycle draws S of them with replacement,
    takes the best of the sample as the parent, mutates it, and puts the child at the end of the
    queue; the oldest one is removed, however good it is.

    As published: population, sample and cycle, with P = 100 and S = 25. The published method has
    one objective. Here it is a scalarisation of all objectives, with weights drawn anew for each
    cycle (ParEGO's lattice) and costs normalised by all evaluations so far, so that one
    population serves the whole front. A mutation is EC-NAS's perturbation with one edge and half
    an operation expected, and always gives another, allowed cell.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting.
        population: length of the queue (P).
        sample: size of a tournament (S).
        offspring: cycles made before their children are evaluated together; 1 as published.
        scalarisation: `chebyshev` or `sum`.
        edge_changes, op_changes: expected changes of a mutation.

    Attributes:
        queue_rows: (p,) rows of the queue, the oldest first.
        queue_costs: (p, m) their costs.

    Raises:
        ConfigError: an impossible setting.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> space = Space(4)
        >>> rng = np.random.default_rng(0)
        >>> search = RegularisedEvolution(space=space, rng=rng, population=10, sample=5)
        >>> for _ in range(200):
        ...     rows = search.ask()
        ...     cells = [space.cell(row) for row in rows]
        ...     search.tell(rows, [(cell.edges, cell.vertices) for cell in cells])
        >>> space.cell(search.queue_rows.min()).edges  # the smallest cell has the least of both
        1
    """

    name = "re"

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        population: int = 100,
        sample: int = 25,
        offspring: int = 1,
        scalarisation: str = "chebyshev",
        edge_changes: float = 1.0,
        op_changes: float = 0.5,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper, budgets=budgets)
        check_counts(
            "regularised evolution", population=population, sample=sample, offspring=offspring
        )
        check_numbers("a mutation", least=0, edge_changes=edge_changes, op_changes=op_changes)
        self.capacity = population
        self.tournament = sample
        self.offspring = offspring
        self._scalar = scalarise(scalarisation)
        self._changes = {"edge_changes": edge_changes, "op_changes": op_changes}
        self._normalise = Normaliser()
        self.queue_rows: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self.queue_costs: NDArray[np.float64] = np.empty((0, 2))
        self._evaluated = 0

    def ask(self) -> NDArray[np.int32]:
        """Random cells until the queue is full, then the children of the next cycles."""
        missing = self.capacity - self._evaluated
        if missing > 0 or not len(self.queue_rows):
            return self.sample(max(1, missing))
        children = perturb(
            self.space,
            self.queue_rows[self.parents()],
            self.rng,
            allowed=self._allowed,
            **self._changes,
        )
        failed = np.flatnonzero(children < 0)
        children[failed] = self.sample(len(failed))
        return children

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Put the cells without a NaN at the end of the queue, and remove the oldest."""
        new_rows, new_costs = self._checked(rows, costs)
        self._evaluated += len(new_rows)
        known = ~np.isnan(new_costs).any(axis=1)
        if not known.any():
            return
        self._normalise.see(new_costs[known])
        if not len(self.queue_rows):
            self.queue_costs = new_costs[:0]
        self.queue_rows = np.concatenate([self.queue_rows, new_rows[known]])[-self.capacity :]
        self.queue_costs = np.concatenate([self.queue_costs, new_costs[known]])[-self.capacity :]

    def parents(self) -> NDArray[np.int64]:
        """(offspring,) positions in the queue: the winner of one tournament each."""
        n, m = self.queue_costs.shape
        drawn = self.rng.integers(0, n, (self.offspring, self.tournament))
        weights = random_weights(self.rng, m, self.offspring)
        scores = self._scalar(self._normalise(self.queue_costs)[drawn], weights[:, None])
        winner = scores.argmin(axis=1)
        chosen: NDArray[np.int64] = drawn[np.arange(self.offspring), winner]
        return chosen
