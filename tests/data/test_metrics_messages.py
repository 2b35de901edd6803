"""Messages: presence, canonical bytes, unknown fields, agreement with protobuf."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.data import protobuf
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.protobuf import (
    Device,
    DeviceUsage,
    Evaluation,
    EvaluationEnergy,
    Message,
    ModelMetrics,
    ModelMetricsEnergy,
    PowerUsage,
    Usage,
    decode,
    encode,
    specs,
)
from naslib_ecnas.errors import FormatError, TruncatedError

PARTS = [Usage, Device, DeviceUsage, PowerUsage, Evaluation, EvaluationEnergy]
WHOLE = [ModelMetrics, ModelMetricsEnergy]


def messages(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Any message of a kind, each field there or not."""
    values: dict[str, st.SearchStrategy[Any]] = {}
    for spec in specs(kind).values():
        if spec.message is not None:
            inner = messages(spec.message)
            values[spec.name] = (
                st.lists(inner, max_size=3).map(tuple) if spec.repeated else st.none() | inner
            )
        elif spec.kind == "double":
            values[spec.name] = st.none() | st.floats(allow_nan=False)
        elif spec.kind == "int32":
            values[spec.name] = st.none() | st.integers(-(1 << 31), (1 << 31) - 1)
        else:
            values[spec.name] = st.none() | st.text(max_size=5)
    return st.builds(kind, **values)


@pytest.mark.parametrize("kind", PARTS + WHOLE)
def test_messages_come_back_with_their_presence(kind: type[Message]) -> None:
    @settings(max_examples=30, deadline=None)
    @given(messages(kind))
    def check(message: Any) -> None:
        data = encode(message)
        assert decode(kind, data) == message
        assert encode(decode(kind, data)) == data

    check()


def test_absent_is_none_and_zero_is_zero() -> None:
    assert decode(Evaluation, b"") == Evaluation()
    assert Evaluation().current_epoch is None
    assert decode(Evaluation, encode(Evaluation(current_epoch=0.0))).current_epoch == 0.0


def test_field_numbers() -> None:
    assert [s.number for s in specs(EvaluationEnergy).values()] == list(range(1, 16))
    assert [s.number for s in specs(ModelMetricsEnergy).values()] == list(range(1, 10))
    assert [s.number for s in specs(Evaluation).values()] == list(range(1, 7))
    assert [s.number for s in specs(ModelMetrics).values()] == [1, 2, 3]


def test_unknown_fields_are_kept_out() -> None:
    known = encode(ModelMetrics(trainable_parameters=5, total_time=1.5))
    unknown = (
        protobuf.pack_bytes(40, b"\xff\x00")
        + protobuf.pack_int32(41, -1)
        + protobuf.pack_double(9, 2.0)
    )
    found = decode(ModelMetrics, unknown + known + unknown)
    assert found == ModelMetrics(trainable_parameters=5, total_time=1.5)
    assert encode(found) == known


def test_the_last_value_counts_and_messages_merge() -> None:
    assert decode(Usage, protobuf.pack_double(1, 1.0) + protobuf.pack_double(1, 2.0)) == Usage(2.0)
    gpu = PowerUsage(gpu=DeviceUsage(watts=(Usage(1.0),)))
    both = PowerUsage(gpu=DeviceUsage(watts=(Usage(2.0),)), cpu=DeviceUsage())
    merged = decode(PowerUsage, encode(gpu) + encode(both))
    assert merged == PowerUsage(gpu=DeviceUsage(watts=(Usage(1.0), Usage(2.0))), cpu=DeviceUsage())


def test_the_other_kind_of_message_is_refused() -> None:
    energy = ModelMetricsEnergy(evaluations=(EvaluationEnergy(energy=0.1),))
    with pytest.raises(FormatError, match="checkpoint_path of Evaluation") as caught:
        decode(ModelMetrics, encode(energy), Source("x", 7))
    assert caught.value.offset == 7 + 3


def test_texts_must_be_utf8() -> None:
    with pytest.raises(FormatError, match="UTF-8"):
        decode(Device, protobuf.pack_bytes(1, b"\xff"))


@pytest.mark.parametrize("kind", WHOLE)
def test_every_cut_of_a_message_is_read_or_refused(kind: Any) -> None:
    evaluation = specs(kind)[1].message
    assert evaluation is not None
    data = encode(kind(evaluations=(evaluation(current_epoch=1.0), evaluation()), total_time=3.0))
    for cut in range(len(data)):
        with suppress(TruncatedError):
            decode(kind, data[:cut], Source("x", 0))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(WHOLE), st.binary(max_size=80))
