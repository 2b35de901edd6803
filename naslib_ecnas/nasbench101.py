"""The calls of the original NAS-Bench-101 API over any table of ours.

Whoever wrote `from nasbench import api` changes that one import:

    from naslib_ecnas import nasbench101 as api

    nasbench = api.NASBench("5v-4epochs")
    data = nasbench.query(api.ModelSpec(matrix, ops), epochs=4)

Names, keys and errors are the original's (google-research/nasbench, `api.py`); tables with energy
add `energy_kwh` and the like. Unlike the original, loading takes no minutes, and `is_valid` says
no to a cell that the table does not hold, so that it never is followed by a KeyError.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import (
    EcnasError,
    InvalidCellError,
    UnknownCellError,
    UnknownMetricError,
)
from naslib_ecnas.loading import load
from naslib_ecnas.nasbench_hash import as_text
from naslib_ecnas.network import parameters
from naslib_ecnas.spent import Counter
from naslib_ecnas.topologies import MAX_EDGES, MAX_VERTICES, OPERATIONS

__all__ = ["ModelSpec", "NASBench", "NoValueError", "OutOfDomainError", "UnknownHashError"]

# Keys of the original, and the metrics that they stand for.
_TIMES_AND_ACCURACIES = {
    "training_time": "training_time_s",
    "train_accuracy": "train_accuracy",
    "validation_accuracy": "validation_accuracy",
    "test_accuracy": "test_accuracy",
}


class OutOfDomainError(EcnasError):
    """A cell or budget outside of the table, under the original's name."""


class UnknownHashError(UnknownCellError, KeyError):
    """A hash that the table does not hold; the original raises a KeyError."""

    __str__ = Exception.__str__  # KeyError would show the message quoted


class NoValueError(UnknownMetricError, KeyError):
    """A key of the original's that the table has no value for."""

    __str__ = Exception.__str__


class _Answer(dict[str, Any]):
    """A dict without the keys that have no value; asking for one raises `NoValueError`."""

    def __missing__(self, key: str) -> Any:
        raise NoValueError(f"the table has only {', '.join(self)} of this cell", value=key)


class ModelSpec:
    """A raw matrix with operations, pruned as the original prunes it.

    Args:
        matrix: (v, v) upper-triangular matrix, as an array or nested lists.
        ops: v operation names.
        data_format: kept for the original's signature.

    Raises:
        ValueError: the matrix is not square or not upper triangular, or the number of
            operations is another.

    Attributes:
        original_matrix, original_ops: copies of what was given.
        matrix, ops: the pruned ones in the order given; None where the graph is disconnected.
        valid_spec: whether the output can be reached.
        cell: the `Cell`, None where it is none.
    """

    def __init__(self, matrix: Any, ops: Sequence[str], data_format: str = "channels_last") -> None:
        self.original_matrix = np.array(matrix)
        self.original_ops = list(ops)
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
        self.valid_spec = self.fault is None or self.fault.rule != "output-unreachable"
        if self.valid_spec:
            kept = _kept(self.original_matrix)
            self.matrix = self.original_matrix[np.ix_(kept, kept)]
            self.ops = [self.original_ops[v] for v in kept]

    def hash_spec(self, canonical_ops: Sequence[str] = OPERATIONS) -> str:
        """The NAS-Bench-101 MD5 of the cell.

        Args:
            canonical_ops: the order of the operations' labels; only the original's.

        Raises:
            OutOfDomainError: it is no cell, or another order was asked for.
        """
        if self.cell is None or tuple(canonical_ops) != OPERATIONS:
            raise OutOfDomainError(
                f"only a cell with labels in the order {OPERATIONS} has a hash",
                value=tuple(canonical_ops) if self.fault is None else str(self.fault),
            )
        return self.cell.nasbench_hash


