"""Which metric each field of a message is: the one place that knows both vocabularies.

A training has one evaluation (at its end) or three (at its start, halfway and at its end). The
last one's metrics have no prefix, those of the others `initial_` and `halfway_`, and those of the
whole run `total_`. Of several GPUs the first is kept, of several CPU packages the first two.
Checkpoint paths and forecasts of other evaluations than the last are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

from naslib_ecnas.data.metrics_messages import (
    Device,
    DeviceUsage,
    Evaluation,
    EvaluationEnergy,
    Message,
    ModelMetrics,
    ModelMetricsEnergy,
    PowerUsage,
    Usage,
    specs,
)
from naslib_ecnas.data.source import NOWHERE, Source
from naslib_ecnas.data.timestamps import from_seconds, to_seconds

__all__ = [
    "Path",
    "check_evaluations",
    "from_metrics",
    "is_device",
    "metric_of",
    "metrics_of",
    "to_metrics",
]

#: Attribute names and places in tuples that lead to a value, such as
#: `("evaluations", 2, "energy")`.
Path: TypeAlias = tuple[str | int, ...]

M = TypeVar("M", ModelMetrics, ModelMetricsEnergy)

_EVALUATION = {
    "current_epoch": "epoch",
    "training_time": "training_time_s",
    "train_accuracy": "train_accuracy",
    "validation_accuracy": "validation_accuracy",
    "test_accuracy": "test_accuracy",
    "energy": "energy_kwh",
    "co2eq": "co2_g",
    "avg_intensity": "carbon_intensity_g_per_kwh",
    "start_emission": "started_unix_s",
    "stop_emission": "stopped_unix_s",
}
_PREDICTED = {
    "pred_energy": "predicted_energy_kwh",
    "pred_co2eq": "predicted_co2_g",
    "pred_training_time": "predicted_time_s",
    "pred_avg_intensity": "predicted_carbon_intensity_g_per_kwh",
}
_TOTAL = {
    "total_time": "total_time_s",
    "total_energy": "total_energy_kwh",
    "total_co2eq": "total_co2_g",
    "start_emission": "total_started_unix_s",
    "stop_emission": "total_stopped_unix_s",
    "overall_avg_intensity": "total_carbon_intensity_g_per_kwh",
}
_POWER = {
    ("gpu", "watts", 0): "gpu_power_w",
    ("gpu", "joules", 0): "gpu_energy_j",
    ("cpu", "watts", 0): "cpu_power_w",
    ("cpu", "joules", 0): "cpu_energy_j",
    ("cpu", "watts", 1): "cpu1_power_w",
    ("cpu", "joules", 1): "cpu1_energy_j",
}
_PREFIXES = {1: ("",), 3: ("initial_", "halfway_", "")}
#: Attributes of the content's header that name the devices, by the message's attribute.
DEVICES = ("gpu", "cpu")


def check_evaluations(count: int, source: Source = NOWHERE) -> None:
    """Raise FormatError unless a message has one evaluation or three."""
    if count not in _PREFIXES:
        raise source.fault(
            "the number of evaluations of a training is not known here",
            value=count,
            expected="1 (the end) or 3 (the start, halfway, the end)",
        )


def metric_of(path: Path, evaluations: int) -> str | None:
    """The metric that the value at a path is, None where it is none.

    Args:
        path: where the value lies in its message.
        evaluations: number of evaluations of the message.
    """
    match path:
        case ("evaluations", int(place), str(name)):
            prefix = _PREFIXES[evaluations][place]
            if name in _EVALUATION:
                return prefix + _EVALUATION[name]
            return None if prefix else _PREDICTED.get(name)
        case ("power", str(sort), str(what), int(place), "value"):
            return _POWER.get((sort, what, place))
        case (str(name),):
            return _TOTAL.get(name)
        case _:
            return None


def is_device(path: Path) -> bool:
    """Whether the value at a path is the name of a device."""
    return path[0] == "power" and path[-1] == "name"


def to_metrics(
    message: ModelMetrics | ModelMetricsEnergy, source: Source = NOWHERE
) -> tuple[dict[str, float], dict[str, str]]:
    """The metrics of a message, and the names of the devices by sort.

    Raises:
        FormatError: another number of evaluations, or a text that is no time.
    """
    count = len(message.evaluations)
    check_evaluations(count, source)
    values: dict[str, float] = {}
    names: dict[str, list[str]] = {}
    for path, value in _leaves(message, ()):
        if is_device(path):
            names.setdefault(str(path[1]), []).append(value)
        name = metric_of(path, count)
        if name is not None:
            values[name] = to_seconds(value, source) if isinstance(value, str) else float(value)
    return values, {sort: ", ".join(found) for sort, found in names.items()}


def _leaves(message: Message, path: Path) -> Iterator[tuple[Path, Any]]:
    for spec in specs(type(message)).values():
        value = getattr(message, spec.name)
        if spec.repeated:
            for place, item in enumerate(value):
                yield from _leaves(item, (*path, spec.name, place))
        elif isinstance(value, Message):
            yield from _leaves(value, (*path, spec.name))
        elif value is not None:
            yield (*path, spec.name), value


def from_metrics(
    values: Mapping[str, float],
    kind: type[M],
    *,
    trainable_parameters: int,
    devices: Mapping[str, str],
    source: Source = NOWHERE,
) -> M:
    """The message of a training's metrics: the inverse of `to_metrics`.

    It always has three evaluations, which is what the official readers expect.

    Args:
        values: metrics that are there, none that the kind of message cannot hold.
        kind: the message to make.
        trainable_parameters: of the cell.
        devices: names of the devices by sort (`gpu`, `cpu`), comma-separated.
        source: for errors.

    Raises:
        FormatError: a time that is not in whole seconds.
    """
    evaluation = EvaluationEnergy if kind is ModelMetricsEnergy else Evaluation
    points: Any = tuple(
        evaluation(**_taken(values, evaluation, prefix, source)) for prefix in _PREFIXES[3]
    )
    known = {spec.name for spec in specs(kind).values()}
    content: dict[str, Any] = {
        name: _text_or_number(metric, values[metric], source)
        for name, metric in _TOTAL.items()
        if metric in values and name in known
    }
    if "power" in known:
        content["power"] = _power(values, devices)
    return kind(evaluations=points, trainable_parameters=trainable_parameters, **content)


def metrics_of(kind: type[ModelMetrics] | type[ModelMetricsEnergy]) -> frozenset[str]:
    """Names of the metrics that a kind of message can hold."""
    energy = kind is ModelMetricsEnergy
    known = {spec.name for spec in specs(EvaluationEnergy if energy else Evaluation).values()}
    held = {
        prefix + metric
        for prefix in _PREFIXES[3]
        for name, metric in _EVALUATION.items()
        if name in known
    }
    whole = {spec.name for spec in specs(kind).values()}
    held.update(metric for name, metric in _TOTAL.items() if name in whole)
    if energy:
        held.update(_PREDICTED.values(), _POWER.values())
    return frozenset(held)


def _taken(
    values: Mapping[str, float], evaluation: type[Message], prefix: str, source: Source
) -> dict[str, Any]:
    """The fields of one evaluation."""
    vocabulary = {name: prefix + metric for name, metric in _EVALUATION.items()}
    if not prefix:
        vocabulary.update(_PREDICTED)
    known = {spec.name for spec in specs(evaluation).values()}
    return {
        name: _text_or_number(metric, values[metric], source)
        for name, metric in vocabulary.items()
        if metric in values and name in known
    }


def _text_or_number(metric: str, value: float, source: Source) -> str | float:
    return from_seconds(value, source) if metric.endswith("_unix_s") else value


def _power(values: Mapping[str, float], devices: Mapping[str, str]) -> PowerUsage | None:
    sorts: dict[str, DeviceUsage] = {}
    for sort in DEVICES:
        lists: dict[str, tuple[Usage, ...]] = {}
        for what in ("watts", "joules"):
            found = [
                values.get(metric)
                for (its_sort, its_what, _), metric in _POWER.items()
                if (its_sort, its_what) == (sort, what)
            ]
            while found and found[-1] is None:
                found.pop()
            lists[what] = tuple(Usage(value) for value in found)
        if any(lists.values()):
            names = devices.get(sort, "")
            named = tuple(Device(name) for name in names.split(", ") if name)
            sorts[sort] = DeviceUsage(**lists, devices=named)
    return PowerUsage(**sorts) if sorts else None
