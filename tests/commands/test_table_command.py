"""`ecnas table`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.search import run

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
    bench = ecnas.load("4v")
    results = [run(bench, "random", epochs=12, evaluations=30, seed=seed) for seed in (0, 1)]
    lowest = [result.values[:, 0].min() for result in results]
    assert found["rows"][0]["energy_kwh"] == pytest.approx(np.mean(lowest), rel=1e-12)
    written = list(csv.DictReader((tmp_path / "table-2.csv").open(newline="")))
    assert float(written[0]["energy_kwh"]) == found["rows"][0]["energy_kwh"]
    assert found["file"] == str(tmp_path / "table-2.csv")
    assert "12 epochs, 30 evaluations" in found["about"]
    assert "one table" in ecnas_.refused("table", 2, "--table", "4v,5v")


def test_table_3_of_the_paper(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ecnas_: Any
) -> None:
    """Line of five vertices: 121.109 GPU-days, 1970.495 kWh, 252.571 kgCO2eq (truncated)."""
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    (line,) = ecnas_.json("table", 3, "--table", "5v-4epochs")["rows"]
    assert f"{line['gpu_days']:.3f} {line['energy_kwh']:.3f}" == "121.109 1970.495"
    assert f"{line['co2_kg']:.4f}"[:-1] == "252.571"


def test_unknown_values_are_named(ecnas_: Any) -> None:
    (line,) = ecnas_.json("table", 3, "--table", "4v")["rows"]
    assert line["co2_kg"] is None
    (line,) = ecnas_.json("table", 3, "--table", "4v", "--carbon-intensity", 100)["rows"]
    assert line["co2_kg"] == pytest.approx(0.1 * line["energy_kwh"], rel=1e-6)
    out = ecnas_.out("table", 3, "--table", "4v")
    assert "unknown" in out
    # Energy and time are of different hardware, which "gpu_days" alone would not tell.
    assert "Training energy: modelled, on NVIDIA GeForce RTX 3090, PUE 1.59 included." in out
    assert "Training time: modelled, on TPU v2." in out
