"""The record of one unit: its training, the windows of its meter, and all that they depend on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.claims import Owner
from naslib_ecnas.campaign.plan import Unit
from naslib_ecnas.campaign.settings import Settings
from naslib_ecnas.energy.window import Window
from naslib_ecnas.errors import ChecksumError, FormatError
from naslib_ecnas.json_text import from_json, to_json
from naslib_ecnas.storage import atomic_write, storage_error
from naslib_ecnas.training.plain import from_plain, to_plain
from naslib_ecnas.training.record import TrainingRecord

__all__ = ["RECORDS", "Measurement", "MeterLabel", "NewerRecord", "record_path", "recorded"]

#: Folder of a campaign that holds the records.
RECORDS = "records"
_NAME = "ecnas-measurement"
_FORMAT = f"{_NAME}/1"


class NewerRecord(FormatError):
    """A record that this version cannot read, and that is not damaged for that."""


@dataclass(frozen=True, kw_only=True)
class MeterLabel:
    """How the energy was measured."""

    kind: str
    """`nvml` (with RAPL where that is there), `rapl`, `none` or `replay`."""
    methods: Mapping[str, str]
    """GPU UUID -> sensor."""
    periods_s: Mapping[str, float]
    """GPU UUID -> refresh period of the sensor, s."""
    notes: Mapping[str, tuple[str, ...]]
    """GPU UUID -> why better sensors are not used."""
    cpu: str
    """Whether the CPU is measured, a kind of `CpuState`."""
    cpu_detail: str
    """Why not."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one unit left. Energies are those of the meter: J, gross, PUE not in."""

    unit: Unit
    attempt: int
    """Number of the attempt that made it, from 1."""
    plan: str
    """Checksum of the plan."""
    owner: Owner
    settings: Settings
    meter: MeterLabel
    training: TrainingRecord
    windows: tuple[Window, ...]
    """Of the meter, in the order of ending; beside the training's there can be `warm-up`,
    `rest-before` and `rest-after`."""

    def window(self, name: str) -> Window | None:
        """The meter's window of a name; None where there is none."""
        return next((window for window in self.windows if window.name == name), None)

    @property
    def made_up(self) -> tuple[str, ...]:
        """Why it is no measurement of a whole training on real images; empty where it is one."""
        training, why = self.training, []
        if training.data.name != "CIFAR-10":
            why.append(f"{training.data.name} images")
        if training.steps < training.budget_steps:
            why.append(f"stopped after {training.steps} of {training.budget_steps} steps")
        if self.meter.kind == "replay":
            why.append("energies replayed from a file")
        if self.meter.kind == "nvml" and not training.device.startswith("cuda"):
            why.append(f"energies of a GPU that a training on {training.device} does not use")
        return tuple(why)

    def write(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        content = {
            "unit": to_plain(self.unit),
            "attempt": self.attempt,
            "plan": self.plan,
            "owner": to_plain(self.owner),
            "settings": to_plain(self.settings),
            "meter": to_plain(self.meter),
            "training": self.training.to_json(),
            "windows": [window.to_dict() for window in self.windows],
        }
        whole = {"format": _FORMAT, "sha256": _digest(content), "content": content}
        with atomic_write(path) as file:
            file.write(to_json(whole).encode("utf-8") + b"\n")

    @classmethod
    def read(cls, path: Path) -> Measurement:
        """Read one.

        Raises:
            StorageError: it cannot be read.
            ChecksumError: its content is not what was written.
            NewerRecord: another version wrote it.
            FormatError: it is no record.
        """
        remedy = "requeue its unit: ecnas measure validate CAMPAIGN --requeue"
        try:
            data = from_json(path.read_bytes())
        except OSError as error:
            raise storage_error(error, path) from error
        except ValueError as error:
            raise FormatError(
                "the record is damaged", path=path, value=str(error), remedy=remedy
            ) from error
        form = data.get("format") if isinstance(data, dict) else None
        if form != _FORMAT:
            if isinstance(form, str) and form.startswith(f"{_NAME}/"):
                raise NewerRecord(
                    "another version of this package wrote the record",
                    path=path,
                    value=form,
                    expected=_FORMAT,
                    remedy="read it with that version: pip install --upgrade naslib-ecnas",
                )
            raise FormatError(
                "no record", path=path, expected=f"a file of the format {_FORMAT}", remedy=remedy
            )
        content: Any = data.get("content")
        if _digest_of_text(json.dumps(content, ensure_ascii=False)) != data.get("sha256"):
            raise ChecksumError(
                "the record's content is not what was written", path=path, remedy=remedy
            )
        where = str(path)
        try:
            return cls(
                unit=from_plain(Unit, content["unit"], path=where),
                attempt=int(content["attempt"]),
                plan=str(content["plan"]),
                owner=from_plain(Owner, content["owner"], path=where),
                settings=from_plain(Settings, content["settings"], path=where),
                meter=from_plain(MeterLabel, content["meter"], path=where),
                training=TrainingRecord.from_json(content["training"], path=where),
                windows=tuple(Window.from_dict(window) for window in content["windows"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"no record: {error}", path=path, remedy=remedy) from error


def _digest(content: Any) -> str:
    return _digest_of_text(to_json(content))


def _digest_of_text(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def record_path(folder: Path, unit: Unit) -> Path:
    """Where a unit's record is, below the folder of the campaign."""
    return folder / RECORDS / f"{unit.name}.json"


def recorded(folder: Path) -> set[str]:
    """Names of the units whose records are there, whatever state they are in.

    Raises:
        StorageError: the folder cannot be read.
    """
    try:
        names = [path.name for path in (folder / RECORDS).iterdir()]
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise storage_error(error, folder) from error
    return {n[:-5] for n in names if n.endswith(".json") and not n.startswith(".")}
