"""MF-EHVI: expected hypervolume improvement that screens cells with short trainings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from naslib_ecnas.errors import check_counts
from naslib_ecnas.search.base import Batch, Problem, Rows
from naslib_ecnas.search.ehvi import Ehvi, Model


class MfEhvi(Ehvi):
    """EHVI at two budgets: each turn first screens cells with short trainings, then trains the
    best of all screened cells in full.

    Both are chosen by the expected gain at the run's own budget, divided by a power of the
    predicted energy (`thrift`). Its Gaussian processes have the results of short trainings as one
    more group of columns for each objective; of cells that were not screened they are the
    predictions of further processes, of the short trainings. Recursive co-kriging (Le Gratiet and
    Garnier 2014) is alike, but takes its predictions as uncertain.

    Without a smaller budget it is `Ehvi`.

    Args:
        screened: cells screened for each one trained in full.
        initial, thrift: as for `Ehvi`.

    Attributes:
        short: epochs of a short training: the largest budget of at most a ninth of the run's own,
            or else the smallest; 0 without budgets.
    """

    name = "mf-ehvi"
    uses_budgets = True
    asynchronous = False  # `tell` says nothing of the budget
    _least_batch = 3

    def __init__(
        self, problem: Problem, *, screened: int = 2, initial: int = 5, thrift: float = 0.4
    ) -> None:
        super().__init__(problem, initial=initial, thrift=thrift)
        check_counts("MF-EHVI", screened=screened)
        self.screened = screened
        short = [b for b in self.budgets[:-1] if 9 * b <= self.budgets[-1]]
        self.short: int = (*self.budgets[:1], *short)[-1] if self.budgets else 0
        self._low = Model(self.space, self._groups)
        self._model = Model(self.space, self._groups, self._low)
        self._trained = np.zeros_like(self._allowed)  # mask of the cells trained in full
        self._screening = False  # the last cells were asked for at the smaller budget

    def ask(self) -> Rows | Batch:
        """The cells to screen, or to train in full; nothing when every cell was trained."""
        if len(self.budgets) < 2:
            return super().ask()
        for _ in range(2):
            self._screening = not self._screening
            if len(rows := self._next()):
                break
        return Batch(rows, self.short if self._screening else self.budgets[-1])

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Learn the costs; cells with a NaN are not learnt from and not asked for again."""
        self._learn(self._low if self._screening else self._model, rows, costs)
        if not self._screening:
            self._trained[np.asarray(rows, dtype=np.intp)] = True

    def _next(self) -> Rows:
        """The best cells to screen or to train in full, at first the smallest and the ladder."""
        if not self._screening:
            pool = np.sort(self._low.evaluated.rows)
            pool = pool[~self._trained[pool]]
            return self._best(pool, self.batch if len(self.evaluated) else len(pool))
        if not self._started:
            self._started = True
            return self._first()
        self._turn += 1
        return self._best(self._pool(), self.screened * self.batch)
