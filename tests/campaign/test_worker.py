"""Workers: meters, warm-ups, full disks, kills and takeovers; the records are always the same."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.campaign import (
    DataChoice,
    Measurement,
    Pace,
    Plan,
    Settings,
    export,
    status,
    validate,
    work,
)
from naslib_ecnas.campaign import worker as worker_module
from naslib_ecnas.campaign.claims import Claim, attempts
from naslib_ecnas.campaign.measurement import record_path, recorded
from naslib_ecnas.campaign.worker import (
    PAUSE_S,
    WARM_UP,
    attempts_folder,
    images,
    open_meter,
)
from naslib_ecnas.energy import EnergyMeter, NullMeter
from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError, StorageError
from naslib_ecnas.progress import listening

MakePlan = Callable[..., Plan]
Start = Callable[..., "subprocess.Popen[str]"]


def records(folder: Path) -> list[Measurement]:
    return [Measurement.read(record_path(folder, unit)) for unit in Plan.read(folder).units]


def outcomes(folder: Path) -> dict[str, list[float]]:
    """Everything that the seeds determine, by unit."""
    found = {}
    for record in records(folder):
        losses = [x for s in record.training.segments for x in (s.mean_loss, s.last_loss)]
        found[record.unit.name] = losses + [e.accuracy for e in record.training.evaluations]
    return found


def place_of(folder: Path, index: int = 0) -> Path:
    """Folder of a unit's attempts."""
    return attempts_folder(folder, Plan.read(folder).units[index])


# -- meters ---------------------------------------------------------------------------------------


def test_a_cpu_is_measured_if_it_can_be_and_a_gpu_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with EnergyMeter(devices=()) as meter:
        state = meter.cpu_state
    expected = ("rapl", EnergyMeter) if state.kind == "measured" else ("none", NullMeter)
    used, label = open_meter(Settings())
    used.close()
    assert (label.kind, type(used), label.cpu_detail) == (*expected, state.detail)
    used, label = open_meter(Settings(meter="none"))
    assert (label.kind, type(used), label.cpu) == ("none", NullMeter, "off")
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if nvidia-ml-py were not installed
    with pytest.raises(MissingDependencyError):
        open_meter(Settings(gpu="GPU-0"))


def test_images_that_are_not_cifar10s_are_told_at_once(tmp_path: Path, torch: Any) -> None:
    """Whatever their number: before anything is trained on them."""
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (tmp_path / f"{name}.bin").write_bytes(bytes(3073 * 4))
    choice = DataChoice(kind="cifar10", path=str(tmp_path), images_per_file=4)
    with pytest.warns(UserWarning, match="are not CIFAR-10's, as their digests show"):
        assert images(choice).name == "not CIFAR-10"


# -- warm-ups -------------------------------------------------------------------------------------


def test_only_the_first_unit_is_warmed_up_and_in_no_energy(
    tmp_path: Path, plan: MakePlan, traced: Settings, measured: Path
) -> None:
    folder = tmp_path / "c"
    plan().write(folder)
    work(folder, replace(traced, baseline_s=0.05, warm_up_s=0.05))
    first, *others = records(folder)
    assert [window.name for window in first.windows][:2] == [WARM_UP, "rest-before"]
    assert all(record.window(WARM_UP) is None for record in others)
    # Equal to the last bit to a campaign without warm-up.
    assert outcomes(folder) == outcomes(measured)
    for record in (first, *others):
        total = record.window("total")
        assert total is not None
        assert record.total_j(cpu=False) == pytest.approx(100 * total.seconds, rel=1e-6)
        assert record.training_j(cpu=False) < record.total_j(cpu=False)
    window = first.window(WARM_UP)
    assert window is not None
    assert (window.parent, window.seconds >= 0.05) == (None, True)
    assert validate(folder).good


def test_a_pause_makes_a_device_cold(
    tmp_path: Path, plan: MakePlan, settings: Settings, clock: Any
) -> None:
    folder = tmp_path / "c"
    plan().write(folder)
    pauses = iter((PAUSE_S, PAUSE_S + 1, 0, 0))
    warm = replace(settings, warm_up_s=1e-6)
    work(folder, warm, clock=clock, on_attempt=lambda done: clock.sleep(next(pauses)))
    warmed_up = [record.window(WARM_UP) is not None for record in records(folder)]
    assert warmed_up == [True, False, True, False]


