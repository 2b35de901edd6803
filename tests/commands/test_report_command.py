"""`ecnas report` at the command line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.commands import report
from naslib_ecnas.data.table import Columns, write_table
from naslib_ecnas.errors import ConfigError, EcnasError, ProvenanceError, UnknownBudgetError
from naslib_ecnas.loading import load
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A synthetic table of four vertices."""
    rows = np.arange(len(Space(4)), dtype=np.int32)
    rng = np.random.default_rng(0)
    energy = 1e-3 * (1 + network.multiply_adds(rows)[:, None, None] / 1e9)
    energy = energy * np.array([[4.0], [12.0]])
    values = {"energy_kwh": energy, "validation_accuracy": rng.random(energy.shape)}
    path = tmp_path_factory.mktemp("table") / "made-up.ecnas"
    origin = dict.fromkeys(values, Provenance("synthetic", device="no device", pue=1.0))
    write_table(path, Columns("made-up", 4, rows, (4, 12), 1, values, origin))
    return str(path)


@pytest.fixture(scope="module")
def runs(table: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from naslib_ecnas import search

    folder = tmp_path_factory.mktemp("found")
    for seed in (0, 1):
        search.run(load(table), "random", evaluations=30, seed=seed, out=folder / f"r{seed}")
    return folder


def called(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    report.add_parser(parser.add_subparsers())
    args = parser.parse_args(["report", *arguments])
    code: int = args.run(args)
    return code


def test_a_page_of_a_table(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert called("--table", table, "--out", str(out)) == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert capsys.readouterr().out.startswith(f"written to: {out} (")


def test_a_page_of_runs_as_json(
    table: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert called(str(runs), "--table", table, "--epochs", "4", "--out", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(out),
        "bytes": out.stat().st_size,
        "table": "made-up",
        "cells": 91,
        "epochs": 4,
        "metrics": ["energy_kwh", "validation_accuracy", "parameters"],
        "runs": [f"{runs.name}/r0", f"{runs.name}/r1"],
    }


def test_emissions_come_with_a_carbon_intensity(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "page.html")
    called("--table", table, "--carbon-intensity", "world", "--out", out, "--json")
    assert "co2_g" in json.loads(capsys.readouterr().out)["metrics"]


def test_an_earlier_file_is_kept(table: str, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        called("--table", table, "--out", str(out))
    assert out.read_text() == "mine"
    assert called("--table", table, "--out", str(out), "--overwrite") == 0
    assert out.read_text(encoding="utf-8") != "mine"
    with pytest.raises(ConfigError):
        called("--table", table, "--out", str(tmp_path), "--overwrite")


def test_the_runs_table_is_looked_for_by_name(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--table"):
        called(str(runs), "--out", str(tmp_path / "page.html"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--pue", "1.5"), ProvenanceError),  # another table than the one that was searched
        (("--epochs", "5"), UnknownBudgetError),
        (("nothing-there",), ConfigError),
    ],
)
def test_what_is_not_possible_leaves_no_file(
    table: str, runs: Path, tmp_path: Path, arguments: tuple[str, ...], error: type[EcnasError]
) -> None:
    out = tmp_path / "page.html"
    with pytest.raises(error):
        called(str(runs), *arguments, "--table", table, "--out", str(out))
    assert not out.exists()
