"""The package needs neither a GPU nor pynvml to be imported, and says what is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import naslib_ecnas.energy
from naslib_ecnas.energy import EnergyMeter
from naslib_ecnas.errors import MissingDependencyError

FOLDER = Path(naslib_ecnas.energy.__file__).parent


def test_importing_pulls_in_nothing_heavy() -> None:
    code = "import naslib_ecnas.energy, sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "naslib_ecnas.energy.meter" in out.stdout.split()
    assert not {"pynvml", "torch", "zeus", "scipy"} & set(out.stdout.split())


def test_one_file_speaks_to_pynvml() -> None:
    speaking = [
        path.name
        for path in sorted(FOLDER.glob("*.py"))
        if re.search(r"import_module\(\"pynvml|import pynvml", path.read_text(encoding="utf-8"))
    ]
    assert speaking == ["nvml.py"]


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingDependencyError, match=r"naslib-ecnas\[measure\]"):
        EnergyMeter()
    with EnergyMeter(devices=(), cpu=False) as meter, meter.window("train") as w:
        pass
    assert w.window.energy_j == {}
    assert w.window.cpu_state.kind == "off"
