"""Validation finds planted faults, tells doubts from them, and clears what it says to redo."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.campaign import Measurement, Plan, requeue, validate, work
from naslib_ecnas.campaign.plan import Settings
from naslib_ecnas.campaign.record import record_path
from naslib_ecnas.energy.readings import GpuProcess, Reading, invalid

Spoil = Callable[[Callable[[Measurement], Measurement]], Path]


def _training(**changes: Any) -> Callable[[Measurement], Measurement]:
    return lambda r: replace(r, training=replace(r.training, **changes))


def _reading(name: str, change: Callable[[Reading], Reading]) -> Callable[..., Measurement]:
    def changed(record: Measurement) -> Measurement:
        windows = tuple(
            replace(w, energy_j={gpu: change(r) for gpu, r in w.energy_j.items()})
            if w.name == name
            else w
            for w in record.windows
        )
        return replace(record, windows=windows)

    return changed


def _state(**changes: Any) -> Callable[[Reading], Reading]:
    def changed(reading: Reading) -> Reading:
        assert reading.stop is not None
        return replace(reading, stop=replace(reading.stop, **changes))

    return changed


def _evaluation(**changes: Any) -> Callable[[Measurement], Measurement]:
    def changed(record: Measurement) -> Measurement:
        first, *rest = record.training.evaluations
        return _training(evaluations=(replace(first, **changes), *rest))(record)

    return changed


def _segment(**changes: Any) -> Callable[[Measurement], Measurement]:
    def changed(record: Measurement) -> Measurement:
        *rest, last = record.training.segments
        return _training(segments=(*rest, replace(last, **changes)))(record)

    return changed


def _without(name: str) -> Callable[[Measurement], Measurement]:
    return lambda r: replace(r, windows=tuple(w for w in r.windows if w.name != name))


def _longer(name: str, seconds: float) -> Callable[[Measurement], Measurement]:
    return lambda r: replace(
        r,
        windows=tuple(
            replace(w, stopped=w.stopped + seconds) if w.name == name else w for w in r.windows
        ),
    )


FAULTS = {
    "steps made": (_training(steps=600), "steps"),
    "steps of a segment": (_segment(steps=7), "steps"),
    "a gap in the steps": (_segment(first_step=300), "steps"),
    "a loss that is not finite": (_training(bad_steps=3, first_bad_step=7), "loss"),
    "a mean loss": (_segment(mean_loss=math.nan), "loss"),
    "images of an evaluation": (_evaluation(images=10_000), "evaluations"),
    "an accuracy": (_evaluation(accuracy=0.12345), "accuracy"),
    "an accuracy that is not finite": (_evaluation(accuracy=math.nan), "accuracy"),
    "an evaluation's split": (_evaluation(split="test"), "evaluations"),
    "parameters": (_training(parameters=12), "parameters"),
    "another cell": (_training(cell="0100:input,output ", seed=5), "identity"),
    "another plan": (lambda r: replace(r, plan="0" * 64), "plan"),
    "a window that is not there": (_without("train-2"), "window"),
    "two clocks": (_longer("init", 9.0), "duration"),
    "other data": (
        lambda r: _training(data=replace(r.training.data, sha256="1" * 64))(r),
        "data",
    ),
    "an invalid window": (
        _reading("total", lambda r: invalid("frozen", "stuck", method="counter")),
        "energy",
    ),
    "parts of more than the whole": (
        _reading("train-2", lambda r: replace(r, energy_j=r.energy_j * 9)),
        "parts",
    ),
    "a whole of more than its parts": (
        _reading("total", lambda r: replace(r, energy_j=r.energy_j * 9)),
        "parts",
    ),
}
DOUBTS = {
    "a short step": (
        _reading("train-0", lambda r: invalid("too-short", "no step", method="counter")),
        "too-short",
    ),
    "counter against integral": (
        _reading("total", lambda r: replace(r, agreement="apart", integral_j=r.energy_j / 2)),
        "counter",
    ),
    "a flag": (_reading("total", lambda r: replace(r, flags=("above-power-limit",))),
               "above-power-limit"),
    "uncertainty": (
        _reading("total", lambda r: replace(r, uncertainty_j=r.energy_j / 10)),
        "uncertain",
    ),
    "another process": (
        _reading("train-2", _state(others=(GpuProcess(99, 1e9, True),))),
        "foreign",
    ),
    "throttling": (_reading("train-2", _state(throttle_reasons=("hardware-thermal",))), "clocks"),
    "a low clock": (_reading("train-2", _state(sm_clock_mhz=900.0)), "clocks"),
    "no rest": (_without("rest-after"), "rest"),
    "another rest": (
        _reading("rest-after", lambda r: replace(r, energy_j=r.energy_j * 0.5)),
        "rest",
    ),
    "another torch": (_training(versions={"torch": "0.4"}), "torch"),
    "another device": (_training(device_name="Other GPU"), "device"),
    "no meter": (lambda r: replace(r, meter=replace(r.meter, kind="none")), "unmeasured"),
    "the CPU": (lambda r: replace(r, meter=replace(r.meter, cpu="denied")), "cpu"),
}  # fmt: skip


def test_sound_records_are_spotless(sound: Path) -> None:
    found = validate(sound)
    assert (found.good, found.missing, found.findings) == (True, (), ())
    assert found.spotless


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str, spoil: Spoil) -> None:
    change, code = FAULTS[fault]
    folder = spoil(change)
    name = Plan.read(folder).units[0].name
    found = validate(folder)
    assert not found.good
    assert code in {f.code for f in found.faults}
    assert {f.unit for f in found.faults} == {name}
    assert name in found.redo


@pytest.mark.parametrize("doubt", DOUBTS)
def test_doubts_are_told_and_are_no_faults(doubt: str, spoil: Spoil) -> None:
    change, code = DOUBTS[doubt]
    found = validate(spoil(change))
    assert found.good
    assert not found.spotless
    assert code in {f.code for f in found.doubts}


@pytest.mark.parametrize(("share", "told"), [(0.5, True), (1.1, False)])
def test_a_rest_differs_only_beyond_its_uncertainty(share: float, told: bool, spoil: Spoil) -> None:
    def half(reading: Reading) -> Reading:
        lost = reading.energy_j / 2
        return replace(reading, energy_j=reading.energy_j - lost, uncertainty_j=share * lost)

    found = validate(spoil(_reading("rest-after", half)))
    assert ("rest" in {f.code for f in found.doubts}) is told


def test_a_doubt_asks_for_one_more_training_and_no_further_ones(spoil: Spoil) -> None:
    hot = _reading("total", _state(throttle_reasons=("software-thermal",)))
    folder = spoil(hot)
    first = Plan.read(folder).units[0]
    path = record_path(folder, first)
    before = path.read_bytes()
    path.write_bytes(before[:100])
    found = validate(folder)
    assert requeue(folder, found.redo, why=found.why) == [first.name]
    path.write_bytes(before)  # a fault did not use up what a doubt may ask for
    found = validate(folder)
    assert first.name in found.redo
    assert "clocks" in found.why[first.name]
    requeue(folder, [first.name], why=found.why)
    path.write_bytes(before)  # the GPU is as hot the second time
    found = validate(folder)
    assert first.name not in found.redo
    assert any("software-thermal (measured again already)" in f.text for f in found.doubts)
    path.write_bytes(before[:100])
    assert first.name in validate(folder).redo  # a fault does, each time


def test_repeats_far_apart_are_in_doubt(sound: Path) -> None:
    plan = Plan.read(sound)
    row = plan.units[0].row
    for unit in plan.units:
        path = record_path(sound, unit)
        record = Measurement.read(path)
        joules = 1000.0 * (1 + unit.repeat if unit.row == row else 1)
        _reading("total", lambda r, j=joules: replace(r, energy_j=j))(record).write(path)
    spread = [f for f in validate(sound).doubts if f.code == "spread" and "energy" in f.text]
    assert {f.unit for f in spread} == {u.name for u in plan.units if u.row == row}
    assert all(f.redo and "33%" in f.text for f in spread)


def test_files_that_are_no_records_are_found(sound: Path) -> None:
    first, second, third, _ = Plan.read(sound).units
    record_path(sound, first).write_bytes(b"{")
    record_path(sound, second).unlink()
    (sound / "records" / "90-4-7.json").write_bytes(record_path(sound, third).read_bytes())
    record_path(sound, second).write_bytes(record_path(sound, third).read_bytes())
    found = validate(sound)
    assert {(f.unit, f.code) for f in found.faults} == {
        (first.name, "unreadable"),
        (second.name, "identity"),
        ("90-4-7", "stray"),
    }
    assert set(found.redo) == {first.name, second.name}


def test_what_is_requeued_is_measured_anew(measured: Path, settings: Settings) -> None:
    first = Plan.read(measured).units[0]
    path = record_path(measured, first)
    before = path.read_bytes()
    path.write_bytes(before[:100])
    faults = {f.unit for f in validate(measured).faults}  # doubts come of the machine's noise
    assert requeue(measured, faults) == [first.name]
    assert validate(measured).missing == (first.name,)
    assert [(d.unit, d.attempt, d.how) for d in work(measured, settings)] == [
        (first, 2, "recorded")
    ]
    assert validate(measured).good
    kept = measured / "attempts" / first.name / "requeued-1.json"
    assert kept.read_bytes() == before[:100]
