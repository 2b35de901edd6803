"""`ecnas figure`."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.commands import figure
from naslib_ecnas.figures.swaps import swap_effects
from naslib_ecnas.search import run
from naslib_ecnas.space import Space

pytest.importorskip("matplotlib")

MAGIC = {"pdf": b"%PDF-", "svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n"}
SEARCH = ("--seeds", 2, "--evaluations", 25, "--methods", "semoa,random")


@pytest.fixture
def drawn(ecnas_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draws a figure as SVG alone, which is quick, and returns its caption and its numbers."""
    monkeypatch.setattr(figure, "_FORMATS", ("svg",))

    def draw(*words: object) -> tuple[str, list[list[dict[str, str]]]]:
        found = ecnas_.json("figure", *words, "--out", tmp_path)
        picture, *sheets = (Path(name) for name in found["files"])
        assert picture.read_bytes().startswith(MAGIC["svg"])
        return found["caption"], [list(csv.DictReader(path.open(newline=""))) for path in sheets]

    return draw


def test_figure_1(table: str, drawn: Any) -> None:
    caption, (bins, fronts) = drawn(1, "--table", table)
    assert sum(int(line["cells"]) for line in bins) == 2 * 90
    bench = ecnas.load(table)
    true = [tuple(v) for epochs in bench.budgets for v in bench.front(epochs=epochs).values]
    assert [(float(f["energy_kwh"]), float(f["validation_accuracy"])) for f in fronts] == true
    assert "synthetic" in caption


def test_figure_2(table: str, tmp_path: Path, drawn: Any, ecnas_: Any) -> None:
    refused = ecnas_.refused("figure", 2, "--table", table, "--out", tmp_path)
    assert "figure 2 needs energies measured at 4 epochs" in refused
    assert "ecnas data fetch 5v-4epochs" in refused
    assert not list(tmp_path.iterdir())
    curve, measured = tmp_path / "curve.json", tmp_path / "measured.csv"
    points = [{"size": s, "draw": d, "mae_wh": 50 / s + d} for s in (100, 400) for d in (0, 1)]
    curve.write_text(json.dumps(points))
    rows = range(10, 60)
    lines = [f'"{Space(4).cell(row)}",4,{0.005 + row / 1e4}' for row in rows]
    measured.write_text("\n".join(["cell,epochs,energy_kwh", *lines]) + "\n")
    line = ("--table", table, "--measurements", measured, "--learning-curve", curve)
    _, (cells, learned) = drawn(2, *line)
    values = ecnas.load(table).values("energy_kwh", 4)
    assert [int(line["row"]) for line in cells] == list(rows)
    for line in cells:
        assert float(line["predicted_energy_kwh"]) == values[int(line["row"])]
        assert float(line["measured_energy_kwh"]) == pytest.approx(0.005 + int(line["row"]) / 1e4)
    assert [float(line["mae_wh"]) for line in learned] == [1.0, 0.625]


def test_figure_3_in_all_formats(table: str, tmp_path: Path, ecnas_: Any) -> None:
    line = ("figure", 3, "--table", table, "--epochs", 12, "--out", tmp_path, "--occurrences")
    out = ecnas_.out(*line, "one")
    assert "swapping operators" in out
    assert out.count("written to: ") == 4
    files = {path.suffix[1:]: path for path in tmp_path.glob("figure-3.*")}
    for kind, magic in MAGIC.items():
        content = files.pop(kind).read_bytes()
        assert content.startswith(magic)
        assert len(content) > 5000
    effects = swap_effects(ecnas.load(table), epochs=12, occurrences="one")
    assert [float(r["mean_change"]) for r in csv.DictReader(files["csv"].open(newline=""))] == [
        record["mean_change"] for record in effects.sheet().records()
    ]
    assert "all, one, paper" in ecnas_.refused(*line, "two")


def test_figure_4(drawn: Any, ecnas_: Any) -> None:
    _, (lines,) = drawn(4, "--devices", "titan-xp, rtx-3060")
    first, second = (ecnas.load("4v", device=name) for name in ("titan-xp", "rtx-3060"))
    for line in lines:
        row = int(line["row"])
        assert float(line["energy_kwh titan-xp"]) == first.values("energy_kwh", 4)[row]
        assert float(line["energy_kwh rtx-3060"]) == second.values("energy_kwh", 4)[row]
    means = [float(line["mean_energy_kwh"]) for line in lines]
    assert means == sorted(means)
    assert "--official" in ecnas_.refused("figure", 4, "--official", "--table", "4v")


def test_figures_5_and_6(table: str, drawn: Any) -> None:
    _, five = drawn(5, "--table", table, *SEARCH)
    _, six = drawn(6, "--table", table, *SEARCH)
    assert five[:2] == six
    bench = ecnas.load(table)
    results = [run(bench, "semoa", evaluations=25, seed=seed) for seed in (0, 1)]
    knees = [float(r.values[r.knee, 0]) for r in results]
    line = next(x for x in five[0] if (x["method"], x["cell"]) == ("semoa", "rk"))
    assert float(line["energy_kwh"]) == pytest.approx(np.mean(knees), rel=1e-12)
    assert {line["method"] for line in five[2]} == {"semoa", "random"}


def test_what_is_not_possible_is_noticed_before_the_search(
    table: str, monkeypatch: pytest.MonkeyPatch, ecnas_: Any
) -> None:
    for number in (1, 2):
        assert "omit --epochs" in ecnas_.refused("figure", number, "--table", table, "--epochs", 4)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    error = ecnas_.refused("figure", 5, "--table", table, "--seeds", 100_000_000, code=1)
    assert "pip install 'naslib-ecnas[plots]'" in error
