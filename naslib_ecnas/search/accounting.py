"""What the evaluations of a search cost, when a search ends, and how its result is made.

`Limits` says what a search may spend, a `Ledger` looks up what trainings cost, `Trainings` keeps
the account of one run, and `result_of` turns a list of evaluations into a `SearchResult`.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import Scale
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, whole_numbers
from naslib_ecnas.metrics import metric
from naslib_ecnas.network import DERIVED
from naslib_ecnas.search.base import Batch, Floats, Rows
from naslib_ecnas.search.result import SearchConfig, SearchResult
from naslib_ecnas.spent import COSTS, Spent

__all__ = ["QUANTITIES", "Ledger", "Limits", "Trainings", "check_objectives", "result_of"]

#: The costs of a search that are added up, by the names of `Spent`.
QUANTITIES = ("evaluations", "epochs", *COSTS)

# What is kept of every evaluation besides the objectives, where the table holds it.
_DETAILS = (
    "energy_kwh",
    "validation_accuracy",
    "test_accuracy",
    "training_time_s",
    "co2_g",
    "parameters",
)

# Evaluations in a row that were answered without a charge, after which a run ends.
_MOST_REPEATS = 1000


@dataclass(frozen=True)
class Limits:
    """What a search may spend; None for a quantity without a limit.

    The rule: evaluations are made in the order in which they are asked for. The first one that
    would take the sum of any quantity past its limit is not made, and the run ends there, even if
    a cheaper one would still have fitted.

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
            raise ConfigError(
                "a search needs a limit: evaluations, max_energy_kwh, max_epochs or max_time_s"
            )
        counts = {"evaluations": self.evaluations, "max_epochs": self.epochs}
        check_counts(**{name: limit for name, limit in counts.items() if limit is not None})
        amounts = {"max_time_s": self.seconds, "max_energy_kwh": self.energy_kwh}
        sums: dict[str, Any] = {name: x for name, x in amounts.items() if x is not None}
        check_numbers(above=0, **sums)

    @property
    def set(self) -> dict[str, float]:
        """The limits that are set, by quantity."""
        return {name: limit for name, limit in vars(self).items() if limit is not None}

    def fitting(self, spent: Floats, charges: Floats) -> tuple[int, str]:
        """How many of the next evaluations can be made.

        Args:
            spent: (5,) what was spent so far, in the order of `QUANTITIES`.
            charges: (n, 5) what each of the next evaluations costs.

        Returns:
            Their number, and the quantity whose limit stops the next one ("" where none does).
        """
        sums = _running(spent, charges)
        fits, stopper = len(charges), ""
        for name, limit in self.set.items():
            over = sums[1:, QUANTITIES.index(name)] > limit
            first = int(over.argmax()) if over.any() else len(charges)
            if first < fits:
                fits, stopper = first, name
        return fits, stopper

    def share(self, spent: Floats) -> float:
        """Largest share of any limit that is spent, 0 to 1."""
        return max(float(spent[QUANTITIES.index(name)]) / limit for name, limit in self.set.items())


def _running(spent: Floats, charges: Floats) -> Floats:
    """(n + 1, 5) sums before and after each of n evaluations.

    Always one running sum, so that rounding does not depend on the sizes of the batches.
    """
    return np.cumsum(np.concatenate([spent[None], charges]), axis=0)


