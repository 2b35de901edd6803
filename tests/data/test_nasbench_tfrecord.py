"""Files of NAS-Bench-101 and EC-NAS: columns and back, what is checked, official files."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import same_values, synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import CHAIN, cells, energy, packed, row

from naslib_ecnas.cell import Cell
from naslib_ecnas.data import nasbench_tfrecord
from naslib_ecnas.data.assemble import Source, cell_rows
from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.nasbench_tfrecord import (
    ECNAS,
    NASBENCH,
    Message,
    from_seconds,
    has_energy,
    read_ecnas,
    read_nasbench,
    to_seconds,
    write_ecnas,
    write_nasbench,
)
from naslib_ecnas.data.table import Table, write_table
from naslib_ecnas.data.tfrecord import read_frames, write_frames
from naslib_ecnas.ecnasbench import ECNASBench, ModelSpec
from naslib_ecnas.errors import FormatError, InvalidCellError

SOURCE = Source()


def rows_of(path: Path) -> list[Any]:
    """The rows of a file as JSON, without any check of their content."""
    return [json.loads(data) for _, data in read_frames(path)]


# -- columns and back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "vertices", "budgets"),
    [
        *((ECNAS, vertices, (4, 12, 108)) for vertices in (4, 5, 7)),
        *((NASBENCH, 7, (4, 12, 36, 108)), (NASBENCH, 7, (108,))),
    ],
)
def test_columns_come_back(
    path: Path,
    kind: Message,
    vertices: int,
    budgets: tuple[int, ...],
) -> None:
    columns = synthetic(kind, vertices=vertices, cells=30, budgets=budgets)
    (write_ecnas if kind is ECNAS else write_nasbench)(path, columns)
    found = read(path)
    same_values(replace(found, vertices=vertices), columns)
    assert (found.name, found.attributes) == ("x", columns.attributes)
    origin = found.provenance["test_accuracy"]
    known = ("measured", "TPU v2") if kind is NASBENCH else ("unknown", None)
    assert (origin.kind, origin.device, origin.repeats, origin.source) == (*known, 3, "x.tfrecord")
    assert origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_rows_in_any_order_and_repeats_in_the_file_s(path: Path) -> None:
    a, b = cells(4, 2)
    rows = [(b, 12, 0.1), (a, 4, 0.2), (b, 12, 0.3), (b, 4, 0.4), (a, 4, 0.5), (b, 12, 0.6)]
    write_frames(path, [energy(value, cell, epochs) for cell, epochs, value in rows])
    columns = read_ecnas(path)
    nan = np.nan
    wanted = [[[0.2, 0.5, nan], [nan, nan, nan]], [[0.4, nan, nan], [0.1, 0.3, 0.6]]]
    assert (columns.rows.tolist(), columns.budgets) == ([a.row, b.row], (4, 12))
    np.testing.assert_array_equal(columns.values["energy_kwh"], wanted)
    assert set(columns.values) == {"energy_kwh", "initial_epoch", "halfway_epoch"}
    assert columns.provenance["energy_kwh"].kind == "unknown"


def test_the_smallest_space_is_found_for_any_labelling(path: Path) -> None:
    for cell, vertices in ((cells(4, 91)[-1], 4), (cells(5, 9)[-1], 5)):
        write_frames(path, [energy(cell=cell)])
        assert read_ecnas(path).vertices == vertices
    # With a vertex that pruning removes, of an unknown operation.
    ops = "input,conv3x3-bn-relu,maxpool3x3,nothing,output"
    write_frames(path, [row({1: {6: 0.5}}, CHAIN, bits="0100000100000010000000000", ops=ops)])
    assert read_ecnas(path).rows.tolist() == [CHAIN.row]


# -- messages -------------------------------------------------------------------------------------


def test_other_layouts_beside_each_other(path: Path) -> None:
    """Unknown fields of any bytes, values in another order, twice or merged, checkpoint paths."""
    messages: list[Any] = [
        {50: b"\xff", 1: {6: 0.5}, 51: -7, 52: 9.0},
        {50: b"\x00", 1: {6: 0.5}, 51: -8, 52: 1.0},  # the layout of the first
        {1: {6: 0.5, 15: "/a"}, 51: 1},
        {1: {6: 0.5, 15: "/b"}, 51: 300},
        {1: {5: 0.1, 6: 0.5}},
        {1: {6: 0.5, 5: 0.1}},
        {1: {6: [0.1, 0.5]}},
        packed({1: {}, 9: {1: {1: {1: 1.0}}}}) + packed({9: {1: {1: {1: 2.0}}}}),
        {1: {}, 9: {1: {1: [{1: 1.0}, {1: 3.0}]}, 3: {1: {1: 4.0}}}},
    ]
    write_frames(path, [row(m, cell) for m, cell in zip(messages, cells(4, 9), strict=True)])
    columns = read_ecnas(path)
    assert columns.values["energy_kwh"][:7].tolist() == [[[0.5]]] * 7
    assert columns.values["gpu_power_w"][7:].tolist() == [[[1.0]]] * 2
    assert set(columns.values) == {"energy_kwh", "test_accuracy", "gpu_power_w"}


def test_devices_and_second_packages(path: Path) -> None:
    two = [{1: 1.0}, {1: 2.0}]
    power = {2: {1: two, 2: two}}
    rows = [
        row({1: {1: 1.0}, 9: {1: {1: two, 2: two, 3: [{1: name}, {1: "b"}]}, **power}}, cell)
        for cell, name in zip(cells(4, 2), "xy", strict=True)
    ]
    write_frames(path, rows)
    columns = read_ecnas(path)
    assert columns.attributes == {"gpu": "x, b; y, b"}
    for name, value in (("gpu_power_w", 1), ("cpu_energy_j", 1), ("cpu1_power_w", 2)):
        assert (columns.values[name] == value).all()
    assert "cpu1_energy_j" in columns.values
    write_ecnas(path, replace(columns, attributes={"gpu": "x, b"}))
    again = read_ecnas(path)
    assert again.attributes == {"gpu": "x, b"}
    assert again.values["cpu1_power_w"].tolist() == columns.values["cpu1_power_w"].tolist()
    only_second = {n: v for n, v in columns.values.items() if n in ("epoch", "cpu1_power_w")}
    origins = {name: columns.provenance[name] for name in only_second}
    write_ecnas(path, replace(columns, values=only_second, provenance=origins))
    assert set(read_ecnas(path).values) == set(only_second)


def test_emissions_of_zero_throughout_are_missing(path: Path) -> None:
    rows = [
        row({1: [{7: 0.0}, {7: 0.0 if i else 0.5}, {6: 0.5, 7: 0.0}]}, cell)
        for i, cell in enumerate(cells(4, 3))
    ]
    write_frames(path, rows)
    columns = read_ecnas(path)
    assert set(columns.values) == {"energy_kwh", "halfway_co2_g"}
    assert set(columns.attributes) == {"missing co2_g", "missing initial_co2_g"}


def test_the_first_message_decides_the_kind(path: Path) -> None:
    for message, ecnas in (
        ({1: {4: 0.5}, 2: 3}, False),
        ({1: {6: "here"}, 2: 3}, False),
        ({2: 3}, False),
        ({1: {6: 0.5}, 2: 3}, True),
        ({1: [{}, {6: 0.5}]}, True),
        ({2: 3, 4: 0.5}, True),
    ):
        write_frames(path, [row(message), energy()])
        assert has_energy(path) is ecnas
        assert sniff(path) == ("ecnas-tfrecord" if ecnas else "nasbench-tfrecord")
    write_frames(path, [])
    assert not has_energy(path)


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
    "ModelMetricsEnergy": [("evaluation_data", "*EvaluationDataEnergy"), *TOTAL],
    "EvaluationData": [
        *((name, "double") for name in ENERGY_EVALUATION[:5]),
        ("checkpoint_path", "string"),
    ],
    "ModelMetrics": [("evaluation_data", "*EvaluationData"), *TOTAL[:2]],
}
#: Where a metric stands, without the prefix of its evaluation.
METRIC_OF = {
    "current_epoch": "epoch", "training_time": "training_time_s", "energy": "energy_kwh",
    "co2eq": "co2_g", "avg_intensity": "carbon_intensity_g_per_kwh",
    "start_emission": "started_unix_s", "stop_emission": "stopped_unix_s",
    "pred_energy": "predicted_energy_kwh", "pred_co2eq": "predicted_co2_g",
    "pred_training_time": "predicted_time_s",
    "pred_avg_intensity": "predicted_carbon_intensity_g_per_kwh",
}  # fmt: skip


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


def plain_values(message: Any) -> dict[str, float]:
    """The metrics of a message of protobuf's own class."""

    def value(held: Any, name: str) -> Iterator[float]:
        if any(one.name == name for one in held.DESCRIPTOR.fields) and held.HasField(name):
            found = getattr(held, name)
            text = isinstance(found, str)
            yield seconds(found) if text else found

    out: dict[str, float] = {}
    prefixes = ("initial_", "halfway_", "")[-len(message.evaluation_data) :]
    for prefix, point in zip(prefixes, message.evaluation_data, strict=True):
        for name in ENERGY_EVALUATION[:-1]:
            if prefix == "" or not name.startswith("pred"):
                metric = prefix + METRIC_OF.get(name, name)
                out.update((metric, found) for found in value(point, name))
    for name, kind in TOTAL[1:-1]:
        metric = METRIC_OF.get(name.removeprefix("total_").removeprefix("overall_"), "time_s")
        assert kind in ("double", "string")
        out.update((f"total_{metric}", found) for found in value(message, name))
    for sort in ("gpu", "cpu"):
        for unit, what in (("w", "power_w"), ("j", "energy_j")):
            power = getattr(getattr(message, "avg_power_usages", None), sort, None)
            usages = getattr(power, f"avg_power_usages_{unit}", [])
            for i, usage in enumerate(usages[: 1 if sort == "gpu" else 2]):
                metric = f"{sort}{i or ''}_{what}"
                out.update((metric, found) for found in value(usage, "avg_power_usage"))
    return out


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


