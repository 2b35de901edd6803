"""The result of a search (`SearchResult`), made of evaluations and a table by `result_of`."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import (
    Scale,
    anytime,
    checkpoints,
    costs_of,
    extremes,
    knee,
    nondominated,
)
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.carbon_trace import CarbonTrace
from naslib_ecnas.errors import ConfigError, check_counts, check_types, floats, whole_numbers
from naslib_ecnas.metrics import metric
from naslib_ecnas.network import DERIVED
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.records import COSTS, Spent
from naslib_ecnas.search.accounting import DETAILS, QUANTITIES, Ledger
from naslib_ecnas.search.base import Floats, Rows


@dataclass(frozen=True)
class SearchConfig:
    """All settings of a run: the same settings give the same run, bit for bit."""

    method: str
    paper: bool
    table: str
    checksum: str
    """SHA-256 of the table's content."""
    table_version: str | None
    """Version of a modelled table; None if it has none."""
    vertices: int
    objectives: tuple[str, ...]
    epochs: int
    """The run's own training budget: evaluations at it make the front."""
    evaluations: int
    """Number of evaluations made and charged."""
    seed: int
    provenance: Mapping[str, Provenance]
    """Origin of each objective's values."""
    versions: Mapping[str, str]
    """Versions of this package, numpy, scipy, moocore and Python."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """What the run was allowed to spend, by the names of `Spent`."""
    charge_repeats: bool = True
    """Whether a cell that came again was charged again."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Settings of the method that differ from its defaults."""
    noise: bool = False
    """Whether the method saw single noisy trainings instead of means."""
    workers: int = 1
    """How many trainings ran at a time, in simulated time."""
    carbon: Mapping[str, object] = field(default_factory=dict)
    """Carbon trace by which emissions are counted, and the rule of deferral; empty without one."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A finished search. Evaluations are numbered from 0, in the order in which they were made.

    Evaluations at smaller budgets than the run's own are charged, but enter neither the front nor
    its measures. A run that ended before its first evaluation at its own budget has no front.

    With noise, the front holds the cells that are best by the trainings that were seen, and is
    measured by the table's means of these cells.
    """

    config: SearchConfig
    rows: Rows
    """(n,) row of each evaluation, repeated for repeated cells."""
    epochs: NDArray[np.int64]
    """(n,) budget of each evaluation."""
    values: Floats
    """(n, m) objectives of each evaluation, the table's means, in the metrics' units."""
    seen: Floats
    """(n, m) objectives of each evaluation as the method saw them; equal to `values` without
    noise."""
    details: Mapping[str, Floats]
    """(n,) further metrics of each evaluation, as far as the table holds them."""
    cumulative: Mapping[str, Floats]
    """(n,) what was spent up to and with each evaluation, by the names of `Spent`."""
    spent: Spent
    """Total cost of the trainings of all evaluations."""
    scale: Scale
    """The scale of the table at this budget, with the reference `nadir`."""
    started_s: Floats
    """(n,) when each training began, in s of simulated time from the start of the run; NaN where
    the table does not say how long those before took."""
    ended_s: Floats
    """(n,) when each ended."""
    skipped: int = 0
    """Proposals of a paper setting that were invalid or not in the table, so not charged."""
    answered: int = 0
    """Repeated cells answered without a charge (`charge_repeats` off)."""
    ended_by: str = "evaluations"
    """The quantity whose limit ended the run, by the names of `Spent`, or `repeats`."""

    @cached_property
    def own_values(self) -> Floats:
        """(n, m) objectives of the evaluations at the run's own budget, NaN for the others."""
        return self._own(self.values)

    @cached_property
    def own_seen(self) -> Floats:
        """(n, m) the same as the method saw them."""
        return self._own(self.seen)

    def _own(self, values: Floats) -> Floats:
        return np.where((self.epochs == self.config.epochs)[:, None], values, np.nan)

    @property
    def optimism(self) -> dict[str, float]:
        """By objective, seen less true values, mean over the front; 0 without noise.

        Of many noisy values the best are chosen, so that accuracies look higher, costs lower than
        they are. NaN if the front is empty.
        """
        off = (self.seen - self.values)[self.front]
        means = off.mean(axis=0) if len(off) else np.full(off.shape[1], np.nan)
        return dict(zip(self.config.objectives, means.tolist(), strict=True))

    @cached_property
    def front(self) -> NDArray[np.int64]:
        """(k,) evaluations on the front found, from the best to the worst in the first objective;
        of equal points only the first evaluation."""
        costs = costs_of(self.own_seen, self.config.objectives)
        front = np.flatnonzero(nondominated(costs))
        return front[np.lexsort(costs[front].T[::-1])]

    @property
    def front_rows(self) -> Rows:
        """(k,) rows on the front found."""
        return self.rows[self.front]

    @property
    def front_values(self) -> Floats:
        """(k, m) objectives on the front found, in the metrics' units."""
        return self.values[self.front]

    @cached_property
    def hypervolume(self) -> float:
        """Hypervolume of the front as a share of the true front's, 0 to 1 (`scale`)."""
        return self.scale.hypervolume(self.front_values)

    @cached_property
    def anytime_counts(self) -> NDArray[np.int64]:
        """(c,) numbers of evaluations."""
        return checkpoints(len(self.rows))

    @cached_property
    def anytime_hypervolume(self) -> Floats:
        """(c,) hypervolume after `anytime_counts` evaluations."""
        made = np.arange(1.0, len(self.rows) + 1)
        return anytime(self.own_values, made, self.anytime_counts, self.scale, seen=self.own_seen)

    @property
    def timed(self) -> bool:
        """Whether the run was one of several workers, or followed a carbon trace."""
        return self.config.workers > 1 or bool(self.config.carbon)

    @property
    def hours(self) -> float:
        """From the start of the run to the end of its last training; NaN if not known."""
        return float(self.ended_s.max()) / 3600

    @cached_property
    def anytime_hours(self) -> tuple[Floats, Floats]:
        """(c,) hours from the start after which the first, second, ... of `anytime_counts`
        trainings had ended, and the (c,) hypervolume then.

        Raises:
            ConfigError: the times of the trainings are not known.
        """
        order = np.argsort(self.ended_s, kind="stable")
        ended = self.ended_s[order]
        at = np.unique(ended[self.anytime_counts - 1])
        seen = self.own_seen[order]
        return at / 3600, anytime(self.own_values[order], ended, at, self.scale, seen=seen)

    @property
    def knee(self) -> int:
        """Evaluation of the front's knee (r_k); ConfigError if the front is empty."""
        return int(self.front[knee(self._seen_front(), self.config.objectives)])

    @property
    def extremes(self) -> tuple[int, ...]:
        """Evaluations of the best cell in each objective (r_0, r_1, ...); errors as for `knee`."""
        found = extremes(self._seen_front(), self.config.objectives)
        return tuple(self.front[[*found]].tolist())

    def _seen_front(self) -> Floats:
        """The front's values as they were seen; it must not be empty."""
        if not len(self.front):
            name, epochs = self.config.method, self.config.epochs
            message = f"the search {name} ended before its first evaluation at {epochs} epochs"
            raise ConfigError(message, remedy="raise its limits, such as the evaluations")
        return self.seen[self.front]


