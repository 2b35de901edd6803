"""The class `EcnasSearchSpace`. Import it from `naslib_space`.

This module imports NASLib and torch at once. Its proposals draw from numpy's global state, as
NASLib's searches do, so that the seed of a run reproduces them. No other module of this package
uses global randomness.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.random.mtrand import get_bit_generator
from numpy.typing import NDArray

from naslib_ecnas.adapters import naslib_metrics
from naslib_ecnas.adapters.naslib_metrics import Objective
from naslib_ecnas.adapters.naslib_patches import require
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, UnknownMetricError
from naslib_ecnas.records import Record
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS

_conversions: Any = require("naslib.search_spaces.nasbench101.conversions")
_Base: Any = require("naslib.search_spaces.nasbench101.graph").NasBench101SearchSpace
_Module: Any = require("torch").nn.Module
_networkx: Any = require("networkx")
_views: Any = require("networkx.classes.reportviews")

_Metric: Any = naslib_metrics.extend()

#: Attributes of a module that a copy must not share with its original.
_OWN = [name for name, value in vars(_Module()).items() if isinstance(value, dict | set)]

_logger = logging.getLogger("naslib.ecnas")
# Hashes between two lines of the log.
_LOGGED = 50_000

#: Sizes of the batches of proposals that are tried before any cell of the table is drawn instead.
_BATCHES = (1, 4, 16, 64, 256, 1024, *[4096] * 5)


class EcnasSearchSpace(_Base):  # type: ignore[misc]
    """The cells of an EC-NAS table as a search space of NASLib's.

    It serves NASLib's optimisers, predictors and trainers as NASLib's `NasBench101SearchSpace`
    does and has its encodings, with these differences:

    - An architecture is a row of the table, which all proposals stay within; there is no invalid
      cell. They are drawn as NASLib draws them, or uniformly (`naslib_space.dataset_api`).
    - Specs are canonical: equal cells have equal specs, hashes and encodings, whichever labelled
      graph they were set from.
    - A network is built only when it is run, parsed, moved to a device or read from an edge. NASLib
      builds one for every candidate and deep-copies it for every clone.
    - All randomness is numpy's global state, which NASLib's `set_seed` and `Trainer` seed.
    - A repeated query of one architecture at one budget is counted once in the benchmark's
      `spent`: NASLib's trainer queries every incumbent five times.

    Args:
        n_classes: as in NASLib; its NAS-Bench-101 networks have ten.
    """

    #: Attributes that deep copies share. A benchmark, a key of the records, is a file on disk.
    SHARED: tuple[str, ...] = ("_records", "labeled_archs")

    def __init__(self, n_classes: int = 10) -> None:
        self._row: int | None = None
        self._shared = False
        super().__init__(n_classes)
        self.instantiate_model = False
        self._built = False
        self._records: dict[tuple[Benchmark, int], Record] = {}

    # -- the network, at the graph's one edge ----

    def _build(self) -> None:
        """Build the network, if there is an architecture and it is not built yet."""
        spec = None if self._built else self.get_spec()
        if spec is not None:
            self._built = True
            self.edges[1, 2].set("op", _conversions.convert_spec_to_model(spec))

    def _own_graph(self) -> None:
        """Replace a graph that clones share, or that holds a network, by a new one."""
        if self._shared:
            attributes = dict(self.graph)
            _networkx.DiGraph.__init__(self)
            self.graph.update(attributes)
            self.add_edge(1, 2)
            self._shared = False

    def _unbuild(self) -> None:
        """Drop the network, if it is built."""
        if self._built:
            self._shared = True
            self._own_graph()
            self._modules.clear()
            self.is_parsed = self._built = False

    @property
    def nodes(self) -> Any:
        """The graph's nodes, a view of networkx's."""
        self._own_graph()
        return _views.NodeView(self)

    @property
    def edges(self) -> Any:
        """The graph's one edge, whose `op` is the network."""
        self._own_graph()
        self._build()
        return _views.OutEdgeView(self)

    def get_edge_data(self, *args: Any, **kwargs: Any) -> Any:
        """The data of the edge, by which NASLib parses and runs the network."""
        self._build()
        return super().get_edge_data(*args, **kwargs)

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Build the network and move it, as before NASLib's zero-cost proxies run it."""
        if not self.is_parsed and self._row is not None:
            self.parse()
        return super().to(*args, **kwargs)

    def _copy(self) -> Any:
        """A copy without a network, which shares the graph until one of the two changes it."""
        if not self._built:
            self.__dict__["_shared"] = True  # about 30 times faster than building another graph
        new = object.__new__(type(self))
        own = new.__dict__
        own.update(self.__dict__)
        for name in _OWN:
            own[name] = own[name].copy()
        new._unbuild()
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if not self._built:
            new = memo[id(self)] = self._copy()
            return new
        new = memo[id(self)] = object.__new__(type(self))
        memo |= {id(value): value for value in map(self.__dict__.get, self.SHARED)}
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    # -- the architecture ----

    @property
    def row(self) -> int:
        """Row of the architecture in the space of cells.

        Raises:
            ConfigError: no architecture was set, sampled or mutated yet.
        """
        if self._row is None:
            raise ConfigError("this search space has no architecture before set_spec or a sample")
        return self._row

    @property
    def cell(self) -> Cell:
        """The architecture as a cell."""
        return Cell.from_row(self.row)

    def _set_row(self, row: int) -> None:
        self._unbuild()
        self._row = row
        self._records = {}

    def get_spec(self) -> dict[str, Any] | None:
        """`matrix`, (7, 7) int, and `ops`, 7 names, padded as in NASLib; None if not set yet."""
        if self._row is None:
            return None
        bits, ops, _ = _padded(self._row)
        return {"matrix": np.array(bits).reshape(7, 7), "ops": list(ops)}

    @property
    def spec(self) -> dict[str, Any] | None:
        """The same as `get_spec()`."""
        return self.get_spec()

    @spec.setter
    def spec(self, value: Any) -> None:
        if value is not None:
            self.set_spec(value)

    def set_spec(self, spec: Any, dataset_api: dict[str, Any] | None = None) -> None:
        """Set the architecture.

        Args:
            spec: a dict with `matrix` and `ops`, NASLib's tuple, a NAS-Bench-101 hash, a text as
                `Cell` prints it, a `Cell`, an object with `matrix` and `ops`, or a row.
            dataset_api: if given, its table must contain the cell.

        Raises:
            InvalidCellError: the spec is not a valid cell.
            UnknownCellError: the table does not contain the cell.
        """
        self._set_row(_row_of(spec, None if dataset_api is None else _benchmark_of(dataset_api)))

    def get_hash(self) -> tuple[int, ...]:
        """NASLib's tuple of the canonical spec, of Python's integers: equal for equal cells."""
        return _padded(self.row)[2]

    def get_arch_iterator(self, dataset_api: dict[str, Any]) -> Iterator[str]:
        """The hashes of all cells of the table; NASLib's log says every so many how far it is."""
        total = len(_benchmark_of(dataset_api).rows)
        for done, found in enumerate(super().get_arch_iterator(dataset_api)):
            if done and done % _LOGGED == 0:
                _logger.info("hashes: %d of %d", done, total)
            yield found

    # -- proposals ----

    def sample_random_architecture(
        self, dataset_api: dict[str, Any], load_labeled: bool = False
    ) -> None:
        """Set a random cell of the table."""
        if load_labeled:
            self.sample_random_labeled_architecture()
            return
        bench = _benchmark_of(dataset_api)
        draw = None if _uniform(dataset_api) else partial(_tossed, bench.space)
        self._set_row(_proposal(bench, draw, bench.rows))

    def sample_random_labeled_architecture(self, dataset_api: dict[str, Any] | None = None) -> None:
        """Set a random one of `labeled_archs`.

        Raises:
            ConfigError: the list is empty.
        """
        if not self.labeled_archs:
            raise ConfigError("load_labeled needs a list of specs in labeled_archs")
        index = int(_rng().integers(len(self.labeled_archs)))
        chosen = self.labeled_archs[index]
        if self.sample_without_replacement:
            self.labeled_archs.pop(index)
        self.set_spec(chosen)

    #: As NASLib's predictor evaluator calls it.
    load_labeled_architecture = sample_random_labeled_architecture

    def mutate(self, parent: Any, dataset_api: dict[str, Any], edits: int = 1) -> None:
        """Set the cell of the table that `edits` mutations make of the parent.

        As in NASLib each possible edge changes with probability 1 / vertices and each operation
        with 1 / 3, with uniform sampling as many on average; both are repeated until the cell is
        another one, so that no evaluation is spent on a copy.
        """
        bench = _benchmark_of(dataset_api)
        row = _row_of(parent.row if hasattr(parent, "row") else parent.get_spec(), bench)
        change = _others if _uniform(dataset_api) else _flipped
        for _ in range(edits):
            rows = bench.rows[bench.rows != row]
            row = _proposal(bench, partial(change, bench.space, row), rows) if len(rows) else row
        self._set_row(row)

    def get_nbhd(self, dataset_api: dict[str, Any]) -> list[Any]:
        """Modules with, as `arch`, the table's cells one edge or operation away, shuffled.

        As in NASLib between the vertices of the cell; with uniform sampling all of
        `Space.neighbours`, which may have a vertex more.
        """
        bench = _benchmark_of(dataset_api)
        near = Space.neighbours if _uniform(dataset_api) else _one_change
        found = []
        for row in _rng().permutation(_held(bench, near(bench.space, self.row))):
            model = _Module()
            model.arch = self._copy()
            model.arch._set_row(int(row))
            found.append(model)
        return found

    # -- queries ----

    #: What an optimiser with a performance metric must ask this space for.
    performance_objective: Callable[[Any], Objective] = staticmethod(naslib_metrics.objective)

    def query(
        self,
        metric: Any,
        dataset: str | None = "cifar10",
        path: str | None = None,
        epoch: int | None = -1,
        full_lc: bool = False,
        dataset_api: dict[str, Any] | None = None,
    ) -> Any:
        """A metric of the architecture, in NASLib's units.

        Args:
            metric: a member of `Metric`: accuracies in per cent, `TRAIN_TIME` in s,
                `TRAIN_ENERGY` in kWh, `TRAIN_CO2` in g, `TRAIN_POWER` in W, `PARAMETERS` as a
                count, `RAW` (a dict, NAS-Bench-101's names and ours, in our units) and `ALL` (a
                dict by the names of metrics, in NASLib's units). An `Objective` gives its score.
            dataset: `"cifar10"`, None or the name of the table.
            path: not used, as in NASLib.
            epoch: budget of the training; -1 or None for the largest.
            full_lc: return a list with a value for each epoch up to `epoch`: the value of the
                smallest budget that has this epoch, as in NASLib for NAS-Bench-101.
            dataset_api: a result of `naslib_space.dataset_api`.

        Raises:
            ConfigError: no `dataset_api` of ours, another dataset, or no architecture yet.
            UnknownBudgetError, UnknownCellError, UnknownMetricError: the table lacks the value;
                `TRAIN_ACCURACY` is NaN then, since every trainer reports it.
        """
        bench = _benchmark_of(dataset_api, dataset)
        if isinstance(metric, Objective) and metric.epochs is not None:
            epoch = metric.epochs
        budget = None if epoch == -1 else epoch
        if full_lc:
            return self._curve(metric, bench, budget)
        record = self._record(bench, budget)
        if isinstance(metric, Objective):
            return metric.of(record)
        if metric is _Metric.RAW:
            return self._raw(record)
        if metric is _Metric.ALL:
            every = {}
            for member, column in naslib_metrics.COLUMNS.items():
                if column in bench.provenance:  # with power, if it can be computed
                    with suppress(UnknownMetricError):  # this cell has no value of it
                        every[member] = naslib_metrics.read(record, column)
            return every
        name = naslib_metrics.column(metric)
        if name == "train_accuracy" and name not in record:
            # NASLib's trainers write it for every incumbent and use it for nothing else; they must
            # not fail on the modelled tables, which lack it because nobody published it.
            return math.nan
        return naslib_metrics.read(record, name)

    def _record(self, bench: Benchmark, budget: int | None) -> Record:
        key = bench, bench.budgets[-1] if budget is None else budget
        if key not in self._records:
            self._records[key] = bench.query(self.row, key[1])
        return self._records[key]

    def _curve(self, metric: Any, bench: Benchmark, upto: int | None) -> list[float]:
        name = metric.name if isinstance(metric, Objective) else naslib_metrics.column(metric)
        curve: list[float] = []
        for budget in bench.budgets:
            if upto is None or len(curve) < upto:
                value = naslib_metrics.read(self._record(bench, budget), name)
                curve += [value] * (budget - len(curve))
        return curve[:upto]

    def _raw(self, record: Record) -> dict[str, Any]:
        spec = self.get_spec() or {}
        return {
            "module_adjacency": spec["matrix"],
            "module_operations": spec["ops"],
            "trainable_parameters": int(record.parameters),
            "training_time": float(record.training_time_s),
            **record.to_dict(),
        }


