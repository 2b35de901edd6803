"""Units of work by one process, by several and by jobs."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.comparison.execute import execute
from naslib_ecnas.errors import EcnasError, MissingDependencyError


def _works() -> tuple[Callable[[Path], None], Callable[[Path], None]]:
    """Functions that go to other processes whole: those cannot import this file."""

    def leave(path: Path) -> None:
        path.write_text(str(os.getpid()))

    def fail(path: Path) -> None:
        if path.name == "3":
            raise ValueError("three is one too many")
        leave(path)

    return leave, fail


leave_a_file, fail_on_three = _works()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_unit_is_done_and_errors_leave_the_others(tmp_path: Path, jobs: int) -> None:
    units = [tmp_path / f"unit{i}" for i in range(6)]
    assert sorted(execute(leave_a_file, units, jobs=jobs)) == units
    here = {unit.read_text() for unit in units} == {str(os.getpid())}
    assert here == (jobs == 1)
    with pytest.raises(ValueError, match="one too many"):
        list(execute(fail_on_three, [tmp_path / str(i) for i in range(5)], jobs=jobs))
    assert (tmp_path / "0").exists()


def test_jobs_of_a_cluster_on_this_machine(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    units = [tmp_path / f"unit{i}" for i in range(5)]
    options: dict[str, Any] = {"cluster": "local", "folder": tmp_path / "jobs"}
    assert sorted(execute(leave_a_file, units, jobs=2, **options)) == units
    # Two jobs, each with its share, and neither of them this process.
    assert len({unit.read_text() for unit in units} | {str(os.getpid())}) == 3
    with pytest.raises(EcnasError, match="one too many") as caught:
        list(execute(fail_on_three, [tmp_path / "2", tmp_path / "3"], **options))
    assert str(tmp_path / "jobs") in str(caught.value)
    assert (tmp_path / "2").exists()


def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(execute(leave_a_file, [], cluster="local", folder=tmp_path / "jobs"))
    assert not (tmp_path / "jobs").exists()
    units = [tmp_path / "0", tmp_path / "1"]
    settings: dict[str, dict[str, Any]] = {"joblib": {"jobs": 2}, "submitit": {"cluster": "local"}}
    for name, options in settings.items():
        for module in (name, f"{name}.externals"):
            monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingDependencyError, match=name):
            list(execute(leave_a_file, units, folder=tmp_path, **options))


# Two workers of a comparison say who they are and then wait for ever.
WAITING = """
import os, sys, time
from pathlib import Path
from naslib_ecnas.comparison.execute import execute

def wait(path):
    path.write_text(str(os.getpid()))
    time.sleep(1000)

folder = Path(sys.argv[1])
options = {"cluster": "local", "folder": folder / "jobs"} if sys.argv[2] == "cluster" else {}
list(execute(wait, [folder / "a", folder / "b"], jobs=2, **options))
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT", "cluster"])
def test_workers_end_with_their_parent(tmp_path: Path, how: str) -> None:
    if how == "cluster":
        pytest.importorskip("submitit", reason="submitit is not installed")
    command = [sys.executable, "-c", WAITING, str(tmp_path), how]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as parent:
        pids = []
        for path in (tmp_path / "a", tmp_path / "b"):
            while not path.exists() or not path.read_text():
                time.sleep(0.01)
            pids.append(os.pidfd_open(int(path.read_text())))
        parent.send_signal(getattr(signal, how, signal.SIGKILL))
        for pid in pids:
            assert select.select([pid], [], [], 60)[0]  # it has ended
            os.close(pid)
