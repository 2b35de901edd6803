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
from naslib_ecnas.campaign.worker import open_meter
from naslib_ecnas.energy import ReplayMeter
from naslib_ecnas.energy.meter import Meter
from naslib_ecnas.energy.readings import CpuState, GpuSetup, GpuState, Reading, Window
from naslib_ecnas.files import to_json
from naslib_ecnas.training.recipe import RECIPES
from naslib_ecnas.training.record import (
    SPLITS,
    WHEN,
    DataLabel,
    Evaluation,
    Segment,
    WindowId,
)

SETTINGS = Settings(meter="none", steps=2, batch_size=2, evaluate_images=2)
#: Four images a file, so that a budget of four epochs has 32 steps of two images.
DATA = DataChoice(kind="synthetic", images_per_file=4)

#: Prints a line for each attempt. It stops after a step of a training, counted from 1, or when a
#: record is to take its name; then it prints "held" and waits for a line.
_WORKER = """
import json, os, sys
from pathlib import Path
from naslib_ecnas.campaign import Settings, work, worker
from naslib_ecnas.campaign.measurement import MeterLabel
from naslib_ecnas.energy import ReplayMeter
from naslib_ecnas.progress import listening
folder, settings, hold = sys.argv[1:]

def held(name):
    print("held", name, flush=True)
    sys.stdin.readline()

def opened(settings, *, open_meter=worker.open_meter):
    if settings.meter == "none":
        return open_meter(settings)
    return ReplayMeter.of_trace([0, 1e6], [100, 100]), MeterLabel(kind="nvml")

worker.open_meter = opened

def progress(task, done=0, total=None, **_):
    if task.startswith("training") and str(done) == hold:
        held(task)

def replacing(source, target, *, replace=os.replace):
    if hold == "record" and Path(target).parent.name == "records":
        held(Path(target).stem)
    replace(source, target)

os.replace = replacing
with listening(progress):
    work(Path(folder), Settings(**json.loads(settings)),
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
def trace_s() -> list[float]:
    """Seconds for which the power of `traced` is known."""
    return [1e6]


@pytest.fixture
def traced(settings: Settings, trace_s: list[float], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of a tiny training, whose meter gives 100 W throughout."""

    def opened(settings: Settings) -> tuple[Meter, MeterLabel]:
        if settings.meter == "none":
            return open_meter(settings)
        return ReplayMeter.of_trace([0, *trace_s], [100, 100]), MeterLabel(kind="nvml")

    for module in ("worker", "estimate"):
        monkeypatch.setattr(f"naslib_ecnas.campaign.{module}.open_meter", opened)
    return replace(settings, meter="auto", baseline_s=0.0)


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
#: Durations of a whole run's windows in s, by the first word of their names.
SECONDS = {"init": 8.0, "train": 20.0, "evaluate": 1.0}
#: The windows of a whole run within `total`, in their order.
PARTS = ["init"]
for number, when in enumerate(WHEN):
    PARTS += [f"train-{number}", *(f"evaluate-{when}-{split}" for split in SPLITS)]


def whole_run(
    template: Measurement, windows: list[Window], *, right: int = 1000, **changes: Any
) -> Measurement:
    """A record such as a whole training on CIFAR-10 with a meter would leave.

    Args:
        template: what the rest is taken from.
        windows: of the meter, named as `total` and `PARTS`, and rests.
        right: images that the first evaluation classifies correctly, ten fewer than the next.
        changes: the unit and other fields of the record; the step of the evaluation in the middle
            by `middle`.
    """
    recipe, unit = RECIPES["ecnas"], changes.get("unit", template.unit)
    budget = recipe.steps(unit.epochs)
    ends = (1, changes.pop("middle", recipe.middle_step(unit.epochs, budget)), budget)
    ids = {w.name: WindowId(name=w.name, index=w.index, seconds=w.seconds) for w in windows}
    loss = {"mean_loss": 1.0, "last_loss": 1.0}
    segments = tuple(
        Segment(window=ids[f"train-{i}"], first_step=first, steps=stop - first, **loss)
        for i, (first, stop) in enumerate(pairwise((0, *ends)))
    )
    evaluations = tuple(
        Evaluation(
            when=when,
            split=split,
            steps=steps,
            window=ids[f"evaluate-{when}-{split}"],
            images=9984,
            accuracy=(right + 10 * (3 * i + j)) / 9984,
        )
        for i, (when, steps) in enumerate(zip(WHEN, ends, strict=True))
        for j, split in enumerate(SPLITS)
    )
    sizes = {"train": 40_000, "validation": 10_000, "test": 10_000}
    training = replace(
        template.training,
        recipe=recipe,
        data=DataLabel(name="CIFAR-10", sha256="0" * 64, **sizes),
        device="cuda:0",
        device_name="Made-up GPU",
        epochs=unit.epochs,
        budget_steps=budget,
        steps=budget,
        departures=(),
        windows=tuple(ids[name] for name in ("total", *PARTS)),
        segments=segments,
        evaluations=evaluations,
    )
    same = {"settings": Settings(device="cuda:0"), "windows": tuple(windows)}
    return replace(template, training=training, **same, **changes)


@pytest.fixture(name="whole_run")
def _whole_run() -> Callable[..., Measurement]:
    """Makes the record of a whole run."""
    return whole_run


def as_measured(record: Measurement) -> Measurement:
    """A whole run of a record's unit, at 200 W of the GPU and 50 W of each of two CPU packages.

    A larger row takes longer, and a repeat 1 % more.
    """
    row = record.unit.row
    factor, now = 1 + row / 10 + record.unit.repeat / 100, 0.0
    spans = {}
    for name in PARTS:
        began, now = now, now + factor * SECONDS[name.split("-")[0]]
        spans[name] = began, now
    rests = {"rest-before": (0.0, 10.0), "rest-after": (0.0, 10.0)}
    spans = {"total": (0.0, now + 0.5), **spans, **rests}
    state = GpuState(200.0, 60.0, 1500.0, 1500.0, 300.0, throttle_reasons=(), others=())
    known = {"uncertainty_j": 1e-6, "update_period_s": 0.1, "agreement": "agree"}
    windows = []
    for index, (name, (began, ended)) in enumerate(spans.items()):
        joules = WATTS["gpu"] * (ended - began)
        reading = Reading(joules, "counter", integral_j=joules, start=state, stop=state, **known)
        cpu = {f"package-{i}": Reading(WATTS["cpu"] * (ended - began), "rapl") for i in range(2)}
        energies = {"energy_j": {GPU: reading}, "cpu_energy_j": cpu}
        place = (name, name, index, 0 if name in PARTS else None, began, ended, began, ended)
        windows.append(Window(*place, **energies, cpu_state=CpuState("measured")))
    limits = {"default_power_limit_w": 300.0, "enforced_power_limit_w": 300.0}
    setup = GpuSetup("Made-up GPU", "550.1", persistence=True, ecc=True, **limits)
    label = {"methods": {GPU: "counter"}, "periods_s": {GPU: 0.1}, "notes": {GPU: ()}}
    meter = MeterLabel(kind="nvml", cpu="measured", cpu_detail="", setups={GPU: setup}, **label)
    return whole_run(record, windows, right=1000 + row, meter=meter)