@lru_cache(maxsize=1 << 13)
def _padded(row: int) -> tuple[tuple[int, ...], tuple[str, ...], tuple[int, ...]]:
    """A cell padded to seven vertices: 49 bits, 7 operations, and both as NASLib's tuple of 56.

    The added vertices are 3 x 3 convolutions without edges before the output.
    """
    cell = Cell.from_row(row)
    v = cell.vertices
    matrix = np.zeros((7, 7), dtype=int)
    matrix[: v - 1, : v - 1] = cell.matrix[:-1, :-1]
    matrix[: v - 1, 6] = cell.matrix[:-1, -1]
    ops = (*cell.ops[:-1], *[OPERATIONS[0]] * (7 - v), cell.ops[-1])
    bits = tuple(matrix.ravel().tolist())
    return bits, ops, (*bits, *map(_conversions.all_ops.index, ops))


def _benchmark_of(dataset_api: Any, dataset: str | None = None) -> Benchmark:
    """The benchmark of a `dataset_api` of ours, which must be of this dataset."""
    bench = dataset_api.get("ecnas") if isinstance(dataset_api, dict) else None
    if not isinstance(bench, Benchmark):
        kind = None if dataset_api is None else type(dataset_api).__name__
        text = "this search space needs a dataset_api made by naslib_space.dataset_api(table)"
        raise ConfigError(text, value=kind)
    names = {"cifar10", bench.name, dataset_api.get("dataset")}
    if dataset is not None and dataset.removeprefix("ecnas:") not in names:
        known = " or ".join(sorted(filter(None, names)))
        raise ConfigError(f"the dataset of this table is {known}", value=dataset)
    return bench