MOMENTS = st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat(sep=" "))


def anything(classes: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
    """Any message of a class, each field there or not, as keyword arguments."""
    values: dict[str, st.SearchStrategy[Any]] = {}
    for field, kind in PROTOS[name]:
        if kind == "double":
            values[field] = st.floats(allow_nan=False)
        elif kind == "int32":
            values[field] = st.integers(-(1 << 31), (1 << 31) - 1)
        elif kind == "string":
            values[field] = MOMENTS if field.endswith("emission") else st.text(max_size=3)
        elif field == "evaluation_data":
            inner = anything(classes, kind[1:])
            values[field] = st.integers(0, 1).flatmap(
                lambda i, inner=inner: st.lists(inner, min_size=1 + 2 * i, max_size=1 + 2 * i)
            )
        else:
            inner = anything(classes, kind.lstrip("*"))
            values[field] = st.lists(inner, max_size=3) if kind.startswith("*") else inner
    required = {name: values.pop(name) for name in ("evaluation_data",) if name in values}
    return st.fixed_dictionaries(required, optional=values).map(lambda v: classes[name](**v))


@pytest.mark.parametrize("kind", [NASBENCH, ECNAS], ids=["nasbench", "ecnas"])
def test_protobuf_s_messages_are_read_alike(kind: Message, classes: dict[str, Any]) -> None:
    name = "ModelMetricsEnergy" if kind is ECNAS else "ModelMetrics"

    @settings(max_examples=60, deadline=None)
    @given(st.lists(anything(classes, name), min_size=1, max_size=5))
    def check(messages: list[Any]) -> None:
        raw = [message.SerializeToString() for message in messages]
        values, parameters = nasbench_tfrecord._decoded(
            raw, kind, lambda _: SOURCE, defaultdict(dict)
        )
        for i, message in enumerate(messages):
            found = {metric: array[i] for metric, array in values.items() if array[i] == array[i]}
            assert found == plain_values(message)
            if message.HasField("trainable_parameters"):
                assert parameters[i] == message.trainable_parameters

    check()


@pytest.mark.parametrize("kind", [NASBENCH, ECNAS], ids=["nasbench", "ecnas"])
def test_protobuf_reads_and_writes_our_messages(
    kind: Message, classes: dict[str, Any], path: Path
) -> None:
    columns = synthetic(kind, cells=6, budgets=(4,), repeats=2)
    for drop, values in enumerate(columns.values.values()):
        values[drop % 5, 0, drop % 2] = np.nan
    (write_ecnas if kind is ECNAS else write_nasbench)(path, columns)
    rows = rows_of(path)
    assert len(rows) == 12
    for i, (_, _, bits, ops, text) in enumerate(rows):
        raw = base64.b64decode(text)
        name = "ModelMetricsEnergy" if kind is ECNAS else "ModelMetrics"
        theirs = classes[name].FromString(raw)
        assert theirs.SerializeToString(deterministic=True) == raw
        assert len(theirs.evaluation_data) == 3
        at = columns.rows.tolist().index(Cell(f"{bits}:{ops}").row), 0, i % 2
        held = {n: v[at] for n, v in columns.values.items() if v[at] == v[at]}
        assert plain_values(theirs) == held
        if kind is ECNAS:
            assert [one.name for one in theirs.avg_power_usages.gpu.devices] == ["none"]


# -- times ----------------------------------------------------------------------------------------


def read_times(texts: list[str]) -> list[float]:
    raw = np.frombuffer("".join(texts).encode("latin-1"), dtype=np.uint8).reshape(len(texts), -1)
    return to_seconds(raw, lambda _: SOURCE, range(len(texts))).tolist()


@given(st.lists(MOMENTS, min_size=1, max_size=20))
def test_times_agree_with_the_library(texts: list[str]) -> None:
    wanted = [seconds(text) for text in texts]
    assert read_times(texts) == wanted
    assert [from_seconds(second, SOURCE) for second in wanted] == texts


@given(MOMENTS, st.integers(0, 18), st.characters(max_codepoint=255))
def test_a_changed_time_is_the_library_s_or_none(text: str, at: int, character: str) -> None:
    text = text[:at] + character + text[at + 1 :]
    try:
        wanted = seconds(text) if datetime.fromisoformat(text).isoformat(sep=" ") == text else None
    except ValueError:
        wanted = None
    if wanted is None:
        with pytest.raises(FormatError, match="a time must"):
            read_times(["2022-02-28 00:00:00", text])
    else:
        assert read_times([text]) == [wanted]


def test_malformed_times_are_refused() -> None:
    for text in ("", "1900-02-29 00:00:00", "0000-01-01 00:00:00", "2022-01-01 00:00+00:00"):
        with pytest.raises(FormatError, match="a time must"):
            read_times([text])
    for number in (0.5, float("nan"), float("inf"), 1e15, -1e12):
        with pytest.raises(FormatError, match="a time must"):
            from_seconds(number, SOURCE)


# -- cells ----------------------------------------------------------------------------------------

OPS = ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "other"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("01", max_size=49), st.lists(st.sampled_from(OPS), max_size=6))
        | st.tuples(
            st.sampled_from(["0100", "010001000", "0100001000010000", "0101000010000000", "0110"]),
            st.lists(st.sampled_from(OPS[:3]), max_size=2),
        ),
        max_size=6,
    ),
    st.sampled_from(["input", "output", ""]),
)
def test_cells_are_those_of_their_class(pairs: list[tuple[str, list[str]]], first: str) -> None:
    texts = [(bits, ",".join([first or "input", *ops, "output"])) for bits, ops in pairs]
    found = cell_rows(texts).tolist()
    for (bits, ops), row_found in zip(texts, found, strict=True):
        try:
            wanted = Cell(f"{bits}:{ops}").row
        except InvalidCellError:
            wanted = -1
        assert row_found == wanted


