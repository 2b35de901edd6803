"""Meters: named, nested windows that measure the energy of a block of code."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from naslib_ecnas.energy.nvml import MeterError, MeterFailed
from naslib_ecnas.energy.rapl import POWERCAP
from naslib_ecnas.energy.readings import (
    Baseline,
    CpuState,
    GpuState,
    PartsCheck,
    Window,
    check_name,
    check_parts,
    invalid,
)
from naslib_ecnas.energy.sensors import Edge, Sensors, SensorThread
from naslib_ecnas.errors import ConfigError, check_numbers

__all__ = ["EnergyMeter", "Meter", "NullMeter", "OpenWindow", "Span", "WindowMeter"]

#: What to do with a GPU that is divided or used by others.
_SHARED = ("refuse", "flag")


# -- what every meter offers ---------------------------------------------------------------------


class OpenWindow(Protocol):
    """What `with meter.window(name) as w` binds."""

    @property
    def name(self) -> str:
        """The window's name."""
        ...

    @property
    def index(self) -> int:
        """The window's number in the order of opening; known at once."""
        ...

    @property
    def window(self) -> Window:
        """The measurement, once the block has ended.

        Raises:
            ConfigError: the window is still open.
        """
        ...


@runtime_checkable
class Meter(Protocol):
    """Windows of energy. A window never raises for a fault of a sensor."""

    def window(self, name: str) -> AbstractContextManager[OpenWindow]:
        """A context manager that measures its block; windows nest."""
        ...

    @property
    def windows(self) -> tuple[Window, ...]:
        """The finished windows, in the order of ending."""
        ...

    def close(self) -> None:
        """Stop measuring; a second call does nothing."""
        ...


class Span:
    """An open window of a `WindowMeter`; see `OpenWindow`."""

    def __init__(self, meter: WindowMeter, name: str) -> None:
        self.name: str = name
        self.path: str = name
        self.index: int = -1
        self.parent: int | None = None
        self.begun: Any = None
        self.result: Window | None = None
        self._meter = meter

    def __enter__(self) -> Span:
        self._meter._enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._meter._exit(self, "" if kind is None else kind.__name__)

    @property
    def identity(self) -> dict[str, Any]:
        """The fields of its `Window` that say which one it is."""
        return {"name": self.name, "path": self.path, "index": self.index, "parent": self.parent}

    @property
    def window(self) -> Window:
        """The measurement, once the block has ended.

        Raises:
            ConfigError: the window is still open.
        """
        if self.result is None:
            raise ConfigError("the window is still open: its block must end first", value=self.path)
        return self.result


class WindowMeter:
    """Base of the meters: numbers the windows and knows which one encloses which."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: list[Span] = []
        self._done: list[Window] = []
        self._count = 0

    def window(self, name: str) -> Span:
        """A context manager that measures its block; windows nest.

        Raises:
            ConfigError: the name is empty or contains a slash.
        """
        return Span(self, check_name(name))

    @property
    def windows(self) -> tuple[Window, ...]:
        """The finished windows, in the order of ending."""
        with self._lock:
            return tuple(self._done)

    def _enter(self, span: Span) -> None:
        if span.index >= 0:
            raise ConfigError("a window measures one block only", value=span.path)
        with self._lock:
            span.index = self._count
            self._count += 1
            if self._open:
                above = self._open[-1]
                span.parent, span.path = above.index, f"{above.path}/{span.name}"
            self._open.append(span)
        try:
            span.begun = self._begin(span)
        except BaseException:  # an interrupt: a window that never began encloses nothing
            self._forget(span)
            raise

    def _exit(self, span: Span, error: str) -> None:
        if span.result is not None:  # the meter was closed before its window
            return
        try:
            window = self._end(span, error)
            with self._lock:
                if span.result is None:
                    self._keep(span, window)
        finally:
            self._forget(span)

    def _keep(self, span: Span, window: Window) -> None:
        span.result = window
        self._done.append(window)
        self._forget(span)

    def _forget(self, span: Span) -> None:
        with self._lock:
            if span in self._open:
                self._open.remove(span)

    def _begin(self, span: Span) -> Any:
        """What to remember of a window's start."""
        raise NotImplementedError

    def _end(self, span: Span, error: str) -> Window:
        """The measurement, from what `_begin` returned."""
        raise NotImplementedError


