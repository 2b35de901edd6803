"""Tables, methods and metrics of a stranger's package, which pip installs into a folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from naslib_ecnas.cell import Cell

STRANGER = """
from pathlib import Path
from naslib_ecnas import Metric
from naslib_ecnas.search import RandomSearch

latency = Metric("latency_ms", "ms", False, 0.0, 1e4, "time of one image", positive=True)
table = Path(__file__).with_name("theirs.csv")

def made():
    return table

class Backwards(RandomSearch):
    name = "backwards"
    def ask(self):
        return super().ask()[::-1]
"""
POINTS = {
    "tables": "theirs=stranger:table made=stranger:made none=stranger:latency 5v=stranger:table "
    "broken=stranger.bad:x",
    "methods": "backwards=stranger:Backwards odd=stranger:latency gone=stranger:Goat",
    "metrics": "latency_ms=stranger:latency other_ms=stranger:latency twice_ms=stranger:latency",
}


def wheel(folder: Path, name: str, files: dict[str, str], points: dict[str, str]) -> Path:
    """A wheel, written by hand, of a package with entry points."""
    info, path = f"{name}-1.0.dist-info", folder / f"{name}-1.0-py3-none-any.whl"
    groups = [f"[naslib_ecnas.{g}]\n" + "\n".join(text.split()) for g, text in points.items()]
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "\n".join(groups),
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return path


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs Python where two strangers' packages are installed; what it prints, errors too."""
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("strangers")
    lines = [f"{Cell.from_row(r)};4;{0.1 + r / 90};{200 - r}\n" for r in range(40)]
    files = {
        "stranger/__init__.py": STRANGER,
        "stranger/bad.py": "1 / 0",
        "stranger/theirs.csv": "cell;epochs;energy_kwh;latency_ms\n" + "".join(lines),
    }
    packages = [
        wheel(folder, "stranger", files, POINTS),
        wheel(folder, "second", {}, {"metrics": "twice_ms=stranger:latency"}),
    ]
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", target, *packages], check=True)
    environment = os.environ | {"PYTHONPATH": str(target), "ECNAS_CACHE": str(folder / "cache")}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder,
        )
        return done.stderr if done.returncode else done.stdout

    return run


def test_their_table_and_metric_in_a_query(python: Callable[..., str]) -> None:
    found = json.loads(python("-m", "naslib_ecnas", "query", "theirs", "3", "--json"))
    assert (found["table"], found["units"]["latency_ms"]) == ("theirs", "ms")
    assert found["metrics"]["latency_ms"] == 197
    listed = python("-m", "naslib_ecnas", "data", "list")
    assert re.findall(r"^(\w+) +stranger$", listed, re.M) == ["broken", "made", "none", "theirs"]
    assert python("-m", "naslib_ecnas", "data", "verify", "theirs").startswith("good")
    card = python("-m", "naslib_ecnas", "data", "card", "made")
    assert "time of one image" in card
    code = """
import pickle, naslib_ecnas as ecnas
bench = pickle.loads(pickle.dumps(ecnas.load("made")))
print(list(ecnas.METRICS)[-3:], "latency_ms" in ecnas.METRICS, ecnas.metric("latency_ms").unit)
print(bench.front(("latency_ms", "energy_kwh")).rows.size, bench.query(39).latency_ms)
"""
    names = "['latency_ms', 'other_ms', 'twice_ms']"
    assert python("-c", code) == f"{names} True ms\n40 161.0\n"


def test_their_metric_is_an_objective_of_their_method(python: Callable[..., str]) -> None:
    options = "--evaluations 40 --seed 0 --no-plot --json --objectives latency_ms,energy_kwh"
    command = f"-m naslib_ecnas search --table theirs --method backwards {options}"
    said = python(*command.split())
    assert json.loads(said)["hypervolume"] == 1


BROKEN = {
    "load('none')": "the table none of the package stranger must be the path of a file",
    "load('broken')": "broken of the package stranger cannot be used: ZeroDivisionError",
    "load('nothing')": "no such file or table, got 'nothing'; the tables are 7v, .*, theirs",
    "metric('other_ms')": "other_ms of the package stranger must be a Metric of this",
    "metric('twice_ms')": "both add the metric twice_ms",
    "search.check('odd', evaluations=9, seed=0)": "odd of .* stranger must be a subclass",
    "search.check('gone', evaluations=9, seed=0)": "stranger cannot be used: AttributeError: ",
}


@pytest.mark.parametrize(("call", "says"), BROKEN.items())
def test_what_is_broken_is_one_sentence(python: Callable[..., str], call: str, says: str) -> None:
    said = python("-c", f"import naslib_ecnas as ecnas; ecnas.{call}")
    assert re.search(rf"\nnaslib_ecnas\.errors\.(Plugin|UnknownTable)Error: .*{says}.*\n$", said), (
        said
    )


def test_our_names_need_no_entry_points(python: Callable[..., str]) -> None:
    """Nothing of other packages is read, which takes longer than a query."""
    code = """
import sys, naslib_ecnas as ecnas
bench = ecnas.load("4v")
bench.query(3).energy_kwh, ecnas.metric("co2_g")
ecnas.search.run(bench, "random", evaluations=9, seed=0)
from naslib_ecnas import plugins
print(plugins._points.cache_info().currsize, "stranger" in sys.modules)
"""
    assert python("-c", code) == "0 False\n"
