"""Grids, runs as files, methods by name, and comparisons that can be stopped anywhere."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.comparison.experiment import (
    RULES,
    Grid,
    compare,
    execute,
    prepare,
    rules_of,
)
from naslib_ecnas.comparison.runs import Run, Unit
from naslib_ecnas.errors import ConfigError, EcnasError, FormatError, MissingDependencyError
from naslib_ecnas.loading import load
from naslib_ecnas.progress import listening
from naslib_ecnas.search import run


def small_grid(**changes: Any) -> Grid:
    return dataclasses.replace(Grid(("semoa", "random"), ("4v", "5v"), (0, 1), 60), **changes)


def files(out: Path) -> dict[str, bytes]:
    """All files of a comparison but the lock."""
    every = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(out)): path.read_bytes() for path in every}


def test_a_grid_has_every_combination_once() -> None:
    units = small_grid(seeds=(0, 1, 2)).units()
    assert len({unit.file for unit in units}) == len(set(units)) == len(units) == 12
    assert [*map(str, units[1:3])] == ["random on 4v, seed 0", "semoa on 4v, seed 1"]
    # Names of every kind are those of files (see also tests/hardening/test_paths.py).
    assert Unit("5v", "naslib:re/both", 3).file == Path("runs/5v/naslib-re-both/seed-3.json")
    with pytest.raises(ConfigError, match="differ in letters or digits"):
        small_grid(tables=("x:y", "x/y"))  # the same folder


def test_rules_are_what_makes_runs_comparable() -> None:
    first = small_grid(setting={"pue": 1.2, "device": None})
    same = small_grid(methods=("re",), seeds=(9,), setting={"pue": 1.2})
    assert first.rules() == same.rules() != small_grid().rules()
    assert first.rules() != small_grid(evaluations=11, setting={"pue": 1.2}).rules()


def test_a_folder_keeps_its_first_baseline(tmp_path: Path) -> None:
    prepare(tmp_path, small_grid(baseline="random").rules())
    for other in (None, "semoa", "random"):
        prepare(tmp_path, small_grid(baseline=other).rules())
    assert rules_of(tmp_path)["baseline"] == "random"
    assert rules_of(tmp_path / "none") == {}


# -- runs as files ----


def run_of(rows: list[int], epochs: list[int]) -> Run:
    objectives = ("energy_kwh", "validation_accuracy")
    return Run("5v", "c" * 64, "semoa", 3, objectives, 108, np.int32(rows), np.int64(epochs))


@given(st.lists(st.tuples(st.integers(0, 423_623), st.sampled_from([4, 12, 36, 108])), min_size=1))
def test_a_run_file_round_trip(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "run.json"
    before = run_of([row for row, _ in pairs], [epochs for _, epochs in pairs])
    before.write(path)
    after, content = Run.read(path), path.read_bytes()
    for field in dataclasses.fields(Run):
        assert np.array_equal(getattr(before, field.name), getattr(after, field.name)), field.name
    after.write(path)
    assert path.read_bytes() == content


def test_a_damaged_run_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run_of([1, 2], [4, 108]).write(path)
    whole = path.read_bytes().rstrip()
    changes: list[dict[str, Any]] = [
        *({"rows": rows} for rows in ([], [1, -1], [1, True], "12")),
        *({"epochs": epochs} for epochs in ([108], 1.5, [108, None])),
        *({"format": "ecnas-run/2"}, {"seed": "3"}, {"objectives": [1]}, {"checksum": None}),
    ]
    damaged = [json.dumps({**json.loads(whole), **change}).encode() for change in changes]
    for content in (*damaged, *(whole[:end] for end in range(len(whole)))):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="delete it"):
            Run.read(path)
    with pytest.raises(FormatError):
        Run.read(tmp_path / "none.json")


# -- comparisons ----


def test_the_runs_are_those_of_a_search(grid: Grid, finished: Path) -> None:
    for unit in grid.units():
        there, bench = Run.read(finished / unit.file), load(unit.table)
        alone = run(bench, unit.method, evaluations=60, seed=unit.seed)
        assert np.array_equal(there.rows, alone.rows)
        assert np.array_equal(there.epochs, alone.epochs)
        assert there.checksum == bench.table.checksum


def test_only_missing_damaged_and_outdated_runs_are_made(
    grid: Grid, finished: Path, tmp_path: Path
) -> None:
    out, units = tmp_path / "copy", grid.units()
    shutil.copytree(finished, out)
    paths = [out / unit.file for unit in units]
    paths[0].write_bytes(b"{")
    paths[1].unlink()
    checksum = load(units[2].table).table.checksum
    paths[2].write_text(paths[2].read_text().replace(checksum, "0" * 64))
    kept = [path.stat().st_mtime_ns for path in paths[3:]]
    compare(small_grid(methods=("random",), tables=("4v",), seeds=(0,)), out)  # paths[1] alone
    calls: list[tuple[str, int, int]] = []
    with listening(lambda task, done, total, unit: calls.append((unit, done, total))):
        compare(grid, out)
    assert calls == [("runs", done, 8) for done in (6, 7, 8)]
    assert kept == [path.stat().st_mtime_ns for path in paths[3:]]
    assert files(out) == files(finished)
    assert len(files(out)) == 8 + 1


@pytest.mark.usefixtures("modelled")
def test_runs_under_other_limits_and_settings(tmp_path: Path) -> None:
    setting: dict[str, Any] = {"max_energy_kwh": 3.0, "max_epochs": 3000, "workers": 2}
    grid = Grid(("semoa:population=5", "random:batch=7"), ("4v",), (0,), **setting)
    grid = dataclasses.replace(grid, charge_repeats=False)
    for unit in compare(grid, tmp_path):
        there, bench = Run.read(tmp_path / unit.file), load(unit.table)
        name, _, option = unit.method.partition(":")
        options = {option.split("=")[0]: int(option.split("=")[1])}
        alone = run(bench, name, options=options, seed=0, charge_repeats=False, **setting)
        assert np.array_equal(there.rows, alone.rows)
        again = there.result(bench)
        assert np.array_equal(again.ended_s, alone.ended_s)
        assert again.hours < again.spent.seconds / 3600
        assert (again.config.workers, again.config.method) == (2, unit.method)
    for changes in (
        {"max_energy_kwh": 4.0},
        {"max_epochs": None},
        {"charge_repeats": True},
        {"workers": 1},
    ):
        with pytest.raises(ConfigError, match="holds a comparison with another"):
            compare(dataclasses.replace(grid, **changes), tmp_path)
    for wrong in (
        {},
        {"max_energy_kwh": -1},
        {"max_epochs": 1.5},
        {"evaluations": 1, "workers": 0},
    ):
        with pytest.raises(ConfigError):
            Grid(("random",), ("4v",), (0,), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="papulation"):
        compare(small_grid(methods=("semoa:papulation=5",)), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("modelled")
def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    compare(small_grid(tables=("4v",), seeds=(0,), evaluations=2), tmp_path / "old")
    for other in ({"evaluations": 61}, {"epochs": 36}, {"setting": {"pue": 1.0}}):
        with pytest.raises(ConfigError, match=f"another {next(iter(other))}"):
            compare(small_grid(**{"evaluations": 2, **other}), tmp_path / "old")
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="something else"):
        compare(small_grid(), thesis)
    assert [path.name for path in thesis.iterdir()] == ["thesis.tex"]
    for content in ("{", "[]"):
        (thesis / RULES).write_text(content)
        with pytest.raises(FormatError, match="rules"):
            compare(small_grid(), thesis)
    for changes, says in (({"tables": ("6v",)}, "6v"), ({"epochs": 5}, "5")):
        with pytest.raises(EcnasError, match=says):
            compare(small_grid(**changes), tmp_path / "new")
    assert not (tmp_path / "new").exists()


# Runs a comparison and stops for ever at a place, which it prints.
STOPPING = """
import os, signal, sys
from pathlib import Path
from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.progress import listening
from naslib_ecnas.search import METHODS, RandomSearch

