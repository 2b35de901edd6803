"""The class `EcnasSearchSpace`, and the cells of a table that it proposes.

Import the class from `naslib_space`: this module imports NASLib and torch at once.
"""

from __future__ import annotations

import copy
import importlib
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random.mtrand import get_bit_generator
from numpy.typing import NDArray

from naslib_ecnas.adapters import naslib_objectives, naslib_patches
from naslib_ecnas.adapters.naslib_objectives import Objective
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, UnknownCellError, UnknownMetricError
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS

__all__ = ["EcnasSearchSpace", "mutate", "neighbours", "row_of", "sample"]

_torch: Any = importlib.import_module("torch")
_networkx: Any = importlib.import_module("networkx")
_views: Any = importlib.import_module("networkx.classes.reportviews")
_graph: Any = naslib_patches.require("naslib.search_spaces.core.graph")
_conversions: Any = naslib_patches.require("naslib.search_spaces.nasbench101.conversions")
_Base: Any = naslib_patches.require("naslib.search_spaces.nasbench101.graph").NasBench101SearchSpace

#: Attributes of a module that a copy must not share with its original.
_OWN = [name for name, value in vars(_torch.nn.Module()).items() if isinstance(value, dict | set)]


class _LazyNetwork(_Base):  # type: ignore[misc]
    """NASLib's `NasBench101SearchSpace` with a network that is built when it is needed.

    NASLib builds the network of every candidate and deep-copies a graph for every clone, though a
    search on a table needs neither. Here clones share one graph, and the network of `get_spec()` is
    built by `parse`, `forward`, `to` (NASLib's zero-cost proxies move a network before they run it)
    and `edges`, where NASLib stores it.
    """

    #: Attributes that a deep copy shares with its original.
    SHARED: tuple[str, ...] = ()

    def __init__(self) -> None:
        _graph.Graph.__init__(self)
        self._shared = False
        self._built = False
        # A graph without an edge is empty, and therefore false.
        self.add_edge(1, 2)

    def _build(self) -> None:
        """Build the network, if there is an architecture and it is not built yet."""
        spec = None if self._built else self.get_spec()
        if spec is not None:
            self._own_graph()
            self._built = True
            self.edges[1, 2].set("op", _conversions.convert_spec_to_model(spec))

    def _unbuild(self) -> None:
        """Drop the network, if it is built."""
        if self._built:
            self._shared = True
            self._own_graph()
            self._modules.clear()
            self.is_parsed = False
            self._built = False

    def _own_graph(self) -> None:
        """Replace a graph that clones share by a copy."""
        if self._shared:
            attributes = dict(self.graph)
            _networkx.DiGraph.__init__(self)
            self.graph.update(attributes)
            self.add_edge(1, 2)
            self._shared = False

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

    def parse(self) -> None:
        """Build the network and register it with PyTorch."""
        self._build()
        super().parse()

    def forward(self, x: Any, *args: Any) -> Any:
        """Logits of the network, (n, 10) for (n, 3, 32, 32) images."""
        self._build()
        return super().forward(x, *args)

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Build the network and move it."""
        if not self.is_parsed and self.get_spec() is not None:
            self.parse()
        return super().to(*args, **kwargs)

    def clone(self) -> Any:
        """A copy, a deep one only if a network is built."""
        return copy.deepcopy(self) if self._built else self._copy()

    def _copy(self) -> Any:
        """A copy without a network that shares the graph until one of the two changes it."""
        if not self._built:
            self.__dict__["_shared"] = True
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
        for name in self.SHARED:
            value = getattr(self, name)
            memo[id(value)] = value
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new


# -- proposals: the cells of a table -----------------------------------------------------------
#
# NASLib's searches draw from numpy's global state, which its `set_seed` and `Trainer` seed. The
# proposals do the same, so that the seed of a NASLib run reproduces them. No other module of this
# package uses global randomness.


_HASH = re.compile("[0-9a-f]{32}")

#: Mutants tried, in growing batches, before any cell of the table is drawn instead.
_TRIES = 20_000


def _rng() -> np.random.Generator:
    """A generator on numpy's global state."""
    return np.random.Generator(get_bit_generator())


def _benchmark_of(dataset_api: Any, dataset: str | None = None) -> Benchmark:
    """The benchmark of a `dataset_api`.

    Raises:
        ConfigError: it was not made by `naslib_space.dataset_api`, or is of another dataset.
    """
    bench = dataset_api.get("ecnas") if isinstance(dataset_api, dict) else None
    if not isinstance(bench, Benchmark):
        raise ConfigError(
            "this search space needs a dataset_api made by naslib_space.dataset_api(table)",
            value=None if dataset_api is None else type(dataset_api).__name__,
        )
    names = {"cifar10", bench.name, dataset_api.get("dataset")}
    if dataset is not None and dataset not in names:
        known = " or ".join(sorted(name for name in names if name))
        raise ConfigError(f"the dataset of this table is {known}", value=dataset)
    return bench


