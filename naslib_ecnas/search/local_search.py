"""Local search over neighbouring cells, made multi-objective by random scalarisations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import check_counts
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.operators import Normaliser, random_weights, scalarise
from naslib_ecnas.space import Space

__all__ = ["LocalSearch"]


class LocalSearch(Optimiser):
    """Hill climbing with restarts (White et al., UAI 2021, algorithm 1) over scalarised objectives.

    From the best of some random cells, all neighbours (one edge or one operation apart,
    `Space.neighbours`) are evaluated; the search moves to the best neighbour if it is better, and
    otherwise starts over from new random cells.

    As published: the neighbourhood, the move to its best cell and the restart. The published
    method has one objective. Here it is a scalarisation of all objectives, with weights drawn
    anew for each start (ParEGO's lattice) and costs normalised by all evaluations so far, so
    that every climb ends at another part of the front. Cells that were evaluated before, in any
    climb, are not asked for again, since their costs are known, except for the random cells of a
    start.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`; there is no paper setting.
        initial: random cells of each start.
        scalarisation: `chebyshev` or `sum`.

    Attributes:
        optima: rows at which a climb ended, in order.

    Raises:
        ConfigError: an impossible setting.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> space = Space(4)
        >>> search = LocalSearch(space=space, rng=np.random.default_rng(0), initial=1)
        >>> while search.climbs < 2:
        ...     rows = search.ask()
        ...     cells = [space.cell(row) for row in rows]
        ...     search.tell(rows, [(cell.edges, cell.vertices) for cell in cells])
        >>> search.optima[0]  # the smallest cell has the least of both
        0
    """

    name = "ls"

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        initial: int = 10,
        scalarisation: str = "chebyshev",
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper, budgets=budgets)
        check_counts("local search", initial=initial)
        self.initial = initial
        self._scalar = scalarise(scalarisation)
        self._normalise = Normaliser()
        self._costs: dict[int, NDArray[np.float64]] = {}  # of all evaluated rows
        self._weights: NDArray[np.float64] | None = None
        self._around: NDArray[np.int32] = np.empty(0, dtype=np.int32)  # rows of the next step
        self._current: int | None = None
        self.optima: list[int] = []

    @property
    def climbs(self) -> int:
        """Number of climbs that have ended."""
        return len(self.optima)

    def ask(self) -> NDArray[np.int32]:
        """The first cells of a climb, or the neighbours that were not evaluated yet."""
        # Ends: each step goes to a better cell or ends the climb, and a start asks for new cells.
        while len(self._around) or self._current is not None:
            unknown = [row for row in self._around.tolist() if row not in self._costs]
            if unknown:
                return np.array(unknown, dtype=np.int32)
            self._step()
        self._weights = None
        start = self.sample(self.initial)
        self._around = start.copy()
        return start

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Remember the costs; cells with a NaN are never moved to."""
        new_rows, new_costs = self._checked(rows, costs)
        self._normalise.see(new_costs)
        self._costs.update(zip(new_rows.tolist(), new_costs, strict=True))

    def _step(self) -> None:
        """Move to the best of the rows around, or end the climb if none is better."""
        around = self._around.tolist()
        best, best_score = self._best(around)
        current = self._current
        if current is not None:
            here = self._best([current])[1]
            if not best_score < here:
                self.optima.append(current)
                self._current, self._around = None, np.empty(0, dtype=np.int32)
                return
        if best is None:  # every start failed
            self._around = np.empty(0, dtype=np.int32)
            return
        self._current = best
        near = self.space.neighbours(best)
        self._around = near[self.allowed(near)]

    def _best(self, rows: list[int]) -> tuple[int | None, float]:
        """The row with the least scalarised cost, the first of equal ones, and its cost."""
        evaluated = [(row, self._costs[row]) for row in rows]
        known = [(row, costs) for row, costs in evaluated if not np.isnan(costs).any()]
        if not known:
            return None, np.inf
        costs = np.array([costs for _, costs in known])
        if self._weights is None:
            self._weights = random_weights(self.rng, costs.shape[1])[0]
        scores = self._scalar(self._normalise(costs), self._weights)
        at = int(scores.argmin())
        return known[at][0], float(scores[at])
