"""The loop that runs a method over a benchmark and counts what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import costs_of
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.carbon_trace import CarbonTrace
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, check_types
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.progress import Progress, silent
from naslib_ecnas.records import COSTS, Spent
from naslib_ecnas.search.base import Batch, Floats, Optimiser, Problem, Rows
from naslib_ecnas.search.methods import resolved
from naslib_ecnas.search.output import claimed, write
from naslib_ecnas.search.result import (
    QUANTITIES,
    Ledger,
    SearchResult,
    check_noise,
    check_objectives,
    noise_of,
    result_of,
)
from naslib_ecnas.search.workers import Workers

# A run ends after so many answers in a row without a charge. If their number has no limit, it also
# ends after a mean of so many trainings of each cell at each budget: they may cost next to nothing.
_MOST = 1000

# -- what a run may spend, and what it has spent ----


@dataclass(frozen=True)
class Limits:
    """What a search may spend; None for a quantity without a limit.

    The rule: evaluations are made in the order in which they are asked for. The first one that
    would take the sum of any quantity past its limit is not made, and the run ends there, even if
    a cheaper one would still have fitted. It also ends when the method has evaluated every cell.

    Raises:
        ConfigError: no limit at all, or an impossible one.
    """

    evaluations: int | None = None
    """Trainings charged."""
    epochs: int | None = None
    seconds: float | None = None
    """Training time."""
    energy_kwh: float | None = None

    def __post_init__(self) -> None:
        if not self.set:
            limits = "evaluations, max_energy_kwh, max_epochs or max_time_s"
            raise ConfigError(f"a search needs a limit: {limits}")
        check_counts(**_given(evaluations=self.evaluations, max_epochs=self.epochs))
        check_numbers(above=0, **_given(max_time_s=self.seconds, max_energy_kwh=self.energy_kwh))

    @property
    def set(self) -> dict[str, float]:
        """The limits that are set, by quantity."""
        return _given(**vars(self))

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


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


class Trainings:
    """The account of one run: trainings made, their costs, and why the run ended.

    Without `charge_repeats` a cell that was trained before, at this budget or a larger one, is
    answered without a charge. With a generator as `noise` every training is drawn by it. `workers`
    say when each training starts, and have the carbon trace that emissions follow, if any.
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
        # Rows, budgets, costs and starts of each batch.
        self._parts: list[tuple[Rows, NDArray[np.int64], Floats, Floats]] = []
        self._spent = np.zeros(len(QUANTITIES))
        self._in_a_row = 0  # answers since the last training
        self.answered = 0
        """Evaluations answered without a charge."""
        self.ended_by = ""
        """The limit that ended the run, `cells` if none was left, or `repeats`; empty before."""

    def __len__(self) -> int:
        """Trainings charged so far."""
        return int(self._spent[0])

    def all(self) -> tuple[Rows, NDArray[np.int64], Floats, Floats]:
        """(n,) row, (n,) budget, (n, 5) costs and (n,) start in s of each training, n >= 1."""
        rows, epochs, charges, starts = map(np.concatenate, zip(*self._parts, strict=True))
        return rows, epochs, charges, starts

    @property
    def spent(self) -> Spent:
        """What the trainings cost."""
        if not len(self):
            return Spent()
        _, epochs, charges, _ = self.all()
        return Spent.of(epochs, dict(zip(COSTS, charges.T[2:], strict=True)))

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
        trained, charges = rows[charged], charges[charged]
        np.maximum.at(self._largest, trained, batch.epochs)
        starts, trace = self._workers.train(charges[:, 2]), self._workers.trace
        if trace is not None:
            charges[:, 4] = charges[:, 3] * trace.intensity(starts, charges[:, 2])
        self._parts.append((trained, np.full(len(trained), batch.epochs), charges, starts))
        ends = np.zeros(fits)
        ends[charged] = starts + charges[:, 2]
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


# -- the loop ----


