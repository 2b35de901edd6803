"""A process for each GPU: what it sees, and that it ends with the process that started it."""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from naslib_ecnas.campaign.cluster import on_gpus, submit
from naslib_ecnas.errors import EcnasError, MissingDependencyError

_WORK = """
import os, sys, time
from pathlib import Path

def work(folder, seconds, gpu):
    part = Path(folder) / f"{gpu}.part"  # one for each, since they work at the same time
    part.write_text(f"{os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']}")
    part.rename(Path(folder) / gpu)
    time.sleep(seconds)
    return gpu == "GPU-bad"

if __name__ == "__main__":
    from functools import partial
    from naslib_ecnas.campaign.cluster import on_gpus
    import gpu_work
    on_gpus(partial(gpu_work.work, ".", 600), ["GPU-a"])
"""


@pytest.fixture(autouse=True)
def _importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpu_work.py").write_text(_WORK)
    monkeypatch.syspath_prepend(tmp_path)


def test_each_process_sees_its_own_gpu_and_a_failure_is_told(tmp_path: Path) -> None:
    from gpu_work import work

    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    with pytest.raises(EcnasError, match="1 of 2 workers failed: GPU-bad"):
        on_gpus(partial(work, str(tmp_path), 0.0), ["GPU-good", "GPU-bad"])
    seen = {name: (tmp_path / name).read_text().split() for name in ("GPU-good", "GPU-bad")}
    assert {name: gpu for name, (_, gpu) in seen.items()} == {name: name for name in seen}
    assert len({os.getpid(), *(int(pid) for pid, _ in seen.values())}) == 3
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path, number: int) -> None:
    code = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "runpy.run_path('gpu_work.py', run_name='__main__')"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        while not (tmp_path / "GPU-a").exists():
            assert parent.poll() is None
            time.sleep(0.05)
        pid = int((tmp_path / "GPU-a").read_text().split()[0])
        parent.send_signal(number)
        parent.wait()
        while not _gone(pid):
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()


@pytest.mark.parametrize("extra", ["measure", "slurm"])
def test_without_submitit_an_extra_that_has_it_is_named(
    extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingDependencyError, match=rf"naslib-ecnas\[{extra}\]"):
        submit(print, [1], tmp_path, "local", needed=("work on a cluster", extra))
    config = configparser.ConfigParser()
    config.read(Path(__file__).resolve().parents[2] / "setup.cfg")
    assert "submitit" in config["options.extras_require"][extra]


def _gone(pid: int) -> bool:
    """Whether a process has ended; its new parent need not have noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
