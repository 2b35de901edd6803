"""Whether a campaign's records are whole and consistent, and which units to measure again."""

from __future__ import annotations

import math
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.checks import CHECKS, Finding
from naslib_ecnas.campaign.energies import total_j
from naslib_ecnas.campaign.measurement import (
    RECORDS,
    Measurement,
    NewerRecord,
    record_path,
    recorded,
)
from naslib_ecnas.campaign.plan import Plan
from naslib_ecnas.campaign.warmth import PAUSE_S
from naslib_ecnas.campaign.worker import ATTEMPTS
from naslib_ecnas.errors import EcnasError, StorageError
from naslib_ecnas.storage import storage_error

__all__ = ["Validation", "requeue", "validate"]

#: Share of their median that repeats may be apart from it. EC-NAS's repeats at 4 epochs vary by
#: 1.3 % (median coefficient of variation) and at most 10.4 %.
_SPREAD = 0.1
#: Share of the campaign's median clock that a run may be below it.
_CLOCK = 0.05


@dataclass(frozen=True)
class Validation:
    """What was found in all records of a campaign."""

    planned: int
    records: int
    missing: tuple[str, ...]
    """Names of units without a record."""
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Records that are not whole or contradict themselves or the plan."""
        return tuple(f for f in self.findings if f.fault)

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """What a reader of the figures should know."""
        return tuple(f for f in self.findings if not f.fault)

    @property
    def redo(self) -> tuple[str, ...]:
        """Names of the units that measuring anew can mend."""
        return tuple(dict.fromkeys(f.unit for f in self.findings if f.redo))

    @property
    def why(self) -> dict[str, tuple[str, ...]]:
        """Codes of what measuring these units anew can mend, by name."""
        codes: dict[str, dict[str, None]] = {}
        for finding in self.findings:
            if finding.redo:
                codes.setdefault(finding.unit, {})[finding.code] = None
        return {unit: tuple(known) for unit, known in codes.items()}

    @property
    def good(self) -> bool:
        """Whether every record that is there is whole and consistent."""
        return not self.faults

    @property
    def spotless(self) -> bool:
        """Whether, beyond that, no unit is missing and nothing is in doubt."""
        return not self.findings and not self.missing

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "good": self.good,
            "spotless": self.spotless,
            "planned": self.planned,
            "records": self.records,
            "missing": list(self.missing),
            "redo": list(self.redo),
            "findings": [asdict(finding) for finding in self.findings],
        }


def validate(folder: Path) -> Validation:
    """Check every record of a campaign by itself and beside the others.

    Raises:
        UnknownTableError, FormatError, StorageError: no campaign, or it cannot be read.
    """
    plan = Plan.read(folder)
    there = recorded(folder)
    findings: list[Finding] = []
    records: list[Measurement] = []
    for unit in plan.units:
        if unit.name not in there:
            continue
        try:
            record = Measurement.read(record_path(folder, unit))
        except EcnasError as error:
            # Neither a disk that does not answer nor another version is a reason to train again.
            again = not isinstance(error, (StorageError, NewerRecord))
            findings.append(Finding(unit.name, "unreadable", str(error), True, again))
            continue
        if record.unit.name != unit.name:
            text = f"the file of {unit.name} holds {record.unit.name}"
            findings.append(Finding(unit.name, "identity", text, True, True))
            continue
        records.append(record)
        for check in CHECKS:
            findings += [Finding(unit.name, *found) for found in check(record, plan)]
    names = set(plan.by_name)
    for stray in sorted(there - names):
        findings.append(Finding(stray, "stray", f"{RECORDS}/{stray}.json is of no unit", True))
    findings += _together(records)
    findings = [_once(folder, finding) for finding in findings]
    return Validation(
        planned=len(plan.units),
        records=len(there & names),
        missing=tuple(unit.name for unit in plan.units if unit.name not in there),
        findings=tuple(findings),
    )


def _once(folder: Path, finding: Finding) -> Finding:
    """A doubt asks for one more training of a unit and no further ones: what comes again, as from
    a GPU that is hot in every run, is how this machine measures."""
    if finding.redo and not finding.fault and finding.code in _requeued(folder, finding.unit):
        return replace(finding, text=f"{finding.text} (measured again already)", redo=False)
    return finding


def _requeued(folder: Path, unit: str) -> set[str]:
    """Codes of the doubts for which a unit was measured again."""
    found: set[str] = set()
    for path in (folder / ATTEMPTS / unit).glob("requeued-*.txt"):
        try:
            found |= set(path.read_text(encoding="utf-8").split("\n"))
        except (OSError, UnicodeDecodeError):
            continue  # then it is asked for once more
    return found


def _together(records: list[Measurement]) -> Iterator[Finding]:
    yield from _odd_ones(records, "data", lambda r: r.training.data.sha256, fault=True)
    yield from _odd_ones(records, "device", lambda r: r.training.device_name)
    yield from _odd_ones(records, "settings", lambda r: r.training.recipe)
    yield from _odd_ones(records, "meter", lambda r: (r.meter.kind, r.meter.cpu))
    for package in ("torch", "cuda", "cudnn", "naslib_ecnas"):
        yield from _odd_ones(records, package, partial(_version, package))
    yield from _spread(records)
    yield from _clocks(records)
    yield from _cold(records)


def _version(package: str, record: Measurement) -> str:
    return record.training.versions.get(package, "none")


def _odd_ones(
    records: list[Measurement],
    what: str,
    of: Callable[[Measurement], Any],
    *,
    fault: bool = False,
) -> Iterator[Finding]:
    """Records that differ from most."""
    counts = Counter(of(record) for record in records)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        for record in records:
            if of(record) != usual:
                text = f"its {what} is {of(record)}, that of most is {usual}"
                yield Finding(record.unit.name, what, text, fault, fault)


def _spread(records: list[Measurement]) -> Iterator[Finding]:
    """Repeats that are far from the others of their cell and budget."""
    groups: defaultdict[tuple[Any, ...], list[Measurement]] = defaultdict(list)
    for record in records:
        device = record.training.device_name
        groups[record.unit.row, record.unit.epochs, record.training.steps, device].append(record)
    quantities: tuple[tuple[str, str, Callable[[Measurement], float]], ...] = (
        ("energy", "J", lambda r: total_j(r, cpu=False)),
        ("time", "s", lambda r: r.training.training_time_s),
    )
    for group in groups.values():
        for what, unit, of in quantities:
            values = [of(record) for record in group]
            known = [value for value in values if math.isfinite(value)]
            if len(known) < 2:
                continue
            middle = statistics.median(known)
            for record, value in zip(group, values, strict=True):
                if abs(value - middle) > _SPREAD * middle:
                    yield Finding(
                        record.unit.name,
                        "spread",
                        f"its {what} of {value:.4g} {unit} is {abs(value / middle - 1):.0%} off "
                        f"the median of {len(known)} repeats, {middle:.4g} {unit}",
                        False,
                        True,
                    )


def _clocks(records: list[Measurement]) -> Iterator[Finding]:
    """Runs whose GPU was clocked lower than in the others, on one kind of device."""
    found: defaultdict[str, list[tuple[Measurement, float]]] = defaultdict(list)
    for record in records:
        clocks = list(_training_clocks(record))
        if clocks:
            found[record.training.device_name].append((record, statistics.median(clocks)))
    for runs in found.values():
        usual = statistics.median(clock for _, clock in runs)
        for record, clock in runs:
            if clock < (1 - _CLOCK) * usual:
                text = f"the GPU ran at {clock:.0f} MHz, in most runs at {usual:.0f} MHz"
                yield Finding(record.unit.name, "clocks", text, False, True)


def _training_clocks(record: Measurement) -> Iterator[float]:
    """At the ends of the segments of training, where the GPU is under load."""
    names = {segment.window.name for segment in record.training.segments}
    for window in record.windows:
        if window.name in names:
            for reading in window.energy_j.values():
                if reading.stop is not None and math.isfinite(reading.stop.sm_clock_mhz):
                    yield reading.stop.sm_clock_mhz


def _cold(records: list[Measurement]) -> Iterator[Finding]:
    """Trainings on a GPU that was not warmed up: a worker's first, and those after a pause."""
    workers: defaultdict[tuple[Any, ...], list[Measurement]] = defaultdict(list)
    for record in records:
        if record.training.device.startswith("cuda") and not record.settings.warm_up_s:
            owner = record.owner
            worker = owner.host, owner.system, owner.pid, owner.process_start
            workers[worker].append(record)
    for made in workers.values():
        ended = -math.inf
        for record in sorted(made, key=lambda r: r.owner.claimed_unix):
            began = record.owner.claimed_unix
            if began - ended > PAUSE_S:
                text = "the GPU was cold and not warmed up: it pays for the start of a worker"
                yield Finding(record.unit.name, "cold", text, False, True)
            ended = began + record.training.total_time_s + 2 * record.settings.baseline_s


def requeue(
    folder: Path, names: Iterable[str], *, why: Mapping[str, Iterable[str]] | None = None
) -> list[str]:
    """Move records among the attempts, so that their units are measured anew.

    Args:
        folder: of the campaign.
        names: of the units.
        why: codes of what was found, by name: `Validation.why`. They are kept beside the records,
            and a doubt of one of these is no reason to measure the unit a third time.

    Returns:
        Names of the units whose records were moved.

    Raises:
        StorageError: a file cannot be moved.
    """
    moved = []
    known = Plan.read(folder).by_name
    for name in names:
        if name not in known:
            continue
        source = record_path(folder, known[name])
        place = folder / ATTEMPTS / name
        number = 1
        while (target := place / f"requeued-{number}.json").exists():
            number += 1
        try:
            place.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
            if why is not None and name in why:
                target.with_suffix(".txt").write_text("\n".join(why[name]), encoding="utf-8")
        except OSError as error:
            raise storage_error(error, source) from error
        moved.append(name)
    return moved
