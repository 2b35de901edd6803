"""`ecnas measure`: a campaign from its plan to a table, tiny."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.campaign import Plan
from naslib_ecnas.campaign.estimate import Estimate
from naslib_ecnas.files import cache_folder

SMALL = ("--device", "cpu", "--meter", "none", "--steps", 2, "--batch-size", 2)
SMALL = (*SMALL, "--evaluate-images", 2)


def _plan(ecnas_: Any, folder: Path, *more: object) -> str:
    cells = folder.parent / "cells.txt"
    cells.write_text("0\n")
    line = ("measure", "plan", "--cells", cells, "--data", "synthetic", "--images-per-file", 4)
    out: str = ecnas_.out(*line, "--out", folder, *more)
    return out


def test_from_a_plan_to_a_table(tmp_path: Path, ecnas_: Any) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    folder, table = tmp_path / "c", tmp_path / "t.ecnas"
    run = ("measure", "run", folder, *SMALL, "--images", "host", "--warm-up", 0.01)
    assert "2 units planned" in _plan(ecnas_, folder, "--repeats", 2)
    out = ecnas_.out(*run, "--limit", 1)
    assert re.search(r"row 0, 4 epochs, .*: recorded after .* s\n", out)
    found = ecnas_.json("measure", "status", folder)
    assert (found["planned"], found["recorded"], found["remaining"]) == (2, 1, 1)
    assert found["energy_kwh"] is None  # it was not measured, and so is not 0
    (record,) = (folder / "records").glob("*.json")
    content = json.loads(record.read_text())["content"]
    assert content["settings"]["images"] == "host" == content["training"]["recipe"]["images"]
    assert "images host for device" in content["training"]["departures"]
    assert content["settings"]["warm_up_s"] == 0.01
    assert content["windows"][0]["name"] == "warm-up"
    ran = ecnas_(*run)
    assert ran.err == ""  # no bars where stderr is no terminal
    assert "0 units recorded" in ecnas_.out(*run)
    assert "2 of 2 units recorded" in ecnas_.out("measure", "status", folder)

    found = ecnas_.json("measure", "validate", folder)
    assert (found["good"], found["spotless"], found["missing"]) == (True, False, [])
    out = ecnas_.out("measure", "validate", folder)
    assert re.search(r"2 units +doubt +unmeasured +there was no meter", out)
    assert out.count("there was no meter") == 1  # one line for both units
    found = ecnas_.json("measure", "validate", folder, "--strict", code=1)
    assert {f["code"] for f in found["findings"]} >= {"unmeasured", "synthetic", "departure"}

    export = ("measure", "export", folder, "--out", table)
    assert "--allow-synthetic" in ecnas_.refused(*export, code=1)
    assert not table.exists()
    assert "SYNTHETIC" in ecnas_(*export, "--allow-synthetic").err
    bench = ecnas.load(table)
    assert bench.provenance["energy_kwh"].kind == "synthetic"
    assert np.isnan(bench.values("energy_kwh", 4)).all()
    assert 0 <= bench.query(0, epochs=4).validation_accuracy <= 1

    record.write_bytes(record.read_bytes()[:500])
    assert "damaged" in ecnas_.out("measure", "status", folder)
    ran = ecnas_("measure", "validate", folder)
    assert ran.code == 1
    assert "FAULT" in ran.out
    assert f"measure again: {record.stem}" in ran.out
    found = ecnas_.json("measure", "validate", folder, "--requeue", code=1)
    assert found["requeued"] == [record.stem]
    ecnas_.out(*run)
    ecnas_.out("measure", "validate", folder)


def test_a_rehearsal_counts_for_nothing(tmp_path: Path, ecnas_: Any) -> None:
    """Of a plan for speed, too: what it asks for is in the records as departures."""
    pytest.importorskip("torch", reason="torch is not installed")
    folder, table = tmp_path / "c", tmp_path / "t.csv"
    out = _plan(ecnas_, folder, "--repeats", 3, "--precision", "tf32", "--channels-last")
    assert re.search(r"one worker: [\d.]+ s and [\d.e-]+ kWh, on rtx-3090 by its models", out)
    run = ("measure", "run", folder, "--rehearse", "--device", "cpu", "--meter", "none")
    assert f"2 units recorded; see: ecnas measure status {folder}/rehearsal-1" in ecnas_.out(*run)
    assert ecnas_.json("measure", "status", folder)["recorded"] == 0
    export = ("--out", table, "--allow-synthetic")
    assert "no records" in ecnas_.refused("measure", "export", folder, *export)
    place = folder / "rehearsal-1"
    assert "synthetic" in ecnas_.refused("measure", "export", place, "--out", table, code=1)
    assert not table.exists()
    for path in (place / "records").glob("*.json"):
        training = json.loads(path.read_text())["content"]["training"]
        assert set(training["departures"]) >= {
            "tf32 True for False",
            "channels_last True for False",
        }
        assert training["arithmetic"]["cuda.matmul.allow_tf32"] is True
        assert training["steps"] == 2
    assert "1 unit recorded" in ecnas_.out(*run, "--limit", 1)
    assert len(Plan.read(folder / "rehearsal-2").units) == 1


def test_a_long_run_on_a_cpu_is_told_before_it_begins(
    tmp_path: Path, ecnas_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plan(ecnas_, tmp_path / "c", "--repeats", 2)
    timed: list[int] = []

    def ten_hours(plan: Plan, *_: object) -> Estimate:
        timed.append(len(plan.units))
        return Estimate(36_000.0, 1.0, "")

    monkeypatch.setattr("naslib_ecnas.commands.measure.timed", ten_hours)
    monkeypatch.setattr("naslib_ecnas.campaign.work", lambda *_, **__: [])
    run = ("measure", "run", tmp_path / "c", "--device", "cpu", "--meter", "none")
    assert "about 10.0 h on this CPU; with a few steps: --rehearse" in ecnas_(*run).err
    assert timed == [2]
    assert ecnas_(*run, "--steps", 2).err == ""


def test_a_design_over_budgets_with_a_limit(tmp_path: Path, ecnas_: Any) -> None:
    words = "measure plan --space 4v --design 8 --epochs 4,12 --repeats 3 --limit 20 --data"
    line = words.split()
    said = ecnas_.out(*line, "synthetic", "--out", tmp_path / "c", "--device", "titan-xp")
    assert "on titan-xp by its models" in said
    assert f"ecnas measure export {tmp_path / 'c'} --extrapolate 108" in said
    plan = json.loads((tmp_path / "c" / "plan.json").read_text())
    assert len(plan["units"]) == 20
    assert {unit["epochs"] for unit in plan["units"]} == {4, 12}
    assert plan["data"] == {"kind": "synthetic", "path": None, "images_per_file": 256}
    assert ecnas_(*line, "cifar10", "--out", tmp_path / "d").code == 0
    data = json.loads((tmp_path / "d" / "plan.json").read_text())["data"]
    assert data["path"] == str((cache_folder() / "cifar10").resolve())
    pytest.importorskip("torch", reason="torch is not installed")
    # Without its files nothing begins, and the error says how to get them.
    ecnas_.refused("measure", "run", tmp_path / "d", "--device", "cpu")


def test_impossible_settings_are_named(tmp_path: Path, ecnas_: Any) -> None:
    folder = tmp_path / "c"
    plan = ("plan", "--out", folder, "--data")
    for words, part in (
        ((*plan, "synthetic", "--cells", "x", "--design", 9), "not by both"),
        (("run", folder, "--gpus", "all", "--cluster", "local"), "--gpus"),
        (("run", folder, "--rehearse", "--device", "cpu"), "campaign"),
        ((*plan, "synthetic", "--device", "abacus"), "abacus"),
    ):
        assert part in ecnas_.refused("measure", *words), words


def test_cuda_graphs_on_a_cpu_are_refused(tmp_path: Path, ecnas_: Any) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    words = ("--out", tmp_path / "c", "--data", "synthetic", "--device", "cpu", "--cuda-graphs")
    assert "cuda_graphs" in ecnas_.refused("measure", "plan", *words)


@pytest.mark.slow
def test_jobs_on_this_machine_behave_like_those_of_a_cluster(
    tmp_path: Path, ecnas_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "c"
    _plan(ecnas_, folder, "--repeats", 3)
    out = ecnas_.out("measure", "run", folder, *SMALL, "--cluster", "local", "--workers", 2)
    assert "2 jobs" in out
    found = ecnas_.json("measure", "validate", folder)
    assert (found["records"], found["good"]) == (3, True)
