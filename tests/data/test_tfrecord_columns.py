"""From frames to columns and back: repeats, presence, what is checked, fast path and slow path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data import protobuf, tfrecord_columns
from naslib_ecnas.data.nasbench_tfrecord import (
    read_ecnas,
    read_ecnas_records,
    read_nasbench,
    write_ecnas,
    write_ecnas_records,
    write_nasbench,
    write_nasbench_records,
)
from naslib_ecnas.data.protobuf import (
    Device,
    DeviceUsage,
    Evaluation,
    EvaluationEnergy,
    ModelMetrics,
    ModelMetricsEnergy,
    PowerUsage,
    Usage,
    encode,
)
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.tfrecord import Row, Training, encode_row, read_frames, write_frames
from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

Maker = Callable[..., Columns]
Same = Callable[[Columns, Columns], None]

CHAIN = Cell("0100001000010000:input,conv3x3-bn-relu,maxpool3x3,output")
#: The same cell with a vertex that pruning removes, of no known operation.
DRAWN = ("0100000100000010000000000", "input,conv3x3-bn-relu,maxpool3x3,nothing,output")


def training(cell: Cell, epochs: int = 4, energy: float = 0.5, **more: Any) -> Training[Any]:
    bits, _, ops = str(cell).partition(":")
    message = ModelMetricsEnergy(
        evaluations=(EvaluationEnergy(0.0), EvaluationEnergy(2.0), EvaluationEnergy(energy=energy)),
        trainable_parameters=int(network.parameters(cell.row)[0]),
    )
    return replace(Training(cell.nasbench_hash, epochs, bits, ops, message), **more)


def cells(vertices: int, n: int) -> list[Cell]:
    space = Space(vertices)
    return [space.cell(row) for row in np.linspace(0, len(space) - 1, n).astype(int).tolist()]


@pytest.mark.parametrize("vertices", [4, 5, 7])
def test_ecnas_columns_come_back(
    tmp_path: Path, synthetic: Maker, same_values: Same, vertices: int
) -> None:
    columns = synthetic(vertices=vertices, cells=30, budgets=(4, 12, 108))
    path = tmp_path / "x.tfrecord"
    write_ecnas(path, columns)
    found = read_ecnas(path, vertices=vertices, provenance=columns.provenance)
    same_values(found, columns)
    assert (found.name, found.attributes) == ("x", columns.attributes)
    assert found.provenance == columns.provenance


@pytest.mark.parametrize("budgets", [(4, 12, 36, 108), (108,)], ids=["full", "only108"])
def test_nasbench_columns_come_back(
    tmp_path: Path, synthetic: Maker, same_values: Same, budgets: tuple[int, ...]
) -> None:
    columns = synthetic(ModelMetrics, vertices=7, cells=40, budgets=budgets)
    path = tmp_path / "x.tfrecord"
    write_nasbench(path, columns)
    found = read_nasbench(path, name="other")
    same_values(found, columns)
    origin = found.provenance["test_accuracy"]
    assert (found.name, origin.kind, origin.device) == ("other", "measured", "TPU v2")
    assert (origin.repeats, origin.source) == (3, "x.tfrecord")
    assert origin.sha256 is not None
    assert len(origin.sha256) == 64


def test_rows_in_any_order_and_repeats_in_the_file_s(tmp_path: Path) -> None:
    a, b = cells(4, 2)
    rows = [
        training(b, 12, 0.1),
        training(a, 4, 0.2),
        training(b, 12, 0.3),
        training(b, 4, 0.4),
        training(a, 4, 0.5),
        training(b, 12, 0.6),
    ]
    write_ecnas_records(tmp_path / "x.tfrecord", rows)
    columns = read_ecnas(tmp_path / "x.tfrecord")
    nan = np.nan
    wanted = [[[0.2, 0.5, nan], [nan, nan, nan]], [[0.4, nan, nan], [0.1, 0.3, 0.6]]]
    assert (columns.rows.tolist(), columns.budgets) == ([a.row, b.row], (4, 12))
    np.testing.assert_array_equal(columns.values["energy_kwh"], wanted)
    assert set(columns.values) == {"energy_kwh", "initial_epoch", "halfway_epoch"}
    assert columns.provenance["energy_kwh"].kind == "unknown"


@pytest.mark.parametrize(("cell", "vertices"), [(cells(4, 91)[-1], 4), (cells(5, 9)[-1], 5)])
def test_the_smallest_space_is_found(tmp_path: Path, cell: Cell, vertices: int) -> None:
    write_ecnas_records(tmp_path / "x.tfrecord", [training(cell)])
    assert read_ecnas(tmp_path / "x.tfrecord").vertices == vertices
    assert read_ecnas(tmp_path / "x.tfrecord", vertices=7).vertices == 7


def test_a_cell_may_be_drawn_in_any_way(tmp_path: Path) -> None:
    bits, ops = DRAWN
    write_ecnas_records(tmp_path / "x.tfrecord", [training(CHAIN, bits=bits, ops=ops)])
    assert read_ecnas(tmp_path / "x.tfrecord").rows.tolist() == [CHAIN.row]


def test_fast_and_exact_reading_agree(
    tmp_path: Path, synthetic: Maker, same_values: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.tfrecord"
    write_ecnas(path, synthetic(vertices=7, cells=20))
    fast = read_ecnas(path)
    monkeypatch.setattr(tfrecord_columns, "_MAX_LAYOUTS", 0)
    same_values(read_ecnas(path), fast)


def test_every_presence_is_kept(tmp_path: Path) -> None:
    names = ["energy", "co2eq", "train_accuracy", "start_emission"]
    rows, wanted = [], []
    for i, cell in enumerate(cells(4, 16)):
        there = {name: 0.25 for bit, name in enumerate(names) if i >> bit & 1}
        if "start_emission" in there:
            there["start_emission"] = "1970-01-01 00:01:00"  # type: ignore[assignment]
        points = (EvaluationEnergy(), EvaluationEnergy(), EvaluationEnergy(**there))
        rows.append(training(cell, message=ModelMetricsEnergy(points)))
        wanted.append([i >> bit & 1 for bit in range(4)])
    write_ecnas_records(tmp_path / "x.tfrecord", rows)
    columns = read_ecnas(tmp_path / "x.tfrecord")
    metrics = ["energy_kwh", "co2_g", "train_accuracy", "started_unix_s"]
    found = np.stack([~np.isnan(columns.values[name][:, 0, 0]) for name in metrics], axis=1)
    assert found.astype(int).tolist() == wanted


def test_one_evaluation_is_the_final_one(tmp_path: Path) -> None:
    message = ModelMetricsEnergy((EvaluationEnergy(energy=0.5, pred_energy=0.25),))
    write_ecnas_records(tmp_path / "x.tfrecord", [training(CHAIN, message=message)])
    columns = read_ecnas(tmp_path / "x.tfrecord")
    assert {n: a.item() for n, a in columns.values.items()} == {
        "energy_kwh": 0.5,
        "predicted_energy_kwh": 0.25,
    }


def test_devices_and_second_packages(tmp_path: Path) -> None:
    def power(name: str) -> PowerUsage:
        two = (Usage(1.0), Usage(2.0))
        return PowerUsage(
            gpu=DeviceUsage(two, two, (Device(name), Device("b"))), cpu=DeviceUsage(two, two)
        )

    a, b = cells(4, 2)
    rows = [
        training(cell, message=ModelMetricsEnergy((EvaluationEnergy(1.0),), power=power(name)))
        for cell, name in ((a, "x"), (b, "y"))
    ]
    write_ecnas_records(tmp_path / "x.tfrecord", rows)
    columns = read_ecnas(tmp_path / "x.tfrecord")
    assert columns.attributes == {"gpu": "x, b; y, b"}
    for name, value in (("gpu_power_w", 1), ("cpu_energy_j", 1), ("cpu1_power_w", 2)):
        assert (columns.values[name] == value).all()
    assert "cpu1_energy_j" in columns.values


def test_emissions_of_zero_throughout_are_missing(tmp_path: Path) -> None:
    rows = []
    for i, cell in enumerate(cells(4, 3)):
        points = (
            EvaluationEnergy(co2eq=0.0),
            EvaluationEnergy(co2eq=0.0 if i else 0.5),
            EvaluationEnergy(energy=0.0, co2eq=0.0),
        )
        rows.append(training(cell, message=ModelMetricsEnergy(points)))
    write_ecnas_records(tmp_path / "x.tfrecord", rows)
    columns = read_ecnas(tmp_path / "x.tfrecord")
    assert set(columns.values) == {"energy_kwh", "halfway_co2_g"}
    assert set(columns.attributes) == {"missing co2_g", "missing initial_co2_g"}


def test_unknown_fields_are_kept_out(tmp_path: Path) -> None:
    one = training(CHAIN)
    extra = protobuf.pack_bytes(50, b"\xff") + encode(one.message) + protobuf.pack_int32(51, 7)
    row = encode_row(Row(one.hash, one.epochs, one.bits, one.ops, extra))
    write_frames(tmp_path / "x.tfrecord", [row])
    assert read_ecnas(tmp_path / "x.tfrecord").values["energy_kwh"].item() == 0.5
    assert list(read_ecnas_records(tmp_path / "x.tfrecord")) == [one]


BAD = {
    "no cell": {"bits": "0000001000010000"},
    "wrong operation": {"ops": "input,conv9x9,maxpool3x3,output"},
    "operations of another length": {"ops": "input,maxpool3x3,output"},
    "no input": {"ops": "output,maxpool3x3,maxpool3x3,output"},
    "eight vertices": {"bits": "0" * 64, "ops": ",".join("abcdefgh")},
    "wrong hash": {"hash": "0" * 32},
    "hash of something": {"hash": "x"},
    "wrong parameters": {"message": ModelMetricsEnergy((EvaluationEnergy(),), 7)},
    "negative parameters": {"message": ModelMetricsEnergy((EvaluationEnergy(),), -1)},
    "two evaluations": {"message": ModelMetricsEnergy((EvaluationEnergy(),) * 2)},
    "no evaluation": {"message": ModelMetricsEnergy()},
    "a time that is none": {
        "message": ModelMetricsEnergy((EvaluationEnergy(start_emission="soon"),))
    },
    "negative energy": {"message": ModelMetricsEnergy((EvaluationEnergy(energy=-0.1),))},
    "endless energy": {"message": ModelMetricsEnergy((EvaluationEnergy(energy=np.inf),))},
    "accuracy in per cent": {
        "message": ModelMetricsEnergy((EvaluationEnergy(test_accuracy=94.2),))
    },
    "epochs 0": {"epochs": 0},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_what_is_wrong_is_told_with_its_frame(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "x.tfrecord"
    good = training(CHAIN)
    write_ecnas_records(path, [good, training(CHAIN, **change), good])
    with pytest.raises(FormatError) as caught:
        read_ecnas(path)
    first = next(read_frames(path))
    assert (caught.value.path, caught.value.offset) == (str(path), 16 + len(first[1]))


def test_hashes_of_large_cells_are_checked_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = cells(7, 2)[-1]
    write_ecnas_records(tmp_path / "x.tfrecord", [training(large, hash="0" * 32)])
    read_ecnas(tmp_path / "x.tfrecord")

    def hashes(space: Space) -> Any:
        # The true ones take half a minute; those of this one cell are enough here.
        made = np.full(len(space), "f" * 32)
        made[large.row] = large.nasbench_hash
        return made

    monkeypatch.setattr(Space, "hashes", hashes)
    with pytest.raises(FormatError, match="not that of its cell"):
        read_ecnas(tmp_path / "x.tfrecord", check_hashes=True)
    write_ecnas_records(tmp_path / "x.tfrecord", [training(large)])
    read_ecnas(tmp_path / "x.tfrecord", check_hashes=True)


def test_an_empty_file_and_none(tmp_path: Path) -> None:
    write_ecnas_records(tmp_path / "x.tfrecord", [])
    with pytest.raises(FormatError, match="no training"):
        read_ecnas(tmp_path / "x.tfrecord")
    with pytest.raises(UnknownTableError):
        read_nasbench(tmp_path / "none")


def test_uneven_files_do_not_claim_gigabytes(tmp_path: Path) -> None:
    some = [training(cell, i + 1) for i, cell in enumerate(cells(5, 1000))]
    write_ecnas_records(tmp_path / "x.tfrecord", some + [training(CHAIN)] * 20)
    with pytest.raises(FormatError, match="hardly any"):
        read_ecnas(tmp_path / "x.tfrecord")


def test_what_a_format_cannot_hold_is_not_dropped(tmp_path: Path, synthetic: Maker) -> None:
    energy = synthetic()
    with pytest.raises(FormatError, match="cannot hold") as caught:
        write_nasbench(tmp_path / "x.tfrecord", energy)
    assert "energy_kwh" in str(caught.value)
    parameters = replace(
        energy,
        values={"parameters": energy.values["energy_kwh"]},
        provenance={"parameters": Provenance("derived")},
    )
    with pytest.raises(FormatError, match="cannot hold"):
        write_ecnas(tmp_path / "x.tfrecord", parameters)
    half = dict(energy.values, started_unix_s=energy.values["started_unix_s"] + 0.5)
    with pytest.raises(FormatError, match="whole seconds"):
        write_ecnas(tmp_path / "x.tfrecord", replace(energy, values=half))
    assert list(tmp_path.iterdir()) == []


def test_nasbench_records_survive(tmp_path: Path) -> None:
    message = ModelMetrics((Evaluation(1.0, checkpoint_path="/a"),) * 3, None, 5.0)
    one: Training[ModelMetrics] = training(CHAIN, message=message)
    write_nasbench_records(tmp_path / "x.tfrecord", [one])
    from naslib_ecnas.data.nasbench_tfrecord import read_nasbench_records

    assert list(read_nasbench_records(tmp_path / "x.tfrecord")) == [one]
    assert set(read_nasbench(tmp_path / "x.tfrecord").values) == {
        "epoch",
        "initial_epoch",
        "halfway_epoch",
        "total_time_s",
    }
