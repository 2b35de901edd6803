"""`ecnas measure` as a user meets it: from a plan to a table, tiny."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import cli
from naslib_ecnas.files import cache_folder

torch = pytest.importorskip("torch")

SMALL = ("--device", "cpu", "--meter", "none", "--steps", "2", "--batch-size", "2")
SMALL = (*SMALL, "--evaluate-images", "2")


@pytest.fixture(autouse=True)
def _command(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = dict.fromkeys((*cli.COMMANDS, "measure"))
    monkeypatch.setattr(cli, "COMMANDS", tuple(commands))


def _ecnas(*arguments: object) -> int:
    return cli.main(["measure", *map(str, arguments)])


def _plan(folder: Path, *more: object) -> int:
    cells = folder.parent / "cells.txt"
    cells.write_text("0\n")
    options = ("--cells", cells, "--data", "synthetic", "--images-per-file", 4)
    return _ecnas("plan", *options, "--out", folder, *more)


def _json(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    capsys.readouterr()
    code = _ecnas(*arguments, "--json")
    return code, json.loads(capsys.readouterr().out)


def test_from_a_plan_to_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "c"
    assert _plan(folder, "--repeats", 2) == 0
    assert "2 units planned" in capsys.readouterr().out
    assert _ecnas("run", folder, *SMALL, "--limit", 1) == 0
    out = capsys.readouterr().out
    assert re.search(r"row 0, 4 epochs, .* s \(1 of 2, about .* s to come\)\n", out)
    code, found = _json(capsys, "status", folder)
    assert (code, found["planned"], found["recorded"], found["remaining"]) == (0, 2, 1, 1)
    assert found["energy_kwh"] is None  # unmeasured, and so not 0
    assert _ecnas("run", folder, *SMALL) == 0
    assert _ecnas("run", folder, *SMALL) == 0
    assert "0 units recorded" in capsys.readouterr().out
    assert _ecnas("status", folder) == 0
    assert "2 of 2 units recorded" in capsys.readouterr().out
    code, found = _json(capsys, "validate", folder)
    assert (code, found["good"], found["spotless"], found["missing"]) == (0, True, False, [])
    assert _ecnas("validate", folder) == 0
    out = capsys.readouterr().out
    assert re.search(r"2 units +doubt +unmeasured +there was no meter", out)
    assert out.count("there was no meter") == 1  # what is so of both is said once
    code, found = _json(capsys, "validate", folder, "--strict")
    assert code == 1
    assert {f["code"] for f in found["findings"]} >= {"unmeasured", "synthetic", "departure"}
    assert _ecnas("export", folder, "--out", tmp_path / "t.ecnas") == 1
    assert "--allow-synthetic" in capsys.readouterr().err
    assert not (tmp_path / "t.ecnas").exists()
    assert _ecnas("export", folder, "--out", tmp_path / "t.ecnas", "--allow-synthetic") == 0
    assert "SYNTHETIC" in capsys.readouterr().err
    bench = ecnas.load(tmp_path / "t.ecnas")
    assert bench.provenance["energy_kwh"].kind == "synthetic"
    assert np.isnan(bench.values("energy_kwh", 4)).all()
    assert 0 <= bench.query(0, epochs=4).validation_accuracy <= 1


def test_a_damaged_record_is_told_and_requeued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "c"
    assert _plan(folder) == 0
    assert _ecnas("run", folder, *SMALL) == 0
    record = folder / "records" / "0-4-0.json"
    record.write_bytes(record.read_bytes()[:500])
    capsys.readouterr()
    assert _ecnas("status", folder) == 0
    assert "damaged" in capsys.readouterr().out
    assert _ecnas("validate", folder) == 1
    out = capsys.readouterr().out
    assert "FAULT" in out
    assert "measure again: 0-4-0" in out
    code, found = _json(capsys, "validate", folder, "--requeue")
    assert (code, found["requeued"]) == (1, ["0-4-0"])
    assert _ecnas("run", folder, *SMALL) == 0
    assert _ecnas("validate", folder) == 0


def test_images_of_the_host_and_a_warm_up(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    assert _plan(folder) == 0
    assert _ecnas("run", folder, *SMALL, "--images", "host", "--warm-up", "0.01") == 0
    content = json.loads((folder / "records" / "0-4-0.json").read_text())["content"]
    assert content["settings"]["images"] == "host"
    assert content["settings"]["warm_up_s"] == 0.01
    assert content["training"]["recipe"]["images"] == "host"
    assert "images host for device" in content["training"]["departures"]
    assert content["windows"][0]["name"] == "warm-up"


def test_a_design_over_budgets_with_a_limit(tmp_path: Path) -> None:
    options = ("--space", "4v", "--design", 8, "--epochs", "4,12", "--repeats", 3, "--limit", 20)
    assert _ecnas("plan", *options, "--data", "synthetic", "--out", tmp_path / "c") == 0
    plan = json.loads((tmp_path / "c" / "plan.json").read_text())
    assert len(plan["units"]) == 20
    assert {u["epochs"] for u in plan["units"]} == {4, 12}
    assert plan["data"] == {"kind": "synthetic", "path": None, "images_per_file": 256}
    assert _ecnas("plan", *options, "--data", "cifar10", "--out", tmp_path / "d") == 0
    data = json.loads((tmp_path / "d" / "plan.json").read_text())["data"]
    assert data["path"] == str((cache_folder() / "cifar10").resolve())
    # Without its files nothing begins, and the error says how to get them.
    assert _ecnas("run", tmp_path / "d", "--device", "cpu") == 2


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (("plan", "--data", "tfrecord", "--out", "{c}"), "tfrecord FOLDER"),
        (("plan", "--data", "synthetic", "--epochs", "four", "--out", "{c}"), "budgets"),
        (("plan", "--data", "synthetic", "--cells", "x", "--design", "9", "--out", "{c}"), "two"),
        (("run", "{c}", "--meter", "replay"), "replay FILE"),
        (("run", "{c}", "--device", "cpu"), "no campaign"),
        (("status", "{c}"), "no campaign"),
        (("validate", "{c}"), "no campaign"),
        (("export", "{c}", "--out", "x.xyz"), "no such format"),
        (("run", "{c}", "--stale", "0"), "pace"),
        (("run", "{c}", "--device", "cpu", "--warm-up", "-1"), "warm_up_s"),
    ],
)
def test_what_is_not_possible_is_one_line_and_exit_2(
    wrong: tuple[str, ...], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ecnas(*(part.format(c=tmp_path / "c") for part in wrong)) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_jobs_of_this_machine_are_treated_as_those_of_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "c"
    assert _plan(folder, "--repeats", 3) == 0
    assert _ecnas("run", folder, *SMALL, "--cluster", "local", "--workers", 2) == 0
    assert "2 jobs" in capsys.readouterr().out
    code, found = _json(capsys, "validate", folder)
    assert (code, found["records"], found["good"]) == (0, 3, True)
