"""Tiny campaigns: small cells, two images a batch, two steps, synthetic images, no meter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.campaign import DataChoice, Measurement, Plan, Settings, make_plan, work
from naslib_ecnas.campaign.claims import Owner
from naslib_ecnas.campaign.measurement import MeterLabel, record_path
from naslib_ecnas.energy.readings import CpuState, GpuSetup, GpuState, Reading, Window
from naslib_ecnas.files import to_json
from naslib_ecnas.training.recipe import RECIPES
from naslib_ecnas.training.record import DataLabel, WindowId

SETTINGS = Settings(meter="none", steps=2, batch_size=2, evaluate_images=2)
#: Four images a file, so that a budget of four epochs has 32 steps of two images.
DATA = DataChoice(kind="synthetic", images_per_file=4)

#: Prints a line for each attempt. It stops after a step of a training, counted from 1, or when a
#: record is to take its name; then it prints "held" and waits for a line.
_WORKER = """
import json, os, sys
from pathlib import Path
from naslib_ecnas.campaign import Settings, work
folder, settings, hold = sys.argv[1:]

def held(name):
    print("held", name, flush=True)
    sys.stdin.readline()

def progress(task, done=0, total=None, **_):
    if task.startswith("training") and str(done) == hold:
        held(task)

def replacing(source, target, *, replace=os.replace):
    if hold == "record" and Path(target).parent.name == "records":
        held(Path(target).stem)
    replace(source, target)

os.replace = replacing
work(Path(folder), Settings(**json.loads(settings)), progress=progress,
     on_attempt=lambda done: print(done.unit.name, done.attempt, done.how, flush=True))
"""


class Clock:
    """A time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def torch() -> Iterator[Any]:
    """torch with one thread."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(before)


def small_plan(*, rows: tuple[int, ...] = (0, 2), repeats: int = 2, seed: int = 3) -> Plan:
    return make_plan(rows, name="tiny", vertices=4, repeats=repeats, data=DATA, seed=seed)


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """Makes a tiny plan."""
    return small_plan


@pytest.fixture
def settings(torch: Any) -> Settings:
    """Those of a tiny training."""
    return SETTINGS


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A campaign of one unit."""
    small_plan(rows=(0,), repeats=1).write(tmp_path / "one")
    return tmp_path / "one"


@pytest.fixture
def traced(tmp_path: Path, settings: Settings) -> Settings:
    """Those of a tiny training with 100 W throughout, from a file."""
    trace = tmp_path / "trace.json"
    trace.write_text(json.dumps({"times_s": [0, 1e6], "powers_w": [100, 100]}))
    return replace(settings, meter="replay", replay=str(trace), baseline_s=0.0)


@pytest.fixture
def elsewhere() -> Callable[..., Path]:
    """Makes a claim of a live process on another machine, in a folder of attempts."""

    def claim(place: Path, **changes: Any) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        path = place / "0001.claim"
        path.write_text(to_json(replace(Owner.here(), host="elsewhere", **changes)))
        return path

    return claim


@pytest.fixture(scope="session")
def _measured(shared: Any, torch: Any) -> Path:
    def measure(folder: Path) -> None:
        small_plan().write(folder)
        assert [one.how for one in work(folder, SETTINGS)] == ["recorded"] * 4

    return Path(shared.folder("measured-campaign", measure))


@pytest.fixture(scope="session")
def _sound(shared: Any, _measured: Path) -> Path:
    def make(folder: Path) -> None:
        shutil.copytree(_measured, folder, dirs_exist_ok=True)
        for unit in Plan.read(folder).units:
            path = record_path(folder, unit)
            as_measured(Measurement.read(path)).write(path)

    return Path(shared.folder("sound-campaign", make))


@pytest.fixture
def measured(_measured: Path, tmp_path: Path) -> Path:
    """A campaign of four units that were measured, to be changed."""
    return Path(shutil.copytree(_measured, tmp_path / "measured"))


@pytest.fixture
def sound(_sound: Path, tmp_path: Path) -> Path:
    """A campaign whose records look as if real trainings had been measured on a GPU."""
    return Path(shutil.copytree(_sound, tmp_path / "sound"))


@pytest.fixture
def spoil(sound: Path) -> Callable[[Callable[[Measurement], Measurement]], Path]:
    """Changes the first record of a sound campaign."""

    def change(how: Callable[[Measurement], Measurement]) -> Path:
        path = record_path(sound, Plan.read(sound).units[0])
        how(Measurement.read(path)).write(path)
        return sound

    return change


