"""The loop that runs a search method over a benchmark and counts what the search costs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.analysis import costs_of
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.accounting import (
    Ledger,
    Limits,
    Trainings,
    check_objectives,
    result_of,
)
from naslib_ecnas.search.base import Batch, Optimiser
from naslib_ecnas.search.methods import method_of
from naslib_ecnas.search.result import SearchResult, prepare, write
from naslib_ecnas.spent import COSTS

__all__ = ["check", "run"]


def run(
    bench: Benchmark,
    method: str | type[Optimiser],
    *,
    objectives: Sequence[str] = OBJECTIVES,
    epochs: int | None = None,
    evaluations: int | None = None,
    max_energy_kwh: float | None = None,
    max_epochs: int | None = None,
    max_time_s: float | None = None,
    charge_repeats: bool = True,
    seed: int,
    options: Mapping[str, Any] | None = None,
    out: str | PathLike[str] | None = None,
    overwrite: bool = False,
    paper: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> SearchResult:
    """Search a benchmark for the best trade-offs between objectives.

    How evaluations are charged, the same for every method: each evaluation that a method asks for
    is charged as a whole training at its budget, a repeated cell included. The values are the
    means over the table's repeats. A method may only propose cells that have a value in every
    objective, and a cost in every limited quantity, at each of its budgets, so no value is ever
    made up for a cell that a table lacks.

    What counts: only evaluations at the run's own budget enter the front, the hypervolume, the
    knee and the anytime curve. Evaluations at smaller budgets are charged what the table says
    that they cost.

    When it ends: the first evaluation that would take a sum past its limit is not made, and the
    run ends there (`Limits`).

    Args:
        bench: the benchmark; its own counter is increased when the run has ended.
        method: name of a method (`METHODS`), or a subclass of `Optimiser`.
        objectives: two or more metrics, each better in its own direction.
        epochs: the run's own training budget, the table's largest by default. A multi-fidelity
            method may use all budgets of the table up to it.
        evaluations: largest number of trainings to charge.
        max_energy_kwh: largest total energy of the trainings, in kWh.
        max_epochs: largest total number of epochs.
        max_time_s: largest total training time, in seconds. At least one of these four is needed.
        charge_repeats: False answers a cell that was trained before at this budget or a larger
            one without a charge; it is then no evaluation and not in the history. A method that
            asks for nothing new a thousand times in a row has ended.
        seed: seed of the only random generator; the same seed gives the same run, bit for bit.
        options: further settings of the method's class, by name.
        out: new or empty folder for `history.jsonl`, `front.json`, `spent.json` and
            `config.json`; None writes nothing.
        overwrite: replace the files of an earlier search in `out`.
        paper: behave like the published code where it departs from its paper.
        on_progress: called with the number of evaluations made and their number at the end, which
            is estimated from the share spent where it is not limited.

    Raises:
        ConfigError: an impossible setting, a folder that is not empty, or a limit that does not
            pay for one evaluation.
        UnknownMetricError: an objective is no metric of this benchmark.
        UnknownBudgetError: the benchmark does not have this budget.
        StorageError: the folder cannot be written.
    """
    limits = Limits(evaluations, max_epochs, max_time_s, max_energy_kwh)
    kind = _checked(method, seed, paper)
    names = check_objectives(objectives)
    budget = bench.budgets[-1] if epochs is None else epochs
    bench.values(names[0], budget)  # raises UnknownBudgetError
    ledger = Ledger.of(bench, names)
    ledger.scale(budget)  # raises where no cell has all objectives at this budget
    budgets = _budgets(bench, kind, ledger, budget)
    optimiser = _optimiser(
        kind,
        space=bench.space,
        rng=np.random.default_rng(seed),
        rows=_rows(ledger, limits, budgets),
        paper=paper,
        options={**(options or {}), **({"budgets": budgets} if kind.uses_budgets else {})},
    )
    folder = None if out is None else prepare(Path(out), overwrite=overwrite)

    made = Trainings(ledger, limits, charge_repeats=charge_repeats)
    try:
        while not made.ended_by:
            batch = _batch(optimiser, budgets)
            rows = made.make(batch)
            if len(rows):
                values = ledger.objectives(batch.epochs)[rows]
                optimiser.tell(rows, costs_of(values, names))
            if on_progress is not None and len(made):
                on_progress(len(made), made.expected())
    finally:
        made.charge(bench)

    result = result_of(
        bench,
        rows=made.rows,
        epochs=made.epochs,
        objectives=names,
        method=optimiser.name,
        seed=int(seed),
        budget=budget,
        paper=paper,
        limits=limits.set,
        charge_repeats=charge_repeats,
        options=options,
        skipped=optimiser.skipped,
        answered=made.answered,
        ended_by=made.ended_by,
    )
    if folder is not None:
        write(result, folder)
    return result


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
    return _checked(method, seed, paper)


def _checked(method: str | type[Optimiser], seed: int, paper: bool) -> type[Optimiser]:
    kind = method_of(method) if isinstance(method, str) else method
    if not isinstance(kind, type) or not issubclass(kind, Optimiser):
        raise ConfigError("the method must be a name or a subclass of Optimiser", value=method)
    check_counts(least=0, seed=seed)
    kind.check_paper(paper)
    return kind


def _budgets(
    bench: Benchmark, kind: type[Optimiser], ledger: Ledger, budget: int
) -> tuple[int, ...]:
    """The budgets of the run: its own, and the smaller ones for a method that uses them."""
    if not kind.uses_budgets:
        return (budget,)
    return tuple(
        b
        for b in bench.budgets
        # A budget at which no cell has all objectives would leave no cell to propose.
        if b == budget or (b < budget and not np.isnan(ledger.objectives(b)).any(axis=1).all())
    )


def _rows(ledger: Ledger, limits: Limits, budgets: Sequence[int]) -> np.ndarray[Any, Any]:
    """Rows with all objectives, and all limited costs, at each of the budgets."""
    known = np.ones(len(ledger.bench.space), dtype=np.bool_)
    for budget in budgets:
        known &= ~np.isnan(ledger.objectives(budget)).any(axis=1)
        for quantity in limits.set:
            if quantity in COSTS:
                known &= ~np.isnan(ledger.charge(quantity, budget))
    return np.flatnonzero(known)


def _optimiser(kind: type[Optimiser], *, options: Mapping[str, Any], **settings: Any) -> Optimiser:
    try:
        inspect.signature(kind).bind(**settings, **options)
    except TypeError as error:
        raise ConfigError(f"options of {kind.name} do not fit: {error}") from error
    return kind(**settings, **options)


def _batch(optimiser: Optimiser, budgets: Sequence[int]) -> Batch:
    """The method's next batch, checked."""
    answer = optimiser.ask()
    batch = answer if isinstance(answer, Batch) else Batch(answer, budgets[-1])
    if (
        batch.epochs not in budgets
        or not len(batch.rows)
        or not optimiser.allowed(batch.rows).all()
    ):
        raise ConfigError(
            f"the method {optimiser.name} proposed rows or a budget that it was not given",
            value=f"{batch.rows.tolist()} at {batch.epochs} epochs",
        )
    return batch
