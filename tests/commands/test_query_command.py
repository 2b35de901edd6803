"""`ecnas query` and `ecnas info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import naslib_ecnas as ecnas
from naslib_ecnas._version import __version__
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.space import Space

ROW = 5  # of the table `own`


def test_query(own: Path, ecnas_: Any) -> None:
    out = ecnas_.out("query", own, ROW)
    cell = Space(4).cell(ROW)
    for part in (
        "own: 12 epochs, mean of 2 trainings",
        str(cell),
        cell.nasbench_hash,
        "from made-up.bin, SHA-256 " + "0" * 64,
        "test_accuracy",
        "missing",
        "[1] made up",
        "note: first\nnote: second\ncite: Nobody: Nothing.\n",
    ):
        assert part in out, part
    line = next(line for line in out.splitlines() if line.startswith("energy_kwh"))
    assert line.split() == ["energy_kwh", "7.5", "kWh", "synthetic", "[1]"]
    assert "\x1b" not in out
    out = ecnas_.out("query", own, ROW, "--repeat", 0)
    assert "repeat 0 of 2" in out
    assert "2022-05-28 13:58:33" in out


def test_a_cell_is_named_in_any_form(own: Path, ecnas_: Any) -> None:
    cell = Space(4).cell(ROW)
    for name in (ROW, cell, cell.nasbench_hash, cell.nasbench_hash.upper()):
        found = ecnas_.json("query", own, name, "--epochs", 4, "--repeat", 1)
        assert (found["row"], found["epochs"], found["repeat"]) == (ROW, 4, 1), name
        assert (found["cell"], found["hash"]) == (str(cell), cell.nasbench_hash)
        assert found["metrics"]["energy_kwh"] == 6.0
        assert found["metrics"]["test_accuracy"] is None
        assert found["metrics"]["parameters"] == 2793866
        assert found["units"]["energy_kwh"] == METRICS["energy_kwh"].unit == "kWh"
        assert found["provenance"]["energy_kwh"]["kind"] == "synthetic"


@pytest.mark.usefixtures("modelled")
def test_a_world_of_a_modelled_table(own: Path, ecnas_: Any) -> None:
    found = ecnas_.json("query", "4v", ROW, "--world", 17, "--pue", 1)
    there, here = (ecnas.load("4v", pue=1, world=world).query(ROW) for world in (17, None))
    assert found["metrics"]["energy_kwh"] == there.energy_kwh != here.energy_kwh
    assert "world" in ecnas_.refused("query", own, ROW, "--world", 1)


def test_info(own: Path, ecnas_: Any) -> None:
    ecnas_.out("data", "export", own, own.with_suffix(".csv"))
    assert "in the cache: none" in ecnas_.out("info")
    path = Path(ecnas_.out("data", "convert", own.with_suffix(".csv")).strip())
    found = {check["name"]: check for check in ecnas_.json("info")["checks"]}
    assert found["ecnas"]["found"].startswith(__version__)
    assert f"in the cache: {path.stem} (" in found["tables"]["found"]
    assert {"NASLib", "cache", "extra tables", "grakel"} <= found.keys()
    assert not {"torch", "GPUs", "SLURM", "mirror"} & found.keys()
