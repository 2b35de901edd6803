"""The meter's thread: it hangs, fails, is forked or killed, and the training goes on."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.energy import Window
from naslib_ecnas.energy.meter import SensorThread
from naslib_ecnas.energy.sensors import MeterFailed

SAFETY_S = 600.0


def meter_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ecnas-meter"]


class Sampler(SensorThread):
    """Calls a function in place of sampling sensors."""

    def __init__(self, sample: Callable[[], object], **options: Any) -> None:
        self.sample = sample
        super().__init__({}, ExitStack(), **options)


def test_it_samples_when_due_and_answers_in_between() -> None:
    now, times = [0.0], []
    thread = Sampler(lambda: times.append(now[0]), period_s=10.0, clock=lambda: now[0])
    for moment in (0.0, 4.0, 9.5, 10.0, 12.0, 95.0, 96.0, 106.0):
        now[0] = moment
        for _ in range(2):  # at the second answer the thread has seen the new time
            assert thread.ask(lambda: 42, timeout_s=SAFETY_S) == 42
    assert list(dict.fromkeys(times)) == [0.0, 10.0, 95.0, 106.0]
    assert len(times) <= 6  # at 95 s those of 20 to 90 s are not made up for
    assert thread.close()
    assert thread.close()
    assert meter_threads() == []
    with pytest.raises(MeterFailed, match="closed"):
        thread.ask(lambda: 42, timeout_s=1)


def test_errors_of_jobs_and_samples_do_not_end_it() -> None:
    third, samples = threading.Event(), count(1)

    def fail() -> None:
        raise OSError("a binding broke")

    def sample() -> None:
        if next(samples) == 3:
            third.set()
        fail()

    thread = Sampler(sample, period_s=0.01)
    for _ in range(2):
        with pytest.raises(MeterFailed, match="a binding broke"):
            thread.ask(fail, timeout_s=SAFETY_S)
    assert third.wait(SAFETY_S)
    assert thread.ask(lambda: "alive", timeout_s=SAFETY_S) == "alive"
    assert thread.close(timeout_s=SAFETY_S)


def test_a_driver_that_hangs_is_waited_for_once(standin: Any) -> None:
    """Were it waited for again, each of these windows would last for the meter's patience."""
    meter = standin.meter()
    thread = meter._thread
    standin.set(hang=1)
    with pytest.raises(MeterFailed, match=r"within 0\.1 s"):
        thread.ask(thread.sample, timeout_s=0.1)
    with meter.window("outer") as outer:
        for _ in range(5):
            with meter.window("train") as w:
                pass
    for window in (outer.window, w.window):
        assert window.reasons == ("meter-failed",)
        assert "earlier query" in window.energy_j[standin.uuid()].detail
    assert not thread.close(timeout_s=0.05)
    standin.set(hang=0)
    assert thread.close(timeout_s=SAFETY_S)
    meter.close()


def test_a_closed_and_a_forgotten_meter_leave_no_thread_and_release_nvml(standin: Any) -> None:
    meter = standin.meter()
    assert (len(meter_threads()), standin.running()) == (1, 1)
    meter.close()
    assert (meter_threads(), standin.running()) == ([], 0)
    meter = standin.meter()
    with meter.window("train"):
        pass
    (thread,) = meter_threads()
    del meter
    gc.collect()
    thread.join(SAFETY_S)
    assert (meter_threads(), standin.running()) == ([], 0)


# -- in a process of its own, which finds the library by its name, as it finds a driver's ----------

PROCESS = """
import ctypes, json, os, sys, time
import pynvml
from naslib_ecnas.energy import EnergyMeter
meter = EnergyMeter(cpu=False, poll_seconds=60, patience_s=600)
with meter.window("parent") as outer:
    pid = os.fork()
    if pid == 0:
        with meter.window("child") as w:
            pass
        meter.close()
        (reading,) = w.window.energy_j.values()
        os._exit(0 if reading.reason == "meter-failed" else 1)
    _, status = os.waitpid(pid, 0)
    time.sleep(0.1)
print(json.dumps({"status": status, "window": outer.window.to_dict()}))
pynvml.nvmlLib.standin_set.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_double]
meter._patience_s = 0.3
with meter.window("train"):
    pynvml.nvmlLib.standin_set(0, b"hang", 1.0)
    sys.exit(7)
"""


def test_a_fork_and_an_exit_while_the_driver_hangs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A forked child does not close its parent's meter; had it waited, it would for ten minutes.
    The driver hangs for ever, so that an exit that waited for it would never end."""
    # From 3.12 on, Python warns of every fork beside a thread.
    more = {"STANDIN_NVML": "gpus=2,power=300", "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    run = [sys.executable, "-c", PROCESS]
    known: dict[str, Any] = {"capture_output": True, "text": True, "timeout": SAFETY_S}
    done = subprocess.run(run, cwd=tmp_path, env={**environment, **more}, **known)
    assert (done.returncode, done.stderr) == (7, "")
    found = json.loads(done.stdout)
    window = Window.from_dict(found["window"])
    (reading,) = window.energy_j.values()
    assert (found["status"], reading.valid) == (0, True)
    assert abs(reading.energy_j - 300 * window.seconds) <= reading.uncertainty_j
