"""The documentation is whole: links lead somewhere, pages are listed, commands are described."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from naslib_ecnas import cli
from naslib_ecnas.search import METHODS
from naslib_ecnas.search.methods import ADAPTED
from naslib_ecnas.training.recipe import BUDGETS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(DOCS.glob("*.md")),
]

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"\becnas ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def links(text: str) -> list[str]:
    """Targets of a page's links that are files."""
    found = _LINK.findall(_FENCED.sub("", text))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def test_links_lead_to_files() -> None:
    for page in PAGES:
        for target in links(_read(page)):
            assert (page.parent / target.partition("#")[0]).exists(), (page, target)


def test_a_broken_link_would_be_noticed() -> None:
    text = "[a](b.md) [c](https://d.e/f)\n```\n[g](h.md)\n```\n![i](j.png)"
    assert links(text) == ["b.md", "j.png"]


def test_every_page_is_in_the_index() -> None:
    listed = links(_read(DOCS / "README.md"))
    there = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert there == {name for name in listed if "/" not in name}
    assert len(listed) == len(set(listed))


def test_every_example_is_named_on_a_page() -> None:
    text = "".join(_read(page) for page in PAGES)
    for example in DOCS.glob("examples/**/*.*"):
        assert example.relative_to(DOCS).as_posix() in text, example


def test_every_command_has_its_line() -> None:
    described = {name for name, _ in _COMMAND.findall(_read(DOCS / "commands.md"))}
    assert set(cli.COMMANDS) == described


def test_only_commands_that_exist_are_named() -> None:
    for page in PAGES:
        for name, _ in _COMMAND.findall(_read(page)):
            assert name in cli.COMMANDS, (page, name)


def test_every_method_is_described() -> None:
    for name in METHODS:
        assert f"| `{name}` |" in _read(DOCS / "search.md")
    for name in ADAPTED:
        assert f"`{name}`" in _read(DOCS / "adapters.md")


def test_steps_of_the_recipe_are_those_of_the_code() -> None:
    from naslib_ecnas.training.recipe import RECIPES

    shown = [f"{RECIPES['ecnas'].steps(epochs):,}" for epochs in BUDGETS]
    text = " ".join(_read(DOCS / "training.md").split())
    assert "{}, {}, {} and {} steps".format(*shown) in text


def test_the_lines_that_contributors_change_are_there() -> None:
    """Every name in the table of what to add is a name of the file beside it."""
    for name, path in (
        ("_ALL", "naslib_ecnas/metrics.py"),
        ("DERIVED", "naslib_ecnas/network.py"),
        ("FORMATS", "data/convert.py"),
        ("_WRITERS", "data/convert.py"),
        ("METHODS", "naslib_ecnas/search/methods.py"),
        ("ADAPTED", "naslib_ecnas/search/methods.py"),
        ("COMMANDS", "naslib_ecnas/cli.py"),
        ("LEVELS", "tests/test_imports.py"),
    ):
        assert re.search(rf"^{name}\b.* = ", _read(ROOT / path), re.MULTILINE), (name, path)
        assert f"`{name}`" in _read(ROOT / "CONTRIBUTING.md")


def test_the_walk_shows_the_example() -> None:
    """The class on the page is that of the file, so that the file runs as the page does."""
    example = _read(DOCS / "examples" / "own_optimiser.py")
    start, stop = example.index("class Climber"), example.index("\n\nif __name__")
    assert example[start:stop].strip() in _read(DOCS / "walk-compare.md")


def test_the_example_runs(tmp_path: Path, modelled: None) -> None:
    script = shutil.copy(DOCS / "examples" / "own_optimiser.py", tmp_path)
    done = subprocess.run(
        [sys.executable, script, "--seeds", "2", "--evaluations", "50", "--no-plot"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "comparison" / "results.csv").is_file()


def test_doctests_have_the_heading_that_the_reference_shows_as_code() -> None:
    for folder in ("naslib_ecnas", "data", "adapters"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(r"^ *Example:$", _read(path), re.MULTILINE), path


def test_pictures_are_small() -> None:
    for picture in DOCS.glob("*.png"):
        assert picture.stat().st_size < 150_000


def test_the_citation_is_one() -> None:
    yaml = pytest.importorskip("yaml")
    cited = yaml.safe_load(_read(ROOT / "CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["license"] == "Apache-2.0"
    paper = cited["preferred-citation"]
    names = [author["family-names"] for author in paper["authors"]]
    assert (names, paper["year"]) == (["Bakhtiarifard", "Igel", "Selvan"], 2024)
