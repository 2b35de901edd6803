"""Where a training runs: its device, by name, and the versions that its numbers pass through."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch

from naslib_ecnas._version import __version__
from naslib_ecnas.errors import ConfigError

__all__ = ["check_device", "convolutions", "device_name", "resolved", "synchronise", "versions"]


def check_device(device: torch.device | str) -> None:
    """See whether a device is there, without beginning to use it: the context of a GPU costs
    energy, which is its first training's.

    Raises:
        ConfigError: torch knows no such device, or it is not there.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:  # TypeError: no text at all
        raise _no_device(device, error) from error
    if found.type != "cuda":
        resolved(found)
    elif not torch.cuda.is_available():
        raise _no_device(device, "torch sees no GPU")
    elif (found.index or 0) >= torch.cuda.device_count():
        raise _no_device(device, f"torch sees {torch.cuda.device_count()} of them")


def _no_device(device: torch.device | str, why: object) -> ConfigError:
    return ConfigError(
        f"there is no such device ({str(why).splitlines()[0]})",
        value=str(device),
        expected='"cpu", or a device that torch sees, such as "cuda:0"',
    )


def resolved(device: torch.device | str) -> torch.device:
    """The device, with its number where it is a GPU.

    Raises:
        ConfigError: torch knows no such device, or it is not there.
    """
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:  # torch without CUDA asserts
        raise _no_device(device, error) from error
    if found.type == "cuda" and found.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return found


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what was submitted; on a CPU it always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def convolutions(*, tf32: bool) -> AbstractContextManager[None]:
    """torch's flags for convolutions, set while a training runs and put back after it."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True,
        benchmark=torch.backends.cudnn.benchmark,
        deterministic=torch.backends.cudnn.deterministic,
        allow_tf32=tf32,
    )
    return flags


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return _processor() if device.type == "cpu" else device.type


def _processor() -> str:
    """The processor's name where Linux tells it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions(device: torch.device) -> dict[str, str]:
    """Versions of this package, Python, numpy, torch and, on a GPU, CUDA and cuDNN."""
    found = {
        "naslib_ecnas": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
    }
    if device.type == "cuda":
        found["cuda"] = str(torch.version.cuda)
        found["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    return found