class NASBench:
    """The original's table object over one of ours.

    Args:
        dataset_file: a benchmark, a table, a name that `ecnas.load` knows, or a file.
        seed: of the random repeat that each `query` takes; None draws one.

    Attributes:
        config: sizes and operations of the space, as in the original.
        valid_epochs: budgets of the table.
        history: empty; the original has it.
    """

    def __init__(
        self,
        dataset_file: Benchmark | Table | str | PathLike[str],
        seed: int | None = None,
    ) -> None:
        if isinstance(dataset_file, Benchmark):
            self.benchmark = dataset_file
        elif isinstance(dataset_file, Table):
            self.benchmark = Benchmark(dataset_file)
        else:
            self.benchmark = load(dataset_file)
        self.config: dict[str, Any] = {
            "module_vertices": min(MAX_VERTICES, self.benchmark.space.vertices),
            "max_edges": MAX_EDGES,
            "num_repeats": self.benchmark.repeats,
            "available_ops": list(OPERATIONS),
        }
        self.valid_epochs = set(self.benchmark.budgets)
        self.history: dict[str, Any] = {}
        self._counter = Counter(f"NASBench of {self.benchmark.name}")
        self._rng = random.Random(seed)

    @property
    def training_time_spent(self) -> float:
        """Training time in s that the queries so far would have taken.

        Raises:
            UnknownMetricError: the table does not have the time of one of them.
        """
        return self._counter.spent.seconds

    @property
    def total_epochs_spent(self) -> int:
        """Epochs of the queries so far."""
        return self._counter.spent.epochs

    def is_valid(self, model_spec: Any) -> bool:
        """Whether the table holds the cell; counts nothing."""
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
            stop_halfway: answer for half the budget instead of its end.

        Raises:
            OutOfDomainError: the table holds no such cell or budget, or nothing at half of it.
        """
        if epochs not in self.valid_epochs:
            have = ", ".join(map(str, sorted(self.valid_epochs)))
            raise OutOfDomainError(f"the table has values at {have} epochs", value=epochs)
        fixed, computed = self._metrics(self._row(model_spec), [epochs])
        if not computed[epochs]:
            raise OutOfDomainError(
                f"the table has no training of {Cell(model_spec)} for {epochs} epochs"
            )
        chosen = computed[epochs][self._rng.randrange(len(computed[epochs]))]
        prefix = "halfway_" if stop_halfway else "final_"
        found = {k: chosen[prefix + k] for k in _TIMES_AND_ACCURACIES if prefix + k in chosen}
        if not stop_halfway:
            extra = [k for k in chosen if not k.startswith(("halfway_", "final_", "initial_"))]
            found.update({key: chosen[key] for key in extra})
        elif "halfway_energy_kwh" in chosen:
            found["energy_kwh"] = chosen["halfway_energy_kwh"]
        if not found:
            raise OutOfDomainError(f"the table has no values halfway through {epochs} epochs")
        known = "training_time" in found
        self._counter.add(
            1,
            epochs // 2 if stop_halfway else epochs,
            (found["training_time"] if known else 0.0, 0.0, 0.0),
            (int(not known), 0, 0),
        )
        return _Answer({**fixed, **found})

    def get_metrics_from_spec(
        self, model_spec: Any
    ) -> tuple[dict[str, Any], dict[int, list[dict[str, float]]]]:
        """All budgets and repeats of a cell; counts nothing.

        Returns:
            The fixed statistics, and for each budget a list with one dict for each repeat, with
            `halfway_...` and `final_...` keys as in the original and the table's other metrics
            under their own names; a key without a value is left out.

        Raises:
            OutOfDomainError: the table holds no such cell.
        """
        return self._metrics(self._row(model_spec), self.benchmark.budgets)

    def get_metrics_from_hash(
        self, module_hash: str
    ) -> tuple[dict[str, Any], dict[int, list[dict[str, float]]]]:
        """`get_metrics_from_spec` of a NAS-Bench-101 hash.

        Raises:
            UnknownHashError: no cell of the table has the hash; it is a KeyError too.
        """
        try:
            row = self.benchmark.space.row_of_hash(module_hash)
            self.benchmark.table.position(row)
        except UnknownCellError as error:
            raise UnknownHashError(str(error)) from error
        return self._metrics(row, self.benchmark.budgets)

    def hash_iterator(self) -> Iterator[str]:
        """The hashes of all cells of the table."""
        space = self.benchmark.space
        rows = self.benchmark.rows
        if len(rows) == len(space):
            return iter(space.hashes().tolist())
        if len(rows) < 1_000:  # few cells do not pay for hashing the whole space
            return (Cell.from_row(int(row)).nasbench_hash for row in rows)
        from naslib_ecnas.nasbench_hash import digests

        return iter(as_text(digests(len(space))[rows]).tolist())

    def get_budget_counters(self) -> tuple[float, int]:
        """Training time in seconds and epochs that the queries so far would have taken."""
        return self.training_time_spent, self.total_epochs_spent

    def reset_budget_counters(self) -> None:
        """Start both counters anew."""
        self._counter.reset()

    def _row(self, model_spec: Any) -> int:
        cell = model_spec.cell if isinstance(model_spec, ModelSpec) else None
        try:
            if cell is None:
                if isinstance(model_spec, ModelSpec) and model_spec.fault is not None:
                    raise model_spec.fault
                cell = model_spec if isinstance(model_spec, Cell) else Cell(model_spec)
            row = self.benchmark.space.row(cell)
            self.benchmark.table.position(row)
        except (InvalidCellError, UnknownCellError) as error:
            raise OutOfDomainError(str(error)) from error
        return row

    def _metrics(
        self, row: int, budgets: Sequence[int]
    ) -> tuple[dict[str, Any], dict[int, list[dict[str, float]]]]:
        cell = Cell.from_row(row)
        fixed = {
            "module_adjacency": np.array(cell.matrix),
            "module_operations": list(cell.ops),
            "trainable_parameters": int(parameters(row)[0]),
        }
        table = self.benchmark.table
        position = table.position(row)
        computed: dict[int, list[dict[str, float]]] = {}
        for epochs in budgets:
            trainings = [
                dict(zip(table.metrics, values, strict=True))
                for repeat in range(table.repeats)
                for values in [table.record(position, table.budgets.index(epochs), repeat)]
                if not np.isnan(values).all()
            ]
            computed[epochs] = [_with_original_keys(metrics) for metrics in trainings]
        return fixed, computed


def _with_original_keys(metrics: Mapping[str, float]) -> dict[str, float]:
    out = _Answer({name: value for name, value in metrics.items() if not math.isnan(value)})
    for key, name in _TIMES_AND_ACCURACIES.items():
        for original, column in (("final_" + key, name), ("halfway_" + key, "halfway_" + name)):
            if column in out:
                out[original] = out.pop(column)
    return out


def _kept(matrix: Any) -> list[int]:
    """Vertices on a path from input to output, in the order given."""
    edge = np.asarray(matrix) != 0
    last = len(edge) - 1
    forward, backward = {0}, {last}
    for j in range(1, last + 1):
        if any(edge[i, j] for i in forward):
            forward.add(j)
    for i in range(last - 1, -1, -1):
        if any(edge[i, j] for j in backward):
            backward.add(i)
    return sorted(forward & backward)
