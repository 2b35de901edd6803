"""The official EC-NAS files: bytes, values, cells and hashes, against a parse of the test's own."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.nasbench_tfrecord import (
    read_ecnas,
    read_ecnas_records,
    read_nasbench,
    write_ecnas,
    write_ecnas_records,
)
from naslib_ecnas.data.table import Table, write_table
from naslib_ecnas.errors import FormatError

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
NAMES = [name for name, *_ in FILES]


def plain_rows(path: Path) -> Iterator[list[Any]]:
    """Frames and JSON, without any check."""
    raw = path.read_bytes()
    at = 0
    while at < len(raw):
        (length,) = struct.unpack_from("<Q", raw, at)
        yield json.loads(raw[at + 12 : at + 12 + length])
        at += 16 + length


def plain_message(data: bytes) -> dict[int, list[Any]]:
    """Fields of a message by number; lengths below 2**14 only, as the files have."""
    out: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        key = data[at]
        at += 1
        if key & 7 == 1:
            value: Any = struct.unpack_from("<d", data, at)[0]
            at += 8
        else:
            number = shift = 0
            while True:
                number |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if data[at - 1] < 128:
                    break
            value = number
            if key & 7 == 2:
                value = data[at : at + number]
                at += number
        out.setdefault(key >> 3, []).append(value)
    return out


def seconds(text: bytes) -> float:
    moment = datetime.fromisoformat(text.decode()).replace(tzinfo=timezone.utc)
    return moment.timestamp()


def plain_values(message: bytes) -> tuple[dict[str, float], int]:
    """Metrics of a message, and its trainable parameters."""
    top = plain_message(message)
    out = {
        "total_time_s": top[3][0],
        "total_energy_kwh": top[4][0],
        "total_co2_g": top[5][0],
        "total_carbon_intensity_g_per_kwh": top[8][0],
    }
    numbers = ["epoch", "training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy"]
    numbers += ["energy_kwh", "co2_g", "carbon_intensity_g_per_kwh"]
    for prefix, raw in zip(("initial_", "halfway_", ""), top[1], strict=True):
        evaluation = plain_message(raw)
        for number, name in enumerate(numbers, 1):
            out[prefix + name] = evaluation[number][0]
        out[f"{prefix}started_unix_s"] = seconds(evaluation[9][0])
        out[f"{prefix}stopped_unix_s"] = seconds(evaluation[10][0])
    last = plain_message(top[1][2])
    for number, name in enumerate(("energy_kwh", "co2_g", "time_s"), 11):
        out[f"predicted_{name}"] = last[number][0]
    out["predicted_carbon_intensity_g_per_kwh"] = last[14][0]
    power = plain_message(top[9][0])
    for number, sort in ((1, "gpu"), (2, "cpu")):
        usage = plain_message(power[number][0])
        out[f"{sort}_power_w"] = plain_message(usage[1][0])[1][0]
        out[f"{sort}_energy_j"] = plain_message(usage[2][0])[1][0]
    return out, top[2][0]


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_survives_reading_and_writing(
    reference: Path, tmp_path: Path, name: str
) -> None:
    path = reference / "official" / f"{name}.tfrecord"
    write_ecnas_records(tmp_path / "again.tfrecord", read_ecnas_records(path))
    assert (tmp_path / "again.tfrecord").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("name", "vertices", "shape", "rows"), FILES)
def test_every_value_equals_the_plain_parse(
    reference: Path, name: str, vertices: int, shape: tuple[int, int, int], rows: int
) -> None:
    path = reference / "official" / f"{name}.tfrecord"
    columns = read_ecnas(path, check_hashes=vertices <= 5)
    assert (columns.name, columns.vertices, columns.shape) == (name, vertices, shape)
    seen: dict[tuple[int, int], int] = {}
    place = {row: i for i, row in enumerate(columns.rows.tolist())}
    budgets = list(columns.budgets)
    count = 0
    for nasbench_hash, epochs, bits, ops, text in plain_rows(path):
        cell = Cell(f"{bits}:{ops}")
        assert cell.nasbench_hash == nasbench_hash
        values, _ = plain_values(base64.b64decode(text))
        assert set(values) == set(columns.values)
        repeat = seen.get((cell.row, epochs), 0)
        seen[cell.row, epochs] = repeat + 1
        at = place[cell.row], budgets.index(epochs), repeat
        for metric, value in values.items():
            assert columns.values[metric][at] == value, (metric, at)
        count += 1
    assert count == rows == int((~np.isnan(columns.values["energy_kwh"])).sum())


def test_the_paper_s_saving_follows(reference: Path) -> None:
    # Table 3 of the paper: 5V, 1970.495 kWh and 121.109 GPU days are 39 times the 4-epoch total.
    columns = read_ecnas(reference / "official" / "energy_5V9E_4epochs.tfrecord")
    assert 39 * columns.values["energy_kwh"].sum() == pytest.approx(1970.495, abs=5e-4)
    days = 39 * columns.values["training_time_s"].sum() / 86_400
    assert days == pytest.approx(121.109, abs=5e-4)


@pytest.mark.parametrize("name", NAMES)
def test_columns_survive_our_own_frames_and_table(
    reference: Path, tmp_path: Path, same_values: Any, name: str
) -> None:
    path = reference / "official" / f"{name}.tfrecord"
    assert sniff(path) == "ecnas-tfrecord"
    columns = read(path)
    write_ecnas(tmp_path / "again.tfrecord", columns)
    same_values(read_ecnas(tmp_path / "again.tfrecord"), columns)
    write_table(tmp_path / "again.ecnas", columns)
    same_values(Table.open(tmp_path / "again.ecnas").to_columns(), columns)


@pytest.mark.parametrize(
    "name", ["energy_4V9E_rtx3060", "energy_4V9E_rtx3090", "energy_4V9E_titanxp"]
)
def test_even_columns_give_the_rows_back(reference: Path, tmp_path: Path, name: str) -> None:
    # One name of a GPU throughout, and matrices drawn as Cell draws them.
    path = reference / "official" / f"{name}.tfrecord"
    write_ecnas(tmp_path / "again.tfrecord", read_ecnas(path))
    assert sorted(plain_rows(tmp_path / "again.tfrecord")) == sorted(plain_rows(path))


@pytest.mark.parametrize("name", NAMES)
def test_the_wrong_reader_refuses(reference: Path, name: str) -> None:
    path = reference / "official" / f"{name}.tfrecord"
    with pytest.raises(FormatError, match="read each as what it is") as caught:
        read_nasbench(path)
    assert caught.value.offset == 0
