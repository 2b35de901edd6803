"""What the evaluations of a search give and cost, read from a table."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import Scale
from naslib_ecnas.benchmark import DERIVED, Benchmark
from naslib_ecnas.errors import ConfigError, UnknownMetricError, whole_numbers
from naslib_ecnas.search.base import Batch
from naslib_ecnas.search.result import SearchConfig, SearchResult
from naslib_ecnas.spent import COSTS, Spent

__all__ = ["CHARGED", "DETAILS", "QUANTITIES", "Ledger", "Limits", "Trainings", "result_of"]


# When a search ends: what it may spend on trainings.


#: What is counted of a search, by the names of `Spent`.
QUANTITIES = ("evaluations", "epochs", "seconds", "energy_kwh", "co2_g")


@dataclass(frozen=True)
class Limits:
    """What a search may spend; None where it does not matter.

    The rule: evaluations are made in the order in which they are asked for. The first one that
    would take the sum of any quantity past its limit is not made, and the run ends there, even if
    a cheaper one would still have fitted.

    Raises:
        ConfigError: no limit at all, or one that is not possible.
    """

    evaluations: int | None = None
    """Trainings charged."""
    epochs: int | None = None
    seconds: float | None = None
    """Training time."""
    energy_kwh: float | None = None

    def __post_init__(self) -> None:
        for name, option in (("evaluations", "evaluations"), ("epochs", "max_epochs")):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or value < 1
            ):
                raise _impossible(option, value, "a whole number of at least 1")
        for name, option in (("seconds", "max_time_s"), ("energy_kwh", "max_energy_kwh")):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not 0 < value < math.inf
            ):
                raise _impossible(option, value, "a finite number above 0")
        if not self.set:
            raise ConfigError(
                "a search without an end",
                expected="evaluations, max_energy_kwh, max_epochs or max_time_s",
                remedy="set at least one of them",
            )

    @property
    def set(self) -> dict[str, float]:
        """The limits there are, by quantity."""
        named = {name: getattr(self, name, None) for name in QUANTITIES}
        return {name: value for name, value in named.items() if value is not None}

    def fitting(self, spent: NDArray[np.float64], charges: NDArray[np.float64]) -> tuple[int, str]:
        """How many of the next evaluations can be made.

        Args:
            spent: (5,) what was spent so far, in the order of `QUANTITIES`.
            charges: (n, 5) what each of the next evaluations costs.

        Returns:
            Their number, and the quantity that stops the next one ("" where none does).
        """
        # One long sum, so that it does not depend on how the evaluations came in batches.
        sums = np.cumsum(np.concatenate([spent[None], charges]), axis=0)[1:]
        fits, stopper = len(charges), ""
        for name, limit in self.set.items():
            over = sums[:, QUANTITIES.index(name)] > limit
            first = int(over.argmax()) if over.any() else len(charges)
            if first < fits:
                fits, stopper = first, name
        return fits, stopper

    def share(self, spent: NDArray[np.float64]) -> float:
        """Largest share of a limit that is spent, 0 to 1."""
        return max(float(spent[QUANTITIES.index(name)]) / limit for name, limit in self.set.items())


def _impossible(option: str, value: object, expected: str) -> ConfigError:
    return ConfigError(
        f"no possible {option}",
        value=value,
        expected=expected,
        remedy="choose a number in this range",
    )


#: The metric behind each quantity that a training is charged for.
CHARGED = {"seconds": "training_time_s", "energy_kwh": "energy_kwh", "co2_g": "co2_g"}


class Ledger:
    """Columns of a table over its whole space, each read once.

    Looking up a batch in them costs microseconds, and a search makes hundreds of batches.

    Args:
        bench: the benchmark; its own counter is not touched.
        names: the objectives.
    """

    def __init__(self, bench: Benchmark, names: Sequence[str]) -> None:
        self.bench = bench
        self.names = tuple(names)
        self._objectives: dict[int, NDArray[np.float64]] = {}
        self._columns: dict[tuple[str, int], NDArray[np.float64]] = {}
        self._charges: dict[tuple[str, int], NDArray[np.float64]] = {}
        self._scales: dict[int, Scale] = {}

    @classmethod
    def of(cls, bench: Benchmark, names: Sequence[str]) -> Ledger:
        """The ledger of a benchmark, the same one for each search of the same objectives."""
        key = tuple(names)
        kept = _ledgers.setdefault(bench, {})
        if key not in kept:
            # One set of objectives at a time: the columns of a large table are megabytes.
            kept.clear()
            kept[key] = cls(_Unowned(bench), key)
        return kept[key]

    def objectives(self, epochs: int) -> NDArray[np.float64]:
        """(n_cells, m) objectives, NaN where the table has no training at this budget.

        Raises:
            UnknownMetricError: an objective is no metric of the table.
            UnknownBudgetError: the table does not have this budget.
        """
        if epochs not in self._objectives:
            bench = self.bench
            values = np.column_stack([bench.values(name, epochs) for name in self.names])
            if all(name in DERIVED for name in self.names):
                # These follow from the cell alone, but only a cell that was trained can be
                # evaluated.
                trained = np.zeros(len(values), dtype=np.bool_)
                for name in bench.metrics:
                    trained |= ~np.isnan(bench.values(name, epochs))
                values[~trained] = np.nan
            self._objectives[epochs] = values
        return self._objectives[epochs]

    def scale(self, epochs: int) -> Scale:
        """The yardstick of the table at a budget."""
        if epochs not in self._scales:
            self._scales[epochs] = Scale.of(self.objectives(epochs), self.names)
        return self._scales[epochs]

    def detail(
        self, name: str, rows: NDArray[np.int32], epochs: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(n,) a metric of each evaluation.

        Raises:
            UnknownMetricError: the table does not hold it.
        """
        if name in DERIVED:
            return DERIVED[name](rows).astype(np.float64)
        out = np.empty(len(rows))
        for budget in np.unique(epochs).tolist():
            at = epochs == budget
            out[at] = self._column(name, budget)[rows[at]]
        return out

    def charges(self, rows: NDArray[np.int32], epochs: int) -> NDArray[np.float64]:
        """(n, 5) what each training costs, in the order of `QUANTITIES`; NaN where not known."""
        out = np.empty((len(rows), len(QUANTITIES)))
        for i, quantity in enumerate(QUANTITIES):
            if quantity in CHARGED:
                out[:, i] = self.charge(quantity, epochs)[rows]
            else:
                out[:, i] = epochs if quantity == "epochs" else 1.0
        return out

    def charge(self, quantity: str, epochs: int) -> NDArray[np.float64]:
        """(n_cells,) what a training of each cell costs; NaN where the table does not say."""
        if (quantity, epochs) not in self._charges:
            try:
                column = self._column(CHARGED[quantity], epochs)
            except UnknownMetricError:
                column = np.broadcast_to(np.nan, len(self.bench.space))
            self._charges[quantity, epochs] = column
        return self._charges[quantity, epochs]

    def _column(self, name: str, epochs: int) -> NDArray[np.float64]:
        if (name, epochs) not in self._columns:
            self._columns[name, epochs] = self.bench.values(name, epochs)
        return self._columns[name, epochs]


