"""What a search works on, the base class of search methods, and the draws of the released code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, check_counts, check_types, whole_numbers
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_EDGES, checked_rows

#: Costs or values, (n, m) or one for each cell.
Floats = NDArray[np.float64]
#: Rows of the space.
Rows = NDArray[np.int32]

# Rounds of draws without a single allowed cell after which one is drawn uniformly instead.
_RELEASED_ROUNDS = 100


class Problem:
    """The cells among which a method searches, its training budgets and its source of randomness.

    Args:
        rows: the rows that may be proposed, such as the rows that a table holds; None for the
            whole space.
        budgets: ascending training budgets in epochs, the last one the run's own.

    Attributes:
        rows: (k,) int32 rows that may be proposed, ascending.
        mask: (n_cells,) mask of these rows.

    Raises:
        ConfigError: no row may be proposed, or the budgets do not ascend.
        UnknownCellError: a row lies outside the space.
    """

    def __init__(
        self,
        space: Space,
        rng: np.random.Generator,
        *,
        rows: ArrayLike | None = None,
        budgets: tuple[int, ...] = (),
    ) -> None:
        check_types(Space, space=space)
        self.space = space
        self.rng = rng
        self.budgets: tuple[int, ...] = tuple(budgets)
        for last, budget in zip((0, *self.budgets), self.budgets, strict=False):
            check_counts("ascending budgets", least=last + 1, budget=budget)
        chosen = np.arange(len(space)) if rows is None else whole_numbers(rows)
        if (np.diff(chosen) <= 0).any():  # the rows of a table are sorted already
            chosen = np.unique(chosen)
        if not chosen.size:
            raise ConfigError("a search needs at least one row that may be proposed")
        checked_rows(chosen[[0, -1]], len(space))
        self.rows: Rows = chosen.astype(np.int32)
        self.mask: NDArray[np.bool_] = np.zeros(len(space), dtype=np.bool_)
        self.mask[self.rows] = True


@dataclass(frozen=True, eq=False)
class Batch:
    """Cells to evaluate at one training budget."""

    rows: Rows
    """(n,) rows, n >= 1."""
    epochs: int
    """One of the problem's budgets."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Cells and their costs, such as the population of a method."""

    rows: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    """(n,) rows."""
    costs: Floats = field(default_factory=lambda: np.empty((0, 2)))
    """(n, m) costs, less is better."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: Any) -> Evaluated:
        """Some of the cells, by an array of positions, a mask or a slice."""
        return Evaluated(self.rows[which], self.costs[which])

    def __add__(self, other: Evaluated) -> Evaluated:
        """These cells, followed by others."""
        if not len(self):  # the number of objectives may not be known yet
            return other
        return Evaluated(
            np.concatenate([self.rows, other.rows]), np.concatenate([self.costs, other.costs])
        )

    def known(self) -> Evaluated:
        """The cells without a NaN among their costs."""
        return self[~np.isnan(self.costs).any(axis=1)]


class Optimiser(ABC):
    """A search method over the rows of a space.

    The caller alternates `ask` and `tell`; `naslib_ecnas.search.run` does so over a benchmark and
    counts what the search costs. A method only sees costs, of which less is better. An impossible
    setting of a method raises ConfigError.

    Args:
        problem: what is searched. Its `space`, `rng`, `rows` and `budgets` are attributes of the
            method too. A method that `uses_budgets` returns `Batch`es; the others ignore them.

    Examples:
        >>> import numpy as np
        >>> from naslib_ecnas.search import Problem, Semoa
        >>> from naslib_ecnas.space import Space
        >>> search = Semoa(Problem(Space(4), np.random.default_rng(0)))
        >>> while len(rows := search.ask()):  # until every cell was evaluated
        ...     cells = [search.space.cell(row) for row in rows]
        ...     search.tell(rows, [(cell.edges, 4 - cell.vertices) for cell in cells])
        >>> sorted(search.population.costs.tolist())  # the fewest edges for 4, 3 and 2 vertices
        [[1.0, 2.0], [2.0, 1.0], [3.0, 0.0]]
    """

    name: ClassVar[str]
    """The name that users type."""
    has_paper_setting: ClassVar[bool] = False
    """Whether it takes `paper=True`: to depart from its paper as the published code does."""
    uses_budgets: ClassVar[bool] = False
    """Whether the method evaluates at smaller budgets too."""
    asynchronous: ClassVar[bool] = False
    """Whether it can be asked while cells of its last batches are still being trained: it is told
    NaN for them then, and their costs later. Otherwise, and if it `uses_budgets`, workers wait
    for the whole batch."""
    skipped: int = 0
    """Proposals of a paper setting that were invalid or not allowed: not evaluated, not charged."""

    def __init__(self, problem: Problem) -> None:
        check_types(Problem, problem=problem)
        self.space: Space = problem.space
        self.rng: np.random.Generator = problem.rng
        self.rows: Rows = problem.rows
        self.budgets: tuple[int, ...] = problem.budgets
        self._allowed = problem.mask

    @abstractmethod
    def ask(self) -> Rows | Batch:
        """The cells to evaluate next.

        Returns:
            (n,) int32 rows, all allowed, to be evaluated at the run's own budget, or a
            `Batch` that names its budget. None are returned when every allowed cell was evaluated
            and the method evaluates no cell again; the first call returns at least one.
        """

    @abstractmethod
    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Take in the costs of evaluated cells, at the budget last asked for.

        Args:
            rows: (n,) rows: all that were last asked for, the first of them, or any others.
            costs: (n, m) costs, less is better; NaN where an evaluation failed or, if the method is
                `asynchronous`, has not ended yet.

        Raises:
            ConfigError: the shapes do not fit.
            UnknownCellError: a row lies outside the space.
        """

    def allowed(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Mask of the rows that are cells (not -1) and may be proposed, of any shape."""
        return np.asarray((rows >= 0) & self._allowed[rows])

    def sample(self, n: int) -> Rows:
        """(n,) rows drawn uniformly from the allowed ones, with replacement."""
        return self.rows[self.rng.integers(0, len(self.rows), n)]

    def _sample_released(self, n: int) -> Rows:
        """(k,) the allowed cells among n draws as by the released code, 1 <= k <= n.

        Draws again if none is allowed, at last one cell uniformly; counts what it dropped.
        """
        for _ in range(_RELEASED_ROUNDS):
            good = self._good(released_draws(self.space, self.rng, n))
            if len(good):
                return good
        return self.sample(1)

    def _good(self, rows: Rows) -> Rows:
        """The allowed ones of some proposals; counts the others as skipped."""
        good = rows[self.allowed(rows)]
        self.skipped += len(rows) - len(good)
        return good

    def _checked(self, rows: ArrayLike, costs: ArrayLike) -> tuple[Rows, Floats]:
        """Rows and costs of `tell` as fresh arrays."""
        where = np.array(rows)
        values = np.array(costs, dtype=np.float64)
        if where.ndim != 1 or values.ndim != 2 or len(values) != len(where):
            shapes = (where.shape, values.shape)
            raise ConfigError("rows must have shape (n,) and costs (n, m)", value=shapes)
        return checked_rows(where, len(self.space)), values


def released_draws(space: Space, rng: np.random.Generator, n: int) -> Rows:
    """(n,) int32 rows of draws as in the released code, -1 for invalid cells.

    In its search space, the ranges of the number of vertices (2 to V) and of edges (1 to
    V (V - 1) / 2) became choices between their two ends. A matrix of so many vertices is filled
    row by row with coin tosses until it has so many edges.
    """
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