def _row_of(spec: Any, bench: Benchmark | None) -> int:
    """The row of a spec (see `EcnasSearchSpace.set_spec`), which the benchmark must contain."""
    space = Space() if bench is None else bench.space
    row = space.row(spec)
    if bench is not None:
        bench.table.position(row)
    return row


# -- proposals: (n,) rows, -1 where none is made ----


def _uniform(dataset_api: dict[str, Any]) -> bool:
    return bool(dataset_api.get("sampling") == "uniform")


def _proposal(
    bench: Benchmark, draw: Callable[[int], NDArray[np.int32]] | None, rows: NDArray[np.int32]
) -> int:
    """The first row that `draw` makes and the table has; else, or without it, any of `rows`."""
    if draw is not None:
        for batch in _BATCHES:
            drawn = draw(batch)
            known = _held(bench, drawn[drawn >= 0])
            if len(known):
                return int(known[0])
    return int(rows[_rng().integers(len(rows))])


def _tossed(space: Space, n: int) -> NDArray[np.int32]:
    """Edges by coin tosses and operations drawn uniformly, as in NASLib."""
    v = space.vertices
    matrices = np.triu(_rng().integers(0, 2, (n, v, v), dtype=np.int8), 1)
    return space.rows(matrices, _rng().integers(0, 3, (n, v - 2)))