def row_of(spec: Any, bench: Benchmark | None) -> int:
    """The row of a spec (see `EcnasSearchSpace.set_spec`), which the benchmark must contain.

    Raises:
        InvalidCellError: the spec is not a valid cell.
        UnknownCellError: the table does not contain the cell.
    """
    space = Space() if bench is None else bench.space
    if isinstance(spec, int | np.integer) and not isinstance(spec, bool):
        row = space.cell(int(spec)).row
    elif isinstance(spec, str) and _HASH.fullmatch(spec):
        row = space.row_of_hash(spec)
    elif isinstance(spec, dict) and {"matrix", "ops"} <= set(spec):
        row = space.row(spec["matrix"], spec["ops"])
    else:
        row = space.row(spec)
    if bench is not None and not _holds(bench, np.array([row]))[0]:
        cell = str(Cell.from_row(row))
        text = f"the table {bench.name} does not contain this cell, but {len(bench.rows):,} others"
        raise UnknownCellError(text, value=cell)
    return row


def sample(bench: Benchmark) -> int:
    """Row of a cell of the table, all cells equally likely."""
    return int(bench.rows[_rng().integers(len(bench.rows))])


def mutate(bench: Benchmark, row: int) -> int:
    """Row of another cell of the table, mutated from one of its cells.

    Edges and operations change as often on average as NASLib's mutation changes them: each
    possible edge with probability 1 / vertices, each operation with 1 / 3. If a table has so few
    cells that no mutant is among them, any other cell of the table is drawn.
    """
    space, generator = bench.space, _rng()
    v = space.vertices
    changes = {"edge_changes": (v - 1) / 2, "op_changes": (v - 2) / 3}
    batch, tried = 1, 0
    while tried < _TRIES:
        found = space.mutate(np.full(batch, row), generator, **changes)
        known = found[_holds(bench, found)]
        if len(known):
            return int(known[0])
        tried += batch
        batch = min(4 * batch, 4096)
    others = bench.rows[bench.rows != row]
    return int(others[generator.integers(len(others))]) if len(others) else row


def neighbours(bench: Benchmark, row: int) -> list[int]:
    """Rows of the table's cells one edge or one operation away, in random order."""
    found = bench.space.neighbours(row)
    found = found[_holds(bench, found)]
    return [int(r) for r in _rng().permutation(found)]


