"""The trainings that a search has made so far, what they cost, and why there are no more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.base import Batch
from naslib_ecnas.search.ledger import Ledger
from naslib_ecnas.search.limits import QUANTITIES, Limits

__all__ = ["Trainings"]

#: Answers without a charge in a row after which a method has ended.
_MOST_REPEATS = 1000


class Trainings:
    """The account of one run.

    Args:
        ledger: what trainings cost.
        limits: what may be spent.
        charge_repeats: whether a cell trained before at this budget or a larger one is charged
            again; if not, it is answered without a charge.
    """

    def __init__(self, ledger: Ledger, limits: Limits, *, charge_repeats: bool) -> None:
        self._ledger = ledger
        self._limits = limits
        self._charge_repeats = charge_repeats
        self._largest = np.zeros(len(ledger.bench.space), dtype=np.int64)
        self._parts: list[tuple[NDArray[np.int32], int]] = []
        self._spent = np.zeros(len(QUANTITIES))
        self._made = self._in_a_row = 0
        #: Cells answered without a charge.
        self.answered = 0
        #: The limit that ended the run, or `repeats`; empty while it goes on.
        self.ended_by = ""

    def __len__(self) -> int:
        """Trainings charged so far."""
        return self._made

    @property
    def rows(self) -> NDArray[np.int32]:
        """(n,) row of each training."""
        return np.concatenate([rows for rows, _ in self._parts])

    @property
    def epochs(self) -> NDArray[np.int64]:
        """(n,) budget of each training."""
        return np.concatenate([np.full(len(rows), epochs) for rows, epochs in self._parts])

    def expected(self) -> int:
        """Trainings in all: their limit, or an estimate from the share spent so far."""
        if self._limits.evaluations is not None:
            return self._limits.evaluations
        return max(self._made, round(self._made / self._limits.share(self._spent)))

    def make(self, batch: Batch) -> NDArray[np.int32]:
        """Charge a batch as far as the limits go.

        Returns:
            (k,) the first rows of the batch, those that are answered.

        Raises:
            ConfigError: the limits do not pay for a first training.
        """
        rows = np.array(batch.rows, dtype=np.int32)
        charges = self._ledger.charges(rows, batch.epochs)
        new = np.ones(len(rows), dtype=np.bool_)
        if not self._charge_repeats:
            first = np.unique(rows, return_index=True)[1]
            new[:] = False
            new[first] = self._largest[rows[first]] < batch.epochs
            charges[~new] = 0.0
        fits, stopper = self._limits.fitting(self._spent, charges)
        rows, new, charges = rows[:fits], new[:fits], charges[:fits]
        self._spent = np.cumsum(np.concatenate([self._spent[None], charges]), axis=0)[-1]
        trained = rows[new]
        self._largest[trained] = np.maximum(self._largest[trained], batch.epochs)
        self._made += len(trained)
        self.answered += len(rows) - len(trained)
        if len(trained):
            self._parts.append((trained, batch.epochs))
            self._in_a_row = len(rows) - 1 - int(np.flatnonzero(new)[-1])
        else:
            self._in_a_row += len(rows)
        if not self._made:
            raise ConfigError(
                f"the limit of {stopper} does not pay for one evaluation",
                value=self._limits.set[stopper],
                expected=f"at least what row {int(batch.rows[0])} costs at {batch.epochs} epochs",
                remedy="raise the limit",
            )
        self.ended_by = stopper or self._exhausted()
        return rows

    def _exhausted(self) -> str:
        if self._made == self._limits.evaluations:
            return "evaluations"
        if self._limits.epochs is not None and self._spent[1] >= self._limits.epochs:
            return "epochs"
        return "repeats" if self._in_a_row >= _MOST_REPEATS else ""

    def charge(self, bench: Benchmark) -> None:
        """Let the benchmark's own counter count the trainings made."""
        for epochs in sorted({epochs for _, epochs in self._parts}):
            rows = [rows for rows, at in self._parts if at == epochs]
            bench.query_many(np.concatenate(rows), epochs)
