"""Status: what is done, lost, stale and to come."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.campaign import Measurement, Plan, Settings, status, work
from naslib_ecnas.campaign.claims import AttemptLog, Owner
from naslib_ecnas.campaign.plan import expected
from naslib_ecnas.campaign.record import record_path
from naslib_ecnas.campaign.worker import attempts_folder
from naslib_ecnas.files import to_json, to_plain


def test_the_models_tell_what_is_to_come_before_any_record(
    tmp_path: Path, plan: Callable[..., Plan]
) -> None:
    folder = tmp_path / "c"
    plan().write(folder)
    found = status(folder)
    bench = ecnas.load("4v")
    kwh = 2 * float(bench.values("energy_kwh", 4)[[0, 2]].sum())
    seconds = 2 * float(bench.values("training_time_s", 4)[[0, 2]].sum())
    assert found.energy_to_come_kwh == pytest.approx(kwh)
    assert found.remaining_s == pytest.approx(seconds)
    assert (found.recorded, found.remaining, found.foretold_by) == (0, 4, "models")
    assert found.energy_kwh == 0.0
    assert np.isnan(found.units_per_hour)


def test_budgets_between_those_of_the_models_are_interpolated(plan: Callable[..., Plan]) -> None:
    made = plan(rows=(5,), repeats=1)
    units = [replace(made.units[0], epochs=e) for e in (2, 4, 8, 12, 108, 216)]
    kwh, _ = expected(made, units)
    assert kwh[2] == pytest.approx((kwh[1] + kwh[3]) / 2)
    assert kwh[0] == pytest.approx(kwh[1] / 2)
    assert kwh[5] == pytest.approx(2 * kwh[4])


def test_records_scale_what_is_to_come(sound: Path) -> None:
    plan = Plan.read(sound)
    gone = plan.units[0]
    records = {u: Measurement.read(record_path(sound, u)) for u in plan.units}
    record_path(sound, gone).unlink()
    found = status(sound)
    rest = [u for u in plan.units if u != gone]
    kwh, seconds = expected(plan, plan.units)
    joules = [
        window.gpu_total_j + window.cpu_total_j
        for u in rest
        if (window := records[u].window("total")) is not None
    ]
    assert found.energy_kwh == pytest.approx(sum(joules) / 3.6e6)
    used = found.energy_kwh / kwh[1:].sum() * kwh[0]
    assert found.energy_to_come_kwh == pytest.approx(used)
    took = sum(records[u].training.total_time_s + 20 for u in rest)
    assert found.remaining_s == pytest.approx(took / seconds[1:].sum() * seconds[0])
    assert (found.recorded, found.remaining, found.foretold_by) == (3, 1, "records")
    assert found.units_per_hour > 0
    # The removed unit's attempt counts as lost.
    assert found.lost.attempts == 1


def _claimed(folder: Path, *, age_s: float = 0.0) -> Path:
    """The claim of a live worker elsewhere on the first unit."""
    place = attempts_folder(folder, Plan.read(folder).units[0])
    place.mkdir(parents=True)
    path = place / "0001.claim"
    path.write_text(to_json(to_plain(replace(Owner.here(), host="elsewhere"))))
    moment = path.stat().st_mtime - age_s
    os.utime(path, (moment, moment))
    return place


def test_workers_elsewhere_are_at_work_or_stale(tmp_path: Path, plan: Callable[..., Plan]) -> None:
    for name, age, stale in (("a", 0.0, False), ("b", 500.0, True)):
        folder = tmp_path / name
        plan().write(folder)
        _claimed(folder, age_s=age)
        found = status(folder)
        assert [(r.worker.split(",")[0], r.stale) for r in found.running] == [("elsewhere", stale)]
        assert found.remaining == 4


def test_energy_of_a_lost_attempt_is_that_of_its_windows(
    tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    """A worker that died within a training, as its log tells."""
    trace = tmp_path / "trace.json"
    trace.write_text(json.dumps({"times_s": [0, 1e4], "powers_w": [100, 100]}))
    folder = tmp_path / "c"
    plan(rows=(0,), repeats=1).write(folder)
    settings = replace(settings, meter="replay", replay=str(trace), baseline_s=0.0)
    work(folder, settings)
    unit = Plan.read(folder).units[0]
    record = Measurement.read(record_path(folder, unit))
    record_path(folder, unit).unlink()
    log = AttemptLog(attempts_folder(folder, unit), 1)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:-2]))  # neither the whole nor the end was reached
    claim = log.path.with_suffix(".claim")
    owner = json.loads(claim.read_text())
    claim.write_text(json.dumps({**owner, "process_start": "1"}))
    found = status(folder)
    inner = [w for w in record.windows if w.parent is not None]
    joules = sum(100 * w.seconds for w in inner)
    assert found.lost.energy_kwh == pytest.approx(joules / 3.6e6)
    assert found.lost.attempts == 1
    assert found.running == ()
