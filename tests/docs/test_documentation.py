"""Every code block and notebook of the documentation runs, and prints what it says that it prints.

Blocks marked `python` or `sh` are run, those of one page in their order: the Python ones in one
process and namespace, the others by bash, all in one new folder. A block `text` right after one is
what it prints; `...` matches anything. Two comments, on the line before a block, change that:

    <!-- needs: naslib, torch -->       skipped where one of these is missing (`NEEDS`, `MODULES`)
    <!-- not run: why -->               for what cannot be run at all
"""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_patches

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md")
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
PUBLISHED = Path(
    os.environ.get("ECNAS_REFERENCE_DATA") or ROOT.parent / "shared" / "ecnas-data"
).joinpath("official")

_FENCE = re.compile(r"^```(\w*)\s*$")
_COMMENT = re.compile(r"^<!--\s*(needs|not run):\s*(.+?)\s*-->$")
# The tests' environment has the package and all its extras; pytest is what is running here.
_INSTALL = re.compile(r"^pip install '[^']+' && (pytest$)?", re.MULTILINE)

# Runs blocks up to the first that fails. Answers with what each printed and its error.
_WORKER = """
import contextlib, io, json, os, subprocess, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a block's children print does not get between the answers
namespace, found = {"__name__": "__main__"}, []
for block in json.load(sys.stdin):
    printed, error = io.StringIO(), ""
    try:
        if block["language"] == "python":
            code = compile("\\n" * block["line"] + block["code"], block["page"], "exec")
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)
        else:
            command = ["bash", "-euo", "pipefail", "-c", block["code"]]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            printed.write(done.stdout)
            if done.returncode:
                error = f"exit code {done.returncode}\\n{done.stdout}\\n{done.stderr}"
    except BaseException:
        error = traceback.format_exc()
    found.append([printed.getvalue(), error])
    if error:
        break
json.dump(found, answers)
answers.flush()
"""


def _gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


#: Optional packages that a block may need.
MODULES = ("botorch", "carps", "matplotlib", "mfpbench", "neps", "optuna", "optunahub", "pandas")
MODULES += ("pymoo", "syne_tune", "torch")

#: What else it may need, and how to see whether it is there.
NEEDS: dict[str, Callable[[], bool]] = {
    "naslib": lambda: (
        naslib_patches.naslib_home() is not None
        and all(importlib.util.find_spec(name) for name in naslib_patches.REQUIRED)
    ),
    "published files": lambda: (PUBLISHED / "energy_5V9E_4epochs.tfrecord").is_file(),
    "chromium": lambda: shutil.which("chromium") is not None,
    "gpu": _gpu,
    "time": lambda: "ECNAS_TEST_LONG" in os.environ,  # minutes
    "network": lambda: "ECNAS_TEST_NETWORK" in os.environ,
}


@dataclass(frozen=True)
class Block:
    """A block of code."""

    page: str
    line: int
    """Of its fence, from 1."""
    language: str
    code: str
    needs: tuple[str, ...] = ()
    not_run: str = ""
    output: str | None = None
    """What it prints; None where the page does not say."""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def missing(self) -> str:
        """Why it is skipped here; empty where it is not."""
        if self.not_run:
            return self.not_run
        here = {name: NEEDS.get(name) for name in self.needs}
        return ", ".join(
            f"needs {name}"
            for name, there in here.items()
            if not (there() if there else importlib.util.find_spec(name))
        )


def blocks(text: str, page: str) -> list[Block]:
    """The blocks of a page that are code to be run."""
    found: list[Block] = []
    settings: dict[str, Any] = {}
    lines, at, follows = text.splitlines(), 0, False
    while at < len(lines):
        comment, fence = _COMMENT.match(lines[at]), _FENCE.match(lines[at])
        if fence:
            end = next(i for i in range(at + 1, len(lines)) if lines[i].startswith("```"))
            code = "\n".join(lines[at + 1 : end]) + "\n"
            if fence[1] in ("python", "sh"):
                found.append(Block(page, at + 1, fence[1], code, **settings))
            elif fence[1] == "text" and follows and found:
                found[-1] = Block(**{**vars(found[-1]), "output": code})
            follows = fence[1] in ("python", "sh")
            at, settings = end, {}
        elif comment and comment[1] == "needs":
            settings["needs"] = tuple(name.strip() for name in comment[2].split(","))
        elif comment:
            settings["not_run"] = comment[2]
        elif lines[at].strip():
            settings, follows = {}, False
        at += 1
    return found


