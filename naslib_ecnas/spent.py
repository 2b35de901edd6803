"""What queries would have cost: sums over trainings, and the counter of a benchmark."""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from naslib_ecnas.errors import SeparateCounterWarning, UnknownMetricError
from naslib_ecnas.metrics import missing_metric_remedy

__all__ = ["COSTS", "Counter", "Spent"]

#: Costs of a training by their names in `Spent`, with the metric that each adds up.
COSTS = {"seconds": "training_time_s", "energy_kwh": "energy_kwh", "co2_g": "co2_g"}


@dataclass(frozen=True)
class Spent:
    """What the trainings behind queries would have cost.

    `seconds`, `energy_kwh` and `co2_g` are sums over all trainings and raise
    `UnknownMetricError` where the table does not know the cost of one of them; `known` has the
    sums over the others. Two of them are added by `+`.
    """

    evaluations: int = 0
    epochs: int = 0
    known: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(COSTS, 0.0))
    """Sum of each cost (`COSTS`) over the trainings of which it is known."""
    unknown: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COSTS, 0))
    """Number of trainings of which each cost is not known."""

    @classmethod
    def of(cls, epochs: ArrayLike, costs: Mapping[str, ArrayLike]) -> Spent:
        """The sums of trainings of (n,) epochs and (n,) costs by name, NaN where not known."""
        budgets = np.asarray(epochs)
        columns = {name: np.asarray(costs[name], dtype=np.float64) for name in COSTS}
        return cls(
            len(budgets),
            int(budgets.sum()),
            # Cumulated, since a search adds up its trainings one by one.
            {n: float(np.nancumsum(c)[-1]) if c.size else 0.0 for n, c in columns.items()},
            {n: int(np.isnan(c).sum()) for n, c in columns.items()},
        )

    @property
    def seconds(self) -> float:
        """Training time in s."""
        return self._sum("seconds")

    @property
    def energy_kwh(self) -> float:
        """Training energy in kWh."""
        return self._sum("energy_kwh")

    @property
    def co2_g(self) -> float:
        """Training emissions in gCO2eq."""
        return self._sum("co2_g")

    def _sum(self, name: str) -> float:
        if self.unknown[name]:
            some = f"{self.unknown[name]} of {self.evaluations} trainings"
            message = f"{COSTS[name]} of {some} is not known"
            raise UnknownMetricError(message, remedy=missing_metric_remedy(name))
        return self.known[name]

    def __add__(self, other: Spent) -> Spent:
        if not isinstance(other, Spent):
            return NotImplemented
        return Spent(
            self.evaluations + other.evaluations,
            self.epochs + other.epochs,
            {name: self.known[name] + other.known[name] for name in COSTS},
            {name: self.unknown[name] + other.unknown[name] for name in COSTS},
        )

    def to_dict(self) -> dict[str, float]:
        """Evaluations, epochs and costs by name, NaN where a training's cost is not known."""
        costs = {n: math.nan if self.unknown[n] else self.known[n] for n in COSTS}
        return {"evaluations": self.evaluations, "epochs": self.epochs, **costs}

    def __repr__(self) -> str:
        costs = []
        for name in COSTS:
            missing = self.unknown[name]
            known = "unknown" if 0 < missing == self.evaluations else f"{self.known[name]:.6g}"
            note = f" without {missing} unknown" if 0 < missing < self.evaluations else ""
            costs.append(f"{name}={known}{note}")
        return f"Spent(evaluations={self.evaluations}, epochs={self.epochs}, {', '.join(costs)})"


# A counter belongs to the process whose mark it has. `os.fork`, and unpickling in another process,
# leave a copy with another mark than that of the process it is in.
_process = os.urandom(16)
_lock = threading.Lock()
_warned = False


def _after_fork() -> None:
    global _process, _lock, _warned
    # Another thread of the parent may have held the lock.
    _process, _lock, _warned = os.urandom(16), threading.Lock(), False


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


class Counter:
    """Adds up what queries cost, from all threads of one process.

    A copy in another process counts for itself and warns once in each process
    (`SeparateCounterWarning`), unless it was reset there.

    Args:
        of: what it counts for, for the warning.
        columns: where a query's values have each of `COSTS`; -1 for none.
    """

    def __init__(self, of: str, columns: Sequence[int]) -> None:
        self._of = of
        self._held = [(name, at) for name, at in zip(COSTS, columns, strict=True) if at >= 0]
        self.reset()

    def reset(self) -> None:
        """Start anew, in this process."""
        with _lock:
            self._home = _process
            self._queries = self._epochs = 0
            self._known = dict.fromkeys((name for name, _ in self._held), 0.0)
            self._missing = dict.fromkeys(self._known, 0)
            self._added = Spent()

    @property
    def spent(self) -> Spent:
        """The sums so far."""
        with _lock:
            known = dict.fromkeys(COSTS, 0.0) | self._known
            unknown = dict.fromkeys(COSTS, self._queries) | self._missing
            return Spent(self._queries, self._epochs, known, unknown) + self._added

    def count(self, epochs: int, values: Sequence[float]) -> None:
        """Count one query, whose values are NaN where not known."""
        if self._home is not _process:
            self._move()
        known, missing = self._known, self._missing
        _lock.acquire()  # takes half the time of `with`
        try:
            self._queries += 1
            self._epochs += epochs
            for name, column in self._held:
                cost = values[column]
                if cost == cost:
                    known[name] += cost
                else:
                    missing[name] += 1
        finally:
            _lock.release()

    def add(self, spent: Spent) -> None:
        """Count trainings that were added up elsewhere."""
        if self._home is not _process:
            self._move()
        with _lock:
            self._added += spent

    def _move(self) -> None:
        """Belong to this process from now on; warn once if this was another's."""
        global _warned
        separate, self._home = self._home != _process, _process
        if separate and not _warned:
            _warned = True
            warnings.warn(
                f"this copy of the {self._of} counts for itself in this process, and the original "
                "does not see what it spends (see Benchmark.reset_spent and Benchmark.absorb)",
                SeparateCounterWarning,
                stacklevel=4,
            )
