"""A worker of a campaign: claims units, measures them, and writes their records.

Any number of workers can share a campaign's folder; `cluster.launch` starts them as jobs.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.campaign.claims import Attempt, Claim, Owner, Superseded, attempts, heartbeat
from naslib_ecnas.campaign.measurement import (
    Measurement,
    MeterLabel,
    essential,
    record_path,
    recorded,
)
from naslib_ecnas.campaign.plan import DataChoice, Pace, Plan, Settings, Unit
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.meter import EnergyMeter, Meter, NullMeter
from naslib_ecnas.energy.readings import Window
from naslib_ecnas.errors import EcnasError, StorageError, check_counts, check_types
from naslib_ecnas.files import expanded
from naslib_ecnas.progress import listener
from naslib_ecnas.training.recipe import RECIPES, Recipe
from naslib_ecnas.training.record import CIFAR10

if TYPE_CHECKING:
    from naslib_ecnas.training import Cifar10

#: Folder of a campaign that contains every attempt: its claim, and a record that does not count.
ATTEMPTS = "attempts"
#: Attempts that a unit may lose to dying workers: one that kills its worker must not do so forever.
_LOSSES = 20
#: Failed trainings in succession after which a worker takes the fault to be its own, and ends.
_FAILURES = 3
#: Seconds between two looks at other workers' units.
_POLL_S = 1.0
#: The longest pause between two tries to write a record, in s.
_LONGEST_WAIT_S = 30.0

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
    folder = expanded(choice.path)
    found = training.read_cifar10(folder, images_per_file=size)
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
    """
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
    attempt: int = 1,
    warm: bool = False,
    rest: Window | None = None,
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
        attempt: number of the attempt, for the record.
        warm: whether the device is still warm from a training, so that it needs no warm-up.
        rest: the rest after a training that ended just now, which then is the rest before this one.
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
    same["device"] = settings.device
    meter, label = open_meter(settings)
    with meter:

        def rested(name: str) -> None:
            if label.kind != "none" and settings.baseline_s > 0:
                with meter.window(name):
                    sleep(settings.baseline_s)

        if settings.warm_up_s and not warm:
            rest = None
            with meter.window(WARM_UP):
                warm_up(cell, seconds=settings.warm_up_s, **same)
        if rest is not None and not all(r.valid for r in essential(rest).values()):
            rest = None
        if rest is None:
            rested("rest-before")
        training = train(
            cell,
            seed=unit.seed,
            meter=meter,
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
        attempt=attempt,
        plan=plan.checksum,
        owner=owner,
        settings=settings,
        meter=label,
        training=training,
        windows=windows,
    )


# -- the worker -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """How a worker's attempt at a unit ended."""

    unit: Unit
    attempt: int
    how: str
    """One of `claims.ENDINGS`."""
    detail: str
    seconds: float


def attempts_folder(folder: Path, unit: Unit) -> Path:
    """Folder of a unit's attempts in the folder of a campaign."""
    return folder / ATTEMPTS / unit.name


def exhausted(made: list[Attempt], tries: int) -> bool:
    """Whether a unit is given up, if it has no record and no worker is measuring it."""
    bad = sum(attempt.ended in ("invalid", "failed") for attempt in made)
    lost = sum(attempt.ended == "" for attempt in made)
    return bad >= tries or lost >= _LOSSES


