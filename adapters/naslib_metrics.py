"""NASLib's metrics and ours: members of its `Metric`, units, and metrics as scores to maximise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from naslib_ecnas.adapters import naslib_patches
from naslib_ecnas.errors import UnknownMetricError
from naslib_ecnas.metrics import METRICS, metric
from naslib_ecnas.records import Record

#: Our metric for each of NASLib's that a table may have; `extend` adds those that NASLib lacks:
#: TRAIN_ENERGY (kWh), TRAIN_CO2 (g) and TRAIN_POWER (W).
COLUMNS: dict[str, str] = {
    "TRAIN_ACCURACY": "train_accuracy",
    "VAL_ACCURACY": "validation_accuracy",
    "TEST_ACCURACY": "test_accuracy",
    "TRAIN_TIME": "training_time_s",
    "TRAIN_ENERGY": "energy_kwh",
    "TRAIN_CO2": "co2_g",
    # Energy over time, of the whole run where the table has both.
    "TRAIN_POWER": "average_power_w",
    "PARAMETERS": "parameters",
}

_MEMBERS = {ours: theirs for theirs, ours in COLUMNS.items()}


def extend() -> Any:
    """NASLib's enumeration `Metric`, with our members added.

    An enumeration with members cannot be subclassed, so they are added to the enumeration itself,
    and every module that holds it has them. `performance_metric` of every optimiser becomes an
    objective on our spaces.
    """
    metrics = naslib_patches.require("naslib.search_spaces.core.query_metrics").Metric
    for name in COLUMNS:
        if name not in metrics.__members__:
            member = object.__new__(metrics)
            member._name_ = name
            # A word, which cannot collide with numbers that NASLib adds later.
            member._value_ = name.lower()
            member.__objclass__ = metrics
            member._sort_order_ = len(metrics._member_names_)
            metrics._member_names_.append(name)
            metrics._member_map_[name] = metrics._value2member_map_[member._value_] = member
            # The enumeration's own __setattr__ refuses what is in its map.
            type.__setattr__(metrics, name, member)
    base = naslib_patches.require("naslib.optimizers.core.metaclasses").MetaOptimizer
    if not isinstance(vars(base).get("performance_metric"), _PerformanceMetric):
        base.performance_metric = _PerformanceMetric()
    return metrics


def column(metric: Any) -> str:
    """Our metric for a member of `Metric`.

    Raises:
        UnknownMetricError: no table has this metric.
    """
    name = getattr(metric, "name", None)
    if name not in COLUMNS:
        known = ", ".join([*COLUMNS, "RAW", "ALL"])
        raise UnknownMetricError(f"an EC-NAS table has the metrics {known}", value=metric)
    return COLUMNS[name]


def read(record: Record, name: str) -> float:
    """A metric of a record, in NASLib's unit: accuracies in per cent."""
    value = record[name]
    return 100.0 * value if name in _MEMBERS and name.endswith("accuracy") else value


# -- what an optimiser maximises ----


class Objective:
    """A metric as a score to maximise; equal to NASLib's member of `Metric` for it.

    Every optimiser of NASLib's maximises the number that an architecture answers for
    `self.performance_metric`, whatever the metric is. A space that is queried for an objective
    returns a score that grows as the metric improves. Queried for the member itself, the space
    returns the value in its unit, such as kWh; NASLib's files hold these values.

    Args:
        name: our name of the metric.
        answer: gives another score of a record than the metric's.
        epochs: training budget of every evaluation; None for the optimiser's.
    """

    def __init__(
        self, name: str, answer: Callable[[Record], float] | None = None, epochs: int | None = None
    ) -> None:
        self.name = name
        self.epochs = epochs
        self._answer = answer

    def of(self, record: Record) -> float:
        """The score of a record, which is thereby evaluated."""
        if self._answer is not None:
            return self._answer(record)
        return self.score(read(record, self.name))

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
        return COLUMNS.get(getattr(other, "name", "")) == self.name

    def __hash__(self) -> int:
        return hash(_MEMBERS.get(self.name, self.name))  # as members of an enumeration do

    def __repr__(self) -> str:
        known = METRICS[self.name]
        unit = f" ({known.unit})" if known.unit else ""
        return f"<{'highest' if known.maximise else 'lowest'} {self.name}{unit}>"


def objective(choice: Any) -> Objective:
    """What an optimiser must ask for to improve a metric.

    Args:
        choice: a member of NASLib's `Metric`, its name, or our name of a metric.

    Raises:
        UnknownMetricError: there is no such metric, or no table has it.
    """
    if isinstance(choice, Objective):
        return choice
    name = COLUMNS.get(choice, choice) if isinstance(choice, str) else column(choice)
    metric(name)
    return Objective(name)


class _PerformanceMetric:
    """`MetaOptimizer.performance_metric`: the metric that was set, on our spaces its objective."""

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        if optimizer is None:
            return self
        own = vars(optimizer)
        if "performance_metric" not in own:
            raise AttributeError("performance_metric")
        metric = own["performance_metric"]
        wanted = getattr(own.get("search_space"), "performance_objective", None)
        if wanted is None:
            return metric
        api = own.get("dataset_api")
        recorder = api.get("recorder") if isinstance(api, dict) else None
        return wanted(metric) if recorder is None else recorder.recording(wanted(metric))

    def __set__(self, optimizer: Any, metric: Any) -> None:
        # An objective that was read from the attribute and is set again.
        if isinstance(metric, Objective) and metric.name in _MEMBERS:
            metric = extend()[_MEMBERS[metric.name]]
        vars(optimizer)["performance_metric"] = metric