def cells(path: Path) -> list[Block]:
    """The code cells of a notebook; its output is not compared where a tag says that it varies."""
    found = []
    for at, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            printed = "".join(text for out in cell["outputs"] for text in out.get("text", ()))
            same = printed and "varies" not in cell["metadata"].get("tags", ())
            page, code = str(path.relative_to(ROOT)), "".join(cell["source"])
            found.append(
                Block(page, at, "python", code, ("matplotlib",), "", printed if same else None)
            )
    return found


def fault_of(run: list[Block], folder: Path, environment: dict[str, str]) -> str:
    """What went wrong first in the blocks of a page; empty where nothing did."""
    blocks = [{**vars(block), "code": _INSTALL.sub("", block.code)} for block in run]
    done = subprocess.run(
        [sys.executable, "-c", _WORKER],
        input=json.dumps(blocks),
        stdout=subprocess.PIPE,
        cwd=folder,
        env=environment,
        text=True,
        timeout=600,
    )
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for block, (printed, error) in zip(run, json.loads(done.stdout), strict=False):
        if error:
            return f"{block.place}\n{error}"
        if block.output is not None and not checker.check_output(block.output, printed, flags):
            return f"{block.place}\nthe page says:\n{block.output}\nbut it prints:\n{printed}"
    return ""


BLOCKS = [
    block
    for path in PAGES
    for block in blocks(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
] + [block for path in NOTEBOOKS for block in cells(path)]


@pytest.fixture
def environment(modelled_cache: Path) -> dict[str, str]:
    """The environment of all blocks; modelled tables are there, predicted once for all pages."""
    here = {k: v for k, v in os.environ.items() if not k.startswith(("ECNAS_", "MPL"))}
    here["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), here.get("PATH", "")])
    here |= {"ECNAS_CACHE": str(modelled_cache), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    if NEEDS["published files"]():
        here["ECNAS_MIRROR"] = str(PUBLISHED)
    return here


@pytest.mark.parametrize("name", sorted({block.page for block in BLOCKS}))
def test_the_page_runs(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    # Pages name the examples by where they lie, seen from the top of a clone or from the page.
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    if name.startswith("docs"):
        (tmp_path / "examples").symlink_to("docs/examples")
    run = [block for block in BLOCKS if block.page == name and not block.missing]
    environment["SYNETUNE_FOLDER"] = str(tmp_path / "syne-tune")  # its own default is in the home
    assert fault_of(run, tmp_path, environment) == ""


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.missing], ids=lambda b: b.place)
def test_blocks_that_are_not_run(block: Block) -> None:
    assert set(block.needs) <= {*NEEDS, *MODULES}
    pytest.skip(block.missing)


_PAGE = """
```python
a = 1
print("one", a)
```
```text
one ...
```

<!-- needs: no_such_module_at_all -->
```python
a = 2
```
<!-- not run: no reason -->
```sh
pip install 'x' && echo two > file
```
```python
print(a)
```
```text
three
```
"""


def test_this_test_would_notice(tmp_path: Path, environment: dict[str, str]) -> None:
    first, needs, not_run, last = blocks(_PAGE, "page")
    assert [bool(b.missing) for b in (first, needs, not_run, last)] == [False, True, True, False]
    fault = fault_of([first, not_run, last], tmp_path, environment)
    assert fault == "page:18\nthe page says:\nthree\n\nbut it prints:\n1\n"
    for code, error in (("python\n1 / 0", "ZeroDivisionError"), ("sh\nexit 3", "exit code 3")):
        assert error in fault_of(blocks(f"```{code}\n```\n", "page"), tmp_path, environment)
