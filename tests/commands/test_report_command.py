"""`ecnas report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas import search
from naslib_ecnas.loading import load


@pytest.fixture(scope="module")
def runs(table: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("found")
    for seed in (0, 1):
        search.run(load(table), "random", evaluations=30, seed=seed, out=folder / f"r{seed}")
    return folder


def test_a_page_of_a_table(table: str, tmp_path: Path, ecnas_: Any) -> None:
    out = tmp_path / "page.html"
    line = ("report", "--table", table, "--out", out)
    assert ecnas_.out(*line).startswith(f"written to: {out} (")
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    found = ecnas_.json(*line, "--overwrite", "--carbon-intensity", "world")
    assert "co2_g" in found["metrics"]


def test_a_page_of_runs(table: str, runs: Path, tmp_path: Path, ecnas_: Any) -> None:
    out = tmp_path / "page.html"
    assert ecnas_.json("report", runs, "--table", table, "--epochs", 4, "--out", out) == {
        "file": str(out),
        "bytes": out.stat().st_size,
        "table": "made-up",
        "cells": 90,
        "epochs": 4,
        "metrics": ["energy_kwh", "training_time_s", "validation_accuracy", "parameters"],
        "runs": [f"{runs.name}/r0", f"{runs.name}/r1"],
    }


def test_an_earlier_file_is_kept(table: str, tmp_path: Path, ecnas_: Any) -> None:
    out = tmp_path / "page.html"
    out.write_text("mine")
    assert "--overwrite" in ecnas_.refused("report", "--table", table, "--out", out)
    assert out.read_text() == "mine"
    ecnas_.refused("report", "--table", table, "--out", tmp_path, "--overwrite")


def test_what_is_not_possible_leaves_no_file(
    table: str, runs: Path, tmp_path: Path, ecnas_: Any
) -> None:
    out = tmp_path / "page.html"
    for words, code, part in (
        (("--table", table, "--pue", 1.5), 1, "another table"),
        (("--table", table, "--epochs", 5), 2, "4, 12"),
        (("nothing-there", "--table", table), 2, "nothing-there"),
        ((), 2, "--table"),  # the table of the runs has no name that can be loaded
    ):
        assert part in ecnas_.refused("report", runs, *words, "--out", out, code=code)
        assert not out.exists()
