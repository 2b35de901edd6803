"""Meters: named, nested windows that measure the energy of a block of code."""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

from naslib_ecnas.energy.nvml import Nvml, gpu_source, torch_in_use
from naslib_ecnas.energy.rapl import cpu_sources
from naslib_ecnas.energy.readings import Baseline, CpuState, GpuSetup, GpuState, Window, invalid
from naslib_ecnas.energy.sensors import SHARED, Edge, MeterFailed, Point, Source
from naslib_ecnas.errors import ConfigError, check_choice, check_numbers

_T = TypeVar("_T")
_Meter = TypeVar("_Meter", bound="Meter")


# -- what every meter offers ---------------------------------------------------------------------


@dataclass(eq=False)
class OpenWindow:
    """What `with meter.window(name) as w` binds."""

    meter: Meter = field(repr=False)
    name: str
    path: str = ""
    index: int = -1
    """The window's number in the order of opening; known at once."""
    parent: int | None = None
    start: Edge | None = None
    result: Window | None = None

    def __enter__(self) -> OpenWindow:
        self.meter._enter(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.meter._exit(self, "" if kind is None else kind.__name__)

    @property
    def window(self) -> Window:
        """The measurement, once the block has ended; before that, a ConfigError."""
        if self.result is None:
            raise ConfigError("the window is still open: its block must end first", value=self.path)
        return self.result


class Meter(ABC):
    """Base of all meters: numbers the windows, times them and knows which one encloses which.

    A window never raises for a fault of a sensor.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._open: list[OpenWindow] = []
        self._done: list[Window] = []
        self._numbers = count()

    def __enter__(self: _Meter) -> _Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027 - a meter without sensors has nothing to close
        """Stop measuring; a second call does nothing."""

    def window(self, name: str) -> OpenWindow:
        """A context manager that measures its block; windows nest.

        A name that is not a text, is empty, or contains a slash raises a ConfigError.
        """
        if not isinstance(name, str) or not name or "/" in name:  # a slash separates paths
            raise ConfigError("the name of a window must be a text without a slash", value=name)
        return OpenWindow(self, name)

    def begin(self, name: str) -> OpenWindow:
        """Open a window that `end` closes, where a `with` does not fit, as in callbacks."""
        span = self.window(name)
        span.__enter__()
        return span

    def end(self, name: str, *, error: str = "") -> Window:
        """Close the last open window of this name, and return it.

        Windows that began in it and are still open, for example after an exception, end with it.
        If no window of this name is open, a ConfigError is raised. `error` is the type of the
        exception that ended them, if one did.
        """
        with self._lock:
            names = [span.name for span in self._open]
            if name not in names:
                raise ConfigError(f"end needs an open window, of {names}", value=name)
            first = len(names) - 1 - names[::-1].index(name)
            spans = self._open[first:]
        for span in reversed(spans):
            self._exit(span, error)
        return spans[0].window

    @property
    def windows(self) -> tuple[Window, ...]:
        """The finished windows, in the order of ending."""
        with self._lock:
            return tuple(self._done)

    def _enter(self, span: OpenWindow) -> None:
        if span.path:
            raise ConfigError("a window measures one block only", value=span.path)
        with self._lock:
            span.path, span.index = span.name, next(self._numbers)
            if self._open:
                above = self._open[-1]
                span.path, span.parent = f"{above.path}/{span.name}", above.index
            self._open.append(span)
        try:
            span.start = self._edge(first=True)
        except BaseException:  # an interrupt: a window that never began encloses nothing
            self._forget(span)
            raise

    def _exit(self, span: OpenWindow, error: str) -> None:
        try:
            if span.result is None:  # else the meter was closed before its window
                self._finish(span, self._edge(first=False), error)
        finally:
            self._forget(span)

    def _finish(self, span: OpenWindow, stop: Edge, error: str = "") -> None:
        start = span.start or stop
        place = span.name, span.path, span.index, span.parent
        times = start.time, stop.time, start.unix, stop.unix
        window = Window(*place, *times, error=error, **self._fields(start, stop))
        with self._lock:
            if span.result is None:
                span.result = window
                self._done.append(window)

    def _forget(self, span: OpenWindow) -> None:
        with self._lock, suppress(ValueError):
            self._open.remove(span)

    def _edge(self, *, first: bool) -> Edge:
        """The edge of a window that is now, the first or the last."""
        return Edge(self._clock(), time.time())

    @abstractmethod
    def _fields(self, start: Edge, stop: Edge) -> dict[str, Any]:
        """The fields of a `Window` with its readings."""


class NullMeter(Meter):
    """A meter without sensors: each window has one reading, `unmeasured`, of NaN and not of 0."""

    def _fields(self, start: Edge, stop: Edge) -> dict[str, Any]:
        why = "this meter has no sensors"
        reading = invalid("unmeasured", why, method="unmeasured")
        return {"energy_j": {"unmeasured": reading}, "cpu_state": CpuState("off", why)}


# -- the meter with sensors ----------------------------------------------------------------------


def synchronise() -> None:
    """Wait for the work of this process on the GPUs on which torch holds memory.

    A GPU that torch does not use is left alone: waiting for it would create a context on it.
    """
    torch = torch_in_use()
    for index in range(torch.cuda.device_count() if torch else 0):
        if torch.cuda.memory_reserved(index):
            torch.cuda.synchronize(index)


class EnergyMeter(Meter):
    """Measures named, nested windows.

    ```python
    with EnergyMeter(devices=["cuda:0"]) as meter:
        with meter.window("total"), meter.window("train"):
            train()
    meter.windows[0].gpu_total_j
    ```

    Opening raises typed errors, so that a training that cannot be measured does not begin. A
    window never raises: if a sensor fails its reading is invalid, with the reason.

    Args:
        devices: the training's GPUs: torch's indices, UUIDs, beginnings of UUIDs, or MIG names (see
            `Nvml.resolve`); `()` for the CPU alone. GPUs named twice are measured once.
        sync: called before both edges of every window, and nowhere else, so that work still
            queued on a GPU is counted in the window that queued it. By default it waits for the
            GPUs on which torch holds memory in this process; None waits for nothing.
        sample_hz: how often power and counters are sampled in the background.
        shared: what to do with a GPU that is divided (MIG) or used by other processes: `refuse`
            raises, and invalidates a window during which another process came; `flag` measures all
            of it and flags the reading; `graphics` flags processes that only draw, such as a
            display server, and refuses the rest.
        cpu: whether to measure CPU packages and memory; `cpu_state` says whether it succeeded.
        poll_seconds: how long, at most, to watch a GPU's counter for its refresh period.
        patience_s: how long an edge waits for the sensors at most.
        clock, sleep: time, in s; for tests.

    Attributes:
        methods: GPU UUID -> how its energy is measured.
        periods_s: GPU UUID -> refresh period of its sensor, NaN if it could not be seen.
        notes: GPU UUID -> why better sensors are not used.
        setups: GPU UUID -> driver, error correction, power limits and the like.
        cpu_state: whether the CPU is measured.

    Raises:
        ConfigError: an argument is out of range.
        MissingDependencyError, MeterError: the GPUs asked for cannot be measured.
    """

    def __init__(
        self,
        *,
        devices: Sequence[int | str] = (0,),
        sync: Callable[[], object] | None = synchronise,
        sample_hz: float = 10.0,
        shared: str = "graphics",
        cpu: bool = True,
        poll_seconds: float = 1.0,
        patience_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(clock)
        if isinstance(devices, (str, int)):
            raise ConfigError("devices must be a list such as [0] or ['cuda:0']", value=devices)
        check_choice(SHARED, shared=shared)
        check_numbers(above=0, most=1000, sample_hz=sample_hz)
        check_numbers(above=0, most=60, poll_seconds=poll_seconds)
        check_numbers(above=0, most=3600, patience_s=patience_s)
        self._sync, self._patience_s, self._sleep = sync, patience_s, sleep
        self.cpu_state: CpuState = CpuState("off", "not asked for")
        self.setups: dict[str, GpuSetup] = {}
        gpus, cpus = dict[str, Source](), dict[str, Source]()
        with ExitStack() as opened:  # releases what is open if the rest fails
            if devices:
                nvml = opened.enter_context(closing(Nvml()))
                chosen = {gpu.uuid: gpu for gpu in map(nvml.resolve, devices)}  # each once
                self.setups = {uuid: nvml.setup(gpu) for uuid, gpu in chosen.items()}
                how: dict[str, Any] = {"shared": shared, "clock": clock, "sleep": sleep}
                how |= {"poll_seconds": poll_seconds, "sample_period_s": 1 / sample_hz}
                gpus = {uuid: gpu_source(nvml, gpu, **how) for uuid, gpu in chosen.items()}
            if cpu:
                self.cpu_state, cpus = cpu_sources(opened)
            self._sources = {**gpus, **cpus}
            # The thread references the sensors, not the meter: a dropped meter is finalized.
            self._thread = SensorThread(self._sources, opened, period_s=1 / sample_hz, clock=clock)
            self._shut = weakref.finalize(self, self._thread.close)
        self.methods: dict[str, str] = {uuid: gpu.sensors[0].method for uuid, gpu in gpus.items()}
        self.periods_s: dict[str, float] = {u: gpu.sensors[0].period_s for u, gpu in gpus.items()}
        self.notes: dict[str, tuple[str, ...]] = {uuid: gpu.notes for uuid, gpu in gpus.items()}

    def close(self) -> None:
        """Release the sensors; windows still open become invalid, with the reason `unfinished`."""
        # In a forked child the lock may be held for ever, and there is nothing to close.
        if os.getpid() != self._thread.pid:
            return
        with self._lock:
            for span in reversed([span for span in self._open if span.start is not None]):
                self._finish(span, self._fault("unfinished", "the meter was closed in this window"))
                self._forget(span)
        self._shut()

    def baseline(self, seconds: float) -> Baseline:
        """Measure the power at rest in a window `baseline`, sleeping for `seconds`, above 0."""
        check_numbers("a baseline", above=0, seconds=seconds)
        with self.window("baseline") as span:
            self._sleep(seconds)
        return Baseline.of(span.window)

    def _edge(self, *, first: bool) -> Edge:
        if self._sync is not None:
            try:
                self._sync()
            except Exception as error:  # noqa: BLE001 - the training itself meets the device's error
                return self._fault("sync-failed", f"{type(error).__name__}: {error}")
        try:
            return self._thread.ask(partial(self._thread.edge, first), timeout_s=self._patience_s)
        except MeterFailed as error:
            return self._fault(error.reason, str(error))

    def _fault(self, reason: str, detail: str) -> Edge:
        return Edge(self._clock(), time.time(), reason=reason, detail=detail)

    def _fields(self, start: Edge, stop: Edge) -> dict[str, Any]:
        found: dict[str, Any] = {"energy_j": {}, "cpu_energy_j": {}, "dram_energy_j": {}}
        for name, source in self._sources.items():
            found[source.kind][name] = source.reading(name, start, stop)
        return {**found, "cpu_state": self.cpu_state}


# -- the thread ----------------------------------------------------------------------------------


class SensorThread:
    """A daemon thread that samples the sensors every `period_s` seconds and runs jobs in between.

    All sensors are queried in it. A driver that hangs then blocks the thread and not the training,
    which waits for an answer for a limited time; and no sensor is queried by two threads at once.
    `opened`, which the sensors need, is taken over and closed with the thread.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        opened: ExitStack,
        *,
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources, self._period_s, self._clock = sources, period_s, clock
        self._jobs = queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]()
        self._closed = False
        self._stuck: Future[Any] | None = None
        self.pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="ecnas-meter", daemon=True)
        self._thread.start()
        self._opened = opened.pop_all()

    def sample(self) -> dict[str, tuple[Point, ...]]:
        """Query every sensor once."""
        sources, clock = self._sources.items(), self._clock
        return {k: tuple(s.sample(clock) for s in source.sensors) for k, source in sources}

    def edge(self, first: bool) -> Edge:
        """Query all sensors at the first or the last edge of a window; a job for `ask`."""

        def states() -> dict[str, GpuState | None]:
            return {name: source.state() for name, source in self._sources.items()}

        # Querying the states takes milliseconds, which must not lie in the window.
        before = states() if first else {}
        now, unix, points = self._clock(), time.time(), self.sample()
        return Edge(now, unix, points, before if first else states())

    def ask(self, work: Callable[[], _T], *, timeout_s: float) -> _T:
        """The result of `work`, run in the thread.

        Raises:
            MeterFailed: it raised or took longer than `timeout_s`; or the thread has ended, or
                belongs to another process: a fork does not copy it.
        """
        if self._closed:
            raise MeterFailed("the meter was closed")
        if os.getpid() != self.pid:
            raise MeterFailed("the meter belongs to the process that this one was forked from")
        if self._stuck is not None and not self._stuck.done():  # the training waits only once
            raise MeterFailed("the sensors still have not answered an earlier query")
        job: Future[_T] = Future()
        self._jobs.put((job, work))
        if not wait([job], timeout_s).done:
            self._stuck = job
            raise MeterFailed(f"the sensors did not answer within {timeout_s:g} s")
        try:
            return job.result()
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            raise MeterFailed(f"reading the sensors failed: {text}") from error

    def close(self, *, timeout_s: float = 2.0) -> bool:
        """Stop the thread; returns whether it has stopped within `timeout_s`.

        It is called at closing, at the end of the process, or when the meter is garbage-collected.
        """
        if os.getpid() != self.pid:
            return False
        self._closed = True
        self._jobs.put(None)  # a second one is never read
        if threading.current_thread() is self._thread:  # the last reference was dropped in it
            return False
        self._thread.join(timeout_s)
        if self._thread.is_alive():  # a driver that hangs must not hang the end of the process too
            return False
        self._opened.close()
        return True

    def _run(self) -> None:
        due = self._clock()
        while True:
            if self._clock() >= due:
                with suppress(Exception):  # sensors count their own faults
                    self.sample()
                # After a pause of the machine the missed samples are not made up for.
                due = max(due + self._period_s, self._clock())
            try:
                job = self._jobs.get(timeout=max(due - self._clock(), 0.0))
            except queue.Empty:
                continue
            if job is None:
                return
            future, work = job
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - whatever a binding raises
                future.set_exception(error)
