"""What goes wrong with a GPU: its window is invalid and says why, and the training goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from naslib_ecnas.energy import (
    EnergyMeter,
    GpuLost,
    NvmlUnavailable,
    Reading,
    UnknownDevice,
    Window,
)


@contextmanager
def opened(**options: Any) -> Iterator[EnergyMeter]:
    with EnergyMeter(**{"cpu": False, "poll_seconds": 0.2, **options}) as meter:
        yield meter


def one(window: Window) -> Reading:
    (reading,) = window.energy_j.values()
    return reading


def test_a_failing_sync_invalidates_and_does_not_raise(standin: Any) -> None:
    def sync() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with opened(sync=sync) as meter, meter.window("train") as w:
        time.sleep(0.02)
    reading = one(w.window)
    assert (reading.valid, reading.reason) == (False, "sync-failed")
    assert "illegal memory access" in reading.detail


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"reset": 0}, "reset"),
        ({"lost": 1}, "gpu-lost"),
        ({"nan": 1}, "not-a-number"),
        ({"denied": 1}, "denied"),
        ({"flaky": 1}, "query-failed"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_fault_makes_the_window_invalid_and_the_training_goes_on(
    standin: Any, fault: dict[str, int], reason: str, nested: bool
) -> None:
    done = False
    with opened() as meter:
        with meter.window("outer") as outer, meter.window("train") as inner:
            time.sleep(0.05)
            standin.set(**fault)
            time.sleep(0.05)
            done = True
        window = (outer if nested else inner).window
    assert done
    reading = one(window)
    assert (reading.valid, reading.reason) == (False, reason)
    assert math.isnan(reading.energy_j)
    assert math.isnan(window.gpu_total_j)
    assert window.reasons == (reason,)
    assert not window.valid


@pytest.mark.parametrize(
    ("fault", "cure"),
    [({"reset": 0}, {}), ({"lost": 1}, {"lost": 0}), ({"nan": 1}, {"nan": 0})],
)
def test_a_fault_between_the_edges_is_seen_and_the_next_window_is_good(
    standin: Any, fault: dict[str, int], cure: dict[str, int]
) -> None:
    standin.set(power=1000)
    with opened(sample_hz=100) as meter:
        with meter.window("hit") as hit:
            time.sleep(0.03)
            standin.set(**fault)
            time.sleep(0.05)
            standin.set(**cure)
            time.sleep(0.25)
        with meter.window("after") as after:
            time.sleep(0.2)
    assert not hit.window.valid
    assert after.window.valid
    assert after.window.gpu_total_j == pytest.approx(200, rel=0.25)


def test_a_reset_that_the_edges_alone_would_miss(standin: Any) -> None:
    """The counter falls and rises above its first value before the window ends."""
    with opened() as meter, meter.window("train") as w:
        standin.set(reset=0)
        time.sleep(0.25)
        standin.set(reset=50_000)
        time.sleep(0.05)
    assert one(w.window).reason == "reset"


def test_a_counter_that_freezes_later_is_found(standin: Any) -> None:
    with opened() as meter:
        with meter.window("train") as w:
            time.sleep(0.1)
            standin.set(frozen=1)
            time.sleep(1.2)
        with meter.window("next") as after:
            time.sleep(0.05)
    assert one(w.window).reason == "frozen"
    assert "had not moved for" in one(w.window).detail
    assert one(after.window).reason == "frozen"


def test_a_window_shorter_than_a_refresh_is_not_zero(standin: Any) -> None:
    standin.set(period=0.2)
    with opened(poll_seconds=0.7) as meter:
        readings = []
        for _ in range(3):
            with meter.window("tiny") as w:
                pass
            readings.append(one(w.window))
    assert {r.reason for r in readings if not r.valid} == {"too-short"}
    assert all(math.isnan(r.energy_j) for r in readings if not r.valid)
    assert all(r.energy_j > 0 for r in readings if r.valid)
    assert all(math.isfinite(r.integral_j) for r in readings)


def test_a_lost_gpu_and_an_absent_driver_are_told_at_opening(standin: Any) -> None:
    standin.set(gpus=2)
    standin.set(1, lost=1)
    with pytest.raises(UnknownDevice):
        EnergyMeter(devices=[standin.uuid(1)], cpu=False)
    with opened(devices=[standin.uuid(0)]) as meter:
        assert len(meter.methods) == 1
    standin.set(driver=0)
    with pytest.raises(NvmlUnavailable, match="Driver Not Loaded"):
        EnergyMeter(cpu=False)


def test_a_gpu_lost_while_opening(standin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from naslib_ecnas.energy.nvml import Nvml

    found = Nvml.gpus

    def then_lose(self: Nvml) -> Any:
        gpus = found(self)
        standin.set(lost=1)
        return gpus

    monkeypatch.setattr(Nvml, "gpus", then_lose)
    with pytest.raises(GpuLost):
        EnergyMeter(cpu=False)
    assert standin.running() == 0
