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
from collections.abc import Callable, Hashable, Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
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
    MissingDependencyError,
    UnknownCellError,
    UnknownMetricError,
    as_array,
    check_counts,
)
from naslib_ecnas.files import atomic_write, cache_folder, storing, to_json
from naslib_ecnas.loading import load
from naslib_ecnas.nasbench_hash import hashes_of
from naslib_ecnas.network import parameters
from naslib_ecnas.records import Counter
from naslib_ecnas.topologies import MAX_EDGES, OPERATIONS

__all__ = ["ModelSpec", "NASBench", "NoValueError", "OutOfDomainError", "UnknownHashError"]

#: Keys of the original by metric; in what `query` returns, they are without their prefix.
KEYS = {
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
            self.original_matrix: NDArray[Any] = np.array(as_array(matrix))
        except NO_ARRAY as error:
            message = f"the matrix must be an array or lists ({error})"
            raise InvalidCellError(message, rule="not-square", value=matrix) from error
        self.original_ops: list[str] = list(ops) if isinstance(ops, Iterable) else []
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

    def visualize(self) -> Any:
        """The pruned graph as a `graphviz.Digraph`, which notebooks draw.

        Raises:
            MissingDependencyError: graphviz is not installed.
            OutOfDomainError: no path leads from the input to the output.
        """
        try:
            import graphviz
        except ImportError as error:
            raise MissingDependencyError("graphviz", feature="drawing a cell") from error
        if not self.valid_spec:
            raise OutOfDomainError(str(self.fault))
        graph = graphviz.Digraph()
        for vertex, name in enumerate(["input", *self.ops[1:-1], "output"]):
            graph.node(str(vertex), name)
        for source, target in np.argwhere(self.matrix).tolist():
            graph.edge(str(source), str(target))
        return graph


class _Statistics(Mapping[str, Any]):
    """What a table says of each of its cells by hash, made when it is asked for.

    With `keep`, an entry is made once, so that a change to it stays.
    """

    def __init__(self, nasbench: NASBench, of_row: Callable[[int], Any], keep: bool) -> None:
        self._nasbench, self._of_row, self._keep = nasbench, of_row, keep
        self._kept: dict[int, Any] = {}

    def __getitem__(self, module_hash: str) -> Any:
        row = self._nasbench.row_of_hash(module_hash)
        found = self._kept[row] if row in self._kept else self._of_row(row)
        if self._keep:
            self._kept[row] = found
        return found

    def __iter__(self) -> Iterator[str]:
        rows = self._nasbench.benchmark.rows
        for start in range(0, len(rows), 1024):
            yield from hashes_of(rows[start : start + 1024]).tolist()

    def __len__(self) -> int:
        return len(self._nasbench.benchmark.rows)


class NASBench:
    """The original's object for queries.

    Args:
        dataset_file: a benchmark, a table, a file, or a name for `ecnas.load`.
        seed: seed of the random repeat that each `query` takes; None draws one.

    Attributes:
        config: sizes and operations of the space, as in the original, and settings of `evaluate`:
            `train_epochs`; `batch_size`; `device`, such as `"cuda"`; `data`, a folder of CIFAR-10
            (by default `cifar10` in the cache) or a `training.Cifar10`.
        valid_epochs: budgets of the table.
        fixed_statistics: hash -> adjacency, operations and parameters; a change to them stays.
        computed_statistics: hash -> budget -> one dict for each training, made anew at each access.
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
            "train_epochs": 108,
            "batch_size": 256,
            "data": None,
            "device": "cpu",
        }
        self.valid_epochs: set[int] = set(self.benchmark.budgets)
        self.fixed_statistics: Mapping[str, Any] = _Statistics(self, statistics_of, keep=True)
        self.computed_statistics: Mapping[str, Any] = _Statistics(self, self._computed, keep=False)
        self.history: dict[str, Any] = {}
        # Of the costs, the original counts the training time alone.
        self._counter = Counter(f"{type(self).__name__} of {self.benchmark.name}", (0, -1, -1))
        if seed is not None:
            check_counts(least=0, seed=seed)
        self._rng = random.Random(None if seed is None else int(seed))

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
        row, trainings = self._trainings(model_spec, epochs)
        chosen = trainings[self._rng.randrange(len(trainings))]
        prefix = "halfway_" if stop_halfway else "final_"
        there = [key for key in KEYS.values() if key.startswith(prefix) and key in chosen]
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
        return _Answer({**statistics_of(row), **found})

    def evaluate(self, model_spec: Any, model_dir: str | PathLike[str]) -> dict[str, Any]:
        """Train a cell and evaluate it, by NAS-Bench-101's recipe; needs torch and the images.

        Args:
            model_spec: as in `query`; the table need not contain the cell.
            model_dir: folder for the weights, `model.npz`, and all about the training,
                `metadata.json`.

        Returns:
            The keys of `query`: cell, parameters, training time and accuracies.

        Raises:
            OutOfDomainError: the graph is not a cell.
            UnknownTableError: CIFAR-10 is not in the folder.
        """
        from naslib_ecnas.training import RECIPES, Cifar10, read_cifar10, train

        cell, folder = Cell.from_row(self._row(model_spec, of_table=False)), Path(model_dir)
        data = self.config["data"]
        if not isinstance(data, Cifar10):
            data = read_cifar10(cache_folder() / "cifar10" if data is None else data)
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        record = train(
            cell,
            epochs=self.config["train_epochs"],
            recipe=replace(RECIPES["nasbench101"], batch_size=self.config["batch_size"]),
            data=data,
            seed=self._rng.randrange(1 << 32),
            device=self.config["device"],
            checkpoint=folder / "model.npz",
        )
        with atomic_write(folder / "metadata.json") as file:
            file.write(to_json(record, indent=2).encode())
        accuracies = {f"{s}_accuracy": record.accuracy(s) for s in ("train", "validation", "test")}
        time = {"training_time": record.training_time_s}
        return {**statistics_of(cell.row), **time, **accuracies}

    def get_metrics_from_spec(self, model_spec: Any) -> tuple[dict[str, Any], Trainings]:
        """All budgets and repeats of a cell; counts nothing.

        Returns:
            The fixed statistics, and for each budget a list with one dict for each repeat, with
            `halfway_...` and `final_...` keys as in the original and the table's other metrics
            under their own names; a key without a value is left out.

        Raises:
            OutOfDomainError: the table does not contain the cell.
        """
        row = self._row(model_spec)
        return statistics_of(row), self._computed(row)

    def get_metrics_from_hash(self, module_hash: str) -> tuple[dict[str, Any], Trainings]:
        """`get_metrics_from_spec` of a hash; UnknownHashError if no cell of the table has it."""
        row = self.row_of_hash(module_hash)
        return statistics_of(row), self._computed(row)

    def hash_iterator(self) -> KeysView[str]:
        """The hashes of all cells of the table; all of the largest space take a minute."""
        return self.fixed_statistics.keys()

    def row_of_hash(self, module_hash: Any) -> int:
        """The row of a hash; UnknownHashError if no cell of the table has it."""
        try:
            row = self.benchmark.space.row_of_hash(module_hash)
            self.benchmark.table.position(row)
        except UnknownCellError as error:
            raise UnknownHashError(str(error)) from error
        return row

    def get_budget_counters(self) -> tuple[float, int]:
        """`training_time_spent` and `total_epochs_spent`."""
        return self.training_time_spent, self.total_epochs_spent

    def reset_budget_counters(self) -> None:
        """Start both counters anew."""
        self._counter.reset()

    def _check_spec(self, model_spec: Any) -> None:
        """Raise OutOfDomainError unless the graph is a cell of the space."""
        self._row(model_spec, of_table=False)

    def _hash_spec(self, model_spec: Any) -> str:
        """The hash of a cell of the space, of the table or not."""
        return Cell.from_row(self._row(model_spec, of_table=False)).nasbench_hash

    def _row(self, model_spec: Any, *, of_table: bool = True) -> int:
        """The row of a cell; OutOfDomainError if it is none of the space, or of the table."""
        try:
            if isinstance(model_spec, ModelSpec) and model_spec.fault is not None:
                raise model_spec.fault
            row = self.benchmark.space.row(getattr(model_spec, "cell", None) or model_spec)
            if of_table:
                self.benchmark.table.position(row)
        except (InvalidCellError, UnknownCellError) as error:
            raise OutOfDomainError(str(error)) from error
        return row

    def _trainings(self, model_spec: Any, epochs: int) -> tuple[int, list[dict[str, Any]]]:
        """The row of a cell and its trainings at a budget, one or more."""
        if not isinstance(epochs, Hashable) or epochs not in self.valid_epochs:
            have = ", ".join(map(str, sorted(self.valid_epochs)))
            raise OutOfDomainError(f"the table has values at {have} epochs", value=epochs)
        row = self._row(model_spec)
        trainings = self._computed(row, [epochs])[epochs]
        if not trainings:
            message = f"the table has no training of {Cell.from_row(row)} for {epochs} epochs"
            raise OutOfDomainError(message)
        return row, trainings

    def _computed(self, row: int, budgets: Sequence[int] | None = None) -> Trainings:
        """The trainings of a row at some budgets, at all by default."""
        table = self.benchmark.table
        position = table.position(row)
        computed: Trainings = {}
        for epochs in table.budgets if budgets is None else budgets:
            at = table.budgets.index(epochs)
            trainings = (table.record(position, at, repeat) for repeat in range(table.repeats))
            named = (zip(table.metrics, values, strict=True) for values in trainings)
            answers = ({n: v for n, v in each if not math.isnan(v)} for each in named)
            computed[epochs] = [self._training(answer) for answer in answers if answer]
        return computed

    def _training(self, values: dict[str, float]) -> dict[str, Any]:
        """The values of a training by metric under the keys of the original."""
        return _Answer({KEYS.get(name, name): value for name, value in values.items()})


def statistics_of(row: int) -> dict[str, Any]:
    """What a cell has without a training."""
    cell = Cell.from_row(row)
    return {
        "module_adjacency": np.array(cell.matrix),
        "module_operations": list(cell.ops),
        "trainable_parameters": int(parameters(row)[0]),
    }
