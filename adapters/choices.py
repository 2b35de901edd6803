"""Cells as independent choices, for optimisers of other libraries that know nothing of graphs.

A point has one number for each possible edge (0 or 1, column by column of the space's V x V matrix)
and one for each interior vertex (the label of its operation, 0 to 2). Every point stands for a
cell that may be proposed, so no optimiser ever meets an invalid one:

1. Edges and operations are a labelled graph, which is pruned as always. Unused vertices and their
   operations have no effect.
2. A labelled graph that is not a cell (the output cannot be reached, or more than nine edges are
   left: 27 % of those with seven vertices) becomes the cell with the fewest flipped edges; at most
   three are ever needed. Of several, it is the one with the most vertices, then the first.
3. A cell that may not be proposed, such as one that a table lacks, becomes the allowed cell whose
   canonical graph differs in the fewest choices, then the one of the lowest row.

One changed choice is one changed edge or operation, so neighbouring points are neighbouring cells.
Every cell that may be proposed has a point: its canonical graph.

`Evaluation` evaluates the objectives of a benchmark for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import OBJECTIVES, Metric, metric
from naslib_ecnas.search.base import Problem
from naslib_ecnas.search.result import Ledger
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import EDGE_BIT, EDGES, MAX_VERTICES, OPERATIONS, labelled_graphs

# No labelled graph of up to seven vertices is further from a cell; the tests try all of them.
_MOST_FLIPS = 3


class Choices:
    """Converts points of whole numbers to cells and back.

    Args:
        space: the space of the cells.
        rows: rows that may be proposed; None for the whole space.

    Attributes:
        rows: (k,) int32 rows that may be proposed, ascending.
        mask: (n_cells,) mask of the same rows.
        edges: (source, target) of each edge choice.
        interior: vertex of each operation choice.
        names: names of the choices, edges first.
        sizes: (n_choices,) number of values of each choice: 2 for an edge, 3 for an operation.

    Raises:
        ConfigError: no row may be proposed.
        UnknownCellError: a row is outside of the space.

    Example:
        >>> choices = Choices(Space(4))
        >>> choices.names
        ('edge_0_1', 'edge_0_2', 'edge_1_2', 'edge_0_3', 'edge_1_3', 'edge_2_3', 'op_1', 'op_2')
        >>> choices.decode([[1, 0, 0, 0, 1, 0, 2, 0]])  # input, maxpool3x3, output
        array([3], dtype=int32)
        >>> choices.encode([3])
        array([[1, 0, 0, 0, 1, 0, 2, 0]], dtype=int8)
    """

    def __init__(self, space: Space, rows: ArrayLike | None = None) -> None:
        problem = Problem(space, np.random.default_rng(0), rows=rows)  # nothing is drawn
        self.space = space
        self.rows: NDArray[np.int32] = problem.rows
        self.mask: NDArray[np.bool_] = problem.mask
        output = space.vertices - 1
        self.edges: tuple[tuple[int, int], ...] = EDGES[: output * (output + 1) // 2]
        self.interior: tuple[int, ...] = tuple(range(1, output))
        self.names: tuple[str, ...] = (
            *(f"edge_{i}_{j}" for i, j in self.edges),
            *(f"op_{vertex}" for vertex in self.interior),
        )
        self.sizes: NDArray[np.int8] = np.array(
            [2] * len(self.edges) + [len(OPERATIONS)] * len(self.interior), dtype=np.int8
        )
        self._source, self._target = np.array(self.edges).T
        # A smaller space's output is vertex 6 of a code.
        self._bits = np.array(
            [1 << EDGE_BIT[i, MAX_VERTICES - 1 if j == output else j] for i, j in self.edges]
        )

    def decode(self, points: ArrayLike) -> NDArray[np.int32]:
        """The cells of points.

        Args:
            points: (n, n_choices) whole numbers, each below its entry of `sizes`; booleans may
                stand for edges.

        Returns:
            (n,) int32 rows, all among `rows`.

        Raises:
            ConfigError: another shape, or a number out of range.
        """
        array = self._checked(points)
        codes = array[:, : len(self.edges)] @ self._bits
        for at in np.flatnonzero(labelled_graphs().topology[codes] < 0):
            codes[at] = self._nearest(codes[at])
        v = self.space.vertices
        matrices = np.zeros((len(array), v, v), dtype=np.int8)
        matrices[:, self._source, self._target] = codes[:, None] & self._bits != 0
        rows = self.space.rows(matrices, array[:, len(self.edges) :])
        for at in np.flatnonzero(~self.mask[rows]):
            graph = self._graphs(rows[at : at + 1])
            rows[at] = self.rows[(self._canonical != graph).sum(axis=1).argmin()]
        return rows

    def encode(self, rows: ArrayLike, rng: np.random.Generator | None = None) -> NDArray[np.int8]:
        """A point of each cell: its canonical graph.

        Args:
            rows: (n,) rows of the space. The point of a row that may be proposed decodes to it.
            rng: draws the operations of unused vertices; conv3x3-bn-relu for all by default.

        Returns:
            (n, n_choices) int8.
        """
        points = self._graphs(np.asarray(rows))
        free = np.zeros(points.shape, dtype=np.int8)
        if rng is not None:
            labels = (len(points), len(self.interior))
            free[:, len(self.edges) :] = rng.integers(0, len(OPERATIONS), labels, dtype=np.int8)
        return np.where(points < 0, free, points)

    def _checked(self, points: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(points)
        whole = array.dtype.kind in "biu" or (
            array.dtype.kind == "f" and bool((array == np.floor(array)).all())
        )
        fits = array.ndim == 2 and array.shape[1] == len(self.sizes)
        if not whole or not fits or (array < 0).any() or (array >= self.sizes).any():
            raise ConfigError(
                f"points have shape (n, {len(self.sizes)}): 0 or 1 for {len(self.edges)} edges, "
                f"then 0 to 2 for {len(self.interior)} operations",
                value=array,
            )
        return array.astype(np.int64)

    @cached_property
    def _flips(self) -> list[NDArray[np.int64]]:
        """Every way to flip 1, 2 and 3 edges, as codes to combine by exclusive or."""
        return [
            np.array([sum(some) for some in combinations(self._bits, n)], dtype=np.int64)
            for n in range(1, min(_MOST_FLIPS, len(self._bits)) + 1)
        ]

    def _nearest(self, code: int) -> int:
        for ways in self._flips:
            # Topologies are numbered by vertices first, and -1 is no cell.
            topology = labelled_graphs().topology[code ^ ways]
            if topology.max() >= 0:
                return int(code ^ ways[topology.argmax()])
        raise AssertionError(f"no cell within {_MOST_FLIPS} edges of the graph {code}")

    @cached_property
    def _canonical(self) -> NDArray[np.int8]:
        """(k, n_choices) canonical graphs of the rows that may be proposed."""
        return self._graphs(self.rows)

    def _graphs(self, rows: NDArray[np.int32]) -> NDArray[np.int8]:
        """(n, n_choices) canonical graphs, -1 for the operations of unused vertices."""
        matrices, labels = self.space.matrices(rows)
        return np.hstack([matrices[:, self._source, self._target], labels])


class Evaluation:
    """Objectives of a benchmark at one budget, over the cells that have all of them.

    Other cells are never proposed, so no evaluation fails and no value is made up.

    Args:
        bench: the benchmark; its counter counts every evaluated cell.
        objectives: one or more different metrics.
        epochs: training budget; the largest by default.

    Attributes:
        metrics: each objective's metric.
        signs: (m,) -1 for a metric of which more is better, else 1: turns values into costs.
        rows: (k,) int32 rows that have every objective, ascending.

    Raises:
        ConfigError: no objective or the same one twice, or no cell has them all.
        UnknownMetricError: an objective is not a metric of this benchmark.
        UnknownBudgetError: the benchmark does not have this budget.
    """

    def __init__(
        self, bench: Benchmark, objectives: Sequence[str] = OBJECTIVES, epochs: int | None = None
    ) -> None:
        names = (objectives,) if isinstance(objectives, str) else tuple(objectives)
        self.metrics: tuple[Metric, ...] = tuple(metric(name) for name in names)
        if not names or len(set(names)) < len(names):
            raise ConfigError("objectives must be one or more different metrics", value=names)
        self.signs: NDArray[np.float64] = np.array([float(m.cost(1.0)) for m in self.metrics])
        self.bench = bench
        self.objectives = names
        self.epochs: int = bench.budgets[-1] if epochs is None else epochs
        known = Ledger(bench, names, self.epochs).complete
        if not known.any():
            wanted = f"{', '.join(names)} at {self.epochs} epochs"
            raise ConfigError(f"no cell of the table {bench.name} has {wanted}")
        self.rows: NDArray[np.int32] = np.flatnonzero(known).astype(np.int32)

    def values(self, rows: ArrayLike) -> NDArray[np.float64]:
        """(n, m) objectives of (n,) rows, in the metrics' units; the benchmark counts them."""
        records = self.bench.query_many(np.asarray(rows), self.epochs)
        return np.column_stack([np.asarray(records[n], dtype=np.float64) for n in self.objectives])
