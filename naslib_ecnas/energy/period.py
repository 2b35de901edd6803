"""How often a sensor refreshes, found by asking it faster than that."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

__all__ = ["update_period_s"]

_POLL_S = 1e-3
_STEPS = 8


def update_period_s(
    read: Callable[[], float],
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Median seconds between two changes of a sensor's value; NaN where it changes less than twice.

    Args:
        read: the sensor; its faults pass through.
        seconds: how long to ask at most; it ends sooner, after nine changes.
        clock, sleep: time, in s.
    """
    began = clock()
    last, changed = read(), math.nan
    steps: list[float] = []
    while clock() - began < seconds and len(steps) < _STEPS:
        sleep(_POLL_S)
        value, now = read(), clock()
        if value != last:
            if not math.isnan(changed):
                steps.append(now - changed)
            last, changed = value, now
    return statistics.median(steps) if steps else math.nan