def test_rests_are_slept_before_and_after_and_steps_are_reported(
    one: Path, traced: Settings, clock: Any
) -> None:
    told = []

    def progress(
        task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        told.append(f"{task}: {done} of {total} {unit}")

    resting = replace(traced, baseline_s=7.0)
    with listening(progress):
        work(str(one), resting, clock=clock, sleep=clock.sleep)
    assert clock.slept == [7.0, 7.0]
    assert told == [
        "campaign tiny: 0 of 1 units",
        "training row 0: 1 of 2 steps",
        "training row 0: 2 of 2 steps",
        "campaign tiny: 1 of 1 units",
    ]
    names = [window.name for window in records(one)[0].windows]
    assert (names[0], names[-1]) == ("rest-before", "rest-after")


def test_neighbours_share_the_rest_between_them(
    tmp_path: Path, plan: MakePlan, traced: Settings, clock: Any
) -> None:
    """A pause longer than a rest is followed by a rest of its own."""
    plan(repeats=2).write(tmp_path / "c")
    pauses, resting = iter((1.0, 8.0, 0.0, 0.0)), replace(traced, baseline_s=7.0)
    options = {"clock": clock, "sleep": clock.sleep}
    work(tmp_path / "c", resting, on_attempt=lambda _: clock.sleep(next(pauses)), **options)
    assert clock.slept == [7, 7, 1, 7, 8, 7, 7, 0, 7, 0]
    ends = [
        [r.window(f"rest-{name}") for name in ("before", "after")] for r in records(tmp_path / "c")
    ]
    for (_, after), (before, _), shared in zip(ends, ends[1:], (True, False, True), strict=False):
        assert after is not None
        assert before is not None
        assert (before.started == after.started) is shared
        assert before.name == "rest-before"
    for record in records(tmp_path / "c"):
        assert len({window.index for window in record.windows}) == len(record.windows)
    assert validate(tmp_path / "c").good


# -- attempts -------------------------------------------------------------------------------------


def test_records_are_whole_and_name_everything(measured: Path, settings: Settings) -> None:
    plan = Plan.read(measured)
    assert recorded(measured) == set(plan.by_name)
    for unit, record in zip(plan.units, records(measured), strict=True):
        assert (record.unit, record.attempt, record.settings) == (unit, 1, settings)
        assert (record.plan, record.meter.kind) == (plan.checksum, "none")
        assert (record.training.seed, record.training.steps) == (unit.seed, 2)
        assert record.made_up == ("synthetic images", "stopped after 2 of 32 steps")
        assert all(np.isnan(w.gpu_total_j) for w in record.windows)
    assert work(measured, settings) == []
    with pytest.raises(ConfigError, match="limit"):
        work(measured, settings, limit=0)


def test_invalid_windows_put_a_unit_back_until_it_is_given_up(
    one: Path, traced: Settings, trace_s: list[float]
) -> None:
    """A trace of power that ends before the training does."""
    trace_s[:] = [1e-6]
    done = work(one, traced, pace=Pace(tries=2))
    assert [end.how for end in done] == ["invalid", "invalid"]
    assert "outside-trace" in done[0].detail
    found = status(one, pace=Pace(tries=2))
    assert found.recorded == 0
    assert [(u.attempts, "outside-trace" in u.reason) for u in found.given_up] == [(2, True)]
    assert Measurement.read(place_of(one) / "0001.json").unit == Plan.read(one).units[0]
    # With a trace that is long enough, and one more try, it is recorded.
    trace_s[:] = [1e6]
    assert [end.how for end in work(one, traced, pace=Pace(tries=3))] == ["recorded"]
    assert any("does not use" in why for why in records(one)[0].made_up)
    assert status(one, pace=Pace(tries=3)).lost.attempts == 2


def test_a_training_that_fails_is_tried_again_and_several_stop_the_worker(
    tmp_path: Path, plan: MakePlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    folder = tmp_path / "c"
    plan(rows=(0,), repeats=2).write(folder)
    monkeypatch.setattr(worker_module, "measure_unit", broken)
    with pytest.raises(EcnasError, match="3 trainings failed"):
        work(folder, settings)
    made = [a.ended for i in range(2) for a in attempts(place_of(folder, i))]
    assert made == ["failed"] * 3
    monkeypatch.undo()
    assert [end.how for end in work(folder, settings)] == ["recorded"]  # the other unit
    assert len(work(folder, settings, pace=Pace(tries=4))) == 1


def test_a_gpu_that_is_lost_to_the_process_ends_the_worker_at_once(
    tmp_path: Path, plan: MakePlan, settings: Settings, monkeypatch: pytest.MonkeyPatch, torch: Any
) -> None:
    """One unit is tried once, not three, and the next process measures all."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    folder = tmp_path / "c"
    plan(rows=(0,), repeats=2).write(folder)
    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "measure_unit", broken)
        patch.setattr(torch.cuda, "device_count", lambda: 1)
        patch.setattr(torch.cuda, "synchronize", broken)
        lost = "cuda:0 no longer works in this process .CUDA error: an illegal memory access"
        with pytest.raises(EcnasError, match=lost):
            work(folder, replace(settings, device="cuda:0"))
    made = [a.ended for i in range(2) for a in attempts(place_of(folder, i))]
    assert made == ["failed"]
    assert [end.how for end in work(folder, settings)] == ["recorded"] * 2


def test_a_setting_that_is_not_possible_ends_the_worker_and_blames_no_unit(
    one: Path, settings: Settings
) -> None:
    with pytest.raises(ConfigError, match="device"):
        work(one, replace(settings, device="cuda:7"))
    assert not attempts(place_of(one))
    with pytest.raises(ConfigError, match="batch"):
        work(one, replace(settings, evaluate_images=1, batch_size=2))
    (made,) = attempts(place_of(one))
    assert made.ended == "stopped"
    assert len(work(one, settings, limit=1)) == 1


def test_a_unit_that_was_recorded_between_two_looks_is_not_measured_again(
    one: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (unit,) = Plan.read(one).units

    def look(place: Path) -> Any:
        record_path(one, unit).parent.mkdir()  # another worker writes the record just now
        record_path(one, unit).touch()
        return attempts(place)

    monkeypatch.setattr(worker_module, "attempts", look)
    assert work(one, settings) == []
    assert not attempts(place_of(one))


def test_an_interrupted_worker_frees_its_unit_at_once(one: Path, settings: Settings) -> None:
    def interrupt(task: str, done: int = 0, *_: object, **__: object) -> None:
        if task.startswith("training") and done == 1:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored
    try:
        with pytest.raises(KeyboardInterrupt), listening(interrupt):
            work(one, settings)
    finally:
        signal.signal(signal.SIGINT, before)
    (first,) = attempts(place_of(one))
    assert (first.ended, first.detail.split(":")[0]) == ("stopped", "KeyboardInterrupt")
    assert [end.attempt for end in work(one, settings)] == [2]


def test_the_record_of_a_worker_that_was_superseded_does_not_count(
    one: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of one that did not notice while it trained: without a heartbeat, as on a hung disk."""
    monkeypatch.setattr(worker_module, "heartbeat", lambda claim, beat_s: nullcontext())
    place = place_of(one)
    other = Claim(place, 2)

    def supersede(task: str, done: int = 0, *_: object, **__: object) -> None:
        if task.startswith("training") and done == 2 and other.take():
            other.end("failed", "so that the unit is free")

    with listening(supersede):
        done = work(one, settings)
    assert [(end.attempt, end.how) for end in done] == [(1, "superseded"), (3, "recorded")]
    assert Measurement.read(place / "0001.json").attempt == 1
    assert records(one)[0].attempt == 3


@pytest.mark.parametrize("signed", [True, False])
def test_a_silent_worker_elsewhere_is_waited_for_and_then_replaced(
    one: Path, settings: Settings, clock: Any, elsewhere: Callable[..., Path], signed: bool
) -> None:
    """By the clock of who looks: after its last heartbeat, which came ten seconds ago and whose
    time is decades late. If its file is empty the worker died before it signed."""
    claim = elsewhere(place_of(one))
    if not signed:
        claim.write_text("")
    os.utime(claim, (1, 1))

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 10:
            os.utime(claim, (2, 2))

    assert work(one, settings, pace=Pace(wait=False)) == []
    done = work(one, settings, pace=Pace(stale_s=30.0), clock=clock, sleep=sleep)
    assert [(end.attempt, end.how) for end in done] == [(2, "recorded")]
    assert clock.slept == [1.0] * 40
    assert status(one).lost.attempts == 1


# -- a full disk ----------------------------------------------------------------------------------


class SmallDisk:
    """Within it a file of this process cannot grow beyond 500 bytes, as on a full disk."""

    def __enter__(self) -> SmallDisk:
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, self._limits[1]))
        return self

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)


