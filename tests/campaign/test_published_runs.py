"""EC-NAS's raw runs: their windows, summed by the rule of our records, are the official columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.campaign import Measurement, Plan, columns_of, make_plan
from naslib_ecnas.campaign.measurement import MeterLabel, record_path
from naslib_ecnas.data.nasbench_tfrecord import read_ecnas
from naslib_ecnas.data.table import Columns
from naslib_ecnas.energy.readings import Reading, Window
from naslib_ecnas.space import Space
from naslib_ecnas.training.record import SPLITS, WHEN

PUE, J_PER_KWH = 1.59, 3.6e6
#: Columns that are compared.
SAME = ["halfway_epoch", "total_time_s"]
SAME += [f"{when}energy_kwh" for when in ("", "halfway_", "initial_", "total_")]
SAME += [f"{when}training_time_s" for when in ("", "halfway_")]


@pytest.fixture(scope="module")
def runs(reference: Path) -> list[dict[str, Any]]:
    """The raw runs, with `row` of the cell and the `epochs` of the budget."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    found = parquet.read_table(reference / "measured_4v_rtx6000_3repeats.parquet").to_pylist()
    space = Space(4)
    rows = {key: space.row_of_hash(key) for key in {run["hash"] for run in found}}
    return [{**run, "row": rows[run["hash"]], "epochs": int(run["budget_epochs"])} for run in found]


@pytest.fixture(scope="module")
def official(reference: Path) -> Columns:
    return read_ecnas(reference / "official" / "energy_4V9E_4epochs.tfrecord")


def _windows(run: dict[str, Any]) -> list[Window]:
    """Windows of ours with the numbers of a raw run.

    EC-NAS's numbers are sums from the start; what no sum has was used by the evaluations. Its first
    call of `train()` is our start-up and first step; how it is divided between them is made up.
    """
    start, middle, end = (run[f"{when}_energy_kwh"] for when in ("init", "half", "final"))
    energies = {"total": run["total_energy_kwh"], "init": 0.75 * start, "train-0": 0.25 * start}
    energies |= {"train-1": middle - start, "train-2": end - middle}
    evaluated = [f"evaluate-{when}-{split}" for when in WHEN for split in SPLITS]
    energies |= dict.fromkeys(evaluated, (run["total_energy_kwh"] - end) / len(evaluated))
    seconds = dict.fromkeys(energies, 1.0) | {"total": run["total_time_s"], "train-0": 0.0}
    seconds["train-1"] = run["half_training_time_s"]
    seconds["train-2"] = run["final_training_time_s"] - run["half_training_time_s"]
    readings = {n: {"GPU-0": Reading(e / PUE * J_PER_KWH, "counter")} for n, e in energies.items()}
    return [
        Window(name, name, i, 0, 0.0, seconds[name], 0.0, seconds[name], energy_j=reading)
        for i, (name, reading) in enumerate(readings.items())
    ]


def test_windows_of_the_raw_runs_give_the_official_columns(
    sound: Path, tmp_path: Path, runs: list[dict[str, Any]], official: Columns, whole_run: Any
) -> None:
    """By way of our records and their export, for every run."""
    first = Plan.read(sound)
    template = Measurement.read(record_path(sound, first.units[0]))
    plan = make_plan(
        range(91), name="raw", vertices=4, epochs=official.budgets, repeats=3, data=first.data
    )
    plan.write(tmp_path / "raw")
    for run in runs:
        unit = plan.by_name[f"{run['row']}-{run['epochs']}-{run['repeat'] - 1}"]
        same = {"plan": plan.checksum, "meter": MeterLabel(kind="nvml"), "unit": unit}
        record = whole_run(template, _windows(run), middle=run["half_steps"], **same)
        assert record.energy_kwh * PUE == pytest.approx(run["final_energy_kwh"], rel=1e-12)
        record.write(record_path(tmp_path / "raw", record.unit))
    columns = columns_of(tmp_path / "raw", pue=PUE)
    # EC-NAS counted whole epochs there, and left one step out of 156 at 36 epochs.
    columns.values["halfway_epoch"] = np.round(columns.values["halfway_epoch"])
    # To the last digit that was published; the official file has the repeats in another order.
    times = columns.values["total_time_s"], official.values["total_time_s"]
    orders = [np.argsort(values, axis=2) for values in times]
    for name in SAME:
        pair = columns.values[name], official.values[name]
        ours, theirs = map(np.take_along_axis, pair, orders, (2, 2))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=name)
    assert np.isfinite(official.values["energy_kwh"]).sum() == len(runs) == 91 * 4 * 3
    # EC-NAS's evaluation in the middle comes after the first epoch.
    assert (official.values["halfway_epoch"] == 1).all()
