"""`ecnas figure`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.commands import figure
from naslib_ecnas.figures.swaps import swap_effects
from naslib_ecnas.space import Space

pytest.importorskip("matplotlib")

MAGIC = {"pdf": b"%PDF-", "svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n"}
SEARCH = ("--seeds", 2, "--evaluations", 25, "--methods", "semoa,random")


@pytest.fixture
def drawn(ecnas_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draws a figure as SVG alone, which is quick, and returns its caption and its numbers."""
    monkeypatch.setattr(figure, "KINDS", ("svg",))

    def draw(*words: object) -> tuple[str, list[list[dict[str, str]]]]:
        found = ecnas_.json("figure", *words, "--out", tmp_path)
        picture, *sheets = (Path(name) for name in found["files"])
        assert picture.read_bytes().startswith(MAGIC["svg"])
        return found["caption"], [
            list(csv.DictReader(path.read_text().splitlines())) for path in sheets
        ]

    return draw


def test_figure_1(table: str, drawn: Any) -> None:
    caption, (bins, fronts) = drawn(1, "--table", table, "--ellipses")
    assert len(bins) == 2 * 90
    bench = ecnas.load(table)
    true = [tuple(v) for epochs in bench.budgets for v in bench.front(epochs=epochs).values]
    assert [(float(f["energy_kwh"]), float(f["validation_accuracy"])) for f in fronts] == true
    assert "synthetic" in caption
    assert "Red ellipse" in caption


def test_figure_2(table: str, tmp_path: Path, drawn: Any, ecnas_: Any) -> None:
    refused = ecnas_.refused("figure", 2, "--table", table, "--out", tmp_path)
    assert "figure 2 needs energies measured at 4 epochs" in refused
    assert "ecnas data fetch 4v-rtx6000" in refused
    assert not list(tmp_path.iterdir())
    measured, rows = tmp_path / "measured.csv", range(10, 60)
    lines = [f'"{Space(4).cell(row)}",4,{0.005 + row / 1e4}' for row in rows]
    measured.write_text("\n".join(["cell,epochs,energy_kwh", *lines]) + "\n")
    _, (cells, learned) = drawn(2, "--table", table, "--measurements", measured)
    values = ecnas.load(table).values("energy_kwh", 4)
    assert [int(line["row"]) for line in cells] == list(rows)
    for line in cells:
        assert float(line["predicted_energy_kwh"]) == values[int(line["row"])]
        assert float(line["measured_energy_kwh"]) == pytest.approx(0.005 + int(line["row"]) / 1e4)
    assert [int(line["training_cells"]) for line in learned] == [100, 200, 400, 800, 1600, 3017]


def test_figure_3_in_all_formats(table: str, tmp_path: Path, ecnas_: Any) -> None:
    line = ("figure", 3, "--table", table, "--epochs", 12, "--out", tmp_path, "--occurrences")
    out = ecnas_.out(*line, "one")
    assert "swapping operators" in out
    assert out.count("written to: ") == 5
    files = {path.suffix[1:]: path for path in tmp_path.glob("figure-3.*")}
    for kind, magic in MAGIC.items():
        content = files.pop(kind).read_bytes()
        assert content.startswith(magic)
        assert len(content) > 5000
    assert files.pop("txt").read_text().startswith("Mean effect of replacing")
    effects = swap_effects(ecnas.load(table), epochs=12, occurrences="one")
    assert [
        float(r["mean_change"]) for r in csv.DictReader(files["csv"].read_text().splitlines())
    ] == [record["mean_change"] for record in effects.sheet().records()]
    caption = ecnas_.json("figure", 3, "--table", table, "--paper", "--out", tmp_path)["caption"]
    assert "half of the reverse" in caption
    assert "all, one, paper" in ecnas_.refused(*line, "two")


def test_figure_4(drawn: Any, ecnas_: Any) -> None:
    _, (lines,) = drawn(4, "--devices", "titan-xp, rtx-3060")
    for name in ("titan-xp", "rtx-3060"):
        energy = dict(enumerate(ecnas.load("4v", device=name).values("energy_kwh", 4)))
        assert [float(x[f"energy_kwh {name}"]) == energy[int(x["row"])] for x in lines] == [
            True
        ] * 91
    assert "--official" in ecnas_.refused("figure", 4, "--official", "--table", "4v")
    assert "figure 3, 5, got 'figure 1'" in ecnas_.refused("figure", 1, "--paper")
    assert "figure 2" in ecnas_.refused("figure", 4, "--measurements", "4v")


def test_figures_5_and_6(table: str, drawn: Any) -> None:
    _, five = drawn(5, "--table", table, *SEARCH)
    _, six = drawn(6, "--table", table, *SEARCH)
    assert five[:2] == six
    assert {(x["method"], x["cell"]) for x in six[0]} >= {("semoa", "rk"), ("random", "r0")}
    assert {line["method"] for line in five[2]} == {"semoa", "random"}


def test_what_is_not_possible_is_noticed_before_the_search(
    table: str, monkeypatch: pytest.MonkeyPatch, ecnas_: Any
) -> None:
    for number in (1, 2):
        refused = ecnas_.refused("figure", number, "--table", table, "--epochs", 4)
        assert "--epochs is an option of figure 3, 4, 5, 6" in refused
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    error = ecnas_.refused("figure", 5, "--table", table, "--seeds", 100_000_000, code=1)
    assert "pip install 'naslib-ecnas[plots]'" in error
