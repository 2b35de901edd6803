"""The distributions, built once in a copy of the tree, and environments with only the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Distributions:
    """What was built."""

    wheel: Path
    sdist: Path

    @property
    def metadata(self) -> Message:
        """METADATA of the wheel."""
        with ZipFile(self.wheel) as files:
            name = next(n for n in files.namelist() if n.endswith(".dist-info/METADATA"))
            return Parser().parsestr(files.read(name).decode())


def _run(*command: object, **options: Any) -> str:
    """Run a program; its output where it succeeds, and a failed test with it where not."""
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Runs a program; its output where it succeeds."""
    return _run


@pytest.fixture(scope="session")
def environment() -> Callable[..., Path]:
    """Makes an environment with some things in it; its folder of programs."""
    return _environment


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips what installs packages where no index can be reached."""
    place = tmp_path_factory.mktemp("index")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", place, "setuptools"]
    if subprocess.run(pip, capture_output=True, check=False, timeout=120).returncode:
        pytest.skip("no package index can be reached")


@pytest.fixture(scope="session")
def distributions(
    tmp_path_factory: pytest.TempPathFactory, index: None, request: pytest.FixtureRequest
) -> Distributions:
    """Source distribution, and the wheel that is built from it."""
    for package in ("build", "twine"):
        pytest.importorskip(package, reason=f"install {package} to build the distributions")
    tree = tmp_path_factory.mktemp("tree") / "source"
    # Leftovers of an earlier build would get into this one.
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
    shutil.copytree(ROOT, tree, ignore=unwanted)
    return build(tree, tmp_path_factory.mktemp("dist"))


def build(tree: Path, out: Path) -> Distributions:
    """Build both as a release is built, which checks them by twine."""
    time = {"SOURCE_DATE_EPOCH": "1700000000"}
    _run(sys.executable, ROOT / ".ci" / "release.py", out, tree, env=os.environ | time, cwd=out)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Distributions(wheel, sdist)


@pytest.fixture
def rebuilt(distributions: Distributions, tmp_path: Path) -> Distributions:
    """Both again, from the files of the source distribution with other times and permissions."""
    with tarfile.open(distributions.sdist) as files:
        for member in files.getmembers():
            member.mtime, member.mode = 1_600_000_000, member.mode & 0o700
            files.extract(member, tmp_path)
    (tree,) = tmp_path.iterdir()
    (tmp_path / "out").mkdir()
    return build(tree, tmp_path / "out")


@cache
def interpreter(version: str) -> Path | None:
    """A Python of this version on this machine: the running one, of the path, or of pyenv."""
    if sys.version.startswith(f"{version}."):
        return Path(sys.executable)
    found = [shutil.which(f"python{version}")]
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found += sorted(root.glob(f"versions/{version}.*/bin/python{version}"))
    code = "import venv, ensurepip, sys; print(sys.version)"
    for candidate in filter(None, found):
        # pyenv puts names on the path that do nothing unless a version is chosen.
        said = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        if re.match(rf"{re.escape(version)}\.", said.stdout):
            return Path(candidate)
    return None


def _environment(folder: Path, python: Path, *what: object) -> Path:
    # The running pip installs into it: a pip of its own and compiled files take half the time.
    _run(python, "-m", "venv", "--without-pip", folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install"]
    _run(*pip, "-q", "--no-compile", "--disable-pip-version-check", *what)
    return programs


@pytest.fixture(scope="session")
def installed(
    distributions: Distributions, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Makes an environment with the wheel and what it depends on, once for each Python."""
    made: dict[str, Path] = {}

    def programs(version: str) -> Path:
        python = interpreter(version)
        if python is None:
            pytest.skip(f"no Python {version} on this machine")
        if version not in made:
            folder = tmp_path_factory.mktemp(f"python{version}") / "env"
            made[version] = _environment(folder, python, distributions.wheel)
        return made[version]

    return programs
