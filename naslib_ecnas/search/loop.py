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
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.search.accounting import CHARGED, DETAILS, Ledger, Limits, Trainings, result_of
from naslib_ecnas.search.base import Batch, Optimiser
from naslib_ecnas.search.methods import method_of
from naslib_ecnas.search.result import SearchResult, prepare, write

__all__ = ["DETAILS", "check", "run"]


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

    The rule of charging, the same for every method: each evaluation that a method asks for is
    charged as a whole training at its budget, a cell that comes again included. The values are
    the means over the table's repeats. A method is only let loose on the cells that have a value
    in every objective, and a cost in every quantity that is limited, at each of its budgets, so
    nothing is ever made up for a cell that a table lacks.

    The rule of fidelities: only evaluations at the run's own budget enter the front, the
    hypervolume, the knee and the anytime curve. Smaller budgets are charged at what the table
    says that they cost.

    The rule of ending: the first evaluation that would take a sum past its limit is not made, and
    the run ends there (`Limits`).

    Args:
        bench: the benchmark; its own counter goes on counting when the run has ended.
        method: name of a method (`METHODS`), or a class of one's own.
        objectives: two or more metrics, each better in its own direction.
        epochs: the run's own training budget, the table's largest by default. A method of several
            fidelities has all budgets of the table up to it.
        evaluations: most trainings to charge the search for.
        max_energy_kwh: most energy of all trainings, in kWh.
        max_epochs: most epochs of all trainings.
        max_time_s: most time of all trainings, in seconds. At least one of the four is needed.
        charge_repeats: False answers a cell that was trained before at this budget or a larger
            one without a charge; it is then no evaluation and not in the history. A method that
            asks for nothing new a thousand times in a row has ended.
        seed: of the one random generator; the same seed gives the same run, bit for bit.
        options: further settings of the method's class, by name.
        out: new or empty folder for `history.jsonl`, `front.json`, `spent.json` and
            `config.json`; None writes nothing.
        overwrite: replace the files of an earlier search in `out`.
        paper: the method as published code has it, where that departs from its paper.
        on_progress: called with the evaluations made and the evaluations in all, the latter
            estimated from the share spent where their number is not limited.

    Raises:
        ConfigError: a setting that is not possible, a folder that is not empty, or a limit that
            does not pay for one evaluation.
        UnknownMetricError: an objective is no metric of this benchmark.
        UnknownBudgetError: the benchmark does not have this budget.
        StorageError: the folder cannot be written.
    """
    limits = Limits(evaluations, max_epochs, max_time_s, max_energy_kwh)
    kind = _checked(method, seed, paper)
    names = _objectives(objectives)
    budget = bench.budgets[-1] if epochs is None else epochs
    bench.values(names[0], budget)  # refuses what is no budget at all
    ledger = Ledger.of(bench, names)
    ledger.scale(budget)  # refuses objectives and a budget that are not there
    budgets = _budgets(bench, kind, ledger, budget)
    optimiser = _made(
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
        seed=seed,
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
    """Refuse what no table could make possible, before one is fetched for it.

    Returns:
        The class of the method.

    Raises:
        ConfigError: there is no such method or setting, or a number is out of range.
    """
    Limits(evaluations, max_epochs, max_time_s, max_energy_kwh)
    return _checked(method, seed, paper)


def _checked(method: str | type[Optimiser], seed: int, paper: bool) -> type[Optimiser]:
    own = isinstance(method, type) and issubclass(method, Optimiser)
    if not own and not isinstance(method, str):
        raise ConfigError(
            "no search method",
            value=method,
            expected="a method's name, or a subclass of Optimiser",
            remedy="see naslib_ecnas.search.METHODS",
        )
    kind = method_of(method) if isinstance(method, str) else method
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(
            "no possible seed",
            value=seed,
            expected="a whole number of at least 0",
            remedy="choose a number in this range",
        )
    kind.check_paper(paper)
    return kind


def _objectives(names: Sequence[str]) -> tuple[str, ...]:
    wanted = (names,) if isinstance(names, str) else tuple(names)
    for name in wanted:
        metric(name)
    if len(wanted) < 2 or len(set(wanted)) < len(wanted):
        raise ConfigError(
            "a multi-objective search needs objectives",
            value=wanted,
            expected="two or more different metrics",
            remedy="such as energy_kwh and validation_accuracy",
        )
    return wanted


def _budgets(
    bench: Benchmark, kind: type[Optimiser], ledger: Ledger, budget: int
) -> tuple[int, ...]:
    """The budgets of the run: its own, and the smaller ones for a method that uses them."""
    if not kind.uses_budgets:
        return (budget,)
    return tuple(
        b
        for b in bench.budgets
        # A budget at which no cell has all objectives would leave nothing to propose.
        if b == budget or (b < budget and not np.isnan(ledger.objectives(b)).any(axis=1).all())
    )


def _rows(ledger: Ledger, limits: Limits, budgets: Sequence[int]) -> np.ndarray[Any, Any]:
    """Rows with all objectives, and all limited costs, at each budget."""
    known = np.ones(len(ledger.bench.space), dtype=np.bool_)
    for budget in budgets:
        known &= ~np.isnan(ledger.objectives(budget)).any(axis=1)
        for quantity in limits.set:
            if quantity in CHARGED:
                known &= ~np.isnan(ledger.charge(quantity, budget))
    return np.flatnonzero(known)


def _made(kind: type[Optimiser], *, options: Mapping[str, Any], **settings: Any) -> Optimiser:
    try:
        inspect.signature(kind).bind(**settings, **options)
    except TypeError as error:
        raise ConfigError(
            f"the method {kind.name} cannot be made so ({error})",
            value=dict(options),
            expected="settings that its class has",
            remedy="leave the option out",
        ) from error
    return kind(**settings, **options)


def _batch(optimiser: Optimiser, budgets: Sequence[int]) -> Batch:
    """What the method asks for, checked."""
    answer = optimiser.ask()
    batch = answer if isinstance(answer, Batch) else Batch(answer, budgets[-1])
    if (
        batch.epochs not in budgets
        or not len(batch.rows)
        or not optimiser.allowed(batch.rows).all()
    ):
        raise ConfigError(
            f"the method {optimiser.name} proposed what it was not allowed to",
            value=f"{batch.rows.tolist()} at {batch.epochs} epochs",
            expected="at least one row, all of them among those it was given, at one of its "
            "budgets",
            remedy="propose rows that Optimiser.allowed accepts",
        )
    return batch
