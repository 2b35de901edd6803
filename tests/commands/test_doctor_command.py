"""`ecnas doctor`: what is there, what is missing, and how to fix it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.commands import doctor


def _found(ecnas_: Any) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in ecnas_.json("doctor")["checks"]}


def test_everything_is_checked(ecnas_: Any) -> None:
    found = _found(ecnas_)
    assert {"torch", "energy of the CPU", "NASLib", "SLURM", "cache", "tables"} <= set(found)
    assert any("GPU" in name or name.startswith("energy of") for name in found)
    assert {f"extra {e}" for e in ("plots", "tables", "fit", "naslib", "measure")} <= set(found)
    assert {check["state"] for check in found.values()} <= {"good", "note", "missing"}


def test_what_is_missing_has_its_command(
    tmp_path: Path, ecnas_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ECNAS_MIRROR", str(tmp_path / "none"))
    monkeypatch.setenv("NASLIB_HOME", str(tmp_path / "no-clone"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(doctor, "_EXTRAS", {"made-up": ("no-such-package-of-anyone",)})
    found = _found(ecnas_)
    assert found["SLURM"]["state"] == "note"
    assert found["mirror"]["fix"].startswith("unset or correct ECNAS_MIRROR")
    assert found["cache"]["fix"] == "export ECNAS_CACHE=FOLDER"
    assert found["extra made-up"]["fix"] == "pip install 'naslib-ecnas[made-up]'"
    out = ecnas_.out("doctor")
    assert "to fix:" in out
    assert "export ECNAS_CACHE=FOLDER" in out


def test_a_check_that_raises_hides_no_other(ecnas_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> str:
        raise ValueError("a broken installation")

    monkeypatch.setattr(doctor, "installed_version", broken)
    found = _found(ecnas_)
    assert "a broken installation" in found["torch"]["found"]
    assert found["cache"]["state"] in ("good", "note")
