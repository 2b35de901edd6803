"""What the evaluations of a search give and cost, read from a table."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import Scale
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownMetricError
from naslib_ecnas.record import DERIVED
from naslib_ecnas.search.limits import QUANTITIES

__all__ = ["CHARGED", "Ledger"]

#: The metric behind each quantity that a training is charged for.
CHARGED = {"seconds": "training_time_s", "energy_kwh": "energy_kwh", "co2_g": "co2_g"}


class Ledger:
    """Columns of a table over its whole space, each read once.

    Looking up a batch in them costs microseconds, and a search makes hundreds of batches.

    Args:
        bench: the benchmark; its own counter is not touched.
        names: the objectives.
    """

    def __init__(self, bench: Benchmark, names: Sequence[str]) -> None:
        self.bench = bench
        self.names = tuple(names)
        self._objectives: dict[int, NDArray[np.float64]] = {}
        self._columns: dict[tuple[str, int], NDArray[np.float64]] = {}
        self._charges: dict[tuple[str, int], NDArray[np.float64]] = {}
        self._scales: dict[int, Scale] = {}

    @classmethod
    def of(cls, bench: Benchmark, names: Sequence[str]) -> Ledger:
        """The ledger of a benchmark, the same one for each search of the same objectives."""
        key = tuple(names)
        kept = _ledgers.setdefault(bench, {})
        if key not in kept:
            # One set of objectives at a time: the columns of a large table are megabytes.
            kept.clear()
            kept[key] = cls(_Unowned(bench), key)
        return kept[key]

    def objectives(self, epochs: int) -> NDArray[np.float64]:
        """(n_cells, m) objectives, NaN where the table has no training at this budget.

        Raises:
            UnknownMetricError: an objective is no metric of the table.
            UnknownBudgetError: the table does not have this budget.
        """
        if epochs not in self._objectives:
            bench = self.bench
            values = np.column_stack([bench.values(name, epochs) for name in self.names])
            if all(name in DERIVED for name in self.names):
                # These follow from the cell alone, but only a cell that was trained can be
                # evaluated.
                trained = np.zeros(len(values), dtype=np.bool_)
                for name in bench.metrics:
                    trained |= ~np.isnan(bench.values(name, epochs))
                values[~trained] = np.nan
            self._objectives[epochs] = values
        return self._objectives[epochs]

    def scale(self, epochs: int) -> Scale:
        """The yardstick of the table at a budget."""
        if epochs not in self._scales:
            self._scales[epochs] = Scale.of(self.objectives(epochs), self.names)
        return self._scales[epochs]

    def detail(
        self, name: str, rows: NDArray[np.int32], epochs: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(n,) a metric of each evaluation.

        Raises:
            UnknownMetricError: the table does not hold it.
        """
        if name in DERIVED:
            return DERIVED[name](rows).astype(np.float64)
        out = np.empty(len(rows))
        for budget in np.unique(epochs).tolist():
            at = epochs == budget
            out[at] = self._column(name, budget)[rows[at]]
        return out

    def charges(self, rows: NDArray[np.int32], epochs: int) -> NDArray[np.float64]:
        """(n, 5) what each training costs, in the order of `QUANTITIES`; NaN where not known."""
        out = np.empty((len(rows), len(QUANTITIES)))
        for i, quantity in enumerate(QUANTITIES):
            if quantity in CHARGED:
                out[:, i] = self.charge(quantity, epochs)[rows]
            else:
                out[:, i] = epochs if quantity == "epochs" else 1.0
        return out

    def charge(self, quantity: str, epochs: int) -> NDArray[np.float64]:
        """(n_cells,) what a training of each cell costs; NaN where the table does not say."""
        if (quantity, epochs) not in self._charges:
            try:
                column = self._column(CHARGED[quantity], epochs)
            except UnknownMetricError:
                column = np.broadcast_to(np.nan, len(self.bench.space))
            self._charges[quantity, epochs] = column
        return self._charges[quantity, epochs]

    def _column(self, name: str, epochs: int) -> NDArray[np.float64]:
        if (name, epochs) not in self._columns:
            self._columns[name, epochs] = self.bench.values(name, epochs)
        return self._columns[name, epochs]


class _Unowned(Benchmark):
    """The same table behind a counter of its own, so that a kept ledger holds no benchmark."""

    def __init__(self, bench: Benchmark) -> None:
        super().__init__(bench.table)


_ledgers: WeakKeyDictionary[Benchmark, dict[tuple[str, ...], Ledger]] = WeakKeyDictionary()
