"""The class `EcnasSearchSpace`, which needs NASLib to be defined: import it from `naslib_space`."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from naslib_ecnas.adapters import naslib_compat, naslib_metrics, naslib_objective, naslib_rows
from naslib_ecnas.adapters.naslib_network import LazyNetwork
from naslib_ecnas.adapters.naslib_objective import Objective
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.structures import OPERATIONS

__all__ = ["EcnasSearchSpace"]

Metric: Any = naslib_metrics.extend()
naslib_objective.install()

_conversions: Any = naslib_compat.require("naslib.search_spaces.nasbench101.conversions")
_torch: Any = importlib.import_module("torch")

_objective = lru_cache(maxsize=64)(naslib_objective.objective)


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
    SHARED = ("_benchmark", "objective", "labeled_archs")

    def __init__(self, n_classes: int = 10, objective: Any = None) -> None:
        super().__init__()
        self.num_classes = n_classes
        self.space_name = "nasbench101"
        self.labeled_archs = None
        self.instantiate_model = False
        self.sample_without_replacement = False
        self.objective = None if objective is None else naslib_objective.objective(objective)
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
        bench = None if dataset_api is None else naslib_rows.benchmark(dataset_api)
        if isinstance(spec, tuple):
            spec = _conversions.convert_tuple_to_spec(spec)
        self._set_row(naslib_rows.row_of(spec, bench))

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
            self._set_row(naslib_rows.sample(naslib_rows.benchmark(dataset_api)))

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
        index = int(naslib_rows.rng().integers(len(self.labeled_archs)))
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
        bench = naslib_rows.benchmark(dataset_api)
        row = naslib_rows.row_of(parent.row if hasattr(parent, "row") else parent.get_spec(), bench)
        for _ in range(edits):
            row = naslib_rows.mutate(bench, row)
        self._set_row(row)

    def get_nbhd(self, dataset_api: dict[str, Any]) -> list[Any]:
        """Modules whose `arch` is each cell of the table one edge or operation away, shuffled."""
        bench = naslib_rows.benchmark(dataset_api)
        found = []
        for row in naslib_rows.neighbours(bench, self.row):
            arch = self._copy()
            arch._set_row(row)
            model = _torch.nn.Module()
            model.arch = arch
            found.append(model)
        return found

    def get_arch_iterator(self, dataset_api: dict[str, Any]) -> Iterator[str]:
        """NAS-Bench-101 hashes of the table's cells, in the order of their rows."""
        naslib_rows.benchmark(dataset_api)
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
        return Objective(naslib_metrics.column(found), found) if is_train else found

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
        bench = naslib_rows.benchmark(dataset_api, dataset)
        budget = None if epoch in (-1, None) else epoch
        if isinstance(metric, Objective) and metric.epochs is not None:
            budget = metric.epochs
        if full_lc:
            return self._curve(metric, bench, budget)
        record = self._record(bench, budget)
        if metric is Metric.TRAIN_ACCURACY and not naslib_metrics.holds(bench, "train_accuracy"):
            # NASLib's trainers write it of every incumbent and use it for nothing; the modelled
            # tables, for which nobody published it, must not stop them.
            return math.nan
        if metric is Metric.RAW:
            return self._raw(record)
        if metric is Metric.ALL:
            return {
                name: naslib_metrics.read(record, column, bench)
                for name, column in naslib_metrics.COLUMNS.items()
                if naslib_metrics.holds(bench, column)
            }
        if isinstance(metric, Objective):
            return metric.of(record, bench)
        return naslib_metrics.read(record, naslib_metrics.column(metric), bench)

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
        name = metric.name if isinstance(metric, Objective) else naslib_metrics.column(metric)
        curve: list[float] = []
        for budget in bench.budgets:
            if upto is not None and len(curve) >= upto:
                break
            value = naslib_metrics.read(self._record(bench, budget), name, bench)
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
