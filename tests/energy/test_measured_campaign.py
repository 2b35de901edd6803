"""A campaign as a user starts it, on the CPU, measured by the real pynvml on the stand-in NVML.

The synthetic GPU draws 250 W throughout, whatever the training on the CPU does, so that every
energy is known: 250 W times the length of its window.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.campaign import Measurement, Plan, make_plan
from naslib_ecnas.campaign.claims import attempts
from naslib_ecnas.campaign.plan import DataChoice
from naslib_ecnas.campaign.record import record_path
from naslib_ecnas.campaign.worker import attempts_folder

pytest.importorskip("torch")

WATTS = 250.0
SMALL = ("--device", "cpu", "--gpu", "GPU-a05f", "--baseline", "0.4", "--batch-size", "2")
SMALL = (*SMALL, "--evaluate-images", "2")

Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def command(standin_folder: Path, tmp_path: Path) -> Command:
    """Starts `ecnas measure` in a process that finds the stand-in as it would a driver's."""

    def start(*arguments: object) -> subprocess.Popen[str]:
        unset = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LOCAL_RANK", "SLURM_LOCALID")
        return subprocess.Popen(
            [sys.executable, "-m", "naslib_ecnas", "measure", *map(str, arguments)],
            env={
                **{name: value for name, value in os.environ.items() if name not in unset},
                "LD_LIBRARY_PATH": str(standin_folder),
                "STANDIN_NVML": f"power={WATTS},period=0.02",
                "STANDIN_NVML_FILE": str(tmp_path / "orders"),
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def _plan(folder: Path, repeats: int) -> Plan:
    data = DataChoice(kind="synthetic", images_per_file=4)
    plan = make_plan((0, 2), name="standin", vertices=4, repeats=repeats, data=data)
    plan.write(folder)
    return plan


def _said(process: subprocess.Popen[str], code: int = 0) -> str:
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code, err
    return out


def test_from_a_run_to_a_table_every_energy_is_power_times_time(
    tmp_path: Path, command: Command
) -> None:
    folder, table = tmp_path / "c", tmp_path / "c.ecnas"
    plan = _plan(folder, 2)
    assert "4 units recorded" in _said(command("run", folder, *SMALL, "--steps", 2))
    records = [Measurement.read(record_path(folder, unit)) for unit in plan.units]
    for record in records:
        assert record.meter.kind == "nvml"
        assert list(record.meter.methods.values()) == ["counter"]
        assert any("does not use" in why for why in record.made_up)
        for window in record.windows:
            (reading,) = window.energy_j.values()
            if window.name in ("total", "rest-before", "rest-after"):
                assert reading.valid
            if reading.valid:
                off = abs(reading.energy_j - WATTS * window.seconds)
                assert off <= reading.uncertainty_j
            else:  # over before the counter stepped
                assert (reading.reason, window.seconds < 0.1) == ("too-short", True)
    found = json.loads(_said(command("validate", folder, "--json")))
    assert (found["good"], found["records"]) == (True, 4)
    doubts = {finding["code"] for finding in found["findings"]}
    # The stand-in reports a power cap and a thermal slowdown; short runs are uncertain.
    assert doubts >= {"synthetic", "departure", "clocks"}
    # 250 W before, in and after by both sensors, and nobody else.
    assert not doubts & {"rest", "counter", "foreign", "unmeasured", "above-power-limit"}
    _said(command("export", folder, "--out", table), 1)
    _said(command("export", folder, "--out", table, "--allow-synthetic", "--pue", "1.5"))
    bench = ecnas.load(table)
    assert bench.provenance["energy_kwh"].kind == "synthetic"
    for record in records:
        total, training = record.window("total"), record.training
        assert total is not None
        cell = bench.query(record.unit.row, epochs=4, repeat=record.unit.repeat)
        doubt = sum(r.uncertainty_j for r in total.energy_j.values()) / (WATTS * total.seconds)
        kwh = 1.5 * WATTS * total.seconds / 3.6e6
        assert cell["total_energy_kwh"] == pytest.approx(kwh, rel=doubt)
        # The run up to the last evaluation, window by window.
        seconds = sum(w.seconds for w in training.windows[1:] if "end" not in w.name)
        assert cell.energy_kwh == pytest.approx(1.5 * WATTS * seconds / 3.6e6, rel=8 * doubt)


def _wait_for_start(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until the first unit is within its training."""
    for _ in range(6000):
        for log in folder.glob("attempts/*/0001.log"):
            if b'"name": "init"' in log.read_bytes() or b'"name":"init"' in log.read_bytes():
                return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    raise AssertionError("no training began within 60 s")


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("reset=0", "reset"),
        pytest.param("lost=1", "gpu-lost", marks=pytest.mark.slow),
        pytest.param("nan=1", "not-a-number", marks=pytest.mark.slow),
    ],
)
def test_a_fault_in_the_middle_makes_the_unit_be_measured_again(
    tmp_path: Path, command: Command, order: str, reason: str
) -> None:
    folder = tmp_path / "c"
    plan = _plan(folder, 1)
    process = command("run", folder, *SMALL, "--steps", 24, "--tries", 4)
    _wait_for_start(folder, process)
    _order(tmp_path, order)
    if reason != "reset":  # a driver that comes back
        time.sleep(0.5)
        _order(tmp_path, f"{order.partition('=')[0]}=0")
    said = _said(process)
    made = {unit.name: attempts(attempts_folder(folder, unit)) for unit in plan.units}
    (spoilt,) = [each for each in made.values() if len(each) > 1]
    assert [one.ended for one in spoilt] == ["invalid", "recorded"]
    assert f"total: {reason}" in spoilt[0].detail
    assert "invalid after" in said
    for unit in plan.units:
        record = Measurement.read(record_path(folder, unit))
        total = record.window("total")
        assert total is not None
        (reading,) = total.energy_j.values()
        assert abs(reading.energy_j - WATTS * total.seconds) <= reading.uncertainty_j
    lost = json.loads(_said(command("status", folder, "--json")))["lost"]
    assert lost["attempts"] == 1
    assert lost["seconds"] > 0
    assert json.loads(_said(command("validate", folder, "--json")))["good"]


def _order(folder: Path, text: str) -> None:
    fresh = folder / "orders.new"
    fresh.write_text(text)
    fresh.replace(folder / "orders")


def test_settings_of_a_named_gpu(tmp_path: Path, command: Command) -> None:
    folder = tmp_path / "c"
    _plan(folder, 1)
    process = command("run", folder, "--device", "cpu", "--gpu", "GPU-0", "--meter", "none")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "meter auto" in err) == (2, True)
    process = command("run", folder, *SMALL, "--gpu", "GPU-ffff", "--steps", "1")
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "no GPU has this UUID" in err
    assert err.count("\n") == 1
    assert list(folder.glob("records/*.json")) == []
