"""Every published file here, loaded by name and queried, against a plain parse of its bytes."""

from __future__ import annotations

import base64
import json
import struct
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import nasbench101
from naslib_ecnas.errors import UnknownRepeatError

FILES = {
    "4v-4epochs": "energy_4V9E_4epochs",
    "4v-linscale": "energy_4V9E_linscale",
    "4v-rtx6000": "energy_4V9E_quadrortx6000",
    "4v-rtx3060": "energy_4V9E_rtx3060",
    "4v-rtx3090": "energy_4V9E_rtx3090",
    "4v-titanxp": "energy_4V9E_titanxp",
    "5v-4epochs": "energy_5V9E_4epochs",
}
#: Fields of an evaluation, by number (model_metrics_energy.proto).
FIELDS = {
    1: "epoch",
    2: "training_time_s",
    3: "train_accuracy",
    4: "validation_accuracy",
    5: "test_accuracy",
    6: "energy_kwh",
    7: "co2_g",
    8: "carbon_intensity_g_per_kwh",
}


def fields(message: bytes) -> list[tuple[int, object]]:
    """Field numbers and values of a sound message: doubles, integers and bytes."""
    out: list[tuple[int, object]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 1:
            out.append((number, struct.unpack_from("<d", message, at)[0]))
            at += 8
        elif kind == 0:
            out.append((number, varint()))
        else:
            length = varint()
            out.append((number, message[at : at + length]))
            at += length
    return out


def parsed(path: Path) -> dict[tuple[str, int], list[tuple[str, int, dict[str, float]]]]:
    """Cell text, parameters and final metrics of each training, by hash and budget."""
    content, at = path.read_bytes(), 0
    out = defaultdict(list)
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        key, epochs, bits, ops, text = json.loads(content[at + 12 : at + 12 + length])
        at += 16 + length
        message = fields(base64.b64decode(text))
        evaluations = [dict(fields(data)) for number, data in message if number == 1]
        whole = {number: value for number, value in message if number != 1}
        final = {name: evaluations[2][number] for number, name in FIELDS.items()}
        final |= {f"halfway_{name}": evaluations[1][n] for n, name in FIELDS.items()}
        final |= {f"initial_{name}": evaluations[0][n] for n, name in FIELDS.items()}
        final |= {"total_time_s": whole[3], "total_energy_kwh": whole[4], "total_co2_g": whole[5]}
        out[key, epochs].append((f"{bits}:{ops}", whole[2], final))
    return out


@pytest.mark.parametrize("name", FILES)
def test_every_query_gives_the_published_values(
    name: str, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    bench = ecnas.load(name)
    published = parsed(reference / "official" / f"{FILES[name]}.tfrecord")
    assert len({key for key, _ in published}) == len(bench.rows)
    n = 0
    for (key, epochs), trainings in published.items():
        cell = ecnas.Cell(trainings[0][0])
        assert cell.nasbench_hash == key
        assert str(cell) == trainings[0][0]
        for repeat, (_, parameters, values) in enumerate(trainings):
            record = bench.query(cell, epochs, repeat=repeat)
            assert record.parameters == parameters
            assert {metric: record[metric] for metric in values} == values
            n += 1
        with pytest.raises(UnknownRepeatError):
            bench.query(cell, epochs, repeat=len(trainings))
        mean = bench.query(cell, epochs)
        energies = [values["energy_kwh"] for _, _, values in trainings]
        assert mean.energy_kwh == pytest.approx(np.mean(energies), rel=1e-15)
    assert n == sum(map(len, published.values())) == bench.spent.evaluations - len(published)


def test_the_original_calls_give_the_published_values(
    reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    nasbench = nasbench101.NASBench("4v-4epochs", seed=1)
    published = parsed(reference / "official" / "energy_4V9E_4epochs.tfrecord")
    assert set(nasbench.hash_iterator()) == {key for key, _ in published}
    for (key, epochs), trainings in published.items():
        _, computed = nasbench.get_metrics_from_hash(key)
        for ours, (_, _, values) in zip(computed[epochs], trainings, strict=True):
            assert ours["final_test_accuracy"] == values["test_accuracy"]
            assert ours["halfway_training_time"] == values["halfway_training_time_s"]
            assert ours["energy_kwh"] == values["energy_kwh"]


def test_table_3_of_the_paper_follows(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """5V row: 121.109 GPU-days, 1970.495 kWh, 252.571 kgCO2eq are 39 times the 4-epoch total."""
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    bench = ecnas.load("5v-4epochs")
    days = 39 * bench.values("training_time_s").sum() / 86_400
    assert round(days, 3) == 121.109
    assert round(39 * bench.values("energy_kwh").sum(), 3) == 1970.495
    # Printed with the last digit cut off, not rounded.
    assert 39 * bench.values("co2_g").sum() / 1_000 == pytest.approx(252.571, abs=1e-3)
