"""The measurement of one unit: its images, its meter, the warm-up, the rests and the training."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.campaign.claims import AttemptLog, LoggedMeter, Owner, log_windows
from naslib_ecnas.campaign.measurement import Measurement, MeterLabel, essential
from naslib_ecnas.campaign.plan import DataChoice, Plan, Settings, Unit, read_file
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.meter import EnergyMeter, Meter, NullMeter
from naslib_ecnas.energy.readings import Window
from naslib_ecnas.errors import EcnasError, FormatError
from naslib_ecnas.files import expanded, from_json
from naslib_ecnas.progress import Progress
from naslib_ecnas.training.recipe import RECIPES, Recipe
from naslib_ecnas.training.record import CIFAR10

if TYPE_CHECKING:
    from naslib_ecnas.training import Cifar10

#: Name of the window of a warm-up; it is in no energy of a record.
WARM_UP = "warm-up"
#: Pause in s after which a GPU has cooled down so far that it must be warmed up again.
PAUSE_S = 180.0
#: Synthetic images are the same for every campaign, so that its units differ in their seeds only.
_SYNTHETIC_SEED = 0


# -- images --------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def images(choice: DataChoice) -> Cifar10:
    """The images that a plan names, read once in a process.

    Raises:
        MissingDependencyError: torch is not installed.
        UnknownTableError, FormatError: the files are missing or damaged.
    """
    from naslib_ecnas import training

    size = choice.images_per_file
    if choice.path is None:
        return training.synthetic(seed=_SYNTHETIC_SEED, images_per_file=size)
    form = "tfrecord" if choice.kind == "tfrecord" else None
    folder = expanded(choice.path)
    found = training.read_cifar10(folder, form=form, images_per_file=size)
    if found.name != CIFAR10:
        text = f"the images in {folder} are not CIFAR-10's, as their digests show; records say so"
        warnings.warn(text, stacklevel=2)
    return found


# -- meters --------------------------------------------------------------------------------------


def open_meter(settings: Settings) -> tuple[Meter, MeterLabel]:
    """The meter that a campaign's settings name, which the caller closes, and how it measures.

    `auto` measures a GPU if the device is one or if one is named, and the CPU if its counters can
    be read; without a GPU it measures the CPU or nothing. A GPU that cannot be measured is an
    error, so that no long campaign ends without energies.

    Raises:
        MeterError: the GPU cannot be measured, or others use it.
        MissingDependencyError: nvidia-ml-py is not installed.
        FormatError, StorageError: the file of a replay cannot be read.
    """
    if settings.replay is not None:
        return read_replay(Path(settings.replay)), MeterLabel(kind="replay")
    if settings.meter == "none":
        return NullMeter(), MeterLabel(kind="none")
    name = settings.gpu or settings.device
    devices = [] if name.startswith("cpu") else [name]
    meter = EnergyMeter(devices=devices, shared=settings.shared)
    kind = "nvml" if devices else "rapl" if meter.cpu_state.kind == "measured" else "none"
    names = ("methods", "periods_s", "notes", "setups")
    maps = {name: dict(getattr(meter, name)) for name in names}
    state = meter.cpu_state
    label = MeterLabel(kind=kind, cpu=state.kind, cpu_detail=state.detail, **maps)
    if kind == "none":
        meter.close()
        return NullMeter(), label
    return meter, label


def read_replay(path: Path) -> Meter:
    """A meter from a file: a trace of power, or windows.

    A trace is a JSON object with `times_s`, which begin when the meter is opened, and `powers_w`.
    Windows are the lines of an attempt's log, or a JSON array of `Window.to_dict`.

    Raises:
        StorageError: the file cannot be read.
        FormatError: it contains neither, or times or powers that are not possible.
    """
    from naslib_ecnas.energy.replay import ReplayMeter

    windows = log_windows(path)
    if windows:
        return ReplayMeter(windows)
    data = read_file(path, "the replay", from_json)
    if isinstance(data, list) and data:
        return ReplayMeter([Window.from_dict(item) for item in data])
    if isinstance(data, dict) and {"times_s", "powers_w"} <= data.keys():
        try:
            return ReplayMeter.of_trace(data["times_s"], data["powers_w"])
        except ValueError as error:
            raise FormatError(f"not a trace of power: {error}", path=path) from error
    text = "a replay needs times_s and powers_w, an array of windows, or the log of an attempt"
    raise FormatError(text, path=path)


def recipe_of(plan: Plan, settings: Settings) -> Recipe:
    """The recipe of a campaign's trainings."""
    size = RECIPES[plan.recipe].batch_size if settings.batch_size is None else settings.batch_size
    faster: dict[str, Any] = dict.fromkeys(plan.speed, True)
    return replace(RECIPES[plan.recipe], images=settings.images, batch_size=size, **faster)


# -- the measurement -----------------------------------------------------------------------------


def measure_unit(
    unit: Unit,
    plan: Plan,
    settings: Settings,
    *,
    data: Cifar10,
    log: AttemptLog,
    warm: bool = False,
    rest: Window | None = None,
    progress: Progress | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Measurement:
    """Train a unit's cell and measure it.

    Rest is measured before and after the training, since what the machine uses without it is part
    of every energy; neighbouring units share the rest between them. A cold device is warmed up
    first, in a window of its own.

    Args:
        unit: what to train.
        plan: the unit's plan.
        settings: how to measure.
        data: images of the plan.
        log: receives the meter's windows as they end; its claim has the number of the attempt.
        warm: whether the device is still warm from a training, so that it needs no warm-up.
        rest: the rest after a training that ended just now, which then is the rest before this one.
        progress: gets every step of the warm-up and of the training, within what is measured, so
            it must be quick; an exception that it raises ends the training.
        sleep: used for rests.

    Raises:
        ConfigError: a setting is not possible.
        MeterError: the GPU cannot be measured.
        RuntimeError: torch failed, for example because the GPU's memory is too small.
    """
    from naslib_ecnas.training import train
    from naslib_ecnas.training.run import warm_up

    owner, recipe = Owner.here(), recipe_of(plan, settings)
    budget = recipe.steps(unit.epochs, len(data.train))
    steps = None if settings.steps is None else min(settings.steps, budget)
    cell = Cell.from_row(unit.row)
    if str(cell) != unit.cell:
        raise EcnasError(f"the plan's cell of row {unit.row} must be {cell}", value=unit.cell)
    same: dict[str, Any] = {"epochs": unit.epochs, "recipe": recipe, "data": data}
    same |= {"device": settings.device, "progress": progress}
    meter, label = open_meter(settings)
    with meter:
        logged = LoggedMeter(meter, log)

        def rested(name: str) -> None:
            if label.kind != "none" and settings.baseline_s > 0:
                with logged.window(name):
                    sleep(settings.baseline_s)

        if settings.warm_up_s and not warm:
            rest = None
            with logged.window(WARM_UP):
                warm_up(cell, seconds=settings.warm_up_s, **same)
        if rest is not None and not all(r.valid for r in essential(rest).values()):
            rest = None
        if rest is None:
            rested("rest-before")
        training = train(
            cell,
            seed=unit.seed,
            meter=logged,
            steps=steps,
            evaluate_images=settings.evaluate_images,
            **same,
        )
        rested("rest-after")
    windows = meter.windows
    if rest is not None:
        shared = replace(rest, name="rest-before", path="rest-before", index=len(windows))
        windows = (shared, *windows)
    return Measurement(
        unit=unit,
        attempt=log.claim.number,
        plan=plan.checksum,
        owner=owner,
        settings=settings,
        meter=label,
        training=training,
        windows=windows,
    )
