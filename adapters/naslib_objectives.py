"""What a NASLib search optimises: metrics in NASLib's units, objectives of a config, and records.

- `extend` adds `TRAIN_ENERGY` (kWh), `TRAIN_CO2` (g) and `TRAIN_POWER` (W) to NASLib's `Metric`. An
  enumeration with members cannot be subclassed, so they are added to the enumeration itself, and
  every module that holds it has them.
- `Objective` is a metric as a score to maximise. Every optimiser of NASLib's maximises the number
  that an architecture answers for `self.performance_metric`, whatever the metric is.
- `Objectives` is the section `objectives:` of a config, and `Scalarisation` makes one number of it.
- `Recorder` keeps every evaluation of a search with all its objectives.
"""

from __future__ import annotations

import difflib
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters import naslib_patches
from naslib_ecnas.benchmark import Benchmark, mean_power, power_parts
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, UnknownMetricError, check_numbers
from naslib_ecnas.metrics import METRICS, OBJECTIVES, metric
from naslib_ecnas.records import Record
from naslib_ecnas.search.result import SearchResult
from naslib_ecnas.search.scalarisation import RHO, chebyshev, weighted_sum

__all__ = [
    "ADDED",
    "COLUMNS",
    "Objective",
    "Objectives",
    "Recorder",
    "Scalarisation",
    "column",
    "completed",
    "extend",
    "holds",
    "install",
    "objective",
    "read",
]


# -- metrics --------------------------------------------------------------------------------

#: Members that `extend` adds, and what they mean.
ADDED: dict[str, str] = {
    "TRAIN_ENERGY": "energy of the training in kWh",
    "TRAIN_CO2": "emissions of the training in g of CO2 equivalents",
    "TRAIN_POWER": "mean power in W: energy over time, of the whole run where the table has both",
}

#: Our metric for each of NASLib's that a table may have.
COLUMNS: dict[str, str] = {
    "TRAIN_ACCURACY": "train_accuracy",
    "VAL_ACCURACY": "validation_accuracy",
    "TEST_ACCURACY": "test_accuracy",
    "TRAIN_TIME": "training_time_s",
    "TRAIN_ENERGY": "energy_kwh",
    "TRAIN_CO2": "co2_g",
    "TRAIN_POWER": "average_power_w",
    "PARAMETERS": "parameters",
}

#: NASLib gives accuracies in per cent, we as fractions; all else has the same unit.
_PER_CENT = {"train_accuracy", "validation_accuracy", "test_accuracy"}


def extend() -> Any:
    """NASLib's enumeration `Metric`, with our members added."""
    metrics = naslib_patches.require("naslib.search_spaces.core.query_metrics").Metric
    for name in ADDED:
        if name not in metrics.__members__:
            _add(metrics, name)
    return metrics


def _add(enumeration: Any, name: str) -> None:
    member = object.__new__(enumeration)
    member._name_ = name
    # A word, which cannot collide with numbers that NASLib adds later.
    member._value_ = name.lower()
    member.__objclass__ = enumeration
    member._sort_order_ = len(enumeration._member_names_)
    enumeration._member_names_.append(name)
    enumeration._member_map_[name] = member
    enumeration._value2member_map_[member._value_] = member
    # The enumeration's own __setattr__ refuses what is in its map.
    type.__setattr__(enumeration, name, member)


def column(metric: Any) -> str:
    """Our metric for a member of `Metric`.

    Raises:
        UnknownMetricError: no table has this metric.
    """
    name = getattr(metric, "name", None)
    if not isinstance(name, str) or name not in COLUMNS:
        known = ", ".join([*COLUMNS, "RAW", "ALL"])
        raise UnknownMetricError(f"an EC-NAS table has the metrics {known}", value=metric)
    return COLUMNS[name]


def holds(bench: Benchmark, name: str) -> bool:
    """Whether a benchmark has a metric, or can compute it from energy and time of one training."""
    if name == "average_power_w" and name not in bench.metrics:
        origin = bench.provenance
        energy, time = power_parts(bench.metrics, origin)
        if not (holds(bench, energy) and holds(bench, time)):
            return False
        return origin[energy].same_trainings(origin[time])
    return name == "parameters" or name in bench.metrics