def test_garbage_is_read_or_refused(kind: Any, data: bytes) -> None:
    with suppress(FormatError):
        decode(kind, data)


# -- against protobuf ---------------------------------------------------------------------------

# Names and numbers as the published .proto files have them.
ENERGY_EVALUATION = [
    *("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy"),
    *("energy", "co2eq", "avg_intensity", "start_emission", "stop_emission", "pred_energy"),
    *("pred_co2eq", "pred_training_time", "pred_avg_intensity", "checkpoint_path"),
]
PROTOS: dict[str, list[tuple[str, int, str]]] = {
    "Device": [("name", 1, "string")],
    "UsageW": [("avg_power_usage", 1, "double")],
    "UsageJ": [("avg_power_usage", 1, "double")],
    **{
        sort: [
            ("avg_power_usages_w", 1, "*UsageW"),
            ("avg_power_usages_j", 2, "*UsageJ"),
            ("devices", 3, "*Device"),
        ]
        for sort in ("GPU", "CPU")
    },
    "PowerUsageData": [("gpu", 1, "GPU"), ("cpu", 2, "CPU")],
    "EvaluationDataEnergy": [
        (name, i, "string" if name.endswith(("emission", "path")) else "double")
        for i, name in enumerate(ENERGY_EVALUATION, 1)
    ],
    "ModelMetricsEnergy": [
        ("evaluation_data_energy", 1, "*EvaluationDataEnergy"),
        ("trainable_parameters", 2, "int32"),
        ("total_time", 3, "double"),
        ("total_energy", 4, "double"),
        ("total_co2eq", 5, "double"),
        ("start_emission", 6, "string"),
        ("stop_emission", 7, "string"),
        ("overall_avg_intensity", 8, "double"),
        ("avg_power_usages", 9, "PowerUsageData"),
    ],
    "EvaluationData": [(name, i, "double") for i, name in enumerate(ENERGY_EVALUATION[:5], 1)]
    + [("checkpoint_path", 6, "string")],
    "ModelMetrics": [
        ("evaluation_data", 1, "*EvaluationData"),
        ("trainable_parameters", 2, "int32"),
        ("total_time", 3, "double"),
    ],
}


@pytest.fixture(scope="module")
def classes() -> dict[str, Any]:
    """protobuf's own classes of the messages, built without a compiler."""
    pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    file = pb2.FileDescriptorProto(name="metrics_for_tests.proto", package="t", syntax="proto2")
    types = pb2.FieldDescriptorProto
    scalars = {"double": types.TYPE_DOUBLE, "string": types.TYPE_STRING, "int32": types.TYPE_INT32}
    for name, rows in PROTOS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in rows:
            repeated = kind.startswith("*")
            entry = message.field.add(
                name=field,
                number=number,
                label=types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL,
            )
            if kind in scalars:
                entry.type = scalars[kind]
            else:
                entry.type, entry.type_name = types.TYPE_MESSAGE, ".t." + kind.lstrip("*")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName("t." + name))
        for name in PROTOS
    }


def assert_agrees(ours: Message, theirs: Any) -> None:
    """Presence and value of every field."""
    numbers = {d.number: d for d in theirs.DESCRIPTOR.fields}
    for spec in specs(type(ours)).values():
        name = numbers[spec.number].name
        value = getattr(ours, spec.name)
        if spec.repeated:
            items = getattr(theirs, name)
            assert len(items) == len(value)
            for mine, other in zip(value, items, strict=True):
                assert_agrees(mine, other)
        elif value is None:
            assert not theirs.HasField(name)
        elif spec.message is not None:
            assert theirs.HasField(name)
            assert_agrees(value, getattr(theirs, name))
        else:
            assert theirs.HasField(name)
            assert getattr(theirs, name) == value


@pytest.mark.parametrize("kind", WHOLE)
def test_protobuf_reads_and_writes_the_same(kind: Any, classes: dict[str, Any]) -> None:
    @settings(max_examples=60, deadline=None)
    @given(messages(kind))
    def check(message: Any) -> None:
        data = encode(message)
        theirs = classes[kind.__name__].FromString(data)
        assert_agrees(message, theirs)
        assert theirs.SerializeToString(deterministic=True) == data

    check()