class _Unowned(Benchmark):
    """The same table behind a counter of its own, so that a kept ledger holds no benchmark."""

    def __init__(self, bench: Benchmark) -> None:
        super().__init__(bench.table)


_ledgers: WeakKeyDictionary[Benchmark, dict[tuple[str, ...], Ledger]] = WeakKeyDictionary()


# The trainings that a search has made so far, what they cost, and why there are no more.


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


# From the evaluations of a search to its result: values, costs, front, all read from the table.


#: What is kept of every evaluation besides the objectives, where the table holds it.
DETAILS = (
    "energy_kwh",
    "validation_accuracy",
    "test_accuracy",
    "training_time_s",
    "co2_g",
    "parameters",
)


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
    """The result of evaluations that were made, whoever made them.

    Args:
        bench: the benchmark; its counter is not touched.
        rows: (n,) row of each evaluation, in order, n >= 1.
        epochs: (n,) training budget of each.
        objectives: two or more metrics.
        method: what made them, for the record.
        seed: of the run, for the record.
        budget: the run's own budget, whose evaluations make the front; the largest of `epochs`
            where left out.
        paper, limits, charge_repeats, options: settings of the run, for the record.
        skipped, answered, ended_by: see `SearchResult`.

    Raises:
        ConfigError: nothing was evaluated, or the shapes do not fit.
        UnknownMetricError, UnknownBudgetError, UnknownCellError: the table does not hold it.
    """
    where = whole_numbers(rows)
    each = whole_numbers(epochs, "the epochs").astype(np.int64)
    if where.shape != each.shape or not len(where):
        raise ConfigError(
            "no evaluations to make a result of",
            value=(where.shape, each.shape),
            expected="rows and epochs of one shape (n,), n >= 1",
            remedy="evaluate a cell",
        )
    bench.table.positions(where)
    where = where.astype(np.int32)
    names = tuple(objectives)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            "a result needs objectives",
            value=names,
            expected="two or more different metrics",
            remedy="such as energy_kwh and validation_accuracy",
        )
    if budget is not None:
        bench.values(names[0], budget)  # refuses what is no budget
    ledger = Ledger.of(bench, names)
    own = int(each.max()) if budget is None else budget
    budgets = np.unique(each).tolist()
    values = np.empty((len(where), len(names)))
    charges = np.empty((len(where), len(QUANTITIES)))
    for at_budget in budgets:
        at = each == at_budget
        values[at] = ledger.objectives(at_budget)[where[at]]
        charges[at] = ledger.charges(where[at], at_budget)
    cumulative = dict(zip(QUANTITIES, np.cumsum(charges, axis=0).T, strict=True))
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
            "naslib-ecnas": version("naslib-ecnas"),
            "moocore": version("moocore"),
            "numpy": version("numpy"),
            "python": platform.python_version(),
        },
        limits=dict(limits or {"evaluations": len(where)}),
        charge_repeats=charge_repeats,
        options=dict(options or {}),
    )
    return SearchResult.of(
        config,
        rows=where,
        epochs=each,
        values=values,
        details=_details(ledger, where, each),
        cumulative=cumulative,
        spent=Spent.of(each, {name: charges[:, QUANTITIES.index(name)] for name in COSTS}),
        scale=ledger.scale(own),
        skipped=skipped,
        answered=answered,
        ended_by=ended_by,
    )


def _details(
    ledger: Ledger, rows: NDArray[np.int32], epochs: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    out = {}
    for name in DETAILS:
        try:
            out[name] = ledger.detail(name, rows, epochs)
        except UnknownMetricError:  # a table need not hold them all
            continue
    return out
