"""What a host evaluates: metrics of a benchmark at one budget, over the cells that have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import OBJECTIVES, Metric, metric
from naslib_ecnas.record import DERIVED

__all__ = ["Evaluation"]


class Evaluation:
    """Objectives of a benchmark at one budget.

    Only cells that have a value in every objective are ever offered to a host, so none of them
    can fail and nothing is made up for a cell that the table lacks.

    Args:
        bench: the benchmark; its counter counts every cell that is evaluated.
        objectives: one or more different metrics.
        epochs: training budget; the largest where left out.

    Raises:
        ConfigError: no objective or the same one twice, or no cell has them all.
        UnknownMetricError: an objective is no metric of this benchmark.
        UnknownBudgetError: the benchmark does not have this budget.
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        epochs: int | None = None,
    ) -> None:
        names = (objectives,) if isinstance(objectives, str) else tuple(objectives)
        #: Each objective's metric.
        self.metrics: tuple[Metric, ...] = tuple(metric(name) for name in names)
        if not names or len(set(names)) < len(names):
            raise ConfigError(
                "an evaluation needs objectives",
                value=names,
                expected="one or more different metrics",
                remedy="such as " + ", ".join(OBJECTIVES),
            )
        self.bench = bench
        self.objectives = names
        self.epochs = bench.budgets[-1] if epochs is None else epochs
        known = ~np.isnan([bench.values(name, self.epochs) for name in names]).any(axis=0)
        if all(name in DERIVED for name in names):
            # These follow from the cell alone, but only a trained cell can be evaluated.
            held = [bench.values(name, self.epochs) for name in bench.metrics]
            known &= ~np.isnan(held).all(axis=0)
        if not known.any():
            raise ConfigError(
                f"no cell of table {bench.name} has all objectives at {self.epochs} epochs",
                value=names,
                expected="objectives with values",
                remedy="choose other metrics or another budget",
            )
        #: (k,) int32 rows that have every objective, ascending.
        self.rows: NDArray[np.int32] = np.flatnonzero(known).astype(np.int32)

    def values(self, rows: ArrayLike) -> NDArray[np.float64]:
        """(n, m) objectives of (n,) rows in the metrics' units; the benchmark counts them."""
        records = self.bench.query_many(np.asarray(rows), self.epochs)
        return np.column_stack([np.asarray(records[n], dtype=np.float64) for n in self.objectives])
