"""Keeping a search away from the cells that it knows already."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Known"]

_ROUNDS = 10


class Known:
    """The cells that a search was told of, and which may still be proposed.

    Args:
        allowed: (n_cells,) mask of the cells that may be proposed at all.
        avoid: whether to keep away from known cells; off, everything allowed may come again.
    """

    def __init__(self, allowed: NDArray[np.bool_], *, avoid: bool) -> None:
        self.avoid = avoid
        self._allowed = allowed
        self._new = allowed.copy() if avoid else allowed
        self._left = int(allowed.sum())

    def note(self, rows: NDArray[np.int32]) -> None:
        """Remember cells. When all allowed ones are known, all are as good as new again."""
        if not self.avoid:
            return
        distinct = np.unique(rows)
        self._left -= int(self._new[distinct].sum())
        self._new[distinct] = False
        if not self._left:
            self._new[:] = self._allowed
            self._left = int(self._allowed.sum())

    @property
    def proposable(self) -> NDArray[np.bool_]:
        """(n_cells,) mask of what may be proposed; not to be written to."""
        return self._new

    def draw(
        self, make: Callable[[NDArray[np.intp]], NDArray[np.int32]], n: int
    ) -> NDArray[np.int32]:
        """(n,) rows made one for each position, known and equal ones made again a few times.

        Args:
            make: rows for some of the positions 0 .. n - 1; -1 where it found none.
            n: how many.

        Returns:
            (n,) int32 rows; what cannot be made new stays known, equal to another, or -1.
        """
        rows = make(np.arange(n))
        if not self.avoid:
            return rows
        for _ in range(_ROUNDS):
            first = np.zeros(n, dtype=np.bool_)
            first[np.unique(rows, return_index=True)[1]] = True
            stale = np.flatnonzero(~(first & (rows >= 0) & self._new[rows]))
            if not len(stale):
                break
            again = make(stale)
            rows[stale] = np.where(again >= 0, again, rows[stale])
        return rows

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
        """(at most n,) rows drawn uniformly, without replacement, from those not known."""
        new = np.flatnonzero(self._new)
        return rng.choice(new, min(n, len(new)), replace=False).astype(np.int32)
