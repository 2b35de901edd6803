"""Running `ecnas` in this process, and a small synthetic table that the commands read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.cli import main
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space


@dataclass(frozen=True)
class Ran:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


class Ecnas:
    """Runs `ecnas` command lines in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Ran:
        self._capsys.readouterr()
        code = main([str(word) for word in words])
        return Ran(code, *self._capsys.readouterr())

    def out(self, *words: object) -> str:
        """Output of a command that succeeds."""
        ran = self(*words)
        assert ran.code == 0, ran.err
        return ran.out

    def json(self, *words: object, code: int = 0) -> Any:
        """The JSON document that a command prints with `--json`."""
        ran = self(*words, "--json")
        assert ran.code == code, ran.err
        return json.loads(ran.out, parse_constant=_no_constant)

    def refused(self, *words: object, code: int = 2) -> str:
        """The one line on stderr that a failing command ends with; it prints nothing on stdout."""
        ran = self(*words)
        assert (ran.code, ran.out) == (code, ""), (words, ran)
        *progress, line = ran.err.splitlines()
        assert line.startswith("ecnas: error: "), ran.err
        assert not any("error" in text or text.startswith(" ") for text in progress), ran.err
        return line


def _no_constant(text: str) -> NoReturn:
    raise AssertionError(f"{text} is not JSON")


@pytest.fixture
def ecnas_(capsys: pytest.CaptureFixture[str]) -> Ecnas:
    return Ecnas(capsys)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory, table_file: Callable[..., Path]) -> str:
    """File of a synthetic table of four vertices, without row 3 and without emissions."""
    rng = np.random.default_rng(0)
    rows = np.delete(np.arange(len(Space(4)), dtype=np.int32), 3)
    size = 1 + network.multiply_adds(rows)[:, None, None] / 1e9
    energy = 1e-3 * size * np.array([[4.0], [12.0]]) * rng.lognormal(0, 0.1, (90, 2, 1))
    values = {
        "energy_kwh": energy,
        "training_time_s": energy * 2e4,
        "validation_accuracy": rng.random((90, 2, 1)),
    }
    path = tmp_path_factory.mktemp("table") / "made-up.ecnas"
    origin = Provenance("synthetic", device="no device", pue=1.0)
    return str(table_file(path, values, name="made-up", rows=rows, origin=origin))


@pytest.fixture
def own(tmp_path: Path, table_file: Callable[..., Path]) -> Path:
    """File of a table of three cells with two repeats, notes and missing values."""
    columns = {
        "energy_kwh": np.arange(1.0, 13.0).reshape(3, 2, 2),
        "test_accuracy": np.full((3, 2, 2), np.nan),
        "started_unix_s": np.full((3, 2, 2), 1653746313.0),
    }
    origin = Provenance("synthetic", source="made-up.bin", sha256="0" * 64, note="made up")
    attributes = {"notes": "first; second", "citation": "Nobody: Nothing."}
    about = {"name": "own", "rows": [0, 5, 17], "origin": origin, "attributes": attributes}
    return table_file(tmp_path / "own.ecnas", columns, **about)
