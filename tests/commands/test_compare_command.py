"""`ecnas compare`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.commands.compare import seed_list
from naslib_ecnas.errors import ConfigError

LINE = ("compare", "--methods", "semoa,random", "--evaluations", 20)


@pytest.mark.filterwarnings("error::UserWarning")  # such as of a panel that a long path squeezes
def test_files_and_report(tmp_path: Path, table: str, ecnas_: Any) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    line = (*LINE, "--tables", table, "--seeds", 2, "--out", out)
    ran = ecnas_(*line, "--width", "column", "--no-caption")
    assert ran.code == 0
    assert "making runs (4 runs)" in ran.err
    assert "semoa" in ran.out
    assert f"written to: {out}" in ran.out
    names = {"comparison.json", "results.csv", "summary.csv", "overall.csv", "runs", "tests.csv"}
    names |= {"profiles.csv", "ranks.png", "aggregates.pdf"}
    kinds = ("pdf", "svg", "png", "csv", "txt")
    assert names <= {path.name for path in out.iterdir()}
    figures = {path.suffix[1:]: path.stat().st_size for path in out.glob("comparison-*")}
    assert set(figures) == set(kinds)
    assert min(figures.values()) > 400
    assert ' width="252pt"' in (out / "ranks.svg").read_text()
    before = (out / "results.csv").read_bytes()
    document = ecnas_.json(*line, "--no-plot")
    assert len(document["methods"]) == 2
    assert {line["method"] for line in document["overall"]} == {"semoa", "random"}
    # Two seeds can show nothing, and the report says how many could.
    assert any("4 runs are needed" in note for note in document["notes"])
    assert (out / "results.csv").read_bytes() == before


def test_equal_energy_and_a_baseline(tmp_path: Path, modelled: None, ecnas_: Any) -> None:
    line = ("compare", "--methods", "semoa:population=5,random,sh-emoa", "--tables", "4v")
    line += ("--seeds", 2, "--max-energy", 1.5, "--no-plot", "--out", tmp_path / "out")
    ran = ecnas_(*line, "--baseline", "random")
    assert re.search(r"sh-emoa +nothing evaluated at 108 epochs +\d+ +1\.4", ran.out)
    assert re.search(r"semoa:population=5 +0\.\d{4} \(.*\) +0\.\d{4} ", ran.out)
    for option, when in (((), "before"), (("--baseline", "semoa:population=5"), "only after")):
        ran = ecnas_(*line, *option)
        assert f"which was chosen {when} the runs were made" in ran.out
    assert ecnas_(*line, "--max-time", 9).code == 2
    assert ecnas_(*line, "--baseline", "ls").code == 2


def test_reference_results(tmp_path: Path, modelled: None, ecnas_: Any) -> None:
    line = ("compare", "--methods", "re", "--tables", "4v", "--seeds", 4, "--evaluations", 20)
    out = tmp_path / "out"
    ran = ecnas_(*line, "--against", "reference", "--baseline", "re", "--no-plot", "--out", out)
    assert re.search(r"\nehvi \(ref\) +0\.\d{4} ", ran.out)
    assert re.search(r"\d comparisons with re, which was chosen before", ran.out)
    assert len(list(out.rglob("seed-*.json"))) == 4
    for wrong in (
        ("reference", "--worlds", 1),
        (tmp_path / "none",),
        ("reference", "--epochs", 36),
    ):
        ran = ecnas_(*line, "--out", tmp_path / "new", "--against", *wrong)
        assert ran.code == 2
    assert not (tmp_path / "new").exists()


def test_worlds_and_noise(tmp_path: Path, modelled: None, ecnas_: Any) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    line = (*LINE, "--tables", "4v", "--seeds", 2, "--out", out, "--worlds", "7,2", "--noise")
    ran = ecnas_(*line)
    assert ran.code == 0
    assert "random on 4v: seen less true, mean over the front, median over seeds" in ran.out
    assert "4v and 2 worlds as plausible" in ran.out
    assert re.search(r"order on the table: \w+ > \w+\n +holds in \d of 2 worlds", ran.out)
    names = {path.name for path in out.iterdir()}
    assert {"worlds.csv", "world-methods.csv"} <= names
    assert {f"comparison-4v-worlds.{kind}" for kind in ("pdf", "svg", "png")} <= names
    (found,) = ecnas_.json(*line, "--no-plot")["worlds"]
    assert (found["worlds"], set(found["order"])) == ([2, 7], {"semoa", "random"})


def test_seeds() -> None:
    assert seed_list("3") == (0, 1, 2)
    assert seed_list("3,") == (3,)
    assert seed_list("7, 3") == (7, 3)
    for text in ("", "a", "0", "-2", "1.5"):
        with pytest.raises(ConfigError, match="seeds"):
            seed_list(text)