class Ledger:
    """What the trainings of a table at one budget yield and cost; each column is read once.

    Looking up a batch in it takes microseconds, and a search makes hundreds of batches.

    Args:
        bench: the benchmark; its own counter is not changed.
        names: the objectives.
        epochs: the budget.
    """

    def __init__(self, bench: Benchmark, names: Sequence[str], epochs: int) -> None:
        self.bench = bench
        self.names = tuple(names)
        self.epochs = epochs
        self._columns: dict[str, Floats] = {}

    @classmethod
    def of(cls, bench: Benchmark, names: Sequence[str], epochs: int) -> Ledger:
        """The ledger of a benchmark, shared by all searches with the same objectives."""
        kept, key = _ledgers.setdefault(bench, {}), tuple(names)
        if any(ledger.names != key for ledger in kept.values()):
            # Only one set of objectives is kept: the columns of a large table are megabytes.
            kept.clear()
        if epochs not in kept:
            # A benchmark of its own: one that refers to the key would keep it for ever.
            kept[epochs] = cls(Benchmark(bench.table), key, epochs)
        return kept[epochs]

    @cached_property
    def objectives(self) -> Floats:
        """(n_cells, m) objectives, NaN where the table has no training at this budget.

        Raises:
            UnknownMetricError: an objective is no metric of the table.
            UnknownBudgetError: the table does not have this budget.
        """
        values = np.column_stack([self.bench.values(name, self.epochs) for name in self.names])
        if all(name in DERIVED for name in self.names):
            # Derived metrics exist for every cell, but only a trained cell can be evaluated.
            held = [self.bench.values(name, self.epochs) for name in self.bench.metrics]
            values[np.isnan(held).all(axis=0)] = np.nan
        return values

    @cached_property
    def scale(self) -> Scale:
        """The scale of the table at this budget.

        Raises:
            ConfigError: no cell has all objectives.
        """
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

    def charges(self, rows: Rows) -> Floats:
        """(n, 5) cost of each training, in the order of `QUANTITIES`; NaN where not known."""
        out = np.empty((len(rows), len(QUANTITIES)))
        out[:, :2] = 1.0, self.epochs
        for i, name in enumerate(COSTS.values(), 2):
            out[:, i] = self.column(name)[rows]
        return out


_ledgers: WeakKeyDictionary[Benchmark, dict[int, Ledger]] = WeakKeyDictionary()


class Trainings:
    """The account of one run: trainings made, their costs, and why the run ended.

    Args:
        ledgers: what trainings cost, by budget.
        limits: what may be spent.
        charge_repeats: whether a cell trained before at this budget or a larger one is charged
            again; if not, it is answered without a charge.

    Attributes:
        answered: evaluations answered without a charge.
        ended_by: the limit that ended the run, or `repeats`; empty while the run goes on.
    """

    def __init__(
        self, ledgers: Mapping[int, Ledger], limits: Limits, *, charge_repeats: bool
    ) -> None:
        self._ledgers = ledgers
        self._limits = limits
        self._charge_repeats = charge_repeats
        cells = len(next(iter(ledgers.values())).bench.space)
        self._largest = np.zeros(cells, dtype=np.int64)  # budget at which each cell was trained
        self._parts: list[tuple[Rows, NDArray[np.int64]]] = []  # rows and budgets of each batch
        self._spent = np.zeros(len(QUANTITIES))
        self._made = self._in_a_row = 0
        self.answered = 0
        self.ended_by = ""

    def __len__(self) -> int:
        """Trainings charged so far."""
        return self._made

    @property
    def rows(self) -> Rows:
        """(n,) row of each training."""
        return np.concatenate([rows for rows, _ in self._parts])

    @property
    def epochs(self) -> NDArray[np.int64]:
        """(n,) budget of each training."""
        return np.concatenate([epochs for _, epochs in self._parts])

    def expected(self) -> int:
        """Number of trainings at the end: their limit, or an estimate from the share spent."""
        if self.ended_by:
            return self._made
        if self._limits.evaluations is not None:
            return self._limits.evaluations
        return max(self._made, round(self._made / self._limits.share(self._spent)))

    def make(self, batch: Batch) -> Rows:
        """Charge the evaluations of a batch until a limit is reached.

        Returns:
            (k,) the first rows of the batch, which are evaluated.

        Raises:
            ConfigError: the limits do not pay for a single training.
        """
        rows = np.array(batch.rows, dtype=np.int32)
        charges = self._ledgers[batch.epochs].charges(rows)
        new = np.ones(len(rows), dtype=np.bool_)
        if not self._charge_repeats:
            first = np.unique(rows, return_index=True)[1]
            new[:] = False
            new[first] = self._largest[rows[first]] < batch.epochs
            charges[~new] = 0.0
        fits, stopper = self._limits.fitting(self._spent, charges)
        rows, new = rows[:fits], new[:fits]
        self._spent = _running(self._spent, charges[:fits])[-1]
        trained = rows[new]
        self._largest[trained] = np.maximum(self._largest[trained], batch.epochs)
        self._made += len(trained)
        self.answered += len(rows) - len(trained)
        if len(trained):
            self._parts.append((trained, np.full(len(trained), batch.epochs)))
            self._in_a_row = len(rows) - 1 - int(np.flatnonzero(new)[-1])
        else:
            self._in_a_row += len(rows)
        if not self._made:
            message = f"the limit of {stopper} does not pay for one evaluation"
            raise ConfigError(message, value=self._limits.set[stopper])
        self.ended_by = stopper or self._exhausted()
        return rows

    def _exhausted(self) -> str:
        if self._made == self._limits.evaluations:
            return "evaluations"
        if self._limits.epochs is not None and self._spent[1] >= self._limits.epochs:
            return "epochs"
        return "repeats" if self._in_a_row >= _MOST_REPEATS else ""

    def charge(self, bench: Benchmark) -> None:
        """Add the trainings made to the benchmark's own counter."""
        for epochs in np.unique(self.epochs).tolist() if self._made else ():
            bench.query_many(self.rows[self.epochs == epochs], epochs)


