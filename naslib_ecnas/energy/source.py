"""The energy of one GPU: which sensor it has, its samples, and its reading over a window."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from naslib_ecnas.energy.devices import Chosen
from naslib_ecnas.energy.faults import GpuLost, MeterError, SharedGpu, Unsupported
from naslib_ecnas.energy.judge import agreement, counter_reading, power_reading, skew_s
from naslib_ecnas.energy.nvml import Gpu, Nvml
from naslib_ecnas.energy.period import update_period_s
from naslib_ecnas.energy.reading import GpuState, Reading, invalid
from naslib_ecnas.energy.track import CounterPoint, CounterTrack, PowerPoint, PowerTrack

__all__ = ["GpuPoint", "GpuSource"]

_POWER_POLL_S = 0.3  # a steady power shows no refreshes, however long one looks
_ABOVE_LIMIT = 1.2  # a mean power above the limit by more than the board's own error


@dataclass(frozen=True)
class GpuPoint:
    """A GPU's running sums at one moment."""

    counter: CounterPoint | None
    power: PowerPoint | None


class GpuSource:
    """One GPU's best sensor.

    The counter of total energy comes first, then power of the moment, then average power, each
    found by calling it: what a model should have and what its driver answers are two things. A
    power sensor beside a counter is integrated too, as a check.

    Args:
        poll_seconds: how long to watch the counter for its refresh period.
        sample_period_s: how often `sample` will be called.
        shared: `refuse` or `flag` a GPU that is divided or used by others.

    Attributes:
        method: which sensor, one of `reading.METHODS`.
        period_s: the sensor's refresh period; NaN where it could not be seen.
        notes: why better sensors are not used.

    Raises:
        Unsupported: the GPU has none of these sensors.
        GpuLost: the GPU is gone.
        SharedGpu: it is shared and that is to be refused.
    """

    def __init__(
        self,
        nvml: Nvml,
        chosen: Chosen,
        *,
        poll_seconds: float,
        sample_period_s: float,
        shared: str,
    ) -> None:
        self.gpu: Gpu = chosen.gpu
        self.notes: tuple[str, ...] = ()
        self._nvml = nvml
        self._refuse = shared == "refuse"
        self._divided = bool(chosen.mig) or chosen.gpu.mig
        if self._refuse:
            self._refuse_shared(chosen)
        self._counter: CounterTrack | None = None
        self._power: PowerTrack | None = None
        self._power_method, self._read_power = self._find_power()
        self._power_period_s = math.nan
        self.method, self.period_s = "counter", self._find_counter(poll_seconds)
        if math.isfinite(self.period_s):
            self._counter = CounterTrack()
        elif self._power_method != "none":
            self._power_period_s = update_period_s(
                self._read_power, seconds=min(_POWER_POLL_S, poll_seconds)
            )
            self.period_s = self._power_period_s
        if self._power_method != "none":
            self._power = PowerTrack(max_gap_s=max(1.0, 5 * sample_period_s))
        if self._counter is None:
            self.method = self._power_method
        if self.method == "none":
            raise Unsupported(
                f"{self.gpu.name} ({self.gpu.uuid}) has no sensor of energy or power",
                value="; ".join(self.notes),
                expected="a counter of energy (Volta or newer) or a power sensor",
                remedy="measure on another GPU, or give devices=() to measure the CPU alone",
            )

    def _refuse_shared(self, chosen: Chosen) -> None:
        if self._divided:
            raise SharedGpu(
                "the GPU is divided into MIG instances, and its sensors count all of them",
                value=chosen.mig or chosen.gpu.uuid,
                remedy="train on an undivided GPU, or give shared='flag' and read with care",
            )
        try:
            others = self._nvml.others(chosen.gpu)
        except GpuLost:
            raise
        except MeterError:  # the driver does not tell; the windows' states say so
            return
        if others:
            raise SharedGpu(
                "other processes use this GPU, and its sensors count them too",
                value=[process.pid for process in others],
                remedy="wait for a free GPU, or give shared='flag' and read with care",
            )

    def _find_power(self) -> tuple[str, Callable[[], float]]:
        for method, read in (
            ("instant-power", self._nvml.instant_power_w),
            ("average-power", self._nvml.average_power_w),
        ):
            try:
                read(self.gpu)
            except GpuLost:
                raise
            except MeterError as error:
                self.notes += (f"{method}: {error.what}",)
            else:
                return method, lambda read=read: read(self.gpu)
        return "none", lambda: math.nan

    def _find_counter(self, poll_seconds: float) -> float:
        try:
            period = update_period_s(
                lambda: self._nvml.total_energy_j(self.gpu), seconds=poll_seconds
            )
        except GpuLost:
            raise
        except MeterError as error:
            self.notes += (f"counter: {error.what}",)
            return math.nan
        if math.isnan(period):
            self.notes += (f"counter: it did not move twice in {poll_seconds:g} s",)
        return period

    def sample(self) -> None:
        """Read the sensors once; their faults are counted, not raised."""
        if self._counter is not None:
            self._read(self._counter, lambda: self._nvml.total_energy_j(self.gpu))
        if self._power is not None:
            self._read(self._power, self._read_power)

    def _read(self, track: CounterTrack | PowerTrack, read: Callable[[], float]) -> None:
        before = time.monotonic()
        try:
            value = read()
        except MeterError as error:
            track.fail(before, error.reason, error.what)
            return
        track.push(0.5 * (before + time.monotonic()), value)

    def point(self) -> GpuPoint:
        """Read the sensors and give the sums: the edge of a window."""
        self.sample()
        now = time.monotonic()
        return GpuPoint(
            None if self._counter is None else self._counter.point(now),
            None if self._power is None else self._power.point(now),
        )

    def state(self) -> GpuState:
        """Clocks, temperature and the like at this moment."""
        return self._nvml.state(self.gpu)

    def reading(
        self,
        start: GpuPoint,
        stop: GpuPoint,
        *,
        edges: tuple[float, float],
        states: tuple[GpuState | None, GpuState | None],
    ) -> Reading:
        """The energy between two points, judged.

        Args:
            edges: the window's times, which the points lie close to.
            states: the GPU's at the edges, where known.
        """
        integral: Reading | None = None
        if start.power is not None and stop.power is not None:
            integral = power_reading(
                start.power,
                stop.power,
                method=self._power_method,
                period_s=self._power_period_s,
                skew_s=skew_s(start.power, stop.power, edges),
                states=states,
            )
        if start.counter is not None and stop.counter is not None:
            points = (start.power, stop.power)
            reading = counter_reading(
                start.counter,
                stop.counter,
                period_s=self.period_s,
                edge_power_w=[point.power_w for point in points if point is not None],
                skew_s=skew_s(start.counter, stop.counter, edges),
                states=states,
            )
            if integral is not None:
                reading = _compared(reading, integral)
            times = start.counter.time, stop.counter.time
        elif integral is not None and start.power is not None and stop.power is not None:
            reading, times = integral, (start.power.time, stop.power.time)
        else:  # a source without sensors does not exist
            return invalid("unsupported", "no sensor", method="none")
        return self._with_flags(reading, times[1] - times[0])

    def _with_flags(self, reading: Reading, seconds: float) -> Reading:
        flags = list(reading.flags)
        states = [state for state in (reading.start, reading.stop) if state is not None]
        pids = sorted({p.pid for state in states for p in state.others or ()})
        if pids and self._refuse:
            return invalid(
                "shared",
                f"other processes used the GPU: {pids}",
                method=reading.method,
                update_period_s=reading.update_period_s,
                start=reading.start,
                stop=reading.stop,
            )
        if pids or self._divided:
            flags.append("shared")
        limits = [state.power_limit_w for state in states if math.isfinite(state.power_limit_w)]
        if limits and reading.energy_j - reading.uncertainty_j > (
            _ABOVE_LIMIT * max(limits) * seconds
        ):
            flags.append("above-power-limit")
        return replace(reading, flags=tuple(flags))


def _compared(counter: Reading, integral: Reading) -> Reading:
    verdict = agreement(counter, integral)
    flags = counter.flags + (("counter-against-power",) if verdict == "apart" else ())
    return replace(counter, integral_j=integral.energy_j, agreement=verdict, flags=flags)
