"""Running sums over the samples of one sensor: a counter's rise, a power's integral.

A window is the difference of two points of a track, so a training of days needs no memory, and a
window's edges are samples like any other. Faults are counted the same way: a fault between two
points is one that their counts differ by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["CounterPoint", "CounterTrack", "Faults", "PowerPoint", "PowerTrack"]


@dataclass(frozen=True)
class Faults:
    """How often each fault was met so far, and the words of the last one."""

    resets: int
    """A counter fell."""
    gaps: int
    """Two samples lie too far apart to stand for what is between."""
    lost: int
    """The device was gone."""
    not_a_number: int
    failed: int
    """A query failed in another way; the next one may succeed."""
    detail: str


@dataclass(frozen=True)
class CounterPoint:
    """A counter at one moment."""

    time: float
    rise_j: float
    """Energy since the track began."""
    moved: float
    """Time of the last sample that was higher than the one before it."""
    fresh: bool
    """Whether the counter could be read at this very moment."""
    reason: str
    """Why it could not."""
    faults: Faults


@dataclass(frozen=True)
class PowerPoint:
    """A power and its integral at one moment."""

    time: float
    power_w: float
    integral_j: float
    spread_j: float
    """Sum of half of each change times its step: how far off the trapezoids are at most, for a
    power that rises or falls steadily between samples."""
    fresh: bool
    reason: str
    faults: Faults


class _Track:
    """Counts faults; sums are the subclasses'."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(("resets", "gaps", "lost", "not_a_number", "failed"), 0)
        self._detail = ""
        self._reason = "unsupported"  # nothing was read yet
        self._time = math.nan

    def fail(self, time: float, reason: str, detail: str) -> None:
        """A sample that could not be had."""
        kind = {"gpu-lost": "lost", "not-a-number": "not_a_number"}.get(reason, "failed")
        self._count(kind, detail)
        self._reason = reason

    def _count(self, kind: str, detail: str) -> None:
        self._counts[kind] += 1
        self._detail = detail

    def _faults(self) -> Faults:
        return Faults(**self._counts, detail=self._detail)


class CounterTrack(_Track):
    """The rise of a counter of energy, with falls and wraps told apart.

    Args:
        wrap_j: value after which the counter starts anew; None for a counter that never does.
        max_power_w: what the device cannot exceed; a fall that would need more is no wrap, and
            a gap in which it could have wrapped twice is a fault.
    """

    def __init__(self, *, wrap_j: float | None = None, max_power_w: float = math.inf) -> None:
        super().__init__()
        self._wrap_j = wrap_j
        self._max_power_w = max_power_w
        self._value = math.nan
        self._rise = 0.0
        self._moved = math.nan

    def push(self, time: float, value_j: float) -> None:
        """The counter's value, in J, at a time not before the last one's."""
        if not math.isfinite(value_j) or value_j < 0:
            self.fail(time, "not-a-number", f"the counter answered {value_j}")
            return
        if math.isnan(self._value):
            self._moved = time
        else:
            rise = self._rise_to(time, value_j)
            if rise > 0:
                self._moved = time
            self._rise += rise
        self._value, self._time, self._reason = value_j, time, ""

    def _rise_to(self, time: float, value_j: float) -> float:
        rise, step = value_j - self._value, time - self._time
        fall = f"the counter fell from {self._value:.3f} J to {value_j:.3f} J"
        if self._wrap_j is None:
            if rise < 0:
                self._count("resets", fall)
            return max(rise, 0.0)  # after a fall the sum no longer matters: its windows are invalid
        if step * self._max_power_w >= self._wrap_j:
            self._count("gaps", f"{step:.0f} s between samples, long enough for a second wrap")
        if rise < 0:
            rise += self._wrap_j
            # A second beside the step: samples and the counter's own refreshes do not coincide.
            if not 0 <= rise <= (step + 1.0) * self._max_power_w:
                self._count("resets", fall + ", and no wrap explains it")
                return 0.0
        return rise

    def point(self, time: float) -> CounterPoint:
        """The sums; `fresh` where the last sample succeeded."""
        fresh = not self._reason
        return CounterPoint(
            time=self._time if fresh else time,
            rise_j=self._rise if fresh else math.nan,
            moved=self._moved,
            fresh=fresh,
            reason=self._reason,
            faults=self._faults(),
        )


class PowerTrack(_Track):
    """The integral of sampled power by trapezoids.

    Args:
        max_gap_s: samples further apart than this do not stand for the time between them.
    """

    def __init__(self, *, max_gap_s: float) -> None:
        super().__init__()
        self._max_gap_s = max_gap_s
        self._power = math.nan
        self._integral = 0.0
        self._spread = 0.0

    def push(self, time: float, power_w: float) -> None:
        """The power, in W, at a time not before the last one's."""
        if not math.isfinite(power_w) or power_w < 0:
            self.fail(time, "not-a-number", f"the power sensor answered {power_w}")
            return
        if not math.isnan(self._power):
            step = time - self._time
            if step > self._max_gap_s:
                self._count("gaps", f"{step:.2f} s between two samples of power")
            self._integral += 0.5 * (power_w + self._power) * step
            self._spread += 0.5 * abs(power_w - self._power) * step
        self._power, self._time, self._reason = power_w, time, ""

    def point(self, time: float) -> PowerPoint:
        """The sums; `fresh` where the last sample succeeded."""
        fresh = not self._reason
        return PowerPoint(
            time=self._time if fresh else time,
            power_w=self._power if fresh else math.nan,
            integral_j=self._integral if fresh else math.nan,
            spread_j=self._spread,
            fresh=fresh,
            reason=self._reason,
            faults=self._faults(),
        )
