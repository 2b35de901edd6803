"""The protocol buffers that NAS-Bench-101 and EC-NAS store for each training.

Three layers: the wire format (`fields` and the `pack_` functions), read strictly and written
canonically; the messages with the field numbers of `nasbench/lib/model_metrics.proto`
(google-research/nasbench) and `model_metrics_energy.proto` (EC-NAS-Bench); and the metrics of a
message (`to_metrics`, `from_metrics`).

A missing optional field is None and a missing repeated field an empty tuple, so that presence
survives reading and writing. Unknown fields are skipped.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.assemble import NOWHERE, Source
from naslib_ecnas.errors import TruncatedError

__all__ = [
    "DEVICES",
    "LENGTH",
    "TIMESTAMP_LENGTH",
    "Device",
    "DeviceUsage",
    "Evaluation",
    "EvaluationEnergy",
    "Message",
    "MessagePath",
    "ModelMetrics",
    "ModelMetricsEnergy",
    "PowerUsage",
    "Usage",
    "check_evaluations",
    "decode",
    "encode",
    "fields",
    "from_metrics",
    "from_seconds",
    "is_device",
    "many_to_seconds",
    "metric_of",
    "metrics_of",
    "specs",
    "to_metrics",
    "to_seconds",
]

# -- wire format ----------------------------------------------------------------------------------
#
# A message is a sequence of fields; a field is a varint tag (number << 3 | wire type) and a value:
# a varint (0), eight bytes (1), a length and so many bytes (2) or four bytes (5). Groups (3, 4) are
# long deprecated and not used by these files. See
# https://protobuf.dev/programming-guides/encoding/.

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_SIZE = {FIXED64: 8, FIXED32: 4}
_MAX_FIELD = (1 << 29) - 1
_MAX_VARINT_BYTES = 10


class Field(NamedTuple):
    """One field of a message."""

    number: int
    wire_type: int
    value: int
    """The varint, or the number of bytes of any other value."""
    start: int
    """Position of the value's first byte in the message (behind the length, if any)."""
    stop: int
    """Position behind the value's last byte."""