@pytest.fixture
def small_disk(measured: Path, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    # After a training of this process, and without bytecode: Python before 3.12.8 keeps half a
    # file of it where the disk is full.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return SmallDisk()


def test_a_record_waits_for_room_on_the_disk(
    one: Path, settings: Settings, small_disk: SmallDisk, clock: Any
) -> None:
    """It cannot be written at first; the training is not lost."""

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        assert recorded(one) == set()
        if len(clock.slept) == 7:
            small_disk.__exit__()

    (unit,) = Plan.read(one).units
    with pytest.warns(UserWarning, match=f"the record of {unit} waits"), small_disk:
        (done,) = work(one, settings, clock=clock, sleep=sleep)
    assert clock.slept == [1, 2, 4, 8, 16, 30, 30]
    assert (done.attempt, done.how, records(one)[0].training.steps) == (1, "recorded", 2)
    assert [a.ended for a in attempts(place_of(one))] == ["recorded"]
    assert list((one / "records").glob(".*")) == []  # no half a file is left
    assert validate(one).good


def test_a_disk_that_stays_full_ends_the_worker_and_frees_the_unit(
    one: Path, settings: Settings, small_disk: SmallDisk, clock: Any
) -> None:
    pace = Pace(patience_s=10)
    full = pytest.raises(StorageError)
    with pytest.warns(UserWarning, match="waits"), small_disk, full:
        work(one, settings, pace=pace, clock=clock, sleep=clock.sleep)
    assert clock.slept == [1, 2, 4]
    assert list((one / "records").glob("*")) == []
    # The end of the attempt may not fit either. The worker's process is gone as a rule.
    claim = place_of(one) / "0001.claim"
    owner, *lines = claim.read_text().splitlines()
    owner = json.dumps({**json.loads(owner), "process_start": "1"})
    claim.write_text("\n".join([owner, *lines]))
    (done,) = work(one, settings, pace=Pace(wait=False))
    assert (done.attempt, done.how) == (2, "recorded")


# -- several processes ----------------------------------------------------------------------------


def test_nothing_is_lost_and_nothing_counted_twice(
    tmp_path: Path,
    plan: MakePlan,
    traced: Settings,
    measured: Path,
    worker: Start,
    elsewhere: Callable[..., Path],
    clock: Any,
) -> None:
    """Two workers are killed: in a training, and as a record takes its name. A claim of another
    machine is left behind. All energies are of a trace of 100 W."""
    folder = tmp_path / "c"
    planned = plan()
    planned.write(folder)
    elsewhere(attempts_folder(folder, planned.units[3]))
    killed = [worker(folder, traced, hold=hold) for hold in (1, "record")]
    for process in killed:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("held ")
    assert [r.stale for r in status(folder).running] == [False] * 3
    for process in killed:
        process.kill()
        process.communicate()
    assert recorded(folder) == set()
    done = work(folder, traced, clock=clock, sleep=clock.sleep)
    assert sorted(end.attempt for end in done) == [1, 2, 2, 2]
    assert {end.how for end in done} == {"recorded"}
    assert outcomes(folder) == outcomes(measured)
    found = status(folder)
    assert (found.recorded, found.lost.attempts, found.running) == (4, 3, ())
    assert found.lost.seconds > 0
    # At the mean power, whatever was measured of them.
    assert found.lost.energy_kwh == pytest.approx(100 * found.lost.seconds / 3.6e6, rel=1e-3)
    checked = validate(folder)
    assert (checked.good, checked.records, checked.missing) == (True, 4, ())
    table = tmp_path / "c.ecnas"
    columns = export(folder, table, allow_synthetic=True)
    assert columns.values["energy_kwh"].shape == (2, 1, 2)
    assert np.isfinite(columns.values["energy_kwh"]).all()
    bench = ecnas.load(table)
    assert bench.rows.tolist() == [0, 2]
    for row, energy in zip((0, 2), bench.values("total_energy_kwh", 4)[[0, 2]], strict=True):
        totals = [r.window("total") for r in records(folder) if r.unit.row == row]
        kwh = [100 * total.seconds / 3.6e6 for total in totals if total is not None]
        assert energy == pytest.approx(np.mean(kwh), rel=1e-5)
