"""That nothing has become slow: ratios to peers that take turns with ours, never times.

The floors are far below what idle machines show (`python benchmarks/run_all.py`), so that only a
loss of whole factors fails, and work beside the tests does not.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_patches

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "run_all.py"
#: Suite and line -> how many times faster than its peer it has to be.
FLOORS = {
    ("core", "key of a cell"): 15,
    ("core", "full record of a cell"): 10,
    ("core", "full record from a raw matrix"): 8,
    ("core", "EC-NAS TFRecord, a row"): 2,
    ("core", "NAS-Bench-101 TFRecord, a row"): 2,
    ("surrogate", "prediction of a cell"): 3,
    ("naslib_search", "LocalSearch's neighbourhood, get_nbhd"): 50,
    ("naslib_search", "RegularizedEvolution, 40 epochs"): 3,
}
_found: dict[str, dict[str, Any]] = {}


def lines(suite: str, cache: Path) -> dict[str, Any]:
    """The lines of a suite by what they are of, each suite run once."""
    if suite not in _found:
        command = [sys.executable, str(SCRIPT), "--quick", "--json", "--suite", suite]
        environment = {**os.environ, "ECNAS_CACHE": str(cache)}
        environment.pop("PYTHONSAFEPATH", None)  # a suite imports another one beside it
        out = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        # 1: a goal was missed, which a machine under load may do.
        assert out.returncode in (0, 1), out.stderr
        assert out.stdout, out.stderr
        report = json.loads(out.stdout)
        assert report["quick"]
        _found[suite] = {line["what"]: line for line in report["lines"]}
    return _found[suite]


@pytest.mark.parametrize(("suite", "what"), FLOORS, ids=lambda text: text[:30])
def test_still_so_many_times_faster(
    suite: str, what: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if "TFRecord" in what:
        pytest.importorskip("google.protobuf", reason="the peer is protobuf's decoder")
    if suite == "naslib_search":
        if naslib_patches.naslib_home() is None:
            pytest.skip("no clone of NASLib, the peer")
        for name in naslib_patches.REQUIRED:
            if importlib.util.find_spec(name) is None:
                pytest.skip(f"NASLib, the peer, needs {name}")
    line = lines(suite, tmp_path_factory.mktemp("cache"))[what]
    assert line["ratio"] >= FLOORS[suite, what], line


def test_every_ratio_to_a_peer_has_a_floor(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of the suites that run everywhere."""
    for suite in ("core", "surrogate"):
        measured = set(lines(suite, tmp_path_factory.mktemp("cache")))
        floors = {what for where, what in FLOORS if where == suite}
        assert measured <= floors
