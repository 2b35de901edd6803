"""`ecnas doctor` tells what is here and how to mend what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from naslib_ecnas import cli
from naslib_ecnas.commands import doctor


@pytest.fixture(autouse=True)
def _command(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = dict.fromkeys((*cli.COMMANDS, "doctor"))
    monkeypatch.setattr(cli, "COMMANDS", tuple(commands))


def _found(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    assert cli.main(["doctor", "--json"]) == 0
    return {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}


def test_everything_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    found = _found(capsys)
    names = {"torch", "energy of the CPU", "NASLib", "SLURM", "cache", "tables"}
    assert names <= set(found)
    assert any("GPU" in name or name.startswith("energy of") for name in found)
    assert {f"extra {e}" for e in ("plots", "parquet", "fit", "naslib", "measure")} <= set(found)
    assert {c["state"] for c in found.values()} <= {"good", "note", "missing"}


def test_what_is_missing_has_its_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ECNAS_MIRROR", str(tmp_path / "none"))
    monkeypatch.setenv("NASLIB_HOME", str(tmp_path / "no-clone"))
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("ECNAS_CACHE", str(file / "cache"))
    monkeypatch.setattr(doctor, "_EXTRAS", {"made-up": ("no-such-package-of-anyone",)})
    found = _found(capsys)
    assert found["SLURM"]["state"] == "note"
    assert found["mirror"]["mend"].startswith("unset ECNAS_MIRROR")
    assert found["cache"]["mend"] == "export ECNAS_CACHE=FOLDER"
    assert found["extra made-up"]["mend"] == "pip install 'naslib-ecnas[made-up]'"
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "to mend:" in out
    assert "export ECNAS_CACHE=FOLDER" in out


def test_one_broken_look_hides_no_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> str:
        raise ValueError("a broken installation")

    monkeypatch.setattr(doctor, "_version", broken)
    found = _found(capsys)
    assert "a broken installation" in found["torch"]["found"]
    assert found["cache"]["state"] in ("good", "note")
