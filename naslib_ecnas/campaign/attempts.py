"""The log of each attempt: what its meter said, window by window, and how it ended."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.claims import Owner, numbers, read_owner
from naslib_ecnas.energy.protocol import Meter, OpenWindow
from naslib_ecnas.energy.window import Window
from naslib_ecnas.errors import FormatError, StorageError
from naslib_ecnas.json_text import from_json, to_json
from naslib_ecnas.storage import storage_error

__all__ = ["ENDINGS", "Attempt", "AttemptLog", "LoggedMeter", "attempts", "log_windows"]

#: `recorded`; `invalid`: a window could not be measured; `failed`: the training raised;
#: `stopped`: the worker was told to stop, or met what no unit is to blame for; `superseded` and
#: `not-needed`: another worker had the unit.
ENDINGS = ("recorded", "invalid", "failed", "stopped", "superseded", "not-needed")


class AttemptLog:
    """Appends marks, one JSON object a line; what was written survives the process."""

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / f"{number:04d}.log"
        self._ended = False
        self._torn = False

    def add(self, mark: str, **content: Any) -> None:
        """Append a mark.

        Raises:
            StorageError: the disk is full or gone.
        """
        line = to_json({"mark": mark, "unix": time.time(), **content}) + "\n"
        if self._torn:  # a full disk took a part of the last line, which must not spoil this one
            line = "\n" + line
        self._torn = True
        try:
            with self.path.open("ab") as file:
                file.write(line.encode("utf-8"))
                file.flush()
                if mark == "end":
                    os.fsync(file.fileno())
            self._torn = False
        except OSError as error:
            raise storage_error(error, self.path) from error

    def end(self, how: str, detail: str = "") -> None:
        """Say how the attempt ended, once."""
        if not self._ended:
            self._ended = True
            self.add("end", how=how, detail=detail)


class LoggedMeter:
    """A meter whose windows are logged as they open and end.

    Writing a mark takes well under a millisecond and falls between windows, or into the one
    around them. A mark that cannot be written, as on a full disk, is left out: the record has
    every window too, and a training of hours is worth more than its log.
    """

    def __init__(self, meter: Meter, log: AttemptLog) -> None:
        self._meter = meter
        self._log = log

    @contextmanager
    def window(self, name: str) -> Iterator[OpenWindow]:
        """Measure a block."""
        self._mark("open", name=name)
        handle: OpenWindow | None = None
        try:
            with self._meter.window(name) as handle:
                yield handle
        finally:  # what a training used that failed is lost, and still was used
            if handle is not None:
                self._mark("window", window=handle.window.to_dict())

    def _mark(self, mark: str, **content: Any) -> None:
        with suppress(StorageError):
            self._log.add(mark, **content)


@dataclass(frozen=True)
class Attempt:
    """What became of one attempt."""

    number: int
    owner: Owner | None
    """None where the claim is unreadable."""
    ended: str
    """One of `ENDINGS`; empty where it runs or was lost."""
    detail: str
    seconds: float
    """From the claim to the last sign of life; NaN where that is unknown."""
    energy_j: float
    """GPUs and CPU packages in the windows that ended; what followed the last one is not in it.
    NaN where nothing was measured."""


def attempts(folder: Path) -> list[Attempt]:
    """The attempts of a unit, in their order."""
    return [_attempt(folder, number) for number in numbers(folder)]


def _attempt(folder: Path, number: int) -> Attempt:
    owner = read_owner(folder, number)
    marks = _marks(folder / f"{number:04d}.log")
    ends = [mark for mark in marks if mark["mark"] == "end" and mark.get("how") in ENDINGS]
    times = [float(mark["unix"]) for mark in marks]
    with suppress(OSError):
        times.append((folder / f"{number:04d}.claim").stat().st_mtime)
    last = float(ends[-1]["unix"]) if ends else max(times, default=math.nan)
    return Attempt(
        number=number,
        owner=owner,
        ended=str(ends[-1]["how"]) if ends else "",
        detail=str(ends[-1].get("detail", "")) if ends else "",
        seconds=math.nan if owner is None else max(last - owner.claimed_unix, 0.0),
        energy_j=_energy_j(_windows(marks)),
    )


def log_windows(path: Path) -> list[Window]:
    """The windows of a log, in the order of ending."""
    return _windows(_marks(path))


def _windows(marks: list[dict[str, Any]]) -> list[Window]:
    found = []
    for mark in marks:
        if mark["mark"] == "window":
            try:
                found.append(Window.from_dict(mark["window"]))
            except (FormatError, KeyError):
                continue  # a damaged line loses its window only
    return found


def _energy_j(windows: list[Window]) -> float:
    """Over the windows that lie in no other that ended."""
    ended = {window.index for window in windows}
    outer = [w for w in windows if w.parent is None or w.parent not in ended]
    sums = [s for w in outer for s in (w.gpu_total_j, w.cpu_total_j) if math.isfinite(s)]
    return math.fsum(sums) if sums else math.nan


def _marks(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a process that was killed may leave half a line."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise storage_error(error, path) from error
    found = []
    for line in raw.split(b"\n"):
        try:
            mark = from_json(line)
        except ValueError:
            continue
        good = isinstance(mark, dict) and isinstance(mark.get("mark"), str)
        if good and isinstance(mark.get("unix"), (int, float)):
            found.append(mark)
    return found
