"""Validation of a campaign: the findings in its records, and which units to measure again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.checks import DOUBTS, Finding, faults, together
from naslib_ecnas.campaign.measurement import (
    RECORDS,
    Measurement,
    NewerRecord,
    record_path,
    recorded,
)
from naslib_ecnas.campaign.plan import Plan
from naslib_ecnas.campaign.worker import ATTEMPTS
from naslib_ecnas.errors import EcnasError, StorageError
from naslib_ecnas.files import read_bytes, storage_error, to_plain


@dataclass(frozen=True)
class Validation:
    """The findings in all records of a campaign."""

    planned: int
    records: int
    missing: tuple[str, ...]
    """Names of units without a record."""
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings of records that are incomplete or contradict themselves or the plan."""
        return tuple(f for f in self.findings if f.fault)

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """Findings about the quality of records."""
        return tuple(f for f in self.findings if not f.fault)

    @property
    def redo(self) -> tuple[str, ...]:
        """Names of the units that should be measured again."""
        return tuple(self.why)

    @property
    def why(self) -> dict[str, tuple[str, ...]]:
        """Codes of the findings for which units should be measured again, by the units' names."""
        codes: dict[str, dict[str, None]] = {}
        for finding in self.findings:
            if finding.redo:
                codes.setdefault(finding.unit, {})[finding.code] = None
        return {unit: tuple(known) for unit, known in codes.items()}

    @property
    def good(self) -> bool:
        """Whether no record has a fault."""
        return not self.faults

    @property
    def spotless(self) -> bool:
        """Whether there is no finding and no unit is missing."""
        return not self.findings and not self.missing

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        derived = {"good": self.good, "spotless": self.spotless, "redo": list(self.redo)}
        return {**derived, **to_plain(self)}


def validate(folder: str | PathLike[str]) -> Validation:
    """Check every record of a campaign, by itself and compared with the others.

    Raises:
        UnknownTableError, FormatError, StorageError: there is no campaign, or it cannot be read.
    """
    folder = Path(folder)
    plan = Plan.read(folder)
    there = recorded(folder)
    names = [name for name in plan.by_name if name in there]
    findings: list[Finding] = []
    records: list[Measurement] = []
    for name in names:
        try:
            record = Measurement.read(record_path(folder, plan.by_name[name]))
        except EcnasError as error:
            # A disk that does not answer, or a newer version, is no reason to train again.
            again = not isinstance(error, (StorageError, NewerRecord))
            findings.append(Finding(name, "unreadable", str(error), True, again))
            continue
        if record.unit.name != name:
            text = f"the file of {name} contains {record.unit.name}"
            findings.append(Finding(name, "identity", text, True, True))
            continue
        records.append(record)
        findings += faults(record, plan)
        for doubts in DOUBTS:
            found = doubts(record)
            findings += [Finding(name, code, text, False, redo) for code, text, redo in found]
    for stray in sorted(there - plan.by_name.keys()):
        findings.append(Finding(stray, "stray", f"{RECORDS}/{stray}.json belongs to no unit", True))
    findings += together(records)
    return Validation(
        planned=len(plan.units),
        records=len(names),
        missing=tuple(name for name in plan.by_name if name not in there),
        findings=tuple(_once(folder, finding) for finding in findings),
    )


def _once(folder: Path, finding: Finding) -> Finding:
    """The finding without `redo` if it is a doubt for which the unit was measured again before.

    A doubt that recurs, such as a GPU that is hot in every run, comes from the machine.
    """
    if finding.redo and not finding.fault and finding.code in _requeued(folder, finding.unit):
        return replace(finding, text=f"{finding.text} (measured again already)", redo=False)
    return finding


def _requeued(folder: Path, unit: str) -> set[str]:
    """Codes of the doubts for which a unit was measured again."""
    found: set[str] = set()
    for path in (folder / ATTEMPTS / unit).glob("requeued-*.txt"):
        try:
            found |= set(read_bytes(path).decode("utf-8").split("\n"))
        except (OSError, UnicodeDecodeError):
            continue  # then the unit is measured once more
    return found


def requeue(
    folder: str | PathLike[str],
    names: Iterable[str],
    *,
    why: Mapping[str, Iterable[str]] | None = None,
) -> list[str]:
    """Move records among the attempts, so that their units are measured again.

    Args:
        folder: folder of the campaign.
        names: names of the units.
        why: codes of the findings by the units' names, see `Validation.why`. They are stored beside
            the records: the same doubt does not ask for a third measurement.

    Returns:
        Names of the units whose records were moved.

    Raises:
        StorageError: a file cannot be moved.
    """
    moved, folder = [], Path(folder)
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
