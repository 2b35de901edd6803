"""Random search: the yardstick of every other method."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.space import Space

__all__ = ["RandomSearch"]


class RandomSearch(Optimiser):
    """Draws cells uniformly over the distinct ones, with replacement, and learns nothing.

    Args:
        space, rng, rows, paper: see `Optimiser`; there is no paper setting.
        batch: cells in an answer.

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

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        batch: int = 100,
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper)
        if batch < 1:
            raise ConfigError(
                "an empty batch", value=batch, expected="at least 1", remedy="ask for a cell"
            )
        self.batch = batch

    def ask(self) -> NDArray[np.int32]:
        """(batch,) rows drawn at random."""
        return self.sample(self.batch)

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Checks what it is told; the next draws do not depend on it."""
        self._checked(rows, costs)