place, jobs, out = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])

def stop(*arguments):
    print("stopped", flush=True)
    while True:
        signal.pause()

class Stopping(RandomSearch):
    ask = stop

def stopping_replace(source, target, replace=os.replace):
    if target.parent.name == "random":
        stop()
    replace(source, target)

def progress(task, done, total, unit):
    if place == "between runs" and done == 3:
        stop()

if place == "during a search":
    METHODS["random"] = Stopping
if place == "before a file has its name":
    os.replace = stopping_replace
grid = Grid(methods=("semoa", "random"), tables=("4v", "5v"), seeds=(0, 1), evaluations=60)
with listening(progress):
    compare(grid, out, jobs=jobs)
"""


def killed(place: str, jobs: int, out: Path) -> tuple[int, int]:
    """Kill a comparison at a place; returns the numbers of finished and of unfinished runs."""
    command = [sys.executable, "-c", STOPPING, place, str(jobs), str(out)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, start_new_session=True, cwd=out.parent
    )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert (line, process.wait()) == (b"stopped\n", -signal.SIGKILL)
    return len([*out.rglob("seed-*.json")]), len([*out.rglob(".seed-*.json.*")])


def test_killed_anywhere_a_comparison_ends_alike(
    grid: Grid, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    # Of the first two units the first is done, the second is stopped.
    assert killed("during a search", 1, out) == (1, 0)
    assert killed("before a file has its name", 1, out) == (1, 1)
    # Two workers may have finished another run while the main process stands still.
    assert killed("between runs", 2, out)[0] >= 3
    compare(grid, out, jobs=2)
    assert files(out) == files(finished)


# -- units by one process, by several and by jobs ----


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
    assert sorted(execute(leave_a_file, units, tmp_path, jobs=jobs)) == units
    here = {unit.read_text() for unit in units} == {str(os.getpid())}
    assert here == (jobs == 1)
    with pytest.raises(ValueError, match="one too many"):
        list(execute(fail_on_three, [tmp_path / str(i) for i in range(5)], tmp_path, jobs=jobs))
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
    assert not list(execute(leave_a_file, [], tmp_path / "jobs", cluster="local"))
    assert not (tmp_path / "jobs").exists()
    units = [tmp_path / "0", tmp_path / "1"]
    settings: dict[str, dict[str, Any]] = {"joblib": {"jobs": 2}, "submitit": {"cluster": "local"}}
    for name, options in settings.items():
        for module in (name, f"{name}.externals"):
            monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingDependencyError, match=name):
            list(execute(leave_a_file, units, tmp_path, **options))


# Two workers of a comparison say who they are and then wait for ever.
WAITING = """
import os, sys, time
from pathlib import Path
from naslib_ecnas.comparison.experiment import execute

def wait(path):
    path.write_text(str(os.getpid()))
    time.sleep(1000)

folder = Path(sys.argv[1])
cluster = "local" if sys.argv[2] == "cluster" else None
list(execute(wait, [folder / "a", folder / "b"], folder / "jobs", jobs=2, cluster=cluster))
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
