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

Other libraries take the same choices as a flat dictionary of categorical parameters. `Evaluation`
evaluates a dictionary or a row and returns an `Outcome`; every adapter is a thin layer on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import (
    ConfigError,
    MissingDependencyError,
    check_numbers,
    check_types,
    whole_numbers,
)
from naslib_ecnas.metrics import OBJECTIVES, Metric, metric
from naslib_ecnas.records import Record
from naslib_ecnas.search.accounting import Ledger
from naslib_ecnas.search.base import Problem
from naslib_ecnas.search.result import check_objectives
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import EDGE_BIT, EDGES, MAX_VERTICES, OPERATIONS, labelled_graphs

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

# No labelled graph of up to seven vertices is further from a cell; the tests try all of them.
_MOST_FLIPS = 3


class Choices:
    """Converts points of whole numbers, and dictionaries of parameters, to cells and back.

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
        categories: values of each parameter by name: 0 and 1 for an edge, names for an operation.

    Raises:
        ConfigError: no row may be proposed.
        UnknownCellError: a row is outside of the space.

    Examples:
        >>> choices = Choices(Space(4))
        >>> choices.names
        ('edge_0_1', 'edge_0_2', 'edge_1_2', 'edge_0_3', 'edge_1_3', 'edge_2_3', 'op_1', 'op_2')
        >>> choices.decode([[1, 0, 0, 0, 1, 0, 2, 0]])  # input, maxpool3x3, output
        array([3], dtype=int32)
        >>> choices.encode([3])
        array([[1, 0, 0, 0, 1, 0, 2, 0]], dtype=int8)
        >>> choices.row({**choices.params(3), "op_1": "conv1x1-bn-relu"})
        2
    """

    def __init__(self, space: Space, rows: ArrayLike | None = None) -> None:
        problem = Problem(space, np.random.default_rng(0), rows=rows)  # nothing is drawn
        self.space = space
        self.rows: NDArray[np.int32] = problem.rows
        self.mask: NDArray[np.bool_] = problem.mask
        output = space.vertices - 1
        self.edges: tuple[tuple[int, int], ...] = EDGES[: output * (output + 1) // 2]
        self.interior: tuple[int, ...] = tuple(range(1, output))
        self.categories: dict[str, tuple[int | str, ...]] = {
            **{f"edge_{i}_{j}": (0, 1) for i, j in self.edges},
            **{f"op_{vertex}": OPERATIONS for vertex in self.interior},
        }
        self.names: tuple[str, ...] = tuple(self.categories)
        sizes = list(map(len, self.categories.values()))
        self.sizes: NDArray[np.int8] = np.array(sizes, dtype=np.int8)
        self._source, self._target = np.array(self.edges).T
        # A smaller space's output is vertex 6 of a code.
        self._bits = np.array(
            [1 << EDGE_BIT[i, MAX_VERTICES - 1 if j == output else j] for i, j in self.edges]
        )

    def __reduce__(self) -> tuple[Any, ...]:
        every = len(self.rows) == len(self.space)
        return Choices, (self.space, None if every else self.rows)

    def row(self, params: Mapping[str, Any]) -> int:
        """Row of the cell of a dictionary with exactly one value for each of `names`.

        Raises:
            ConfigError: a parameter is missing or unknown, or has a value outside `categories`.
        """
        odd = [
            *(n for n in self.names if n not in params),
            *(n for n in params if n not in self.names),
        ]
        if odd:
            which = "missing" if odd[0] in self.names else "unknown"
            raise ConfigError(f"parameters must be those of Choices.names, but {odd[0]} is {which}")
        point = []
        for name, values in self.categories.items():
            try:
                point.append(values.index(params[name]))
            except ValueError:  # not among them, or an array, which has no single truth
                message = f"{name} must be one of {', '.join(map(repr, values))}"
                raise ConfigError(message, value=params[name]) from None
        return int(self.decode([point])[0])

    def params(self, row: int, rng: np.random.Generator | None = None) -> dict[str, int | str]:
        """Parameters of a row, as `row` takes them; `rng` as in `encode`."""
        point, named = self.encode([row], rng)[0].tolist(), self.categories.items()
        return {name: values[n] for n, (name, values) in zip(point, named, strict=True)}

    def configspace(self, seed: int | None = None) -> ConfigurationSpace:
        """The parameters as a space of the package ConfigSpace."""
        try:
            from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace
        except ImportError as error:
            feature = "Choices.configspace"
            raise MissingDependencyError("ConfigSpace", feature=feature, extra="hosts") from error
        space = ConfigurationSpace(seed=seed)
        space.add([CategoricalHyperparameter(*item) for item in self.categories.items()])
        return space

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


@dataclass(frozen=True)
class Outcome:
    """One training of one cell: what an optimiser is told, and what the training cost."""

    record: Record
    """All metrics of the cell at this budget, with its `row` and `epochs`."""
    values: tuple[float, ...]
    """The objectives in the metrics' units."""
    costs: tuple[float, ...]
    """The objectives with the sign with which less is better."""
    violations: dict[str, float]
    """By constrained metric, how far the value is past its limit; at most 0 if it keeps it."""

    @property
    def feasible(self) -> bool:
        """Whether every limit is kept."""
        return all(excess <= 0 for excess in self.violations.values())


class Evaluation:
    """Evaluates cells by a benchmark: objectives and constraints at one or more budgets.

    Every call counts one training, also one of a cell or at a budget that was evaluated before:
    the budgets are trainings of their own, not checkpoints of one. Only cells with a value of
    every objective and constraint at all `budgets` are proposed, so no evaluation at these
    fails and no value is made up.

    Args:
        bench: the benchmark; its counter counts every evaluated cell.
        objectives: one or more different metrics.
        epochs: training budget; the largest by default.
        constraints: limit of each constrained metric in its unit: the largest value allowed, or
            the smallest if more is better, such as of an accuracy.
        budgets: further budgets in epochs at which cells will be evaluated; None for all of the
            table.

    Attributes:
        metrics: each objective's metric.
        signs: (m,) -1 for a metric of which more is better, else 1: turns values into costs.
        budgets: `epochs` and the further budgets, ascending.
        rows: (k,) int32 rows that may be proposed, ascending.
        feasible_rows: those of `rows` whose cells keep every limit at `epochs`.

    Raises:
        ConfigError: no objective or the same one twice, a limit outside the metric's range, no
            cell has all objectives and constraints, or none keeps the limits at `epochs`.
        UnknownMetricError: an objective or constraint is not a metric of this benchmark.
        UnknownBudgetError: the benchmark does not have one of the budgets.

    Examples:
        >>> from naslib_ecnas import load
        >>> evaluation = Evaluation(load("4v"), constraints={"energy_kwh": 0.3})
        >>> params = evaluation.choices.params(3)  # edge_0_1=1, ..., op_1="maxpool3x3", ...
        >>> outcome = evaluation(params, epochs=12)
        >>> outcome.record.row, outcome.record.epochs, outcome.feasible
        (3, 12, True)
        >>> outcome.values == (outcome.record.energy_kwh, outcome.record.validation_accuracy)
        True
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        epochs: int | None = None,
        constraints: Mapping[str, float] | None = None,
        budgets: Sequence[int] | None = (),
    ) -> None:
        check_types(Benchmark, bench=bench)
        self.bench = bench
        self.objectives: tuple[str, ...] = check_objectives(objectives, single=True)
        self.metrics: tuple[Metric, ...] = tuple(metric(name) for name in self.objectives)
        self.signs: NDArray[np.float64] = np.array([float(m.cost(1.0)) for m in self.metrics])
        self.epochs: int = bench.budget(epochs)
        limits = {} if constraints is None else constraints
        if not isinstance(limits, Mapping):
            raise ConfigError("constraints must be limits by metric", value=limits)
        self.constraints: dict[str, float] = {metric(n).name: v for n, v in limits.items()}
        check_numbers("constraints", **self.constraints)
        for name, limit in self.constraints.items():
            if fault := metric(name).fault(limit):
                raise ConfigError(f"the limit of {fault[1]}")
        wanted = tuple(dict.fromkeys((*self.objectives, *self.constraints)))
        further = bench.budgets if budgets is None else whole_numbers(budgets, "budgets").tolist()
        asked = (self.epochs, *further)
        known = [Ledger(bench, wanted, budget).complete for budget in asked]
        self.budgets: tuple[int, ...] = tuple(b for b in bench.budgets if b in asked)
        self.rows: NDArray[np.int32] = np.flatnonzero(np.all(known, axis=0)).astype(np.int32)
        if not len(self.rows):
            where = f"{', '.join(wanted)} at {', '.join(map(str, self.budgets))} epochs"
            raise ConfigError(f"no cell of the table {bench.name} has {where}")
        self.feasible_rows: NDArray[np.int32] = self.rows
        for name, limit in self.constraints.items():
            costs = metric(name).cost(bench.values(name, self.epochs)[self.feasible_rows])
            self.feasible_rows = self.feasible_rows[costs <= metric(name).cost(limit)]
        if not len(self.feasible_rows):
            message = f"no cell of the table {bench.name} keeps the limits at {self.epochs} epochs"
            raise ConfigError(message, value=self.constraints)

    def __reduce__(self) -> tuple[Any, ...]:
        settings = (self.bench, self.objectives, self.epochs, self.constraints, self.budgets)
        return Evaluation, settings

    @cached_property
    def choices(self) -> Choices:
        """The parameters of the cells that may be proposed."""
        return Choices(self.bench.space, self.rows)

    def __call__(self, cell: Mapping[str, Any] | int, epochs: int | None = None) -> Outcome:
        """Train one cell, given by its parameters (`Choices.row`) or its row.

        Args:
            epochs: training budget of the benchmark; the evaluation's own by default.

        Raises:
            ConfigError: the parameters are not possible.
            UnknownCellError, UnknownBudgetError: the table does not have this row or budget.
            UnknownMetricError: an objective or constraint of it is not known; only for a row
                or a budget that is not among `rows` and `budgets`.
        """
        row = self.choices.row(cell) if isinstance(cell, Mapping) else cell
        record = self.bench.query(row, self.epochs if epochs is None else epochs)
        values = tuple(float(record[name]) for name in self.objectives)
        costs = tuple((self.signs * values).tolist())
        violations = {
            name: float(metric(name).cost(record[name]) - metric(name).cost(limit))
            for name, limit in self.constraints.items()
        }
        return Outcome(record, values, costs, violations)

    def values(self, rows: ArrayLike) -> NDArray[np.float64]:
        """(n, m) objectives of (n,) rows, in the metrics' units; the benchmark counts them."""
        records = self.bench.query_many(np.asarray(rows), self.epochs)
        return np.column_stack([np.asarray(records[n], dtype=np.float64) for n in self.objectives])