def check_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """The objectives of a search as a tuple.

    Raises:
        ConfigError: they are not two or more different names.
        UnknownMetricError: one of them is no metric.
    """
    objectives = (names,) if isinstance(names, str) else tuple(names)
    for name in objectives:
        metric(name)
    if len(objectives) < 2 or len(set(objectives)) < len(objectives):
        raise ConfigError("objectives must be two or more different metrics", value=objectives)
    return objectives


def result_of(
    bench: Benchmark,
    *,
    rows: ArrayLike,
    epochs: ArrayLike,
    objectives: Sequence[str],
    method: str,
    seed: int,
    budget: int | None = None,
    paper: bool = False,
    limits: Mapping[str, float] | None = None,
    charge_repeats: bool = True,
    options: Mapping[str, object] | None = None,
    skipped: int = 0,
    answered: int = 0,
    ended_by: str = "evaluations",
) -> SearchResult:
    """The result of evaluations, made by a search of this package or by any other program.

    Args:
        bench: the benchmark; its counter is not changed.
        rows: (n,) row of each evaluation, in order, n >= 1.
        epochs: (n,) training budget of each.
        objectives: two or more metrics.
        method: name of the method, for the config.
        seed: seed of the run, for the config.
        budget: the run's own budget, whose evaluations make the front; by default the largest of
            `epochs`.
        paper, limits, charge_repeats, options: settings of the run, for the config.
        skipped, answered, ended_by: see `SearchResult`.

    Raises:
        ConfigError: nothing was evaluated, or the shapes do not fit.
        UnknownMetricError, UnknownBudgetError, UnknownCellError: the table does not hold it.
    """
    where = whole_numbers(rows)
    each = whole_numbers(epochs, "the epochs").astype(np.int64)
    if where.shape != each.shape or not len(where):
        shapes = (where.shape, each.shape)
        raise ConfigError("rows and epochs must have one shape (n,), n >= 1", value=shapes)
    bench.table.positions(where)
    where = where.astype(np.int32)
    names = check_objectives(objectives)
    own = int(each.max()) if budget is None else budget
    bench.values(names[0], own)  # raises UnknownBudgetError

    values = np.empty((len(where), len(names)))
    charges = np.empty((len(where), len(QUANTITIES)))
    held = [name for name in _DETAILS if name in bench.metrics]
    details = {name: np.empty(len(where)) for name in held}
    for at_budget in np.unique(each).tolist():
        at, ledger = each == at_budget, Ledger.of(bench, names, at_budget)
        values[at] = ledger.objectives[where[at]]
        charges[at] = ledger.charges(where[at])
        for name in held:
            details[name][at] = ledger.column(name)[where[at]]
    details |= {n: DERIVED[n](where).astype(np.float64) for n in _DETAILS if n in DERIVED}
    origin = bench.provenance
    config = SearchConfig(
        method=method,
        paper=paper,
        table=bench.name,
        checksum=bench.table.checksum,
        vertices=bench.space.vertices,
        objectives=names,
        epochs=own,
        evaluations=len(where),
        seed=seed,
        provenance={name: origin[name] for name in names},
        versions={
            **{name: version(name) for name in ("naslib-ecnas", "moocore", "numpy")},
            "python": platform.python_version(),
        },
        limits=dict(limits or {"evaluations": len(where)}),
        charge_repeats=charge_repeats,
        options=dict(options or {}),
    )
    return SearchResult(
        config=config,
        rows=where,
        epochs=each,
        values=values,
        details=details,
        cumulative=dict(zip(QUANTITIES, np.cumsum(charges, axis=0).T, strict=True)),
        spent=Spent.of(each, dict(zip(COSTS, charges.T[2:], strict=True))),
        scale=Ledger.of(bench, names, own).scale,
        skipped=skipped,
        answered=answered,
        ended_by=ended_by,
    )
