"""NASLib is found, mended and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters import naslib_patches

# What a clone of NASLib is known by, and modules that do what NASLib's do.
CLONE = {
    "__init__.py": "",
    "search_spaces/__init__.py": "",
    "search_spaces/core/__init__.py": "",
    "search_spaces/core/query_metrics.py": "",
    "graphs.py": """
import collections
import numpy as np
import torchvision.transforms as transforms
from collections import Iterable
from grakel.kernels import Kernel
class Compose(transforms.Compose):
    pass
class Histogram(Kernel):
    pass
def late():
    import torchvision
def lost():
    return isinstance([], collections.Iterable), np.int, np.row_stack([[1], [2]]).shape
""",
    "tables.py": "import pandas_that_is_missing",
    "optional.py": """
try:
    import graphviz_that_is_missing as graphviz
except ImportError:
    graphviz = None
""",
}


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name, text in CLONE.items():
        path = tmp_path / "clone" / "naslib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "clone"


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [m for m in modules if find_spec(m) is None]
    return pytest.mark.skipif(bool(missing), reason=f"pip install {' '.join(missing)}")


without_naslib = pytest.mark.skipif(
    find_spec("naslib") is not None and "NASLib" not in str(naslib_patches.naslib_home()),
    reason="a naslib is installed, which comes before any clone",
)


def test_importing_the_adapter_does_nothing() -> None:
    code = """
import sys
meta, path = list(sys.meta_path), list(sys.path)
from naslib_ecnas.adapters import naslib_objectives, naslib_patches
from naslib_ecnas.adapters import naslib_space
naslib_patches.report()
assert sys.meta_path == meta and sys.path == path
assert not {"torch", "naslib", "networkx", "sklearn", "matplotlib"} & set(sys.modules)
"""
    run(code)


@without_naslib
def test_without_naslib_the_remedy_is_told(tmp_path: Path) -> None:
    code = """
from naslib_ecnas.adapters import naslib_patches, naslib_space
from naslib_ecnas.errors import MissingDependencyError
assert naslib_patches.naslib_home() is None
try:
    naslib_space.EcnasSearchSpace
except MissingDependencyError as error:
    print(error)
print(naslib_patches.report()["remedy"])
"""
    out = run(code, NASLIB_HOME=str(tmp_path))
    assert out.count("git clone https://github.com/automl/NASLib") == 2
    assert "NASLIB_HOME" in out
    assert str(tmp_path) in out


@without_naslib
@needs(*naslib_patches.REQUIRED)
def test_a_clone_is_used_and_only_its_modules_are_helped(clone: Path) -> None:
    missing = [m for m in ("torchvision", "grakel") if find_spec(m) is None]
    code = f"""
import sys, collections, numpy
from pathlib import Path
from naslib_ecnas.adapters import naslib_patches
assert naslib_patches.ensure() == Path({str(clone)!r})
head = sys.path[0]
import naslib.graphs as graphs
assert graphs.lost() == (True, int, (2, 1))
graphs.Compose; graphs.Histogram()
for name in {missing}:
    assert name not in sys.modules
    try:
        __import__(name)
        raise SystemExit(name + " is stood in for others too")
    except ModuleNotFoundError:
        pass
assert sorted(naslib_patches.report()["standing_in"]) == sorted({missing})
if {missing}:
    try:
        graphs.late()
        raise SystemExit("a function got a stand-in")
    except ModuleNotFoundError:
        pass
assert not hasattr(collections, "Iterable") and not hasattr(numpy, "int")
import naslib.optional
assert naslib.optional.graphviz is None
try:
    import naslib.tables
    raise SystemExit("an unknown package is stood in for")
except ModuleNotFoundError as error:
    assert error.name == "pandas_that_is_missing"
assert sys.path[0] == head and sys.path[-1] == {str(clone)!r}
"""
    run(code, NASLIB_HOME=str(clone))


@without_naslib
def test_missing_requirements_are_told_all_at_once(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASLIB_HOME", str(clone))
    monkeypatch.setattr(naslib_patches, "_ready", [])
    monkeypatch.setattr(naslib_patches, "_installed", lambda name: name == "numpy")
    with pytest.raises(naslib_patches.MissingDependencyError, match=r"naslib-ecnas\[naslib\]") as e:
        naslib_patches.ensure()
    assert "torch" in str(e.value)
    assert "scikit-learn" in str(e.value)


def test_report_of_the_real_one(naslib: Any) -> None:
    report = naslib_patches.report()
    assert report["found"]
    assert report["remedy"] is None
    assert all(report["required"].values())
    assert {m["where"] for m in report["mends"]} >= {"naslib.utils: parse_args"}


def test_standing_in_never_covers_what_is_installed(naslib: Any) -> None:
    naslib_patches.require("naslib.predictors")
    standing_in = naslib_patches.report()["standing_in"]
    assert [name for name in standing_in if find_spec(name) is not None] == []
    assert [name for name in standing_in if name in sys.modules] == []


def test_parameters_are_counted(naslib: Any) -> None:
    torch = pytest.importorskip("torch")
    count = naslib_patches.require("naslib.optimizers.discrete.re.optimizer").count_parameters_in_MB
    assert count(torch.nn.Linear(3, 4)) == pytest.approx(16e-6)
    assert count(torch.nn.ModuleList()) == 0


def test_the_command_line_is_read_when_it_is_parsed(
    naslib: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse_args = naslib_patches.require("naslib.utils").parse_args
    monkeypatch.setattr(sys, "argv", ["prog", "--seed", "7"])
    assert parse_args().seed == "7"
    monkeypatch.setattr(sys, "argv", ["prog", "-f", "kernel.json", "--seed", "8"])
    assert parse_args().seed == "8"
    assert parse_args(args=["--seed", "9"]).seed == "9"


def test_predictor_scores_are_numbers(naslib: Any) -> None:
    compute_scores = naslib_patches.require("naslib.utils.zerocost").compute_scores
    truth = np.arange(40.0)
    scores = compute_scores(truth, truth + np.sin(truth))
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean(np.sin(truth) ** 2)))
    assert 0.8 < scores["kendalltau"] <= 1


def test_the_folder_of_the_package_stays_off_the_path(naslib: Any) -> None:
    naslib_patches.require("naslib.search_spaces")
    inside = [Path(p) for p in naslib.__path__]
    assert [p for p in sys.path if any(Path(p).is_relative_to(i) for i in inside)] == []
