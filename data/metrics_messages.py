"""The messages that NAS-Bench-101 and EC-NAS store for each training.

The field numbers are those of `nasbench/lib/model_metrics.proto` (google-research/nasbench) and of
`model_metrics_energy.proto` (EC-NAS-Bench). Every optional field that a message does not carry is
None, every repeated one an empty tuple, so that presence survives reading and writing. Fields of
other numbers are skipped when a message is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from naslib_ecnas.data import wire
from naslib_ecnas.data.source import NOWHERE, Source

__all__ = [
    "Device",
    "DeviceUsage",
    "Evaluation",
    "EvaluationEnergy",
    "FieldSpec",
    "Message",
    "ModelMetrics",
    "ModelMetricsEnergy",
    "PowerUsage",
    "Usage",
    "decode",
    "encode",
    "specs",
]


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
        return {"double": wire.FIXED64, "int32": wire.VARINT}.get(self.kind, wire.LENGTH)


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
    """kWh foretold by the tracker."""
    pred_co2eq: float | None = _double(12)
    """Grams of CO2 equivalent foretold."""
    pred_training_time: float | None = _double(13)
    """Seconds foretold."""
    pred_avg_intensity: float | None = _double(14)
    """Carbon intensity foretold, g/kWh."""
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
        found = [FieldSpec(*_named(item)) for item in fields(message)]
        known = {spec.number: spec for spec in sorted(found, key=lambda spec: spec.number)}
        _SPECS[message] = known
    return known


def _named(item: Any) -> tuple[int, str, str, bool, type[Message] | None]:
    number, kind, repeated, inner = item.metadata["spec"]
    return number, item.name, kind, repeated, inner


def decode(message: type[M], data: bytes, source: Source = NOWHERE) -> M:
    """Read a message.

    As in protocol buffers, of a field that is met twice the last value counts, and a message
    that is met twice is merged.

    Args:
        message: `ModelMetrics`, `ModelMetricsEnergy` or a part of them.
        data: its bytes.
        source: where they lie, for errors.

    Raises:
        FormatError: the bytes are no message, or a field has another type: a message of the
            other kind, for instance.
    """
    known = specs(message)
    values: dict[str, Any] = {}
    parts: dict[str, list[Any]] = {}
    pieces: dict[str, tuple[FieldSpec, int, list[bytes]]] = {}
    for met in wire.fields(data, source):
        spec = known.get(met.number)
        if spec is None:
            continue
        _check_type(message, spec, met, source)
        if spec.kind == "double":
            values[spec.name] = wire.double(data, met)
        elif spec.kind == "int32":
            values[spec.name] = wire.int32(met, source)
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


def _check_type(message: type[Message], spec: FieldSpec, met: wire.Field, source: Source) -> None:
    if met.wire_type != spec.wire_type:
        raise source.fault(
            f"field {spec.name} of {message.__name__} has another type",
            at=met.start,
            value=f"wire type {met.wire_type}",
            expected=f"wire type {spec.wire_type} ({spec.kind})",
            remedy="NAS-Bench-101's and EC-NAS's messages differ: read each as what it is",
        )


def _text(data: bytes, met: wire.Field, source: Source) -> str:
    raw = data[met.start : met.stop]
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise source.fault(
            "a text is not UTF-8", at=met.start, value=raw, expected="UTF-8"
        ) from error


def encode(message: Message) -> bytes:
    """Write a message canonically: fields by ascending number, shortest varints."""
    out = []
    for spec in specs(type(message)).values():
        value = getattr(message, spec.name)
        if value is None:
            continue
        if spec.kind == "double":
            out.append(wire.pack_double(spec.number, value))
        elif spec.kind == "int32":
            out.append(wire.pack_int32(spec.number, value))
        elif spec.kind == "string":
            out.append(wire.pack_bytes(spec.number, value.encode()))
        else:
            items = value if spec.repeated else (value,)
            out.extend(wire.pack_bytes(spec.number, encode(item)) for item in items)
    return b"".join(out)
