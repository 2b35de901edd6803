"""Attempts at units: which worker measures a unit, when another may take over, and what it took.

The attempts at a unit are numbered. Each is a file, the claim, that is created exclusively and
never moved or removed: its first line is the owner, and its worker appends one at the end. When
attempt n has ended or its worker has died, another worker creates the claim of n + 1; only one of
several can. If claims were removed to free a unit, a worker could remove the one that a third
worker has just made; numbers that only grow prevent that.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.plan import not_read, read_file
from naslib_ecnas.errors import EcnasError
from naslib_ecnas.files import from_json, from_plain, storage_error, to_json
from naslib_ecnas.progress import listener, listening

#: How an attempt can end. `invalid`: a window could not be measured; `failed`: the training raised;
#: `stopped`: the worker was interrupted, or an error occurred that no unit causes; `superseded`:
#: another worker took over the unit, because this one's heartbeat had stopped.
ENDINGS = ("recorded", "invalid", "failed", "stopped", "superseded")
_CLAIM = re.compile(r"([0-9]{4,9})\.claim", re.ASCII)


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


@dataclass(frozen=True, kw_only=True)
class End:
    """The last line of an attempt."""

    unix: float
    how: str
    """One of `ENDINGS`."""
    detail: str


@dataclass(frozen=True)
class Claim:
    """The claim of one attempt at a unit."""

    folder: Path
    """Folder of the unit's attempts."""
    number: int
    """Counted from 1."""

    @property
    def path(self) -> Path:
        """The file; beside it is the attempt's record, if it does not count."""
        return self.folder / f"{self.number:04d}.claim"

    @property
    def overtaken(self) -> bool:
        """Whether another worker has taken over the unit."""
        return replace(self, number=self.number + 1).path.exists()

    def take(self) -> bool:
        """Make this process the owner; False if another worker was faster.

        The attempt before must have ended, or its worker must be lost.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("x", encoding="utf-8") as file:
                file.write(to_json(Owner.here()))
        except FileExistsError:
            return False
        except OSError as error:
            raise storage_error(error, self.path) from error
        return True

    def end(self, how: str, detail: str = "") -> None:
        """Append how the attempt ended; on a full disk it is left out."""
        # On a line of its own, even if only a part of the last one was written.
        with suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + to_json(End(unix=time.time(), how=how, detail=detail)))


class Superseded(EcnasError):
    """Another worker took over the unit, because this one's heartbeat had stopped."""


@contextmanager
def heartbeat(claim: Claim, beat_s: float) -> Iterator[None]:
    """Set the modification time of a claim every `beat_s` seconds, in a thread.

    Once another worker has taken over the unit, the next report to `listener()`, such as that of a
    step of the training, raises `Superseded`: what follows would be trained for nothing.
    """
    ended, lost, shown = threading.Event(), threading.Event(), listener()

    def beat() -> None:
        while not ended.wait(beat_s):
            with suppress(OSError):  # a disk that fails for a while may work again later
                os.utime(claim.path)
                if claim.overtaken:
                    lost.set()

    def report(*task: Any, **about: Any) -> None:
        if lost.is_set():
            why = "a machine that sleeps or a file system that hangs looks dead to others"
            raise Superseded(f"another worker took over this unit ({claim.folder}): {why}")
        shown(*task, **about)

    thread = threading.Thread(target=beat, name="ecnas-claim", daemon=True)
    thread.start()
    try:
        with listening(report):
            yield
    finally:
        ended.set()
        thread.join()


# -- attempts ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """What is known of an attempt."""

    claim: Claim
    owner: Owner | None
    """None if it cannot be read, as just after the claim's creation."""
    beat_unix: float
    """The last heartbeat."""
    ended: str
    """One of `ENDINGS`; empty if the attempt is running or its worker died."""
    detail: str
    seconds: float
    """From the claim to the end or the last heartbeat; NaN if unknown."""

    @property
    def dead(self) -> bool:
        """Whether it has not ended and its worker is certainly gone."""
        return not self.ended and self.owner is not None and self.owner.dead


def file_names(folder: Path) -> list[str]:
    """Names of the files in a folder; none if there is no such folder."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise not_read(error, folder) from error


def attempts(folder: Path) -> list[Attempt]:
    """The attempts at a unit, in their order.

    Args:
        folder: folder of the unit's attempts.

    Raises:
        StorageError: the folder or a claim cannot be read.
    """
    found = map(_CLAIM.fullmatch, file_names(folder))
    return [_attempt(Claim(folder, n)) for n in sorted(int(name[1]) for name in found if name)]


def _attempt(claim: Claim) -> Attempt:
    def read(content: bytes) -> tuple[float, list[bytes]]:
        return claim.path.stat().st_mtime, content.split(b"\n")

    beat_unix, (first, *lines) = read_file(claim.path, "the claim", read)
    owner, ends = None, []
    with suppress(ValueError):
        owner = from_plain(Owner, from_json(first))
    for line in lines:
        with suppress(ValueError):  # a process that was killed may leave half a line
            ends.append(from_plain(End, from_json(line)))
    end = next((end for end in ends if end.how in ENDINGS), None)
    last, how, detail = (end.unix, end.how, end.detail) if end else (beat_unix, "", "")
    seconds = math.nan if owner is None else max(last - owner.claimed_unix, 0.0)
    return Attempt(claim, owner, beat_unix, how, detail, seconds)