# -- from evaluations to a result ----


@cache  # reading them takes 20 ms
def _versions() -> dict[str, str]:
    names = "naslib-ecnas", "moocore", "numpy", "scipy"
    return {name: version(name) for name in names} | {"python": platform.python_version()}


def noise_of(seed: int) -> np.random.Generator:
    """The generator that draws the trainings of a run with noise, apart from the method's own."""
    return np.random.default_rng([seed, 1])


def check_noise(bench: Benchmark, noise: bool) -> None:
    """Raise ConfigError if noise is wanted of a table that has one value of each cell."""
    if noise and not bench.noisy:
        message = f"table {bench.name} has one training of each cell and no model of noise"
        raise ConfigError(message, remedy="leave the noise out, or search 7v, 5v or 4v")


def check_objectives(names: Sequence[str], *, single: bool = False) -> tuple[str, ...]:
    """The objectives as a tuple; ConfigError unless they are two or more different names, or one
    if `single` is set, UnknownMetricError if one is no metric."""
    several = isinstance(names, Iterable) and not isinstance(names, str)
    objectives: tuple[Any, ...] = tuple(names) if several else (names,)
    for name in objectives:
        metric(name)
    if len(objectives) < (1 if single else 2) or len(set(objectives)) < len(objectives):
        least = "one" if single else "two"
        raise ConfigError(f"objectives must be {least} or more different metrics", value=objectives)
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
    noise: bool = False,
    workers: int = 1,
    starts: ArrayLike | None = None,
    carbon_trace: CarbonTrace | None = None,
    defer: str = "now",
) -> SearchResult:
    """The result of evaluations, made by a search of this package or by any other program.

    What does not follow from them, such as the method's settings, `dataclasses.replace` can set.

    Args:
        bench: the benchmark; its counter is not changed.
        rows: (n,) row of each evaluation, in order, n >= 1.
        epochs: (n,) training budget of each.
        objectives: two or more metrics.
        budget: the run's own budget, whose evaluations make the front; by default the largest of
            `epochs`.
        method, seed: name of the method, and seed of the run.
        noise: draw the trainings that the run saw once more; they follow from the seed.
        workers: how many trainings ran at a time.
        starts: (n,) when each began, in s from the start of the run; by default one after another.
        carbon_trace, defer: the trace by which emissions are counted, and the rule of deferral.

    Raises:
        ConfigError: nothing was evaluated, or the shapes do not fit.
        UnknownMetricError, UnknownBudgetError, UnknownCellError: the table does not hold it.
    """
    check_types(Benchmark, bench=bench)
    where = whole_numbers(rows)
    each = whole_numbers(epochs, "the epochs").astype(np.int64)
    if where.shape != each.shape or not len(where):
        shapes = (where.shape, each.shape)
        raise ConfigError("rows and epochs must have one shape (n,), n >= 1", value=shapes)
    bench.table.positions(where)
    where = where.astype(np.int32)
    names = check_objectives(objectives)
    check_counts(least=0, seed=seed)
    check_counts(workers=workers)
    check_noise(bench, noise)
    own = bench.budget(int(each.max()) if budget is None else budget)

    values = np.empty((len(where), len(names)))
    charges = np.empty((len(where), len(QUANTITIES)))
    details = {name: np.empty(len(where)) for name in DETAILS if name in bench.metrics}
    rng = noise_of(seed) if noise else None
    seen = np.empty_like(values) if noise else values
    # In the order of the run, as noise is drawn in it.
    for at in np.split(np.arange(len(each)), np.flatnonzero(np.diff(each)) + 1):
        ledger = Ledger.of(bench, names, int(each[at][0]))
        values[at] = ledger.objectives[where[at]]
        seen[at], charges[at] = ledger.trained(where[at], rng)
        for name, column in details.items():
            column[at] = ledger.column(name)[where[at]]
    if starts is None:
        begun = np.cumsum([0.0, *charges[:, 2]])[:-1]
    else:
        begun = floats(starts, "the starts")
        if begun.shape != where.shape or not ((begun >= 0) & (begun < np.inf)).all():
            message = "starts must be a time in s from 0 on for each evaluation"
            raise ConfigError(message, value=begun.shape)
    if carbon_trace is not None:
        charges[:, 4] = charges[:, 3] * carbon_trace.intensity(begun, charges[:, 2])
    details["parameters"] = DERIVED["parameters"](where).astype(np.float64)
    config = SearchConfig(
        method=method,
        paper=False,
        table=bench.name,
        checksum=bench.table.checksum,
        table_version=bench.table.attributes.get("version"),
        vertices=bench.space.vertices,
        objectives=names,
        epochs=own,
        evaluations=len(where),
        seed=seed,
        provenance={name: bench.provenance[name] for name in names},
        versions={**_versions()},
        limits={"evaluations": len(where)},
        noise=noise,
        workers=workers,
        carbon={} if carbon_trace is None else {**carbon_trace.to_json(), "defer": defer},
    )
    return SearchResult(
        config=config,
        rows=where,
        epochs=each,
        values=values,
        seen=seen,
        details=details,
        cumulative=dict(zip(QUANTITIES, np.cumsum(charges, axis=0).T, strict=True)),
        spent=Spent.of(each, dict(zip(COSTS, charges.T[2:], strict=True))),
        scale=Ledger.of(bench, names, own).scale,
        started_s=begun,
        ended_s=begun + charges[:, 2],
    )
