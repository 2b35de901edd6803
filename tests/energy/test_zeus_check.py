"""Zeus and the meter on one stand-in NVML, in a process of their own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from naslib_ecnas.energy import EnergyMeter, NullMeter
from naslib_ecnas.energy.replay import ZeusCheck, check_with_zeus
from naslib_ecnas.errors import MissingDependencyError

CODE = """
import time
from naslib_ecnas.energy import EnergyMeter
from naslib_ecnas.energy.replay import check_with_zeus
with EnergyMeter(devices=[0, 1], cpu=False, poll_seconds=0.2) as meter:
    check = check_with_zeus(meter, lambda: time.sleep(1.0))
watts = [joules / check.window.seconds for joules in (check.zeus_j, check.window.gpu_total_j)]
print(check.verdict, *watts, len(check.zeus_by_gpu_j))
"""


def test_without_zeus_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeus.monitor", None)
    with (
        EnergyMeter(devices=(), cpu=False) as meter,
        pytest.raises(MissingDependencyError, match="zeus"),
    ):
        check_with_zeus(meter, lambda: None)


def test_an_invalid_window_is_no_check() -> None:
    meter = NullMeter()
    with meter.window("zeus-check") as w:
        pass
    assert ZeusCheck(w.window, 5.0, {0: 5.0}).verdict == "unchecked"


@pytest.mark.skipif(importlib.util.find_spec("zeus") is None, reason="zeus is not installed")
def test_both_see_the_same_energy(standin_folder: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-c", CODE],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(standin_folder),
            "STANDIN_NVML": "gpus=2,power=150",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    verdict, zeus_w, ours_w, gpus = out.stdout.split()[-4:]
    assert (verdict, gpus) == ("agree", "2")
    assert float(zeus_w) == pytest.approx(300, rel=0.1)
    assert float(ours_w) == pytest.approx(300, rel=0.05)
