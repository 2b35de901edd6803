"""A worker of a campaign: claims units, has them measured, and writes their records.

Any number of workers can share a campaign's folder; `cluster.launch` starts them as jobs.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from naslib_ecnas.campaign.claims import (
    Attempt,
    AttemptLog,
    Claim,
    Heartbeat,
    StaleClaims,
    Superseded,
    attempts,
)
from naslib_ecnas.campaign.measurement import Measurement, record_path, recorded
from naslib_ecnas.campaign.plan import Pace, Plan, Settings, Unit
from naslib_ecnas.campaign.unit import PAUSE_S, images, measure_unit
from naslib_ecnas.energy.readings import Window
from naslib_ecnas.errors import EcnasError, StorageError, check_counts, check_types
from naslib_ecnas.progress import Progress, silent

if TYPE_CHECKING:
    from naslib_ecnas.training import Cifar10

#: Folder of a campaign that contains every attempt: claim, log, and records that do not count.
ATTEMPTS = "attempts"
#: Attempts that a unit may lose to dying workers: one that kills its worker must not do so forever.
_LOSSES = 20
#: Failed trainings in succession after which a worker takes the fault to be its own, and ends.
_FAILURES = 3
#: Seconds between two looks at other workers' units.
_POLL_S = 1.0
#: The longest pause between two tries to write a record, in s.
_LONGEST_WAIT_S = 30.0


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
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> list[Done]:
    """Measure units of a campaign until none is left.

    Any number of workers, on any machines that share the folder, can do so at the same time. If a
    worker is killed another measures its unit; everything that was recorded is kept.

    Args:
        folder: folder of the campaign.
        settings: how to measure.
        pace: how to handle claims and failures.
        limit: end after recording so many units.
        on_attempt: gets the result of each attempt when it ends.
        progress: gets the recorded units of all workers, and every step of the current training,
            within what is measured, so it must be quick.
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
    worker = _Worker(folder, plan, settings, pace, data, progress or silent, clock, sleep)
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
    progress: Progress
    clock: Callable[[], float]
    sleep: Callable[[float], object]
    stale: StaleClaims = field(init=False)
    trained: float = -math.inf
    """When the last training ended, by `clock`."""
    rest: Window | None = None
    """The rest after it."""

    def __post_init__(self) -> None:
        self.stale = StaleClaims(self.pace.stale_s, self.clock)

    def claim(self) -> tuple[tuple[Unit, Claim] | None, bool]:
        """The first free unit, claimed; and whether other workers are measuring units."""
        there = recorded(self.folder) & self.plan.by_name.keys()
        total = len(self.plan.units)
        self.progress(f"campaign {self.plan.name}", len(there), total, unit="units")
        busy = False
        for unit in self.plan.units:
            if unit.name in there:
                continue
            place = attempts_folder(self.folder, unit)
            made = attempts(place)
            last = made[-1] if made else None
            if last is not None and last.ended == "" and not self.stale.over(last.claim):
                busy = True
                continue
            if exhausted(made, self.pace.tries):
                continue
            claim = Claim(place, last.claim.number + 1 if last else 1)
            if claim.take():
                return (unit, claim), busy
            busy = True  # another worker was faster
        return None, busy

    def attempt(self, unit: Unit, claim: Claim) -> Done:
        """Measure a unit and write its record."""
        log = AttemptLog(claim)
        began = self.clock()
        try:
            with Heartbeat(claim, beat_s=self.pace.beat_s) as heartbeat:
                how, detail = self._measure(unit, log, heartbeat)
        except Superseded as error:
            how, detail = "superseded", str(error)
        except (RuntimeError, MemoryError) as error:  # torch's, for one cell or for all
            how, detail = "failed", _named(error)
        except BaseException as error:
            # An interrupt, or an error that no unit causes: free the claim at once.
            log.end("stopped", _named(error))
            raise
        log.end(how, detail)
        return Done(unit, claim.number, how, detail, self.clock() - began)

    def _measure(self, unit: Unit, log: AttemptLog, heartbeat: Heartbeat) -> tuple[str, str]:
        """Measure a unit under a beating claim; returns the fields `how` and `detail` of `Done`."""
        target = record_path(self.folder, unit)
        if target.exists():  # its worker finished between our look and our claim
            return "not-needed", ""

        def report(
            task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
        ) -> None:
            heartbeat.check()
            self.progress(task, done, total, unit=unit, note=note)

        pause_s, rest = self.clock() - self.trained, self.rest
        self.rest = None
        record = measure_unit(
            unit,
            self.plan,
            self.settings,
            data=self.data,
            log=log,
            warm=pause_s <= PAUSE_S,
            rest=rest if pause_s <= self.settings.baseline_s else None,
            progress=report,
            sleep=self.sleep,
        )
        self.trained, self.rest = self.clock(), record.window("rest-after")
        faults, overtaken = record.invalid, log.claim.overtaken or target.exists()
        how = "invalid" if faults else "superseded" if overtaken else "recorded"
        path = target if how == "recorded" else log.path.with_suffix(".json")
        self._write(record, path, heartbeat)
        return how, "; ".join(faults)

    def _write(self, record: Measurement, path: Path, heartbeat: Heartbeat) -> None:
        """Write a record, and try again for `pace.patience_s`: it may have taken hours to train.

        Raises:
            StorageError: it still cannot be written.
            Superseded: another worker has taken over the unit meanwhile.
        """
        until, wait = self.clock() + self.pace.patience_s, _POLL_S
        while True:
            try:
                return record.write(path)
            except StorageError as error:
                if self.clock() + wait > until:
                    raise
                warnings.warn(f"the record of {record.unit} waits: {error}", stacklevel=2)
            self.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)
            heartbeat.check()


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:500]}"