def _holds(bench: Benchmark, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Mask of the rows that the table contains."""
    if len(bench.rows) == len(bench.space):
        return np.ones(len(rows), dtype=bool)
    place = np.minimum(np.searchsorted(bench.rows, rows), len(bench.rows) - 1)
    held: NDArray[np.bool_] = bench.rows[place] == rows
    return held


# -- the search space -----------------------------------------------------------------------

_Metric: Any = naslib_objectives.extend()
naslib_objectives.install()
_objective = lru_cache(maxsize=64)(naslib_objectives.objective)


class EcnasSearchSpace(_LazyNetwork):
    """The cells of an EC-NAS table as a search space of NASLib's.

    It serves NASLib's optimisers, predictors and trainers as NASLib's `NasBench101SearchSpace`
    does and has its encodings, with these differences:

    - An architecture is a row of the table. Sampling is uniform over the table's distinct cells;
      mutation and neighbours stay within the table; there is no invalid cell.
    - Specs are canonical: equal cells have equal specs, hashes and encodings, whichever labelled
      graph they were set from.
    - A network is built only when it is run, parsed, moved to a device or read from `edges`. Until
      then clones share everything.
    - All randomness is numpy's global state, which NASLib's `set_seed` and `Trainer` seed.
    - A repeated query of one architecture at one budget is counted once in the benchmark's
      `spent`: NASLib's trainer queries every incumbent five times.

    Args:
        n_classes: as in NASLib; its NAS-Bench-101 networks have ten.
        objective: what optimisers improve instead of their `performance_metric`: a member of
            `Metric`, its name, or our name of a metric such as `"energy_kwh"`.
    """

    QUERYABLE = True
    #: All copies share one benchmark, which is a file on disk.
    SHARED: tuple[str, ...] = ("_benchmark", "objective", "labeled_archs")

    def __init__(self, n_classes: int = 10, objective: Any = None) -> None:
        super().__init__()
        self.num_classes = n_classes
        self.space_name = "nasbench101"
        self.labeled_archs: Any = None
        self.instantiate_model = False
        self.sample_without_replacement = False
        self.objective: Any = None
        if objective is not None:
            self.objective = naslib_objectives.objective(objective)
        self._row: int | None = None
        self._benchmark: Any = None
        self._records: dict[int | None, Any] = {}

    # -- the architecture -------------------------------------------------------------------

    @property
    def row(self) -> int:
        """Row of the architecture in the space of cells.

        Raises:
            ConfigError: no architecture was set, sampled or mutated yet.
        """
        if self._row is None:
            raise ConfigError(
                "this search space has no architecture before set_spec, sample_random_architecture "
                "or mutate"
            )
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
        bench = None if dataset_api is None else _benchmark_of(dataset_api)
        if isinstance(spec, tuple):
            spec = _conversions.convert_tuple_to_spec(spec)
        self._set_row(row_of(spec, bench))

    def get_hash(self) -> tuple[int, ...]:
        """NASLib's tuple of the canonical spec, of Python's integers: equal for equal cells."""
        return _padded(self.row)[2]

    # -- proposals --------------------------------------------------------------------------

    def sample_random_architecture(
        self, dataset_api: dict[str, Any], load_labeled: bool = False
    ) -> None:
        """Set a random cell of the table, all cells equally likely."""
        if load_labeled:
            self.sample_random_labeled_architecture()
        else:
            self._set_row(sample(_benchmark_of(dataset_api)))

    def sample_random_labeled_architecture(self) -> None:
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

    def load_labeled_architecture(self, dataset_api: dict[str, Any] | None = None) -> None:
        """`sample_random_labeled_architecture`, as NASLib's predictor evaluator calls it."""
        self.sample_random_labeled_architecture()

    def mutate(self, parent: Any, dataset_api: dict[str, Any], edits: int = 1) -> None:
        """Set the cell of the table that `edits` mutations make of the parent.

        A mutation changes edges and operations as often on average as NASLib's does, but is
        repeated until the cell is another one, so that no evaluation is spent on a copy.
        """
        bench = _benchmark_of(dataset_api)
        row = row_of(parent.row if hasattr(parent, "row") else parent.get_spec(), bench)
        for _ in range(edits):
            row = mutate(bench, row)
        self._set_row(row)

    def get_nbhd(self, dataset_api: dict[str, Any]) -> list[Any]:
        """Modules with, as `arch`, the table's cells one edge or operation away, shuffled."""
        bench = _benchmark_of(dataset_api)
        found = []
        for row in neighbours(bench, self.row):
            arch = self._copy()
            arch._set_row(row)
            model = _torch.nn.Module()
            model.arch = arch
            found.append(model)
        return found

    def get_arch_iterator(self, dataset_api: dict[str, Any]) -> Iterator[str]:
        """NAS-Bench-101 hashes of the table's cells, in the order of their rows."""
        _benchmark_of(dataset_api)
        hashes: Iterator[str] = dataset_api["nb101_data"].hash_iterator()
        return hashes

    # -- queries ----------------------------------------------------------------------------

    def performance_objective(self, metric: Any) -> Any:
        """What an optimiser with the performance metric `metric` must ask this space for."""
        if self.objective is not None:
            return self.objective
        found = _objective(metric)
        # `query` answers NaN where a table lacks it; as an objective that stays an error.
        is_train = found is _Metric.TRAIN_ACCURACY
        return Objective(naslib_objectives.column(found), found) if is_train else found

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
        budget = None if epoch in (-1, None) else epoch
        if isinstance(metric, Objective) and metric.epochs is not None:
            budget = metric.epochs
        if full_lc:
            return self._curve(metric, bench, budget)
        record = self._record(bench, budget)
        if metric is _Metric.TRAIN_ACCURACY and "train_accuracy" not in record:
            # NASLib's trainers write it for every incumbent and use it for nothing else; they must
            # not fail on the modelled tables, which lack it because nobody published it.
            return math.nan
        if metric is _Metric.RAW:
            return self._raw(record)
        if metric is _Metric.ALL:
            found = {}
            for name, column in naslib_objectives.COLUMNS.items():
                if naslib_objectives.holds(bench, column):
                    with suppress(UnknownMetricError):  # this cell has no value of it
                        found[name] = naslib_objectives.read(record, column, bench)
            return found
        if isinstance(metric, Objective):
            return metric.of(record, bench)
        return naslib_objectives.read(record, naslib_objectives.column(metric), bench)

    def _record(self, bench: Any, budget: int | None) -> Any:
        if self._benchmark is not bench:
            self._benchmark, self._records = bench, {}
        if budget is None:
            budget = bench.budgets[-1]
        record = self._records.get(budget)
        if record is None:
            record = self._records[budget] = bench.query(self.row, budget)
        return record

    def _curve(self, metric: Any, bench: Any, upto: int | None) -> list[float]:
        name = metric.name if isinstance(metric, Objective) else naslib_objectives.column(metric)
        curve: list[float] = []
        for budget in bench.budgets:
            if upto is not None and len(curve) >= upto:
                break
            value = naslib_objectives.read(self._record(bench, budget), name, bench)
            curve += [value] * (budget - len(curve))
        return curve if upto is None else curve[:upto]

    def _raw(self, record: Any) -> dict[str, Any]:
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
