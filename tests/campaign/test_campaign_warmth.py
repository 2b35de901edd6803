"""Warming up: before a worker's first unit and after a pause, and in no energy of a record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from naslib_ecnas.campaign import Measurement, Plan, Settings, measure_unit, validate, work
from naslib_ecnas.campaign.claims import AttemptLog, attempts, log_windows
from naslib_ecnas.campaign.record import record_path, run_j, total_j
from naslib_ecnas.campaign.worker import PAUSE_S, WARM_UP, Warmth, attempts_folder, images
from naslib_ecnas.errors import ConfigError


def _records(folder: Path) -> list[Measurement]:
    return [Measurement.read(record_path(folder, unit)) for unit in Plan.read(folder).units]


def _names(record: Measurement) -> list[str]:
    return [window.name for window in record.windows]


def _outcome(record: Measurement) -> list[float]:
    losses = [x for s in record.training.segments for x in (s.mean_loss, s.last_loss)]
    return losses + [found.accuracy for found in record.training.evaluations]


@pytest.fixture
def traced(tmp_path: Path, settings: Settings) -> Settings:
    """100 W throughout."""
    trace = tmp_path / "trace.json"
    trace.write_text(json.dumps({"times_s": [0, 1e4], "powers_w": [100, 100]}))
    return replace(settings, meter="replay", replay=str(trace), baseline_s=0.05, warm_up_s=0.3)


def test_the_first_unit_alone_is_warmed_up_and_apart(
    tmp_path: Path, plan: Callable[..., Plan], traced: Settings, measured: Path
) -> None:
    folder = tmp_path / "c"
    plan().write(folder)
    work(folder, traced)
    first, *others = _records(folder)
    assert _names(first)[:2] == [WARM_UP, "rest-before"]
    assert all(WARM_UP not in _names(record) for record in others)
    # The same to the last bit as where nothing was warmed up.
    assert [_outcome(r) for r in (first, *others)] == [_outcome(r) for r in _records(measured)]
    for record in (first, *others):
        assert record.settings.warm_up_s == 0.3
        total = record.window("total")
        assert total is not None
        assert total_j(record, cpu=False) == pytest.approx(100 * total.seconds, rel=1e-6)
        assert run_j(record, cpu=False) < total_j(record, cpu=False)
    window = first.window(WARM_UP)
    assert window is not None
    assert (window.parent, window.seconds >= 0.3) == (None, True)
    place = attempts_folder(folder, first.unit)
    assert log_windows(place / "0001.log")[0] == window
    # An attempt's own account has all that was used.
    known = sum(100 * w.seconds for w in first.windows if w.parent is None)
    assert attempts(place)[0].energy_j == pytest.approx(known, rel=1e-6)
    assert validate(folder).good


def test_none_on_a_cpu_and_a_minute_on_a_gpu_where_nothing_is_said() -> None:
    assert Settings().warm_up_s == 0.0
    assert Settings(device="cuda:1").warm_up_s == 60.0
    assert Settings(device="cuda:1", warm_up_s=0).warm_up_s == 0
    for wrong in (-1.0, float("inf"), float("nan"), "2"):
        with pytest.raises(ConfigError, match="warm_up_s"):
            Settings(warm_up_s=wrong)  # type: ignore[arg-type]


def test_a_pause_makes_a_device_cold() -> None:
    now = [1000.0]
    warmth = Warmth(clock=lambda: now[0])
    assert warmth.cold
    now[0] += 1
    assert warmth.cold  # time alone warms nothing
    warmth.keep()
    now[0] += PAUSE_S
    assert not warmth.cold
    now[0] += 1
    assert warmth.cold


def test_a_unit_by_itself_is_a_first_one(
    tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    made, warmth = plan(rows=(0,), repeats=1), Warmth()
    unit, data = made.units[0], images(made.data)
    settings = replace(settings, warm_up_s=0.05)

    def measure(number: int, known: Warmth | None) -> list[str]:
        log = AttemptLog(tmp_path, number)
        return _names(measure_unit(unit, made, settings, data=data, log=log, warmth=known))

    assert [WARM_UP in measure(1, None), WARM_UP in measure(2, None)] == [True, True]
    assert [WARM_UP in measure(3, warmth), WARM_UP in measure(4, warmth)] == [True, False]


def _cold(folder: Path, pause_s: float) -> list[str]:
    """Units in doubt where one worker made all of them, cold, with a pause after each."""
    units, began = Plan.read(folder).units, 1000.0
    for unit in units:
        path = record_path(folder, unit)
        record = Measurement.read(path)
        owner = replace(record.owner, claimed_unix=began, pid=7)
        settings = replace(record.settings, warm_up_s=0, baseline_s=1.0)
        replace(record, owner=owner, settings=settings).write(path)
        began += record.training.total_time_s + 2.0 + pause_s
    return [f.unit for f in validate(folder).doubts if f.code == "cold"]


def test_records_that_were_made_cold_are_in_doubt(sound: Path) -> None:
    assert "cold" not in {f.code for f in validate(sound).findings}
    units = [unit.name for unit in Plan.read(sound).units]
    assert _cold(sound, pause_s=PAUSE_S - 1) == units[:1]
    assert _cold(sound, pause_s=PAUSE_S + 1) == units
    assert set(units) <= set(validate(sound).redo)


def test_a_cpu_is_never_in_doubt(measured: Path) -> None:
    assert "cold" not in {f.code for f in validate(measured).findings}
