"""`ecnas table` as a user meets it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import cli


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", tuple(dict.fromkeys((*cli.COMMANDS, "table"))))


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(["table", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_table_1(capsys: pytest.CaptureFixture[str]) -> None:
    four, five = as_json(capsys, "1", "--table", "4v, 5v")["rows"]
    assert (four["table"], four["vertices"], four["cells"], four["trainings"]) == ("4v", 4, 91, 364)
    assert (five["cells"], five["cells_by_vertices"]) == (2532, "1 6 84 2441")
    assert four["energy_kwh"] == "modelled"


def test_table_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("2", "--table", "4v", "--seeds", "2", "--evaluations", "30", "--epochs", "12",
                 "--methods", "random,semoa", "--out", str(tmp_path))  # fmt: skip
    found = as_json(capsys, *arguments)
    assert [(line["method"], line["cell"]) for line in found["rows"]] == [
        (method, cell) for method in ("random", "semoa") for cell in ("r0", "rk", "r1")
    ]
    from naslib_ecnas.search import run

    bench = ecnas.load("4v")
    results = [run(bench, "random", epochs=12, evaluations=30, seed=seed) for seed in (0, 1)]
    lowest = [result.values[:, 0].min() for result in results]
    assert found["rows"][0]["energy_kwh"] == pytest.approx(np.mean(lowest), rel=1e-12)
    written = list(csv.DictReader((tmp_path / "table-2.csv").open(newline="")))
    assert float(written[0]["energy_kwh"]) == found["rows"][0]["energy_kwh"]
    assert found["file"] == str(tmp_path / "table-2.csv")
    assert "12 epochs, 30 evaluations" in found["about"]
    assert cli.main(["table", "2", "--table", "4v,5v"]) == 2


def test_table_3_of_the_paper(
    reference: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row of five vertices: 121.109 GPU-days, 1970.495 kWh, 252.571 kgCO2eq (cut off)."""
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    (line,) = as_json(capsys, "3", "--table", "5v-4epochs")["rows"]
    assert f"{line['gpu_days']:.3f} {line['energy_kwh']:.3f}" == "121.109 1970.495"
    assert f"{line['co2_kg']:.4f}"[:-1] == "252.571"


def test_what_is_not_known_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = as_json(capsys, "3", "--table", "4v")["rows"]
    assert line["co2_kg"] is None
    (line,) = as_json(capsys, "3", "--table", "4v", "--carbon-intensity", "100")["rows"]
    assert line["co2_kg"] == pytest.approx(0.1 * line["energy_kwh"], rel=1e-6)
    assert cli.main(["table", "3", "--table", "4v"]) == 0
    told = capsys.readouterr().out
    assert "unknown" in told
    # The time is of other hardware than the energy, which "gpu_days" alone would not say.
    assert "Training energy: modelled, on NVIDIA GeForce RTX 3090, PUE 1.59 in." in told
    assert "Training time: modelled, on TPU v2." in told


def test_wrong_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", "1", "--table", "nothing"]) == 2
    with pytest.raises(SystemExit):
        cli.main(["table", "4"])
    file = tmp_path / "file"
    file.write_text("")
    assert cli.main(["table", "1", "--table", "4v", "--out", str(file)]) == 1
    assert "cannot" in capsys.readouterr().err