@pytest.fixture
def worker(torch: Any, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a worker as a process of its own; none outlives the test."""
    running: list[subprocess.Popen[str]] = []

    def start(folder: Path, settings: Settings, *, hold: object = "") -> subprocess.Popen[str]:
        arguments = [str(folder), json.dumps(asdict(settings)), str(hold)]
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


GPU = "GPU-0"
WATTS = {"gpu": 200.0, "cpu": 50.0}
#: Durations of the windows in s, by the first word of their names. Those of the tiny trainings
#: depend on the machine.
SECONDS = {"init": 8.0, "train": 20.0, "evaluate": 1.0}


def _powered(window: Window, began: float, ended: float) -> Window:
    """The window at these times by both clocks, at 200 W of the GPU and 50 W of each package."""
    seconds = ended - began
    state = GpuState(200.0, 60.0, 1500.0, 1500.0, 300.0, throttle_reasons=(), others=())
    joules = WATTS["gpu"] * seconds
    known = {"uncertainty_j": 1e-6, "update_period_s": 0.1, "agreement": "agree"}
    reading = Reading(joules, "counter", integral_j=joules, start=state, stop=state, **known)
    cpu = {f"package-{i}": Reading(WATTS["cpu"] * seconds, "rapl") for i in range(2)}
    times = {"started": began, "stopped": ended, "started_unix": began, "stopped_unix": ended}
    energies = {"energy_j": {GPU: reading}, "cpu_energy_j": cpu}
    return replace(window, **times, **energies, cpu_state=CpuState("measured"))


def _with_middle(record: Measurement) -> Measurement:
    """The record with a segment `train-1`, which a training of two steps does not have."""
    training, (first, last) = record.training, record.training.segments
    name = WindowId(name="train-1", index=99, seconds=last.window.seconds)
    at = [named.name for named in training.windows].index("evaluate-middle-train")
    named = (*training.windows[:at], name, *training.windows[at:])
    segments = (first, replace(last, window=name), last)
    window = next(w for w in record.windows if w.name == "train-2")
    window = replace(window, name="train-1", path="total/train-1", index=99)
    training = replace(training, windows=named, segments=segments)
    return replace(record, training=training, windows=(window, *record.windows))


def as_measured(record: Measurement) -> Measurement:
    """A made-up record such as a whole training on CIFAR-10 with a meter would leave.

    A larger row takes longer, and a repeat 1 % more. The GPU draws 200 W and each of two CPU
    packages 50 W throughout.
    """
    record = _with_middle(record)
    training, recipe = record.training, RECIPES["ecnas"]
    budget, row = recipe.steps(4), record.unit.row
    ends = {"start": 1, "middle": recipe.middle_step(4, budget), "end": budget}
    factor = 1 + row / 10 + record.unit.repeat / 100
    spans, now = {}, 0.0
    for named in training.windows[1:]:
        began, now = now, now + factor * SECONDS[named.name.split("-")[0]]
        spans[named.name] = began, now
    spans["total"] = 0.0, now + 0.5
    seconds = {name: ended - began for name, (began, ended) in spans.items()}
    timed = {w.name: replace(w, seconds=seconds[w.name]) for w in training.windows}
    segments = [
        replace(s, window=timed[s.window.name], first_step=first, steps=stop - first)
        for s, (first, stop) in zip(training.segments, pairwise((0, *ends.values())), strict=True)
    ]
    evaluations = tuple(
        replace(
            found,
            window=timed[found.window.name],
            images=9984,
            accuracy=(1000 + 10 * i + row) / 9984,
            steps=ends[found.when],
        )
        for i, found in enumerate(training.evaluations)
    )
    sizes = {"train": 40_000, "validation": 10_000, "test": 10_000}
    training = replace(
        training,
        recipe=recipe,
        data=DataLabel(name="CIFAR-10", sha256="0" * 64, **sizes),
        device="cuda:0",
        device_name="Made-up GPU",
        budget_steps=budget,
        steps=budget,
        departures=(),
        windows=tuple(timed.values()),
        segments=tuple(segments),
        evaluations=evaluations,
    )
    windows = [_powered(window, *spans[window.name]) for window in record.windows]
    for name in ("rest-before", "rest-after"):
        rest = Window(name, name, len(windows), None, 0.0, 0.0, 0.0, 0.0)
        windows.append(_powered(rest, 0.0, 10.0))
    label = {"methods": {GPU: "counter"}, "periods_s": {GPU: 0.1}, "notes": {GPU: ()}}
    limits = {"default_power_limit_w": 300.0, "enforced_power_limit_w": 300.0}
    label["setups"] = {GPU: GpuSetup("Made-up GPU", "550.1", persistence=True, ecc=True, **limits)}
    return replace(
        record,
        settings=Settings(device="cuda:0"),
        meter=MeterLabel(kind="nvml", cpu="measured", cpu_detail="", **label),
        training=training,
        windows=tuple(windows),
    )
