"""What importing costs and pulls in, and that imports go down only."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "torch",
    "naslib",
    "pynvml",
    "tensorflow",
    "pandas",
    "matplotlib",
    "plotly",
    "pyarrow",
    "scipy",
    "sklearn",
    "lightgbm",
    "moocore",
    "rich",
    "google.protobuf",
    "optuna",
    "pymoo",
    "botorch",
    "gpytorch",
    "joblib",
    "submitit",
    "zeus",
)

# Levels of the house, lowest first; a module may import its own level and those before it.
LEVELS = (
    ("errors", "checked", "metrics", "provenance", "storage", "progress", "_version"),
    (
        "structures",
        "json_text",
        "nondominated",
        "nasbench_hash",
        "hash_index",
        "neighbours",
        "packing",
        "classification",
        "cell",
        "space",
        "network",
    ),
    ("data",),
    ("record", "repeats", "questions", "intervals", "scores", "quality", "benchmark"),
    ("surrogate",),
    ("loading", "nasbench101"),
    ("search", "analysis", "energy", "training", "campaign"),
    ("figures", "report", "adapters", "comparison"),
    ("console", "commands", "cli", "__main__"),
)
FOLDERS = {
    "naslib_ecnas": ROOT / "naslib_ecnas",
    "data": ROOT / "data",
    "adapters": ROOT / "adapters",
}


def _loaded(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    return set(out.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import naslib_ecnas",
        "import naslib_ecnas; naslib_ecnas.Cell; naslib_ecnas.Space(7)",
        "import naslib_ecnas; naslib_ecnas.load; naslib_ecnas.Benchmark",
        "import naslib_ecnas.nasbench101",
        "import naslib_ecnas.cli",
        "import naslib_ecnas.adapters.naslib_space",
        "import naslib_ecnas.training",
        "import naslib_ecnas.energy",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    loaded = _loaded(statement)
    assert "naslib_ecnas" in loaded
    assert not loaded & set(HEAVY)


def test_this_test_would_notice() -> None:
    assert "pyarrow" in _loaded("import naslib_ecnas, pyarrow") & set(HEAVY)


def test_the_package_imports_fast() -> None:
    """Under 0.3 s from a fresh interpreter, the best of five (other work may run beside)."""
    best = 9.0
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import naslib_ecnas"], check=True, cwd="/")
        best = min(best, time.perf_counter() - start)
    assert best < 0.3


def _module(path: Path, folder: str) -> str:
    parts = path.relative_to(FOLDERS[folder]).with_suffix("").parts
    return parts[0] if folder == "naslib_ecnas" else folder


def _level(name: str) -> int:
    for level, names in enumerate(LEVELS):
        if name in names:
            return level
    raise AssertionError(f"{name} has no level: add it to LEVELS")


def _imported(tree: ast.AST) -> set[str]:
    """First names below the package that a module imports anywhere."""
    found = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "naslib_ecnas":
                names = [f"naslib_ecnas.{alias.name}" for alias in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("naslib_ecnas.")}
    return found


def _sources() -> list[tuple[str, Path]]:
    return [(folder, p) for folder, root in FOLDERS.items() for p in sorted(root.rglob("*.py"))]


@pytest.mark.parametrize(("folder", "path"), _sources(), ids=lambda v: str(v)[-40:])
def test_imports_go_down_only(folder: str, path: Path) -> None:
    name = _module(path, folder)
    if path.name == "__init__.py" and path.parent == FOLDERS["naslib_ecnas"]:
        return  # the package's own lazy names
    level = _level(name)
    source = path.read_text(encoding="utf-8")
    typing_only = {
        n
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for n in _imported(node)
    }
    for other in _imported(ast.parse(source)) - typing_only:
        assert _level(other) <= level, f"{path} imports {other} from above"


@pytest.mark.parametrize(("folder", "path"), _sources(), ids=lambda v: str(v)[-40:])
def test_heavy_packages_have_one_home_each(folder: str, path: Path) -> None:
    """Only the feature that needs a heavy package imports it, never at a shared module's top."""
    allowed = {
        "adapters": {"torch", "naslib", "optuna", "pymoo", "botorch", "gpytorch"},
        "figures": {"matplotlib"},
        "training": {"torch"},
    }
    name = _module(path, folder)
    top = ast.parse(path.read_text(encoding="utf-8")).body
    imported = {
        alias.name.split(".")[0]
        for node in top
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        node.module.split(".")[0]
        for node in top
        if isinstance(node, ast.ImportFrom) and node.module
    }
    heavy = imported & {h.split(".")[0] for h in HEAVY} - {"moocore", "rich", "google"}
    assert heavy <= allowed.get(name, set())


def test_the_distribution_lists_every_folder() -> None:
    import configparser

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    there = {"naslib_ecnas"}
    for folder, root in FOLDERS.items():
        base = "naslib_ecnas" if folder == "naslib_ecnas" else f"naslib_ecnas.{folder}"
        for init in root.rglob("__init__.py"):
            there.add(".".join([base, *init.parent.relative_to(root).parts]))
    assert listed == there
    assert os.path.exists(ROOT / "naslib_ecnas" / "py.typed")
