"""`ecnas naslib`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_run


def test_config_and_overrides(ecnas_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def run(*arguments: Any) -> naslib_run.NaslibRun:
        calls.append(arguments)
        return naslib_run.NaslibRun(Path("there"), {}, ("evaluation",), None, None, None)

    monkeypatch.setattr(naslib_run, "run", run)
    for line in (
        "nas --config-file c.yaml a -1",
        "nas --config-file=c.yaml a -1",
        "--config-file c.yaml nas a -1",
    ):
        ran = ecnas_("naslib", *line.split())
        assert (ran.code, calls.pop()) == (0, ("nas", "c.yaml", ["a", "-1"]))
        assert "evaluation" in ran.err
        assert "written to: there" in ran.err


def test_without_a_config(ecnas_: Any, tmp_path: Path) -> None:
    assert "--config-file FILE" in ecnas_.refused("naslib", "nas")
    assert "--config-file FILE" in ecnas_.refused("naslib", "sweep", "--out", tmp_path / "s")
