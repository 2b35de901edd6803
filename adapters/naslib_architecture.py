"""The class `EcnasSearchSpace`, which needs NASLib to be defined: import it from `naslib_space`."""

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

__all__ = [
    "EcnasSearchSpace",
    "LazyNetwork",
    "benchmark",
    "mutate",
    "neighbours",
    "rng",
    "row_of",
    "sample",
]


# A nasbench101 graph of NASLib's whose network is built late and whose clones are cheap.
#
# NASLib builds the network of every candidate and deep-copies a graph for every clone, though a
# search on a table looks at neither. Here clones share one graph until a network is wanted.


_torch: Any = importlib.import_module("torch")

_networkx: Any = importlib.import_module("networkx")

_views: Any = importlib.import_module("networkx.classes.reportviews")

_graph: Any = naslib_patches.require("naslib.search_spaces.core.graph")

_conversions: Any = naslib_patches.require("naslib.search_spaces.nasbench101.conversions")

_Base: Any = naslib_patches.require("naslib.search_spaces.nasbench101.graph").NasBench101SearchSpace

#: Attributes of a module that a copy must not share with its original.
_OWN = [name for name, value in vars(_torch.nn.Module()).items() if isinstance(value, dict | set)]


class LazyNetwork(_Base):  # type: ignore[misc]
    """NASLib's `NasBench101SearchSpace` with a network built from `get_spec()` on demand.

    Demanding it are `parse`, `forward`, `to` (NASLib's zero-cost proxies move a network before they
    run it) and `edges`, where NASLib keeps it.
    """

    #: Attributes that even a deep copy has in common with its original.
    SHARED: tuple[str, ...] = ()

    def __init__(self) -> None:
        _graph.Graph.__init__(self)
        self._shared = False
        self._built = False
        # A graph without an edge would be empty, and therefore false.
        self.add_edge(1, 2)

    def _build(self) -> None:
        """Make the network, where there is an architecture and it is not made yet."""
        spec = None if self._built else self.get_spec()
        if spec is not None:
            self._own_graph()
            self._built = True
            self.edges[1, 2].set("op", _conversions.convert_spec_to_model(spec))

    def _unbuild(self) -> None:
        """Drop the network, where one was made."""
        if self._built:
            self._shared = True
            self._own_graph()
            self._modules.clear()
            self.is_parsed = False
            self._built = False

    def _own_graph(self) -> None:
        """Have a graph of one's own instead of one that clones share."""
        if self._shared:
            attributes = dict(self.graph)
            _networkx.DiGraph.__init__(self)
            self.graph.update(attributes)
            self.add_edge(1, 2)
            self._shared = False

    @property
    def nodes(self) -> Any:
        """The graph's nodes, as networkx has them."""
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
        """A copy; a deep one only where a network is built."""
        return copy.deepcopy(self) if self._built else self._copy()

    def _copy(self) -> Any:
        """A copy without a network, which shares the graph until one of the two needs it."""
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


# Which cells NASLib gets to see: those of a table, by their rows.
#
# NASLib's searches draw from numpy's global state, which its `set_seed` and `Trainer` seed. The
# proposals here do the same, so that the seed of a NASLib run reproduces them: this is the one
# place of the package with global randomness.


_HASH = re.compile("[0-9a-f]{32}")

#: Mutants tried, in growing batches, before a cell is drawn from the whole table instead.
_TRIES = 20_000


def rng() -> np.random.Generator:
    """A generator on numpy's global state."""
    return np.random.Generator(get_bit_generator())


def benchmark(dataset_api: Any, dataset: str | None = None) -> Benchmark:
    """The benchmark of a `dataset_api`.

    Raises:
        ConfigError: it is none of ours, or `dataset` is not what it holds.
    """
    bench = dataset_api.get("ecnas") if isinstance(dataset_api, dict) else None
    if not isinstance(bench, Benchmark):
        raise ConfigError(
            "this search space needs an EC-NAS table as its dataset_api",
            value=None if dataset_api is None else type(dataset_api).__name__,
            expected="a dict whose 'ecnas' is a Benchmark",
            remedy="pass dataset_api=naslib_ecnas.adapters.naslib_space.dataset_api(table)",
        )
    names = {"cifar10", bench.name, dataset_api.get("dataset")}
    if dataset is not None and dataset not in names:
        raise ConfigError(
            "the table is not of this dataset",
            value=dataset,
            expected=" or ".join(sorted(name for name in names if name)),
            remedy="set dataset: cifar10 in the config, or load that table",
        )
    return bench


