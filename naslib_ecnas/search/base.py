"""What every search method is: it proposes cells when asked and learns when told their costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, check_counts, whole_numbers
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_EDGES

__all__ = ["Batch", "Optimiser", "draw_released", "raw_released"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Cells to evaluate at one training budget."""

    rows: NDArray[np.int32]
    """(n,) rows, n >= 1."""
    epochs: int
    """One of the budgets that the method was given."""


class Optimiser(ABC):
    """A search method over the rows of a space.

    Whoever drives it alternates `ask` and `tell`; `naslib_ecnas.search.run` does so over a
    benchmark and counts what the search costs. A method sees costs alone, less being better in
    every objective, and knows no units and no tables.

    Args:
        space: the space to search.
        rng: source of all randomness.
        rows: the rows that may be proposed, such as those that a table holds; None for the
            whole space.
        paper: behave as the published code does where it departs from its paper.
        budgets: ascending training budgets in epochs, the last one the run's own. A method of one
            fidelity ignores them, a method that `uses_budgets` answers with `Batch`es.

    Raises:
        ConfigError: no row may be proposed, or the method has no such setting.
        UnknownCellError: a row is not of the space.
    """

    name: ClassVar[str]
    """What users type."""
    has_paper_setting: ClassVar[bool] = False
    """Whether `paper=True` means anything."""
    uses_budgets: ClassVar[bool] = False
    """Whether the method evaluates at smaller budgets too."""
    skipped: int = 0
    """Proposals so far that were no cell or not allowed and were dropped: never evaluated, never
    charged. Only paper settings make any."""

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
        self.budgets = _ascending(budgets)
        allowed = np.arange(len(space)) if rows is None else whole_numbers(rows)
        if (np.diff(allowed) <= 0).any():  # a whole table's are sorted already
            allowed = np.unique(allowed)
        if not allowed.size:
            raise ConfigError(
                "no cell may be proposed",
                value=0,
                expected="at least one row",
                remedy="choose a table, budget and objectives that have values",
            )
        for end in (allowed[0], allowed[-1]):
            space.cell(int(end))
        #: (k,) int32 rows that may be proposed, ascending.
        self.rows: NDArray[np.int32] = allowed.astype(np.int32)
        self._allowed = np.zeros(len(space), dtype=np.bool_)
        self._allowed[self.rows] = True

    @classmethod
    def check_paper(cls, paper: bool) -> None:
        """Refuse a paper setting that the method does not have.

        Raises:
            ConfigError: `paper` is set and there is none.
        """
        if paper and not cls.has_paper_setting:
            raise ConfigError(
                f"the method {cls.name} has no paper setting",
                value=paper,
                expected="the method without its paper setting",
                remedy="leave it off, or choose a method that has one",
            )

    @abstractmethod
    def ask(self) -> NDArray[np.int32] | Batch:
        """The cells to evaluate next.

        Returns:
            (n,) int32 rows, all allowed, to be evaluated at the run's own budget, or a `Batch`
            that names its budget; n >= 1 is the method's own choice. A cell may come again, in
            one answer or in a later one.
        """

    @abstractmethod
    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Costs of evaluated cells, at the budget last asked for.

        Args:
            rows: (n,) rows, those last asked for or the first of them, or any others.
            costs: (n, m) costs, less is better; NaN in what could not be evaluated.

        Raises:
            ConfigError: the shapes do not fit.
            UnknownCellError: a row is not of the space.
        """

    def allowed(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Mask of the rows that are cells (not -1) and may be proposed, of any shape."""
        mask: NDArray[np.bool_] = (rows >= 0) & self._allowed[rows]
        return mask

    def sample(self, n: int) -> NDArray[np.int32]:
        """(n,) rows drawn uniformly from those allowed, with replacement."""
        return self.rows[self.rng.integers(0, len(self.rows), n)]

    def _checked(
        self, rows: ArrayLike, costs: ArrayLike
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Rows and costs of `tell` as fresh arrays."""
        where = np.array(rows)
        values = np.array(costs, dtype=np.float64)
        if where.ndim != 1 or values.ndim != 2 or len(values) != len(where):
            raise ConfigError(
                "the costs do not fit the rows",
                value=(where.shape, values.shape),
                expected="rows of shape (n,) and costs of shape (n, m)",
                remedy="tell one row of costs for each cell",
            )
        if where.size:
            self.space.cell(int(where.min()))
            self.space.cell(int(where.max()))
        return where.astype(np.int32), values


def _ascending(budgets: tuple[int, ...]) -> tuple[int, ...]:
    """The budgets as a tuple of ascending numbers of epochs."""
    wanted = tuple(budgets)
    for budget in wanted:
        check_counts(least=None, budgets=budget)
    if any(b < 1 for b in wanted) or any(a >= b for a, b in pairwise(wanted)):
        raise ConfigError(
            "the budgets do not ascend",
            value=wanted,
            expected="ascending numbers of epochs",
            remedy="give those of the table up to the run's own",
        )
    return wanted


# How the released code of EC-NAS draws cells for random search and MSE-HVI.
#
# Its space is handed to the optimiser as a list of choices, and the ranges of the number of
# vertices (2 to V) and of edges (1 to V (V - 1) / 2) became choices of their two ends. A matrix
# of so many vertices is filled with coin tosses row by row until it has so many edges.


# Draws without a single allowed cell after which one is drawn uniformly instead.
_ROUNDS = 100


def raw_released(space: Space, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """(n,) int32 rows of draws as in the released code, -1 where they are no cell of the space."""
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
    # Edges are counted before pruning, so some cells are lost that NAS-Bench-101 would take.
    rows[whole & (flat.sum(axis=1) > MAX_EDGES)] = -1
    # Two vertices are the input and the output: a cell if the one possible edge was tossed.
    rows[~whole & tossed[:, 0, 1]] = 0
    return rows


def draw_released(optimiser: Optimiser, n: int) -> tuple[NDArray[np.int32], int]:
    """The allowed cells among n draws, and how many draws were none of them.

    Draws again where not one is, and at last takes one uniformly.

    Returns:
        (k,) rows with 1 <= k <= n, and the number of draws dropped.
    """
    skipped = 0
    for _ in range(_ROUNDS):
        rows = raw_released(optimiser.space, optimiser.rng, n)
        good = rows[optimiser.allowed(rows)]
        skipped += n - len(good)
        if len(good):
            return good, skipped
    return optimiser.sample(1), skipped
