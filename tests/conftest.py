"""Fixtures that several tests share."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

import naslib_ecnas as ecnas
from naslib_ecnas import loading
from naslib_ecnas.data.table import Table

ROOT = Path(__file__).resolve().parent.parent
# Child processes import the installed package, not the checkout they may be started in. Python
# 3.10 does not know this setting; there the two have the same content after an installation.
os.environ["PYTHONSAFEPATH"] = "1"

# No deadline: how long an example takes depends on the machine.
settings.register_profile("ecnas", deadline=None, max_examples=50)
settings.load_profile("ecnas")


# Minutes of installing, or a quiet machine: run where they are asked for.
collect_ignore = [] if "ECNAS_TEST_LONG" in os.environ else ["benchmarks", "packaging"]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Worker processes for `-n auto`: none where single files are named, else one for each core
    and one more, since some tests wait for processes that they started."""
    named = [Path(argument.partition("::")[0]) for argument in config.args]
    if all(path.suffix == ".py" for path in named):
        return 0
    cores = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    return len(cores) + 1


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of published measurements, which is not part of the project."""
    folder = Path(os.environ.get("ECNAS_REFERENCE_DATA") or ROOT.parent / "shared" / "ecnas-data")
    if not (folder / "official").is_dir():
        pytest.skip(f"no reference data at {folder}: set ECNAS_REFERENCE_DATA to their folder")
    return folder


class Shared:
    """Costly folders, each made once for all worker processes of a test run."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of this name, filled by `make(folder)` in the worker that comes first."""
        folder, done = self._base / name, self._base / f"{name}.done"
        with FileLock(self._base / f"{name}.lock"):
            if not done.exists():
                folder.mkdir()
                make(folder)
                done.touch()
        return folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    (base / "shared").mkdir(exist_ok=True)
    return Shared(base / "shared")


@pytest.fixture(scope="session")
def modelled_cache(shared: Shared) -> Path:
    """A cache folder that holds the modelled tables 4v, 5v and 7v. Tests do not write there."""

    def predict(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ECNAS_CACHE", str(folder))
            for name in ("4v", "5v", "7v"):
                loading.table_file(name)

    return shared.folder("cache", predict)


@pytest.fixture
def modelled(modelled_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load("7v")` in this test and its child processes predicts nothing anew."""
    monkeypatch.setenv("ECNAS_CACHE", str(modelled_cache))


@pytest.fixture(scope="session")
def table_file() -> Callable[..., Path]:
    """Writes a synthetic table, of the first cells by default, and returns its path.

    Values are arrays of shape (cells, budgets, repeats).
    """
    from naslib_ecnas.data.table import Columns, write_table

    def write(
        path: Path,
        values: Mapping[str, Any],
        *,
        name: str = "synthetic",
        vertices: int = 4,
        rows: Sequence[int] | None = None,
        budgets: tuple[int, ...] = (4, 12),
        origin: ecnas.Provenance | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Path:
        cells, _, repeats = next(iter(values.values())).shape
        held = np.array(range(cells) if rows is None else rows, dtype=np.int32)
        origins = dict.fromkeys(values, origin or ecnas.Provenance("synthetic"))
        columns = Columns(name, vertices, held, budgets, repeats, values, origins, attributes or {})
        write_table(path, columns)
        return path

    return write


@pytest.fixture(scope="session")
def bench_of(
    table_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., ecnas.Benchmark]:
    """Opens a synthetic table; the arguments are those of `table_file` but the path."""

    def make(values: Mapping[str, Any], **about: Any) -> ecnas.Benchmark:
        path = table_file(tmp_path_factory.mktemp("synthetic") / "table.ecnas", values, **about)
        return ecnas.Benchmark(Table.open(path))

    return make


class Terminal:
    """Runs programs on a terminal of their own."""

    def shown(
        self, command: Sequence[str], *, columns: int = 80, stdout: IO[bytes] | None = None
    ) -> str:
        """What a program that ends well shows there, its stdout unless that goes to a file."""
        environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
        environment.pop("NO_COLOR", None)
        controller, end = os.openpty()
        out = end if stdout is None else stdout
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=end, env=environment
        )
        os.close(end)
        text = b""
        try:
            while block := os.read(controller, 1 << 16):
                text += block
        except OSError:
            pass  # how a closed terminal ends on Linux
        os.close(controller)
        assert process.wait(timeout=60) == 0
        return text.decode()

    @staticmethod
    def plain(text: str) -> str:
        """It without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def terminal_text() -> str:
    """A name that would colour, retitle and clear a terminal, and turn its text around."""
    return "n\x1b[31m\x1b]0;t\x07\u202e\x9b2J\udcff\r\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test out of the user's cache and away from the network."""
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("ECNAS_MIRROR", raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes long or wants a quiet machine, unless it is asked for, and say so."""
    if "ECNAS_TEST_LONG" in os.environ:
        return
    skipped = pytest.mark.skip(reason="slow: ECNAS_TEST_LONG=1 runs it")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skipped)
