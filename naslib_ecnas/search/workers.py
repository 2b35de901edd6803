"""Simulated workers, which train cells side by side in virtual time."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from naslib_ecnas.data.carbon_trace import DEFER, CarbonTrace
from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.search.base import Evaluated, Floats, Rows


class Workers:
    """When each training of a run starts and ends, in seconds from the start of the run.

    A worker that is free takes the next cell of the method's batch. If none is left, the method
    is told which trainings have ended by then, and is asked for another batch. A training takes
    the time that it has in the table; nothing else takes time. With one worker, this is a
    sequential search.

    Args:
        number: how many trainings run at a time.
        whole: whether the method is asked again only when all cells of its batch are trained
            (`Optimiser.asynchronous`).
        trace: carbon intensity of the electricity, whose first hour is the start of the run.
        defer: rule of `DEFER` by which a training waits for cleaner electricity. Its worker waits
            with it.

    Raises:
        ConfigError: no worker, or no such rule.
    """

    def __init__(
        self, number: int, *, whole: bool, trace: CarbonTrace | None = None, defer: str = "now"
    ) -> None:
        check_counts("a search", workers=number)
        if defer not in DEFER or (trace is None and defer != "now"):
            message = f"defer must be one of {', '.join(DEFER)}, with a carbon trace"
            raise ConfigError(message, value=defer)
        self.trace = trace
        self._number = number
        self._defer = defer
        self._whole = whole
        self._free = [0.0] * number  # a heap: when each worker is free
        # Trainings that the method knows only as not ended, with their objectives, and their ends.
        self._open, self._ends = Evaluated(), np.empty(0)

    def train(self, seconds: Floats) -> Floats:
        """(n,) starts of trainings that take (n,) seconds, begun in this order."""
        if self._number == 1 and self._defer == "now":
            sums = np.cumsum([self._free[0], *seconds])
            self._free = [float(sums[-1])]
            return np.asarray(sums[:-1])
        starts = np.empty(len(seconds))
        for i, length in enumerate(seconds.tolist()):
            starts[i] = free = heappop(self._free)
            if self.trace is not None:
                starts[i] = self.trace.start(self._defer, free, length)
            heappush(self._free, float(starts[i]) + length)
        return starts

    def ended(self, rows: Rows, seen: Floats, ends: Floats) -> tuple[Rows, Floats]:
        """What the method is told after a batch was begun, before it is asked again.

        Takes the (n,) rows of the batch, their (n, m) objectives, and when each ends; 0 if it
        takes no time.

        Returns:
            (k,) rows and (k, m) objectives: of a whole batch in its order; else of the trainings
            that have ended, in the order of their ends, then of those just begun, as NaN.
        """
        if self._whole or self._number == 1:
            self._free = [max(self._free)] * self._number
            return rows, seen
        both, ends = self._open + Evaluated(rows, seen), np.append(self._ends, ends)
        done = ends <= self._free[0]
        order = np.flatnonzero(done)[np.argsort(ends[done], kind="stable")]
        new = both[len(self._open) :][~done[len(self._open) :]]
        told = both[order] + Evaluated(new.rows, np.full_like(new.costs, np.nan))
        self._open, self._ends = both[~done], ends[~done]
        return told.rows, told.costs
