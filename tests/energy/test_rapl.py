"""RAPL counters in a folder laid out as in Linux: wraps, resets, permissions and the lock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.energy import EnergyMeter, Window
from naslib_ecnas.energy.rapl import Rapl
from naslib_ecnas.energy.track import CounterTrack


@pytest.fixture(autouse=True)
def _one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def meter(powercap: Any, tmp_path: Path) -> Iterator[EnergyMeter]:
    with EnergyMeter(
        devices=(), rapl_root=powercap.root, lock_folder=tmp_path, sample_hz=50
    ) as opened:
        yield opened


def test_packages_and_memory_are_counted_and_nothing_twice(
    powercap: Any, meter: EnergyMeter
) -> None:
    assert meter.cpu_state.kind == "measured"
    with meter.window("train") as w:
        powercap.put("intel-rapl:0", 1_000_000 + 3_500_000)
        powercap.put("intel-rapl:1", 2_000_000 + 1_250_000)
        powercap.put("intel-rapl:0:1", 250_000 + 750_000)
        powercap.put("intel-rapl:1:1", 250_000 + 500_000)
        powercap.put("intel-rapl:2", 99_000_000)  # the platform holds the packages
    window = w.window
    assert {n: r.energy_j for n, r in window.cpu_energy_j.items()} == pytest.approx(
        {"package-0": 3.5, "package-1": 1.25}
    )
    assert {n: r.energy_j for n, r in window.dram_energy_j.items()} == pytest.approx(
        {"package-0/dram": 0.75, "package-1/dram": 0.5}
    )
    assert window.cpu_total_j == pytest.approx(4.75)
    assert window.dram_total_j == pytest.approx(1.25)
    assert all(r.method == "rapl" for r in window.cpu_energy_j.values())
    assert window.energy_j == {}
    assert not window.valid  # no GPU was measured
    again = Window.from_json(window.to_json())
    assert again.cpu_total_j == window.cpu_total_j


def test_wraps_within_a_window_are_seen_by_the_thread(powercap: Any, tmp_path: Path) -> None:
    """Three turns of the counter: more than the edges alone could tell."""
    # max_power_w bounds the wraps that can be trusted: 2 kW turn 200 J in 0.1 s.
    wrap = 200_000_000
    for package in range(2):
        powercap.zone(f"intel-rapl:{package}", f"package-{package}", 0, wrap)
    with (
        EnergyMeter(
            devices=(), rapl_root=powercap.root, lock_folder=tmp_path, sample_hz=100
        ) as meter,
        meter.window("train") as w,
    ):
        for step in range(1, 13):
            powercap.put("intel-rapl:0", step * 60_000_000 % wrap)
            powercap.put("intel-rapl:1", step * 1_000_000)
            time.sleep(0.03)
    assert w.window.cpu_energy_j["package-0"].energy_j == pytest.approx(12 * 60)
    assert w.window.cpu_energy_j["package-1"].energy_j == pytest.approx(12)


def test_a_fall_that_no_wrap_explains_is_a_reset(powercap: Any, meter: EnergyMeter) -> None:
    powercap.put("intel-rapl:0", 200_000_000_000)
    with meter.window("train") as w:
        powercap.put("intel-rapl:0", 100_000_000_000)
    assert w.window.cpu_energy_j["package-0"].reason == "reset"


def test_a_gap_that_could_hide_a_wrap_is_a_fault() -> None:
    track = CounterTrack(wrap_j=100.0, max_power_w=10.0)
    track.push(0.0, 5.0)
    before = track.point(0.0)
    track.push(9.0, 50.0)
    between = track.point(9.0)
    track.push(19.5, 60.0)
    assert between.faults.gaps == before.faults.gaps == 0
    assert track.point(19.5).faults.gaps == 1


def test_a_counter_that_vanishes(powercap: Any, meter: EnergyMeter) -> None:
    with meter.window("train") as w:
        shutil.rmtree(powercap.root / "intel-rapl:1")
    assert w.window.cpu_energy_j["package-1"].reason == "query-failed"
    assert w.window.cpu_total_j != w.window.cpu_total_j  # NaN: half of a node is not the node


def test_absent_is_absent(tmp_path: Path) -> None:
    rapl = Rapl(root=tmp_path / "nowhere", lock_folder=tmp_path)
    assert (rapl.state.kind, rapl.domains) == ("absent", ())
    with (
        EnergyMeter(devices=(), rapl_root=tmp_path, lock_folder=tmp_path) as meter,
        meter.window("train") as w,
    ):
        pass
    assert w.window.cpu_energy_j == {}
    assert w.window.cpu_total_j != w.window.cpu_total_j


def test_garbage_is_not_a_measurement(powercap: Any, tmp_path: Path) -> None:
    (powercap.root / "intel-rapl:0" / "energy_uj").write_text("-5\n")
    state = Rapl(root=powercap.root, lock_folder=tmp_path).state
    assert state.kind == "absent"
    assert "holds no number" in state.detail


def test_no_permission_is_told_with_the_remedy() -> None:
    folder = Path(tempfile.mkdtemp())  # not below pytest's folder, which root alone may enter
    try:
        folder.chmod(0o755)
        zone = folder / "intel-rapl:0"
        zone.mkdir(mode=0o755)
        for name, text in (("name", "package-0"), ("max_energy_range_uj", "9"), ("energy_uj", "1")):
            (zone / name).write_text(text)
        (zone / "energy_uj").chmod(0o400 if os.geteuid() == 0 else 0)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            state = Rapl(root=folder, lock_folder=folder).state
        finally:
            os.seteuid(was)
    finally:
        shutil.rmtree(folder)
    assert state.kind == "denied"
    assert "chmod a+r" in state.remedy
    assert "setcap" in state.remedy
    assert "group" in state.remedy


@pytest.mark.parametrize("name", ["LOCAL_RANK", "SLURM_LOCALID"])
def test_of_a_distributed_training_rank_0_counts(powercap: Any, tmp_path: Path, name: str) -> None:
    options = {"root": powercap.root, "lock_folder": tmp_path}
    assert Rapl(**options, environ={name: "3"}).state.kind == "elsewhere"
    rapl = Rapl(**options, environ={name: "0"})
    assert rapl.state.kind == "measured"
    assert [domain.folder.name for domain in rapl.domains] == [
        "intel-rapl:0",
        "intel-rapl:0:1",
        "intel-rapl:1",
        "intel-rapl:1:1",
    ]
    rapl.close()


def test_of_several_processes_one_counts(powercap: Any, tmp_path: Path) -> None:
    first = Rapl(root=powercap.root, lock_folder=tmp_path)
    second = Rapl(root=powercap.root, lock_folder=tmp_path)
    assert (first.state.kind, second.state.kind) == ("measured", "elsewhere")
    assert str(os.getpid()) in second.state.detail
    assert second.domains == ()
    second.close()
    first.close()
    first.close()
    third = Rapl(root=powercap.root, lock_folder=tmp_path)
    assert third.state.kind == "measured"
    third.close()


def test_a_killed_process_does_not_keep_the_lock(powercap: Any, tmp_path: Path) -> None:
    code = (
        "import sys, time; from naslib_ecnas.energy.rapl import Rapl\n"
        "r = Rapl(root=sys.argv[1], lock_folder=sys.argv[2])\n"
        "print(r.state.kind, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(powercap.root), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"measured\n"
    assert Rapl(root=powercap.root, lock_folder=tmp_path).state.kind == "elsewhere"
    process.kill()
    process.communicate()
    rapl = Rapl(root=powercap.root, lock_folder=tmp_path)
    assert rapl.state.kind == "measured"
    rapl.close()
