"""`ecnas compare` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from naslib_ecnas.cli import main
from naslib_ecnas.commands.compare import seeds
from naslib_ecnas.errors import ConfigError

LINE = ["compare", "--methods", "semoa,random", "--tables", "4v,5v", "--evaluations", "40"]


def test_files_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    line = [*LINE, "--seeds", "2", "--out", str(out)]
    assert main(line) == 0
    shown = capsys.readouterr()
    assert "8 of 8 runs" in shown.err
    assert "semoa" in shown.out
    assert f"written to: {out}" in shown.out
    names = {path.name for path in out.iterdir()}
    expected = {"comparison.json", "results.csv", "summary.csv", "ranks.csv", "runs", "tests.csv"}
    assert expected <= names
    for table in ("4v", "5v"):
        for kind in ("pdf", "svg", "png", "csv"):
            assert (out / f"comparison-{table}.{kind}").stat().st_size > 1000
    before = (out / "results.csv").read_bytes()
    assert main([*line, "--json", "--no-plot"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["methods"]) == 4
    assert set(document["mean_ranks"]) == {"semoa", "random"}
    assert (out / "results.csv").read_bytes() == before


def test_seeds() -> None:
    assert seeds("3") == (0, 1, 2)
    assert seeds("3,") == (3,)
    assert seeds("7, 3") == (7, 3)
    for text in ("", "a", "0", "-2", "1.5"):
        with pytest.raises(ConfigError, match="seeds"):
            seeds(text)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["--methods", "semoa,sema"], "semoa"),
        (["--tables", "6v"], "ecnas data list"),
        (["--seeds", "none"], "how many"),
        (["--evaluations", "0"], "evaluations"),
        (["--objectives", "energy_kwh"], "two or more"),
        (["--epochs", "5"], "4, 12, 36, 108"),
        (["--jobs", "0"], "jobs"),
    ],
)
def test_what_is_not_possible_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[str], says: str
) -> None:
    assert main([*LINE, "--out", str(tmp_path / "out"), *changes]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len([line for line in error.splitlines() if "error" in line]) == 1
    assert "Traceback" not in error
