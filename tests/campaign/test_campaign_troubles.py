"""Troubles of machines: full disks, slow file systems, clocks that jump, other versions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from naslib_ecnas.campaign import Pace, Plan, Settings, status, validate, work
from naslib_ecnas.campaign.claims import Owner, attempts, take
from naslib_ecnas.campaign.record import Measurement, NewerRecord, record_path, recorded
from naslib_ecnas.campaign.worker import attempts_folder
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.files import to_plain

torch = pytest.importorskip("torch")

_WORKER = """
import json, os, random, resource, sys, threading, time, torch
from pathlib import Path
from naslib_ecnas.campaign import Pace, Settings, work
folder, settings, pace, trouble = sys.argv[1:]
trouble = json.loads(trouble)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

if "bytes" in trouble:
    limit(trouble["bytes"])  # a write beyond it fails, as on a full disk
if "until" in trouble:
    def mended():
        while not Path(trouble["until"]).exists():
            time.sleep(0.05)
        limit(resource.RLIM_INFINITY)
    threading.Thread(target=mended, daemon=True).start()
if "delay" in trouble:
    def slowed(call):
        def slow(*arguments, **options):
            if isinstance(arguments[0], int) or str(arguments[0]).startswith(folder):
                time.sleep(random.uniform(0, trouble["delay"]))
            return call(*arguments, **options)
        return slow
    for name in ("open", "replace", "fsync", "utime", "listdir", "stat"):
        setattr(os, name, slowed(getattr(os, name)))
print("ready", flush=True)
work(Path(folder), Settings(**json.loads(settings)), pace=Pace(**json.loads(pace)),
     told=lambda done: print(done.unit.name, done.attempt, done.how, flush=True))
"""


def _troubled(
    folder: Path, settings: Settings, pace: Pace, **trouble: object
) -> subprocess.Popen[str]:
    parts = [json.dumps(part) for part in (asdict(settings), asdict(pace), trouble)]
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(folder), *parts],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Python before 3.12.8 keeps half a file of bytecode where the disk is full.
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture
def one(tmp_path: Path, plan: Callable[..., Plan]) -> Path:
    """A campaign of one unit."""
    folder = tmp_path / "c"
    plan(rows=(0,), repeats=1).write(folder)
    return folder


def test_a_record_waits_for_room_on_the_disk(one: Path, tmp_path: Path, settings: Settings) -> None:
    """Neither its log nor its record can be written at first; the training is not lost."""
    mended = tmp_path / "mended"
    process = _troubled(one, settings, Pace(patience_s=60), bytes=2000, until=str(mended))
    try:
        (unit,) = Plan.read(one).units
        assert process.stderr is not None
        said = next((line for line in process.stderr if "waits" in line), "")
        assert str(unit) in said
        assert recorded(one) == set()
        mended.touch()
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert f"{unit.name} 1 recorded" in out
    record = Measurement.read(record_path(one, unit))
    assert (record.attempt, record.training.steps) == (1, 2)
    assert [a.ended for a in attempts(attempts_folder(one, unit))] == ["recorded"]
    assert list((one / "records").glob(".*")) == []  # no half a file is left
    assert validate(one).good


def test_a_disk_that_stays_full_ends_the_worker_and_frees_the_unit(
    one: Path, settings: Settings
) -> None:
    process = _troubled(one, settings, Pace(patience_s=0), bytes=2000)
    try:
        _, err = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode != 0
    assert "StorageError" in err
    assert list((one / "records").glob("*")) == []
    # The end mark may not fit either; the worker is dead, so that the next one goes on at once.
    (done,) = work(one, settings, pace=Pace(wait=False))
    assert (done.attempt, done.how) == (2, "recorded")


@pytest.mark.slow
def test_two_workers_on_a_slow_file_system_record_every_unit_once(
    tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    """Every call to the file system takes up to 0.3 s more, so that looks are old when used."""
    folder = tmp_path / "c"
    plan(rows=(0,), repeats=5).write(folder)
    pace = Pace(beat_s=0.5, stale_s=5.0)
    running = [_troubled(folder, settings, pace, delay=0.3) for _ in range(2)]
    try:
        said = [process.communicate(timeout=180) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], said
    done = [line.split() for out, _ in said for line in out.splitlines() if line != "ready"]
    units = [name for name, _, how in done if how == "recorded"]
    assert sorted(units) == sorted(Plan.read(folder).by_name)
    assert {how for *_, how in done} <= {"recorded", "not-needed"}
    assert validate(folder).good


@pytest.mark.slow
def test_a_kill_while_records_are_written(
    tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    """The worker dies in the slowed write of its first record: whole, or none and done again."""
    folder = tmp_path / "c"
    plan(rows=(0,), repeats=2).write(folder)
    process = _troubled(folder, settings, Pace(), delay=1.5)
    try:
        for _ in range(1200):
            if list((folder / "records").glob(".*")) or recorded(folder):
                break
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    for path in (folder / "records").glob("*.json"):
        Measurement.read(path)
    work(folder, settings)
    assert recorded(folder) == set(Plan.read(folder).by_name)
    assert validate(folder).good


def test_a_clock_that_was_set_back_makes_no_negative_times(one: Path) -> None:
    """A claim from the future: of a machine whose clock is a day ahead."""
    (unit,) = Plan.read(one).units
    place = attempts_folder(one, unit)
    claim = take(place, 1)
    assert claim is not None
    day = 86_400.0
    owner = replace(Owner.here(), host="elsewhere", claimed_unix=time.time() + day)
    claim.path.write_text(json.dumps(to_plain(owner)))
    os.utime(claim.path, (time.time() + day, time.time() + day))
    (running,) = status(one).running
    assert (running.since_s, running.stale) == (0.0, False)
    (attempt,) = attempts(place)
    assert attempt.seconds >= 0


def test_a_record_of_another_version_is_neither_read_nor_measured_again(measured: Path) -> None:
    plan = Plan.read(measured)
    newer, damaged = plan.units[:2]
    for unit, form in ((newer, "ecnas-measurement/2"), (damaged, "something/1")):
        path = record_path(measured, unit)
        path.write_text(json.dumps({**json.loads(path.read_text()), "format": form}))
    with pytest.raises(NewerRecord, match="another version"):
        Measurement.read(record_path(measured, newer))
    with pytest.raises(FormatError, match="no record"):
        Measurement.read(record_path(measured, damaged))
    found = validate(measured)
    assert {f.unit for f in found.faults} == {newer.name, damaged.name}
    assert newer.name not in found.redo
    assert damaged.name in found.redo


def test_a_record_that_the_disk_does_not_give_is_not_measured_again(measured: Path) -> None:
    """A link that leads in a circle stands for a file system that does not answer."""
    unit = Plan.read(measured).units[0]
    path = record_path(measured, unit)
    path.unlink()
    path.symlink_to(path.name)
    found = validate(measured)
    assert [(f.unit, f.code) for f in found.faults] == [(unit.name, "unreadable")]
    assert unit.name not in found.redo


def test_a_pace_without_patience_is_refused() -> None:
    with pytest.raises(ConfigError):
        Pace(patience_s=-1)
    with pytest.raises(ConfigError):
        Pace(patience_s=float("nan"))
