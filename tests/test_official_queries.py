"""Queries of the official EC-NAS files by name (their columns: data/test_nasbench_tfrecord.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.data.convert import read
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


@pytest.fixture
def official(reference: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    return reference / "official"


@pytest.mark.parametrize("name", FILES)
def test_every_query_gives_the_published_values(name: str, official: Path) -> None:
    bench = ecnas.load(name)
    columns = read(official / f"{FILES[name]}.tfrecord")
    assert (bench.rows == columns.rows).all()
    assert bench.budgets == columns.budgets
    evaluations = 0
    for i, row in enumerate(columns.rows.tolist()):
        cell = ecnas.Cell.from_row(row)
        for k, epochs in enumerate(columns.budgets):
            for repeat in range(columns.repeats):
                record = bench.query(cell, epochs, repeat=repeat)
                wanted = {m: values[i, k, repeat] for m, values in columns.values.items()}
                assert {metric: record[metric] for metric in wanted} == wanted
            energies = columns.values["energy_kwh"][i, k]
            mean = bench.query(cell, epochs).energy_kwh
            assert mean == pytest.approx(np.mean(energies), rel=1e-15)
            evaluations += columns.repeats + 1
    assert evaluations == bench.spent.evaluations
    with pytest.raises(UnknownRepeatError):
        bench.query(cell, epochs, repeat=columns.repeats)


@pytest.mark.usefixtures("official")
def test_table_3_of_the_paper_follows() -> None:
    """5V row: 121.109 GPU-days, 1970.495 kWh, 252.571 kgCO2eq are 39 times the 4-epoch total."""
    bench = ecnas.load("5v-4epochs")
    days = 39 * bench.values("training_time_s").sum() / 86_400
    assert round(days, 3) == 121.109
    assert round(39 * bench.values("energy_kwh").sum(), 3) == 1970.495
    # Printed with the last digit cut off, not rounded.
    assert 39 * bench.values("co2_g").sum() / 1_000 == pytest.approx(252.571, abs=1e-3)