def run(
    bench: Benchmark,
    method: str | type[Optimiser] = "ehvi",
    *,
    objectives: Sequence[str] = OBJECTIVES,
    epochs: int | None = None,
    evaluations: int | None = None,
    max_energy_kwh: float | None = None,
    max_epochs: int | None = None,
    max_time_s: float | None = None,
    charge_repeats: bool = True,
    noise: bool = False,
    seed: int,
    options: Mapping[str, Any] | None = None,
    out: str | PathLike[str] | None = None,
    overwrite: bool = False,
    paper: bool = False,
    workers: int = 1,
    carbon_trace: CarbonTrace | str | PathLike[str] | None = None,
    defer: str = "now",
    progress: Progress | None = None,
) -> SearchResult:
    """Search a benchmark for the best trade-offs between objectives.

    Every evaluation that a method asks for is charged as a whole training at its budget, a
    repeated cell included, until a limit is reached (`Limits`). The values are the means over the
    table's repeats. A method may only propose cells that have a value in every objective, and a
    cost in every limited quantity, at each of its budgets.

    Args:
        bench: the benchmark; its own counter is increased when the run has ended.
        method: name of a method, `semoa:population=20` with settings of its class, `module:Class`,
            or a subclass of `Optimiser`; by default `Ehvi`.
        objectives: two or more metrics, each better in its own direction.
        epochs: the run's own training budget, the table's largest by default. A multi-fidelity
            method may use all budgets of the table up to it.
        evaluations, max_energy_kwh, max_epochs, max_time_s: limits on the number, the energy, the
            epochs and the time of all trainings charged. At least one of them is needed.
        charge_repeats: False answers a cell that was trained before at this budget or a larger
            one without a charge, and leaves it out of the history. A run then also ends when a
            method asks for nothing new a thousand times in a row.
        noise: evaluate by single trainings, drawn from the table's repeats or its model of noise,
            some of which fail, instead of means. The costs are theirs, too; what was found is
            measured by the means.
        seed: seed of the method's random generator and of the noise; the same seed gives the same
            run, bit for bit.
        options: further settings of the method's class, by name.
        out: new or empty folder for the files of `naslib_ecnas.search.output.write`, or None.
        overwrite: replace the files of an earlier search in `out`.
        paper: behave like the published code where it departs from its paper.
        workers: how many trainings run at a time, in simulated time (`Workers`). Evaluations are
            in the order in which they were begun.
        carbon_trace: hourly carbon intensity from the start of the run on, by which emissions are
            counted: a trace, a CSV file (`CarbonTrace.read`), or `"california-2022"`.
        defer: when a training starts: `"now"`, as soon as a worker is free; `"below-mean"`, in an
            hour whose intensity is not above the trace's mean; or `"cheapest-window"`, when it
            emits least within a day.
        progress: receives the number of evaluations made; their number at the end is estimated
            from the share spent where it is not limited.

    Raises:
        ConfigError: an impossible setting, a folder that is not empty, or a limit that does not
            pay for one evaluation.
        UnknownMetricError: an objective is no metric of this benchmark.
        UnknownBudgetError: the benchmark does not have this budget.
        FormatError: the file is no carbon trace.
        StorageError: the folder cannot be written.
    """
    check_types(Benchmark, bench=bench)
    limits = Limits(evaluations, max_epochs, max_time_s, max_energy_kwh)
    kind, given, paper = _method(method, options, seed, paper)
    names = check_objectives(objectives)
    check_noise(bench, noise)
    budget = bench.budgets[-1] if epochs is None else epochs
    bench.values(names[0], budget)  # raises UnknownBudgetError
    smaller = [b for b in bench.budgets if b < budget] if kind.uses_budgets else []
    ledgers = {b: Ledger.of(bench, names, b) for b in (*smaller, budget)}
    # A smaller budget at which no cell has all objectives would leave no cell to propose.
    ledgers = {b: ledger for b, ledger in ledgers.items() if ledger.complete.any()}
    if budget not in ledgers:
        raise ConfigError(f"no cell of {bench.name} has {', '.join(names)} at {budget} epochs")
    if carbon_trace is not None and not isinstance(carbon_trace, CarbonTrace):
        carbon_trace = CarbonTrace.read(carbon_trace)
    # The costs that a method is told have no budget: they are at the one last asked for.
    whole = kind.uses_budgets or not kind.asynchronous
    crew = Workers(workers, whole=whole, trace=carbon_trace, defer=defer)
    timed = workers > 1 or carbon_trace is not None
    needed = [*limits.set] + ["seconds"] * timed + ["energy_kwh"] * (carbon_trace is not None)
    known = _chargeable(bench, ledgers, [name for name in COSTS if name in needed])
    rng = np.random.default_rng(seed)
    problem = Problem(bench.space, rng, rows=np.flatnonzero(known), budgets=tuple(ledgers))
    optimiser = kind(problem, **({"paper": paper} if kind.has_paper_setting else {}), **given)
    noisy = noise_of(seed) if noise else None
    made = Trainings(ledgers, limits, crew, charge_repeats=charge_repeats, noise=noisy)
    shown, task = progress or silent, f"searching {bench.name} with {kind.name}"
    with claimed(out, overwrite=overwrite) as folder:
        try:
            while not made.ended_by:
                rows, seen = made.make(_batch(optimiser, first=not len(made)))
                if len(rows):
                    optimiser.tell(rows, costs_of(seen, names))
                shown(task, len(made), made.expected(), unit="evaluations")
        finally:
            bench.absorb(made.spent)
        rows, each, _, starts = made.all()
        result = result_of(
            bench,
            rows=rows,
            epochs=each,
            objectives=names,
            method=optimiser.name,
            seed=int(seed),
            budget=budget,
            noise=noise,
            workers=workers,
            starts=starts if timed else None,
            carbon_trace=carbon_trace,
            defer=defer,
        )
        about: dict[str, Any] = {"paper": paper, "limits": limits.set, "options": given}
        config = replace(result.config, charge_repeats=charge_repeats, **about)
        ended: dict[str, Any] = {"answered": made.answered, "ended_by": made.ended_by}
        result = replace(result, config=config, skipped=optimiser.skipped, **ended)
        if folder is not None:
            write(result, folder)
        return result


