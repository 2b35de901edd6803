"""The loop that runs a method over a benchmark and counts what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import costs_of
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.carbon_trace import CarbonTrace
from naslib_ecnas.errors import ConfigError, UnknownCellError, check_counts, check_types
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.progress import listener
from naslib_ecnas.records import COSTS, Spent
from naslib_ecnas.search.accounting import Ledger, Limits, Trainings, Workers
from naslib_ecnas.search.base import Batch, Optimiser, Problem
from naslib_ecnas.search.methods import resolved
from naslib_ecnas.search.output import claimed, write
from naslib_ecnas.search.result import (
    SearchResult,
    check_noise,
    check_objectives,
    noise_of,
    result_of,
)
from naslib_ecnas.topologies import checked_rows


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

    Raises:
        ConfigError: an impossible setting, a folder that is not empty, or a limit that does not
            pay for one evaluation.
        UnknownMetricError: an objective is no metric of this benchmark.
        UnknownBudgetError: the benchmark does not have this budget.
        FormatError: the file is no carbon trace.
        StorageError: the folder cannot be written.
    """
    check_types(Benchmark, bench=bench)
    limits = Limits(evaluations, max_energy_kwh, max_epochs, max_time_s)
    kind, given, paper = _method(method, options, seed, paper)
    names = check_objectives(objectives)
    check_noise(bench, noise)
    budget = bench.budget(epochs)
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
    columns = bench.spent.columns
    optimiser = kind(problem, **({"paper": paper} if kind.has_paper_setting else {}), **given)
    noisy = noise_of(seed) if noise else None
    made = Trainings(ledgers, limits, crew, charge_repeats=charge_repeats, noise=noisy)
    report, task = listener(), f"searching {bench.name} with {kind.name}"
    with nullcontext() if out is None else claimed(out, overwrite=overwrite) as folder:
        try:
            while not made.ended_by:
                rows, seen = made.make(_batch(optimiser, first=not len(made)))
                if len(rows):
                    optimiser.tell(rows, costs_of(seen, names))
                report(task, len(made), made.expected(), unit="evaluations")
        finally:  # what was trained before an error has its cost, too
            if len(made):
                trained = made.all() if timed else {**made.all(), "starts": None}
                about: dict[str, Any] = {"objectives": names, "method": optimiser.name}
                about |= {"seed": int(seed), "budget": budget, "noise": noise, "workers": workers}
                about |= {"carbon_trace": carbon_trace, "defer": defer}
                result = result_of(bench, **trained, **about)
                bench.absorb(result.spent)
        about = {"paper": paper, "limits": limits.set, "options": given}
        config = replace(result.config, charge_repeats=charge_repeats, **about)
        # What a method with this benchmark at hand learnt without a training.
        spent = result.spent + Spent(columns=bench.spent.columns - columns)
        ended: dict[str, Any] = {"answered": made.answered, "ended_by": made.ended_by}
        ended |= {"skipped": optimiser.skipped, "config": config, "spent": spent}
        result = replace(result, **ended)
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
    method: str | type[Optimiser], *, seed: int, paper: bool = False, **limits: Any
) -> type[Optimiser]:
    """Check the arguments of `run` that do not depend on a table, before one is fetched.

    Returns:
        The class of the method.

    Raises:
        ConfigError: an unknown method or setting, or a number out of range.
    """
    Limits(**limits)
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
    try:
        rows = checked_rows(batch.rows, len(optimiser.space))
        allowed = optimiser.allowed(rows).all() and (len(rows) or not first)
    except UnknownCellError:
        allowed = False
    if not allowed or batch.epochs not in optimiser.budgets:
        message = f"the method {optimiser.name} proposed rows or a budget that it was not given"
        raise ConfigError(message, value=(batch.rows, batch.epochs))
    return Batch(rows, batch.epochs)
