"""What the trainings of a search yield and cost, what it may spend, and what it has spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import Scale
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.carbon_trace import DEFER, CarbonTrace
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers
from naslib_ecnas.network import DERIVED
from naslib_ecnas.records import COSTS
from naslib_ecnas.search.base import Batch, Evaluated, Floats, Rows

#: The costs of a search that are added up, by the names of `Spent`.
QUANTITIES = ("evaluations", "epochs", *COSTS)

#: What is kept of every evaluation besides objectives and parameters, where the table holds it.
DETAILS = ("energy_kwh", "validation_accuracy", "test_accuracy", "training_time_s", "co2_g")
# A run ends after so many answers in a row without a charge. If their number has no limit, it also
# ends after a mean of so many trainings of each cell at each budget: they may cost next to nothing.
_MOST = 1000

# -- what a table says of its trainings ----


class Ledger:
    """What the trainings of a table at one budget yield and cost; each column is read once.

    The benchmark's own counter is not changed.
    """

    def __init__(self, bench: Benchmark, names: Sequence[str], epochs: int) -> None:
        # A benchmark of its own: one that refers to the key of `_ledgers` would keep it for ever.
        self.bench = Benchmark(bench.table)
        self.names = tuple(names)
        self.epochs = epochs
        self._columns: dict[str, Floats] = {}

    @classmethod
    def of(cls, bench: Benchmark, names: Sequence[str], epochs: int) -> Ledger:
        """The ledger of a benchmark, shared by all searches with the same objectives."""
        kept, key, epochs = _ledgers.setdefault(bench, {}), tuple(names), bench.budget(epochs)
        if any(ledger.names != key for ledger in kept.values()):
            kept.clear()  # one set of objectives: the columns of a large table are megabytes
        if epochs not in kept:
            kept[epochs] = cls(bench, key, epochs)
        return kept[epochs]

    @cached_property
    def objectives(self) -> Floats:
        """(n_cells, m) objectives, NaN where the table has no training at this budget."""
        values = np.column_stack([self.bench.values(name, self.epochs) for name in self.names])
        if all(name in DERIVED for name in self.names):
            # Derived metrics exist for every cell, but only a trained cell can be evaluated.
            held = [self.bench.values(name, self.epochs) for name in self.bench.metrics]
            values[np.isnan(held).all(axis=0)] = np.nan
        return values

    @cached_property
    def scale(self) -> Scale:
        """The scale of the table at this budget; ConfigError if no cell has all objectives."""
        return Scale.of(self.objectives, self.names)

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """(n_cells,) mask of the cells with all objectives."""
        return np.asarray(~np.isnan(self.objectives).any(axis=1))

    def column(self, name: str) -> Floats:
        """(n_cells,) values of a metric of the table; NaN if it has no such metric."""
        if name not in self._columns:
            held = name in self.bench.metrics
            unknown = np.broadcast_to(np.nan, len(self.bench.space))
            self._columns[name] = self.bench.values(name, self.epochs) if held else unknown
        return self._columns[name]

    def trained(self, rows: Rows, rng: np.random.Generator | None) -> tuple[Floats, Floats]:
        """(n, m) objectives and (n, 5) costs, in the order of `QUANTITIES`, of n trainings.

        They are the means, NaN where not known; or with a generator those of single trainings,
        drawn in the order of the rows, and the mean where one lacks a value.
        """
        counts = np.broadcast_to([1.0, self.epochs], (len(rows), 2))
        costs = [self.column(name)[rows] for name in COSTS.values()]
        values, charges = self.objectives[rows], np.column_stack([counts, *costs])
        if rng is None:
            return values, charges
        if self.bench.table.draw is None:
            found = self.bench.query_many(rows, self.epochs, rng=rng).columns
        else:
            noise = ("_repeat_std", "failure_probability", *DETAILS)
            held = [name for name in self.bench.metrics if name.endswith(noise)]
            means = {name: self.column(name)[rows] for name in held}
            found = self.bench.drawn(means, self.epochs, rng)
        for out, names in ((values, self.names), (charges[:, 2:], COSTS.values())):
            for i, name in enumerate(names):
                single = found.get(name, out[:, i])
                out[:, i] = np.where(np.isnan(single), out[:, i], single)
        return values, charges


_ledgers: WeakKeyDictionary[Benchmark, dict[int, Ledger]] = WeakKeyDictionary()


# -- what a run may spend ----

#: The limits of a run, by the names of `run`, and the sum of `Spent` that each limits.
LIMITS = {
    "evaluations": "evaluations",
    "max_energy_kwh": "energy_kwh",
    "max_epochs": "epochs",
    "max_time_s": "seconds",
}


@dataclass(frozen=True)
class Limits:
    """What a search may spend, by the names of `run`; None for a quantity without a limit.

    The rule: evaluations are made in the order in which they are asked for. The first one that
    would take the sum of any quantity past its limit is not made, and the run ends there, even if
    a cheaper one would still have fitted. It also ends when the method has evaluated every cell.

    Raises:
        ConfigError: no limit at all, or an impossible one.
    """

    evaluations: int | None = None
    """Trainings charged."""
    max_energy_kwh: float | None = None
    max_epochs: int | None = None
    max_time_s: float | None = None
    """Training time."""

    def __post_init__(self) -> None:
        given = {name: limit for name, limit in vars(self).items() if limit is not None}
        if not given:
            raise ConfigError(f"a search needs a limit: one of {', '.join(LIMITS)}")
        counts = {name: given.pop(name) for name in ("evaluations", "max_epochs") if name in given}
        check_counts(**counts)
        check_numbers(above=0, **given)

    @property
    def set(self) -> dict[str, float]:
        """The limits that are set, by the names of `Spent`."""
        return {LIMITS[name]: limit for name, limit in vars(self).items() if limit is not None}

    def fitting(self, sums: Floats) -> tuple[int, str]:
        """How many evaluations can be made, and the limit that ends the run then ("" if none).

        `sums` is (n, 5): what will have been spent after each, in the order of `QUANTITIES`.
        """
        fits, stopper = len(sums), ""
        for name, limit in self.set.items():
            spent = sums[:, QUANTITIES.index(name)]
            within = int(np.append(spent > limit, True).argmax())
            if within < fits or (not stopper and (spent[-1:] == limit).any()):
                fits, stopper = within, name
        return fits, stopper


# -- simulated workers ----


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
        self._number, self._whole = number, whole
        self._trace, self._defer = trace, defer
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
            if self._trace is not None:
                starts[i] = self._trace.start(self._defer, free, length)
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


# -- what a run has spent ----


class Trainings:
    """The account of one run: trainings made, their costs, and why the run ended.

    Without `charge_repeats` a cell that was trained before, at this budget or a larger one, is
    answered without a charge. With a generator as `noise` every training is drawn by it. `workers`
    say when each training starts.
    """

    def __init__(
        self,
        ledgers: Mapping[int, Ledger],
        limits: Limits,
        workers: Workers,
        *,
        charge_repeats: bool,
        noise: np.random.Generator | None,
    ) -> None:
        self._ledgers, self._limits, self._workers = ledgers, limits, workers
        self._charge_repeats, self._noise = charge_repeats, noise
        self._answers = np.random.default_rng(0)  # of evaluations that are not charged
        self._seen: dict[tuple[int, int], Floats] = {}  # by row and budget, to answer them
        cells = len(next(iter(ledgers.values())).complete)
        self._largest = np.zeros(cells, dtype=np.int64)  # budget at which each cell was trained
        self._most = cells * len(ledgers) * _MOST if limits.evaluations is None else np.inf
        # Rows, budgets and starts of each batch.
        self._parts: list[tuple[Rows, NDArray[np.int64], Floats]] = []
        self._spent = np.zeros(len(QUANTITIES))
        self._in_a_row = 0  # answers since the last training
        self.answered = 0
        """Evaluations answered without a charge."""
        self.ended_by = ""
        """The limit that ended the run, `cells` if none was left, or `repeats`; empty before."""

    def __len__(self) -> int:
        """Trainings charged so far."""
        return int(self._spent[0])

    def all(self) -> dict[str, NDArray[Any]]:
        """(n,) rows, epochs and starts (in s) of the trainings, n >= 1, as of `result_of`."""
        parts = map(np.concatenate, zip(*self._parts, strict=True))
        return dict(zip(("rows", "epochs", "starts"), parts, strict=True))

    def expected(self) -> int:
        """Number of trainings at the end: their limit, or an estimate from the share spent."""
        if self.ended_by:
            return len(self)
        spent = dict(zip(QUANTITIES, self._spent.tolist(), strict=True))
        share = max(spent[name] / limit for name, limit in self._limits.set.items())
        estimate = max(len(self), round(len(self) / share) if share else 0)
        return self._limits.evaluations or estimate

    def make(self, batch: Batch) -> tuple[Rows, Floats]:
        """Charge the evaluations of a batch until a limit is reached; an empty one ends the run.

        Returns:
            The rows that the method is told of, and their objectives as it sees them: with one
            worker those of the batch that are evaluated.

        Raises:
            ConfigError: the limits do not pay for a single training.
        """
        rows = np.array(batch.rows, dtype=np.int32)
        new = np.ones(len(rows), dtype=np.bool_)
        if not self._charge_repeats:
            first = np.unique(rows, return_index=True)[1]
            new[:] = False
            new[first] = self._largest[rows[first]] < batch.epochs
        seen, charges = self._evaluated(rows, batch.epochs, new)
        # One running sum over all batches, so that rounding does not depend on their sizes.
        sums = np.cumsum(np.concatenate([self._spent[None], charges]), axis=0)
        fits, self.ended_by = self._limits.fitting(sums[1:])
        self._spent = sums[fits]
        if not len(self):
            message = f"the limit of {self.ended_by} does not pay for one evaluation"
            raise ConfigError(message, value=self._limits.set[self.ended_by])
        rows, charged = rows[:fits], np.flatnonzero(new[:fits])
        trained, seconds = rows[charged], charges[charged, 2]
        np.maximum.at(self._largest, trained, batch.epochs)
        starts = self._workers.train(seconds)
        self._parts.append((trained, np.full(len(trained), batch.epochs), starts))
        ends = np.zeros(fits)
        ends[charged] = starts + seconds
        self.answered += fits - len(trained)
        self._in_a_row = fits - 1 - int(charged[-1]) if len(trained) else self._in_a_row + fits
        if not self.ended_by and (self._in_a_row >= _MOST or len(self) >= self._most):
            self.ended_by = "repeats"
        elif not len(new):
            self.ended_by = "cells"
        return self._workers.ended(rows, seen[:fits], ends)

    def _evaluated(self, rows: Rows, epochs: int, new: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """(n, m) objectives that a method sees, and (n, 5) costs, 0 of rows that are not new."""
        ledger = self._ledgers[epochs]
        seen, charges = ledger.objectives[rows], np.zeros((len(rows), len(QUANTITIES)))
        seen[new], charges[new] = ledger.trained(rows[new], self._noise)
        if self._noise is not None and not self._charge_repeats:
            for at in [*np.flatnonzero(new), *np.flatnonzero(~new)]:
                key = int(rows[at]), epochs
                if new[at]:
                    self._seen[key] = seen[at]
                elif key not in self._seen:  # trained at a larger budget only
                    self._seen[key] = ledger.trained(rows[[at]], self._answers)[0][0]
                seen[at] = self._seen[key]
        return seen, charges
