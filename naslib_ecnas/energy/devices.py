"""Which GPU a training runs on: from torch's index and `CUDA_VISIBLE_DEVICES` to a UUID.

CUDA and NVML number the GPUs of a machine differently, so an index is never taken as NVML's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslib_ecnas.energy.faults import UnknownDevice
from naslib_ecnas.energy.nvml import Gpu

__all__ = ["Chosen", "resolve", "torch_uuid", "visible"]

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Chosen:
    """A GPU to measure, and how it was asked for."""

    gpu: Gpu
    asked: str
    mig: str = ""
    """The MIG instance's name where the training has one; its GPU's energy covers all of them."""


def resolve(
    device: int | str,
    gpus: Sequence[Gpu],
    *,
    environ: Mapping[str, str] | None = None,
    parent_of_mig: Callable[[str], str] | None = None,
    runtime_uuid: str | None = None,
) -> Chosen:
    """The GPU behind a device of the training.

    Args:
        device: torch's index (`1`, `"1"`, `"cuda:1"`, `"cuda"`), or a UUID, its beginning, or a
            MIG instance's name, whatever `CUDA_VISIBLE_DEVICES` says.
        gpus: the GPUs of this machine, in NVML's order.
        environ: where `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` stand; this process's own
            by default.
        parent_of_mig: GPU UUID of a MIG instance's UUID.
        runtime_uuid: what CUDA itself says of this index, see `torch_uuid`; it outranks all else.

    Raises:
        UnknownDevice: no GPU answers, several do, or CUDA's order cannot be known.
    """
    environment = os.environ if environ is None else environ
    asked = str(device)
    if asked.startswith(("GPU-", "MIG-")):
        return _named(asked, asked, gpus, parent_of_mig)
    index = _index(device)
    if runtime_uuid is not None:
        # CUDA tells a MIG instance's UUID without saying that it is one.
        known = any(gpu.uuid.lower() == runtime_uuid.lower() for gpu in gpus)
        name = runtime_uuid if known else "MIG-" + runtime_uuid.removeprefix("GPU-")
        return _named(name, asked, gpus, parent_of_mig)
    entries = visible(environment, len(gpus))
    if index >= len(entries):
        raise UnknownDevice(
            "the training's process has no such device",
            value=index,
            expected=f"less than {len(entries)}: {_VISIBLE} is "
            f"{environment.get(_VISIBLE, 'not set')!r}, the machine has {len(gpus)} GPUs",
            remedy="give the GPU's UUID, as `nvidia-smi -L` lists it",
        )
    entry = entries[index]
    if isinstance(entry, str):
        return _named(entry, asked, gpus, parent_of_mig)
    same = len({gpu.name for gpu in gpus}) == 1
    if not same and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise UnknownDevice(
            "GPUs of several models are here, and CUDA numbers them by speed, NVML by bus",
            value=index,
            expected="an order that both share, or a UUID",
            remedy="set CUDA_DEVICE_ORDER=PCI_BUS_ID for the training, or give the UUID",
        )
    return Chosen(gpus[entry], asked)


def visible(environ: Mapping[str, str], count: int) -> list[int | str]:
    """The devices that CUDA shows a process: indices, or names of GPUs and MIG instances.

    As CUDA reads its variable: unset shows all; the first entry that is not of the first one's
    kind, not there, or there twice ends the list (CUDA programming guide, environment variables).
    """
    text = environ.get(_VISIBLE)
    if text is None:
        return list(range(count))
    entries: list[int | str] = []
    for entry in (part.strip() for part in text.split(",")):
        if entry.startswith(("GPU-", "MIG-")):
            item: int | str = entry
        elif entry.isdecimal() and int(entry) < count:
            item = int(entry)
        else:
            break
        if item in entries or (entries and type(item) is not type(entries[0])):
            break
        entries.append(item)
    return entries


def _index(device: int | str) -> int:
    """Torch's index of `1`, `"1"`, `"cuda:1"` or `"cuda"`, which is the first."""
    text = str(device)
    text = "0" if text == "cuda" else text.removeprefix("cuda:")
    if not text.isdecimal():
        raise UnknownDevice(
            "no device",
            value=device,
            expected="an index such as 0 or 'cuda:0', or a UUID as `nvidia-smi -L` lists",
        )
    return int(text)


def torch_uuid(device: int | str) -> str | None:
    """UUID that torch's CUDA gives an index; None where torch is not loaded or does not tell.

    Torch is not imported here: a process that trains with it has done so.

    Raises:
        UnknownDevice: it is neither an index nor a name.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    if str(device).startswith(("GPU-", "MIG-")):
        return None
    index = torch.cuda.current_device() if str(device) == "cuda" else _index(device)
    if index >= torch.cuda.device_count():
        return None
    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    if uuid is None:  # before torch 2.4
        return None
    text = str(uuid)
    return text if text.startswith(("GPU-", "MIG-")) else f"GPU-{text}"


def _named(
    name: str,
    asked: str,
    gpus: Sequence[Gpu],
    parent_of_mig: Callable[[str], str] | None,
) -> Chosen:
    mig = ""
    if name.startswith("MIG-GPU-"):  # before driver 470: MIG-GPU-<uuid>/<instance>/<instance>
        mig, name = name, name[4:].partition("/")[0]
    elif name.startswith("MIG-"):
        if parent_of_mig is None:
            raise UnknownDevice("MIG instances cannot be looked up here", value=name)
        mig, name = name, parent_of_mig(name)
    found = [gpu for gpu in gpus if gpu.uuid.lower().startswith(name.lower())]
    if len(found) != 1:
        raise UnknownDevice(
            "several GPUs have a UUID that begins so" if found else "no GPU has this UUID",
            value=name,
            expected="one of " + (", ".join(gpu.uuid for gpu in gpus) or "none: no GPU is here"),
        )
    return Chosen(found[0], asked, mig)