def row_of(spec: Any, bench: Benchmark | None) -> int:
    """The row of a spec (see `EcnasSearchSpace.set_spec`), which the benchmark's table must hold.

    Raises:
        InvalidCellError: it is no cell.
        UnknownCellError: the table does not hold it.
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
        raise UnknownCellError(
            f"the table {bench.name} does not hold this cell",
            value=str(Cell.from_row(row)),
            expected=f"one of its {len(bench.rows):,} cells",
            remedy="take cells from sample_random_architecture, mutate or get_arch_iterator",
        )
    return row


def sample(bench: Benchmark) -> int:
    """A cell of the table, all of them equally likely."""
    return int(bench.rows[rng().integers(len(bench.rows))])


def mutate(bench: Benchmark, row: int) -> int:
    """Another cell of the table, mutated from one of its cells.

    Edges and operations change as often on average as NASLib's mutation changes them: each
    possible edge with probability 1 / vertices, each operation with 1 / 3. Where a table holds so
    few cells that no mutant is among them, any other cell of the table is taken.
    """
    space, generator = bench.space, rng()
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
    """The table's cells one edge or one operation away, in random order."""
    found = bench.space.neighbours(row)
    found = found[_holds(bench, found)]
    return [int(r) for r in rng().permutation(found)]


def _holds(bench: Benchmark, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    if len(bench.rows) == len(bench.space):
        return np.ones(len(rows), dtype=bool)
    place = np.minimum(np.searchsorted(bench.rows, rows), len(bench.rows) - 1)
    held: NDArray[np.bool_] = bench.rows[place] == rows
    return held


Metric: Any = naslib_objectives.extend()

naslib_objectives.install()

_objective = lru_cache(maxsize=64)(naslib_objectives.objective)


class EcnasSearchSpace(LazyNetwork):
    """The cells of an EC-NAS table as a search space of NASLib's.

    It answers NASLib's optimisers, predictors and trainers as NASLib's `NasBench101SearchSpace`
    does, its encodings are that class's own, and it differs in this:

    - An architecture is a row of the table. Sampling is uniform over the table's distinct cells;
      mutation and neighbours stay within the table; there is no invalid cell.
    - Specs are canonical, so that equal cells have equal specs, hashes and encodings, however
      they were drawn when they were set.
    - A network is built only when it is run, parsed, moved to a device or looked at through
      `edges`. Clones share everything until then.
    - Randomness is numpy's global state alone, which both NASLib's `set_seed` and its `Trainer`
      seed.
    - What is asked again of one architecture at one budget is not counted again in the
      benchmark's `spent`: NASLib's trainer asks five times for every incumbent.

    Args:
        n_classes: as in NASLib; its NAS-Bench-101 networks have ten.
        objective: what optimisers shall improve instead of their `performance_metric`: a member
            of `Metric`, its name, or our name of a metric such as `"energy_kwh"`.
    """

    QUERYABLE = True
    #: A benchmark is a memory-mapped file, of which one is enough.
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
            ConfigError: none was set, sampled or mutated yet.
        """
        if self._row is None:
            raise ConfigError(
                "this search space holds no architecture yet",
                expected="a set_spec, sample_random_architecture or mutate before",
                remedy="call one of these",
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
        """`matrix`, (7, 7) int, and `ops`, 7 names, as NASLib pads them; None before any is set."""
        if self._row is None:
            return None
        bits, ops, _ = _drawing(self._row)
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
        """Take an architecture.

        Args:
            spec: a dict with `matrix` and `ops`, NASLib's tuple, a NAS-Bench-101 hash, a text as
                `Cell` prints it, a `Cell`, an object with `matrix` and `ops`, or a row.
            dataset_api: where given, the table has to hold the cell.

        Raises:
            InvalidCellError: it is no cell.
            UnknownCellError: the table does not hold it.
        """
        bench = None if dataset_api is None else benchmark(dataset_api)
        if isinstance(spec, tuple):
            spec = _conversions.convert_tuple_to_spec(spec)
        self._set_row(row_of(spec, bench))

    def get_hash(self) -> tuple[int, ...]:
        """NASLib's tuple of the canonical spec, of Python's integers: equal for equal cells."""
        return _drawing(self.row)[2]

    # -- proposals --------------------------------------------------------------------------

    def sample_random_architecture(
        self, dataset_api: dict[str, Any], load_labeled: bool = False
    ) -> None:
        """Take a cell of the table, all of them equally likely."""
        if load_labeled:
            self.sample_random_labeled_architecture()
        else:
            self._set_row(sample(benchmark(dataset_api)))

    def sample_random_labeled_architecture(self) -> None:
        """Take one of `labeled_archs`.

        Raises:
            ConfigError: there is none.
        """
        if not self.labeled_archs:
            raise ConfigError(
                "there are no labelled architectures to sample from",
                expected="a list of specs in labeled_archs",
                remedy="set search_space.labeled_archs, or leave load_labeled out",
            )
        index = int(rng().integers(len(self.labeled_archs)))
        chosen = self.labeled_archs[index]
        if self.sample_without_replacement:
            self.labeled_archs.pop(index)
        self.set_spec(chosen)

    def load_labeled_architecture(self, dataset_api: dict[str, Any] | None = None) -> None:
        """The same, under the name that NASLib's predictor evaluator uses."""
        self.sample_random_labeled_architecture()

    def mutate(self, parent: Any, dataset_api: dict[str, Any], edits: int = 1) -> None:
        """Take a cell of the table that `edits` mutations make of the parent.

        A mutation changes edges and operations as often on average as NASLib's does, but is
        repeated until the cell is another one, so that no evaluation is spent on a copy.
        """
        bench = benchmark(dataset_api)
        row = row_of(parent.row if hasattr(parent, "row") else parent.get_spec(), bench)
        for _ in range(edits):
            row = mutate(bench, row)
        self._set_row(row)

    def get_nbhd(self, dataset_api: dict[str, Any]) -> list[Any]:
        """Modules whose `arch` is each cell of the table one edge or operation away, shuffled."""
        bench = benchmark(dataset_api)
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
        benchmark(dataset_api)
        hashes: Iterator[str] = dataset_api["nb101_data"].hash_iterator()
        return hashes

    # -- what the table says ----------------------------------------------------------------

    def performance_objective(self, metric: Any) -> Any:
        """What an optimiser whose performance metric is `metric` has to ask for here."""
        if self.objective is not None:
            return self.objective
        found = _objective(metric)
        # `query` answers NaN where a table lacks it; as an objective that stays an error.
        is_train = found is Metric.TRAIN_ACCURACY
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
        """What the table says of the architecture, in NASLib's units.

        Args:
            metric: a member of `Metric`: accuracies in per cent, `TRAIN_TIME` in s,
                `TRAIN_ENERGY` in kWh, `TRAIN_CO2` in g, `TRAIN_POWER` in W, `PARAMETERS` as a
                count, `RAW` (a dict, NAS-Bench-101's names and ours, in our units) and `ALL` (a
                dict by the names of metrics, in NASLib's units). An `Objective` gives its score.
            dataset: `"cifar10"`, None or the name of the table.
            path: not used, as in NASLib.
            epoch: budget of the training; -1 or None for the largest.
            full_lc: instead of one value a list of one for each epoch up to `epoch`: that of the
                smallest budget which trains so long, as NASLib has it for NAS-Bench-101.
            dataset_api: as `naslib_space.dataset_api` makes it.

        Raises:
            ConfigError: no `dataset_api` of ours, another dataset, or no architecture yet.
            UnknownBudgetError, UnknownCellError, UnknownMetricError: the table lacks it; but
                `TRAIN_ACCURACY` is NaN then, since every trainer reports it.
        """
        bench = benchmark(dataset_api, dataset)
        budget = None if epoch in (-1, None) else epoch
        if isinstance(metric, Objective) and metric.epochs is not None:
            budget = metric.epochs
        if full_lc:
            return self._curve(metric, bench, budget)
        record = self._record(bench, budget)
        if metric is Metric.TRAIN_ACCURACY and "train_accuracy" not in record:
            # NASLib's trainers write it of every incumbent and use it for nothing; the modelled
            # tables, for which nobody published it, must not stop them.
            return math.nan
        if metric is Metric.RAW:
            return self._raw(record)
        if metric is Metric.ALL:
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
def _drawing(row: int) -> tuple[tuple[int, ...], tuple[str, ...], tuple[int, ...]]:
    """A cell as NASLib draws it: 49 bits, 7 operations, and both as its tuple of 56.

    Vertices that the cell does not have are 3 x 3 convolutions without edges before the output.
    """
    cell = Cell.from_row(row)
    v = cell.vertices
    matrix = np.zeros((7, 7), dtype=int)
    matrix[: v - 1, : v - 1] = cell.matrix[:-1, :-1]
    matrix[: v - 1, 6] = cell.matrix[:-1, -1]
    ops = (*cell.ops[:-1], *[OPERATIONS[0]] * (7 - v), cell.ops[-1])
    bits = tuple(matrix.ravel().tolist())
    return bits, ops, (*bits, *map(_conversions.all_ops.index, ops))
