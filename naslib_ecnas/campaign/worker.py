"""A worker: takes units one after the other until none is left that it could do."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from naslib_ecnas.campaign.attempts import Attempt, AttemptLog, attempts
from naslib_ecnas.campaign.claims import Claim, Heart, Superseded, Watch, take
from naslib_ecnas.campaign.energies import essential_faults
from naslib_ecnas.campaign.images import images
from naslib_ecnas.campaign.measurement import Measurement, record_path, recorded
from naslib_ecnas.campaign.plan import Plan, Unit
from naslib_ecnas.campaign.settings import Pace, Settings
from naslib_ecnas.campaign.unit import measure_unit
from naslib_ecnas.campaign.warmth import Warmth
from naslib_ecnas.errors import ConfigError, EcnasError, StorageError

if TYPE_CHECKING:
    from naslib_ecnas.training import Cifar10

__all__ = ["ATTEMPTS", "Done", "attempts_folder", "exhausted", "work"]

#: Folder of a campaign that holds every attempt: claim, log, and records that do not count.
ATTEMPTS = "attempts"
#: Attempts that a unit may lose to dying workers; one that kills its worker must not do so forever.
_LOSSES = 20
#: Trainings that may fail in succession before a worker takes itself to be the reason.
_ROW = 3
_POLL_S = 1.0

Told = Callable[["Done"], None]
#: Hears of a unit, the steps that were submitted and those to make; 0 of 0 before the first.
Stepped = Callable[[Unit, int, int], None]


@dataclass(frozen=True)
class Done:
    """How a worker's attempt at a unit ended."""

    unit: Unit
    attempt: int
    how: str
    """One of `attempts.ENDINGS`."""
    detail: str
    seconds: float


def attempts_folder(folder: Path, unit: Unit) -> Path:
    """The attempts of a unit, below the folder of the campaign."""
    return folder / ATTEMPTS / unit.name


def exhausted(made: list[Attempt], tries: int) -> bool:
    """Whether a unit without a record, at which nobody is at work, is given up."""
    bad = sum(attempt.ended in ("invalid", "failed") for attempt in made)
    lost = sum(attempt.ended == "" for attempt in made)
    return bad >= tries or lost >= _LOSSES


def work(
    folder: Path,
    settings: Settings,
    *,
    pace: Pace | None = None,
    limit: int | None = None,
    told: Told = lambda done: None,
    stepped: Stepped = lambda unit, made, due: None,
) -> list[Done]:
    """Measure units of a campaign until none is left.

    Any number of workers, on any machines that share the folder, may do so at once. A worker that
    is killed leaves its unit to the others; everything that was recorded is kept.

    Args:
        folder: of the campaign.
        settings: how to measure.
        pace: how to treat claims and failures.
        limit: end after so many units of one's own.
        told: hears of each attempt as it ends.
        stepped: hears of each step, from within what is measured: it has to be quick.

    Returns:
        The attempts of this worker.

    Raises:
        UnknownTableError, FormatError: no campaign, or images that cannot be had.
        ConfigError: a setting is not possible.
        MeterError: the GPU cannot be measured.
        EcnasError: trainings fail one after the other.
    """
    pace = pace or Pace()
    if limit is not None and limit < 1:
        raise ConfigError(
            "no units would be measured", value=limit, expected="1 or more", remedy="leave it out"
        )
    from naslib_ecnas.training import check_device

    plan = Plan.read(folder)
    check_device(settings.device)  # before a unit is claimed for a device that is not there
    data = images(plan.data)
    watch = Watch(pace.stale_s)
    warmth = Warmth()
    done: list[Done] = []
    while limit is None or sum(d.how == "recorded" for d in done) < limit:
        claimed, busy = _claim(folder, plan, watch, pace)
        if claimed is None:
            if not (busy and pace.wait):
                break
            time.sleep(min(_POLL_S, pace.stale_s / 4))
            continue
        unit, claim = claimed
        done.append(_attempt(folder, plan, unit, claim, settings, pace, data, warmth, stepped))
        told(done[-1])
        last = done[-_ROW:]
        if len(last) == _ROW and all(d.how == "failed" for d in last):
            raise EcnasError(
                f"{_ROW} trainings failed one after the other",
                value=last[-1].detail,
                remedy="mend what fails and run the same command again",
            )
    return done


def _claim(
    folder: Path, plan: Plan, watch: Watch, pace: Pace
) -> tuple[tuple[Unit, Claim] | None, bool]:
    """The first unit that is free, claimed; and whether others are at work."""
    there = recorded(folder)
    busy = False
    for unit in plan.units:
        if unit.name in there:
            continue
        place = attempts_folder(folder, unit)
        made = attempts(place)
        last = made[-1] if made else None
        if last is not None and last.ended == "" and not watch.over(place, last.number):
            busy = True
            continue
        if exhausted(made, pace.tries):
            continue
        claim = take(place, last.number + 1 if last else 1)
        if claim is not None:
            return (unit, claim), busy
        busy = True  # another worker was faster
    return None, busy


def _attempt(
    folder: Path,
    plan: Plan,
    unit: Unit,
    claim: Claim,
    settings: Settings,
    pace: Pace,
    data: Cifar10,
    warmth: Warmth,
    stepped: Stepped,
) -> Done:
    log = AttemptLog(claim.folder, claim.number)
    began = time.monotonic()

    def ended(how: str, detail: str = "") -> Done:
        with suppress(StorageError):  # what was recorded is, whether or not the log says so
            log.end(how, detail)
        return Done(unit, claim.number, how, detail, time.monotonic() - began)

    target = record_path(folder, unit)
    try:
        with Heart(claim, beat_s=pace.beat_s) as heart:
            if target.exists():  # its worker finished between our look and our claim
                return ended("not-needed")
            record = measure_unit(
                unit,
                plan,
                settings,
                data=data,
                log=log,
                attempt=claim.number,
                check=heart.check,
                warmth=warmth,
                stepped=lambda made, due: stepped(unit, made, due),
            )
            apart = claim.folder / f"{claim.number:04d}.json"
            faults = essential_faults(record)
            if faults:
                _write(record, apart, pace, heart)
                return ended("invalid", "; ".join(faults))
            if not claim.mine or target.exists():
                _write(record, apart, pace, heart)
                return ended("superseded")
            _write(record, target, pace, heart)
            return ended("recorded")
    except Superseded as error:
        return ended("superseded", str(error))
    except (RuntimeError, MemoryError) as error:  # what torch raises, for one cell or for all
        return ended("failed", f"{type(error).__name__}: {str(error)[:500]}")
    except BaseException as error:
        # Told to stop, or something that no unit is to blame for: free the claim at once.
        with suppress(EcnasError):
            log.end("stopped", f"{type(error).__name__}: {str(error)[:500]}")
        raise


def _write(record: Measurement, path: Path, pace: Pace, heart: Heart) -> None:
    """Write a record, again and again for a while: a training of hours hangs on it.

    Raises:
        StorageError: it still cannot be written.
        Superseded: another worker took the unit over meanwhile.
    """
    until, wait = time.monotonic() + pace.patience_s, _POLL_S
    while True:
        try:
            record.write(path)
        except StorageError as error:
            if time.monotonic() + wait > until:
                raise
            warnings.warn(f"the record of {record.unit} waits: {error}", stacklevel=2)
            time.sleep(wait)
            wait = min(2 * wait, 30.0)
            heart.check()
        else:
            return
