"""The original NAS-Bench-101 API over any table of this package.

A program that has `from nasbench import api` changes only this import:

    from naslib_ecnas import nasbench101 as api

    nasbench = api.NASBench("5v-4epochs")
    data = nasbench.query(api.ModelSpec(matrix, ops), epochs=4)

Names, keys and errors are those of google-research/nasbench, `api.py`; tables with energy add
`energy_kwh` and the like. Unlike in the original, `is_valid` is false for a cell that the table
does not contain, so that a query of a valid cell raises no KeyError.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell, on_a_path
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import (
    NO_ARRAY,
    EcnasError,
    InvalidCellError,
    UnknownCellError,
    UnknownMetricError,
    check_counts,
)
from naslib_ecnas.loading import load
from naslib_ecnas.network import parameters
from naslib_ecnas.records import Counter
from naslib_ecnas.topologies import MAX_EDGES, OPERATIONS

__all__ = ["ModelSpec", "NASBench", "NoValueError", "OutOfDomainError", "UnknownHashError"]

# Keys of the original by metric; in what `query` returns, they are without their prefix.
_KEYS = {
    prefix + name: original + name.removesuffix("_s")
    for prefix, original in (("", "final_"), ("halfway_", "halfway_"))
    for name in ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")
}

#: The trainings of a cell by budget.
Trainings = dict[int, list[dict[str, float]]]


class OutOfDomainError(EcnasError):
    """The table does not contain the cell or budget; the original's name."""


class UnknownHashError(UnknownCellError):
    """The table does not contain the hash; a KeyError as in the original."""


class NoValueError(UnknownMetricError):
    """The table has no value for this key of the original; a KeyError too."""


class _Answer(dict[str, Any]):
    """A dict without the keys that have no value; asking for one raises `NoValueError`."""

    def __missing__(self, key: str) -> Any:
        raise NoValueError(f"the table has only {', '.join(self)} of this cell", value=key)


class ModelSpec:
    """A raw matrix with operations, pruned as in the original.

    Args:
        matrix: (v, v) upper-triangular matrix, as an array or nested lists.
        ops: v operation names.
        data_format: not used.

    Raises:
        ValueError: the matrix is not square or upper triangular, or there are not v operations.

    Attributes:
        original_matrix, original_ops: copies of the arguments.
        matrix, ops: after pruning, in the given order; None if the graph is disconnected.
        valid_spec: whether a path leads from the input to the output.
        cell: the `Cell`, None if the graph is not a cell.
        fault: why it is not a cell, or None.
    """

    def __init__(self, matrix: Any, ops: Sequence[str], data_format: str = "channels_last") -> None:
        try:
            self.original_matrix: NDArray[Any] = np.array(matrix)
        except NO_ARRAY as error:
            message = f"the matrix must be an array or lists ({error})"
            raise InvalidCellError(message, rule="not-square", value=matrix) from error
        self.original_ops: list[str] = list(ops)
        self.data_format = data_format
        self.cell: Cell | None = None
        self.fault: InvalidCellError | None = None
        try:
            self.cell = Cell(self.original_matrix, self.original_ops)
        except InvalidCellError as error:
            if error.rule in ("not-square", "not-upper-triangular", "operation-count"):
                raise
            self.fault = error
        self.matrix: Any = None
        self.ops: Any = None
        self.valid_spec: bool = self.fault is None or self.fault.rule != "output-unreachable"
        if self.valid_spec:
            kept = on_a_path(self.original_matrix.tolist())
            self.matrix = self.original_matrix[np.ix_(kept, kept)]
            self.ops = [self.original_ops[v] for v in kept]

    def hash_spec(self, canonical_ops: Sequence[str] = OPERATIONS) -> str:
        """The NAS-Bench-101 MD5 of the cell.

        Args:
            canonical_ops: the order of the operations' labels; only the original's is possible.

        Raises:
            OutOfDomainError: the graph is not a cell, or the order is another.
        """
        if self.cell is None or tuple(canonical_ops) != OPERATIONS:
            value = tuple(canonical_ops) if self.fault is None else str(self.fault)
            message = f"only a cell with labels in the order {OPERATIONS} has a hash"
            raise OutOfDomainError(message, value=value)
        return self.cell.nasbench_hash


