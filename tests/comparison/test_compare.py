"""Comparisons: equal rules, resumable, the same bytes whatever happened on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.comparison.compare import RULES, Grid, Run, Unit, compare, missing
from naslib_ecnas.comparison.results import COLUMNS, FILE, gather
from naslib_ecnas.errors import ConfigError, EcnasError
from naslib_ecnas.loading import load


def grid(**changes: object) -> Grid:
    settings = {
        "methods": ("semoa", "random"),
        "tables": ("4v", "5v"),
        "seeds": (0, 1),
        "evaluations": 60,
    }
    return Grid(**{**settings, **changes})  # type: ignore[arg-type]


def state(out: Path) -> dict[str, bytes]:
    """All files of a comparison but those that only matter while it runs."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock" and "jobs" not in path.parts
    }


def finished(chosen: Grid, out: Path, **settings: object) -> dict[str, bytes]:
    units = compare(chosen, out, **settings)  # type: ignore[arg-type]
    gather(out, units, {}).sheet.write(out / FILE)
    return state(out)


def test_the_runs_are_those_of_a_search(tmp_path: Path) -> None:
    from naslib_ecnas.search import run

    units = compare(grid(), tmp_path)
    for unit in units:
        there = Run.read(tmp_path / unit.file)
        alone = run(load(unit.table), unit.method, evaluations=60, seed=unit.seed)
        assert np.array_equal(there.rows, alone.rows)
        assert np.array_equal(there.epochs, alone.epochs)
        assert there.checksum == load(unit.table).table.checksum


def test_halves_that_a_killed_process_left_are_removed(tmp_path: Path) -> None:
    undisturbed = finished(grid(), tmp_path / "one")
    out = tmp_path / "other"
    units = compare(grid(), out)
    run = out / units[0].file
    run.with_name(f".{run.name}.5gulmu31").write_bytes(run.read_bytes()[:100])
    run.unlink()
    assert finished(grid(), out) == undisturbed


def test_the_tidy_lines(tmp_path: Path) -> None:
    units = compare(grid(), tmp_path)
    results = gather(tmp_path, units, {})
    assert results.sheet.headings == COLUMNS
    lines = list(results.sheet.records())
    assert {(r["table"], r["method"], r["seed"]) for r in lines} == {
        (u.table, u.method, u.seed) for u in units
    }
    for unit in units:
        of = [
            r
            for r in lines
            if (r["table"], r["method"], r["seed"]) == (unit.table, unit.method, unit.seed)
        ]
        bench, result = load(unit.table), results.runs[unit]
        assert of[-1]["evaluations"] == 60
        energy = bench.values("energy_kwh")[result.rows]
        for line in of:
            count = line["evaluations"]
            assert line["energy_kwh"] == pytest.approx(energy[:count].sum())
            assert line["epochs"] == 108 * count
        volumes = [line["hypervolume"] for line in of]
        assert volumes == sorted(volumes)
        assert 0 <= volumes[0] <= volumes[-1] <= 1
        assert of[-1]["hypervolume_of_table"] == pytest.approx(result.hypervolume)
        distances = [line["igd_plus"] for line in of]
        assert distances == sorted(distances, reverse=True)
        assert (of[-1]["igd_plus"] == 0) == (volumes[-1] == 1)


def test_several_jobs_and_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    alone = finished(grid(), tmp_path / "a")
    assert len(alone) == 8 + 2
    assert finished(grid(), tmp_path / "b", jobs=2) == alone
    # One method, one table and one seed first, the others later.
    compare(grid(methods=("random",), tables=("5v",), seeds=(1,)), tmp_path / "c")
    assert finished(grid(), tmp_path / "c") == alone


def test_what_is_there_is_not_done_again(tmp_path: Path) -> None:
    units = compare(grid(), tmp_path)
    first = {unit: (tmp_path / unit.file).stat().st_mtime_ns for unit in units}
    told: list[tuple[int, int]] = []
    compare(grid(), tmp_path, on_progress=lambda done, total, last: told.append((done, total)))
    assert told == [(8, 8)]
    assert first == {unit: (tmp_path / unit.file).stat().st_mtime_ns for unit in units}


def test_damaged_and_outdated_runs_are_made_again(tmp_path: Path) -> None:
    before = finished(grid(), tmp_path)
    units = grid().units()
    (tmp_path / units[0].file).write_bytes(b"{")
    (tmp_path / units[1].file).unlink()
    old = (tmp_path / units[2].file).read_text()
    checksum = load(units[2].table).table.checksum
    (tmp_path / units[2].file).write_text(old.replace(checksum, "0" * 64))
    checksums = {table: load(table).table.checksum for table in ("4v", "5v")}
    assert missing(units, tmp_path, checksums) == units[:3]
    assert finished(grid(), tmp_path) == before


@pytest.mark.parametrize(
    "changes",
    [{"evaluations": 61}, {"epochs": 36}, {"setting": {"pue": 1.0}}],
)
def test_other_rules_are_another_comparison(tmp_path: Path, changes: dict[str, object]) -> None:
    compare(grid(tables=("4v",), seeds=(0,)), tmp_path)
    with pytest.raises(ConfigError, match="other"):
        compare(grid(**changes), tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="something else"):
        compare(grid(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / RULES).write_text("{")
    with pytest.raises(EcnasError, match="damaged"):
        compare(grid(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"methods": ("semoa", "sema")}, "semoa"), ({"tables": ("6v",)}, "6v"), ({"epochs": 5}, "5")],
)
def test_what_is_not_possible(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(EcnasError, match=says):
        compare(grid(**changes), tmp_path / "new")


RUN = """
import sys
from pathlib import Path
from naslib_ecnas.comparison.compare import compare
from naslib_ecnas.comparison.compare import Grid
compare(
    Grid(methods=("semoa", "random"), tables=("4v", "5v"), seeds=(0, 1, 2, 3), evaluations=3000),
    Path(sys.argv[1]),
    jobs=int(sys.argv[2]),
)
"""


def test_killed_ten_times_it_ends_alike(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    many = grid(seeds=(0, 1, 2, 3), evaluations=3000)
    for table in many.tables:
        load(table)  # its first use is not what is tested here
    undisturbed = finished(many, tmp_path / "a")
    out = tmp_path / "b"
    rng = np.random.default_rng(7)
    killed = 0
    for jobs in (1, 2) * 5:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(out), str(jobs)],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(float(rng.uniform(0.5, 2.0)))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed, "all of them had ended before they were killed"
    assert finished(many, out) == undisturbed


def test_units_are_found_whatever_the_method_is_called(tmp_path: Path) -> None:
    unit = Unit("4v", "naslib:re/both", 0)
    run = Run(
        "4v",
        load("4v").table.checksum,
        unit.method,
        0,
        ("energy_kwh", "validation_accuracy"),
        108,
        load("4v").rows[:5],
        np.full(5, 108),
    )
    run.write(tmp_path / unit.file)
    results = gather(tmp_path, [unit], {})
    assert results.runs[unit].config.method == "naslib:re/both"
