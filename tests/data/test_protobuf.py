"""Messages: the wire format, presence, canonical bytes, times; agreement with protobuf."""

from __future__ import annotations

import struct
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.data import protobuf as pb
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.errors import FormatError, TruncatedError

HERE = Source("file.bin", 1000)
PARTS = [pb.Usage, pb.Device, pb.DeviceUsage, pb.PowerUsage, pb.Evaluation, pb.EvaluationEnergy]
WHOLE = [pb.ModelMetrics, pb.ModelMetricsEnergy]

# -- wire format ----------------------------------------------------------------------------------


@given(
    st.integers(0, (1 << 64) - 1),
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.integers(1, (1 << 29) - 1),
    st.floats(),
    st.binary(max_size=300),
)
def test_fields_come_back(large: int, value: int, number: int, real: float, raw: bytes) -> None:
    packed = pb.pack_varint(large)
    assert pb.varint(packed, 0) == (large, len(packed))
    assert len(packed) == max(1, -(-large.bit_length() // 7))
    data = pb.pack_int32(number, value) + pb.pack_double(3, real)
    data += b"\x0d\x01\x02\x03\x04" + pb.pack_bytes(70, raw)  # the first: four bytes
    first, second, third, fourth = pb.fields(data)
    assert (first.number, first.wire_type, pb.int32(first)) == (number, 0, value)
    assert struct.pack("<d", pb.double(data, second)) == struct.pack("<d", real)
    assert third.number == 1
    assert (fourth.number, data[fourth.start : fourth.stop]) == (70, raw)


FAULTS: dict[str, tuple[bytes, type[FormatError], int]] = {
    "tag cut": (b"\x80", TruncatedError, 0),
    "varint cut": (b"\x08", TruncatedError, 1),
    "double cut": (b"\x09\x00\x00", TruncatedError, 0),
    "bytes cut": (b"\x08\x01\x0a\x05abc", TruncatedError, 2),
    "length beyond the end": (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", TruncatedError, 0),
    "eleven bytes": (b"\x08" + b"\x80" * 10 + b"\x01", FormatError, 1),
    "over 64 bits": (b"\x08" + b"\xff" * 9 + b"\x7f", FormatError, 1),
    "field 0": (b"\x00\x00", FormatError, 0),
    "group": (b"\x0b", FormatError, 0),
    "end of group": (b"\x0c", FormatError, 0),
    "wire type 6": (b"\x0e", FormatError, 0),
    "field 2**29": (b"\x80\x80\x80\x80\x10\x00", FormatError, 0),
}


def test_faults_are_located() -> None:
    for name, (data, kind, at) in FAULTS.items():
        with pytest.raises(kind, match=r"file\.bin at byte") as caught:
            list(pb.fields(data, HERE))
        assert (caught.value.path, caught.value.offset) == ("file.bin", 1000 + at), name
    (field,) = pb.fields(b"\x08" + pb.pack_varint(1 << 31))
    with pytest.raises(FormatError, match="32 bits"):
        pb.int32(field)


@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    offsets = []
    try:
        offsets = [1000 + field.stop for field in pb.fields(data, HERE)]
        assert not data or offsets[-1] == 1000 + len(data)
    except FormatError as error:
        offsets.append(error.offset if error.offset is not None else -1)
    assert all(1000 <= offset <= 1000 + len(data) for offset in offsets)
    for kind in WHOLE:
        with suppress(FormatError):
            pb.decode(kind, data)  # type: ignore[type-var]


# -- messages -------------------------------------------------------------------------------------


def messages(kind: type[pb.Message]) -> st.SearchStrategy[Any]:
    """Any message of a kind, each field there or not."""
    values: dict[str, st.SearchStrategy[Any]] = {}
    for spec in pb.specs(kind).values():
        if spec.message is not None:
            inner = messages(spec.message)
            many = st.lists(inner, max_size=3).map(tuple)
            values[spec.name] = many if spec.repeated else st.none() | inner
        elif spec.kind == "double":
            values[spec.name] = st.none() | st.floats(allow_nan=False)
        elif spec.kind == "int32":
            values[spec.name] = st.none() | st.integers(-(1 << 31), (1 << 31) - 1)
        else:
            values[spec.name] = st.none() | st.text(max_size=5)
    return st.builds(kind, **values)


@pytest.mark.parametrize("kind", PARTS + WHOLE)
def test_messages_come_back_with_their_presence(kind: type[pb.Message]) -> None:
    @settings(max_examples=30, deadline=None)
    @given(messages(kind))
    def check(message: Any) -> None:
        data = pb.encode(message)
        assert pb.decode(kind, data) == message
        assert pb.encode(pb.decode(kind, data)) == data

    check()


def test_absent_is_none_and_zero_is_zero() -> None:
    kinds = {
        pb.EvaluationEnergy: 15,
        pb.ModelMetricsEnergy: 9,
        pb.Evaluation: 6,
        pb.ModelMetrics: 3,
    }
    for kind, fields in kinds.items():
        assert list(pb.specs(kind)) == list(range(1, fields + 1))
    assert [spec.name for spec in pb.specs(pb.EvaluationEnergy).values()] == ENERGY_EVALUATION
    assert pb.decode(pb.Evaluation, b"") == pb.Evaluation()
    assert pb.Evaluation().current_epoch is None
    assert (
        pb.decode(pb.Evaluation, pb.encode(pb.Evaluation(current_epoch=0.0))).current_epoch == 0.0
    )


def test_unknown_fields_are_left_out() -> None:
    known = pb.encode(pb.ModelMetrics(trainable_parameters=5, total_time=1.5))
    unknown = pb.pack_bytes(40, b"\xff\x00") + pb.pack_int32(41, -1)
    unknown += pb.pack_double(9, 2.0)
    found = pb.decode(pb.ModelMetrics, unknown + known + unknown)
    assert found == pb.ModelMetrics(trainable_parameters=5, total_time=1.5)
    assert pb.encode(found) == known


def test_the_last_value_counts_and_messages_merge() -> None:
    assert pb.decode(pb.Usage, pb.pack_double(1, 1.0) + pb.pack_double(1, 2.0)) == pb.Usage(2.0)
    gpu = pb.PowerUsage(gpu=pb.DeviceUsage(watts=(pb.Usage(1.0),)))
    both = pb.PowerUsage(gpu=pb.DeviceUsage(watts=(pb.Usage(2.0),)), cpu=pb.DeviceUsage())
    merged = pb.decode(pb.PowerUsage, pb.encode(gpu) + pb.encode(both))
    assert merged == pb.PowerUsage(
        gpu=pb.DeviceUsage(watts=(pb.Usage(1.0), pb.Usage(2.0))), cpu=pb.DeviceUsage()
    )


def test_malformed_messages_are_refused() -> None:
    energy = pb.ModelMetricsEnergy(evaluations=(pb.EvaluationEnergy(energy=0.1),))
    with pytest.raises(FormatError, match="checkpoint_path of Evaluation") as caught:
        pb.decode(pb.ModelMetrics, pb.encode(energy), Source("x", 7))
    assert caught.value.offset == 7 + 3
    with pytest.raises(FormatError, match="UTF-8"):
        pb.decode(pb.Device, pb.pack_bytes(1, b"\xff"))
    with pytest.raises(FormatError, match="1 evaluation"):
        pb.to_metrics(pb.ModelMetrics((pb.Evaluation(), pb.Evaluation())))
    for points, kind in (
        ((pb.Evaluation(1.0), pb.Evaluation()), pb.ModelMetrics),
        ((), pb.ModelMetricsEnergy),
    ):
        data = pb.encode(kind(evaluations=points, total_time=3.0))  # type: ignore[arg-type]
        for cut in range(len(data)):
            with suppress(TruncatedError):
                pb.decode(kind, data[:cut], Source("x", 0))  # type: ignore[type-var]


# -- times ----------------------------------------------------------------------------------------

MOMENTS = st.datetimes().map(lambda moment: moment.replace(microsecond=0))


def many(texts: list[str]) -> tuple[list[float], list[bool]]:
    characters = np.frombuffer("".join(texts).encode("latin-1"), dtype=np.uint8).reshape(-1, 19)
    seconds, good = pb.many_to_seconds(characters)
    return seconds.tolist(), good.tolist()


@given(st.lists(MOMENTS, min_size=1, max_size=20))
def test_times_agree_with_the_library(moments: list[datetime]) -> None:
    texts = [moment.isoformat(sep=" ") for moment in moments]
    wanted = [moment.replace(tzinfo=timezone.utc).timestamp() for moment in moments]
    assert [pb.to_seconds(text) for text in texts] == wanted
    assert many(texts) == (wanted, [True] * len(texts))
    assert [pb.from_seconds(second) for second in wanted] == texts


@given(MOMENTS, st.integers(0, 18), st.characters(max_codepoint=255))
def test_both_readers_agree_on_a_changed_time(moment: datetime, at: int, character: str) -> None:
    text = moment.isoformat(sep=" ")
    text = text[:at] + character + text[at + 1 :]
    (seconds,), (good,) = many([text])
    if good:
        assert pb.to_seconds(text) == seconds
    else:
        with pytest.raises(FormatError, match="a time must"):
            pb.to_seconds(text)


def test_malformed_times_are_refused() -> None:
    for text in (
        *("", "2022-02-29 00:00:00", "2022-1-01  00:00:00", "2022-01-01T00:00:00"),
        *("0000-01-01 00:00:00", "2022-13-01 00:00:00", "2022-01-01 24:00:00"),
        *("2022-01-01 00:60:00", "1900-02-29 00:00:00"),
    ):
        with pytest.raises(FormatError, match="a time must"):
            pb.to_seconds(text)
        assert len(text) != 19 or many([text])[1] == [False]
    for seconds in (0.5, float("nan"), float("inf"), 1e15, -1e12):
        with pytest.raises(FormatError, match="a time must"):
            pb.from_seconds(seconds)


# -- against protobuf -----------------------------------------------------------------------------

# Names and numbers as the published .proto files have them.
ENERGY_EVALUATION = [
    *("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy"),
    *("energy", "co2eq", "avg_intensity", "start_emission", "stop_emission", "pred_energy"),
    *("pred_co2eq", "pred_training_time", "pred_avg_intensity", "checkpoint_path"),
]
POWER = [("avg_power_usages_w", "*UsageW"), ("avg_power_usages_j", "*UsageJ")]
POWER += [("devices", "*Device")]
TOTAL = [("trainable_parameters", "int32"), ("total_time", "double"), ("total_energy", "double")]
TOTAL += [("total_co2eq", "double"), ("start_emission", "string"), ("stop_emission", "string")]
TOTAL += [("overall_avg_intensity", "double"), ("avg_power_usages", "PowerUsageData")]
#: Fields of each message, numbered from 1.
PROTOS: dict[str, list[tuple[str, str]]] = {
    "Device": [("name", "string")],
    "UsageW": [("avg_power_usage", "double")],
    "UsageJ": [("avg_power_usage", "double")],
    **dict.fromkeys(("GPU", "CPU"), POWER),
    "PowerUsageData": [("gpu", "GPU"), ("cpu", "CPU")],
    "EvaluationDataEnergy": [
        (name, "string" if name.endswith(("emission", "path")) else "double")
        for name in ENERGY_EVALUATION
    ],
    "ModelMetricsEnergy": [("evaluation_data_energy", "*EvaluationDataEnergy"), *TOTAL],
    "EvaluationData": [
        *((name, "double") for name in ENERGY_EVALUATION[:5]),
        ("checkpoint_path", "string"),
    ],
    "ModelMetrics": [("evaluation_data", "*EvaluationData"), *TOTAL[:2]],
}


@pytest.fixture(scope="module")
def classes() -> dict[str, Any]:
    """protobuf's own classes of the messages, built without a compiler."""
    pb2 = pytest.importorskip("google.protobuf.descriptor_pb2", reason="protobuf is not installed")
    from google.protobuf import descriptor_pool, message_factory

    file = pb2.FileDescriptorProto(name="metrics_for_tests.proto", package="t", syntax="proto2")
    types = pb2.FieldDescriptorProto
    scalars = {"double": types.TYPE_DOUBLE, "string": types.TYPE_STRING, "int32": types.TYPE_INT32}
    for name, rows in PROTOS.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(rows, 1):
            label = types.LABEL_REPEATED if kind.startswith("*") else types.LABEL_OPTIONAL
            entry = message.field.add(name=field, number=number, label=label)
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


def assert_agrees(ours: pb.Message, theirs: Any) -> None:
    """Presence and value of every field."""
    numbers = {d.number: d for d in theirs.DESCRIPTOR.fields}
    assert set(numbers) == set(pb.specs(type(ours)))
    for spec in pb.specs(type(ours)).values():
        name = numbers[spec.number].name
        value = getattr(ours, spec.name)
        if spec.repeated:
            for mine, other in zip(value, getattr(theirs, name), strict=True):
                assert_agrees(mine, other)
            continue
        assert theirs.HasField(name) is (value is not None)
        if spec.message is not None and value is not None:
            assert_agrees(value, getattr(theirs, name))
        elif value is not None:
            assert getattr(theirs, name) == value


@pytest.mark.parametrize("kind", WHOLE)
def test_protobuf_reads_and_writes_the_same(kind: Any, classes: dict[str, Any]) -> None:
    @settings(max_examples=60, deadline=None)
    @given(messages(kind))
    def check(message: Any) -> None:
        data = pb.encode(message)
        theirs = classes[kind.__name__].FromString(data)
        assert_agrees(message, theirs)
        assert theirs.SerializeToString(deterministic=True) == data

    check()
