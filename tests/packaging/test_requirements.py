"""What the package asks for, as `setup.cfg` has it."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {"naslib", "fit", "search", "plots", "measure", "slurm", "test", "test-all", "dev"}
CORE = {"numpy", "moocore", "platformdirs", "rich", "filelock", "google-crc32c", "tomli"}
CORE |= {"msgspec", "argcomplete", "scipy", "threadpoolctl"}


def listed(text: str) -> dict[str, str]:
    """Name of a package -> what is asked of it."""
    lines = [line.strip() for line in text.splitlines()]
    asked = [line for line in lines if line and not line.startswith(("#", "naslib-ecnas["))]
    found = [re.match(r"([\w-]+)(.*)", line) for line in asked]
    return {match[1]: match[2] for match in found if match is not None}


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg")
    return found


@pytest.fixture(scope="module")
def extras(config: configparser.ConfigParser) -> dict[str, dict[str, str]]:
    return {name: listed(text) for name, text in config["options.extras_require"].items()}


def test_extras(config: configparser.ConfigParser, extras: dict[str, dict[str, str]]) -> None:
    assert set(extras) >= EXTRAS
    assert set(listed(config["options"]["install_requires"])) == CORE


def test_lower_bounds_and_one_upper_one(
    config: configparser.ConfigParser, extras: dict[str, dict[str, str]]
) -> None:
    for group in (listed(config["options"]["install_requires"]), *extras.values()):
        for name, asked in group.items():
            marker = r'(; python_version (<|>=) "3\.11")?'
            # Of `hosts`: newer ones cannot be imported with the numpy that it needs.
            most = "(<26,)?" if name == "pyarrow" else ""
            assert re.fullmatch(rf"{most}>=[\d.]+{marker}", asked), name + asked


def test_a_package_has_one_bound(extras: dict[str, dict[str, str]]) -> None:
    """Extras that share a package ask for the same of it; `hosts`, which has an environment of its
    own, may ask for newer ones."""
    bounds: dict[str, set[str]] = {}
    for extra, group in extras.items():
        for name, asked in group.items() if extra != "hosts" else ():
            bounds.setdefault(name, set()).add(asked)
    assert {name: asked for name, asked in bounds.items() if len(asked) > 1} == {}


def test_the_tests_pull_no_gigabytes(extras: dict[str, dict[str, str]]) -> None:
    """What brings CUDA or hundreds of megabytes is in `test-all`."""
    large = [
        "torch",
        "lightgbm",
        "tensorboard",
        "mlcroissant",
        "nasbench-pytorch",
    ]
    assert not set(large) & set(extras["test"])


def test_errors_name_extras_that_help(extras: dict[str, dict[str, str]]) -> None:
    """Where a package is missing, the extra of the message has it."""
    named_extras = []
    folders = ("naslib_ecnas", "data", "adapters")
    for path in (p for folder in folders for p in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            named = {k.arg: k.value for k in node.keywords}
            if node.func.id != "MissingDependencyError" or "extra" not in named:
                continue
            extra, package = named["extra"], node.args[0]
            if isinstance(extra, ast.Constant):
                assert extra.value in extras, f"{path}: no extra {extra.value}"
                if isinstance(package, ast.Constant):
                    assert package.value in extras[extra.value], f"{path}: {package.value}"
                named_extras.append(extra.value)
    assert {"plots", "search", "fit", "measure", "naslib", "tables"} <= set(named_extras)


def test_methods_of_other_libraries_have_an_extra(extras: dict[str, dict[str, str]]) -> None:
    from naslib_ecnas.search.methods import ADAPTED

    for _, _, package in ADAPTED.values():
        assert package in extras["botorch" if package == "botorch" else "search"]
