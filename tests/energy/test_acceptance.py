"""`ecnas measure check` on the stand-in: its checks, their limits, and what it calls good."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from naslib_ecnas.campaign import acceptance
from naslib_ecnas.campaign.acceptance import CHECKS, Outcome, accept, run_check, target, verdict
from naslib_ecnas.errors import ConfigError

TARGET = target("cpu", "GPU-a05f")


def test_only_a_machine_with_all_checks_is_good() -> None:
    good = [Outcome(name, "good", "", 1.0) for name in CHECKS]
    assert verdict(good) == "good"
    assert verdict(good[1:]) == verdict([]) == "incomplete"
    for state, found in (("not run", "incomplete"), ("cut off", "incomplete"), ("bad", "bad")):
        assert verdict([*good[1:], Outcome("identity", state, "", 1.0)]) == found


def test_checks_that_are_cut_off_crash_or_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="check must be one of identity"):
        next(accept(TARGET, ["idle", "none"]))
    with monkeypatch.context() as patch:
        patch.setitem(CHECKS, "windows", (CHECKS["windows"][0], 0.2, False))
        patch.setattr(acceptance, "_child", lambda *_: ["sleep", "600"])
        (found,) = accept(TARGET, ["windows"])
    assert (found.state, found.found) == ("cut off", "not finished after 0.2 s")
    assert run_check("edges", TARGET).found == "no CUDA"
    assert run_check("idle", target("cpu")).found == "no GPU to measure"
    monkeypatch.setattr(acceptance, "_child", lambda *_: ["sh", "-c", "kill -11 $$"])
    (found,) = accept(TARGET, ["windows"])
    assert (found.state, "code -11" in found.found) == ("bad", True)


#: In place of torch: a GPU of the stand-in, as CUDA shows it; and a process that uses it.
TORCH = """
import os
class cuda:
    is_available = is_initialized = lambda: True
    device_count = lambda: 1
    memory_reserved = lambda index: 0
    synchronize = lambda: None
    def get_device_properties(index):
        class found: uuid = UUIDS[os.environ.get("CUDA_VISIBLE_DEVICES", "1")]
        return found
def ones(*_, device):
    with open(PLACE, "w") as file: file.write(str(os.getpid()))
"""


def test_identity_and_second_process(
    standin: Any, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uuids, place = [standin.uuid(gpu)[4:] for gpu in (0, 1)], tmp_path / "pid"
    known = {"0": uuids[0], "1": uuids[1], f"GPU-{uuids[1]}": uuids[1]}
    code = f"UUIDS = {known}; PLACE = {str(place)!r}\n{TORCH}"
    (tmp_path / "torch.py").write_text(code)
    monkeypatch.setitem(sys.modules, "torch", torch := SimpleNamespace())
    exec(code, vars(torch))
    standin.set(gpus=2)
    for name, value in {**environment, "PYTHONPATH": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STANDIN_NVML", "gpus=2")
    # The file is written twice, maybe within the second by which Python tells its versions.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    found = run_check("identity", target("cuda:0"))
    assert found.state == "good", found
    assert len(found.values) == 6
    (tmp_path / "torch.py").write_text(code.replace(f"'1': '{uuids[1]}'", f"'1': '{uuids[0]}'"))
    assert run_check("identity", target("cuda:0")).state == "bad"

    listed = iter((True, False))

    def sleep(_: float) -> None:
        standin.set(1, other=int(place.read_text()) if next(listed) else 0)

    monkeypatch.setattr(acceptance, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    monkeypatch.setattr(acceptance, "EnergyMeter", standin.meter)
    for state in ("good", "bad"):
        found = run_check("second-process", target("cuda:0"))
        assert found.state == state, found


@pytest.mark.parametrize("queues", [True, False])
def test_the_edges_wait_for_queued_work(
    standin: Any, monkeypatch: pytest.MonkeyPatch, queues: bool
) -> None:
    """Work of 20 ms, which is queued, or else done at once, as on a CPU."""
    queued: list[float] = []
    wait = Mock(side_effect=lambda index: [standin.sleep(queued.pop()) for _ in queued[:]])
    answers = {"is_available": False, "is_initialized": True, "device_count": 1}
    cuda = Mock(synchronize=wait, **{name: Mock(return_value=v) for name, v in answers.items()})
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    submit = partial(queued.append if queues else standin.sleep, 0.02)
    monkeypatch.setattr(acceptance, "_matrix", lambda target: submit)
    monkeypatch.setattr(acceptance, "time", SimpleNamespace(monotonic=standin.now))
    monkeypatch.setattr(acceptance, "EnergyMeter", standin.meter)
    found = run_check("edges", target("cuda:0"))
    times = {"synchronised_s": 2.0, "not_synchronised_s": 0.0 if queues else 2.0}
    assert (found.state, found.values) == ("good" if queues else "bad", pytest.approx(times))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "numbers"), [("loads", 4), ("arithmetic", 2), ("steps", 6)])
def test_what_needs_cuda_runs_on_a_cpu_here(
    standin: Any, monkeypatch: pytest.MonkeyPatch, name: str, numbers: int
) -> None:
    standin.set(clock=-1)
    for constant, value in {"_SETTLE_S": 0.2, "_LOAD_S": 1.0, "_ROWS": (0,)}.items():
        monkeypatch.setattr(acceptance, constant, value)
    good, values = CHECKS[name][0](TARGET)
    assert (good, len(values)) == (True, numbers), values


@pytest.mark.slow
def test_the_whole_on_the_stand_in(environment: dict[str, str], tmp_path: Path) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '[N/A]'\nwhile :; do echo 249.10; sleep 0.1; done\n")
    smi.chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    environment["STANDIN_NVML"] = "power=250,period=0.02"
    words = [sys.executable, "-m", "naslib_ecnas", "measure", "check", "--gpu", "GPU-a05f"]
    run: dict[str, Any] = {"env": environment, "cwd": tmp_path, "text": True}
    done = subprocess.run([*words, "--out", "check.json"], capture_output=True, **run)
    found = json.loads((tmp_path / "check.json").read_text())
    states = {check["check"]: check["state"] for check in found["checks"]}
    not_here = {name: "not run" for name, (_, _, cuda) in CHECKS.items() if cuda}
    # Whether a busy machine keeps to times is not the test's question.
    assert states == {**dict.fromkeys(CHECKS, "good"), **not_here}, found
    assert (found["verdict"], done.returncode, done.stdout.splitlines()[-1]) == (
        *("incomplete", 1, "incomplete"),
    )
    assert done.stdout.count("no CUDA") == len(not_here) == 6
    # Ctrl-C shows what was found, and leaves nothing behind.
    words += ["--only", "sensor,windows"]
    begun = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **run)
    assert begun.stderr is not None
    assert begun.stderr.readline().startswith("check sensor")
    begun.send_signal(signal.SIGINT)
    said = begun.communicate()[0]
    assert "sensor  good" in said
    assert said.endswith("\nincomplete\n")
