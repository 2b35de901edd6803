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
from naslib_ecnas.energy.rapl import MAX_POWER_W, Rapl
from naslib_ecnas.energy.readings import CounterTrack


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
    for reading in (*window.cpu_energy_j.values(), *window.dram_energy_j.values()):
        assert (reading.method, reading.update_period_s) == ("rapl", 1e-3)
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


@pytest.mark.parametrize(("joules", "resets"), [(3_999.0, 0), (4_001.0, 1)])
def test_no_package_draws_two_kilowatts(joules: float, resets: int) -> None:
    """In a second, and the one by which samples and refreshes may differ, 4 kJ are a wrap."""
    track = CounterTrack(wrap_j=10_000.0, max_power_w=MAX_POWER_W)
    track.push(0.0, 9_000.0)
    track.push(1.0, 9_000.0 + joules - 10_000.0)
    faults = track.point(1.0).faults
    assert faults.resets == resets


def test_another_user_may_take_the_lock(powercap: Any, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        Rapl(root=powercap.root, lock_folder=tmp_path).close()
    finally:
        os.umask(umask)
    (lock,) = tmp_path.glob("ecnas-rapl-*.lock")
    assert lock.stat().st_mode & 0o777 == 0o666


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


@pytest.mark.parametrize("name", ["LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"])
def test_of_a_distributed_training_rank_0_counts(powercap: Any, tmp_path: Path, name: str) -> None:
    options = {"root": powercap.root, "lock_folder": tmp_path}
    other = Rapl(**options, environ={name: "3"})
    assert (other.state.kind, other.domains) == ("elsewhere", ())
    assert f"{name}=3" in other.state.detail
    other.close()
    unset = Rapl(**options, environ={name: ""})
    assert unset.state.kind == "measured"
    unset.close()
    rapl = Rapl(**options, environ={name: "0"})
    assert rapl.state.kind == "measured"
    assert [domain.folder.name for domain in rapl.domains] == [
        "intel-rapl:0",
        "intel-rapl:0:1",
        "intel-rapl:1",
        "intel-rapl:1:1",
    ]
    rapl.close()


def test_a_domain_says_what_it_is(powercap: Any, tmp_path: Path) -> None:
    rapl = Rapl(root=powercap.root, lock_folder=tmp_path)
    found = [(d.name, d.dram, d.wrap_j, d.read_j()) for d in rapl.domains]
    rapl.close()
    assert found == [
        ("package-0", False, 262_143.328850, 1.0),
        ("package-0/dram", True, 65_712.999613, 0.25),
        ("package-1", False, 262_143.328850, 2.0),
        ("package-1/dram", True, 65_712.999613, 0.25),
    ]
    assert rapl.state.detail == "package-0, package-0/dram, package-1, package-1/dram"


def test_without_a_package_there_is_nothing_to_count(powercap: Any, tmp_path: Path) -> None:
    for package in range(2):
        powercap.zone(f"intel-rapl:{package}", "psys", 1)
    state = Rapl(root=powercap.root, lock_folder=tmp_path).state
    assert state.kind == "absent"
    assert "no RAPL package" in state.detail
    assert list(tmp_path.glob("*.lock")) == []


def test_the_lock_names_its_holder(powercap: Any, tmp_path: Path) -> None:
    first = Rapl(root=powercap.root, lock_folder=tmp_path)
    (lock,) = tmp_path.glob("ecnas-rapl-*.lock")
    assert lock.read_text() == f"{os.getpid()}\n"
    # By another name it is the same tree of counters.
    (tmp_path / "link").symlink_to(powercap.root)
    second = Rapl(root=tmp_path / "link", lock_folder=tmp_path)
    assert second.state.kind == "elsewhere"
    assert second.state.detail == f"process {os.getpid()} of this node counts the CPU"
    lock.write_bytes(b"\xff\xfe\n")
    assert Rapl(root=powercap.root, lock_folder=tmp_path).state.kind == "elsewhere"
    lock.write_text("")
    third = Rapl(root=powercap.root, lock_folder=tmp_path)
    assert third.state.kind == "elsewhere"
    assert "(unknown)" in third.state.detail
    first.close()
    # A longer number that is left from before does not show behind the new one.
    lock.write_text("123456789012345\n")
    fourth = Rapl(root=powercap.root, lock_folder=tmp_path)
    assert lock.read_text() == f"{os.getpid()}\n"
    fourth.close()


def test_without_a_lock_it_counts_all_the_same(powercap: Any, tmp_path: Path) -> None:
    """Better counted twice than not at all; and what a link points to is not written to."""
    nowhere = Rapl(root=powercap.root, lock_folder=tmp_path / "nowhere")
    assert nowhere.state.kind == "measured"
    nowhere.close()
    first = Rapl(root=powercap.root, lock_folder=tmp_path)
    first.close()
    (lock,) = tmp_path.glob("ecnas-rapl-*.lock")
    lock.unlink()
    (tmp_path / "precious").write_text("keep me")
    lock.symlink_to(tmp_path / "precious")
    linked = Rapl(root=powercap.root, lock_folder=tmp_path)
    assert linked.state.kind == "measured"
    linked.close()
    assert (tmp_path / "precious").read_text() == "keep me"


def test_a_forked_child_does_not_let_its_parents_lock_go(powercap: Any, tmp_path: Path) -> None:
    rapl = Rapl(root=powercap.root, lock_folder=tmp_path)
    child = os.fork()
    if child == 0:
        rapl.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert Rapl(root=powercap.root, lock_folder=tmp_path).state.kind == "elsewhere"
    # And a child that lives on does not hold what its parent has let go.
    ends = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ends[1])
        os.read(ends[0], 1)
        os._exit(0)
    rapl.close()
    after = Rapl(root=powercap.root, lock_folder=tmp_path)
    for end in ends:
        os.close(end)
    os.waitpid(child, 0)
    assert after.state.kind == "measured"
    after.close()


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