def read(record: Record, name: str, bench: Benchmark) -> float:
    """A metric of a record, in NASLib's unit.

    Raises:
        UnknownMetricError: the table lacks the metric, or this cell's value of it.
        ProvenanceError: for power, energy and time are not of the same trainings.
    """
    if name == "average_power_w" and name not in bench.metrics:
        origin = bench.provenance
        energy, time = power_parts(bench.metrics, origin)
        return float(mean_power(record[energy], record[time], origin[energy], origin[time]))
    value = record[name]
    return 100.0 * value if name in _PER_CENT else value


# -- objectives of a config ------------------------------------------------------------------

#: Keys of the section `objectives:`.
_KEYS = ("metrics", "weights", "limits", "chebyshev", "epochs")

#: Metrics that an error message lists.
_USUAL = ("validation_accuracy", "test_accuracy", "energy_kwh", "co2_g", "training_time_s")


@dataclass(frozen=True)
class Objectives:
    """The section `objectives:` of a config; make it by `of`."""

    metrics: tuple[str, ...]
    """Names of metrics of ours."""
    weights: tuple[float, ...] | None = None
    """Weights of the weighted sum, one for each metric, which sum to 1."""
    limits: tuple[tuple[str, float], ...] = ()
    """Metrics and their worst allowed values, in their units."""
    rho: float | None = None
    """Share of the sum in the augmented Chebyshev norm; None with weights or limits."""
    epochs: int | None = None
    """Training budget of every evaluation; None leaves it to the optimiser."""

    @classmethod
    def of(cls, section: Any) -> Objectives:
        """The objectives of a section of a config.

        Args:
            section: a mapping with `metrics`, a list of names, and, for more than one of them,
                one of `weights` (a list), `limits` (a mapping from metrics to values) and
                `chebyshev` (True, or rho); `epochs` for another budget than the optimiser's.

        Raises:
            ConfigError: naming the wrong key.
        """
        if not isinstance(section, Mapping):
            raise ConfigError("objectives must be a section of keys", value=section)
        for key in section:
            if key not in _KEYS:
                raise ConfigError(f"keys of objectives are {', '.join(_KEYS)}", value=key)
        names = _names(section.get("metrics"))
        ways = [key for key in _KEYS[1:4] if section.get(key) not in (None, False)]
        if len(ways) > 1 or (len(names) > 1 and not ways):
            raise ConfigError(
                "several objectives need one of objectives.weights, objectives.limits and "
                "objectives.chebyshev",
                value=ways,
            )
        way = ways[0] if ways else None
        found = section.get(way) if way else None
        return cls(
            metrics=names,
            weights=_weights(found, names) if way in ("weights", None) else None,
            limits=_limits(found, names) if way == "limits" else (),
            rho=_rho(found) if way == "chebyshev" else None,
            epochs=_epochs(section.get("epochs")),
        )

    def check(self, bench: Benchmark) -> None:
        """Check that a table has the metrics, the budget and a cell within the limits.

        Raises:
            UnknownMetricError: it lacks a metric.
            UnknownBudgetError: it lacks the budget.
            ConfigError: none of its cells is within the limits.
        """
        if self.epochs is not None and self.epochs not in bench.budgets:
            known = ", ".join(map(str, bench.budgets))
            text = f"objectives.epochs must be a budget of the table {bench.name}, {known} epochs"
            raise UnknownBudgetError(text, value=self.epochs)
        columns = {name: bench.values(name, self.epochs) for name in self.metrics}
        for name, column in columns.items():
            if np.isnan(column).all():
                raise UnknownMetricError(f"the table {bench.name} has no values of {name}")
        kept = np.ones(len(bench.space), dtype=bool)
        for name, limit in self.limits:
            cost, bound = metric(name).cost(columns[name]), metric(name).cost(limit)
            kept &= cost <= bound
            if not kept.any():
                best = metric(name).best(columns[name])
                raise ConfigError(
                    f"no cell of the table {bench.name} keeps objectives.limits.{name}: the best "
                    f"value there is {best:g}",
                    value=limit,
                )

    def recorded(self) -> tuple[str, ...]:
        """The metrics recorded of every evaluation: at least two, for a front."""
        return completed(self.metrics)


