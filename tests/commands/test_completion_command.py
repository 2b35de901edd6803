"""`ecnas completion`: what is offered for a line, and that the shells ask for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.cli import COMMANDS
from naslib_ecnas.data.catalog import catalog, tables
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.search import METHODS
from naslib_ecnas.surrogate.devices import DEVICES

NAMES = {"7v", "5v", "4v", *(entry.name for entry in tables())}
PUBLISHED = {entry.name for entry in (*catalog().tables, *catalog().files)}


@pytest.fixture
def offered(tmp_path: Path) -> Any:
    """What is offered for a line, as a shell asks for it."""
    here = tmp_path / "here"
    (here / "owned").mkdir(parents=True)
    for name in ("own.csv", "own table.csv"):
        (here / name).touch()

    def offer(line: str) -> set[str]:
        asked = {
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer"),
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
        }
        command = [sys.executable, "-m", "naslib_ecnas"]
        environment = {**os.environ, **asked}
        subprocess.run(command, cwd=here, env=environment, check=True, capture_output=True)
        return {word.strip() for word in (tmp_path / "answer").read_text().split("\n")} - {""}

    return offer


def test_commands_options_and_values(offered: Any) -> None:
    assert offered("ecnas ") == set(COMMANDS)
    assert offered("ecnas da") == {"data"}
    assert offered("ecnas data ver") == {"verify"}
    assert offered("ecnas data list --j") == {"--json"}
    assert {"--out", "--json", "--seed"} <= offered("ecnas search --")
    assert offered("ecnas measure plan --recipe e") == {"ecnas"}
    assert offered("ecnas figure ") == {"1", "2", "3", "4", "5", "6"}
    assert offered("ecnas data build --energy-model a b --sc") == {"--scaling"}


def test_names_and_files(offered: Any) -> None:
    paths = {"own.csv", "own\\ table.csv", "owned/"}
    assert offered("ecnas search --seed 3 --table ") == NAMES | paths
    assert offered("ecnas search --method ") == set(METHODS)
    assert offered("ecnas search --method=se") == {"--method=semoa"}
    assert offered("ecnas search --objectives energy_kwh,val") == {
        f"energy_kwh,{name}" for name in METRICS if name.startswith("val")
    }
    assert offered("ecnas search --json --device ") == set(DEVICES) | paths
    assert offered("ecnas data fetch 4v-rtx3090 5v-l") == {"5v-linscale"}
    assert offered("ecnas data fetch energy_") == {n for n in PUBLISHED if n.startswith("energy_")}
    assert offered("ecnas query own") == paths
    assert offered("ecnas search --out own") == {"owned/"}
    assert not offered("ecnas query 4v own")  # no word and no file is a cell


def test_bash_completes(tmp_path: Path, ecnas_: Any) -> None:
    """With a program of this name on the path, as after an installation."""
    program = tmp_path / "ecnas"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m naslib_ecnas "$@"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(ecnas_.out("completion", "bash"))
    script = (
        "source ./script; COMP_WORDS=(ecnas data ver); COMP_CWORD=2; COMP_LINE='ecnas data ver'; "
        "COMP_POINT=14; COMP_TYPE=9; _python_argcomplete ecnas; echo ${COMPREPLY[@]}"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", "--norc", "-c", script]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "verify"
