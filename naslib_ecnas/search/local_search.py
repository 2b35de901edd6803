"""Local search over neighbouring cells, made multi-objective by random scalarisations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from naslib_ecnas.errors import check_counts
from naslib_ecnas.search.base import Floats, Optimiser, Problem, Rows
from naslib_ecnas.search.operators import Scalarisation, Visited, random_weights


class LocalSearch(Optimiser):
    """Hill climbing with restarts (White et al., UAI 2021, algorithm 1) over scalarised objectives.

    From the best of some random cells, all neighbours (one edge or one operation apart,
    `Space.neighbours`) are evaluated; the search moves to the best neighbour if it is better, and
    otherwise starts over from new random cells.

    As published: the neighbourhood, the move to its best cell and the restart. The one objective
    of the published method is here a scalarisation of all objectives, with weights drawn anew for
    each start (ParEGO's lattice) and costs normalised by all evaluations so far. Evaluated cells
    are not asked for again.

    Args:
        initial: random cells of each start.

    Attributes:
        optima: rows at which a climb ended, in order.
    """

    name = "ls"

    def __init__(self, problem: Problem, *, initial: int = 10) -> None:
        super().__init__(problem)
        check_counts("local search", initial=initial)
        self.initial = initial
        self._score = Scalarisation()
        self._visited = Visited(problem, avoid=True)
        self._costs: dict[int, Floats] = {}  # of all evaluated rows
        self._weights: Floats | None = None
        self._around: Rows = np.empty(0, dtype=np.int32)  # rows of the next step
        self._current: int | None = None
        self.optima: list[int] = []

    def ask(self) -> Rows:
        """The first cells of a climb, or the neighbours that were not evaluated yet; none when
        every cell was evaluated."""
        # Ends: each step goes to a better cell or ends the climb, and a start asks for new cells.
        while len(self._around) or self._current is not None:
            unknown = self._around[self._visited.proposable[self._around]]
            if len(unknown):
                return unknown
            self._step()
        self._weights = None
        self._around = self._visited.sample(self.initial)
        return np.array(self._around)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Remember the costs; cells with a NaN are never moved to."""
        new_rows, new_costs = self._checked(rows, costs)
        self._visited.add(new_rows)
        self._score.see(new_costs)
        self._costs.update(zip(new_rows.tolist(), new_costs, strict=True))

    def _step(self) -> None:
        """Move to the best of the rows around, or end the climb if none is better."""
        current = best = self._current
        rows = [current, *self._around.tolist()]
        known = [r for r in rows if r is not None and not np.isnan(self._costs[r]).any()]
        if known:
            costs = np.array([self._costs[row] for row in known])
            if self._weights is None:
                self._weights = random_weights(self.rng, costs.shape[1])[0]
            best = known[int(self._score(costs, self._weights).argmin())]  # of equal ones the first
        self._current, self._around = None, np.empty(0, dtype=np.int32)
        if best == current and current is not None:
            self.optima.append(current)
        elif best is not None:  # else every start failed
            self._current = best
            near = self.space.neighbours(best)
            self._around = near[self.allowed(near)]
