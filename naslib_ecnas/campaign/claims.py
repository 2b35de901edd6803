"""Claims: which worker is at which unit, and when another may take it over.

The attempts of a unit are numbered, and each begins with a claim: a file that is created
exclusively and never moved or removed. Whoever sees that attempt n has ended or died creates the
claim of n + 1; of several only one can. A claim that were renamed away to free it could be the
one that a third worker has just made; a number that only grows cannot be mistaken so.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from naslib_ecnas.errors import EcnasError, FormatError
from naslib_ecnas.json_text import from_json, to_json
from naslib_ecnas.storage import storage_error
from naslib_ecnas.training.plain import from_plain, to_plain

__all__ = ["Claim", "Heart", "Owner", "Superseded", "Watch", "numbers", "read_owner", "take"]

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
