"""The meter on the real pynvml and a stand-in NVML whose energies are known in closed form."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import product
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from naslib_ecnas.energy import (
    EnergyMeter,
    GpuLost,
    GpuProcess,
    GpuState,
    Meter,
    NvmlUnavailable,
    Reading,
    SharedGpu,
    UnknownDevice,
    Unsupported,
    Window,
)
from naslib_ecnas.energy.nvml import Nvml
from naslib_ecnas.errors import ConfigError


def one(window: Window) -> Reading:
    """The GPU reading of a window of one GPU."""
    (reading,) = window.energy_j.values()
    return reading


def measured(standin: Any, seconds: float = 0.4, **options: Any) -> Window:
    """A window of so many seconds, with a sample in the middle."""
    with standin.meter(**options) as meter, meter.window("train") as w:
        standin.elapse(meter, seconds, samples=2)
    return w.window


# -- energies -------------------------------------------------------------------------------------


def test_constant_power_times_seconds(standin: Any) -> None:
    standin.set(power=200)
    with standin.meter() as meter:
        assert isinstance(meter, Meter)
        assert meter.methods == {standin.uuid(): "counter"}
        period = meter.periods_s[standin.uuid()]
        assert period == pytest.approx(0.01, abs=0.002)
        with meter.window("train") as w:
            standin.elapse(meter, 0.4)
    reading = one(w.window)
    assert w.window.seconds == pytest.approx(0.4)
    assert (reading.valid, reading.method, reading.agreement) == (True, "counter", "agree")
    assert reading.uncertainty_j == pytest.approx(200 * period + 1e-3)
    assert abs(reading.energy_j - 80) <= reading.uncertainty_j
    assert reading.integral_j == pytest.approx(80)
    assert w.window.gpu_total_j == reading.energy_j
    assert reading.flags == ()


def test_power_of_a_window_shorter_than_a_sampling_period(standin: Any) -> None:
    """The edges alone cover it; 0 W is a value like others."""
    for watts, nan, reason in ((150, 0, ""), (0, 0, ""), (0, 1, "not-a-number")):
        standin.set(counter=0, power=watts, nan=0)
        with standin.meter() as meter:
            standin.set(nan=nan)
            with meter.window("train") as w:
                standin.sleep(0.05)
        reading = one(w.window)
        assert (reading.method, reading.reason) == ("instant-power", reason)
        assert reason or reading.energy_j == pytest.approx(watts * 0.05, abs=1e-3)


def test_several_gpus_are_added_not_averaged(standin: Any) -> None:
    standin.set(gpus=3)
    for gpu in range(3):
        standin.set(gpu, power=100 * (gpu + 1))
    window = measured(standin, 1.0, devices=[0, "cuda:2", 0])
    assert set(window.energy_j) == {standin.uuid(0), standin.uuid(2)}
    assert window.gpu_total_j == pytest.approx(400, abs=4)


def test_both_edges_wait_for_the_gpus_that_torch_uses(
    standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three the last, which has memory of torch, and only if CUDA is in use; or by a `sync` of
    one's own. What the last edge waits for lies in the window."""
    wait = Mock(side_effect=lambda index: standin.sleep(0.2))
    cuda = SimpleNamespace(
        is_available=lambda: False,
        device_count=lambda: 3,
        memory_reserved=lambda index: index // 2,
        synchronize=wait,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    for options, used, calls in (
        ({}, True, 2),
        ({}, False, 0),
        ({"sync": None}, True, 0),
        ({"sync": lambda: wait(2)}, False, 2),
    ):
        wait.reset_mock()
        cuda.is_initialized = Mock(return_value=used)
        window = measured(standin, **options)
        assert [call.args for call in wait.call_args_list] == [(2,)] * calls
        assert window.seconds == pytest.approx(0.4 + 0.1 * calls)
        assert abs(window.gpu_total_j - 100 * window.seconds) <= one(window).uncertainty_j


def test_windows_of_callbacks(standin: Any) -> None:
    """`end` closes the last window of a name, and what began in it."""
    with standin.meter() as meter:
        meter.begin("fit")
        for _ in range(2):
            meter.begin("epoch")
            standin.elapse(meter, 0.2)
            assert meter.end("epoch").gpu_total_j == pytest.approx(20, abs=2)
        meter.begin("epoch")
        with meter.window("step"):
            standin.elapse(meter, 0.2)
            fit = meter.end("fit")
        for name in ("fit", "epoch", "other"):
            with pytest.raises(ConfigError, match=r"end needs an open window, of \[\]"):
                meter.end(name)
    paths = [f"fit/{name}" for name in ("epoch", "epoch", "epoch/step", "epoch")]
    assert [w.path for w in meter.windows] == [*paths, "fit"]
    assert all(w.valid for w in meter.windows)
    assert fit.gpu_total_j == pytest.approx(60, abs=2)


def test_baseline_is_power_at_rest(standin: Any) -> None:
    standin.set(power=60)
    with standin.meter() as meter:
        before = meter.baseline(0.3)
        for seconds in (math.inf, math.nan, -1, 0, "1"):
            with pytest.raises(ConfigError, match="seconds of a baseline must be"):
                meter.baseline(seconds)
    assert (before.window.name, before.window.seconds) == ("baseline", pytest.approx(0.3))
    off = abs(before.power_w[standin.uuid()] - 60)
    assert off <= before.uncertainty_w[standin.uuid()] < 6


# -- what is flagged, refused and kept ------------------------------------------------------------


def test_the_state_of_the_gpu_is_kept_at_the_edges(standin: Any) -> None:
    throttling = ("software-power-cap", "software-thermal", "other-0x600")
    known = GpuState(pytest.approx(100), 61, 1410, 1593, 400, throttling, ())
    reading = one(measured(standin))
    assert (reading.start, reading.stop) == (known, known)
    standin.set(states=0)
    for instant in (1, 0):  # without it the power of the state is the average one
        standin.set(instant=instant)
        reading = one(measured(standin))
        state = reading.start
        assert reading.valid
        assert state is not None
        assert math.isnan(state.temperature_c)
        assert state.throttle_reasons is state.others is None
        assert state.power_w == pytest.approx(100)
        unsupported = "memory_clock_mhz others power_limit_w sm_clock_mhz temperature_c"
        assert sorted(state.unsupported) == [*unsupported.split(), "throttle_reasons"]


def test_a_shared_gpu_is_refused_or_flagged(standin: Any) -> None:
    # The system's first process exists, and is not ours; at last it only draws.
    for draws, flags in ((False, ("shared",)), (True, ("graphics",))):
        standin.set(other=0, drawer=0)
        standin.set(**{"drawer" if draws else "other": 1})
        for shared in ("refuse", "graphics", "flag"):
            if shared == "refuse" or (shared == "graphics" and not draws):
                with pytest.raises(SharedGpu, match="other processes"):
                    standin.meter(shared=shared)
                continue
            reading = one(measured(standin, shared=shared))
            assert (reading.valid, reading.flags) == (True, flags)
            assert reading.stop is not None
            assert reading.stop.others == (GpuProcess(1, 2.0**30, True, draws=draws),)
    standin.set(drawer=0)
    with standin.meter() as meter, meter.window("train") as w:
        standin.set(other=1)  # it comes later
        standin.elapse(meter, 0.1)
    assert (one(w.window).reason, "[1]" in one(w.window).detail) == ("shared", True)
    standin.set(other=0, mig=1)
    with pytest.raises(SharedGpu, match="MIG") as caught:
        standin.meter()
    assert caught.value.value == standin.uuid()
    assert "shared" in one(measured(standin, shared="flag")).flags
    assert standin.running() == 0


def test_a_process_of_ours_is_not_another(standin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, its child, and one that a container cannot see: this one, if it uses CUDA."""

    def use(*pids: int) -> None:
        standin.set(other=0)
        for pid in pids:
            standin.set(other=pid)

    with subprocess.Popen(["sleep", "600"]) as child:
        use(os.getpid(), child.pid)
        state = one(measured(standin)).start
        child.kill()
    assert state is not None
    assert state.others == ()
    unseen = 4_194_305  # above the highest number that Linux gives
    used = False
    cuda = SimpleNamespace(
        is_available=lambda: False, is_initialized=lambda: used, device_count=lambda: 0
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    for used, pids in product(
        (False, True), ((unseen,), (unseen, unseen + 1), (os.getpid(), unseen))
    ):
        use(*pids)
        if used and pids == (unseen,):
            assert one(measured(standin)).valid
            continue
        with pytest.raises(SharedGpu, match=str(pids[-1])):
            standin.meter()


def test_windows_that_end_early_are_kept(standin: Any) -> None:
    meter = standin.meter()

    def work() -> None:
        with meter.window("train"):
            standin.elapse(meter, 0.1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert (meter.windows[0].error, meter.windows[0].valid) == ("ZeroDivisionError", True)
    with meter.window("outer"), meter.window("inner") as inner:
        standin.elapse(meter, 0.1)
        meter.close()
        meter.close()
    assert [w.path for w in meter.windows] == ["train", "outer/inner", "outer"]
    assert {w.reasons for w in meter.windows[1:]} == {("unfinished",)}
    assert inner.window.path == "outer/inner"
    assert standin.running() == 0
    with meter.window("late") as late:
        pass
    assert one(late.window).reason == "meter-failed"


def test_a_sync_that_is_interrupted_or_fails(standin: Any) -> None:
    """An interrupt at its start leaves no window; an error invalidates it and is not raised."""
    illegal = RuntimeError("CUDA error: an illegal memory access was encountered")
    sync = Mock(side_effect=(KeyboardInterrupt, None, None, illegal, None))
    with standin.meter(sync=sync) as meter:
        with pytest.raises(KeyboardInterrupt), meter.window("interrupted"):
            pass
        for name in ("next", "failed"):
            with meter.window(name):
                standin.elapse(meter, 0.1)
    found = [(w.path, w.index, w.parent, w.valid) for w in meter.windows]
    assert found == [("next", 1, None, True), ("failed", 2, None, False)]
    reading = one(meter.windows[1])
    assert reading.reason == "sync-failed"
    assert "illegal memory access" in reading.detail


def test_a_window_is_read_after_its_block_and_used_once(standin: Any) -> None:
    with standin.meter(shared="flag") as meter:
        with meter.window("a") as w, pytest.raises(ConfigError, match="still open"):
            _ = w.window
        with pytest.raises(ConfigError, match="one block only"), w:
            pass
        for bad in ("", "a/b", 3):
            with pytest.raises(ConfigError, match="without a slash"):
                meter.window(bad)


# -- settings -------------------------------------------------------------------------------------


def test_settings_out_of_range(standin: Any) -> None:
    for name, value in (
        ("devices", "cuda:0"), ("devices", 0), ("shared", "maybe"), ("sample_hz", 0),
        ("sample_hz", math.nan), ("sample_hz", 1000.5), ("poll_seconds", -1),
        ("poll_seconds", 60.5), ("poll_seconds", "1"), ("patience_s", True), ("patience_s", 3600.5),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=f"^{name} must be"):
            EnergyMeter(**{name: value})
    assert standin.running() == 0
    most = {"sample_hz": 1000, "poll_seconds": 60, "patience_s": 3600}
    with EnergyMeter(devices=(), cpu=False, **most) as meter, meter.window("rest") as w:
        assert standin.running() == 0
    assert meter.methods == meter.periods_s == meter.notes == meter.setups == {}
    assert meter.cpu_state.kind == w.window.cpu_state.kind == "off"
    assert w.window.energy_j == {}


# -- faults ---------------------------------------------------------------------------------------


def test_a_gpu_that_cannot_be_measured_is_an_error_of_opening(
    standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.set(frozen=1)
    with standin.meter() as meter:
        assert meter.methods == {standin.uuid(): "instant-power"}
        assert "did not move" in meter.notes[standin.uuid()][0]
    standin.set(counter=0, instant=0, average=0)
    with pytest.raises(Unsupported, match="no sensor of energy or power") as caught:
        standin.meter()
    assert "counter" in str(caught.value.value)
    standin.set(gpus=2, average=1)
    standin.set(1, lost=1)
    with pytest.raises(UnknownDevice):
        standin.meter(devices=[standin.uuid(1)])
    with standin.meter(devices=[standin.uuid(0)]) as meter:
        assert len(meter.methods) == 1
    found = Nvml.gpus

    def then_lose(self: Nvml) -> Any:
        gpus = found(self)
        standin.set(lost=1)
        return gpus

    monkeypatch.setattr(Nvml, "gpus", then_lose)
    with pytest.raises(GpuLost, match="GPU_IS_LOST"):
        standin.meter()
    standin.set(driver=0)
    with pytest.raises(NvmlUnavailable, match="Driver Not Loaded"):
        standin.meter()
    assert standin.running() == 0


FAULTS: list[tuple[dict[str, int], str, dict[str, int] | None]] = [
    # The counter rises above its first value before the window ends: the edges do not show it.
    ({"reset": 0}, "reset", {"reset": 50_000}),
    ({"lost": 1}, "gpu-lost", {"lost": 0}),
    ({"nan": 1}, "not-a-number", {"nan": 0}),
    ({"denied": 1}, "denied", None),
    ({"flaky": 1}, "query-failed", None),
]


@pytest.mark.parametrize(("fault", "reason", "cure"), FAULTS)
def test_a_fault_makes_the_window_invalid_and_the_training_goes_on(
    standin: Any, fault: dict[str, int], reason: str, cure: dict[str, int] | None
) -> None:
    with standin.meter() as meter:
        with meter.window("outer") as outer, meter.window("train") as inner:
            standin.elapse(meter, 0.1)
            standin.set(**fault)
            standin.elapse(meter, 0.1)
        for window in (inner.window, outer.window):
            assert (window.reasons, window.valid) == ((reason,), False)
            assert math.isnan(one(window).energy_j)
            assert math.isnan(window.gpu_total_j)
        if cure is None:
            return
        standin.set(**cure)  # a fault that is over before the window ends is seen too
        with meter.window("hit") as hit:
            for change in ({}, fault, cure):
                standin.set(**change)
                standin.elapse(meter, 0.1)
        with meter.window("after") as after:
            standin.elapse(meter, 0.2)
    assert hit.window.reasons == (reason,)
    assert abs(after.window.gpu_total_j - 20) <= one(after.window).uncertainty_j