def work(
    folder: str | PathLike[str],
    settings: Settings,
    *,
    pace: Pace | None = None,
    limit: int | None = None,
    on_attempt: Callable[[Done], object] = lambda done: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> list[Done]:
    """Measure units of a campaign until none is left.

    Any number of workers, on any machines that share the folder, can do so at the same time. If a
    worker is killed another measures its unit; everything that was recorded is kept. The recorded
    units of all workers are reported to `progress.listening`, and every step of the current
    training, within what is measured: the callback must be quick.

    Args:
        folder: folder of the campaign.
        settings: how to measure.
        pace: how to handle claims and failures.
        limit: end after recording so many units.
        on_attempt: gets the result of each attempt when it ends.
        clock, sleep: time in s, of claims, waits and rests; for tests.

    Returns:
        The attempts of this worker.

    Raises:
        UnknownTableError, FormatError: there is no campaign, or its images cannot be read.
        ConfigError: a setting is not possible.
        MeterError: the GPU cannot be measured.
        EcnasError: several trainings in succession failed, or one left a device that no longer
            works in this process.
    """
    check_types(Settings, settings=settings)
    if limit is not None:
        check_counts(limit=limit)
    from naslib_ecnas.training import check_device
    from naslib_ecnas.training.device import lost_device

    pace, folder = pace or Pace(), Path(folder)
    plan = Plan.read(folder)
    # Before a unit is claimed for a device that does not exist.
    check_device(settings.device, cuda_graphs="cuda_graphs" in plan.speed)
    data = images(plan.data)
    worker = _Worker(folder, plan, settings, pace, data, clock, sleep)
    done: list[Done] = []
    while limit is None or sum(d.how == "recorded" for d in done) < limit:
        claimed, busy = worker.claim()
        if claimed is None:
            if not (busy and pace.wait):
                break
            sleep(min(_POLL_S, pace.stale_s / 4))
            continue
        done.append(worker.attempt(*claimed))
        on_attempt(done[-1])
        last = done[-_FAILURES:]
        if last[-1].how == "failed" and (why := lost_device(settings.device)):
            text = f"{settings.device} no longer works in this process ({why})"
            raise EcnasError(text, remedy="run the same command again")
        if len(last) == _FAILURES and all(d.how == "failed" for d in last):
            text = f"{_FAILURES} trainings failed one after the other; the last: {last[-1].detail}"
            raise EcnasError(text, remedy="correct the cause and run the same command again")
    return done


@dataclass
class _Worker:
    """The state of `work`; see there."""

    folder: Path
    plan: Plan
    settings: Settings
    pace: Pace
    data: Cifar10
    clock: Callable[[], float]
    sleep: Callable[[float], object]
    beats: dict[Claim, tuple[float, float]] = field(default_factory=dict)
    """The last heartbeat of other workers' claims, and when it was first seen by `clock`."""
    trained: float = -math.inf
    """When the last training ended, by `clock`."""
    rest: Window | None = None
    """The rest after it."""

    def claim(self) -> tuple[tuple[Unit, Claim] | None, bool]:
        """The first free unit, claimed; and whether other workers are measuring units."""
        there = recorded(self.folder) & self.plan.by_name.keys()
        total = len(self.plan.units)
        listener()(f"campaign {self.plan.name}", len(there), total, unit="units")
        busy = False
        for unit in self.plan.units:
            if unit.name in there:
                continue
            place = attempts_folder(self.folder, unit)
            made = attempts(place)
            if made and not made[-1].ended and not self._over(made[-1]):
                busy = True
            elif record_path(self.folder, unit).exists():
                continue  # since we looked: a worker writes the record before it logs the end
            elif not exhausted(made, self.pace.tries):
                claim = Claim(place, made[-1].claim.number + 1 if made else 1)
                if claim.take():
                    return (unit, claim), busy
                busy = True  # another worker was faster
        return None, busy

    def _over(self, attempt: Attempt) -> bool:
        """Whether the worker of an attempt is dead, or without a heartbeat for `pace.stale_s`.

        Heartbeats are timed by this process's clock, as machines' clocks differ.
        """
        now = self.clock()
        beat_unix, seen = self.beats.get(attempt.claim, (math.nan, now))
        if beat_unix != attempt.beat_unix:
            seen = now
        self.beats[attempt.claim] = attempt.beat_unix, seen
        return attempt.dead or now - seen >= self.pace.stale_s

    def attempt(self, unit: Unit, claim: Claim) -> Done:
        """Measure a unit and write its record."""
        began = self.clock()
        try:
            with heartbeat(claim, self.pace.beat_s):
                how, detail = self._measure(unit, claim)
        except Superseded as error:
            how, detail = "superseded", str(error)
        except (RuntimeError, MemoryError) as error:  # torch's, for one cell or for all
            how, detail = "failed", _named(error)
        except BaseException as error:
            # An interrupt, or an error that no unit causes: free the claim at once.
            claim.end("stopped", _named(error))
            raise
        claim.end(how, detail)
        return Done(unit, claim.number, how, detail, self.clock() - began)

    def _measure(self, unit: Unit, claim: Claim) -> tuple[str, str]:
        """Measure a unit under a beating claim; returns the fields `how` and `detail` of `Done`."""
        pause_s, rest = self.clock() - self.trained, self.rest
        self.rest = None
        record = measure_unit(
            unit,
            self.plan,
            self.settings,
            data=self.data,
            attempt=claim.number,
            warm=pause_s <= PAUSE_S,
            rest=rest if pause_s <= self.settings.baseline_s else None,
            sleep=self.sleep,
        )
        self.trained, self.rest = self.clock(), record.window("rest-after")
        return self._written(record, claim), "; ".join(record.invalid)

    def _written(self, record: Measurement, claim: Claim) -> str:
        """Write a record; returns how its attempt ended.

        It may have taken hours to train, so that writing is tried again for `pace.patience_s`.

        Raises:
            StorageError: it still cannot be written.
        """
        target = record_path(self.folder, record.unit)
        until, wait = self.clock() + self.pace.patience_s, _POLL_S
        while True:
            overtaken = claim.overtaken or target.exists()
            how = "invalid" if record.invalid else "superseded" if overtaken else "recorded"
            try:
                record.write(target if how == "recorded" else claim.path.with_suffix(".json"))
                return how
            except StorageError as error:
                if self.clock() + wait > until:
                    raise
                warnings.warn(f"the record of {record.unit} waits: {error}", stacklevel=2)
            self.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:500]}"