def completed(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with energy and accuracy added until there are two."""
    extra = [n for n in ("energy_kwh", "validation_accuracy") if n not in names]
    return (*names, *extra[: max(0, 2 - len(names))])


class Scalarisation:
    """One number to maximise, in per cent of the best, for the objectives of an evaluation.

    - `weights`: 100 (1 - sum of w_i n_i).
    - `limits`: 100 (1 - n) of the metric without a limit if all limits are kept, else -100 times
      the sum of the excesses, so that a cell within the limits is always better (the constraint
      rule of Deb, 2000).
    - `chebyshev`: 100 (1 - max w_i n_i - rho sum of w_i n_i), with weights drawn uniformly at every
      evaluation (augmented Chebyshev norm as in ParEGO; Knowles, 2006).

    n_i is 0 at the best and 1 at the worst value of the objective on the table's true front (on the
    whole table for `limits`, for a single objective, and where the front has one value only). A
    real search does not know the true front; a benchmark does, and with it a weight means the same
    for every table and seed.

    Args:
        objectives: the objectives.
        bench: the table whose front is the scale.
        rng: draws the weights of `chebyshev`; nothing else is random.
    """

    def __init__(self, objectives: Objectives, bench: Benchmark, rng: np.random.Generator) -> None:
        objectives.check(bench)
        self.objectives = objectives
        self._rng = rng
        names, epochs = objectives.metrics, objectives.epochs
        self._metrics = [metric(name) for name in names]
        columns = np.column_stack([bench.values(name, epochs) for name in names])
        columns = columns[~np.isnan(columns).any(axis=1)]
        low, span = self._ends(columns)
        if len(names) > 1 and not objectives.limits:
            front_low, front_span = self._ends(bench.front(names, epochs).values)
            low, span = (
                np.where(front_span > 0, front_low, low),
                np.where(front_span > 0, front_span, span),
            )
        self._low, self._span = low, np.where(span > 0, span, 1.0)
        limits = dict(objectives.limits)
        self._limits = np.array([limits.get(name, math.nan) for name in names])

    def _ends(self, values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        costs = self._costs(values)
        low: NDArray[np.float64] = costs.min(axis=0)
        return low, costs.max(axis=0) - low

    def _costs(self, values: ArrayLike) -> NDArray[np.float64]:
        array = np.atleast_2d(np.asarray(values, dtype=np.float64))
        return np.column_stack(
            [m.cost(column) for m, column in zip(self._metrics, array.T, strict=True)]
        )

    def __call__(self, values: Sequence[float]) -> tuple[float, tuple[float, ...] | None]:
        """The number of one evaluation.

        Args:
            values: (m,) values in the metrics' units.

        Returns:
            the number, more is better, and the weights drawn for it, or None.

        Raises:
            UnknownMetricError: a value is missing.
        """
        costs = self._costs(values)[0]
        if np.isnan(costs).any():
            name = self.objectives.metrics[int(np.flatnonzero(np.isnan(costs))[0])]
            raise UnknownMetricError(f"the table has no {name} of this cell")
        scaled = (costs - self._low) / self._span
        if self.objectives.limits:
            return self._within_limits(costs, scaled), None
        if self.objectives.rho is not None:
            drawn = self._rng.dirichlet(np.ones(len(scaled)))
            worst = float(chebyshev(scaled, drawn, self.objectives.rho))
            return 100 * (1 - worst), tuple(drawn.tolist())
        return 100 * (1 - float(weighted_sum(scaled, self.objectives.weights or (1.0,)))), None

    def _within_limits(self, costs: NDArray[np.float64], scaled: NDArray[np.float64]) -> float:
        limited = ~np.isnan(self._limits)
        bounds = np.array(
            [float(m.cost(limit)) for m, limit in zip(self._metrics, self._limits, strict=True)]
        )
        excess = np.maximum((costs - bounds) / self._span, 0.0)[limited]
        if excess.any():
            return -100 * float(excess.sum())
        return 100 * (1 - float(scaled[~limited][0]))


def _names(chosen: Any) -> tuple[str, ...]:
    wanted = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(wanted, (list, tuple)) or not wanted:
        text = "objectives.metrics must be a list such as [validation_accuracy, energy_kwh]"
        raise ConfigError(text, value=chosen)
    names = tuple(COLUMNS.get(name, name) if isinstance(name, str) else name for name in wanted)
    for name in names:
        if name not in METRICS:
            near = difflib.get_close_matches(str(name), METRICS, 1)
            raise ConfigError(
                f"objectives.metrics are {', '.join(_USUAL)} and others of naslib_ecnas.METRICS",
                value=name,
                remedy=f"did you mean {near[0]}?" if near else None,
            )
    if len(set(names)) < len(names):
        raise ConfigError("objectives.metrics must be different", value=list(names))
    return names


def _number(value: Any) -> float:
    """A number as float, NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    return float(value)


