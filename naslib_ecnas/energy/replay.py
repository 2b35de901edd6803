"""A meter that replays a trace of power.

It is for tests of programs that measure, on machines without a GPU; its readings have the method
`replay`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from naslib_ecnas.energy.meter import Meter
from naslib_ecnas.energy.readings import CpuState, Reading, invalid
from naslib_ecnas.energy.sensors import Edge
from naslib_ecnas.errors import ConfigError, floats


class ReplayMeter(Meter):
    """A meter without hardware that has the real meter's interface; see `of_trace`.

    ```python
    meter = ReplayMeter.of_trace([0, 60], [100, 300])  # power in W at seconds from now
    ```

    A window that lies outside the trace is invalid.
    """

    _times = _powers = np.zeros(1)

    @classmethod
    def of_trace(
        cls, times_s: ArrayLike, powers_w: ArrayLike, *, clock: Callable[[], float] = time.monotonic
    ) -> ReplayMeter:
        """A meter that integrates a trace of power.

        Args:
            times_s: (n,) ascending times in s since this call.
            powers_w: (n,) power in W at each, interpolated linearly in between.
            clock: time in s; for tests.

        Raises:
            ConfigError: times or powers are not as above.
        """
        times, powers = floats(times_s), floats(powers_w)
        good = times.ndim == 1 and times.shape == powers.shape and times.size >= 2
        if not good or not (np.diff(times) > 0).all() or not (powers >= 0).all():
            text = "a trace of power needs two or more ascending times, and a power of at least 0 W"
            raise ConfigError(f"{text} at each", value=(times.shape, powers.shape))
        meter = cls(clock)
        meter._times, meter._powers = times + clock(), powers
        return meter

    def _fields(self, start: Edge, stop: Edge) -> dict[str, Any]:
        reading = self._reading(start.time, stop.time)
        return {"energy_j": {"replayed": reading}, "cpu_state": CpuState("off", "a replay")}

    def _reading(self, started: float, stopped: float) -> Reading:
        """The uncertainty is 0, since the trace is taken as exact."""
        times = self._times
        if started < times[0] or stopped > times[-1]:
            text = f"the trace has a length of {times[-1] - times[0]:.3f} s"
            return invalid("outside-trace", text, method="replay")
        inside = times[(started < times) & (times < stopped)]
        grid = np.concatenate([[started], inside, [stopped]])
        along = np.interp(grid, times, self._powers)
        energy = float(np.sum(0.5 * (along[1:] + along[:-1]) * np.diff(grid)))
        if not math.isfinite(energy):
            text = "the trace contains an infinite power"
            return invalid("not-a-number", text, method="replay")
        return Reading(energy_j=energy, method="replay", uncertainty_j=0.0)
