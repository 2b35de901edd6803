"""Workers: together, killed, interrupted, over invalid windows; the end is always the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.campaign import Measurement, Pace, Plan, Settings, status, validate, work
from naslib_ecnas.campaign import worker as worker_module
from naslib_ecnas.campaign.claims import Owner, attempts, log_windows
from naslib_ecnas.campaign.record import record_path, recorded
from naslib_ecnas.campaign.worker import attempts_folder
from naslib_ecnas.errors import ConfigError, EcnasError
from naslib_ecnas.files import to_plain

Start = Callable[..., "subprocess.Popen[str]"]


def _outcomes(folder: Path) -> dict[str, list[float]]:
    """All that seeds decide, by unit."""
    found = {}
    for unit in Plan.read(folder).units:
        training = Measurement.read(record_path(folder, unit)).training
        losses = [segment.mean_loss for segment in training.segments]
        found[unit.name] = losses + [e.accuracy for e in training.evaluations]
    return found


def _wait_for_attempt(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until the worker is within a training."""
    for _ in range(600):
        logs = list((folder / "attempts").glob("*/*.log"))
        if any(b'"init"' in log.read_bytes() for log in logs):
            return
        assert process.poll() is None, "the worker ended too soon"
        time.sleep(0.05)
    raise AssertionError("no training began within 30 s")


def test_records_are_whole_and_tell_everything(measured: Path, settings: Settings) -> None:
    plan = Plan.read(measured)
    assert recorded(measured) == set(plan.by_name)
    for unit in plan.units:
        record = Measurement.read(record_path(measured, unit))
        assert (record.unit, record.attempt, record.settings) == (unit, 1, settings)
        assert record.plan == plan.checksum
        assert (record.training.seed, record.training.steps) == (unit.seed, 2)
        assert record.meter.kind == "none"
        assert record.made_up == ("synthetic images", "stopped after 2 of 32 steps")
        # The log has every window that the record has, as they ended.
        log = attempts_folder(measured, unit) / "0001.log"
        assert [w.name for w in log_windows(log)] == [w.name for w in record.windows]
        assert all(np.isnan(w.gpu_total_j) for w in record.windows)
    assert work(measured, settings) == []


@pytest.mark.slow
def test_a_killed_worker_loses_one_unit_which_another_makes(
    tmp_path: Path, plan: Callable[..., Plan], worker: Start
) -> None:
    """Twelve units, two workers, one of them killed within a training."""
    folder = tmp_path / "c"
    plan(rows=(0, 2), repeats=6).write(folder)
    victim = worker(folder)
    _wait_for_attempt(folder, victim)
    other = worker(folder)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    out, _ = other.communicate(timeout=120)
    assert other.returncode == 0
    assert recorded(folder) == set(Plan.read(folder).by_name)
    found = status(folder)
    assert (found.recorded, found.lost.attempts, found.running) == (12, 1, ())
    assert found.lost.seconds > 0
    assert np.isnan(found.lost.energy_kwh)
    twice = [u for u in Plan.read(folder).units if len(attempts(attempts_folder(folder, u))) == 2]
    assert len(twice) == 1
    assert f"{twice[0].name} 2 recorded" in out
    assert validate(folder).good


@pytest.mark.slow
def test_kills_at_random_moments_end_in_the_same_records(
    tmp_path: Path, measured: Path, plan: Callable[..., Plan], worker: Start, settings: Settings
) -> None:
    folder = tmp_path / "c"
    plan().write(folder)
    rng = np.random.default_rng(5)
    for _ in range(3):
        process = worker(folder)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 4.0))
        process.kill()
        process.wait()
        for path in (folder / "records").glob("*.json"):
            Measurement.read(path)  # whole at every moment
    work(folder, settings)
    assert _outcomes(folder) == _outcomes(measured)
    assert validate(folder).good


@pytest.mark.slow
def test_an_interrupted_worker_frees_its_unit_at_once(
    tmp_path: Path, plan: Callable[..., Plan], worker: Start, settings: Settings
) -> None:
    folder = tmp_path / "c"
    plan(rows=(2,), repeats=1).write(folder)
    process = worker(folder)
    _wait_for_attempt(folder, process)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    unit = Plan.read(folder).units[0]
    (first,) = attempts(attempts_folder(folder, unit))
    assert (first.ended, first.detail.split(":")[0]) == ("stopped", "KeyboardInterrupt")
    assert [one.attempt for one in work(folder, settings)] == [2]


