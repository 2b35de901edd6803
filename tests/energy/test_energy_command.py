"""`ecnas energy`: joules of a command on the stand-in GPUs, its exit code, and how it can end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

WATTS = 200.0
ECNAS = [sys.executable, "-m", "naslib_ecnas", "energy"]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Start:
    """Starts `ecnas energy` in a session of its own, before two GPUs of 200 W each."""
    environment["STANDIN_NVML"] = f"gpus=2,power={WATTS},period=0.001"

    def run(*words: str) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        options: dict[str, Any] = {"text": True, "cwd": tmp_path, "env": environment, **pipes}
        # Tests that a shell started in the background ignore Ctrl-C, and what they start does.
        options["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen([*ECNAS, *words], start_new_session=True, **options)

    return run


def _ended(process: subprocess.Popen[str], code: int) -> tuple[str, str]:
    """Output of a process that ends with this exit code."""
    out, err = process.communicate()
    assert process.returncode == code, err
    return out, err


def _python(code: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-c", code)


def _check(path: Path, code: int) -> dict[str, Any]:
    """The written result; every energy is power times time, within the stated uncertainty."""
    found: dict[str, Any] = json.loads(path.read_text())
    assert found["exit_code"] == code
    readings = found["window"]["energy_j"].values()
    assert len(readings) == 2
    for reading in readings:
        off = abs(reading["energy_j"] - WATTS * found["seconds"])
        assert off <= reading["uncertainty_j"] < 0.2 * reading["energy_j"]
    parts = [reading["energy_j"] for reading in readings]
    assert found["gpu_energy_j"] == found["energy_j"] == pytest.approx(sum(parts), rel=1e-12)
    return found


def test_energy_output_and_exit_code_of_a_command(start: Start, tmp_path: Path) -> None:
    options = ("--no-cpu", "--pue", "1.5", "--carbon-intensity", "100", "--out", "energy.json")
    code = "import sys, time; time.sleep(0.5); print('made', *sys.argv[1:]); sys.exit(7)"
    out, err = _ended(start(*options, *_python(code), "--debug", "--out=--"), 7)
    assert out == "made --debug --out=--\n"
    found = _check(tmp_path / "energy.json", 7)
    assert found["seconds"] > 0.5
    assert found["command"][0] == sys.executable
    assert found["energy_kwh"] == pytest.approx(1.5 * found["energy_j"] / 3.6e6, rel=1e-12)
    assert found["co2_g"] == pytest.approx(100 * found["energy_kwh"], rel=1e-12)
    assert found["mean_power_w"] == pytest.approx(found["energy_j"] / found["seconds"], rel=1e-12)
    assert {setup["driver"] for setup in found["setups"].values()} == {"550.0-standin"}
    for text in ("exit code 7", "Stand-in GPU", "total", "kWh", "gCO2eq at a PUE of 1.5"):
        assert text in err


def test_only_the_chosen_gpus_count(start: Start, environment: dict[str, str]) -> None:
    for asked, shown, number in ((None, "1", 1), ("0,1", None, 2), ("GPU-b0", None, 1)):
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        if shown is not None:
            environment["CUDA_VISIBLE_DEVICES"] = shown
        gpus = () if asked is None else ("--gpus", asked)
        _, err = _ended(start("--no-cpu", *gpus, "--", "true"), 0)
        assert err.count("Stand-in GPU") == number
        assert ("GPU-b0" in err, "GPU-a0" in err) == (True, number == 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_command_and_not_the_report(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C goes to all processes of a terminal, SIGTERM to the first one, SIGKILL to the last."""
    code = "import os, time; time.sleep(0.2); print(os.getpid(), flush=True); time.sleep(600)"
    process = start("--no-cpu", "--out", "energy.json", *_python(code))
    assert process.stdout is not None
    command = int(process.stdout.readline())
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    elif number == signal.SIGKILL:
        os.kill(command, number)
    else:
        process.send_signal(number)
    _, err = _ended(process, 128 + number)
    assert f"exit code {128 + number}" in err
    _check(tmp_path / "energy.json", 128 + number)


def test_what_cannot_be_run_or_measured(start: Start, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    for words, code, text in (
        (("--", "no-such-program"), 127, "cannot run no-such-program: No such file"),
        (("--", "./text"), 126, "cannot run ./text: Permission denied"),
        (("--",), 2, "name the command to measure"),
        (("--gpus", "GPU-ffff", "--", "touch", "made"), 1, "no GPU has this UUID"),
        (("--gpus", "none", "--", "touch", "made"), 1, "nothing can be measured"),
        (("--pue", "0.5", "--", "touch", "made"), 2, "pue"),
        (("--out", "none/x.json", "--", "touch", "made"), 2, "folder that exists"),
    ):
        out, err = _ended(start("--no-cpu", *words), code)
        assert (out, text in err, err.count("\n")) == ("", True, 1), err
    assert not (tmp_path / "made").exists()
