"""The wheel in environments of its own, on the lowest and the highest Python that it names."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ENDS = ("3.10", "3.13")
QUERY = ("query", "4v", "011001000:input,conv3x3-bn-relu,output", "--epochs", "4", "--json")
#: Runs at the start of every Python whose path has it: whatever asks for a connection fails.
NO_NETWORK = """
import socket
def refuse(*_, **__):
    raise OSError("no network in this test")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
socket.create_connection = refuse
"""
HEAVY = ("torch", "scipy", "matplotlib", "pyarrow", "optuna", "pymoo", "joblib", "submitit")
#: Extra that does not bring torch -> a use of it, and the file that this leaves.
COMPARE = "compare --tables 4v --seeds 2 --evaluations 20 --no-plot --out found"
USES = {
    "plots": ("search --table 4v --evaluations 20 --out found", "front.png"),
    "tables": ("data export 4v found/4v.parquet", "4v.parquet"),
    "search": (f"{COMPARE} --methods random,nsga2,motpe --jobs 2", "results.csv"),
    "slurm": (f"{COMPARE} --methods random --cluster local --jobs 2", "results.csv"),
}


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """Settings of processes: an empty cache, no network, nothing of this checkout."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    unwanted = ("PYTHON", "ECNAS", "NASLIB", "VIRTUAL_ENV", "COV")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    return {
        **kept,
        "PYTHONPATH": str(tmp_path / "site"),
        "ECNAS_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.parametrize("version", ENDS)
def test_a_query_with_nothing_but_the_wheel(
    installed: Callable[[str], Path], run: Callable[..., str], version: str, alone: dict[str, str]
) -> None:
    programs = installed(version)
    cwd = Path(alone["ECNAS_CACHE"]).parent
    said = run(programs / "ecnas", *QUERY, env=alone, cwd=cwd)
    record = json.loads(said)
    here = json.loads(run(sys.executable, "-m", "naslib_ecnas", *QUERY, cwd=cwd))
    assert record["row"] == here["row"] == 4
    assert record["metrics"] == pytest.approx(here["metrics"], rel=1e-6)
    # `python -m naslib_ecnas` is the same program.
    module = (programs / "python", "-m", "naslib_ecnas")
    assert run(*module, *QUERY, env=alone, cwd=cwd) == said
    for arguments in (("--help",), ("--version",), ("data", "list")):
        ours, theirs = (
            run(*program, *arguments, env=alone, cwd=cwd)
            for program in ((programs / "ecnas",), module)
        )
        assert ours == theirs


@pytest.mark.parametrize("version", ENDS)
def test_what_is_missing_is_told(
    installed: Callable[[str], Path], run: Callable[..., str], version: str, alone: dict[str, str]
) -> None:
    """Every module can be imported or says which extra it needs."""
    programs = installed(version)
    out = run(programs / "python", "-c", IMPORT_ALL, env=alone, cwd=alone["PYTHONPATH"])
    found = json.loads(out)
    assert len(found["good"]) > 90
    assert not set(found["heavy"])
    for name, (kind, message) in found["bad"].items():
        # Parts of features whose entry says it: models and trainings, NASLib's graphs.
        inner = name.startswith(("naslib_ecnas.training.", "naslib_ecnas.adapters.naslib_"))
        if inner and message == "No module named 'torch'":
            continue
        assert kind == "MissingDependencyError", (name, message)
        assert "naslib-ecnas[" in message


@pytest.mark.parametrize("extra", USES)
def test_an_extra_alone(
    distributions: Any,
    environment: Callable[..., Path],
    run: Callable[..., str],
    tmp_path: Path,
    alone: dict[str, str],
    extra: str,
) -> None:
    arguments, file = USES[extra]
    without = environment(tmp_path / "env", Path(sys.executable), f"{distributions.wheel}[{extra}]")
    said = run(without / "ecnas", *arguments.split(), env=alone, cwd=tmp_path)
    assert (tmp_path / "found" / file).stat().st_size > 0, said


IMPORT_ALL = f"""
import importlib, json, pkgutil, sys
import naslib_ecnas
good, bad = [], {{}}
for module in pkgutil.walk_packages(naslib_ecnas.__path__, "naslib_ecnas.", onerror=str):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        bad[module.name] = [type(error).__name__, str(error)]
    else:
        good.append(module.name)
print(json.dumps({{"good": good, "bad": bad, "heavy": sorted(set({HEAVY!r}) & set(sys.modules))}}))
"""