def test_invalid_windows_put_a_unit_back_until_it_is_given_up(
    tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    """A trace of power that ends before the training does."""
    trace = tmp_path / "trace.json"
    trace.write_text(json.dumps({"times_s": [0, 0.01], "powers_w": [100, 100]}))
    folder = tmp_path / "c"
    plan(rows=(0,), repeats=1).write(folder)
    settings = replace(settings, meter="replay", replay=str(trace), baseline_s=0.0)
    done = work(folder, settings, pace=Pace(tries=2))
    assert [one.how for one in done] == ["invalid", "invalid"]
    assert "outside-trace" in done[0].detail
    found = status(folder, pace=Pace(tries=2))
    assert found.recorded == 0
    assert [(one.attempts, "outside-trace" in one.reason) for one in found.given_up] == [(2, True)]
    unit = Plan.read(folder).units[0]
    kept = Measurement.read(attempts_folder(folder, unit) / "0001.json")
    assert kept.unit == unit
    # With a trace that is long enough, and one more try, it is recorded.
    trace.write_text(json.dumps({"times_s": [0, 1e4], "powers_w": [100, 100]}))
    assert [one.how for one in work(folder, settings, pace=Pace(tries=3))] == ["recorded"]
    record = Measurement.read(record_path(folder, unit))
    total = record.window("total")
    assert total is not None
    assert total.gpu_total_j == pytest.approx(100 * total.seconds, rel=1e-6)
    assert "energies replayed from a file" in record.made_up
    lost = status(folder, pace=Pace(tries=3)).lost
    assert lost.attempts == 2


def test_a_training_that_fails_is_tried_again_and_many_stop_the_worker(
    tmp_path: Path,
    plan: Callable[..., Plan],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    folder = tmp_path / "c"
    plan(rows=(0,), repeats=2).write(folder)
    monkeypatch.setattr(worker_module, "measure_unit", broken)
    with pytest.raises(EcnasError, match="3 trainings failed"):
        work(folder, settings)
    made = [attempts(attempts_folder(folder, u)) for u in Plan.read(folder).units]
    assert [a.ended for each in made for a in each] == ["failed"] * 3
    monkeypatch.undo()
    done = work(folder, settings)
    assert [one.how for one in done] == ["recorded"]  # the other unit was tried three times
    assert [one.unit for one in work(folder, settings, pace=Pace(tries=4))] != []


def test_a_setting_that_is_not_possible_ends_the_worker_and_blames_no_unit(
    tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    folder = tmp_path / "c"
    plan(rows=(0,), repeats=1).write(folder)
    with pytest.raises(ConfigError, match="no such device"):
        work(folder, replace(settings, device="cuda:7"))
    assert not attempts(attempts_folder(folder, Plan.read(folder).units[0]))
    with pytest.raises(ConfigError, match="batch"):
        work(folder, replace(settings, evaluate_images=1, batch_size=2))
    (made,) = attempts(attempts_folder(folder, Plan.read(folder).units[0]))
    assert made.ended == "stopped"
    assert len(work(folder, settings, limit=1)) == 1


def test_a_silent_worker_elsewhere_is_waited_for_and_then_taken_over(
    tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    folder = tmp_path / "c"
    plan(rows=(0,), repeats=1).write(folder)
    place = attempts_folder(folder, Plan.read(folder).units[0])
    place.mkdir(parents=True)
    owner = replace(Owner.here(), host="elsewhere")
    (place / "0001.claim").write_text(json.dumps(to_plain(owner)))
    assert work(folder, settings, pace=Pace(wait=False)) == []
    began = time.monotonic()
    done = work(folder, settings, pace=Pace(beat_s=0.2, stale_s=1.0))
    assert [(one.attempt, one.how) for one in done] == [(2, "recorded")]
    assert time.monotonic() - began >= 1.0
    assert status(folder).lost.attempts == 1


def test_settings_are_checked() -> None:
    for wrong in (
        {"images": "disk"},
        {"steps": 0},
        {"meter": "best"},
        {"meter": "replay"},
        {"baseline_s": -1.0},
    ):
        with pytest.raises(ConfigError):
            Settings(**wrong)
    with pytest.raises(ConfigError, match="live"):
        Pace(beat_s=10, stale_s=20)
