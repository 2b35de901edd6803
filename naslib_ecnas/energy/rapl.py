"""Energy of CPU packages and memory from RAPL, as Linux shows it under /sys/class/powercap.

The counters belong to the whole node, so only one of its processes measures them: the first to
take a lock, or the one with local rank 0 of a distributed training. A counter wraps around every
few minutes to hours, which the meter's thread sees by sampling.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from naslib_ecnas.energy.readings import CpuState
from naslib_ecnas.energy.sensors import (
    Denied,
    MeterError,
    QueryFailed,
    Sensor,
    Source,
    Unsupported,
    counted,
)

#: Folder of the counters.
POWERCAP = Path("/sys/class/powercap")

#: More than any CPU package draws, in W; a counter that would have risen faster was reset.
_MAX_POWER_W = 2000.0

#: RAPL refreshes about every ms (Intel's Software Developer's Manual, volume 3B, 15.10).
_UPDATE_PERIOD_S = 1e-3

#: How to let users read the counters, which Linux gives to root alone.
_PERMIT = (
    "let users read it until the next boot: sudo chmod a+r {root}/intel-rapl*/energy_uj; or for "
    "good by a udev rule or a group; or for Python alone: sudo setcap cap_dac_read_search+ep PYTHON"
)

_RANKS = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK")


def cpu_sources(opened: ExitStack) -> tuple[CpuState, dict[str, Source]]:
    """Whether this process measures the node's CPU, and if so its counters by name.

    A name is `package-0` or `package-0/dram`.

    Args:
        opened: releases the lock, which lies in the system's temporary folder, when it is closed.
    """
    for name in _RANKS:
        if (rank := os.environ.get(name, "")) not in ("", "0"):
            return CpuState(
                "elsewhere", f"local rank 0 measures the CPU; this is {name}={rank}"
            ), {}
    try:
        found = {name: _source(name, zone) for name, zone in _zones().items()}
    except Denied as error:
        return CpuState("denied", str(error), _PERMIT.format(root=POWERCAP)), {}
    except MeterError as error:
        return CpuState("absent", str(error)), {}
    holder = _claim(opened)
    if holder is not None:
        text = f"process {holder} of this node measures the CPU"
        remedy = "nothing to do: the CPU's energy is in that process's windows"
        return CpuState("elsewhere", text, remedy), {}
    return CpuState("measured", ", ".join(found)), found


def _claim(opened: ExitStack) -> str | None:
    """Take the node's lock; returns the number of the process that has it already, or None."""
    import fcntl  # missing on Windows, which has no such counters

    def release(owner: int) -> None:
        # Forked children hold the file too, so closing it alone would not release the lock; and a
        # child must not release its parent's.
        if os.getpid() == owner:
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)

    file = Path(tempfile.gettempdir(), "ecnas-rapl.lock")
    # The last way is for another user's file: a lock needs no right to write.
    for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with suppress(OSError):
            lock = os.open(file, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            break
    else:
        return None  # without a lock: better measured twice than not at all
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        return holder or "(unknown)"
    opened.callback(release, os.getpid())
    with suppress(OSError):  # the number is only for the message above
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    return None


def _zones() -> dict[str, Path]:
    """Folders of the CPU packages and their memory by name.

    The whole platform (`psys`), cores and graphics are left out: packages are part of the platform
    and contain the others. So is the second interface to the same counters (`intel-rapl-mmio`).

    Raises:
        Unsupported: there is no CPU package.
    """
    found = {}
    for zone in sorted(POWERCAP.glob("intel-rapl:*")):
        package = _text(zone / "name")
        if package.startswith("package"):
            found[package] = zone
            for part in sorted(POWERCAP.glob(f"{zone.name}:*")):
                if _text(part / "name") == "dram":
                    found[f"{package}/dram"] = part
    if not found:
        raise Unsupported(f"no RAPL package under {POWERCAP}")
    return found


def _source(name: str, zone: Path) -> Source:
    read = partial(_micro, zone / "energy_uj")
    read()  # a counter that cannot be read is found here
    add = partial(counted, wrap_j=_micro(zone / "max_energy_range_uj"), max_power_w=_MAX_POWER_W)
    sensor = Sensor("rapl", read, add, _UPDATE_PERIOD_S)
    return Source("dram_energy_j" if name.endswith("/dram") else "cpu_energy_j", (sensor,))


def _micro(path: Path) -> float:
    """The number in a file, in millions."""
    text = _text(path)
    if not text.isdecimal():
        raise QueryFailed(f"{path} must contain a number", value=text)
    return int(text) / 1e6


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except PermissionError as error:
        raise Denied(f"{path} may be read by root only") from error
    except OSError as error:
        raise QueryFailed(f"{path} cannot be read: {error.strerror}") from error
