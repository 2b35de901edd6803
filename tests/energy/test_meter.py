"""The meter on the real pynvml and a stand-in NVML whose energies are known in closed form."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from naslib_ecnas.energy import (
    EnergyMeter,
    Meter,
    Reading,
    SharedGpu,
    Unsupported,
    Window,
)
from naslib_ecnas.errors import ConfigError


@contextmanager
def opened(**options: Any) -> Iterator[EnergyMeter]:
    with EnergyMeter(**{"cpu": False, "poll_seconds": 0.2, **options}) as meter:
        yield meter


def one(window: Window) -> Reading:
    (reading,) = window.energy_j.values()
    return reading


def test_constant_power_times_seconds(standin: Any) -> None:
    standin.set(power=200)
    with opened() as meter:
        assert isinstance(meter, Meter)
        assert meter.methods == {standin.uuid(): "counter"}
        assert meter.periods_s[standin.uuid()] == pytest.approx(0.01, abs=0.005)
        with meter.window("train") as w:
            time.sleep(0.4)
    reading = one(w.window)
    assert reading.valid
    assert reading.method == "counter"
    assert reading.agreement == "agree"
    assert abs(reading.energy_j - 200 * w.window.seconds) <= reading.uncertainty_j
    assert reading.integral_j == pytest.approx(200 * w.window.seconds, rel=0.02)
    assert 200 * 0.006 < reading.uncertainty_j < 200 * 0.03
    assert w.window.gpu_total_j == reading.energy_j
    assert reading.flags == ()


def test_ten_seconds_at_250_w_are_2500_j_exactly(standin: Any) -> None:
    """By the stand-in's own clock, so that not a millijoule depends on this machine's."""
    standin.set(instant=0, average=0, period=0.001)
    with EnergyMeter(cpu=False, poll_seconds=0.2) as meter:
        start = standin.now() + 1
        standin.set(clock=start, period=0)
        standin.set(power=250)
        with meter.window("train") as w:
            standin.set(clock=start + 10)
        again = meter.window("next")
        with again:
            standin.set(clock=start + 14)
    assert w.window.gpu_total_j == pytest.approx(2500, abs=1e-9)
    assert again.window.gpu_total_j == pytest.approx(1000, abs=1e-9)
    assert w.window.seconds < 5


@pytest.mark.parametrize(
    ("sensors", "method"),
    [
        ({"counter": 0}, "instant-power"),
        ({"counter": 0, "instant": 0}, "average-power"),
    ],
)
def test_power_is_integrated_where_there_is_no_counter(
    standin: Any, sensors: dict[str, int], method: str
) -> None:
    standin.set(power=150, **sensors)
    with opened() as meter:
        assert meter.methods == {standin.uuid(): method}
        assert any(note.startswith("counter:") for note in meter.notes[standin.uuid()])
        with meter.window("train") as w:
            time.sleep(0.05)  # shorter than a sampling step: the edges alone cover it
    reading = one(w.window)
    assert reading.method == method
    assert reading.agreement == "unchecked"
    assert math.isnan(reading.integral_j)
    assert reading.energy_j == pytest.approx(150 * w.window.seconds, rel=0.05)


def test_a_sine_of_power_integrates_to_its_closed_form(standin: Any) -> None:
    standin.set(counter=0, power=200, swing=100, hertz=1.0)
    with opened(sample_hz=50) as meter, meter.window("train") as w:
        time.sleep(0.8)
    omega, t0 = 2 * math.pi, standin.origin()
    a, b = w.window.started - t0, w.window.stopped - t0
    exact = 200 * (b - a) + 100 * (math.cos(omega * a) - math.cos(omega * b)) / omega
    reading = one(w.window)
    assert reading.energy_j == pytest.approx(exact, rel=0.01)
    assert abs(reading.energy_j - exact) <= reading.uncertainty_j


def test_without_any_sensor_it_is_unsupported(standin: Any) -> None:
    standin.set(counter=0, instant=0, average=0)
    with pytest.raises(Unsupported, match="no sensor of energy or power") as caught:
        EnergyMeter(cpu=False)
    assert "counter" in str(caught.value.value)
    assert standin.running() == 0


def test_a_counter_that_stands_still_from_the_start_is_not_used(standin: Any) -> None:
    standin.set(frozen=1)
    with opened() as meter:
        assert meter.methods == {standin.uuid(): "instant-power"}
        assert "did not move" in meter.notes[standin.uuid()][0]


def test_nested_windows_sum_to_the_total(standin: Any) -> None:
    standin.set(power=250)
    with opened() as meter:
        with meter.window("total") as total:
            with meter.window("init"):
                time.sleep(0.1)
            for _ in range(2):
                with meter.window("train"):
                    time.sleep(0.15)
            time.sleep(0.1)
        (check,) = meter.check_parts(total.window)
    assert [w.path for w in meter.windows] == ["total/init", "total/train", "total/train", "total"]
    assert [w.index for w in meter.windows] == [1, 2, 3, 0]
    assert [w.parent for w in meter.windows] == [0, 0, 0, None]
    assert check.verdict == "ok"
    parts = sum(w.gpu_total_j for w in meter.windows[:3])
    assert check.parts_j == pytest.approx(parts)
    assert check.total_j == pytest.approx(check.parts_j + check.rest_j)
    assert abs(check.rest_j - 250 * check.uncovered_s) <= check.tolerance_j
    assert 0.1 <= check.uncovered_s < 0.25


def test_several_gpus_are_added_not_averaged(standin: Any) -> None:
    standin.set(gpus=3)
    for gpu in range(3):
        standin.set(gpu, power=100 * (gpu + 1))
    with opened(devices=[0, "cuda:2", 0]) as meter, meter.window("train") as w:
        time.sleep(0.3)
    assert set(w.window.energy_j) == {standin.uuid(0), standin.uuid(2)}
    assert w.window.gpu_total_j == pytest.approx(400 * w.window.seconds, rel=0.12)


def test_sync_is_called_before_both_edges_and_nowhere_else(standin: Any) -> None:
    calls: list[int] = []
    with opened(sync=lambda: calls.append(standin.queries())) as meter:
        assert calls == []
        with meter.window("a"):
            assert len(calls) == 1
            time.sleep(0.05)
            assert len(calls) == 1
        assert len(calls) == 2
        meter.windows  # noqa: B018 - looking must not synchronise
    assert len(calls) == 2


def test_work_still_queued_falls_into_its_window(standin: Any) -> None:
    with opened(sync=lambda: time.sleep(0.2)) as meter, meter.window("queued") as w:
        pass
    assert w.window.seconds == pytest.approx(0.2, abs=0.1)
    assert w.window.gpu_total_j == pytest.approx(20, abs=6)


def test_counter_and_power_that_disagree_are_flagged(standin: Any) -> None:
    standin.set(scale=1.5, power=300)
    with opened() as meter, meter.window("train") as w:
        time.sleep(0.5)
    reading = one(w.window)
    assert reading.valid
    assert reading.agreement == "apart"
    assert "counter-against-power" in reading.flags
    assert reading.integral_j == pytest.approx(300 * w.window.seconds, rel=0.03)


def test_more_than_the_power_limit_is_flagged(standin: Any) -> None:
    standin.set(power=600)  # the limit is 400 W
    with opened() as meter, meter.window("train") as w:
        time.sleep(0.4)
    assert "above-power-limit" in one(w.window).flags


def test_the_state_of_the_gpu_stands_at_the_edges(standin: Any) -> None:
    with opened() as meter, meter.window("train") as w:
        time.sleep(0.05)
    for state in (one(w.window).start, one(w.window).stop):
        assert state is not None
        assert state.temperature_c == 61
        assert (state.sm_clock_mhz, state.memory_clock_mhz) == (1410, 1593)
        assert state.power_limit_w == 400
        assert state.power_w == pytest.approx(100, rel=0.01)
        assert state.throttle_reasons == ("software-power-cap", "software-thermal")
        assert state.others == ()
        assert state.unsupported == ()


def test_states_that_are_not_supported_are_named_not_zero(standin: Any) -> None:
    standin.set(states=0)
    with opened() as meter, meter.window("train") as w:
        time.sleep(0.05)
    assert one(w.window).valid
    state = one(w.window).start
    assert state is not None
    assert math.isnan(state.temperature_c)
    assert state.throttle_reasons is None
    assert state.others is None
    assert set(state.unsupported) == {
        "temperature_c",
        "sm_clock_mhz",
        "memory_clock_mhz",
        "power_limit_w",
        "throttle_reasons",
        "others",
    }


def test_a_divided_gpu_is_refused_or_flagged(standin: Any) -> None:
    standin.set(mig=1)
    with pytest.raises(SharedGpu, match="MIG") as caught:
        EnergyMeter(cpu=False)
    assert caught.value.value == standin.uuid()
    with opened(shared="flag") as meter, meter.window("train") as w:
        time.sleep(0.05)
    assert one(w.window).valid
    assert "shared" in one(w.window).flags


def test_other_processes_are_refused_or_flagged(standin: Any) -> None:
    standin.set(other=1)  # the system's first process is there, and is not ours
    with pytest.raises(SharedGpu, match="other processes"):
        EnergyMeter(cpu=False)
    with opened(shared="flag") as meter, meter.window("train") as w:
        time.sleep(0.05)
    assert "shared" in one(w.window).flags
    state = one(w.window).stop
    assert state is not None
    assert state.others is not None
    assert [(p.pid, p.memory_bytes, p.visible) for p in state.others] == [(1, 2.0**30, True)]


def test_a_process_that_comes_later_invalidates_where_sharing_is_refused(standin: Any) -> None:
    with opened() as meter, meter.window("train") as w:
        standin.set(other=1)
        time.sleep(0.05)
    assert one(w.window).reason == "shared"
    assert "[1]" in one(w.window).detail


def test_a_process_of_ours_is_not_another(standin: Any) -> None:
    """This process, its child, and one that a container cannot see: it may be this one."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    standin.set(other=os.getpid())
    standin.set(other=child.pid)
    with opened() as meter, meter.window("train") as w:
        time.sleep(0.05)
    child.communicate()
    state = one(w.window).start
    assert state is not None
    assert state.others == ()
    unseen = 4_194_305  # above the highest number that Linux gives
    standin.set(other=0)
    standin.set(other=unseen)
    with opened():
        pass
    standin.set(other=unseen + 1)
    with pytest.raises(SharedGpu, match=str(unseen + 1)):
        EnergyMeter(cpu=False)
    standin.set(other=0)
    standin.set(other=os.getpid())
    standin.set(other=unseen)
    with pytest.raises(SharedGpu, match=str(unseen)):
        EnergyMeter(cpu=False)


