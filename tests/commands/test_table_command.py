"""`ecnas table`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("modelled")


def test_table_1(ecnas_: Any) -> None:
    four, five = ecnas_.json("table", 1, "--table", "4v, 5v")["rows"]
    assert (four["table"], four["vertices"], four["cells"], four["trainings"]) == ("4v", 4, 91, 364)
    assert (five["cells"], five["cells_by_vertices"]) == (2532, "1 6 84 2441")
    assert four["energy_kwh"] == "modelled"


def test_table_2(tmp_path: Path, ecnas_: Any) -> None:
    line = "table 2 --table 4v --seeds 2 --evaluations 30 --epochs 12 --methods random,semoa --out"
    found = ecnas_.json(*line.split(), tmp_path)
    assert [(line["method"], line["cell"]) for line in found["rows"]] == [
        (method, cell) for method in ("random", "semoa") for cell in ("r0", "rk", "r1")
    ]
    written = list(csv.DictReader((tmp_path / "table-2.csv").read_text().splitlines()))
    assert float(written[0]["energy_kwh"]) == found["rows"][0]["energy_kwh"]
    assert found["file"] == str(tmp_path / "table-2.csv")
    assert "12 epochs, 30 evaluations" in found["about"]
    assert "one table" in ecnas_.refused("table", 2, "--table", "4v,5v")


def test_unknown_values_are_named(ecnas_: Any) -> None:
    (line,) = ecnas_.json("table", 3, "--table", "4v")["rows"]
    assert line["co2_kg"] is None
    (line,) = ecnas_.json("table", 3, "--table", "4v", "--carbon-intensity", 100)["rows"]
    assert line["co2_kg"] == pytest.approx(0.1 * line["energy_kwh"], rel=1e-6)
    out = ecnas_.out("table", 3, "--table", "4v")
    assert "unknown" in out
    assert "choose --carbon-intensity" in out
    # Energy and time are of different hardware, which "gpu_days" alone would not tell.
    assert "Training energy: modelled, on NVIDIA GeForce RTX 3090, PUE 1.59 included." in out
    assert "Training time: modelled, on TPU v2." in out


@pytest.mark.parametrize(("kind", "suffix"), [("latex", "tex"), ("markdown", "md"), ("csv", "csv")])
def test_formats(kind: str, suffix: str, tmp_path: Path, ecnas_: Any) -> None:
    out = ecnas_.out("table", 1, "--table", "4v", "--format", kind, "--out", tmp_path)
    assert (tmp_path / f"table-1.{suffix}").read_text() == out
    start = {"latex": "% cells_by", "markdown": "| Table | Vert", "csv": "table,vertices"}[kind]
    assert out.startswith(start)
    assert ecnas_.json("table", 1, "--table", "4v") == ecnas_.json(
        "table", 1, "--table", "4v", "--format", "json"
    )