class NASBench:
    """The original's object for queries.

    Args:
        dataset_file: a benchmark, a table, a file, or a name for `ecnas.load`.
        seed: seed of the random repeat that each `query` takes; None draws one.

    Attributes:
        config: sizes and operations of the space, as in the original.
        valid_epochs: budgets of the table.
        history: empty, as in the original.
    """

    def __init__(
        self, dataset_file: Benchmark | Table | str | PathLike[str], seed: int | None = None
    ) -> None:
        if isinstance(dataset_file, Table):
            dataset_file = Benchmark(dataset_file)
        elif not isinstance(dataset_file, Benchmark):
            dataset_file = load(dataset_file)
        self.benchmark: Benchmark = dataset_file
        self.config: dict[str, Any] = {
            "module_vertices": self.benchmark.space.vertices,
            "max_edges": MAX_EDGES,
            "num_repeats": self.benchmark.repeats,
            "available_ops": list(OPERATIONS),
        }
        self.valid_epochs: set[int] = set(self.benchmark.budgets)
        self.history: dict[str, Any] = {}
        # Of the costs, the original counts the training time alone.
        self._counter = Counter(f"NASBench of {self.benchmark.name}", (0, -1, -1))
        if seed is not None:
            check_counts(least=0, seed=seed)
        self._rng = random.Random(seed)

    @property
    def training_time_spent(self) -> float:
        """Training time in s of all queries; those without one are left out, with a warning."""
        spent = self._counter.spent
        if spent.unknown["seconds"]:
            some = f"{spent.unknown['seconds']} of {spent.evaluations} queries"
            warnings.warn(f"training_time_spent lacks {some}, of no known time", stacklevel=2)
        return spent.known["seconds"]

    @property
    def total_epochs_spent(self) -> int:
        """Epochs of all queries."""
        return self._counter.spent.epochs

    def is_valid(self, model_spec: Any) -> bool:
        """Whether the table contains the cell; counts nothing."""
        try:
            self._row(model_spec)
        except OutOfDomainError:
            return False
        return True

    def query(
        self, model_spec: Any, epochs: int = 108, stop_halfway: bool = False
    ) -> dict[str, Any]:
        """One random repeat of the cell's trainings.

        Args:
            model_spec: a `ModelSpec`, ours or the original's, or a `Cell`.
            epochs: budget of the training.
            stop_halfway: return the values at half the budget instead of its end.

        Raises:
            OutOfDomainError: the table does not contain the cell or the budget, or has no value
                at half of it.
        """
        if epochs not in self.valid_epochs:
            have = ", ".join(map(str, sorted(self.valid_epochs)))
            raise OutOfDomainError(f"the table has values at {have} epochs", value=epochs)
        fixed, computed = self._metrics(self._row(model_spec), [epochs])
        if not computed[epochs]:
            message = f"the table has no training of {Cell(model_spec)} for {epochs} epochs"
            raise OutOfDomainError(message)
        chosen = computed[epochs][self._rng.randrange(len(computed[epochs]))]
        prefix = "halfway_" if stop_halfway else "final_"
        there = [key for key in _KEYS.values() if key.startswith(prefix) and key in chosen]
        found = {key.removeprefix(prefix): chosen[key] for key in there}
        if not stop_halfway:
            others = ("halfway_", "final_", "initial_")
            found |= {k: v for k, v in chosen.items() if not k.startswith(others)}
        elif "halfway_energy_kwh" in chosen:
            found["energy_kwh"] = chosen["halfway_energy_kwh"]
        if not found:
            raise OutOfDomainError(f"the table has no values halfway through {epochs} epochs")
        seconds = found.get("training_time", math.nan)
        self._counter.count(epochs // 2 if stop_halfway else epochs, (seconds,))
        return _Answer({**fixed, **found})

    def get_metrics_from_spec(self, model_spec: Any) -> tuple[dict[str, Any], Trainings]:
        """All budgets and repeats of a cell; counts nothing.

        Returns:
            The fixed statistics, and for each budget a list with one dict for each repeat, with
            `halfway_...` and `final_...` keys as in the original and the table's other metrics
            under their own names; a key without a value is left out.

        Raises:
            OutOfDomainError: the table does not contain the cell.
        """
        return self._metrics(self._row(model_spec), self.benchmark.budgets)

    def get_metrics_from_hash(self, module_hash: str) -> tuple[dict[str, Any], Trainings]:
        """`get_metrics_from_spec` of a hash; UnknownHashError if no cell of the table has it."""
        try:
            row = self.benchmark.space.row_of_hash(module_hash)
            self.benchmark.table.position(row)
        except UnknownCellError as error:
            raise UnknownHashError(str(error)) from error
        return self._metrics(row, self.benchmark.budgets)

    def hash_iterator(self) -> Iterator[str]:
        """The hashes of all cells of the table."""
        return (Cell.from_row(row).nasbench_hash for row in self.benchmark.rows.tolist())

    def get_budget_counters(self) -> tuple[float, int]:
        """`training_time_spent` and `total_epochs_spent`."""
        return self.training_time_spent, self.total_epochs_spent

    def reset_budget_counters(self) -> None:
        """Start both counters anew."""
        self._counter.reset()

    def _row(self, model_spec: Any) -> int:
        try:
            if isinstance(model_spec, ModelSpec) and model_spec.fault is not None:
                raise model_spec.fault
            cell = getattr(model_spec, "cell", None) or model_spec
            row = self.benchmark.space.row(cell)
            self.benchmark.table.position(row)
        except (InvalidCellError, UnknownCellError) as error:
            raise OutOfDomainError(str(error)) from error
        return row

    def _metrics(self, row: int, budgets: Sequence[int]) -> tuple[dict[str, Any], Trainings]:
        cell = Cell.from_row(row)
        fixed = {
            "module_adjacency": np.array(cell.matrix),
            "module_operations": list(cell.ops),
            "trainable_parameters": int(parameters(row)[0]),
        }
        table = self.benchmark.table
        position = table.position(row)
        computed: Trainings = {}
        for epochs in budgets:
            at = table.budgets.index(epochs)
            trainings = (table.record(position, at, repeat) for repeat in range(table.repeats))
            named = (zip(table.metrics, values, strict=True) for values in trainings)
            answers = ({_KEYS.get(n, n): v for n, v in each if not math.isnan(v)} for each in named)
            computed[epochs] = [_Answer(answer) for answer in answers if answer]
        return fixed, computed
