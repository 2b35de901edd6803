"""Whether the windows inside a window add up to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from naslib_ecnas.energy.reading import Reading
from naslib_ecnas.energy.window import Window

__all__ = ["PartsCheck", "check_parts"]

_ROUNDING = 1e-9  # sums of binary fractions, where the parts are otherwise exact


@dataclass(frozen=True)
class PartsCheck:
    """A window against the sum of the windows directly inside it, on one GPU."""

    device: str
    verdict: str
    """`ok`, `off`, or `unknown` where a reading is invalid or there are no parts."""
    total_j: float
    parts_j: float
    uncovered_s: float
    """Time of the window that lies in none of its parts."""
    rest_j: float
    """The window less its parts: what was used in the uncovered time."""
    tolerance_j: float
    """Sum of the uncertainties of the window and its parts, and a part in 10^9 for rounding."""
    most_rest_j: float
    """The most that the uncovered time can have used, at the highest power known."""


def check_parts(window: Window, windows: Sequence[Window]) -> tuple[PartsCheck, ...]:
    """Compare a window with its parts, for each of its GPUs.

    The rest is `ok` from `-tolerance_j` to `most_rest_j + tolerance_j`.

    Args:
        window: the window around.
        windows: all windows of the meter; the parts are those whose parent it is.
    """
    parts = [w for w in windows if w.parent == window.index and w is not window]
    uncovered = max(window.seconds - sum(part.seconds for part in parts), 0.0)
    return tuple(
        _check(device, reading, window, parts, uncovered)
        for device, reading in window.energy_j.items()
    )


def _check(
    device: str, total: Reading, window: Window, parts: Sequence[Window], uncovered: float
) -> PartsCheck:
    readings = [part.energy_j.get(device) for part in parts]
    known = [reading for reading in readings if reading is not None and reading.valid]
    if not total.valid or not parts or len(known) < len(readings):
        return PartsCheck(
            device, "unknown", total.energy_j, math.nan, uncovered, math.nan, math.nan, math.nan
        )
    added = sum(reading.energy_j for reading in known)
    tolerance = total.uncertainty_j + sum(reading.uncertainty_j for reading in known)
    powers = [_highest_power_w(total, window.seconds)]
    powers += [_highest_power_w(r, p.seconds) for r, p in zip(known, parts, strict=True)]
    most = uncovered * max(powers)
    tolerance += _ROUNDING * total.energy_j
    rest = total.energy_j - added
    fits = -tolerance <= rest <= most + tolerance
    return PartsCheck(
        device, "ok" if fits else "off", total.energy_j, added, uncovered, rest, tolerance, most
    )


def _highest_power_w(reading: Reading, seconds: float) -> float:
    """The power limit where it is known, else the highest of mean and edges."""
    states = [state for state in (reading.start, reading.stop) if state is not None]
    limits = [state.power_limit_w for state in states if math.isfinite(state.power_limit_w)]
    if limits:
        return max(limits)
    edges = [state.power_w for state in states if math.isfinite(state.power_w)]
    return max([reading.energy_j / seconds if seconds > 0 else 0.0, *edges])
