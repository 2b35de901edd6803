"""Every code block of the documentation runs, and prints what the page says that it prints.

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
PUBLISHED = Path(
    os.environ.get("ECNAS_REFERENCE_DATA") or ROOT.parent / "shared" / "ecnas-data"
).joinpath("official")

_FENCE = re.compile(r"^```(\w*)\s*$")
_COMMENT = re.compile(r"^<!--\s*(needs|not run):\s*(.+?)\s*-->$")
# The tests' environment has the package and all its extras; pytest is what is running here.
_INSTALL = re.compile(r"^pip install '[^']+' && (pytest$)?", re.MULTILINE)

# Runs blocks in one namespace: a line of JSON in, a line of JSON out.
_WORKER = """
import contextlib, io, json, os, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a block's children print does not get between the answers
namespace = {"__name__": "__main__"}
for line in sys.stdin:
    block, printed, error = json.loads(line), io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile("\\n" * block["line"] + block["code"], block["page"], "exec"), namespace)
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps({"printed": printed.getvalue(), "error": error}), file=answers, flush=True)
"""


def _gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


#: Optional packages that a block may need.
MODULES = ("matplotlib", "optuna", "pymoo", "torch")

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


class Page:
    """Runs the blocks of one page."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._worker: subprocess.Popen[str] | None = None

    def run(self, block: Block) -> str:
        """What went wrong in a block; empty where nothing did."""
        run = self._python if block.language == "python" else self._shell
        printed, error = run(block)
        if error or block.output is None:
            return error
        checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        if checker.check_output(block.output, printed, flags):
            return ""
        return f"the page says:\n{block.output}\nbut it prints:\n{printed}"

    def _python(self, block: Block) -> tuple[str, str]:
        if self._worker is None:
            self._worker = subprocess.Popen(
                [sys.executable, "-c", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=self._folder,
                env=self._environment,
                text=True,
            )
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(vars(block)) + "\n")
        self._worker.stdin.flush()
        answer = json.loads(self._worker.stdout.readline())
        return answer["printed"], answer["error"]

    def _shell(self, block: Block) -> tuple[str, str]:
        code = _INSTALL.sub("", block.code)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        error = f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout, error if done.returncode else ""

    def close(self) -> None:
        """End the page's process."""
        if self._worker is not None:
            self._worker.communicate()


def _found() -> list[Block]:
    return [
        block
        for path in PAGES
        for block in blocks(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ]


BLOCKS = _found()


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
    # Pages name the examples by where they lie, seen from the page.
    beside = Path("examples" if name.startswith("docs") else "docs/examples")
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / beside)
    page = Page(tmp_path, environment)
    try:
        for block in (b for b in BLOCKS if b.page == name and not b.missing):
            error = page.run(block)
            assert not error, f"{name}:{block.line}\n{error}"
    finally:
        page.close()


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
false
```

```yaml
no: code
```

```sh
pip install 'x' && echo two > file
```

```python
print(open("file").read(), a)
```

```text
three
```
"""


def test_this_test_would_notice(tmp_path: Path, environment: dict[str, str]) -> None:
    found = blocks(_PAGE, "page")
    assert [b.language for b in found] == ["python", "python", "sh", "sh", "python"]
    assert [bool(b.missing) for b in found] == [False, True, True, False, False]
    page = Page(tmp_path, environment)
    assert page.run(found[0]) == page.run(found[3]) == ""
    assert "the page says:\nthree\n\nbut it prints:\ntwo\n 1\n" in page.run(found[4])
    broken = blocks("```python\n1 / 0\n```\n```sh\nexit 3\n```\n", "page")
    assert "ZeroDivisionError" in page.run(broken[0])
    assert "exit code 3" in page.run(broken[1])
    page.close()
