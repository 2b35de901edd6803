"""Validation finds planted faults and doubts; status says what is done, lost, stale and to come."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import campaign
from naslib_ecnas.campaign import Measurement, Plan, Settings, columns_of, requeue, status, validate
from naslib_ecnas.campaign.claims import attempts
from naslib_ecnas.campaign.estimate import expected
from naslib_ecnas.campaign.measurement import record_path
from naslib_ecnas.campaign.worker import attempts_folder
from naslib_ecnas.energy.readings import GpuProcess, Reading, invalid
from naslib_ecnas.errors import ConfigError, FormatError

Change = Callable[[Measurement], Measurement]
Spoil = Callable[[Change], Path]


def _training(**changes: Any) -> Change:
    return lambda r: replace(r, training=replace(r.training, **changes))


def _windows(change: Callable[[Any], Any], name: str) -> Change:
    return lambda r: replace(
        r, windows=tuple(change(w) if w.name == name else w for w in r.windows)
    )


def _reading(name: str, change: Callable[[Reading], Reading]) -> Change:
    return _windows(
        lambda w: replace(w, energy_j={gpu: change(r) for gpu, r in w.energy_j.items()}), name
    )


def _scaled(name: str, factor: float) -> Change:
    return _reading(name, lambda r: replace(r, energy_j=r.energy_j * factor))


def _state(**changes: Any) -> Callable[[Reading], Reading]:
    def changed(reading: Reading) -> Reading:
        assert reading.stop is not None
        return replace(reading, stop=replace(reading.stop, **changes))

    return changed


def _part(parts: str, index: int, **changes: Any) -> Change:
    def changed(record: Measurement) -> Measurement:
        found = list(getattr(record.training, parts))
        found[index] = replace(found[index], **changes)
        return _training(**{parts: tuple(found)})(record)

    return changed


_evaluation = partial(_part, "evaluations", 0)
_segment = partial(_part, "segments", -1)


def _without(name: str) -> Change:
    return lambda r: replace(r, windows=tuple(w for w in r.windows if w.name != name))


def _gone(reason: str) -> Callable[[Reading], Reading]:
    return lambda r: invalid(reason, "gone", method="counter")


def _slow(record: Measurement) -> Measurement:
    for name in ("train-1", "train-2"):
        record = _reading(name, _state(sm_clock_mhz=900.0))(record)
    return record


def _set_up(**changes: Any) -> Change:
    def changed(record: Measurement) -> Measurement:
        setups = {gpu: replace(s, **changes) for gpu, s in record.meter.setups.items()}
        return replace(record, meter=replace(record.meter, setups=setups))

    return changed


#: Changes of a record, and the code of the fault or doubt that each must lead to.
FAULTS: list[tuple[Change, str]] = [
    (_training(steps=600), "steps"),
    (_segment(steps=7), "steps"),
    (_segment(first_step=300), "steps"),
    (_training(bad_steps=3, first_bad_step=7), "loss"),
    (_segment(mean_loss=math.nan), "loss"),
    (_evaluation(images=10_000), "evaluations"),
    (_evaluation(accuracy=0.12345), "accuracy"),
    (_evaluation(accuracy=math.nan), "accuracy"),
    (_evaluation(split="test"), "evaluations"),
    (_part("evaluations", 4, steps=312), "evaluations"),  # half of the budget, not an epoch
    (_training(parameters=12), "identity"),
    (_training(cell="0100:input,output ", seed=5), "identity"),
    (lambda r: replace(r, plan="0" * 64), "plan"),
    (_without("train-2"), "window"),
    (_windows(lambda w: replace(w, stopped=w.stopped + 9.0), "init"), "duration"),
    (_windows(lambda w: replace(w, stopped=w.started), "total"), "duration"),
    (lambda r: _training(data=replace(r.training.data, sha256="1" * 64))(r), "data"),
    (_reading("total", _gone("frozen")), "energy"),
    (_scaled("train-2", 9), "parts"),
    (_scaled("total", 9), "parts"),
]
DOUBTS: list[tuple[Change, str]] = [
    (_reading("train-0", _gone("too-short")), "too-short"),
    (
        _reading("total", lambda r: replace(r, agreement="apart", integral_j=r.energy_j / 2)),
        "counter",
    ),
    (_reading("total", lambda r: replace(r, flags=("above-power-limit",))), "above-power-limit"),
    (_reading("total", lambda r: replace(r, uncertainty_j=r.energy_j / 10)), "uncertain"),
    (_reading("train-2", _state(others=(GpuProcess(99, 1e9, True),))), "foreign"),
    (_reading("train-2", _state(throttle_reasons=("hardware-thermal",))), "clocks"),
    (_slow, "clocks"),
    (_without("rest-after"), "rest"),
    (_scaled("rest-after", 0.5), "rest"),
    (_training(versions={"torch": "0.4"}), "torch"),
    (_training(device_name="Other GPU"), "device"),
    (_training(arithmetic={"cudnn.benchmark": True}), "arithmetic"),
    (_set_up(driver="470.5"), "driver"),
    (_set_up(ecc=False), "ecc"),
    (_set_up(persistence=None), "persistence"),
    (_set_up(enforced_power_limit_w=250.0), "power-limit"),
    (_set_up(enforced_power_limit_w=350.0, default_power_limit_w=350.0), "enforced_power_limit_w"),
    (lambda r: replace(r, meter=replace(r.meter, kind="none")), "unmeasured"),
    (lambda r: replace(r, meter=replace(r.meter, cpu="denied")), "cpu"),
    (lambda r: replace(r, settings=replace(r.settings, warm_up_s=0.0)), "cold"),
]


def test_planted_faults_and_doubts_are_found_in_sound_records(sound: Path) -> None:
    found = validate(sound)
    assert (found.good, found.spotless, found.missing, found.findings) == (True, True, (), ())
    unit = Plan.read(sound).units[0]
    path = record_path(sound, unit)
    record = Measurement.read(path)
    for i, (change, code) in enumerate(FAULTS + DOUBTS):
        change(record).write(path)
        found = validate(sound)
        assert not found.spotless
        if i < len(FAULTS):
            assert code in {f.code for f in found.faults}, code
            assert {f.unit for f in found.faults} == {unit.name}
            assert (found.good, unit.name in found.redo) == (False, True)
        else:
            assert found.good, code
            assert code in {f.code for f in found.doubts}, code


def test_a_rest_differs_only_beyond_its_uncertainty(sound: Path) -> None:
    path = record_path(sound, Plan.read(sound).units[0])
    record = Measurement.read(path)
    for share, in_doubt in ((0.5, True), (1.1, False)):

        def half(reading: Reading, share: float = share) -> Reading:
            lost = reading.energy_j / 2
            return replace(reading, energy_j=reading.energy_j - lost, uncertainty_j=share * lost)

        _reading("rest-after", half)(record).write(path)
        assert ("rest" in {f.code for f in validate(sound).doubts}) is in_doubt


def test_a_doubt_asks_for_one_more_training_and_a_fault_for_any_number(spoil: Spoil) -> None:
    folder = spoil(_reading("total", _state(throttle_reasons=("software-thermal",))))
    first = Plan.read(folder).units[0]
    path = record_path(folder, first)
    before = path.read_bytes()
    found = validate(folder)
    assert {f.code for f in found.doubts if f.redo} == {"clocks"}
    assert requeue(folder, found.redo) == [first.name]
    path.write_bytes(before)  # the GPU is as hot the second time
    found = validate(folder)
    assert first.name not in found.redo
    assert any("software-thermal (measured again already)" in f.text for f in found.doubts)
    path.write_bytes(before[:100])
    assert first.name in validate(folder).redo


def test_repeats_far_apart_are_in_doubt(sound: Path) -> None:
    plan = Plan.read(sound)
    row = plan.units[0].row
    for unit in plan.units:
        path = record_path(sound, unit)
        joules = 1000.0 * (1 + unit.repeat if unit.row == row else 1)
        change = _reading("total", lambda r, j=joules: replace(r, energy_j=j))
        change(Measurement.read(path)).write(path)
    spread = [f for f in validate(sound).doubts if f.code == "spread" and "energy" in f.text]
    assert {f.unit for f in spread} == {u.name for u in plan.units if u.row == row}
    assert all(f.redo and "33%" in f.text for f in spread)


def test_a_sensor_that_gives_0_leads_to_no_outlier(sound: Path) -> None:
    """Where most clocks are 0, as of a GPU that does not tell them, there is nothing to compare."""
    for unit in Plan.read(sound).units[1:]:
        path = record_path(sound, unit)
        record = Measurement.read(path)
        for name in ("train-1", "train-2"):
            record = _reading(name, _state(sm_clock_mhz=0.0))(record)
        record.write(path)
    assert not [f for f in validate(sound).findings if f.code == "clocks"]


def test_files_that_are_not_records_are_found(sound: Path) -> None:
    first, second, third, fourth = Plan.read(sound).units
    unread = record_path(sound, fourth)
    unread.unlink()
    unread.symlink_to(unread.name)  # a link in a circle cannot be read
    record_path(sound, first).write_bytes(b"{")
    record_path(sound, second).unlink()
    (sound / "records" / "90-4-7.json").write_bytes(record_path(sound, third).read_bytes())
    record_path(sound, second).write_bytes(record_path(sound, third).read_bytes())
    found = validate(sound)
    assert {(f.unit, f.code) for f in found.faults} == {
        (first.name, "unreadable"),
        (second.name, "unreadable"),
        ("90-4-7", "stray"),
        (fourth.name, "unreadable"),
    }
    # A file system that does not answer asks for no new training.
    assert set(found.redo) == {first.name, second.name}
    assert set(status(sound).unreadable) == {str(first), str(second), str(fourth)}


def test_a_requeued_unit_is_measured_again(measured: Path, settings: Settings) -> None:
    first = Plan.read(measured).units[0]
    path = record_path(measured, first)
    before = path.read_bytes()
    path.write_bytes(before[:100])
    faults = {f.unit for f in validate(measured).faults}  # doubts depend on the machine
    assert requeue(measured, [*faults, "no-such-unit"]) == [first.name]
    assert validate(measured).missing == (first.name,)
    (done,) = campaign.work(measured, settings)
    assert (done.unit, done.attempt, done.how) == (first, 2, "recorded")
    assert validate(measured).good
    kept = measured / "attempts" / first.name / "requeued-1.json"
    assert kept.read_bytes() == before[:100]


def test_the_same_training_under_two_names_is_a_fault_of_both(sound: Path) -> None:
    """With a right checksum and seed: only what was measured tells the copy."""
    plan = Plan.read(sound)
    first = plan.units[0]
    second = next(unit for unit in plan.units if unit.row == first.row and unit != first)
    copied = Measurement.read(record_path(sound, first))
    training = replace(copied.training, seed=second.seed)
    replace(copied, unit=second, training=training).write(record_path(sound, second))
    found = {(fault.unit, fault.code) for fault in validate(sound).faults}
    assert found == {(first.name, "copy"), (second.name, "copy")}
    with pytest.raises(FormatError, match="its training is recorded 2 times"):
        columns_of(sound)


# -- status ---------------------------------------------------------------------------------------


def test_before_any_record_the_models_say_what_is_to_come(
    tmp_path: Path, plan: Callable[..., Plan]
) -> None:
    folder = tmp_path / "c"
    plan().write(folder)
    found = status(folder)
    bench = ecnas.load("4v", device="rtx-3090", pue=1.0)
    kwh = 2 * float(bench.values("energy_kwh", 4)[[0, 2]].sum())
    assert found.energy_to_come_kwh == pytest.approx(kwh, rel=0.05)
    assert 60 < found.remaining_s < 600
    assert (found.recorded, found.remaining, found.estimated_from) == (0, 4, "models")
    assert (found.energy_kwh, math.isnan(found.units_per_hour)) == (0.0, True)
    # Energy is affine in epochs, time of the steps in proportion to them.
    made = plan(rows=(5,), repeats=1)
    units = [replace(made.units[0], epochs=e) for e in (4, 8, 12)]
    kwhs, seconds = expected(units)
    assert kwhs[1] == pytest.approx((kwhs[0] + kwhs[2]) / 2)
    assert kwhs[0] > kwhs[1] / 2
    assert seconds == pytest.approx(seconds[0] * np.array([1, 2, 3]))
    with pytest.raises(ConfigError, match="device must be one of"):
        expected(units, "abacus")


def test_records_scale_what_is_to_come(sound: Path) -> None:
    plan = Plan.read(sound)
    gone, *rest = plan.units
    records = [Measurement.read(record_path(sound, unit)) for unit in rest]
    record_path(sound, gone).unlink()
    found = status(sound)
    kwh, seconds = expected(plan.units)
    totals = [window for r in records if (window := r.window("total")) is not None]
    joules = [window.gpu_total_j + window.cpu_total_j for window in totals]
    assert found.energy_kwh == pytest.approx(sum(joules) / 3.6e6)
    assert found.energy_to_come_kwh == pytest.approx(found.energy_kwh / kwh[1:].sum() * kwh[0])
    took = sum(r.training.total_time_s + 10 for r in records)
    assert found.remaining_s == pytest.approx(took / seconds[1:].sum() * seconds[0])
    assert (found.recorded, found.remaining, found.estimated_from) == (3, 1, "records")
    assert found.units_per_hour > 0
    assert found.lost.attempts == 1  # of the unit whose record is gone
    kw = found.energy_kwh / sum(r.training.total_time_s for r in records)
    assert found.lost.energy_kwh == pytest.approx(kw * found.lost.seconds)


def test_workers_elsewhere_are_at_work_or_stale(
    tmp_path: Path, plan: Callable[..., Plan], elsewhere: Callable[..., Path]
) -> None:
    """Their clock is a day ahead of this one."""
    folder = tmp_path / "c"
    plan().write(folder)
    place = attempts_folder(folder, Plan.read(folder).units[0])
    tomorrow = time.time() + 86_400.0
    claim = elsewhere(place, claimed_unix=tomorrow)
    for moment, stale in ((tomorrow, False), (tomorrow - 1e6, True)):
        os.utime(claim, (moment, moment))
        found = status(folder)
        (running,) = found.running
        assert (running.worker.split(",")[0], running.stale) == ("elsewhere", stale)
        assert (running.since_s, found.remaining) == (0.0, 4)
        assert attempts(place)[0].seconds == 0.0
