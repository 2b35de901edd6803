"""A meter that replays recorded windows or a trace of power.

It is for tests of programs that measure, on machines without a GPU; its readings have the method
`replay`.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from naslib_ecnas.energy.meter import Edge, Meter, OpenWindow
from naslib_ecnas.energy.readings import CpuState, Reading, Window, invalid
from naslib_ecnas.errors import ConfigError, floats


class ReplayMeter(Meter):
    """A meter without hardware that has the real meter's interface.

    ```python
    meter = ReplayMeter(windows)                       # by name, in the order of recording
    meter = ReplayMeter.of_trace([0, 60], [100, 300])  # power in W at seconds from now
    ```

    A window that was not recorded, or that lies outside the trace, is invalid.

    Args:
        windows: recorded windows, such as another meter's `windows`. Their times and energies are
            replayed; path, index and parent are those of this run.
    """

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        super().__init__()
        self._recorded: defaultdict[str, deque[Window]] = defaultdict(deque)
        for window in sorted(windows, key=lambda w: w.index):
            self._recorded[window.name].append(window)
        self._replayed: dict[int, Window] = {}
        self._reading: Callable[[float, float], Reading] | None = None

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
        meter, times = cls(), times + clock()
        meter._clock = clock

        def reading(started: float, stopped: float) -> Reading:
            """The uncertainty is 0, since the trace is taken as exact."""
            if started < times[0] or stopped > times[-1]:
                text = f"the trace has a length of {times[-1] - times[0]:.3f} s"
                return invalid("outside-trace", text, method="replay")
            inside = times[(started < times) & (times < stopped)]
            grid = np.concatenate([[started], inside, [stopped]])
            along = np.interp(grid, times, powers)
            energy = float(np.sum(0.5 * (along[1:] + along[:-1]) * np.diff(grid)))
            if not math.isfinite(energy):
                text = "the trace contains an infinite power"
                return invalid("not-a-number", text, method="replay")
            return Reading(energy_j=energy, method="replay", uncertainty_j=0.0)

        meter._reading = reading
        return meter

    def _edge(self, span: OpenWindow) -> Edge:
        # Taken at the start, so that windows of one name nest in the order of recording.
        recorded = self._recorded.get(span.name)
        if span.start is None and recorded:
            self._replayed[span.index] = recorded.popleft()
        return super()._edge(span)

    def _fields(self, span: OpenWindow, start: Edge, stop: Edge) -> dict[str, Any]:
        recorded = self._replayed.pop(span.index, None)
        if recorded is not None:
            fields = dict(vars(recorded))
            for kind in ("energy_j", "cpu_energy_j", "dram_energy_j"):  # not to look measured
                readings: Mapping[str, Reading] = fields[kind]
                fields[kind] = {k: replace(r, method="replay") for k, r in readings.items()}
            return fields
        if self._reading is not None:
            reading = self._reading(start.time, stop.time)
        else:
            text = f"no more windows named {span.name}"
            reading = invalid("not-recorded", text, method="replay")
        return {"energy_j": {"replayed": reading}, "cpu_state": CpuState("off", "a replay")}
