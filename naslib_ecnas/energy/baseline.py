"""What a machine uses at rest, and a window's energy less that.

The gross energy is what was measured and what tables hold. The net one is derived: it answers
what the training added, and depends on how well the rest before and after stands for the rest
in between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from naslib_ecnas.energy.reading import Reading
from naslib_ecnas.energy.window import Window

__all__ = ["Baseline", "Net", "net"]


@dataclass(frozen=True)
class Baseline:
    """Power at rest, in W by device; NaN where the window of rest is invalid.

    GPUs, CPU packages and memory domains.
    """

    window: Window
    power_w: Mapping[str, float]
    uncertainty_w: Mapping[str, float]
    """What each of these powers can be off by, in W."""

    @classmethod
    def of(cls, window: Window) -> Baseline:
        """From a window in which nothing ran."""
        readings, seconds = _all(window), window.seconds
        return cls(
            window,
            {name: r.energy_j / seconds for name, r in readings.items()},
            {name: r.uncertainty_j / seconds for name, r in readings.items()},
        )


@dataclass(frozen=True)
class Net:
    """A window's energy less the energy at rest of the same length."""

    energy_j: float
    """Can be below 0 within `uncertainty_j`; NaN where a reading or the baseline is invalid."""
    gross_j: float
    idle_w: float
    uncertainty_j: float
    """Of the window, of the baselines, and half of what the rest changed by in between."""


def net(window: Window, before: Baseline, after: Baseline | None = None) -> dict[str, Net]:
    """Net energy by device, in J.

    Args:
        window: the work.
        before: the rest before it.
        after: the rest after it; the mean of both is taken then.
    """
    ends = [before] if after is None else [before, after]
    out = {}
    for name, reading in _all(window).items():
        powers = [end.power_w.get(name, math.nan) for end in ends]
        idle = sum(powers) / len(powers)
        doubts = [end.uncertainty_w[name] for end in ends if name in end.uncertainty_w]
        doubt = max(doubts, default=math.nan) + (max(powers) - min(powers)) / 2
        out[name] = Net(
            energy_j=reading.energy_j - idle * window.seconds,
            gross_j=reading.energy_j,
            idle_w=idle,
            uncertainty_j=reading.uncertainty_j + doubt * window.seconds,
        )
    return out


def _all(window: Window) -> dict[str, Reading]:
    return {**window.energy_j, **window.cpu_energy_j, **window.dram_energy_j}
