"""The device of a training: its name, the versions of the software, and torch's arithmetic on it.

torch has two kinds of settings for rounding float32 factors to TF32: old flags (`allow_tf32`) and,
since version 2.9, a precision for each operator (`fp32_precision`), which wins. A training sets
both, and its record holds what torch then says. `NVIDIA_TF32_OVERRIDE` in the environment decides
instead of torch in NVIDIA's libraries, so that a record has it too.
"""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from naslib_ecnas._version import __version__
from naslib_ecnas.errors import ConfigError


def check_device(device: torch.device | str, *, cuda_graphs: bool = False) -> None:
    """Check that torch has a device. A GPU is not used: its context costs energy of the training.

    Raises:
        ConfigError: torch does not know the device, or does not see it; or CUDA graphs are asked
            for and it is no GPU of NVIDIA's.
    """
    try:
        found = torch.device(device)
        if found.type != "cuda":
            torch.empty(1, device=found)
        elif (found.index or 0) >= torch.cuda.device_count():
            raise RuntimeError(f"torch sees {torch.cuda.device_count()} GPUs")
    except (RuntimeError, TypeError, AssertionError) as error:  # TypeError: not a text
        why = str(error).splitlines()[0]
        raise ConfigError(f"no such device {str(device)!r} ({why})") from error
    if cuda_graphs and (found.type != "cuda" or torch.version.cuda is None):
        raise ConfigError("cuda_graphs needs a GPU with CUDA", value=str(device))


def lost_device(device: torch.device | str) -> str:
    """Why a device is of no more use to this process; empty if it still works.

    After an error such as an illegal memory access every later call of CUDA fails in this process
    ("sticky" in NVIDIA's words); after others, such as too little memory, the next one works.
    """
    try:
        synchronise(torch.device(device))
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished what was submitted; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """Model of the GPU, or of the processor by /proc/cpuinfo or Python's `platform`."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type != "cpu":
        return str(device.type)
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions(device: torch.device) -> dict[str, str]:
    """Versions of this package, Python, numpy, torch and, on a GPU, CUDA and cuDNN."""
    found: dict[str, Any] = {"naslib_ecnas": __version__, "python": platform.python_version()}
    found |= {"numpy": np.__version__, "torch": torch.__version__}
    if device.type == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found |= {"cuda": torch.version.cuda, "cudnn": cudnn}
    return {name: str(version) for name, version in found.items()}


# -- torch's arithmetic ---------------------------------------------------------------------

#: Name below `torch.backends` -> its value without and with TF32, in the order of setting: an old
#: flag changes operators, and `fp32_precision` is what operators without one of their own use.
_ARITHMETIC: dict[str, tuple[str | bool, str | bool]] = {
    "cudnn.enabled": (True, True),
    "cudnn.allow_tf32": (False, True),
    "cuda.matmul.allow_tf32": (False, True),
    "fp32_precision": ("ieee", "tf32"),
    "cudnn.conv.fp32_precision": ("ieee", "tf32"),
    "cuda.matmul.fp32_precision": ("ieee", "tf32"),
    "mkldnn.conv.fp32_precision": ("ieee", "ieee"),
    "mkldnn.matmul.fp32_precision": ("ieee", "ieee"),
}
#: Settings that a training leaves as they are: they choose between kernels.
_KERNELS = ("cudnn.benchmark", "cudnn.deterministic")

#: An older name for the precision of matrix products.
_MATMUL = "float32_matmul_precision"
#: Variable of the environment that NVIDIA's libraries obey, and its value without and with TF32.
_OVERRIDE, _OVERRIDES = "NVIDIA_TF32_OVERRIDE", ("0", "1")

#: Setting of torch -> value; None where torch refuses to read it, since others contradict it.
Arithmetic = Mapping[str, str | bool | None]


def arithmetic() -> dict[str, str | bool | None]:
    """torch's settings of rounding and kernels by their names below `torch.backends`.

    Those that this version of torch does not have are left out. `NVIDIA_TF32_OVERRIDE` is added if
    it is set.
    """
    found: dict[str, str | bool | None] = {}
    for name in (*_ARITHMETIC, *_KERNELS):
        with suppress(AttributeError):
            found[name] = _read(partial(attrgetter(name), torch.backends))
    found[_MATMUL] = _read(torch.get_float32_matmul_precision)
    found["deterministic_algorithms"] = torch.are_deterministic_algorithms_enabled()
    if _OVERRIDE in os.environ:
        found[_OVERRIDE] = os.environ[_OVERRIDE]
    return found


@contextmanager
def arithmetic_of_training(*, tf32: bool) -> Iterator[None]:
    """Let float32 products be rounded to TF32 or not, and restore what was set after the block."""
    before = arithmetic()
    try:
        for name, values in _ARITHMETIC.items():
            if name in before:
                _write(name, values[tf32])
        yield
    finally:
        # What torch refused to read is a flag that contradicted an operator: it is cleared, which
        # permits nothing new.
        for name in _ARITHMETIC:
            if name in before:
                _write(name, before[name] or False)
        if before[_MATMUL] not in (None, _read(torch.get_float32_matmul_precision)):
            torch.set_float32_matmul_precision(str(before[_MATMUL]))


def arithmetic_departures(start: Arithmetic, end: Arithmetic, *, tf32: bool) -> list[str]:
    """Where torch's settings at the start and the end of a training are not those of its recipe."""
    found = []
    for name, value in end.items():
        if value != start.get(name):
            found.append(f"{name} changed from {start.get(name)} to {value}")
        elif (name in _ARITHMETIC or name == _OVERRIDE) and value is not None:
            due = _ARITHMETIC.get(name, _OVERRIDES)[tf32]
            if value != due and (value, due) != ("none", "ieee"):
                found.append(f"{name} {value} for {due}")
    return found


def _read(setting: Callable[[], str | bool]) -> str | bool | None:
    """A setting of torch; None where torch refuses to say."""
    with warnings.catch_warnings(), suppress(RuntimeError):
        warnings.simplefilter("ignore")  # the old flags are deprecated
        return setting()
    return None


def _write(name: str, value: str | bool) -> None:
    place, _, last = f"backends.{name}".rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        setattr(attrgetter(place)(torch), last, value)


# -- CUDA graphs ----------------------------------------------------------------------------

#: Passes before the recording, in which cuDNN and torch choose kernels and allocate what stays.
_REHEARSED = 3


class GraphedPass:
    """Forward and backward pass of batches of one shape, recorded as a CUDA graph and replayed.

    As "whole-network capture" of torch's notes on CUDA: a graph reads and writes the same memory
    whenever it is replayed, so batches are copied into it, and loss and gradients appear in it.

    Args:
        run: takes images and labels, leaves gradients in the network and returns the loss.
        network: the network, in training mode. Its running statistics stay as they are.
        images, labels: a batch of the shapes and types to come; the values do not matter.
    """

    def __init__(
        self, run: Callable[[Tensor, Tensor], Tensor], network: nn.Module, *batch: Tensor
    ) -> None:
        self._batch = batch
        kept = [value.clone() for value in network.buffers()]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_REHEARSED):
                run(*batch)
        torch.cuda.current_stream().wait_stream(side)
        # Without gradients, so that the graph's own memory holds them and is written, not added to.
        network.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = run(*batch)
        for value, before in zip(network.buffers(), kept, strict=True):
            value.copy_(before)

    def __call__(self, *batch: Tensor) -> Tensor:
        """The loss of a batch of images and labels, which the next call overwrites."""
        for place, values in zip(self._batch, batch, strict=True):
            place.copy_(values)
        self._graph.replay()
        return self._loss