def _weights(found: Any, names: Sequence[str]) -> tuple[float, ...]:
    if found is None:
        return (1.0,)
    numbers = [_number(w) for w in found] if isinstance(found, (list, tuple)) else []
    good = len(numbers) == len(names) and all(w >= 0 for w in numbers)
    # To a thousandth, so that [0.333, 0.333, 0.334] passes; then to 1 exactly.
    if not good or abs(sum(numbers) - 1) > 1e-3:
        text = f"objectives.weights must be {len(names)} numbers from 0 on that sum to 1"
        raise ConfigError(text, value=list(found) if isinstance(found, (list, tuple)) else found)
    return tuple(w / sum(numbers) for w in numbers)


def _limits(found: Any, names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    if not isinstance(found, Mapping) or not found:
        text = "objectives.limits must be a section of metrics and worst values, as energy_kwh: 0.5"
        raise ConfigError(text, value=found)
    limits = {COLUMNS.get(str(n), str(n)): value for n, value in found.items()}
    free = [name for name in names if name not in limits]
    if len(free) != 1 or any(name not in names for name in limits):
        text = f"objectives.limits must have all of {', '.join(names)} except the one to optimise"
        raise ConfigError(text, value=list(limits))
    check_numbers("objectives.limits", **limits)
    return tuple((name, float(value)) for name, value in limits.items())


def _rho(found: Any) -> float:
    if found is True:
        return RHO
    rho = _number(found)
    if not 0 <= rho < 1:
        text = f"objectives.chebyshev must be True (which is {RHO}), or rho from 0 to below 1"
        raise ConfigError(text, value=found)
    return rho


def _epochs(found: Any) -> int | None:
    if found in (None, -1):
        return None
    if type(found) is not int:
        raise ConfigError("objectives.epochs must be a budget such as 108", value=found)
    return found


# -- what an optimiser maximises ---------------------------------------------------------------


class Objective:
    """A metric as a score to maximise; equal to NASLib's member of `Metric` for it.

    A space that is queried for it returns a score that grows as the metric improves, in the
    direction of `naslib_ecnas.metrics`. Queried for the member itself, the space returns the value
    in its unit, such as kWh; NASLib's files hold these values.

    Attributes:
        name: our name of the metric.
        metric: NASLib's member for it, or None.
        epochs: training budget of every evaluation; by default the optimiser's.
    """

    epochs: int | None = None

    def __init__(self, name: str, metric: Any = None) -> None:
        self.name = name
        self.metric = metric

    def of(self, record: Record, bench: Benchmark) -> float:
        """The score of a record.

        Raises:
            UnknownMetricError: the table lacks the value.
        """
        return self.score(read(record, self.name, bench))

    def score(self, value: float) -> float:
        """A value of the metric as a score, which is better if larger.

        Raises:
            UnknownMetricError: the value is NaN.
        """
        if math.isnan(value):
            raise UnknownMetricError(f"the table has no {self.name} of this cell")
        # NASLib maximises and costs are minimised.
        return -float(METRICS[self.name].cost(value))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Objective):
            return self.name == other.name
        return self.metric is not None and other is self.metric

    def __hash__(self) -> int:
        return hash(self.name if self.metric is None else self.metric)

    def __repr__(self) -> str:
        known = METRICS[self.name]
        unit = f" ({known.unit})" if known.unit else ""
        return f"<{'highest' if known.maximise else 'lowest'} {self.name}{unit}>"


