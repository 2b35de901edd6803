"""Random search, with which every other method is compared."""

from __future__ import annotations

from numpy.typing import ArrayLike

from naslib_ecnas.errors import check_counts
from naslib_ecnas.search.base import Optimiser, Problem, Rows
from naslib_ecnas.search.operators import Visited


class RandomSearch(Optimiser):
    """Draws cells uniformly over the distinct ones and learns nothing.

    With `paper=True` it draws like the released code: a raw matrix of two or of all V vertices
    with at most one or any number of edges (`released_draws`). Invalid ones, two thirds in the 7V
    space, are dropped, counted as `skipped` and not charged; the released code evaluates them,
    with an energy of 0. Not reproduced: its training budget, which is drawn with the cell, and its
    scrambled Sobol points, which are plain random numbers here.

    Args:
        batch: cells asked for at a time.
        avoid_repeats: draw without replacement.
        paper: draw like the released code, with replacement.
    """

    name = "random"
    asynchronous = True
    has_paper_setting = True

    def __init__(
        self, problem: Problem, *, batch: int = 100, avoid_repeats: bool = True, paper: bool = False
    ) -> None:
        super().__init__(problem)
        check_counts("random search", batch=batch)
        self.batch = batch
        self.paper = paper
        self._visited = Visited(problem, avoid=avoid_repeats)

    def ask(self) -> Rows:
        """(batch,) rows drawn at random; fewer with `paper`, which drops invalid cells, and where
        `avoid_repeats` has fewer left."""
        if self.paper:
            return self._sample_released(self.batch)
        return self._visited.sample(self.batch)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Check the arguments; the next draws do not depend on the costs."""
        self._visited.add(self._checked(rows, costs)[0])
