"""The meter's thread: it hangs, fails, is forked or killed, and the training goes on."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
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


def test_it_samples_when_due_and_answers_in_between() -> None:
    now, times = [0.0], []
    thread = SensorThread(lambda: times.append(now[0]), period_s=10.0, clock=lambda: now[0])
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

    thread = SensorThread(sample, period_s=0.01)
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


# -- in processes of their own, which find the library by its name, as they find a driver's --------

OPEN = """
import json, os, sys, time
from naslib_ecnas.energy import EnergyMeter
meter = EnergyMeter(cpu=False, poll_seconds=60, patience_s=600)
"""


def start(code: str, folder: Path, environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN + textwrap.dedent(code)],
        cwd=folder,
        # From 3.12 on, Python warns of every fork beside a thread.
        env={**environ, "PYTHONWARNINGS": "ignore::DeprecationWarning"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_forked_child_neither_waits_nor_closes_its_parents_meter(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A child that waited would do so for ten minutes. The end of the process waits for nothing."""
    code = """
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
        print(status)
        print(json.dumps(outer.window.to_dict()))
        """
    process = start(code, tmp_path, {**environment, "STANDIN_NVML": "gpus=2,power=300"})
    out, err = process.communicate(timeout=SAFETY_S)
    assert (process.returncode, err) == (0, "")
    status, window = out.splitlines()
    assert status == "0"
    found = Window.from_dict(json.loads(window))
    (reading,) = found.energy_j.values()
    assert reading.valid
    assert abs(reading.energy_j - 300 * found.seconds) <= reading.uncertainty_j


def test_a_killed_training_leaves_no_process(environment: dict[str, str], tmp_path: Path) -> None:
    code = """
        with meter.window("train"):
            print("within", flush=True)
            sys.stdin.read()
        """
    process = start(code, tmp_path, environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "within\n"
    process.kill()
    process.communicate(timeout=SAFETY_S)
    with pytest.raises(ProcessLookupError):  # its whole session is gone
        os.killpg(process.pid, 0)


def test_an_exit_in_a_window_while_the_driver_hangs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """It hangs for ever, so that an exit that waited for it would never end."""
    code = """
        import ctypes, pynvml
        pynvml.nvmlLib.standin_set.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_double]
        meter._patience_s = 0.3
        with meter.window("train"):
            pynvml.nvmlLib.standin_set(0, b"hang", 1.0)
            sys.exit(7)
        """
    process = start(code, tmp_path, environment)
    _, err = process.communicate(timeout=SAFETY_S)
    assert (process.returncode, err) == (7, "")
