"""Methods by name: ours, those of other libraries, installed ones and `module:Class`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from naslib_ecnas.comparison import Grid
from naslib_ecnas.errors import ConfigError, MissingDependencyError
from naslib_ecnas.loading import load
from naslib_ecnas.search import METHODS, RandomSearch, run
from naslib_ecnas.search.methods import ADAPTED, method_class, method_names, method_of


def test_methods_of_this_package_come_first() -> None:
    assert method_names()[: len(METHODS)] == tuple(METHODS)
    assert method_class("semoa") is METHODS["semoa"]
    for call in (method_class, lambda name: Grid(("semoa", name), ("4v",), (0,), 9)):
        with pytest.raises(ConfigError, match=r"semoa, .*, or module:Class, got 'sema'"):
            call("sema")


@pytest.mark.parametrize("name", ["nsga2", "motpe", "qnehvi"])
def test_a_missing_library_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _, package = ADAPTED[name]
    monkeypatch.delitem(sys.modules, f"naslib_ecnas.adapters.{module}", raising=False)
    for known in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, known)
    for absent in (package, "torch"):  # torch takes seconds to import
        monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingDependencyError, match=package):
        method_class(name)


def test_settings_follow_the_name() -> None:
    text = "semoa:population=20:preset=shipped:x=-1.5e-3:y=None:z=TRUE:w=1_0:v="
    given = {"population": 20, "preset": "shipped", "x": -1.5e-3, "y": None, "z": True}
    assert method_of(text) == ("semoa", {**given, "w": "1_0", "v": ""})
    assert method_of("a.b:C:n=1") == ("a.b:C", {"n": 1})
    for wrong in ("semoa:20", "semoa:population=2:population=3", "semoa:a b=1", ":", "a:b:c", ""):
        with pytest.raises(ConfigError, match="method"):
            method_of(wrong)


@pytest.mark.usefixtures("modelled")
def test_settings_reach_the_run() -> None:
    bench = load("4v")
    one = run(bench, "semoa:population=5:preset=shipped", evaluations=20, seed=0)
    options = {"population": 5, "preset": "shipped"}
    other = run(bench, "semoa", options=options, evaluations=20, seed=0)
    assert one.rows.tolist() == other.rows.tolist()
    assert one.config == other.config
    assert (one.config.method, one.config.options) == ("semoa", options)
    paper = run(bench, "random:paper=true", evaluations=20, seed=0)
    assert paper.config == run(bench, "random", paper=True, evaluations=20, seed=0).config
    for wrong in ("semoa:papulation=5", "semoa:population=x", "re:paper=true"):
        with pytest.raises(ConfigError):
            run(bench, wrong, evaluations=20, seed=0)


def test_own_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ecnas_climber.py").write_text(
        "from naslib_ecnas.search import RandomSearch\n"
        "class Climber(RandomSearch):\n    name = 'climber'\n"
    )
    monkeypatch.chdir(tmp_path)  # where a user's script lies
    path = list(sys.path)
    kind = method_class("ecnas_climber:Climber:batch=3")
    assert (kind.name, kind.__bases__, sys.path) == ("climber", (RandomSearch,), path)
    for wrong in ("ecnas_climber:Goat", "ecnas_nowhere:Climber", "os:path"):
        with pytest.raises(ConfigError):
            method_class(wrong)