def objective(choice: Any) -> Any:
    """What an optimiser must ask for to improve a metric.

    Args:
        choice: a member of NASLib's `Metric`, its name, or our name of a metric.

    Returns:
        NASLib's member if there is one and larger values are better, else an `Objective`.

    Raises:
        ConfigError: there is no such metric.
    """
    if isinstance(choice, Objective):
        return choice
    metrics = naslib_patches.require("naslib.search_spaces.core.query_metrics").Metric
    members = {name: metrics.__members__[name] for name in COLUMNS if name in metrics.__members__}
    by_column = {COLUMNS[name]: member for name, member in members.items()}
    if isinstance(choice, str):
        member = members.get(choice) or by_column.get(choice)
        name = choice if member is None else column(member)
    else:
        member, name = choice, column(choice)
    if name not in METRICS:
        text = f"an objective is a Metric of NASLib's, or one of {', '.join(METRICS)}"
        raise ConfigError(text, value=choice)
    if member is not None and METRICS[name].maximise:
        return member
    return Objective(name, member)


def recorder(dataset_api: Any) -> Any:
    """The `Recorder` of a `dataset_api`, or None."""
    return dataset_api.get("recorder") if isinstance(dataset_api, dict) else None


class _PerformanceMetric:
    """`MetaOptimizer.performance_metric`: the metric that was set, on our spaces its objective."""

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        if optimizer is None:
            return self
        own = vars(optimizer)
        if "performance_metric" not in own:
            raise AttributeError("performance_metric")
        wanted = getattr(own.get("search_space"), "performance_objective", None)
        metric = own["performance_metric"]
        if wanted is None:
            return metric
        found, notes = wanted(metric), recorder(own.get("dataset_api"))
        return found if notes is None else notes.recording(found)

    def __set__(self, optimizer: Any, metric: Any) -> None:
        # An objective that was read from the attribute and is set again.
        if isinstance(metric, Objective) and metric.metric is not None:
            metric = metric.metric
        vars(optimizer)["performance_metric"] = metric


def install() -> None:
    """Make `performance_metric` of every optimiser an objective on our spaces."""
    base = naslib_patches.require("naslib.optimizers.core.metaclasses").MetaOptimizer
    if not isinstance(vars(base).get("performance_metric"), _PerformanceMetric):
        base.performance_metric = _PerformanceMetric()


# -- the record of a search -----------------------------------------------------------------