def varint(data: bytes, position: int, source: Source = NOWHERE) -> tuple[int, int]:
    """An unsigned varint of at most 64 bits.

    Returns:
        `(value, position behind it)`.

    Raises:
        TruncatedError: the bytes end within it.
        FormatError: it has more than ten bytes or more than 64 bits.
    """
    value = 0
    for i in range(_MAX_VARINT_BYTES):
        if position + i >= len(data):
            raise source.fault("the bytes end within a varint", at=position, kind=TruncatedError)
        byte = data[position + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if value >> 64:
                break
            return value, position + i + 1
    message = f"a varint must have at most {_MAX_VARINT_BYTES} bytes and 64 bits"
    raise source.fault(message, at=position)


def fields(data: bytes, source: Source = NOWHERE) -> Iterator[Field]:
    """The fields of a message, in the order of its bytes.

    Raises:
        TruncatedError: a value lies beyond the end of the message.
        FormatError: an overlong varint, a group, field number 0 or one over 2**29 - 1.
    """
    position, end = 0, len(data)
    while position < end:
        at = position
        tag, position = varint(data, position, source)
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number <= _MAX_FIELD:
            message = f"a field number must be from 1 to {_MAX_FIELD}"
            raise source.fault(message, at=at, value=number)
        if wire_type == VARINT:
            start = position
            value, position = varint(data, position, source)
            yield Field(number, VARINT, value, start, position)
            continue
        if wire_type == LENGTH:
            value, position = varint(data, position, source)
        elif wire_type in _SIZE:
            value = _SIZE[wire_type]
        else:
            message = f"field {number} must have wire type 0, 1, 2 or 5"
            raise source.fault(message, at=at, value=wire_type)
        if value > end - position:
            message = f"field {number} of {value} bytes reaches beyond the end of its message"
            raise source.fault(message, at=at, kind=TruncatedError)
        yield Field(number, wire_type, value, position, position + value)
        position += value


def double(data: bytes, field: Field) -> float:
    """The value of a field of eight bytes."""
    value: float = struct.unpack_from("<d", data, field.start)[0]
    return value


def int32(field: Field, source: Source = NOWHERE) -> int:
    """The value of a varint field as a signed number of 32 bits.

    Raises:
        FormatError: it does not fit. (Negative numbers are written as 64 bits.)
    """
    value = field.value - (1 << 64) if field.value >> 63 else field.value
    if not -(1 << 31) <= value < 1 << 31:
        message = f"field {field.number} must fit 32 bits"
        raise source.fault(message, at=field.start, value=value)
    return value


def pack_varint(value: int) -> bytes:
    """The shortest varint of a number from 0 to 2**64 - 1."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int, wire_type: int) -> bytes:
    return pack_varint(number << 3 | wire_type)


def pack_int32(number: int, value: int) -> bytes:
    """A varint field with a signed number."""
    return _tag(number, VARINT) + pack_varint(value & (1 << 64) - 1)


def pack_double(number: int, value: float) -> bytes:
    """A field of eight bytes."""
    return _tag(number, FIXED64) + struct.pack("<d", value)


def pack_bytes(number: int, value: bytes) -> bytes:
    """A length-delimited field: a string, bytes or a message."""
    return _tag(number, LENGTH) + pack_varint(len(value)) + value


# -- times ----------------------------------------------------------------------------------------
#
# EC-NAS's tracker writes local times without a zone. They are converted to seconds since 1970 as if
# they were UTC, so that differences are right and a text comes back as it was.

_FORM = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

#: Characters of `YYYY-mm-dd HH:MM:SS`.
TIMESTAMP_LENGTH = 19

_PLACES = {"year": (0, 4), "month": (5, 2), "day": (8, 2), "hour": (11, 2), "minute": (14, 2)}

_MARKS = ((4, "-"), (7, "-"), (10, " "), (13, ":"), (16, ":"))

_CUMULATIVE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])


def to_seconds(text: str, source: Source = NOWHERE) -> float:
    """Seconds since 1970 of a text such as `2022-05-29 06:03:58`.

    Raises:
        FormatError: the text is not a time of this form.
    """
    found = _FORM.fullmatch(text)
    try:
        year, month, day, hour, minute, second = map(int, found.groups() if found else ())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError as error:
        raise source.fault("a time must be written YYYY-mm-dd HH:MM:SS", value=text) from error
    return (moment - _EPOCH).total_seconds()


def from_seconds(seconds: float, source: Source = NOWHERE) -> str:
    """The inverse of `to_seconds`.

    Raises:
        FormatError: the seconds are not whole, or the year is not from 1 to 9999.
    """
    try:
        if seconds != int(seconds):
            raise ValueError(seconds)
        moment = _EPOCH + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError) as error:
        message = "a time must be in whole seconds and of a year from 1 to 9999"
        raise source.fault(message, value=seconds) from error
    return moment.replace(tzinfo=None).isoformat(sep=" ")


def many_to_seconds(
    characters: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Seconds of many texts.

    Args:
        characters: (n, 19) ASCII codes.

    Returns:
        (n,) seconds, and (n,) whether each text is a time; the seconds of the others mean nothing.
    """
    digits = (characters - np.uint8(ord("0"))).astype(np.int32)
    good = np.ones(len(characters), dtype=bool)
    for at, mark in _MARKS:
        good &= characters[:, at] == ord(mark)
    number = {}
    for name, (start, width) in {**_PLACES, "second": (17, 2)}.items():
        value = np.zeros(len(characters), dtype=np.int32)
        for place in range(start, start + width):
            digit = digits[:, place]
            good &= digit <= 9
            value = value * 10 + digit
        number[name] = value
    year, month, day = number["year"], number["month"], number["day"]
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (number["hour"] < 24) & (number["minute"] < 60) & (number["second"] < 60)
    month = np.where(good, month, 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    in_month = _CUMULATIVE[month] - _CUMULATIVE[month - 1] + (leap & (month == 2))
    good &= day <= in_month
    before = year.astype(np.int64) - 1
    days = 365 * before + before // 4 - before // 100 + before // 400 - 719_162
    days += _CUMULATIVE[month - 1] + (leap & (month > 2)) + day - 1
    seconds = ((days * 24 + number["hour"]) * 60 + number["minute"]) * 60 + number["second"]
    return seconds.astype(np.float64), good


# -- messages -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FieldSpec:
    """How one attribute of a message is written."""

    number: int
    name: str
    kind: str
    """`double`, `int32`, `string` or `message`."""
    repeated: bool = False
    message: type[Message] | None = None
    """Class of a field that is itself a message."""

    @property
    def wire_type(self) -> int:
        """Wire type of the field's values."""
        return {"double": FIXED64, "int32": VARINT}.get(self.kind, LENGTH)


class Message:
    """Base of the messages; a class's attributes carry their field numbers as metadata."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


M = TypeVar("M", bound=Message)


def _double(number: int) -> Any:
    return field(default=None, metadata={"spec": (number, "double", False, None)})


def _int32(number: int) -> Any:
    return field(default=None, metadata={"spec": (number, "int32", False, None)})


def _string(number: int) -> Any:
    return field(default=None, metadata={"spec": (number, "string", False, None)})


def _one(number: int, message: type[Message]) -> dict[str, Any]:
    return {"spec": (number, "message", False, message)}


def _many(number: int, message: type[Message]) -> Any:
    return field(default=(), metadata={"spec": (number, "message", True, message)})


@dataclass(frozen=True)
class Evaluation(Message):
    """NAS-Bench-101's metrics at one point of a training (`EvaluationData`)."""

    current_epoch: float | None = _double(1)
    """Epochs trained so far."""
    training_time: float | None = _double(2)
    """Seconds of training so far, evaluations left out."""
    train_accuracy: float | None = _double(3)
    """Fraction, on 10,000 training images."""
    validation_accuracy: float | None = _double(4)
    """Fraction, on the validation images."""
    test_accuracy: float | None = _double(5)
    """Fraction, on the test images."""
    checkpoint_path: str | None = _string(6)
    """Where the weights were kept."""


@dataclass(frozen=True)
class EvaluationEnergy(Message):
    """EC-NAS's metrics at one point of a training (`EvaluationDataEnergy`)."""

    current_epoch: float | None = _double(1)
    """Epochs trained so far."""
    training_time: float | None = _double(2)
    """Seconds of training so far, evaluations left out."""
    train_accuracy: float | None = _double(3)
    """Fraction, on 10,000 training images."""
    validation_accuracy: float | None = _double(4)
    """Fraction, on the validation images."""
    test_accuracy: float | None = _double(5)
    """Fraction, on the test images."""
    energy: float | None = _double(6)
    """kWh of the window that ends here."""
    co2eq: float | None = _double(7)
    """Grams of CO2 equivalent of that window."""
    avg_intensity: float | None = _double(8)
    """Mean carbon intensity in g/kWh."""
    start_emission: str | None = _string(9)
    """Start of the window, local time without a zone, `YYYY-mm-dd HH:MM:SS`."""
    stop_emission: str | None = _string(10)
    """End of the window, likewise."""
    pred_energy: float | None = _double(11)
    """kWh predicted by the tracker."""
    pred_co2eq: float | None = _double(12)
    """Grams of CO2 equivalent, predicted."""
    pred_training_time: float | None = _double(13)
    """Seconds, predicted."""
    pred_avg_intensity: float | None = _double(14)
    """Carbon intensity in g/kWh, predicted."""
    checkpoint_path: str | None = _string(15)
    """Where the weights were kept."""


@dataclass(frozen=True)
class Usage(Message):
    """Mean power (W) or energy (J) of one device (`UsageW`, `UsageJ`)."""

    value: float | None = _double(1)


@dataclass(frozen=True)
class Device(Message):
    """Name of one device."""

    name: str | None = _string(1)


@dataclass(frozen=True)
class DeviceUsage(Message):
    """Power and energy of the devices of one sort (`GPU`, `CPU`)."""

    watts: tuple[Usage, ...] = _many(1, Usage)
    joules: tuple[Usage, ...] = _many(2, Usage)
    devices: tuple[Device, ...] = _many(3, Device)


@dataclass(frozen=True)
class PowerUsage(Message):
    """Power and energy by sort of device (`PowerUsageData`)."""

    gpu: DeviceUsage | None = field(default=None, metadata=_one(1, DeviceUsage))
    cpu: DeviceUsage | None = field(default=None, metadata=_one(2, DeviceUsage))


@dataclass(frozen=True)
class ModelMetrics(Message):
    """One training in NAS-Bench-101's files: evaluations at the start, halfway and at the end."""

    evaluations: tuple[Evaluation, ...] = _many(1, Evaluation)
    trainable_parameters: int | None = _int32(2)
    total_time: float | None = _double(3)
    """Seconds of the whole run, evaluations included."""


@dataclass(frozen=True)
class ModelMetricsEnergy(Message):
    """One training in EC-NAS's files: evaluations at the start, halfway and at the end."""

    evaluations: tuple[EvaluationEnergy, ...] = _many(1, EvaluationEnergy)
    trainable_parameters: int | None = _int32(2)
    total_time: float | None = _double(3)
    """Seconds of the whole run, evaluations included."""
    total_energy: float | None = _double(4)
    """kWh of the whole run."""
    total_co2eq: float | None = _double(5)
    """Grams of CO2 equivalent of the whole run."""
    start_emission: str | None = _string(6)
    """Start of the run, local time without a zone, `YYYY-mm-dd HH:MM:SS`."""
    stop_emission: str | None = _string(7)
    """End of the run, likewise."""
    overall_avg_intensity: float | None = _double(8)
    """Mean carbon intensity in g/kWh."""
    power: PowerUsage | None = field(default=None, metadata=_one(9, PowerUsage))
    """Mean power and energy of the devices."""


_SPECS: dict[type[Message], Mapping[int, FieldSpec]] = {}


def specs(message: type[Message]) -> Mapping[int, FieldSpec]:
    """The fields of a message by number, ascending."""
    known = _SPECS.get(message)
    if known is None:
        found = [FieldSpec(*_named(item)) for item in dataclasses.fields(message)]
        known = {spec.number: spec for spec in sorted(found, key=lambda spec: spec.number)}
        _SPECS[message] = known
    return known


def _named(item: Any) -> tuple[int, str, str, bool, type[Message] | None]:
    number, kind, repeated, inner = item.metadata["spec"]
    return number, item.name, kind, repeated, inner


def decode(message: type[M], data: bytes, source: Source = NOWHERE) -> M:
    """Read a message.

    As protocol buffers demand, the last value of a repeated scalar counts, and messages that
    occur twice are merged.

    Args:
        message: `ModelMetrics`, `ModelMetricsEnergy` or a part of them.
        data: its bytes.
        source: place of the bytes, for errors.

    Raises:
        FormatError: the bytes are not a message, or a field has another type, as in a message of
            the other kind.
    """
    known = specs(message)
    values: dict[str, Any] = {}
    parts: dict[str, list[Any]] = {}
    pieces: dict[str, tuple[FieldSpec, int, list[bytes]]] = {}
    for met in fields(data, source):
        spec = known.get(met.number)
        if spec is None:
            continue
        _check_type(message, spec, met, source)
        if spec.kind == "double":
            values[spec.name] = double(data, met)
        elif spec.kind == "int32":
            values[spec.name] = int32(met, source)
        elif spec.kind == "string":
            values[spec.name] = _text(data, met, source)
        elif spec.repeated and spec.message is not None:
            inner = decode(spec.message, data[met.start : met.stop], source.at(met.start))
            parts.setdefault(spec.name, []).append(inner)
        else:
            piece = pieces.setdefault(spec.name, (spec, met.start, []))
            piece[2].append(data[met.start : met.stop])
    for name, (spec, start, chunks) in pieces.items():
        if spec.message is not None:  # the merge of messages is the message of their bytes
            values[name] = decode(spec.message, b"".join(chunks), source.at(start))
    values.update({name: tuple(items) for name, items in parts.items()})
    return message(**values)


def _check_type(message: type[Message], spec: FieldSpec, met: Field, source: Source) -> None:
    if met.wire_type != spec.wire_type:
        text = f"{spec.name} of {message.__name__} must have wire type {spec.wire_type}"
        remedy = "NAS-Bench-101's and EC-NAS's messages differ: read each as what it is"
        raise source.fault(text, at=met.start, value=met.wire_type, remedy=remedy)


def _text(data: bytes, met: Field, source: Source) -> str:
    raw = data[met.start : met.stop]
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise source.fault("a text must be UTF-8", at=met.start, value=raw) from error


def encode(message: Message) -> bytes:
    """Write a message canonically: fields by ascending number, shortest varints."""
    out = []
    for spec in specs(type(message)).values():
        value = getattr(message, spec.name)
        if value is None:
            continue
        if spec.kind == "double":
            out.append(pack_double(spec.number, value))
        elif spec.kind == "int32":
            out.append(pack_int32(spec.number, value))
        elif spec.kind == "string":
            out.append(pack_bytes(spec.number, value.encode()))
        else:
            items = value if spec.repeated else (value,)
            out.extend(pack_bytes(spec.number, encode(item)) for item in items)
    return b"".join(out)


# -- metrics of messages --------------------------------------------------------------------------
#
# A training has one evaluation (at its end) or three (at its start, halfway and at its end). The
# metrics of the last one have no prefix, the others `initial_` and `halfway_`, and those of the
# whole run `total_`. Of several GPUs the first is kept, of several CPU packages the first two.
# Checkpoint paths are not kept, and predictions only of the last evaluation.

#: Attribute names and indices that lead to a value, such as `("evaluations", 2, "energy")`.
MessagePath: TypeAlias = tuple[str | int, ...]

Metrics = TypeVar("Metrics", ModelMetrics, ModelMetricsEnergy)

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

#: Attributes of a table that name the devices.
DEVICES = ("gpu", "cpu")


def check_evaluations(count: int, source: Source = NOWHERE) -> None:
    """Raise FormatError unless a message has one evaluation or three."""
    if count not in _PREFIXES:
        message = "a training must have 1 evaluation (at its end) or 3 (start, halfway, end)"
        raise source.fault(message, value=count)


def metric_of(path: MessagePath, evaluations: int) -> str | None:
    """The metric of the value at a path; None if it is not a metric.

    Args:
        path: place of the value in its message.
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


def is_device(path: MessagePath) -> bool:
    """Whether the value at a path is the name of a device."""
    return path[0] == "power" and path[-1] == "name"


def to_metrics(
    message: ModelMetrics | ModelMetricsEnergy, source: Source = NOWHERE
) -> tuple[dict[str, float], dict[str, str]]:
    """The metrics of a message, and the names of the devices by sort.

    Raises:
        FormatError: the number of evaluations is not 1 or 3, or a time is malformed.
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


def _leaves(message: Message, path: MessagePath) -> Iterator[tuple[MessagePath, Any]]:
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
    kind: type[Metrics],
    *,
    trainable_parameters: int,
    devices: Mapping[str, str],
    source: Source = NOWHERE,
) -> Metrics:
    """The message of a training's metrics: the inverse of `to_metrics`.

    It always has three evaluations, as the official readers expect.

    Args:
        values: the metrics, all of which this kind of message can hold.
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
