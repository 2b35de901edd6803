"""docs/api.md lists the public names: they exist, they are all, and all are typed."""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.errors import MissingDependencyError

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
NAMES = re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE)
#: Packages and modules all of whose `__all__` is public.
WHOLE = ("", *["analysis", "campaign", "comparison", "ecnasbench", "energy", "figures"])
WHOLE += ("nasbench101", "report", "search", "training")
#: Their base classes are of packages that have no types.
UNTYPED = {
    "naslib_ecnas.adapters.naslib_space.EcnasSearchSpace",
    "naslib_ecnas.adapters.naslib_architecture.EcnasSearchSpace",
    "naslib_ecnas.adapters.pymoo_host.EcnasProblem",
    "naslib_ecnas.adapters.botorch_qnehvi.EcnasTestProblem",
    "naslib_ecnas.adapters.syne_tune_host.EcnasBackend",
    "naslib_ecnas.adapters.syne_tune_host.EcnasBlackbox",
    "naslib_ecnas.adapters.carps_host.EcnasObjectiveFunction",
    "naslib_ecnas.adapters.mfpbench_host.EcnasMfBenchmark",
    "naslib_ecnas.adapters.mfpbench_host.EcnasResult",
    "naslib_ecnas.adapters.mfpbench_host.EcnasCosts",
}


def full(name: str) -> str:
    return f"naslib_ecnas.{name}".rstrip(".")


def named(name: str) -> Any:
    """What a public name stands for; None where its library is not installed."""
    home, _, last = full(name).rpartition(".")
    try:
        return getattr(import_module(home), last)
    except MissingDependencyError:
        return None


def test_the_page_has_all_public_names_once() -> None:
    assert len(NAMES) == len(set(NAMES)) > 200
    for name in NAMES:
        named(name)  # raises where it is not there
    for home in WHOLE:
        exported = {f"{home}.{name}".lstrip(".") for name in import_module(full(home)).__all__}
        assert exported <= set(NAMES), home
        assert exported - {"__version__"} <= {
            f"{home}.{n}".lstrip(".") for n in dir(named(home) if home else ecnas)
        }


def test_examples_of_the_core_are_true() -> None:
    parts = ("curves", "pareto", "scores", "significance")
    for name in ("cell", "nondominated", *(f"analysis.{part}" for part in parts)):
        assert not doctest.testmod(import_module(full(name))).failed, name


def test_packages_are_there_after_one_import() -> None:
    packages = sorted({n.split(".")[0] for n in NAMES if "." in n} - {"progress", "quality"})
    code = (
        "import sys, naslib_ecnas as ecnas\n"
        "assert 'numpy' not in sys.modules\n"
        f"assert set({packages}) <= set(dir(ecnas))\n"
        f"for name in {packages}: assert getattr(ecnas, name).__name__ == 'naslib_ecnas.' + name\n"
        "assert ecnas.EnergyMeter is ecnas.energy.EnergyMeter\n"
        "ecnas.search.run, ecnas.comparison.compare, ecnas.campaign.work, ecnas.report.gather\n"
        "assert not {'torch', 'matplotlib', 'scipy', 'moocore'} & set(sys.modules)\n"
        "try: ecnas.nothing\n"
        "except AttributeError: pass\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_all_public_names_are_typed(tmp_path: Path) -> None:
    """Their own types and those of their members, as pyright sees the installed package."""
    pyright = shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not installed")
    site = tmp_path / "site"
    for folder in ("naslib_ecnas", "data", "adapters"):  # as the package installs
        target = site / "naslib_ecnas" / ("" if folder == "naslib_ecnas" else folder)
        ignored = shutil.ignore_patterns("*.safetensors", "__pycache__")
        shutil.copytree(ROOT / folder, target, ignore=ignored)
    ran = subprocess.run(
        [pyright, "--verifytypes", "naslib_ecnas", "--ignoreexternal", "--outputjson"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        check=False,  # names that are not public may lack types
    )
    symbols = json.loads(ran.stdout)["typeCompleteness"]["symbols"]
    assert {full("Benchmark"), full("search.run")} <= {symbol["name"] for symbol in symbols}
    whole = {full(name) for name in NAMES}
    values = [value for value in map(named, NAMES) if hasattr(value, "__qualname__")]
    whole |= {f"{value.__module__}.{value.__qualname__}" for value in values}
    lacking = {
        symbol["name"]
        for symbol in symbols
        if (not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"])
        and (symbol["name"] in whole or symbol["name"].rpartition(".")[0] in whole)
    }
    assert lacking - UNTYPED == set()
