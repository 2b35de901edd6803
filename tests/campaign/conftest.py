"""Tiny campaigns: small cells, two images a batch, two steps, made-up images, no meter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.campaign import DataChoice, Measurement, Pace, Plan, Settings, make_plan, work
from naslib_ecnas.campaign.record import MeterLabel, record_path
from naslib_ecnas.energy.readings import CpuState, GpuState, Reading, Window
from naslib_ecnas.training import RECIPES
from naslib_ecnas.training.record import DataLabel, WindowId

torch = pytest.importorskip("torch")

SETTINGS = Settings(meter="none", steps=2, batch_size=2, evaluate_images=2)
#: Four images a file, so that a budget of four epochs has 32 steps of two images.
DATA = DataChoice(kind="synthetic", images_per_file=4)

_WORKER = """
import json, sys
from pathlib import Path
from naslib_ecnas.campaign import Pace, Settings, work
folder, settings, pace = sys.argv[1:]
print("ready", flush=True)
work(Path(folder), Settings(**json.loads(settings)), pace=Pace(**json.loads(pace)),
     told=lambda done: print(done.unit.name, done.attempt, done.how, flush=True))
"""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_plan(*, rows: tuple[int, ...] = (0, 2), repeats: int = 2, seed: int = 3) -> Plan:
    return make_plan(rows, name="tiny", vertices=4, repeats=repeats, data=DATA, seed=seed)


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """Makes a tiny plan."""
    return small_plan


@pytest.fixture
def settings() -> Settings:
    """Those of a tiny training."""
    return SETTINGS


@pytest.fixture(scope="session")
def _measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured") / "tiny"
    small_plan().write(folder)
    done = work(folder, SETTINGS)
    assert [one.how for one in done] == ["recorded"] * 4
    return folder


@pytest.fixture
def measured(_measured: Path, tmp_path: Path) -> Path:
    """A campaign of four units that were measured, to be spoilt."""
    return Path(shutil.copytree(_measured, tmp_path / "tiny"))


@pytest.fixture
def worker(settings: Settings) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a worker as a process of its own; none outlives the test."""
    running: list[subprocess.Popen[str]] = []

    def start(folder: Path, **pace: Any) -> subprocess.Popen[str]:
        arguments = [str(folder), json.dumps(asdict(settings)), json.dumps(asdict(Pace(**pace)))]
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


GPU = "GPU-0"
WATTS = {"gpu": 200.0, "cpu": 50.0}
#: What the made-up trainings' windows take, in s, by the first word of their names. Those of the
#: tiny trainings are the machine's noise.
SECONDS = {"init": 8.0, "train": 20.0, "evaluate": 1.0}


def _reading(joules: float) -> Reading:
    state = GpuState(
        power_w=200.0,
        temperature_c=60.0,
        sm_clock_mhz=1500.0,
        power_limit_w=300.0,
        throttle_reasons=(),
        others=(),
    )
    return Reading(
        energy_j=joules,
        method="counter",
        uncertainty_j=1e-6,
        update_period_s=0.1,
        integral_j=joules,
        agreement="agree",
        start=state,
        stop=state,
    )


def _window(window: Window) -> Window:
    cpu = {f"package-{i}": Reading(WATTS["cpu"] * window.seconds, "rapl") for i in range(2)}
    return replace(
        window,
        energy_j={GPU: _reading(WATTS["gpu"] * window.seconds)},
        cpu_energy_j=cpu,
        cpu_state=CpuState("measured"),
    )


def _spans(record: Measurement) -> dict[str, tuple[float, float]]:
    """Start and end of every window, in s: a larger row takes longer, a repeat a per cent."""
    pace = 1 + record.unit.row / 10 + record.unit.repeat / 100
    spans, now = {}, 0.0
    for named in record.training.windows[1:]:
        began, now = now, now + pace * SECONDS[named.name.split("-")[0]]
        spans[named.name] = began, now
    return {"total": (0.0, now + 0.5), **spans}


def _timed(record: Measurement) -> Measurement:
    """The record with the windows of `_spans`, by both clocks."""
    spans, training = _spans(record), record.training

    def named(window: WindowId) -> WindowId:
        began, ended = spans[window.name]
        return replace(window, seconds=ended - began)

    training = replace(
        training,
        windows=tuple(map(named, training.windows)),
        segments=tuple(replace(s, window=named(s.window)) for s in training.segments),
        evaluations=tuple(replace(e, window=named(e.window)) for e in training.evaluations),
    )
    windows = []
    for window in record.windows:
        began, ended = spans[window.name]
        clock = {"started_unix": began, "stopped_unix": ended}
        windows.append(replace(window, started=began, stopped=ended, **clock))
    return replace(record, training=training, windows=tuple(windows))


def as_measured(record: Measurement) -> Measurement:
    """A made-up record such as a whole training on CIFAR-10 with a meter would leave.

    The GPU draws 200 W and each of two CPU packages 50 W throughout.
    """
    record = _timed(record)
    training = record.training
    budget = RECIPES["ecnas"].steps(4)
    last = training.segments[-1]
    segments = (*training.segments[:-1], replace(last, steps=budget - last.first_step))
    evaluations = tuple(
        replace(
            found,
            images=9984,
            accuracy=(1000 + 10 * i + record.unit.row) / 9984,
            steps=budget if found.when == "end" else found.steps,
        )
        for i, found in enumerate(training.evaluations)
    )
    training = replace(
        training,
        recipe=RECIPES["ecnas"],
        data=DataLabel(
            name="CIFAR-10", sha256="0" * 64, train=40_000, validation=10_000, test=10_000
        ),
        device="cuda:0",
        device_name="Made-up GPU",
        budget_steps=budget,
        steps=budget,
        departures=(),
        segments=segments,
        evaluations=evaluations,
    )
    windows = [_window(window) for window in record.windows]
    top = len(windows)
    for i, name in enumerate(("rest-before", "rest-after")):
        rest = Window(name, name, top + i, None, 0.0, 10.0, 0.0, 10.0)
        windows.append(_window(rest))
    return replace(
        record,
        settings=Settings(device="cuda:0"),
        meter=MeterLabel(
            kind="nvml",
            methods={GPU: "counter"},
            periods_s={GPU: 0.1},
            notes={GPU: ()},
            cpu="measured",
            cpu_detail="",
        ),
        training=training,
        windows=tuple(windows),
    )


@pytest.fixture
def sound(measured: Path) -> Path:
    """A campaign whose records look as if real trainings had been measured on a GPU."""
    for unit in Plan.read(measured).units:
        path = record_path(measured, unit)
        as_measured(Measurement.read(path)).write(path)
    return measured


@pytest.fixture
def spoil(sound: Path) -> Callable[[Callable[[Measurement], Measurement]], Path]:
    """Changes one record of a sound campaign."""

    def change(how: Callable[[Measurement], Measurement]) -> Path:
        path = record_path(sound, Plan.read(sound).units[0])
        how(Measurement.read(path)).write(path)
        return sound

    return change
