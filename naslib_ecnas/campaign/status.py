"""How far a campaign is, what it used and lost, and what it has still to use."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.campaign.attempts import Attempt, attempts
from naslib_ecnas.campaign.claims import Owner, numbers
from naslib_ecnas.campaign.energies import has_cpu, total_j
from naslib_ecnas.campaign.expected import expected
from naslib_ecnas.campaign.measurement import Measurement, record_path, recorded
from naslib_ecnas.campaign.plan import Plan, Unit
from naslib_ecnas.campaign.settings import Pace
from naslib_ecnas.campaign.worker import attempts_folder, exhausted
from naslib_ecnas.errors import EcnasError
from naslib_ecnas.training.plain import to_plain

__all__ = ["GivenUp", "Lost", "Running", "Status", "status"]

#: The rate is that of the last records, since workers come and go.
_RECENT = 50
_J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Running:
    """A unit that a worker is at."""

    unit: str
    worker: str
    since_s: float
    stale: bool
    """Whether it has given no sign of life for long; the next worker takes the unit over."""


@dataclass(frozen=True)
class GivenUp:
    """A unit that was tried in vain."""

    unit: str
    attempts: int
    reason: str


@dataclass(frozen=True)
class Lost:
    """What attempts without a record took."""

    attempts: int
    seconds: float
    energy_kwh: float
    """Of the windows that ended; NaN where nothing was measured."""


@dataclass(frozen=True)
class Status:
    """The state of a campaign. Energies are those of the meters, PUE not in."""

    name: str
    planned: int
    recorded: int
    unreadable: tuple[str, ...]
    """Units whose records are damaged."""
    running: tuple[Running, ...]
    given_up: tuple[GivenUp, ...]
    lost: Lost
    units_per_hour: float
    """NaN with fewer than two records."""
    remaining_s: float
    """Until the end, with the workers of this moment, or one where there is none; NaN where there
    is nothing to tell it from."""
    energy_kwh: float
    """Of the records, 0 without any; NaN where none of them has one."""
    energy_to_come_kwh: float
    """Of the units without a record; NaN where the records have no energies."""
    foretold_by: str
    """`records` where they scale the models, else `models`."""

    @property
    def remaining(self) -> int:
        """Units without a record that are not given up."""
        return self.planned - self.recorded - len(self.given_up)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = to_plain(self)
        return {**plain, "remaining": self.remaining}


def status(folder: Path, *, pace: Pace | None = None) -> Status:
    """Look at a campaign.

    Args:
        folder: of the campaign.
        pace: tells how often a unit is tried, and when a claim is stale.

    Raises:
        UnknownTableError, FormatError, StorageError: no campaign, or it cannot be read.
    """
    pace = pace or Pace()
    plan = Plan.read(folder)
    there = recorded(folder)
    records: dict[str, Measurement] = {}
    unreadable, running, given_up, lost, todo = [], [], [], [], []
    for unit in plan.units:
        place = attempts_folder(folder, unit)
        counted = 0
        if unit.name in there:
            try:
                records[unit.name] = Measurement.read(record_path(folder, unit))
                counted = records[unit.name].attempt
            except EcnasError:
                unreadable.append(str(unit))
            # Most records were made at the first attempt, whose log then tells nothing more.
            if counted and numbers(place) == [counted]:
                continue
        made = attempts(place)
        if unit.name not in there:
            last = made[-1] if made else None
            at_work = last is not None and last.ended == "" and not _is_dead(last.owner)
            if last is not None and at_work:
                running.append(_running(folder, unit, last, pace))
            elif exhausted(made, pace.tries):
                given_up.append(GivenUp(str(unit), len(made), made[-1].detail or "its worker died"))
                lost += made
                continue
            todo.append(unit)
            made = made[:-1] if at_work else made
        lost += [attempt for attempt in made if attempt.number != counted]
    workers = max(sum(not unit.stale for unit in running), 1)
    energy, to_come, seconds, by = _foretold(plan, list(records.values()), todo)
    return Status(
        name=plan.name,
        planned=len(plan.units),
        recorded=len(records),
        unreadable=tuple(unreadable),
        running=tuple(running),
        given_up=tuple(given_up),
        lost=_lost(lost),
        units_per_hour=_rate(list(records.values())),
        remaining_s=seconds / workers,
        energy_kwh=energy,
        energy_to_come_kwh=to_come,
        foretold_by=by,
    )


def _is_dead(owner: Owner | None) -> bool:
    return owner is not None and owner.dead


def _running(folder: Path, unit: Unit, attempt: Attempt, pace: Pace) -> Running:
    path = attempts_folder(folder, unit) / f"{attempt.number:04d}.claim"
    silent = time.time() - path.stat().st_mtime
    owner = attempt.owner
    return Running(
        unit=str(unit),
        worker="unknown" if owner is None else str(owner),
        # Another machine's clock, or one that was set back, may say a time to come.
        since_s=math.nan if owner is None else max(time.time() - owner.claimed_unix, 0.0),
        stale=silent >= pace.stale_s,
    )


def _lost(made: list[Attempt]) -> Lost:
    joules = [a.energy_j for a in made if math.isfinite(a.energy_j)]
    return Lost(
        attempts=len(made),
        seconds=math.fsum(a.seconds for a in made if math.isfinite(a.seconds)),
        energy_kwh=math.fsum(joules) / _J_PER_KWH if joules else math.nan,
    )


def _rate(records: list[Measurement]) -> float:
    """Records an hour over the last ones."""
    ends = sorted(max(w.stopped_unix for w in r.windows) for r in records if r.windows)
    ends = ends[-_RECENT:]
    span = ends[-1] - ends[0] if len(ends) > 1 else 0.0
    return 3600 * (len(ends) - 1) / span if span > 0 else math.nan


def _foretold(
    plan: Plan, records: list[Measurement], todo: list[Unit]
) -> tuple[float, float, float, str]:
    """kWh so far, kWh and worker-seconds to come, and what tells them."""
    joules = np.array([total_j(record, cpu=has_cpu(record)) for record in records])
    known = np.isfinite(joules)
    used = float(joules[known].sum()) / _J_PER_KWH if known.any() or not records else math.nan
    if not todo:
        return used, 0.0, 0.0, "records"
    kwh, seconds = expected(plan, todo)
    if not records:
        return used, float(np.nansum(kwh)), float(np.nansum(seconds)), "models"
    done_kwh, done_s = expected(plan, [record.unit for record in records])
    took = sum(record.training.total_time_s + 2 * record.settings.baseline_s for record in records)
    slower = took / float(np.nansum(done_s))
    # Scaled by the records that have an energy; where none has, none is to come either.
    hungrier = used / float(np.nansum(done_kwh[known])) if known.any() else math.nan
    return used, float(np.nansum(kwh)) * hungrier, float(np.nansum(seconds)) * slower, "records"
