"""A second opinion: the same block measured by Zeus, where it is installed.

Zeus reads the same counter by its own code, so what differs is how it is read: the choice of
GPUs, the edges, the arithmetic.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from naslib_ecnas.energy.judge import APART
from naslib_ecnas.energy.meter import EnergyMeter
from naslib_ecnas.energy.window import Window
from naslib_ecnas.errors import ConfigError, MissingDependencyError

__all__ = ["ZeusCheck", "check_with_zeus"]


@dataclass(frozen=True)
class ZeusCheck:
    """One block, measured twice."""

    window: Window
    """Ours."""
    zeus_j: float
    """Zeus's sum over the GPUs, in J."""
    zeus_by_gpu_j: Mapping[int, float]
    """By Zeus's index."""

    @property
    def verdict(self) -> str:
        """`agree` (within 5 % or our uncertainty), `apart`, or `unchecked`: ours is invalid."""
        if not self.window.valid:
            return "unchecked"
        doubt = sum(reading.uncertainty_j for reading in self.window.energy_j.values())
        apart = abs(self.window.gpu_total_j - self.zeus_j)
        return "agree" if apart <= max(APART * self.window.gpu_total_j, doubt) else "apart"


def check_with_zeus(
    meter: EnergyMeter, work: Callable[[], object], *, gpu_indices: list[int] | None = None
) -> ZeusCheck:
    """Do a piece of work in a window of ours and one of Zeus's around it.

    Args:
        meter: ours; its windows gain one named `zeus-check`.
        gpu_indices: the GPUs as Zeus counts them, which is as CUDA shows them; all by default.

    Raises:
        MissingDependencyError: Zeus is not installed.
        ConfigError: Zeus measures another number of GPUs than the meter.
    """
    try:
        zeus = importlib.import_module("zeus.monitor")
    except ImportError as error:
        raise MissingDependencyError("zeus", feature="the check against Zeus") from error
    monitor = zeus.ZeusMonitor(gpu_indices=gpu_indices, cpu_indices=[])
    if len(monitor.gpu_indices) != len(meter.methods):
        raise ConfigError(
            "Zeus and the meter measure different GPUs",
            value=monitor.gpu_indices,
            expected=f"as many as the meter's: {', '.join(meter.methods)}",
            remedy="give gpu_indices",
        )
    # Zeus synchronises through torch where it is there; the meter has its own `sync`.
    monitor.begin_window("zeus-check", sync_execution=False)
    with meter.window("zeus-check") as span:
        work()
    result = monitor.end_window("zeus-check", sync_execution=False)
    by_gpu = {int(index): float(joules) for index, joules in result.gpu_energy.items()}
    return ZeusCheck(span.window, sum(by_gpu.values()), by_gpu)
