"""The base class of search methods (ask/tell), and cells drawn as by the released code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, check_counts, whole_numbers
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_EDGES

__all__ = ["Batch", "Optimiser", "released_draws"]

# Rounds of draws without a single allowed cell after which one is drawn uniformly instead.
_RELEASED_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class Batch:
    """Cells to evaluate at one training budget."""

    rows: NDArray[np.int32]
    """(n,) rows, n >= 1."""
    epochs: int
    """One of the budgets that the method was given."""


class Optimiser(ABC):
    """A search method over the rows of a space.

    The caller alternates `ask` and `tell`; `naslib_ecnas.search.run` does so over a benchmark and
    counts what the search costs. A method only sees costs, of which less is better, and knows no
    units and no tables.

    Args:
        space: the space to search.
        rng: source of all randomness.
        rows: the rows that may be proposed, such as the rows that a table holds; None for the
            whole space.
        paper: behave like the published code where it departs from its paper.
        budgets: ascending training budgets in epochs, the last one the run's own. A method that
            `uses_budgets` returns `Batch`es; the others ignore them.

    Attributes:
        rows: (k,) int32 rows that may be proposed, ascending.

    Raises:
        ConfigError: no row may be proposed, or an impossible setting.
        UnknownCellError: a row lies outside the space.
    """

    name: ClassVar[str]
    """The name that users type."""
    has_paper_setting: ClassVar[bool] = False
    """Whether `paper=True` is possible."""
    uses_budgets: ClassVar[bool] = False
    """Whether the method evaluates at smaller budgets too."""
    skipped: int = 0
    """Proposals dropped so far because they were invalid or not allowed: never evaluated, never
    charged. Only paper settings make such proposals."""

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        budgets: tuple[int, ...] = (),
    ) -> None:
        self.check_paper(paper)
        self.space = space
        self.rng = rng
        self.paper = paper
        self.budgets: tuple[int, ...] = tuple(budgets)
        for last, budget in zip((0, *self.budgets), self.budgets, strict=False):
            check_counts("ascending budgets", least=last + 1, budget=budget)
        allowed = np.arange(len(space)) if rows is None else whole_numbers(rows)
        if (np.diff(allowed) <= 0).any():  # the rows of a table are sorted already
            allowed = np.unique(allowed)
        if not allowed.size:
            raise ConfigError("a search needs at least one row that may be proposed")
        for end in (allowed[0], allowed[-1]):
            space.cell(int(end))
        self.rows: NDArray[np.int32] = allowed.astype(np.int32)
        self._allowed = np.zeros(len(space), dtype=np.bool_)
        self._allowed[self.rows] = True

    @classmethod
    def check_paper(cls, paper: bool) -> None:
        """Refuse a paper setting that the method does not have.

        Raises:
            ConfigError: `paper` is set and the method has no paper setting.
        """
        if paper and not cls.has_paper_setting:
            raise ConfigError(f"the method {cls.name} has no paper setting")

    @abstractmethod
    def ask(self) -> NDArray[np.int32] | Batch:
        """The cells to evaluate next.

        Returns:
            (n,) int32 rows, all allowed, to be evaluated at the run's own budget, or a `Batch`
            that names its budget; the method chooses n >= 1. A cell may be asked for again, in
            the same batch or in a later one.
        """

    @abstractmethod
    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Take in the costs of evaluated cells, at the budget last asked for.

        Args:
            rows: (n,) rows: all that were last asked for, the first of them, or any others.
            costs: (n, m) costs, less is better; NaN where an evaluation failed.

        Raises:
            ConfigError: the shapes do not fit.
            UnknownCellError: a row lies outside the space.
        """

    def allowed(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Mask of the rows that are cells (not -1) and may be proposed, of any shape."""
        mask: NDArray[np.bool_] = (rows >= 0) & self._allowed[rows]
        return mask

    def sample(self, n: int) -> NDArray[np.int32]:
        """(n,) rows drawn uniformly from the allowed ones, with replacement."""
        return self.rows[self.rng.integers(0, len(self.rows), n)]

    def _sample_released(self, n: int) -> NDArray[np.int32]:
        """(k,) the allowed cells among n draws as by the released code, 1 <= k <= n.

        Draws again if none is allowed, at last one cell uniformly; counts what it dropped.
        """
        for _ in range(_RELEASED_ROUNDS):
            rows = released_draws(self.space, self.rng, n)
            good = rows[self.allowed(rows)]
            self.skipped += n - len(good)
            if len(good):
                return good
        return self.sample(1)

    def _checked(
        self, rows: ArrayLike, costs: ArrayLike
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Rows and costs of `tell` as fresh arrays."""
        where = np.array(rows)
        values = np.array(costs, dtype=np.float64)
        if where.ndim != 1 or values.ndim != 2 or len(values) != len(where):
            shapes = (where.shape, values.shape)
            raise ConfigError("rows must have shape (n,) and costs (n, m)", value=shapes)
        if where.size:
            self.space.cell(int(where.min()))
            self.space.cell(int(where.max()))
        return where.astype(np.int32), values


# -- cells drawn as by the released code of EC-NAS ----
#
# Its search space is a list of choices for its optimiser, in which the ranges of the number of
# vertices (2 to V) and of edges (1 to V (V - 1) / 2) became choices between their two ends. A
# matrix of so many vertices is filled row by row with coin tosses until it has so many edges.


def released_draws(space: Space, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """(n,) int32 rows of draws as in the released code, -1 for invalid cells."""
    v = space.vertices
    upper = np.triu(np.ones((v, v), dtype=np.bool_), 1)
    whole = rng.random(n) < 0.5  # all V vertices, or two
    many = rng.random(n) < 0.5  # any number of edges, or one
    tossed = (rng.random((n, v, v)) < 0.5) & upper
    flat = tossed.reshape(n, -1)
    flat[~many] &= np.cumsum(flat, axis=1)[~many] == 1  # the first in the order of filling
    labels = rng.integers(0, 3, (n, v - 2))
    rows = np.full(n, -1, dtype=np.int32)
    rows[whole] = space.rows(tossed[whole].astype(np.int8), labels[whole])
    # Edges are counted before pruning, so some cells are lost that NAS-Bench-101 would accept.
    rows[whole & (flat.sum(axis=1) > MAX_EDGES)] = -1
    # Two vertices are the input and the output: valid if the one possible edge was tossed.
    rows[~whole & tossed[:, 0, 1]] = 0
    return rows
