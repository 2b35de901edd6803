"""The meter's thread: it hangs, fails, is forked or killed, and the training does not notice."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.energy import EnergyMeter, Window
from naslib_ecnas.energy.meter import Worker
from naslib_ecnas.energy.nvml import MeterFailed


def meter_threads() -> int:
    return sum(thread.name == "ecnas-meter" for thread in threading.enumerate())


def test_it_samples_steadily_and_answers_in_between() -> None:
    times: list[float] = []
    worker = Worker(lambda: times.append(time.monotonic()), period_s=0.02)
    began = time.monotonic()
    while time.monotonic() - began < 0.4:
        assert worker.ask(lambda: 42, timeout_s=2) == 42
        time.sleep(0.003)
    assert worker.close()
    assert worker.close()
    assert 10 <= len(times) <= 22
    assert meter_threads() == 0
    with pytest.raises(MeterFailed, match="closed"):
        worker.ask(lambda: 42, timeout_s=1)


def test_errors_of_jobs_and_samples_do_not_end_it() -> None:
    def fail() -> None:
        raise OSError("a binding broke")

    worker = Worker(fail, period_s=0.01)
    for _ in range(2):
        with pytest.raises(MeterFailed, match="a binding broke"):
            worker.ask(fail, timeout_s=2)
    assert worker.ask(lambda: "alive", timeout_s=2) == "alive"
    time.sleep(0.05)
    assert worker.failures >= 2
    assert worker.failure == "OSError: a binding broke"
    assert worker.close()


def test_a_hang_is_waited_for_once() -> None:
    release = threading.Event()
    worker = Worker(lambda: None, period_s=1)
    with pytest.raises(MeterFailed, match=r"within 0\.1 s"):
        worker.ask(release.wait, timeout_s=0.1)
    began = time.monotonic()
    with pytest.raises(MeterFailed, match="earlier question"):
        worker.ask(lambda: 1, timeout_s=5)
    assert time.monotonic() - began < 1
    assert not worker.close(timeout_s=0.05)
    release.set()
    assert worker.close()


def test_a_driver_that_hangs_costs_the_training_its_patience_and_no_more(standin: Any) -> None:
    meter = EnergyMeter(cpu=False, poll_seconds=0.2, patience_s=0.2)
    began = time.monotonic()
    with meter.window("outer") as outer:
        standin.set(hang=1.0)
        for _ in range(5):
            with meter.window("train") as w:
                pass
    assert time.monotonic() - began < 1.5
    standin.set(hang=0)
    for window in (outer.window, w.window):
        assert window.reasons == ("meter-failed",)
    meter.close()


def test_a_binding_that_raises_anything_in_the_thread(
    standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pynvml

    def broken(handle: object) -> int:
        raise ValueError("changed between versions")

    with EnergyMeter(cpu=False, poll_seconds=0.2, sample_hz=50) as meter:
        with meter.window("between") as between:
            with monkeypatch.context() as patch:
                patch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", broken)
                time.sleep(0.1)
            time.sleep(0.1)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", broken)
        with meter.window("edge") as edge:
            pass
    for window in (between.window, edge.window):
        (reading,) = window.energy_j.values()
        assert reading.reason == "meter-failed"
        assert "changed between versions" in reading.detail


def test_closing_leaves_no_thread_and_lets_nvml_go(standin: Any) -> None:
    meter = EnergyMeter(cpu=False, poll_seconds=0.2)
    assert meter_threads() == 1
    assert standin.running() == 1
    meter.close()
    assert meter_threads() == 0
    assert standin.running() == 0


def test_a_forgotten_meter_is_closed(standin: Any) -> None:
    meter = EnergyMeter(cpu=False, poll_seconds=0.2)
    with meter.window("train"):
        pass
    del meter
    gc.collect()
    time.sleep(0.05)
    assert meter_threads() == 0
    assert standin.running() == 0


def run(code: str, folder: Path, **environ: str) -> subprocess.Popen[str]:
    """A process whose NVML is the stand-in, found as a driver's is."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


OPEN = """
import os, sys, time
from naslib_ecnas.energy import EnergyMeter
meter = EnergyMeter(cpu=False, poll_seconds=0.2)
"""


def test_in_a_process_of_its_own_the_library_is_found_by_name(standin_folder: Path) -> None:
    code = OPEN + textwrap.dedent(
        """
        with meter.window("train") as w:
            time.sleep(0.2)
        print(w.window.to_json())
        # No close: the end of the process must not wait for the meter, nor complain.
        """
    )
    process = run(code, standin_folder, STANDIN_NVML="gpus=2,power=300")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    window = Window.from_json(out)
    assert window.gpu_total_j == pytest.approx(300 * window.seconds, rel=0.2)


def test_a_killed_training_leaves_no_process(standin_folder: Path) -> None:
    code = (
        OPEN + "print(os.getpid(), flush=True)\nwith meter.window('train'):\n    time.sleep(60)\n"
    )
    process = run(code, standin_folder)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=10)
    with pytest.raises(ProcessLookupError):  # its whole session is gone
        os.killpg(pid, 0)


def test_an_exit_in_a_window_while_the_driver_hangs(standin_folder: Path) -> None:
    code = OPEN.replace("=0.2", "=0.2, patience_s=0.3") + textwrap.dedent(
        """
        import ctypes, pynvml
        pynvml.nvmlLib.standin_set.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_double]
        with meter.window("train"):
            pynvml.nvmlLib.standin_set(0, b"hang", 30.0)
            time.sleep(0.3)
            sys.exit(7)
        """
    )
    began = time.monotonic()
    process = run(code, standin_folder)
    _, err = process.communicate(timeout=25)
    assert (process.returncode, err) == (7, "")
    assert time.monotonic() - began < 20


def test_a_forked_child_neither_waits_nor_closes_its_parents_meter(standin_folder: Path) -> None:
    code = OPEN + textwrap.dedent(
        """
        with meter.window("parent") as outer:
            pid = os.fork()
            if pid == 0:
                began = time.monotonic()
                with meter.window("child") as w:
                    pass
                meter.close()
                (reading,) = w.window.energy_j.values()
                quick = time.monotonic() - began < 1
                os._exit(0 if reading.reason == "meter-failed" and quick else 1)
            _, status = os.waitpid(pid, 0)
            time.sleep(0.1)
        meter.close()
        print(status, outer.window.valid)
        """
    )
    # From 3.12 on, Python warns of every fork beside a thread.
    process = run(code, standin_folder, PYTHONWARNINGS="ignore::DeprecationWarning")
    out, err = process.communicate(timeout=30)
    assert err == ""
    assert out.split() == ["0", "True"]
