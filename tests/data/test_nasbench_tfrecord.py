"""Files of NAS-Bench-101 and EC-NAS: columns and back, what is checked, damage, official files."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data import protobuf as pb
from naslib_ecnas.data import tfrecord, tfrecord_columns
from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.nasbench_tfrecord import (
    read_ecnas,
    read_ecnas_records,
    read_nasbench,
    read_nasbench_records,
    write_ecnas,
    write_ecnas_records,
    write_nasbench,
    write_nasbench_records,
)
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.data.tfrecord import Row, Training, encode_row, read_frames, write_frames
from naslib_ecnas.errors import EcnasError, FormatError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

Maker = Callable[..., Columns]
Same = Callable[[Columns, Columns], None]
Reader = Callable[..., Columns]

CHAIN = Cell("0100001000010000:input,conv3x3-bn-relu,maxpool3x3,output")


def training(cell: Cell, epochs: int = 4, energy: float = 0.5, **more: Any) -> Training[Any]:
    bits, _, ops = str(cell).partition(":")
    message = pb.ModelMetricsEnergy(
        evaluations=(
            pb.EvaluationEnergy(0.0),
            pb.EvaluationEnergy(2.0),
            pb.EvaluationEnergy(energy=energy),
        ),
        trainable_parameters=int(network.parameters(cell.row)[0]),
    )
    return replace(Training(cell.nasbench_hash, epochs, bits, ops, message), **more)


def cells(vertices: int, n: int) -> list[Cell]:
    space = Space(vertices)
    return [space.cell(row) for row in np.linspace(0, len(space) - 1, n).astype(int).tolist()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.tfrecord"


# -- columns and back -----------------------------------------------------------------------------


@pytest.mark.parametrize("vertices", [4, 5, 7])
def test_ecnas_columns_come_back(
    path: Path, synthetic: Maker, same_values: Same, vertices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = synthetic(vertices=vertices, cells=30, budgets=(4, 12, 108))
    write_ecnas(path, columns)
    found = read_ecnas(path, vertices=vertices, provenance=columns.provenance)
    same_values(found, columns)
    assert (found.name, found.attributes) == ("x", columns.attributes)
    assert found.provenance == columns.provenance
    monkeypatch.setattr(tfrecord_columns, "_MAX_LAYOUTS", 0)  # the exact reader only
    same_values(read_ecnas(path, vertices=vertices), columns)


@pytest.mark.parametrize("budgets", [(4, 12, 36, 108), (108,)], ids=["full", "only108"])
def test_nasbench_columns_come_back(
    path: Path, synthetic: Maker, same_values: Same, budgets: tuple[int, ...]
) -> None:
    columns = synthetic(pb.ModelMetrics, vertices=7, cells=40, budgets=budgets)
    write_nasbench(path, columns)
    found = read_nasbench(path, name="other")
    same_values(found, columns)
    origin = found.provenance["test_accuracy"]
    assert (found.name, origin.kind, origin.device) == ("other", "measured", "TPU v2")
    assert (origin.repeats, origin.source) == (3, "x.tfrecord")
    assert origin.sha256 is not None
    assert len(origin.sha256) == 64


def test_records_come_back(path: Path) -> None:
    message = pb.ModelMetrics((pb.Evaluation(1.0, checkpoint_path="/a"),) * 3, None, 5.0)
    one: Training[pb.ModelMetrics] = training(CHAIN, message=message)
    write_nasbench_records(path, [one])
    assert list(read_nasbench_records(path)) == [one]
    metrics = {"epoch", "initial_epoch", "halfway_epoch", "total_time_s"}
    assert set(read_nasbench(path).values) == metrics
    energy = training(CHAIN)
    extra = pb.pack_bytes(50, b"\xff") + pb.encode(energy.message) + pb.pack_int32(51, 7)
    row = Row(energy.hash, energy.epochs, energy.bits, energy.ops, extra)
    write_frames(path, [encode_row(row)])  # with unknown fields
    assert read_ecnas(path).values["energy_kwh"].item() == 0.5
    assert list(read_ecnas_records(path)) == [energy]


def test_rows_in_any_order_and_repeats_in_the_file_s(path: Path) -> None:
    a, b = cells(4, 2)
    rows = [(b, 12, 0.1), (a, 4, 0.2), (b, 12, 0.3), (b, 4, 0.4), (a, 4, 0.5), (b, 12, 0.6)]
    write_ecnas_records(path, [training(*row) for row in rows])
    columns = read_ecnas(path)
    nan = np.nan
    wanted = [[[0.2, 0.5, nan], [nan, nan, nan]], [[0.4, nan, nan], [0.1, 0.3, 0.6]]]
    assert (columns.rows.tolist(), columns.budgets) == ([a.row, b.row], (4, 12))
    np.testing.assert_array_equal(columns.values["energy_kwh"], wanted)
    assert set(columns.values) == {"energy_kwh", "initial_epoch", "halfway_epoch"}
    assert columns.provenance["energy_kwh"].kind == "unknown"


def test_the_smallest_space_is_found_for_any_labelling(path: Path) -> None:
    for cell, vertices in ((cells(4, 91)[-1], 4), (cells(5, 9)[-1], 5)):
        write_ecnas_records(path, [training(cell)])
        assert read_ecnas(path).vertices == vertices
        assert read_ecnas(path, vertices=7).vertices == 7
    # With a vertex that pruning removes, of an unknown operation.
    ops = "input,conv3x3-bn-relu,maxpool3x3,nothing,output"
    write_ecnas_records(path, [training(CHAIN, bits="0100000100000010000000000", ops=ops)])
    assert read_ecnas(path).rows.tolist() == [CHAIN.row]


# -- messages and metrics -------------------------------------------------------------------------


def test_every_presence_is_kept(path: Path) -> None:
    fields = {"energy": "energy_kwh", "co2eq": "co2_g", "train_accuracy": "train_accuracy"}
    fields["start_emission"] = "started_unix_s"
    rows, wanted = [], []
    for i, cell in enumerate(cells(4, 16)):
        there: dict[str, Any] = {name: 0.25 for bit, name in enumerate(fields) if i >> bit & 1}
        if "start_emission" in there:
            there["start_emission"] = "1970-01-01 00:01:00"
        points = (pb.EvaluationEnergy(), pb.EvaluationEnergy(), pb.EvaluationEnergy(**there))
        rows.append(training(cell, message=pb.ModelMetricsEnergy(points)))
        wanted.append([i >> bit & 1 for bit in range(4)])
    write_ecnas_records(path, rows)
    columns = read_ecnas(path)
    found = [~np.isnan(columns.values[name][:, 0, 0]) for name in fields.values()]
    assert np.stack(found, axis=1).astype(int).tolist() == wanted
    # A single evaluation is the final one.
    message = pb.ModelMetricsEnergy((pb.EvaluationEnergy(energy=0.5, pred_energy=0.25),))
    write_ecnas_records(path, [training(CHAIN, message=message)])
    single = {name: array.item() for name, array in read_ecnas(path).values.items()}
    assert single == {"energy_kwh": 0.5, "predicted_energy_kwh": 0.25}


def test_devices_and_second_packages(path: Path) -> None:
    two = (pb.Usage(1.0), pb.Usage(2.0))
    rows = []
    for cell, name in zip(cells(4, 2), "xy", strict=True):
        gpu = pb.DeviceUsage(two, two, (pb.Device(name), pb.Device("b")))
        power = pb.PowerUsage(gpu=gpu, cpu=pb.DeviceUsage(two, two))
        message = pb.ModelMetricsEnergy((pb.EvaluationEnergy(1.0),), power=power)
        rows.append(training(cell, message=message))
    write_ecnas_records(path, rows)
    columns = read_ecnas(path)
    assert columns.attributes == {"gpu": "x, b; y, b"}
    for name, value in (("gpu_power_w", 1), ("cpu_energy_j", 1), ("cpu1_power_w", 2)):
        assert (columns.values[name] == value).all()
    assert "cpu1_energy_j" in columns.values


def test_emissions_of_zero_throughout_are_missing(path: Path) -> None:
    rows = []
    for i, cell in enumerate(cells(4, 3)):
        halfway = pb.EvaluationEnergy(co2eq=0.0 if i else 0.5)
        points = (
            pb.EvaluationEnergy(co2eq=0.0),
            halfway,
            pb.EvaluationEnergy(energy=0.0, co2eq=0.0),
        )
        rows.append(training(cell, message=pb.ModelMetricsEnergy(points)))
    write_ecnas_records(path, rows)
    columns = read_ecnas(path)
    assert set(columns.values) == {"energy_kwh", "halfway_co2_g"}
    assert set(columns.attributes) == {"missing co2_g", "missing initial_co2_g"}


# -- what is refused ------------------------------------------------------------------------------


def final(**values: Any) -> dict[str, Any]:
    return {"message": pb.ModelMetricsEnergy((pb.EvaluationEnergy(**values),))}


BAD: dict[str, dict[str, Any]] = {
    "no cell": {"bits": "0000001000010000"},
    "wrong operation": {"ops": "input,conv9x9,maxpool3x3,output"},
    "operations of another length": {"ops": "input,maxpool3x3,output"},
    "no input": {"ops": "output,maxpool3x3,maxpool3x3,output"},
    "eight vertices": {"bits": "0" * 64, "ops": ",".join("abcdefgh")},
    "wrong hash": {"hash": "0" * 32},
    "no hash": {"hash": "x"},
    "wrong parameters": {"message": pb.ModelMetricsEnergy((pb.EvaluationEnergy(),), 7)},
    "negative parameters": {"message": pb.ModelMetricsEnergy((pb.EvaluationEnergy(),), -1)},
    "two evaluations": {"message": pb.ModelMetricsEnergy((pb.EvaluationEnergy(),) * 2)},
    "no evaluation": {"message": pb.ModelMetricsEnergy()},
    "no time": final(start_emission="soon"),
    **{f"energy of {energy}": final(energy=energy) for energy in (-0.1, np.inf)},
    "accuracy in per cent": final(test_accuracy=94.2),
    "epochs 0": {"epochs": 0},
}


def test_what_is_wrong_is_located_by_its_frame(path: Path) -> None:
    good = training(CHAIN)
    for name, change in BAD.items():
        write_ecnas_records(path, [good, training(CHAIN, **change), good])
        with pytest.raises(FormatError) as caught:
            read_ecnas(path)
        first = next(read_frames(path))
        assert (caught.value.path, caught.value.offset) == (str(path), 16 + len(first[1])), name


def test_hashes_of_large_cells_are_checked_on_request(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = cells(7, 2)[-1]
    write_ecnas_records(path, [training(large, hash="0" * 32)])
    read_ecnas(path)

    def hashes(space: Space) -> Any:
        # The true ones take half a minute; one cell's is enough here.
        made = np.full(len(space), "f" * 32)
        made[large.row] = large.nasbench_hash
        return made

    monkeypatch.setattr(Space, "hashes", hashes)
    with pytest.raises(FormatError, match="must be its cell's"):
        read_ecnas(path, check_hashes=True)
    write_ecnas_records(path, [training(large)])
    read_ecnas(path, check_hashes=True)


def test_empty_and_uneven_files(path: Path) -> None:
    write_ecnas_records(path, [])
    with pytest.raises(FormatError, match="no training"):
        read_ecnas(path)
    some = [training(cell, i + 1) for i, cell in enumerate(cells(5, 1000))]
    write_ecnas_records(path, some + [training(CHAIN)] * 20)
    with pytest.raises(FormatError, match="hardly any"):  # a grid of gigabytes
        read_ecnas(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FormatError):
        sniff(path)


def test_metrics_that_a_format_cannot_hold_are_not_dropped(path: Path, synthetic: Maker) -> None:
    energy = synthetic()
    with pytest.raises(FormatError, match=r"cannot hold .*energy_kwh"):
        write_nasbench(path, energy)
    values = {"parameters": energy.values["energy_kwh"]}
    derived = {"parameters": Provenance("derived")}
    with pytest.raises(FormatError, match="cannot hold parameters"):
        write_ecnas(path, replace(energy, values=values, provenance=derived))
    half = dict(energy.values, started_unix_s=energy.values["started_unix_s"] + 0.5)
    with pytest.raises(FormatError, match="whole seconds"):
        write_ecnas(path, replace(energy, values=half))
    assert list(path.parent.iterdir()) == []


# -- damage at every layer ------------------------------------------------------------------------

often = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


ECNAS = pb.ModelMetricsEnergy, write_ecnas, read_ecnas
NASBENCH = pb.ModelMetrics, write_nasbench, read_nasbench


@pytest.fixture(params=[ECNAS, NASBENCH], ids=["ecnas", "nasbench"])
def made(request: pytest.FixtureRequest, tmp_path: Path, synthetic: Maker) -> tuple[Path, Reader]:
    kind, write, reader = request.param
    write(tmp_path / "good.tfrecord", synthetic(kind, cells=4, budgets=(4,), repeats=2))
    return tmp_path / "good.tfrecord", reader


def attempt(path: Path, reader: Reader) -> None:
    """Read; a failure must be typed, name the file, and lie within it."""
    size = path.stat().st_size
    try:
        reader(path)
    except FormatError as error:
        located = error.path == str(path) and (error.offset is None or 0 <= error.offset <= size)
        if not located:
            raise


@often
@given(data=st.data())
def test_damaged_files(made: tuple[Path, Reader], data: st.DataObject) -> None:
    path, reader = made
    raw = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["cut", "flip", "insert", "delete"]))
    place = data.draw(st.integers(0, len(raw) - 1))
    if how == "cut":
        del raw[place:]
    elif how == "flip":
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "insert":
        raw[place:place] = data.draw(st.binary(min_size=1, max_size=20))
    else:
        del raw[place : place + data.draw(st.integers(1, 40))]
    damaged = path.with_name("damaged.tfrecord")
    damaged.write_bytes(raw)
    frames = [offset for offset, _ in read_frames(path)]
    if how != "flip" and place in (*frames, path.stat().st_size):
        attempt(damaged, reader)
        return
    with pytest.raises(FormatError) as caught:
        reader(damaged)
    assert caught.value.path == str(damaged)
    # The checksums find it in the damaged frame, or behind a wrong length.
    assert caught.value.offset is not None
    assert caught.value.offset <= place or how in ("insert", "delete")


@often
@given(data=st.data(), within=st.sampled_from(["row", "message"]))
def test_damage_within_intact_frames(
    made: tuple[Path, Reader], data: st.DataObject, within: str
) -> None:
    path, reader = made
    rows = [row for _, row in read_frames(path)]
    at = data.draw(st.integers(0, len(rows) - 1))
    row = tfrecord.decode_row(rows[at])
    raw = bytearray(rows[at] if within == "row" else row.message)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        if raw and data.draw(st.booleans()):
            raw[place] = data.draw(st.sampled_from(b'0", []\\n=AZ{}') | st.integers(0, 255))
        else:
            del raw[place : place + data.draw(st.integers(1, 50))]
    rows[at] = bytes(raw) if within == "row" else encode_row(replace(row, message=bytes(raw)))
    damaged = path.with_name("damaged.tfrecord")
    write_frames(damaged, rows)
    attempt(damaged, reader)


ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=10,
)
GARBAGE = st.binary(max_size=60) | st.lists(ITEMS, min_size=5, max_size=5).map(
    lambda items: json.dumps(items).encode()
)


@often
@given(records=st.lists(GARBAGE | st.just(b'["",1,"","",""]'), max_size=4))
def test_garbage_in_intact_frames_and_as_a_file(tmp_path: Path, records: list[bytes]) -> None:
    path = tmp_path / "garbage"
    for write in (lambda: write_frames(path, records), lambda: path.write_bytes(b"".join(records))):
        write()
        for reader in (read_ecnas, read_nasbench):
            with pytest.raises(FormatError) as caught:
                reader(path)
            assert caught.value.path == str(path)
        with pytest.raises(EcnasError):
            read(path)


# -- the official files ---------------------------------------------------------------------------

#: Name, vertices, (cells, budgets, repeats), rows: ecnas-data/README.md.
FILES = [
    ("energy_4V9E_4epochs", 4, (91, 4, 3), 1092),
    ("energy_4V9E_linscale", 4, (91, 4, 1), 364),
    ("energy_4V9E_quadrortx6000", 4, (91, 4, 1), 364),
    ("energy_4V9E_rtx3060", 4, (88, 4, 1), 352),
    ("energy_4V9E_rtx3090", 4, (91, 4, 1), 364),
    ("energy_4V9E_titanxp", 4, (91, 4, 1), 364),
    ("energy_5V9E_4epochs", 5, (2532, 1, 1), 2532),
]


def plain_rows(path: Path) -> Iterator[list[Any]]:
    """Frames and JSON, without any check."""
    raw = path.read_bytes()
    at = 0
    while at < len(raw):
        (length,) = struct.unpack_from("<Q", raw, at)
        yield json.loads(raw[at + 12 : at + 12 + length])
        at += 16 + length


def plain_values(message: pb.ModelMetricsEnergy) -> dict[str, float]:
    """The metrics of a message, with the names written out once more."""

    def moment(text: str | None) -> float:
        return datetime.fromisoformat(str(text)).replace(tzinfo=timezone.utc).timestamp()

    out: dict[str, Any] = {
        "total_time_s": message.total_time,
        "total_energy_kwh": message.total_energy,
        "total_co2_g": message.total_co2eq,
        "total_carbon_intensity_g_per_kwh": message.overall_avg_intensity,
    }
    for prefix, point in zip(("initial_", "halfway_", ""), message.evaluations, strict=True):
        out[f"{prefix}epoch"] = point.current_epoch
        out[f"{prefix}training_time_s"] = point.training_time
        for which in ("train", "validation", "test"):
            out[f"{prefix}{which}_accuracy"] = getattr(point, f"{which}_accuracy")
        for begin, end in ((prefix, ""), *([("predicted_", "pred_")] if not prefix else [])):
            out[f"{begin}energy_kwh"] = getattr(point, f"{end}energy")
            out[f"{begin}co2_g"] = getattr(point, f"{end}co2eq")
            out[f"{begin}carbon_intensity_g_per_kwh"] = getattr(point, f"{end}avg_intensity")
        out[f"{prefix}started_unix_s"] = moment(point.start_emission)
        out[f"{prefix}stopped_unix_s"] = moment(point.stop_emission)
    out["predicted_time_s"] = message.evaluations[2].pred_training_time
    for sort in ("gpu", "cpu"):
        usage = getattr(message.power, sort)
        out[f"{sort}_power_w"], out[f"{sort}_energy_j"] = (
            usage.watts[0].value,
            usage.joules[0].value,
        )
    return out


@pytest.mark.parametrize(("name", "vertices", "shape", "rows"), FILES)
def test_official_files(
    reference: Path,
    tmp_path: Path,
    same_values: Same,
    name: str,
    vertices: int,
    shape: tuple[int, int, int],
    rows: int,
) -> None:
    path, again = reference / "official" / f"{name}.tfrecord", tmp_path / "again.tfrecord"
    # Every byte survives as records.
    write_ecnas_records(again, read_ecnas_records(path))
    assert again.read_bytes() == path.read_bytes()
    # Every value equals the plain parse.
    columns = read_ecnas(path, check_hashes=vertices <= 5)
    assert (columns.name, columns.vertices, columns.shape) == (name, vertices, shape)
    seen: dict[tuple[int, int], int] = {}
    place = {row: i for i, row in enumerate(columns.rows.tolist())}
    for nasbench_hash, epochs, bits, ops, text in plain_rows(path):
        cell = Cell(f"{bits}:{ops}")
        assert cell.nasbench_hash == nasbench_hash
        repeat = seen.get((cell.row, epochs), 0)
        seen[cell.row, epochs] = repeat + 1
        at = place[cell.row], columns.budgets.index(epochs), repeat
        found = {metric: array[at] for metric, array in columns.values.items()}
        assert found == plain_values(pb.decode(pb.ModelMetricsEnergy, base64.b64decode(text)))
    assert sum(seen.values()) == rows == int((~np.isnan(columns.values["energy_kwh"])).sum())
    # The columns survive in other files.
    assert sniff(path) == "ecnas-tfrecord"
    write_ecnas(again, columns)
    same_values(read_ecnas(again), columns)
    if name.endswith(("rtx3060", "rtx3090", "titanxp")):  # one GPU name, Cell's own labelling
        assert sorted(plain_rows(again)) == sorted(plain_rows(path))
    write_table(tmp_path / "again.ecnas", columns)
    same_values(Table.open(tmp_path / "again.ecnas").to_columns(), columns)
    # NAS-Bench-101's reader refuses it.
    with pytest.raises(FormatError, match="read each as what it is") as caught:
        read_nasbench(path)
    assert caught.value.offset == 0
    if name == "energy_5V9E_4epochs":  # table 3 of the paper is 39 times its total
        assert 39 * columns.values["energy_kwh"].sum() == pytest.approx(1970.495, abs=5e-4)
        days = 39 * columns.values["training_time_s"].sum() / 86_400
        assert days == pytest.approx(121.109, abs=5e-4)
