"""EC-NAS's raw runs: their windows, summed by the rule of our records, are the official columns."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from naslib_ecnas.campaign import Measurement, Plan, columns_of, make_plan
from naslib_ecnas.campaign.measurement import MeterLabel, record_path
from naslib_ecnas.data.nasbench_tfrecord import read_ecnas
from naslib_ecnas.data.table import Columns
from naslib_ecnas.energy.readings import Reading, Window
from naslib_ecnas.space import Space
from naslib_ecnas.training.record import SPLITS, WHEN, Evaluation, Segment, WindowId

PUE, J_PER_KWH = 1.59, 3.6e6
#: Columns of the official file -> columns of the raw runs.
SAME: dict[str, str] = {
    "energy_kwh": "final_energy_kwh",
    "halfway_energy_kwh": "half_energy_kwh",
    "initial_energy_kwh": "init_energy_kwh",
    "total_energy_kwh": "total_energy_kwh",
    "training_time_s": "final_training_time_s",
    "halfway_training_time_s": "half_training_time_s",
    "total_time_s": "total_time_s",
    "halfway_epoch": "half_epochs",
}


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


@pytest.fixture(scope="module")
def raw(runs: list[dict[str, Any]], official: Columns) -> dict[str, NDArray[np.float64]]:
    """Columns of the raw runs as arrays (cells, budgets, repeats)."""
    found = {name: np.full((91, 4, 3), np.nan) for name in SAME}
    for run in runs:
        at = run["row"], official.budgets.index(run["epochs"]), run["repeat"] - 1
        for name, column in SAME.items():
            found[name][at] = run[column]
    return found


def _assert_equal(found: Any, official: Columns) -> None:
    """Columns are equal to the last digit that was published, repeats matched by their times."""
    times = found["total_time_s"], official.values["total_time_s"]
    orders = [np.argsort(values, axis=2) for values in times]
    for name in SAME:
        pair = found[name], official.values[name]
        mine, theirs = map(np.take_along_axis, pair, orders, (2, 2))
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, err_msg=name)


def test_the_official_columns_are_those_of_the_raw_runs(
    runs: list[dict[str, Any]], raw: dict[str, NDArray[np.float64]], official: Columns
) -> None:
    """91 cells x 4 budgets x 3 repeats, which the official file has in another order."""
    assert len(runs) == 91 * 4 * 3 == np.isfinite(official.values["energy_kwh"]).sum()
    _assert_equal(raw, official)
    # Training times are those of the steps: 0 after the start-up, which takes seconds and energy.
    assert (official.values["initial_training_time_s"] == 0).all()
    assert (official.values["initial_energy_kwh"] > 0).all()
    # EC-NAS's evaluation in the middle comes after the first epoch.
    assert (official.values["halfway_epoch"] == 1).all()
    # What total_energy_kwh has and energy_kwh has not: evaluations, which no budget shortens.
    share = raw["energy_kwh"] / raw["total_energy_kwh"]
    assert np.median(share, axis=(0, 2)) == pytest.approx([0.787, 0.910, 0.966, 0.989], abs=1e-3)


def _record(template: Measurement, run: dict[str, Any], plan: Plan) -> Measurement:
    """A record of ours with the windows of a raw run.

    EC-NAS's numbers are sums from the start; what no sum has was used by the evaluations. Its first
    call of `train()` is our start-up and first step; how it is divided between them is made up.
    """
    budget = template.training.recipe.steps(run["epochs"])
    ends = (1, run["half_steps"], budget)
    kwh = dict(zip(WHEN, (run[f"{w}_energy_kwh"] for w in ("init", "half", "final")), strict=True))
    energies = {"total": run["total_energy_kwh"]}
    energies |= {"init": 0.75 * kwh["start"], "train-0": 0.25 * kwh["start"]}
    energies |= {"train-1": kwh["middle"] - kwh["start"], "train-2": kwh["end"] - kwh["middle"]}
    evaluated = [f"evaluate-{when}-{split}" for when in WHEN for split in SPLITS]
    energies |= dict.fromkeys(evaluated, (run["total_energy_kwh"] - kwh["end"]) / len(evaluated))
    seconds = dict.fromkeys(energies, 1.0) | {"total": run["total_time_s"], "train-0": 0.0}
    seconds["train-1"] = run["half_training_time_s"]
    seconds["train-2"] = run["final_training_time_s"] - run["half_training_time_s"]
    named = {n: WindowId(name=n, index=i, seconds=seconds[n]) for i, n in enumerate(energies)}
    windows = tuple(
        Window(
            *(name, name, at.index, 0, 0.0, at.seconds, 0.0, at.seconds),
            energy_j={"GPU-0": Reading(energies[name] / PUE * J_PER_KWH, "counter")},
        )
        for name, at in named.items()
        if at.index is not None
    )
    loss = {"mean_loss": 1.0, "last_loss": 1.0}
    segments = tuple(
        Segment(window=named[f"train-{i}"], first_step=first, steps=stop - first, **loss)
        for i, (first, stop) in enumerate(pairwise((0, *ends)))
    )
    outcome = {"images": 9984, "accuracy": 0.5}
    evaluations = tuple(
        Evaluation(when=w, split=s, steps=n, window=named[f"evaluate-{w}-{s}"], **outcome)
        for w, n in zip(WHEN, ends, strict=True)
        for s in SPLITS
    )
    training = replace(
        template.training,
        epochs=run["epochs"],
        budget_steps=budget,
        steps=budget,
        windows=tuple(named.values()),
        segments=segments,
        evaluations=evaluations,
    )
    unit = plan.by_name[f"{run['row']}-{run['epochs']}-{run['repeat'] - 1}"]
    meter = MeterLabel(kind="nvml")
    same = {"unit": unit, "plan": plan.checksum, "meter": meter}
    return replace(template, training=training, windows=windows, **same)


def test_windows_of_the_raw_runs_give_the_official_columns(
    sound: Path, tmp_path: Path, runs: list[dict[str, Any]], official: Columns
) -> None:
    """By way of our records and their export, for every run."""
    first = Plan.read(sound)
    template = Measurement.read(record_path(sound, first.units[0]))
    plan = make_plan(
        range(91), name="raw", vertices=4, epochs=official.budgets, repeats=3, data=first.data
    )
    plan.write(tmp_path / "raw")
    for run in runs:
        record = _record(template, run, plan)
        assert record.energy_kwh * PUE == pytest.approx(run["final_energy_kwh"], rel=1e-12)
        record.write(record_path(tmp_path / "raw", record.unit))
    columns = columns_of(tmp_path / "raw", pue=PUE)
    # EC-NAS counted whole epochs there, and left one step out of 156 at 36 epochs.
    columns.values["halfway_epoch"] = np.round(columns.values["halfway_epoch"])
    _assert_equal(columns.values, official)
