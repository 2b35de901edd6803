"""Random search: the yardstick of every other method."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.search.base import Optimiser, draw_released
from naslib_ecnas.search.operators import Known
from naslib_ecnas.space import Space

__all__ = ["RandomSearch"]


class RandomSearch(Optimiser):
    """Draws cells uniformly over the distinct ones, with replacement, and learns nothing.

    With `paper=True` it draws as the released code: a raw matrix of two or of all V vertices with
    at most one or any number of edges (`released_draws`). Two thirds of these are no cell of the
    7V space. They are dropped and counted as `skipped`, not answered with the energy of 0 that the
    released code gives them, and not charged. Not reproduced: its training budget, drawn with the
    cell, and its scrambled Sobol points, which are plain random numbers here.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`.
        batch: cells in an answer.
        avoid_repeats: draw without replacement, and start over when all allowed cells were drawn.

    Raises:
        ConfigError: an empty batch, or both `paper` and `avoid_repeats`.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> search = RandomSearch(space=Space(4), rng=np.random.default_rng(0), batch=5)
        >>> rows = search.ask()
        >>> search.tell(rows, np.zeros((5, 2)))
        >>> rows.shape, bool((rows < 91).all())
        ((5,), True)
    """

    name = "random"
    has_paper_setting = True

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        batch: int = 100,
        avoid_repeats: bool = False,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper, budgets=budgets)
        check_counts("random search", least=None, batch=batch)
        if batch < 1 or (paper and avoid_repeats):
            raise ConfigError(
                "an empty batch" if batch < 1 else "the released code draws with replacement",
                value={"batch": batch, "avoid_repeats": avoid_repeats},
                expected="at least 1; avoid_repeats without paper",
                remedy="ask for a cell",
            )
        self.batch = batch
        self._known = Known(self._allowed, avoid=avoid_repeats)

    def ask(self) -> NDArray[np.int32]:
        """(batch,) rows drawn at random; fewer with `paper`, whose draws are not all cells, and
        where `avoid_repeats` has fewer left."""
        if self.paper:
            rows, skipped = draw_released(self, self.batch)
            self.skipped += skipped
            return rows
        if self._known.avoid:
            return self._known.sample(self.rng, self.batch)
        return self.sample(self.batch)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Checks what it is told; the next draws do not depend on the costs."""
        self._known.note(self._checked(rows, costs)[0])
