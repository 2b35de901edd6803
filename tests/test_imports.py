"""What importing costs and pulls in, and that imports go down only."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import naslib_ecnas

ROOT = Path(__file__).resolve().parent.parent
HOSTS = {"optuna", "pymoo", "botorch", "gpytorch", "ConfigSpace", "syne_tune", "carps", "mfpbench"}
HEAVY = {
    *HOSTS,
    *("torch", "naslib", "pynvml", "tensorflow", "pandas", "matplotlib", "plotly", "pyarrow"),
    *("scipy", "sklearn", "lightgbm", "moocore", "rich", "google.protobuf"),
    *("joblib", "submitit", "zeus"),
}
#: Where a heavy package may be imported at the top of a module.
HOMES = {
    "adapters": {"torch", "naslib", *HOSTS},
    "figures": {"matplotlib"},
    "training": {"torch"},
}
#: Levels of the house, lowest first; a module imports its own level and lower ones.
LEVELS = (
    ("errors", "lazy", "plugins", "_version"),
    ("files", "processes", "progress", "metrics", "provenance"),
    ("topologies", "nasbench_hash", "nondominated", "cell", "space", "network"),
    ("data",),
    ("quality", "records", "benchmark", "statement"),
    ("surrogate",),
    ("loading",),
    ("search", "analysis", "energy", "training", "campaign"),
    ("figures", "report", "adapters", "comparison", "nasbench101", "ecnasbench"),
    ("console", "commands", "cli", "__main__"),
)
FOLDERS = {"naslib_ecnas": "naslib_ecnas"}
FOLDERS |= {name: f"naslib_ecnas.{name}" for name in ("data", "adapters")}


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            yield name, ast.parse(path.read_text(encoding="utf-8"))


SOURCES = dict(_sources())


def imported(tree: ast.AST) -> set[str]:
    """Our modules that a module imports anywhere, in functions and for typing too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in SOURCES else node.module)
    return found & set(SOURCES)


def _level(module: str) -> int:
    name = module.split(".")[1]
    levels = [level for level, names in enumerate(LEVELS) if name in names]
    assert levels, f"{name} has no level: add it to LEVELS"
    return levels[0]


def _loaded(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    return set(out.stdout.split())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH is of Python 3.11")
def test_child_processes_import_the_installed_package() -> None:
    code = "import naslib_ecnas; print(naslib_ecnas.__file__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == naslib_ecnas.__file__


def test_imports_go_down_only() -> None:
    """The package's own `__init__` is left out: its names are lazy."""
    above = {
        (module, other)
        for module, tree in SOURCES.items()
        for other in imported(tree) - {"naslib_ecnas"}
        if module != "naslib_ecnas" and _level(other) > _level(module)
    }
    assert not above


def test_no_import_circle() -> None:
    """Not within a level either, nor through a package's `__init__`."""
    graph = {m: imported(tree) - {m} for m, tree in SOURCES.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(error.args[1]) from None
    assert set(order) == set(graph)
    lazy = ast.parse("def f():\n    from naslib_ecnas import network")
    assert imported(lazy) == {"naslib_ecnas.network"}  # the test would notice


def test_nothing_heavy_is_imported() -> None:
    for statement in (
        "import naslib_ecnas; naslib_ecnas.Space(7); naslib_ecnas.load; naslib_ecnas.Benchmark",
        "import naslib_ecnas.nasbench101, naslib_ecnas.cli",
        "import naslib_ecnas.adapters.naslib_space, naslib_ecnas.training.record",
        "import naslib_ecnas.energy.meter, naslib_ecnas.energy.nvml, naslib_ecnas.energy.replay",
    ):
        loaded = _loaded(statement)
        assert "naslib_ecnas" in loaded
        assert not loaded & HEAVY, statement
    assert "pyarrow" in _loaded("import naslib_ecnas, pyarrow") & HEAVY  # the test would notice
    # A bare import brings no numpy and, beyond what Python starts with, at most 60 modules.
    loaded = _loaded("import naslib_ecnas") - _loaded("pass")
    assert "numpy" not in loaded
    assert len(loaded) <= 60


def test_heavy_packages_have_one_home_each() -> None:
    """Only the feature that needs a heavy package imports it, never at a shared module's top."""
    tops = {name.split(".")[0] for name in HEAVY} - {"moocore", "rich", "google"}
    for module, tree in SOURCES.items():
        names = {n.module or "" for n in tree.body if isinstance(n, ast.ImportFrom)}
        for node in tree.body:
            names |= {a.name for a in node.names} if isinstance(node, ast.Import) else set()
        heavy = {name.split(".")[0] for name in names} & tops
        home = module.split(".")[1] if "." in module else ""
        assert heavy <= HOMES.get(home, set()), module


def test_the_distribution_lists_every_folder() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    there = {
        ".".join([package, *init.parent.relative_to(ROOT / folder).parts])
        for folder, package in FOLDERS.items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert set(config["options"]["packages"].split()) == there
    assert (ROOT / "naslib_ecnas" / "py.typed").exists()
