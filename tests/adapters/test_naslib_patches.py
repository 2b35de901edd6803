"""NASLib is found and patched, with stand-ins for what is missing, and nothing else changes."""

from __future__ import annotations

import copy
import importlib
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters import naslib_patches, naslib_space
from naslib_ecnas.adapters.naslib_patches import StandInError, stand_in
from naslib_ecnas.errors import MissingDependencyError

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


def run(code: str, folder: Path, home: Path) -> str:
    """Output of a program in its own process, with NASLib looked for in `home`."""
    env, words = {**os.environ, "NASLIB_HOME": str(home)}, [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name, text in CLONE.items():
        path = tmp_path / "clone" / "naslib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "clone"


without_naslib = pytest.mark.skipif(
    find_spec("naslib") is not None and "NASLib" not in str(naslib_patches.naslib_home()),
    reason="a naslib is installed, which comes before any clone",
)


@without_naslib
def test_importing_the_adapters_does_nothing_and_their_use_says_how_to_get_naslib(
    tmp_path: Path,
) -> None:
    code = """
import sys
meta, path = list(sys.meta_path), list(sys.path)
from naslib_ecnas.adapters import naslib_metrics, naslib_patches, naslib_run, naslib_space
from naslib_ecnas.errors import MissingDependencyError
print(naslib_patches.REMEDY)
assert naslib_patches.report()["home"] is None
assert sys.meta_path == meta and sys.path == path
assert not {"torch", "naslib", "networkx", "sklearn", "matplotlib"} & set(sys.modules)
assert naslib_patches.naslib_home() is None
try:
    naslib_space.EcnasSearchSpace
except MissingDependencyError as error:
    print(error)
"""
    out = run(code, tmp_path, tmp_path)
    assert out.count("git clone https://github.com/automl/NASLib") == 2
    assert "NASLIB_HOME" in out
    assert str(tmp_path) in out


@without_naslib
def test_a_clone_is_used_and_only_its_modules_are_helped(clone: Path) -> None:
    if absent := naslib_patches.report()["missing"]:
        pytest.skip(f"{absent} are not installed")
    missing = [m for m in ("torchvision", "grakel") if find_spec(m) is None]
    code = f"""
import sys, collections, numpy
from pathlib import Path
from naslib_ecnas.adapters import naslib_patches, naslib_space
assert naslib_patches.ensure() == Path({str(clone)!r})
head = sys.path[0]
import naslib.graphs as graphs
assert graphs.lost() == (True, int, (2, 1))
graphs.Compose; graphs.Histogram()
def lacks(what, call, *arguments):
    try:
        call(*arguments)
    except ModuleNotFoundError as error:
        assert error.name == what
    else:
        raise SystemExit(what + " has a stand-in here too")
for name in {missing}:
    assert name not in sys.modules
    lacks(name, __import__, name)
assert sorted(naslib_patches.report()["stand_ins"]) == sorted({missing})
if "torchvision" in {missing}:
    lacks("torchvision", graphs.late)
assert not hasattr(collections, "Iterable") and not hasattr(numpy, "int")
import naslib.optional
assert naslib.optional.graphviz is None
lacks("pandas_that_is_missing", __import__, "naslib.tables")
assert sys.path[0] == head and sys.path[-1] == {str(clone)!r}
"""
    run(code, clone.parent, clone)


@without_naslib
def test_missing_requirements_are_named_all_at_once(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASLIB_HOME", str(clone))
    required = {"numpy": "numpy", "no_torch": "torch", "no_sklearn": "scikit-learn"}
    monkeypatch.setattr(naslib_patches, "REQUIRED", required)
    says = r"torch, scikit-learn.*naslib-ecnas\[naslib\]"
    with pytest.raises(MissingDependencyError, match=says):
        naslib_patches.ensure.__wrapped__()


def test_the_report_of_the_real_one(naslib: Any) -> None:
    naslib_patches.require("naslib.predictors")
    report = naslib_patches.report()
    assert report["home"] == str(naslib_patches.ensure())
    assert report["missing"] == []
    assert report["patches"]["naslib.utils:parse_args"]
    # Nothing that is installed has a stand-in, and no stand-in is in sys.modules.
    assert not [n for n in report["stand_ins"] if n in sys.modules or find_spec(n) is not None]
    # The package's own folder stays off the path.
    naslib_patches.require("naslib.search_spaces")
    assert not [p for p in sys.path for i in naslib.__path__ if Path(p).is_relative_to(i)]


def test_patched_functions_work(naslib: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = naslib_patches.require("torch")
    count = naslib_patches.require("naslib.optimizers.discrete.re.optimizer").count_parameters_in_MB
    assert count(torch.nn.Linear(3, 4)) == pytest.approx(16e-6)
    assert count(torch.nn.ModuleList()) == 0
    # The command line is read when it is parsed.
    parse_args = naslib_patches.require("naslib.utils").parse_args
    monkeypatch.setattr(sys, "argv", ["prog", "-f", "kernel.json", "--seed", "8"])
    assert parse_args().seed == "8"
    assert parse_args(args=["--seed", "9"]).seed == "9"
    # Scores are numbers.
    compute_scores = naslib_patches.require("naslib.utils.zerocost").compute_scores
    truth = np.arange(40.0)
    scores = compute_scores(truth, truth + np.sin(truth))
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean(np.sin(truth) ** 2)))
    assert 0.8 < scores["kendalltau"] <= 1
    # An array may hold graphs of different sizes.
    networkx, gpwl = map(naslib_patches.require, ("networkx", "naslib.predictors.gp.gpwl"))
    graphs = [networkx.path_graph(2), networkx.path_graph(3)]
    assert list(map(id, gpwl.np.array(graphs))) == list(map(id, graphs))
    assert gpwl.np.array([1.0, 2.0]).dtype == np.float64


def test_a_patch_reaches_forks_earlier_importers_and_reloaded_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fork: a further argument, a decorator, and no other function that is patched.
    text = (
        "from functools import lru_cache\n@lru_cache\ndef data(space=None, dataset=None, lc=False):"
    )
    (tmp_path / "fork.py").write_text(text + "\n    return space, dataset, lc\n")
    (tmp_path / "earlier.py").write_text("from fork import data\nfrom fork import data as same\n")
    monkeypatch.syspath_prepend(tmp_path)
    import earlier  # type: ignore[import-not-found]
    import fork  # type: ignore[import-not-found]

    for name in ("fork", "earlier"):
        monkeypatch.setitem(sys.modules, name, sys.modules[name])  # taken out afterwards

    def ours(original: Any, *args: Any, **kwargs: Any) -> Any:
        asked = naslib_space.argument(original, "space", args, kwargs)
        return "ours" if asked == "ecnas" else original(*args, **kwargs)

    monkeypatch.setattr(naslib_patches, "_PATCHES", {})
    naslib_patches.patch("fork:data", ours)
    naslib_patches.patch("fork:Lost.method", ours)
    for _ in range(2):
        for function in (fork.data, earlier.data, earlier.same):
            assert function("ecnas") == function(lc=1, space="ecnas") == "ours"
            assert function("other", "x", lc=True) == ("other", "x", True)
        importlib.reload(fork)
        naslib_patches._apply(fork)
        importlib.reload(earlier)
    assert hasattr(fork.data.__wrapped__, "cache_info")  # patched once: the original is within
    # For a while.
    patched = fork.data
    with naslib_patches.rebound(fork.data, lambda original, *args: "another"):
        assert fork.data("ecnas") == earlier.same("other") == "another"
    assert fork.data is earlier.data is earlier.same is patched


# -- stand-ins: importable, constructible, and an error when used -----------------------------


def test_attributes_are_stand_ins_whose_objects_can_be_made_and_copied_but_not_used() -> None:
    pyro = stand_in("pyro")
    assert pyro.contrib.gp.kernels.RBF is pyro.contrib.gp.kernels.RBF
    assert repr(pyro.contrib.gp) == "<stand-in for pyro.contrib.gp>"
    model = stand_in("ngboost.NGBRegressor")(505, learning_rate=0.1)
    copy.deepcopy(model)
    with pytest.raises(StandInError, match=r"ngboost\.NGBRegressor.*pip install ngboost") as raised:
        model.fit([1], [2])
    assert isinstance(raised.value, MissingDependencyError)
    assert raised.value.package == "ngboost"


def test_every_use_raises() -> None:
    uses: list[Any] = [lambda o: o(), lambda o: o[0], lambda o: o + 1, lambda o: 1 * o]
    for use in (*uses, list, float, lambda o: o.anything, lambda o: 1 in o):
        with pytest.raises(StandInError):
            use(stand_in("xgboost.Booster")())
    for call, says in (
        # What is named like a function is used when it is called.
        (lambda: stand_in("xgboost").train({}, None), r"xgboost\.train"),
        # Packages of another name are named by it.
        (lambda: stand_in("skimage.io").imread("a"), "pip install scikit-image"),
        (lambda: stand_in("turtle").position(), "tkinter"),
    ):
        with pytest.raises(StandInError, match=says):
            call()


def test_a_class_can_be_derived_from_one() -> None:
    base = stand_in("grakel.kernels").Kernel

    class Mixed(base, ABC):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(n_jobs=1)
            self.own = 3

        @abstractmethod
        def value(self) -> int: ...

    class Kernel(Mixed):
        def value(self) -> int:
            return self.own

    assert isinstance(Kernel(), base)
    assert Kernel().value() == 3
    assert not hasattr(Kernel, "anything")
    with pytest.raises(StandInError, match="grakel"):
        Kernel().fit_transform()
    with pytest.raises(TypeError, match="abstract"):
        Mixed()