def _chargeable(
    bench: Benchmark, ledgers: Mapping[int, Ledger], quantities: Sequence[str]
) -> NDArray[np.bool_]:
    """(n_cells,) mask of the cells with all objectives, and costs above 0 in some quantities, at
    each budget; ConfigError if there is none."""
    known = np.all([ledger.complete for ledger in ledgers.values()], axis=0)
    for name in quantities:
        for ledger in ledgers.values():
            known &= ledger.column(COSTS[name]) > 0  # a sum of zeros never reaches a limit
        if not known.any():
            at = ", ".join(map(str, ledgers))
            message = f"no cell of {bench.name} has a known {COSTS[name]} above 0 at {at} epochs"
            raise ConfigError(f"{message}, which limits or times this search")
    return np.asarray(known)


def check(
    method: str | type[Optimiser],
    *,
    evaluations: int | None = None,
    max_energy_kwh: float | None = None,
    max_epochs: int | None = None,
    max_time_s: float | None = None,
    seed: int,
    paper: bool = False,
) -> type[Optimiser]:
    """Check the arguments of `run` that do not depend on a table, before one is fetched.

    Returns:
        The class of the method.

    Raises:
        ConfigError: an unknown method or setting, or a number out of range.
    """
    Limits(evaluations, max_epochs, max_time_s, max_energy_kwh)
    return _method(method, None, seed, paper)[0]


def _method(
    method: str | type[Optimiser], options: Mapping[str, Any] | None, seed: int, paper: bool
) -> tuple[type[Optimiser], dict[str, Any], bool]:
    """The class of a method, its settings, and whether it behaves like the published code."""
    kind, given = resolved(method, options)
    check_counts(least=0, seed=seed)
    if kind.has_paper_setting:
        paper = bool(given.pop("paper", paper))
    elif paper:
        raise ConfigError(f"the method {kind.name} has no paper setting")
    return kind, given, paper


def _batch(optimiser: Optimiser, *, first: bool) -> Batch:
    """The method's next batch, checked; only the first may not be empty."""
    answer = optimiser.ask()
    batch = answer if isinstance(answer, Batch) else Batch(answer, optimiser.budgets[-1])
    allowed = optimiser.allowed(batch.rows).all() and (len(batch.rows) or not first)
    if not allowed or batch.epochs not in optimiser.budgets:
        message = f"the method {optimiser.name} proposed rows or a budget that it was not given"
        raise ConfigError(message, value=f"{batch.rows.tolist()} at {batch.epochs} epochs")
    return batch
