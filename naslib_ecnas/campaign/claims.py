"""Claims: which worker measures which unit, when another may take over, and the logs of attempts.

The attempts at a unit are numbered, and each begins with a claim: a file that is created
exclusively and never moved or removed. When attempt n has ended or its worker has died, another
worker creates the claim of n + 1; only one of several can. If claims were removed to free a unit, a
worker could remove the one that a third worker has just made; numbers that only grow prevent that.
"""

from __future__ import annotations

import math
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.plan import NO_DOCUMENT, not_read
from naslib_ecnas.energy.meter import Meter, OpenWindow
from naslib_ecnas.energy.readings import Window
from naslib_ecnas.errors import EcnasError, FormatError
from naslib_ecnas.files import from_json, from_plain, read_bytes, storage_error, to_json

#: How an attempt can end. `invalid`: a window could not be measured; `failed`: the training raised;
#: `stopped`: the worker was interrupted, or an error occurred that no unit causes; `superseded` and
#: `not-needed`: another worker had the unit.
ENDINGS = ("recorded", "invalid", "failed", "stopped", "superseded", "not-needed")
_CLAIM = re.compile(r"([0-9]{4})\.claim", re.ASCII)
_MOST = 9999


class Superseded(EcnasError):
    """Another worker took over the unit, because this one's heartbeat had stopped."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A worker's process, identified across machines, reboots and reused process numbers."""

    host: str
    system: str
    """Boot and process namespace: process numbers mean the same only within both."""
    pid: int
    process_start: str
    """When the process began, in the kernel's ticks; process numbers are reused."""
    claimed_unix: float
    job: str = ""
    """Job of a cluster, if it is one."""

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
        """Whether the process is certainly gone: it belongs to this system and does not exist."""
        here = (socket.gethostname(), _system())
        known = bool(self.system) and (self.host, self.system) == here
        return known and _process_start(self.pid) != self.process_start

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}" + (f", job {self.job}" if self.job else "")


def _system() -> str:
    """Boot and process namespace of this process; empty if the kernel does not give them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """Start time from /proc, or "" if the process is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The second field is the program's name, which can contain spaces and brackets.
    rest = text.rpartition(")")[2].split()
    return "" if rest[0] in "ZX" else rest[19]