def test_an_exception_in_the_work_keeps_the_window(standin: Any) -> None:
    def work() -> None:
        with meter.window("train"):
            time.sleep(0.1)
            raise ZeroDivisionError

    with opened() as meter:
        with pytest.raises(ZeroDivisionError):
            work()
        (window,) = meter.windows
    assert window.error == "ZeroDivisionError"
    assert window.valid


def test_closing_keeps_open_windows_as_unfinished(standin: Any) -> None:
    meter = EnergyMeter(cpu=False, poll_seconds=0.25)
    with meter.window("outer"), meter.window("inner") as inner:
        time.sleep(0.03)
        meter.close()
        meter.close()
    assert [w.path for w in meter.windows] == ["outer/inner", "outer"]
    assert {w.reasons for w in meter.windows} == {("unfinished",)}
    assert inner.window.path == "outer/inner"
    assert standin.running() == 0
    with meter.window("late") as late:
        pass
    assert one(late.window).reason == "meter-failed"


def test_a_window_is_asked_for_after_its_block_and_used_once(standin: Any) -> None:
    with opened() as meter:
        with meter.window("a") as w, pytest.raises(ConfigError, match="still open"):
            _ = w.window
        with pytest.raises(ConfigError, match="one block only"), w:
            pass
        for bad in ("", "a/b", 3):
            with pytest.raises(ConfigError, match="no name"):
                meter.window(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"devices": "cuda:0"},
        {"devices": 0},
        {"shared": "maybe"},
        {"sample_hz": 0},
        {"sample_hz": math.nan},
        {"sample_hz": 1000.5},
        {"poll_seconds": -1},
        {"poll_seconds": 60.5},
        {"poll_seconds": "1"},
        {"patience_s": True},
        {"patience_s": 3600.5},
    ],
)
def test_settings_out_of_range(standin: Any, options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(ConfigError) as raised:
        EnergyMeter(**options)
    assert raised.value.value == value or value != value
    assert raised.value.what.startswith(name) or name == "shared"
    assert standin.running() == 0


def test_the_largest_settings_are_taken_and_without_gpus_nvml_is_left_alone(standin: Any) -> None:
    most = {"sample_hz": 1000, "poll_seconds": 60, "patience_s": 3600}
    with EnergyMeter(devices=(), cpu=False, **most) as meter, meter.window("rest") as w:
        assert standin.running() == 0
    assert (meter.methods, meter.periods_s, meter.notes) == ({}, {}, {})
    assert meter.cpu_state.kind == w.window.cpu_state.kind == "off"
    assert w.window.energy_j == {}
    for seconds in (math.inf, math.nan, -1, 0, "1"):
        with pytest.raises(ConfigError, match="no duration"):
            meter.baseline(seconds)  # type: ignore[arg-type]


def test_baseline_is_power_at_rest(standin: Any) -> None:
    standin.set(power=60)
    with opened() as meter:
        before = meter.baseline(0.3)
        with pytest.raises(ConfigError):
            meter.baseline(0)
    assert before.window.name == "baseline"
    assert before.power_w[standin.uuid()] == pytest.approx(60, rel=0.12)


def test_a_whole_window_survives_json(standin: Any) -> None:
    with opened(shared="flag") as meter, meter.window("train") as w:
        standin.set(other=1)
        time.sleep(0.1)
    again = Window.from_json(w.window.to_json(indent=1))
    assert again.to_json() == w.window.to_json()
    assert again.energy_j[standin.uuid()].stop == one(w.window).stop
    assert again.gpu_total_j == w.window.gpu_total_j
