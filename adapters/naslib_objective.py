"""What an optimiser of NASLib's maximises when it searches an EC-NAS space.

Every optimiser of NASLib's asks an architecture for `self.performance_metric` and takes the larger
number for the better one, whatever the metric is. So that `performance_metric = TRAIN_ENERGY` looks
for low energy, the attribute answers, on an EC-NAS space and for a metric of which less is better,
with an `Objective`: it equals the metric, and a space that is queried for it returns a score that
grows as the metric improves. A space queried for the metric itself returns kWh, and so does
everything that NASLib writes. The direction is that of `naslib_ecnas.metrics`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from naslib_ecnas.adapters import naslib_compat
from naslib_ecnas.adapters.naslib_metrics import COLUMNS, column, read
from naslib_ecnas.errors import ConfigError, UnknownMetricError
from naslib_ecnas.metrics import METRICS

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark, Record

__all__ = ["Objective", "install", "objective"]


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
    metrics = naslib_compat.require("naslib.search_spaces.core.query_metrics").Metric
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
    base = naslib_compat.require("naslib.optimizers.core.metaclasses").MetaOptimizer
    if not isinstance(vars(base).get("performance_metric"), _PerformanceMetric):
        base.performance_metric = _PerformanceMetric()
