"""NASLib's metrics and ours: which column answers which, and in what unit.

NASLib's `Metric` is an enumeration with members, which Python does not let anyone subclass. So
`extend` adds members to the enumeration itself: `TRAIN_ENERGY` in kWh, `TRAIN_CO2` in g and
`TRAIN_POWER` in W. They are used like NASLib's own, by every module that holds the enumeration.
"""

from __future__ import annotations

import difflib
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters import naslib_patches
from naslib_ecnas.benchmark import Benchmark, Record, mean_power, power_parts
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.metrics import METRICS, OBJECTIVES, metric
from naslib_ecnas.search.operators import RHO, chebyshev, weighted_sum
from naslib_ecnas.search.result import SearchResult

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark, Record

__all__ = [
    "ADDED",
    "COLUMNS",
    "KEYS",
    "Objective",
    "Objectives",
    "Recorded",
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


#: Members that `extend` adds, and what they mean.
ADDED: dict[str, str] = {
    "TRAIN_ENERGY": "energy of the training in kWh",
    "TRAIN_CO2": "emissions of the training in g of CO2 equivalents",
    "TRAIN_POWER": "mean power in W: energy over time, of the whole run where the table has both",
}

#: Our column for each of NASLib's metrics that a table can answer.
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

#: NASLib counts accuracies in per cent, we in fractions. Nothing else is scaled.
_PER_CENT = {"train_accuracy", "validation_accuracy", "test_accuracy"}


def extend() -> Any:
    """Add our members to NASLib's `Metric`, once.

    Returns:
        The enumeration.
    """
    metrics = naslib_patches.require("naslib.search_spaces.core.query_metrics").Metric
    for name in ADDED:
        if name not in metrics.__members__:
            _add(metrics, name)
    return metrics


def _add(enumeration: Any, name: str) -> None:
    member = object.__new__(enumeration)
    member._name_ = name
    # A word, since numbers that NASLib gives out later must not meet ours.
    member._value_ = name.lower()
    member.__objclass__ = enumeration
    member._sort_order_ = len(enumeration._member_names_)
    enumeration._member_names_.append(name)
    enumeration._member_map_[name] = member
    enumeration._value2member_map_[member._value_] = member
    # The enumeration's own __setattr__ refuses what is in its map.
    type.__setattr__(enumeration, name, member)


def column(metric: Any) -> str:
    """Our column for a member of `Metric`.

    Raises:
        UnknownMetricError: no table has anything of the kind.
    """
    name = getattr(metric, "name", None)
    if not isinstance(name, str) or name not in COLUMNS:
        raise UnknownMetricError(
            "no such metric in an EC-NAS table",
            value=metric,
            expected="Metric." + ", ".join([*COLUMNS, "RAW", "ALL"]),
            remedy="ask for one of these",
        )
    return COLUMNS[name]


def holds(bench: Benchmark, name: str) -> bool:
    """Whether a benchmark can answer for a column, power computed where that is sound."""
    if name == "average_power_w" and name not in bench.metrics:
        origin = bench.provenance
        energy, time = power_parts(bench.metrics, origin)
        if not (holds(bench, energy) and holds(bench, time)):
            return False
        return origin[energy].same_trainings(origin[time])
    return name == "parameters" or name in bench.metrics


def read(record: Record, name: str, bench: Benchmark) -> float:
    """A column of a record, in NASLib's unit.

    Raises:
        UnknownMetricError: the table has no such column, or no value of this cell in it.
        ProvenanceError: power is asked for, and energy and time are not of the same trainings.
    """
    if name == "average_power_w" and name not in bench.metrics:
        origin = bench.provenance
        energy, time = power_parts(bench.metrics, origin)
        return float(mean_power(record[energy], record[time], origin[energy], origin[time]))
    value = record[name]
    return 100.0 * value if name in _PER_CENT else value


# The section `objectives:` of a config: what a NASLib optimiser shall look for, as one number.
#
# NASLib's optimisers maximise one number. `Objectives` says of which metrics it is made, and
# `Scalarisation` makes it, on a scale in per cent where 100 is the best there is:
#
# - `weights`: 100 (1 - sum of w_i n_i).
# - `limits`: 100 (1 - n) of the one metric without a limit where all limits are kept, else minus
#   100
#   times what they are exceeded by, so that a cell which keeps them is always the better one
#   (the constraint rule of Deb, 2000).
# - `chebyshev`: 100 (1 - max w_i n_i - rho sum of w_i n_i), with weights drawn anew, uniformly,
#   at
#   every evaluation (augmented Chebyshev as in ParEGO; Knowles, 2006).
#
# n_i is 0 at the best and 1 at the worst value of the objective on the table's true front (on the
# whole table for `limits`, for a single objective, and where the front has one value only). A
# benchmark knows its front and a real search would not; what the weights mean is the same for
# every table and every seed that way.


#: Keys of the section.
KEYS = ("metrics", "weights", "limits", "chebyshev", "epochs")

#: Names of metrics that an error lists; the table's further ones are seldom meant.
_USUAL = ("validation_accuracy", "test_accuracy", "energy_kwh", "co2_g", "training_time_s")


@dataclass(frozen=True)
class Objectives:
    """What a search looks for; make it by `of`."""

    metrics: tuple[str, ...]
    """Our names; each knows its own direction."""
    weights: tuple[float, ...] | None = None
    """Of the weighted sum, one for each metric, together 1."""
    limits: tuple[tuple[str, float], ...] = ()
    """Metrics and the worst value that they may take, in their units."""
    rho: float | None = None
    """Share of the sum in the augmented Chebyshev norm; None where another way is taken."""
    epochs: int | None = None
    """Budget of every evaluation; None leaves it to the optimiser."""

    @classmethod
    def of(cls, section: Any) -> Objectives:
        """The objectives of a section of a config.

        Args:
            section: a mapping with `metrics`, a list of names, and, for more than one of them,
                one of `weights` (a list), `limits` (a mapping from metrics to values) and
                `chebyshev` (True, or rho); `epochs` where the budget shall not be the largest.

        Raises:
            ConfigError: it is no such section; says which key and what is possible.
        """
        if not isinstance(section, Mapping):
            raise ConfigError(
                "objectives has to be a section",
                value=section,
                expected="keys in it: metrics, and one of weights, limits, chebyshev",
            )
        unknown = next((key for key in section if key not in KEYS), None)
        if unknown is not None:
            raise ConfigError(
                "objectives knows no such key", value=unknown, expected=", ".join(KEYS)
            )
        names = _names(section.get("metrics"))
        ways = [key for key in KEYS[1:4] if section.get(key) not in (None, False)]
        if len(ways) > 1 or (len(names) > 1 and not ways):
            raise ConfigError(
                "several objectives need one way to make one number of them",
                value=", ".join(ways) or "none",
                expected="one of objectives.weights, objectives.limits, objectives.chebyshev",
                remedy="such as weights: [0.5, 0.5] for two",
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
        """Refuse a table that lacks what they ask for.

        Raises:
            UnknownMetricError: it lacks a metric.
            UnknownBudgetError: it lacks the budget.
            ConfigError: no cell of it keeps the limits.
        """
        if self.epochs is not None and self.epochs not in bench.budgets:
            raise UnknownBudgetError(
                f"objectives.epochs is no budget of the table {bench.name}",
                value=self.epochs,
                expected=", ".join(map(str, bench.budgets)) + " epochs",
            )
        columns = {name: bench.values(name, self.epochs) for name in self.metrics}
        for name, column in columns.items():
            if np.isnan(column).all():
                raise UnknownMetricError(
                    f"the table {bench.name} has no values of this objective",
                    value=name,
                    expected=", ".join(n for n in bench.metrics if n in _USUAL),
                )
        kept = np.ones(len(bench.space), dtype=bool)
        for name, limit in self.limits:
            cost, bound = metric(name).cost(columns[name]), metric(name).cost(limit)
            kept &= cost <= bound
            if not kept.any():
                best = metric(name).best(columns[name])
                raise ConfigError(
                    f"no cell of the table {bench.name} keeps objectives.limits",
                    value=f"{name}: {limit:g}",
                    expected=f"a limit that leaves some; the best value there is {best:g}",
                )

    def recorded(self) -> tuple[str, ...]:
        """The metrics that are recorded of every evaluation, two at least, for a front."""
        return completed(self.metrics)


def completed(names: Sequence[str]) -> tuple[str, ...]:
    """Names of metrics with energy and accuracy added until there are two."""
    extra = [n for n in ("energy_kwh", "validation_accuracy") if n not in names]
    return (*names, *extra[: max(0, 2 - len(names))])


class Scalarisation:
    """One number to maximise, of an evaluation's objectives.

    Args:
        objectives: what counts.
        bench: the table, whose front is the scale.
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
            the number, more is better, and the weights that were drawn for it, if any were.

        Raises:
            UnknownMetricError: a value is missing, and a search must not go on without it.
        """
        costs = self._costs(values)[0]
        if np.isnan(costs).any():
            raise UnknownMetricError(
                "an objective is missing for this cell",
                value=self.objectives.metrics[int(np.flatnonzero(np.isnan(costs))[0])],
                expected="a table that has it for every cell",
                remedy="choose another table or another objective",
            )
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


# -- the keys -------------------------------------------------------------------------------


def _names(chosen: Any) -> tuple[str, ...]:
    wanted = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(wanted, (list, tuple)) or not wanted:
        raise ConfigError(
            "objectives.metrics has to be a list of metrics",
            value=chosen,
            expected="such as [validation_accuracy, energy_kwh]",
        )
    names = tuple(COLUMNS.get(name, name) if isinstance(name, str) else name for name in wanted)
    for name in names:
        if name not in METRICS:
            near = difflib.get_close_matches(str(name), METRICS, 1)
            raise ConfigError(
                "no such objective",
                value=name,
                expected=", ".join(_USUAL) + ", or another one of naslib_ecnas.METRICS",
                remedy=f"did you mean {near[0]}?" if near else None,
            )
    if len(set(names)) < len(names):
        raise ConfigError("an objective is there twice", value=list(names), expected="each once")
    return names


def _number(value: Any) -> float:
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
        raise ConfigError(
            "objectives.weights do not fit",
            value=list(found) if isinstance(found, (list, tuple)) else found,
            expected=f"{len(names)} numbers from 0 on that sum to 1: {', '.join(names)}",
        )
    return tuple(w / sum(numbers) for w in numbers)


def _limits(found: Any, names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    if not isinstance(found, Mapping) or not found:
        raise ConfigError(
            "objectives.limits has to be a section",
            value=found,
            expected="metrics and the worst value that each may take, such as energy_kwh: 0.5",
        )
    limits = {COLUMNS.get(str(n), str(n)): _number(value) for n, value in found.items()}
    free = [name for name in names if name not in limits]
    if len(free) != 1 or any(name not in names for name in limits):
        raise ConfigError(
            "objectives.limits has to leave one of the metrics free",
            value=", ".join(map(str, limits)),
            expected=f"all of {', '.join(names)} but the one to optimise",
        )
    wrong = next((name for name, value in limits.items() if not math.isfinite(value)), None)
    if wrong is not None:
        raise ConfigError(
            f"objectives.limits.{wrong} is no number",
            value=found.get(wrong),
            expected=f"a value of {metric(wrong).label}",
        )
    return tuple(limits.items())


def _rho(found: Any) -> float:
    if found is True:
        return RHO
    rho = _number(found)
    if not 0 <= rho < 1:
        raise ConfigError(
            "objectives.chebyshev is not possible",
            value=found,
            expected=f"True (which is {RHO}), or rho from 0 to below 1",
        )
    return rho


def _epochs(found: Any) -> int | None:
    if found in (None, -1):
        return None
    if type(found) is not int:
        raise ConfigError("objectives.epochs is no budget", value=found, expected="such as 108")
    return found


# What an optimiser of NASLib's maximises when it searches an EC-NAS space.
#
# Every optimiser of NASLib's asks an architecture for `self.performance_metric` and takes the
# larger number for the better one, whatever the metric is. So that `performance_metric =
# TRAIN_ENERGY` looks for low energy, the attribute answers, on an EC-NAS space and for a metric
# of which less is better, with an `Objective`: it equals the metric, and a space that is queried
# for it returns a score that grows as the metric improves. A space queried for the metric itself
# returns kWh, and so does everything that NASLib writes. The direction is that of
# `naslib_ecnas.metrics`.


class Objective:
    """A metric as something to maximise.

    Attributes:
        name: our name of the metric.
        metric: NASLib's member for it, or None where it has none.
        epochs: budget of every evaluation, whatever the optimiser asks for; None leaves it that.
    """

    epochs: int | None = None

    def __init__(self, name: str, metric: Any = None) -> None:
        self.name = name
        self.metric = metric

    def of(self, record: Record, bench: Benchmark) -> float:
        """The score of a record.

        Raises:
            UnknownMetricError: the value is missing, and a search must not go on without it.
        """
        return self.score(read(record, self.name, bench))

    def score(self, value: float) -> float:
        """The value turned so that more is better.

        Raises:
            UnknownMetricError: the value is missing, and a search must not go on without it.
        """
        if math.isnan(value):
            raise UnknownMetricError(
                "the objective is missing for this cell",
                value=self.name,
                expected="a table that has it for every cell",
                remedy="choose another table or another objective",
            )
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
    """What an optimiser has to ask for.

    Args:
        choice: a member of NASLib's `Metric`, its name, or our name of a metric.

    Returns:
        NASLib's member where it has one of which more is better, else an `Objective`.

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
        raise ConfigError(
            "no such objective",
            value=choice,
            expected="a Metric of NASLib's, or one of " + ", ".join(METRICS),
            remedy="for the energy of training, energy_kwh",
        )
    if member is not None and METRICS[name].maximise:
        return member
    return Objective(name, member)


def recorder(dataset_api: Any) -> Any:
    """The recorder that a `dataset_api` carries, if any (`naslib_record`)."""
    return dataset_api.get("recorder") if isinstance(dataset_api, dict) else None


class _PerformanceMetric:
    """`MetaOptimizer.performance_metric`: what was set, or its `Objective` on our spaces."""

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
        return found if notes is None else notes.recorded(found)

    def __set__(self, optimizer: Any, metric: Any) -> None:
        # Read back and set again, it is the metric that counts.
        if isinstance(metric, Objective) and metric.metric is not None:
            metric = metric.metric
        vars(optimizer)["performance_metric"] = metric


def install() -> None:
    """Have `performance_metric` of every optimiser answer as described, once."""
    base = naslib_patches.require("naslib.optimizers.core.metaclasses").MetaOptimizer
    if not isinstance(vars(base).get("performance_metric"), _PerformanceMetric):
        base.performance_metric = _PerformanceMetric()


# Every evaluation of a NASLib search, kept with all objectives.
#
# A `Recorder` rides in the `dataset_api` that NASLib hands to every query. What an optimiser asks
# for as its performance metric becomes a `Recorded` objective there: it answers as before, or
# with the number that a section `objectives:` makes, and notes the cell. Statistics that NASLib
# asks for besides are not evaluations and are not noted.


class Recorder:
    """What a search evaluated, in order.

    Args:
        bench: the table.
        objectives: what the optimiser shall look for; None for what it looks for anyway.
        seed: of the run; draws the weights of `chebyshev`.
        method: name of the optimiser, for the record.
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
            # A stream of its own: the search's numbers are those that it draws without us.
            else Scalarisation(objectives, bench, np.random.default_rng([seed, 0xEC]))
        )
        self._wanted: str | None = None
        self._rows, self._epochs, self._scores = array("i"), array("i"), array("d")
        self._weights: list[tuple[float, ...]] = []
        self._answers: dict[Any, Recorded] = {}

    def __len__(self) -> int:
        """Evaluations noted so far."""
        return len(self._rows)

    def __deepcopy__(self, memo: Any) -> Recorder:
        # NASLib copies what it is given now and then; evaluations have to meet in one place.
        return self

    def recorded(self, objective: Any) -> Recorded:
        """An objective, or a member of `Metric` of which more is better, that notes who asks."""
        if isinstance(objective, Recorded):
            return objective
        if objective not in self._answers:
            self._answers[objective] = Recorded(self, objective)
        return self._answers[objective]

    def note(self, record: Record, value: float) -> float:
        """Note an evaluation; returns what the optimiser shall be told of it."""
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
        """The objectives that are recorded: those of the section, or what was looked for with
        energy and accuracy."""
        if self.objectives is not None:
            return self.objectives.recorded()
        if self._wanted in (None, *OBJECTIVES):
            return OBJECTIVES
        return completed([str(self._wanted)])

    def wanted(self, name: str) -> None:
        """Note which metric the optimiser looks for."""
        self._wanted = name

    def result(self) -> SearchResult:
        """Front, hypervolume, knee and costs of what was evaluated.

        The front is of the evaluations at the largest budget among them.

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
        """What a line of the history says besides: the optimiser's number, drawn weights."""
        notes: dict[str, list[Any]] = {"score": self._scores.tolist()}
        if self._weights:
            notes["weights"] = [list(weights) for weights in self._weights]
        return notes

    def write(self, folder: Path) -> SearchResult:
        """Write history, front, costs and settings into a folder, over those of an earlier run.

        Raises:
            ConfigError: nothing was evaluated.
            StorageError: the folder cannot be written.
        """
        from naslib_ecnas.search.result import prepare, write

        result = self.result()
        prepare(folder, overwrite=True)
        write(result, folder, notes=self.notes())
        return result


class Recorded(Objective):
    """An objective whose answers are noted; equal to the metric that it stands for."""

    def __init__(self, recorder: Recorder, wanted: Any) -> None:
        is_objective = isinstance(wanted, Objective)
        name = wanted.name if is_objective else column(wanted)
        super().__init__(name, wanted.metric if is_objective else wanted)
        self._recorder = recorder
        self._inner = wanted
        section = recorder.objectives
        self.epochs: int | None = None if section is None else section.epochs
        recorder.wanted(name)

    def of(self, record: Record, bench: Benchmark) -> float:
        """The number for an architecture, which counts as evaluated with that."""
        if self._recorder.objectives is not None:
            return self._recorder.note(record, 0.0)
        if isinstance(self._inner, Objective):
            value = self._inner.of(record, bench)
        else:
            value = read(record, self.name, bench)
        return self._recorder.note(record, value)
