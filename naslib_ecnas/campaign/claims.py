"""Claims: which worker is at which unit, and when another may take it over.

The attempts of a unit are numbered, and each begins with a claim: a file that is created
exclusively and never moved or removed. Whoever sees that attempt n has ended or died creates the
claim of n + 1; of several only one can. A claim that were renamed away to free it could be the
one that a third worker has just made; a number that only grows cannot be mistaken so.
"""

from __future__ import annotations

import math
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from naslib_ecnas.energy.meter import Meter, OpenWindow
from naslib_ecnas.energy.readings import Window
from naslib_ecnas.errors import EcnasError, FormatError, StorageError
from naslib_ecnas.files import from_json, from_plain, storage_error, to_json, to_plain

__all__ = [
    "ENDINGS",
    "Attempt",
    "AttemptLog",
    "Claim",
    "Heart",
    "LoggedMeter",
    "Owner",
    "Superseded",
    "Watch",
    "attempts",
    "log_windows",
    "numbers",
    "read_owner",
    "take",
]


_CLAIM = re.compile(r"([0-9]{4})\.claim", re.ASCII)

_MOST = 9999


class Superseded(EcnasError):
    """Another worker took the unit over, since this one had given no sign of life for long."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process, so that no other can be taken for it."""

    host: str
    system: str
    """Boot and process namespace: process numbers mean the same only within both."""
    pid: int
    process_start: str
    """When the process began, in the kernel's ticks; numbers of processes are used again."""
    claimed_unix: float
    job: str = ""
    """Job of a cluster, where it is one."""

    @classmethod
    def here(cls) -> Owner:
        """This process, now."""
        job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID") or ""
        task = os.environ.get("SLURM_ARRAY_TASK_ID")
        return cls(
            host=socket.gethostname(),
            system=_system(),
            pid=os.getpid(),
            process_start=_process_start(os.getpid()),
            claimed_unix=time.time(),
            job=f"{job}_{task}" if job and task else job,
        )

    @property
    def dead(self) -> bool:
        """Whether it certainly lives no more: it is of this system, and not there."""
        if not self.system or self.host != socket.gethostname() or self.system != _system():
            return False
        return _process_start(self.pid) != self.process_start

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}" + (f", job {self.job}" if self.job else "")


def _system() -> str:
    """Empty where the kernel does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """Empty where there is no such process; a zombie is none any more."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The second field is the program's name, which can hold spaces and brackets.
    rest = text.rpartition(")")[2].split()
    return "" if rest[0] in "ZX" else rest[19]


@dataclass(frozen=True)
class Claim:
    """An attempt that this process has claimed."""

    folder: Path
    """The unit's attempts."""
    number: int

    @property
    def path(self) -> Path:
        return _path(self.folder, self.number)

    @property
    def mine(self) -> bool:
        """Whether no other worker has taken the unit over."""
        return not _path(self.folder, self.number + 1).exists()


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.claim"


def numbers(folder: Path) -> list[int]:
    """Numbers of a unit's attempts, ascending."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise storage_error(error, folder) from error
    return sorted(int(found[1]) for name in names if (found := _CLAIM.fullmatch(name)))


def read_owner(folder: Path, number: int) -> Owner | None:
    """Whose claim it is; None where that cannot be read, as just after its creation."""
    try:
        return from_plain(Owner, from_json(_path(folder, number).read_bytes()))
    except (OSError, ValueError, FormatError):
        return None


def take(folder: Path, number: int) -> Claim | None:
    """Claim an attempt; None where another worker was faster.

    Args:
        folder: the unit's attempts.
        number: one more than the last attempt, which has to be over.

    Raises:
        StorageError: the folder cannot be written.
    """
    if number > _MOST:
        raise EcnasError("too many attempts", value=str(folder), expected=f"{_MOST} at most")
    path = _path(folder, number)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(to_json(to_plain(Owner.here())).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(error, path) from error
    return Claim(folder, number)


class Heart:
    """Gives signs of life for a claim, by the time of its file, from a thread."""

    def __init__(self, claim: Claim, *, beat_s: float) -> None:
        self._claim = claim
        self._beat_s = beat_s
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="ecnas-claim", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Stop the work where the claim was lost; costs next to nothing.

        Raises:
            Superseded: another worker took over.
        """
        if self._lost:
            raise Superseded(
                "another worker took this unit over",
                value=str(self._claim.folder),
                remedy="a machine that sleeps or a file system that hangs looks dead to others",
            )

    def _run(self) -> None:
        while not self._ended.wait(self._beat_s):
            # What does not reach the disk for a while may do so later.
            with suppress(OSError):
                os.utime(self._claim.path)
                self._lost = not self._claim.mine


@dataclass
class Watch:
    """Watches others' claims by this process's own clock, since machines' clocks differ."""

    stale_s: float
    _seen: dict[Path, tuple[int, float]] = field(default_factory=dict)

    def over(self, folder: Path, number: int) -> bool:
        """Whether the owner of a claim is dead, or gave no sign of life for `stale_s`."""
        owner = read_owner(folder, number)
        if owner is not None and owner.dead:
            return True
        path = _path(folder, number)
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return False
        now = time.monotonic()
        last, since = self._seen.get(path, (changed, now))
        if last != changed:
            since = now
        self._seen[path] = changed, since
        return now - since >= self.stale_s


# The log of each attempt: what its meter said, window by window, and how it ended.


#: `recorded`; `invalid`: a window could not be measured; `failed`: the training raised;
#: `stopped`: the worker was told to stop, or met what no unit is to blame for; `superseded` and
#: `not-needed`: another worker had the unit.
ENDINGS = ("recorded", "invalid", "failed", "stopped", "superseded", "not-needed")


class AttemptLog:
    """Appends marks, one JSON object a line; what was written survives the process."""

    def __init__(self, folder: Path, number: int) -> None:
        self.path: Path = folder / f"{number:04d}.log"
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
