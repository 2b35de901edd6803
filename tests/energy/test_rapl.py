"""RAPL counters in a folder laid out as in Linux: wraps, resets, permissions and the lock."""

from __future__ import annotations

import math
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.energy import CpuState, EnergyMeter, rapl

SAFETY_S = 600.0


class Counters:
    """Opens the counters; `close` closes all that are open."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self.close = self._opened.close

    def __call__(self) -> CpuState:
        state, self.sources = rapl.cpu_sources(self._opened)
        return state


@pytest.fixture
def meter(powercap: Any, clock: Any) -> Iterator[EnergyMeter]:
    options = {"devices": (), "patience_s": SAFETY_S, "clock": clock, "sample_hz": 100}
    with EnergyMeter(**options) as opened:
        yield opened


@pytest.fixture
def counters(powercap: Any) -> Iterator[Counters]:
    counters = Counters()
    yield counters
    counters.close()


@contextmanager
def child(work: Callable[[], object]) -> Iterator[tuple[int, str]]:
    """Number of a fork of this process, which lives to the end of the block, and its answer."""
    (answer, say), (stop, keep) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(keep)
            os.write(say, str(work()).encode())
            os.close(say)
            os.read(stop, 1)
        finally:
            os._exit(0)
    os.close(say)
    try:
        yield pid, os.read(answer, 1000).decode()
    finally:
        for end in (keep, stop, answer):
            os.close(end)
        os.waitpid(pid, 0)


# -- energies -------------------------------------------------------------------------------------


def test_packages_and_memory_are_counted_and_nothing_twice(
    powercap: Any, meter: EnergyMeter, clock: Any
) -> None:
    names = ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert (meter.cpu_state.kind, meter.cpu_state.detail) == ("measured", ", ".join(names))
    with meter.window("train") as w:
        powercap.put("intel-rapl:0", 1_000_000 + 3_500_000)
        powercap.put("intel-rapl:1", 2_000_000 + 1_250_000)
        powercap.put("intel-rapl:0:1", 250_000 + 750_000)
        powercap.put("intel-rapl:1:1", 250_000 + 500_000)
        powercap.put("intel-rapl:2", 99_000_000)  # the platform, which contains the packages
        clock.now += 1
    window = w.window
    packages = {name: reading.energy_j for name, reading in window.cpu_energy_j.items()}
    assert packages == pytest.approx({"package-0": 3.5, "package-1": 1.25})
    memory = {name: reading.energy_j for name, reading in window.dram_energy_j.items()}
    assert memory == pytest.approx({"package-0/dram": 0.75, "package-1/dram": 0.5})
    assert (window.cpu_total_j, window.dram_total_j) == pytest.approx((4.75, 1.25))
    known = {(r.method, r.update_period_s) for r in window.readings().values()}
    assert known == {("rapl", 1e-3)}
    assert (window.energy_j, window.valid) == ({}, False)  # no GPU was measured


def test_wraps_within_a_window_are_seen_by_the_thread(
    powercap: Any, clock: Any, request: pytest.FixtureRequest
) -> None:
    """Three turns of the counter: more than the edges alone could tell."""
    # max_power_w bounds the wraps that can be trusted: 2 kW turn 200 J in 0.1 s.
    wrap = 200_000_000
    for package in range(2):
        powercap.zone(f"intel-rapl:{package}", f"package-{package}", 0, wrap)
    meter: EnergyMeter = request.getfixturevalue("meter")
    with meter.window("train") as w:
        for step in range(1, 13):
            powercap.put("intel-rapl:0", step * 60_000_000 % wrap)
            powercap.put("intel-rapl:1", step * 1_000_000)
            clock.now += 0.03  # a sample of the thread's own is due
            for _ in range(2):
                meter._thread.ask(lambda: None, timeout_s=SAFETY_S)
    energies = {name: reading.energy_j for name, reading in w.window.cpu_energy_j.items()}
    assert energies == pytest.approx({"package-0": 12 * 60, "package-1": 12})


def test_a_fall_that_no_wrap_explains_and_a_counter_that_vanishes(
    powercap: Any, meter: EnergyMeter, clock: Any
) -> None:
    """In a second, and the one by which samples and refreshes may differ, 2 kW are 4 kJ."""
    for joules, reason in ((3_999, ""), (4_001, "reset"), (math.nan, "query-failed")):
        powercap.put("intel-rapl:0", 262_143_328_850 - 1_000_000)
        with meter.window("train") as w:
            if math.isnan(joules):
                shutil.rmtree(powercap.root / "intel-rapl:0")
            else:
                powercap.put("intel-rapl:0", (joules - 1) * 1_000_000)
            clock.now += 1
        reading = w.window.cpu_energy_j["package-0"]
        assert reading.reason == reason
        assert reason or reading.energy_j == pytest.approx(joules)
    assert math.isnan(w.window.cpu_total_j)  # half of a node is not the node


# -- which counters -------------------------------------------------------------------------------


def test_absent_and_damaged_counters_are_absent(
    powercap: Any, counters: Counters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(rapl, "POWERCAP", tmp_path)
        with EnergyMeter(devices=()) as meter, meter.window("train") as w:
            pass
    assert (w.window.cpu_state.kind, w.window.cpu_energy_j) == ("absent", {})
    assert math.isnan(w.window.cpu_total_j)
    (powercap.root / "intel-rapl:0" / "energy_uj").write_text("-5\n")
    for text in ("must contain a number", "no RAPL package"):
        state = counters()
        assert (state.kind, text in state.detail, counters.sources) == ("absent", True, {})
        for package in range(2):
            powercap.zone(f"intel-rapl:{package}", "psys", 1)
    assert list(tmp_path.glob("*.lock")) == []


def test_a_denied_counter_comes_with_the_remedy(
    powercap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not below pytest's folder, which root alone may enter.
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setattr(rapl, "POWERCAP", folder)
    zone = type(powercap)(folder).zone("intel-rapl:0", "package-0", 1)
    (zone / "energy_uj").chmod(0)

    def state() -> str:  # as another user, who may not even import what this process has not yet
        if os.geteuid() == 0:
            os.seteuid(65534)
        found, _ = rapl.cpu_sources(ExitStack())
        return "\n".join((found.kind, found.detail, found.remedy))

    with child(state) as (_, answer):
        kind, detail, remedy = answer.split("\n")
    shutil.rmtree(folder)
    assert (kind, "read by root only" in detail) == ("denied", True)
    assert f"chmod a+r {folder}/intel-rapl*/energy_uj" in remedy
    assert all(word in remedy for word in ("setcap", "group"))


@pytest.mark.parametrize("name", ["LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"])
def test_of_a_distributed_training_rank_0_measures(
    counters: Counters, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for rank, kind, number in (("3", "elsewhere", 0), ("", "measured", 4), ("0", "measured", 4)):
        monkeypatch.setenv(name, rank)
        state = counters()
        assert (state.kind, len(counters.sources)) == (kind, number)
        assert (f"{name}=3" in state.detail) == (rank == "3")
        counters.close()


# -- the lock -------------------------------------------------------------------------------------


def test_of_several_processes_one_measures_and_the_lock_names_it(
    counters: Counters, tmp_path: Path
) -> None:
    umask = os.umask(0)
    try:
        counters()
    finally:
        os.umask(umask)
    lock = tmp_path / "ecnas-rapl.lock"
    assert lock.stat().st_mode & 0o777 == 0o666  # so that another user may take it
    assert lock.read_text() == f"{os.getpid()}\n"
    second = counters()
    assert (second.kind, counters.sources) == ("elsewhere", {})
    assert second.detail == f"process {os.getpid()} of this node measures the CPU"
    lock.write_bytes(b"\xff\xfe\n")
    assert counters().kind == "elsewhere"
    lock.write_text("")
    assert "(unknown)" in counters().detail
    counters.close()
    counters.close()
    # A longer number that is left from before does not show behind the new one.
    lock.write_text("123456789012345\n")
    assert counters().kind == "measured"
    assert lock.read_text() == f"{os.getpid()}\n"


def test_without_a_lock_it_measures_all_the_same(
    counters: Counters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better measured twice than not at all; and the target of a link is not written to."""
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        assert counters().kind == "measured"
    counters()
    counters.close()
    lock = tmp_path / "ecnas-rapl.lock"
    lock.unlink()
    (tmp_path / "precious").write_text("keep me")
    lock.symlink_to(tmp_path / "precious")
    assert counters().kind == "measured"
    assert (tmp_path / "precious").read_text() == "keep me"


def test_a_forked_child_neither_releases_nor_keeps_its_parents_lock(counters: Counters) -> None:
    counters()
    with child(counters.close) as (_, answer):
        assert answer == "None"
        assert counters().kind == "elsewhere"
        counters.close()  # while the child still has the file
        assert counters().kind == "measured"


def test_a_killed_process_does_not_keep_the_lock(counters: Counters) -> None:
    with child(lambda: counters().kind) as (pid, kind):
        assert (kind, counters().kind) == ("measured", "elsewhere")
        os.kill(pid, signal.SIGKILL)
    assert counters().kind == "measured"