def original_answer(message: Any, stop_halfway: bool) -> dict[str, Any]:
    """What EC-NAS-Bench's own `query` makes of a message, without the cell and device names."""
    half, final = message.evaluation_data[1:]
    shown = half if stop_halfway else final
    found = {name: getattr(shown, name) for name in ENERGY_EVALUATION[1:5]}
    found |= {name: getattr(final, name) for name in ("start_emission", "stop_emission")}
    for name, unit in (("energy", "kWh"), ("co2eq", "g"), ("avg_intensity", "gCO2/kWh")):
        found[f"{name} ({unit})"] = getattr(final, name)
        found[f"predicted_{name} ({unit})"] = getattr(final, f"pred_{name}")
    return found | {
        "total_time": message.total_time,
        "total_energy (kWh)": message.total_energy,
        "total_co2eq (g)": message.total_co2eq,
        "overall_avg_intensity (gCO2/kWh)": message.overall_avg_intensity,
        "predicted_training_time": final.pred_training_time,
        "trainable_parameters": message.trainable_parameters,
    }


# -- the official files ---------------------------------------------------------------------------

OFFICIAL = ("4V9E_4epochs", "4V9E_linscale", "4V9E_quadrortx6000", "4V9E_rtx3060", "4V9E_rtx3090")
OFFICIAL += ("4V9E_titanxp", "5V9E_4epochs")


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_files(
    reference: Path, tmp_path: Path, classes: dict[str, Any], name: str
) -> None:
    path, again = reference / f"official/energy_{name}.tfrecord", tmp_path / "again.tfrecord"
    json_format = pytest.importorskip("google.protobuf.json_format")
    # Every value equals protobuf's parse, and queries answer as EC-NAS-Bench's own code does.
    columns, rows = read_ecnas(path), rows_of(path)
    bench = ECNASBench(path)
    assert columns.name == f"energy_{name}"
    seen: dict[tuple[int, int], int] = {}
    place = {row: i for i, row in enumerate(columns.rows.tolist())}
    for nasbench_hash, epochs, bits, ops, text in rows:
        cell = Cell(f"{bits}:{ops}")
        assert cell.nasbench_hash == nasbench_hash
        repeat = seen.get((cell.row, epochs), 0)
        seen[cell.row, epochs] = repeat + 1
        at = place[cell.row], columns.budgets.index(epochs), repeat
        found = {metric: array[at] for metric, array in columns.values.items()}
        message = classes["ModelMetricsEnergy"].FromString(base64.b64decode(text))
        assert found == plain_values(message)
        if repeat == 0:
            for half in (False, True):
                answer = bench.query(ModelSpec(cell.matrix, cell.ops), epochs, stop_halfway=half)
                wanted = original_answer(message, half)
                assert {key: answer[key] for key in wanted} == wanted
            power = json_format.MessageToDict(message.avg_power_usages)
            assert answer["avg_power_usages"] == {
                sort: {key: each for key, each in usage.items() if key != "devices"}
                for sort, usage in power.items()
            }
    assert sum(seen.values()) == np.isfinite(columns.values["energy_kwh"]).sum()
    # The columns survive in other files.
    assert sniff(path) == "ecnas-tfrecord"
    write_ecnas(again, columns)
    same_values(read_ecnas(again), columns)
    if name.endswith(("rtx3060", "rtx3090", "titanxp")):  # one GPU name, Cell's own labelling
        assert sorted(rows_of(again)) == sorted(rows)
    write_table(tmp_path / "again.ecnas", columns)
    same_values(Table.open(tmp_path / "again.ecnas").to_columns(), columns)
    # NAS-Bench-101's reader refuses it.
    with pytest.raises(FormatError, match="read each as what it is") as caught:
        read_nasbench(path)
    assert caught.value.offset == 0
    if name == "5V9E_4epochs":  # table 3 of the paper is 39 times its total
        assert 39 * columns.values["energy_kwh"].sum() == pytest.approx(1970.495, abs=5e-4)
        days = 39 * columns.values["training_time_s"].sum() / 86_400
        assert days == pytest.approx(121.109, abs=5e-4)
        # Printed with the last digit cut off, not rounded.
        assert 39 * columns.values["co2_g"].sum() / 1_000 == pytest.approx(252.571, abs=1e-3)
