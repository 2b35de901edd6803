"""`ecnas figure` as a user meets it."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import cli, network
from naslib_ecnas.data.table import Columns, write_table
from naslib_ecnas.figures.swaps import swap_effects
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

pytest.importorskip("matplotlib")

MAGIC = {"pdf": b"%PDF-", "svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A synthetic table of four vertices."""
    rng = np.random.default_rng(0)
    rows = np.arange(len(Space(4)), dtype=np.int32)
    size = 1 + network.multiply_adds(rows)[:, None, None] / 1e9
    energy = (
        1e-3 * size * np.array([[4.0], [12.0], [36.0], [108.0]]) * rng.lognormal(0, 0.1, (91, 4, 1))
    )
    values = {
        "energy_kwh": energy,
        "training_time_s": energy * 2e4,
        "validation_accuracy": rng.random((91, 4, 1)),
    }
    path = tmp_path_factory.mktemp("table") / "made-up.ecnas"
    origin = dict.fromkeys(values, Provenance("synthetic", device="no device", pue=1.0))
    write_table(path, Columns("made-up", 4, rows, (4, 12, 36, 108), 1, values, origin))
    return str(path)


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", tuple(dict.fromkeys((*cli.COMMANDS, "figure"))))


def made(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(["figure", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    files = [Path(name) for name in found["files"]]
    for path in files[:3]:
        content = path.read_bytes()
        assert content.startswith(MAGIC[path.suffix[1:]])
        assert len(content) > 5000
    assert [path.suffix for path in files[:3]] == [".pdf", ".svg", ".png"]
    assert all(path.suffix == ".csv" for path in files[3:])
    assert files[3:]
    found["sheets"] = [list(csv.DictReader(path.open(newline=""))) for path in files[3:]]
    return found


SEARCH = ("--seeds", "2", "--evaluations", "25", "--methods", "semoa,random")


def test_figure_1(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = made(capsys, "1", "--table", table, "--out", str(tmp_path))
    bins, fronts = found["sheets"]
    assert sum(int(line["cells"]) for line in bins) == 4 * 91
    bench = ecnas.load(table)
    true = [tuple(v) for epochs in bench.budgets for v in bench.front(epochs=epochs).values]
    drawn = [(float(f["energy_kwh"]), float(f["validation_accuracy"])) for f in fronts]
    assert drawn == true
    assert "synthetic" in found["caption"]


def test_figure_2_needs_measurements(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["figure", "2", "--table", table, "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "figure 2 needs measured energies at 4 epochs" in told
    assert "ecnas data fetch 5v-4epochs" in told
    assert not list(tmp_path.iterdir())


def test_figure_2(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curve = tmp_path / "curve.json"
    points = [{"size": s, "draw": d, "mae_wh": 50 / s + d} for s in (100, 400) for d in (0, 1)]
    curve.write_text(json.dumps(points))
    measured = tmp_path / "measured.csv"
    lines = ["cell,epochs,energy_kwh"]
    lines += [f'"{Space(4).cell(row)}",4,{0.005 + row / 1e4}' for row in range(10, 60)]
    measured.write_text("\n".join(lines) + "\n")
    found = made(
        capsys, "2", "--table", table, "--measurements", str(measured), "--out", str(tmp_path),
        "--learning-curve", str(curve),
    )  # fmt: skip
    cells, learned = found["sheets"]
    values = ecnas.load(table).values("energy_kwh", 4)
    assert [int(line["row"]) for line in cells] == list(range(10, 60))
    for line in cells:
        assert float(line["predicted_energy_kwh"]) == values[int(line["row"])]
        assert float(line["measured_energy_kwh"]) == pytest.approx(0.005 + int(line["row"]) / 1e4)
    assert [float(line["mae_wh"]) for line in learned] == [1.0, 0.625]


def test_figure_3(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("3", "--table", table, "--epochs", "12", "--out", str(tmp_path))
    (lines,) = made(capsys, *arguments, "--occurrences", "one")["sheets"]
    effects = swap_effects(ecnas.load(table), epochs=12, occurrences="one")
    assert [float(line["mean_change"]) for line in lines] == [
        record["mean_change"] for record in effects.sheet().records()
    ]
    assert cli.main(["figure", *arguments, "--occurrences", "two"]) == 2


def test_figure_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = made(capsys, "4", "--devices", "titan-xp, rtx-3060", "--out", str(tmp_path))
    (lines,) = found["sheets"]
    first, second = (ecnas.load("4v", device=name) for name in ("titan-xp", "rtx-3060"))
    for line in lines:
        row = int(line["row"])
        assert float(line["energy_kwh titan-xp"]) == first.values("energy_kwh", 4)[row]
        assert float(line["energy_kwh rtx-3060"]) == second.values("energy_kwh", 4)[row]
    means = [float(line["mean_energy_kwh"]) for line in lines]
    assert means == sorted(means)
    assert cli.main(["figure", "4", "--official", "--table", "4v", "--out", str(tmp_path)]) == 2


def test_figure_5_and_6(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    five = made(capsys, "5", "--table", table, "--out", str(tmp_path), *SEARCH)
    six = made(capsys, "6", "--table", table, "--out", str(tmp_path), *SEARCH)
    assert five["sheets"][:2] == six["sheets"]
    from naslib_ecnas.search import run

    bench = ecnas.load(table)
    results = [run(bench, "semoa", evaluations=25, seed=seed) for seed in (0, 1)]
    knees = [float(r.values[r.knee, 0]) for r in results]
    line = next(x for x in five["sheets"][0] if (x["method"], x["cell"]) == ("semoa", "rk"))
    assert float(line["energy_kwh"]) == pytest.approx(np.mean(knees), rel=1e-12)
    assert {line["method"] for line in five["sheets"][2]} == {"semoa", "random"}


def test_for_people(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["figure", "3", "--table", table, "--out", str(tmp_path / "new")]) == 0
    told = capsys.readouterr().out
    assert "swapping operators" in told
    assert told.count("written to: ") == 4
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        f"figure-3.{kind}" for kind in ("csv", "pdf", "png", "svg")
    ]


@pytest.mark.parametrize("number", ["1", "2"])
def test_budgets_that_cannot_be_chosen(number: str, table: str) -> None:
    assert cli.main(["figure", number, "--table", table, "--epochs", "4"]) == 2


def test_without_matplotlib_it_says_so_before_it_searches(
    table: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["figure", "5", "--table", table, "--seeds", "100000000"]) == 1
    assert "pip install 'naslib-ecnas[plots]'" in capsys.readouterr().err
