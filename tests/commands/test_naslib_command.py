"""`ecnas naslib` as a user meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_run
from naslib_ecnas.cli import main


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command hands on."""
    calls: list[Any] = []

    def run(*arguments: Any) -> naslib_run.NaslibRun:
        calls.append(arguments)
        return naslib_run.NaslibRun(Path("there"), {}, ("evaluation",), None, None)

    monkeypatch.setattr(naslib_run, "run", run)
    return calls


@pytest.mark.parametrize(
    "line",
    [
        "nas --config-file c.yaml a -1",
        "nas --config-file=c.yaml a -1",
        "--config-file c.yaml nas a -1",
    ],
)
def test_config_and_overrides(
    line: str, asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["naslib", *line.split()]) == 0
    assert asked == [("nas", "c.yaml", ["a", "-1"])]
    err = capsys.readouterr().err
    assert "evaluation" in err
    assert "there" in err


def test_without_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["naslib", "nas"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "--config-file FILE" in err
