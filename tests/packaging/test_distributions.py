"""What is in the source distribution and in the wheel."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

from naslib_ecnas._version import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
#: Where the package's folders lie in the repository.
SOURCES = {"": ROOT / "naslib_ecnas", "data": ROOT / "data", "adapters": ROOT / "adapters"}
NO_CODE = {".toml", ".safetensors", ".html", ".css", ".js", ".gz", ".csv", ".bin"}
LIMIT = 5_000_000


def names_in_wheel(wheel: Path) -> set[str]:
    with ZipFile(wheel) as files:
        return set(files.namelist())


def names_in_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as files:
        names = [member.name for member in files.getmembers() if member.isfile()]
    return {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in names}


def of_the_package() -> dict[str, Path]:
    """Every file of the package: name in the wheel -> place in the repository."""
    return {
        "/".join(filter(None, ("naslib_ecnas", name, path.relative_to(folder).as_posix()))): path
        for name, folder in SOURCES.items()
        for path in folder.rglob("*")
        if path.suffix in {".py", ".LICENSE", *NO_CODE} or path.name == "py.typed"
    }


def test_wheel_has_the_package_and_nothing_else(distributions) -> None:  # type: ignore[no-untyped-def]
    assert max(p.stat().st_size for p in (distributions.wheel, distributions.sdist)) < LIMIT
    names = names_in_wheel(distributions.wheel)
    package = {name for name in names if ".dist-info/" not in name}
    assert package == set(of_the_package())
    assert {Path(name).suffix for name in package} >= NO_CODE
    assert "naslib_ecnas/py.typed" in package
    info = {name.partition(".dist-info/")[2] for name in names - package}
    metadata = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"}
    assert info == {*metadata, "licenses/LICENSE", "licenses/NOTICE"}


@pytest.mark.parametrize("arguments", [(), (ROOT,), (ROOT / "new", ROOT, "more")])
def test_a_release_goes_into_a_new_folder(arguments: tuple[object, ...]) -> None:
    command = map(str, (sys.executable, ROOT / ".ci" / "release.py", *arguments))
    done = subprocess.run(list(command), capture_output=True, text=True, check=False)
    assert (done.returncode, "a new or empty folder" in done.stderr) == (1, True)


def test_bytes_are_those_of_the_repository(distributions) -> None:  # type: ignore[no-untyped-def]
    """Weights, tables of addresses and the page above all."""
    with ZipFile(distributions.wheel) as files:
        for name, path in of_the_package().items():
            assert files.read(name) == path.read_bytes(), name


def test_sdist_has_what_the_wheel_is_built_of(distributions) -> None:  # type: ignore[no-untyped-def]
    names = names_in_sdist(distributions.sdist)
    package = {path.relative_to(ROOT).as_posix() for path in of_the_package().values()}
    assert package <= names
    rest = {name for name in names - package if ".egg-info/" not in name}
    assert rest == {
        *("CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "NOTICE", "PKG-INFO"),
        *("README.md", "pyproject.toml", "setup.cfg"),
    }


def test_two_builds_have_the_same_bytes(distributions, rebuilt) -> None:  # type: ignore[no-untyped-def]
    for name in ("sdist", "wheel"):
        assert getattr(rebuilt, name).read_bytes() == getattr(distributions, name).read_bytes(), (
            name
        )


def test_the_notice_names_what_ships() -> None:
    text = (ROOT / "NOTICE").read_text(encoding="utf-8")
    shipped = {path.stem for path in (ROOT / "data").glob("surrogate_*.safetensors")}
    prefix = "surrogate_"
    assert {
        name
        for name in shipped
        if not re.search(rf"\b({name}|_{name.removeprefix(prefix)})\b", text)
    } == set()


def _sorted_extras(requirement: str) -> str:
    """A requirement with its extras in order; versions of setuptools differ in theirs."""
    name, bracket, rest = requirement.partition("[")
    extras, end, rest = rest.partition("]")
    return name + bracket + ",".join(sorted(extras.split(","))) + end + rest


def test_requirements(distributions) -> None:  # type: ignore[no-untyped-def]
    """Those of setup.cfg, extras and all."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    about = distributions.metadata
    extras = config["options.extras_require"]
    assert set(about.get_all("Provides-Extra")) == set(extras)
    asked = about.get_all("Requires-Dist")
    for extra, text in extras.items():
        wanted = {line.partition(";")[0] for line in text.splitlines() if line and line[0] != "#"}
        found = {a.partition(";")[0].strip() for a in asked if f'extra == "{extra}"' in a}
        assert set(map(_sorted_extras, found)) == set(map(_sorted_extras, wanted))
    core = config["options"]["install_requires"].splitlines()
    core = [line for line in core if line and line[0] != "#"]
    assert sum("extra ==" not in a for a in asked) == len(core)


def test_metadata(distributions) -> None:  # type: ignore[no-untyped-def]
    about = distributions.metadata
    assert (about["Name"], about["Version"]) == ("naslib-ecnas", __version__)
    assert about["Requires-Python"] == ">=3.10"
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    pythons = {
        line.rpartition(" ")[2]
        for line in about.get_all("Classifier", [])
        if line.startswith("Programming Language :: Python :: 3.")
    }
    assert pythons == {"3.10", "3.11", "3.12", "3.13"}
    with ZipFile(distributions.wheel) as files:
        scripts = configparser.ConfigParser()
        name = next(n for n in files.namelist() if n.endswith("entry_points.txt"))
        scripts.read_string(files.read(name).decode())
        wheel = next(n for n in files.namelist() if n.endswith("/WHEEL"))
        assert "Tag: py3-none-any\n" in files.read(wheel).decode()
    assert dict(scripts["console_scripts"]) == {"ecnas": "naslib_ecnas.cli:main"}