def _flipped(space: Space, row: int, n: int) -> NDArray[np.int32]:
    """Mutants as in NASLib, whose cells have unused vertices of the first operation."""
    v = space.vertices
    matrices, labels = space.matrices(np.full(n, row))
    labels = np.maximum(labels, 0)
    flips = np.triu(_rng().random((n, v, v)) < 1 / v, 1)
    steps = _rng().integers(1, 3, labels.shape) * (_rng().random(labels.shape) < 1 / 3)
    rows = space.rows(matrices ^ flips, (labels + steps) % 3)
    return np.where(rows == row, -1, rows)


def _others(space: Space, row: int, n: int) -> NDArray[np.int32]:
    """Mutants of `Space.mutate`, with as many changes as NASLib's on average."""
    v = space.vertices
    changes = {"edge_changes": (v - 1) / 2, "op_changes": (v - 2) / 3}
    return space.mutate(np.full(n, row), _rng(), **changes)


def _one_change(space: Space, row: int) -> NDArray[np.int32]:
    """Rows that differ by one operation, or by one edge between vertices of the cell; sorted."""
    v = space.vertices
    edges, slots = np.argwhere(np.triu(np.ones((v, v)), 1)), np.arange(2 * (v - 2))
    matrices, labels = space.matrices(np.full(len(edges) + len(slots), row))
    unused, labels = labels < 0, np.maximum(labels, 0)
    at = np.arange(len(edges))
    matrices[at, edges[:, 0], edges[:, 1]] ^= 1
    labels[len(edges) + slots, slots // 2] += 1 + slots.astype(np.int8) % 2
    rows = space.rows(matrices, labels % 3)
    rows[len(edges) :][unused[0, slots // 2]] = row
    return np.unique(rows[(rows >= 0) & (rows != row)])


def _held(bench: Benchmark, rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Those of the rows that the table contains."""
    if len(bench.table) == len(bench.space):
        return rows
    nearest = bench.rows.take(np.searchsorted(bench.rows, rows), mode="clip")
    known: NDArray[np.bool_] = nearest == rows
    return rows[known]


def _rng() -> np.random.Generator:
    """A generator on numpy's global state."""
    return np.random.Generator(get_bit_generator())