class NullMeter(WindowMeter):
    """A meter without sensors: windows with their times only.

    The one reading of each window has the device `unmeasured` and the energy NaN, not 0.
    """

    def __enter__(self) -> NullMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing."""

    def _begin(self, span: Span) -> tuple[float, float]:
        return time.monotonic(), time.time()

    def _end(self, span: Span, error: str) -> Window:
        started, started_unix = span.begun
        why = "this meter has no sensors"
        return Window(
            **span.identity,
            started=started,
            stopped=time.monotonic(),
            started_unix=started_unix,
            stopped_unix=time.time(),
            energy_j={"unmeasured": invalid("unmeasured", why, method="unmeasured")},
            cpu_state=CpuState("off", why),
            error=error,
        )


# -- the meter with sensors ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Begun:
    """A window's start."""

    edge: Edge
    states: Mapping[str, GpuState]
    failures: int
    """How often sampling had failed by then."""


class EnergyMeter(WindowMeter):
    """Measures named, nested windows.

    ```python
    with EnergyMeter(devices=["cuda:0"], sync=torch.cuda.synchronize) as meter:
        with meter.window("total"), meter.window("train"):
            train()
    meter.windows[0].gpu_total_j
    ```

    Opening raises typed errors, so that a training that cannot be measured does not begin. A
    window never raises: if a sensor fails its reading is invalid, with the reason.

    Args:
        devices: the training's GPUs: torch's indices, UUIDs, beginnings of UUIDs, or MIG names (see
            `nvml.resolve`); `()` for the CPU alone. GPUs named twice are measured once.
        sync: called before both edges of every window, and nowhere else, so that work still
            queued on a GPU is counted in the window that queued it.
        sample_hz: how often power and counters are sampled in the background.
        shared: what to do with a GPU that is divided (MIG) or used by other processes: `refuse`
            raises, and invalidates a window during which another process came; `flag` measures all
            of it and flags the reading.
        cpu: whether to measure CPU packages and memory; `cpu_state` says whether it succeeded.
        poll_seconds: how long, at most, to watch a GPU's counter for its refresh period.
        patience_s: how long an edge waits for the sensors at most.
        rapl_root, lock_folder: see `rapl.Rapl`.
        environ: environment of the training, if that is another process than this one.
        clock, sleep: time, in s; for tests.

    Attributes:
        methods: GPU UUID -> how its energy is measured.
        periods_s: GPU UUID -> refresh period of its sensor, NaN if it could not be seen.
        notes: GPU UUID -> why better sensors are not used.
        cpu_state: whether the CPU is measured.

    Raises:
        ConfigError: an argument is out of range.
        MissingDependencyError, NvmlUnavailable, UnknownDevice, SharedGpu, Unsupported, GpuLost: the
            GPUs asked for cannot be measured.
    """

    def __init__(
        self,
        *,
        devices: Sequence[int | str] = (0,),
        sync: Callable[[], object] | None = None,
        sample_hz: float = 10.0,
        shared: str = "refuse",
        cpu: bool = True,
        poll_seconds: float = 1.0,
        patience_s: float = 5.0,
        rapl_root: str | os.PathLike[str] = POWERCAP,
        lock_folder: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__()
        _check_arguments(devices, sample_hz, shared, poll_seconds, patience_s)
        self._sync = sync
        self._patience_s = patience_s
        self._clock, self._sleep = clock, sleep
        self._pid = os.getpid()
        self._sensors = Sensors(
            devices=devices,
            cpu=cpu,
            environ=environ,
            sample_period_s=1 / sample_hz,
            poll_seconds=poll_seconds,
            shared=shared,
            rapl_root=rapl_root,
            lock_folder=lock_folder,
            clock=clock,
            sleep=sleep,
        )
        # The thread references the sensors, not the meter, so that a dropped meter is finalized.
        self._thread = SensorThread(self._sensors.sample, period_s=1 / sample_hz, clock=clock)
        self._shut = weakref.finalize(self, _shut, self._thread, self._sensors)
        sources = self._sensors.sources
        self.cpu_state: CpuState = self._sensors.cpu_state
        self.methods: dict[str, str] = {uuid: source.method for uuid, source in sources.items()}
        self.periods_s: dict[str, float] = {
            uuid: source.period_s for uuid, source in sources.items()
        }
        self.notes: dict[str, tuple[str, ...]] = {
            uuid: source.notes for uuid, source in sources.items()
        }

    def __enter__(self) -> EnergyMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread and release the sensors; a second call does nothing.

        Windows still open become invalid with the reason `unfinished`.
        """
        if os.getpid() != self._pid:  # a forked child has neither the thread nor the windows
            return
        with self._lock:
            begun = [span for span in self._open if span.begun is not None]
            for span in reversed(begun):
                edge = self._fault("unfinished", "the meter was closed in this window")
                self._keep(span, self._measured(span, edge, {}, ""))
        self._shut()

    def baseline(self, seconds: float) -> Baseline:
        """Measure the power at rest: a window named `baseline` during which the caller sleeps.

        Raises:
            ConfigError: the duration is not above 0.
        """
        check_numbers("a baseline", above=0, seconds=seconds)
        with self.window("baseline") as span:
            self._sleep(seconds)
        return Baseline.of(span.window)

    def check_parts(self, window: Window) -> tuple[PartsCheck, ...]:
        """Whether the windows inside this one add up to it; see `readings.check_parts`."""
        return check_parts(window, self.windows)

    def _begin(self, span: Span) -> _Begun:
        # The states first: querying them takes milliseconds, which would fall into the window.
        states = self._states()
        return _Begun(self._edge(), states, self._thread.failures)

    def _end(self, span: Span, error: str) -> Window:
        edge = self._edge()
        return self._measured(span, edge, self._states(), error)

    def _states(self) -> dict[str, GpuState]:
        try:
            return self._thread.ask(self._sensors.states, timeout_s=self._patience_s)
        except MeterFailed:  # the edge beside it fails alike and says so
            return {}

    def _edge(self) -> Edge:
        if self._sync is not None:
            try:
                self._sync()
            except Exception as error:  # noqa: BLE001 - the training itself meets the device's error
                return self._fault("sync-failed", f"{type(error).__name__}: {error}")
        try:
            return self._thread.ask(self._sensors.edge, timeout_s=self._patience_s)
        except MeterError as error:
            return self._fault(error.reason, str(error))

    def _fault(self, reason: str, detail: str) -> Edge:
        return Edge(self._clock(), time.time(), reason=reason, detail=detail)

    def _measured(
        self, span: Span, stop: Edge, stop_states: Mapping[str, GpuState], error: str
    ) -> Window:
        begun: _Begun = span.begun
        start = begun.edge
        fault = next(
            ((edge.reason, edge.detail) for edge in (start, stop) if edge.reason), ("", "")
        )
        if not fault[0] and begun.failures != self._thread.failures:
            fault = "meter-failed", f"sampling failed in between: {self._thread.failure}"
        gpus, cpus, drams = self._sensors.readings(start, stop, (begun.states, stop_states), fault)
        return Window(
            **span.identity,
            started=start.time,
            stopped=stop.time,
            started_unix=start.unix,
            stopped_unix=stop.unix,
            energy_j=gpus,
            cpu_energy_j=cpus,
            dram_energy_j=drams,
            cpu_state=self.cpu_state,
            error=error,
        )


def _shut(thread: SensorThread, sensors: Sensors) -> None:
    """Called at closing, at the end of the process, or when the meter is garbage-collected."""
    if thread.close():  # a driver that hangs must not hang the end of the process as well
        sensors.close()


def _check_arguments(
    devices: object, sample_hz: float, shared: str, poll_seconds: float, patience_s: float
) -> None:
    if isinstance(devices, (str, int)):
        raise ConfigError("devices must be a list such as [0] or ['cuda:0']", value=devices)
    if shared not in _SHARED:
        raise ConfigError(f"shared must be {' or '.join(_SHARED)}", value=shared)
    check_numbers(above=0, most=1000, sample_hz=sample_hz)
    check_numbers(above=0, most=60, poll_seconds=poll_seconds)
    check_numbers(above=0, most=3600, patience_s=patience_s)