class Recorder:
    """The evaluations of a search, in order.

    It is part of the `dataset_api` that NASLib passes to every query. The optimiser's performance
    metric becomes a recording objective there: it answers as before, or with the number of a
    section `objectives:`, and records the cell. Other queries of NASLib's, for its statistics, are
    not evaluations and are not recorded.

    Args:
        bench: the table.
        objectives: objectives that replace the optimiser's performance metric, or None.
        seed: seed of the run, which draws the weights of `chebyshev`.
        method: name of the optimiser.
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Objectives | None = None,
        *,
        seed: int = 0,
        method: str = "naslib",
    ) -> None:
        self.bench = bench
        self.objectives = objectives
        self.seed = seed
        self.method = method
        self._scalar = (
            None
            if objectives is None
            # A stream of its own, so that the search draws the same numbers as without it.
            else Scalarisation(objectives, bench, np.random.default_rng([seed, 0xEC]))
        )
        self._wanted: str | None = None
        self._rows, self._epochs, self._scores = array("i"), array("i"), array("d")
        self._weights: list[tuple[float, ...]] = []
        self._recording: dict[Any, _Recording] = {}

    def __len__(self) -> int:
        """Number of evaluations so far."""
        return len(self._rows)

    def __deepcopy__(self, memo: Any) -> Recorder:
        # NASLib copies its arguments at times; all evaluations belong in one recorder.
        return self

    def __getstate__(self) -> dict[str, Any]:
        # Made again when asked for: where NASLib is not extended yet, its added members cannot
        # be unpickled.
        return {**vars(self), "_recording": {}}

    def recording(self, objective: Any) -> _Recording:
        """The objective, or member of `Metric`, as an objective that records evaluations."""
        if isinstance(objective, _Recording):
            return objective
        if objective not in self._recording:
            self._recording[objective] = _Recording(self, objective)
        return self._recording[objective]

    def note(self, record: Record, value: float) -> float:
        """Record an evaluation, and return the number that the optimiser maximises."""
        weights = None
        if self._scalar is not None:
            names = self._scalar.objectives.metrics
            value, weights = self._scalar([self._value(record, name) for name in names])
        self._rows.append(record.row)
        self._epochs.append(record.epochs)
        self._scores.append(value)
        if weights is not None:
            self._weights.append(weights)
        return value

    def _value(self, record: Record, name: str) -> float:
        if name == "average_power_w":
            return read(record, name, self.bench)
        return float(record[name])

    @property
    def names(self) -> tuple[str, ...]:
        """The recorded objectives: those of the section, or the optimiser's metric and energy or
        accuracy."""
        if self.objectives is not None:
            return self.objectives.recorded()
        if self._wanted in (None, *OBJECTIVES):
            return OBJECTIVES
        return completed([str(self._wanted)])

    def set_metric(self, name: str) -> None:
        """Set the metric that the optimiser improves."""
        self._wanted = name

    def result(self) -> SearchResult:
        """Front, hypervolume, knee and costs of the evaluations.

        The front is taken over the evaluations at the largest of their budgets.

        Raises:
            ConfigError: nothing was evaluated.
        """
        from naslib_ecnas.search.accounting import result_of

        return result_of(
            self.bench,
            rows=np.array(self._rows, dtype=np.int32),
            epochs=np.array(self._epochs, dtype=np.int64),
            objectives=self.names,
            method=self.method,
            seed=self.seed,
        )

    def notes(self) -> dict[str, list[Any]]:
        """Further columns of the history: the optimiser's number, and drawn weights."""
        notes: dict[str, list[Any]] = {"score": self._scores.tolist()}
        if self._weights:
            notes["weights"] = [list(weights) for weights in self._weights]
        return notes

    def write(self, folder: Path) -> SearchResult:
        """Write history, front, costs and settings into a folder, replacing an earlier run's.

        Raises:
            ConfigError: nothing was evaluated.
            StorageError: the folder cannot be written.
        """
        from naslib_ecnas.search.result import prepare, write

        result = self.result()
        prepare(folder, overwrite=True)
        write(result, folder, notes=self.notes())
        return result


class _Recording(Objective):
    """An objective that records the evaluations it answers; equal to the metric it replaces."""

    def __init__(self, recorder: Recorder, wanted: Any) -> None:
        is_objective = isinstance(wanted, Objective)
        name = wanted.name if is_objective else column(wanted)
        super().__init__(name, wanted.metric if is_objective else wanted)
        self._recorder = recorder
        self._inner = wanted
        section = recorder.objectives
        self.epochs: int | None = None if section is None else section.epochs
        recorder.set_metric(name)

    def of(self, record: Record, bench: Benchmark) -> float:
        """The number of an architecture, which is thereby evaluated and recorded."""
        if self._recorder.objectives is not None:
            return self._recorder.note(record, 0.0)
        if isinstance(self._inner, Objective):
            value = self._inner.of(record, bench)
        else:
            value = read(record, self.name, bench)
        return self._recorder.note(record, value)