# -- claims --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """The claim of one attempt at a unit: a file that names its owner."""

    folder: Path
    """Folder of the unit's attempts."""
    number: int
    """Counted from 1."""

    @property
    def path(self) -> Path:
        """The claim's file; beside it is the attempt's log, and a record that does not count."""
        return self.folder / f"{self.number:04d}.claim"

    @property
    def owner(self) -> Owner | None:
        """The owner; None if it cannot be read, as just after the claim's creation."""
        try:
            return from_plain(Owner, from_json(read_bytes(self.path)))
        except (OSError, ValueError):
            return None

    @property
    def overtaken(self) -> bool:
        """Whether another worker has taken over the unit."""
        return replace(self, number=self.number + 1).path.exists()

    def take(self) -> bool:
        """Make this process the owner; False if another worker was faster.

        The attempt before must have ended, or its claim must be stale.

        Raises:
            StorageError: the folder cannot be written.
        """
        if self.number > _MOST:
            raise EcnasError(f"a unit can have {_MOST} attempts at most; see {self.folder}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("xb") as file:
                file.write(to_json(Owner.here()).encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
        except OSError as error:
            raise storage_error(error, self.path) from error
        return True


def claims(folder: Path) -> list[Claim]:
    """The claims in the folder of a unit's attempts, by ascending number.

    Raises:
        StorageError: the folder cannot be read.
    """
    found = map(_CLAIM.fullmatch, file_names(folder))
    return [Claim(folder, number) for number in sorted(int(name[1]) for name in found if name)]


def file_names(folder: Path) -> list[str]:
    """Names of the files in a folder; none if there is no such folder."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise not_read(error, folder) from error


class Heartbeat:
    """A thread that sets the modification time of a claim's file every `beat_s` seconds."""

    def __init__(self, claim: Claim, *, beat_s: float) -> None:
        self._claim = claim
        self._beat_s = beat_s
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="ecnas-claim", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Raise if the claim was lost; fast enough to be called after each step.

        Raises:
            Superseded: another worker has taken over.
        """
        if self._lost:
            why = "a machine that sleeps or a file system that hangs looks dead to others"
            raise Superseded(f"another worker took over this unit ({self._claim.folder}): {why}")

    def beat(self) -> None:
        """Set the time once, and look whether the claim was lost."""
        with suppress(OSError):  # a disk that fails for a while may work again later
            os.utime(self._claim.path)
            self._lost = self._claim.overtaken

    def _run(self) -> None:
        while not self._ended.wait(self._beat_s):
            self.beat()


@dataclass
class StaleClaims:
    """Finds claims whose heartbeat has stopped, by this process's clock, as machines' differ."""

    stale_s: float
    """Seconds without a heartbeat after which a claim is stale."""
    clock: Callable[[], float] = time.monotonic
    """Time in s."""
    _seen: dict[Claim, tuple[int, float]] = field(default_factory=dict)

    def over(self, claim: Claim) -> bool:
        """Whether the owner of a claim is dead, or without a heartbeat for `stale_s`."""
        owner = claim.owner
        if owner is not None and owner.dead:
            return True
        try:
            changed = claim.path.stat().st_mtime_ns
        except OSError:
            return False
        now = self.clock()
        if claim not in self._seen or self._seen[claim][0] != changed:
            self._seen[claim] = changed, now
        return now - self._seen[claim][1] >= self.stale_s


# -- logs of attempts ----------------------------------------------------------------------------


class AttemptLog:
    """Appends events to the log of an attempt, one JSON object a line.

    An event that cannot be written, as on a full disk, is left out: the record contains every
    window too, and a training of hours is worth more than its log.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.path: Path = claim.path.with_suffix(".log")
        self._ended = False
        self._torn = False

    def add(self, mark: str, **content: Any) -> None:
        """Append an event of the kind `mark`; once written it survives the process."""
        line = to_json({"mark": mark, "unix": time.time(), **content}) + "\n"
        if self._torn:  # only a part of the last line was written; it must not spoil this one
            line = "\n" + line
        self._torn = True
        with suppress(OSError), self.path.open("ab") as file:
            file.write(line.encode("utf-8"))
            file.flush()
            if mark == "end":
                os.fsync(file.fileno())
            self._torn = False

    def end(self, how: str, detail: str = "") -> None:
        """Log how the attempt ended; only the first call counts."""
        if not self._ended:
            self._ended = True
            self.add("end", how=how, detail=detail)


class LoggedMeter:
    """A meter whose windows are logged as they open and end.

    Writing an event takes well under a millisecond, between windows or in the enclosing one.
    """

    def __init__(self, meter: Meter, log: AttemptLog) -> None:
        self._meter = meter
        self._log = log

    @contextmanager
    def window(self, name: str) -> Iterator[OpenWindow]:
        """Measure a block."""
        self._log.add("open", name=name)
        handle: OpenWindow | None = None
        try:
            with self._meter.window(name) as handle:
                yield handle
        finally:  # the energy of a training that failed is lost, but was used
            if handle is not None:
                self._log.add("window", window=handle.window.to_dict())


@dataclass(frozen=True)
class Attempt:
    """The result of one attempt."""

    claim: Claim
    owner: Owner | None
    """None if the claim cannot be read."""
    ended: str
    """One of `ENDINGS`; empty if the attempt is running or its worker died."""
    detail: str
    seconds: float
    """From the claim to the last event or heartbeat; NaN if unknown."""
    energy_j: float
    """GPUs and CPU packages in the finished windows, without what came after the last one. NaN if
    nothing was measured."""


def attempts(folder: Path) -> list[Attempt]:
    """The attempts at a unit, in their order."""
    return list(map(_attempt, claims(folder)))


def _attempt(claim: Claim) -> Attempt:
    owner, events = claim.owner, _events(claim.path.with_suffix(".log"))
    times = [event["unix"] for event in events]
    with suppress(OSError):
        times.append(claim.path.stat().st_mtime)
    last, how, detail = max(times, default=math.nan), "", ""
    for event in events:
        if event["mark"] == "end" and event.get("how") in ENDINGS:
            last, how, detail = event["unix"], event["how"], str(event.get("detail", ""))
    seconds = math.nan if owner is None else max(last - owner.claimed_unix, 0.0)
    return Attempt(claim, owner, how, detail, seconds, _energy_j(_windows(events)))


def log_windows(path: Path) -> list[Window]:
    """The windows of a log, in the order of ending."""
    return _windows(_events(path))


def _windows(events: list[dict[str, Any]]) -> list[Window]:
    found = []
    for event in events:
        with suppress(FormatError, KeyError):  # a damaged line loses only its window
            if event["mark"] == "window":
                found.append(Window.from_dict(event["window"]))
    return found


def _energy_j(windows: list[Window]) -> float:
    """Sum over finished top-level windows."""
    ended = {window.index for window in windows}
    outer = [w for w in windows if w.parent is None or w.parent not in ended]
    sums = [s for w in outer for s in (w.gpu_total_j, w.cpu_total_j) if math.isfinite(s)]
    return math.fsum(sums) if sums else math.nan


def _events(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a log; a process that was killed may leave half a line."""
    try:
        lines = read_bytes(path).splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno in NO_DOCUMENT:  # only what the attempt took is lost with it
            return []
        raise not_read(error, path) from error
    found = []
    for line in lines:
        with suppress(KeyError, OverflowError, TypeError, ValueError):
            event = from_json(line)
            event["unix"] = float(event["unix"])
            if isinstance(event["mark"], str):
                found.append(event)
    return found
