"""The meter: windows of energy of a training's own GPUs, and of the node's CPU and memory."""

from __future__ import annotations

import math
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from naslib_ecnas.energy.nvml import (
    Chosen,
    GpuPoint,
    GpuSource,
    MeterError,
    MeterFailed,
    Nvml,
    resolve,
    torch_uuid,
)
from naslib_ecnas.energy.rapl import MAX_POWER_W, POWERCAP, UPDATE_PERIOD_S, Domain, Rapl
from naslib_ecnas.energy.readings import (
    Baseline,
    CounterPoint,
    CounterTrack,
    CpuState,
    GpuState,
    PartsCheck,
    Reading,
    Window,
    check_name,
    check_parts,
    counter_reading,
    invalid,
    skew_s,
)
from naslib_ecnas.errors import ConfigError

__all__ = [
    "Edge",
    "EnergyMeter",
    "Meter",
    "NullMeter",
    "OpenWindow",
    "Readings",
    "Sensors",
    "Span",
    "WindowMeter",
    "Worker",
]


# The nesting of windows, common to all meters.


class Span:
    """A window on its way; see `protocol.OpenWindow`."""

    def __init__(self, meter: WindowMeter, name: str) -> None:
        self.name = name
        self.path = name
        self.index = -1
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
    def window(self) -> Window:
        """The measurement, once the block has ended.

        Raises:
            ConfigError: the window is still open.
        """
        if self.result is None:
            raise ConfigError(
                "the window is still open",
                value=self.path,
                remedy="ask for its measurement after the with block",
            )
        return self.result


class WindowMeter:
    """Base of the meters: keeps windows, their numbers and who lies in whom."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: list[Span] = []
        self._done: list[Window] = []
        self._count = 0

    def window(self, name: str) -> Span:
        """A context manager that measures its block; windows nest.

        Raises:
            ConfigError: the name is empty or holds a slash.
        """
        return Span(self, check_name(name))

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows that have ended, in the order of ending."""
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
        except BaseException:  # an interrupt; a window that never began is nobody's parent
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
        """The measurement from what was remembered."""
        raise NotImplementedError


# The meter's one thread: it samples at a steady rate and answers questions in between.
#
# All sensors are read in this thread. A driver that hangs so keeps the thread, not the training,
# which waits for an answer for a limited time; and no sensor is read by two threads at once. The
# thread is a daemon: it ends with its process, however that ends.


_T = TypeVar("_T")


class _Job:
    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Any = None
        self.error = ""

    def run(self) -> None:
        try:
            self.result = self.work()
        except Exception as error:  # noqa: BLE001 - whatever a binding raises, the thread lives on
            self.error = f"{type(error).__name__}: {error}"
        self.done.set()


class Worker:
    """A thread that calls `sample` every `period_s` seconds and runs jobs.

    Attributes:
        failures: how often `sample` raised.
        failure: the last error's words.
    """

    def __init__(self, sample: Callable[[], None], *, period_s: float) -> None:
        self.failures = 0
        self.failure = ""
        self._sample = sample
        self._period_s = period_s
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._stuck: _Job | None = None
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="ecnas-meter", daemon=True)
        self._thread.start()

    def ask(self, work: Callable[[], _T], *, timeout_s: float) -> _T:
        """The result of `work`, run in the thread.

        Raises:
            MeterFailed: it raised or took longer than `timeout_s`; or the thread has ended, or is
                another process's: a fork does not copy it.
        """
        if self._closed or os.getpid() != self._pid:
            raise MeterFailed(
                "the meter was closed"
                if self._closed
                else "the meter belongs to the process that this one was forked from"
            )
        if self._stuck is not None and not self._stuck.done.is_set():
            # The training has waited for this thread once; it does not wait again.
            raise MeterFailed("the sensors still have not answered an earlier question")
        job = _Job(work)
        self._jobs.put(job)
        if not job.done.wait(timeout_s):
            self._stuck = job
            raise MeterFailed(f"the sensors did not answer within {timeout_s:g} s")
        if job.error:
            raise MeterFailed(f"reading the sensors failed: {job.error}")
        result: _T = job.result
        return result

    def close(self, *, timeout_s: float = 2.0) -> bool:
        """Stop the thread; whether it has stopped within `timeout_s`."""
        if os.getpid() != self._pid:
            return False
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        if threading.current_thread() is self._thread:  # the last reference was dropped in it
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            wait = due - time.monotonic()
            if wait <= 0:
                self._try_sample()
                # After a pause of the machine the missed samples are not made up for.
                due = max(due + self._period_s, time.monotonic())
                wait = due - time.monotonic()
            try:
                job = self._jobs.get(timeout=max(wait, 0.0))
            except queue.Empty:
                continue
            if job is None:
                return
            job.run()

    def _try_sample(self) -> None:
        try:
            self._sample()
        except Exception as error:  # noqa: BLE001 - see _Job.run
            self.failure = f"{type(error).__name__}: {error}"
            self.failures += 1


# All sensors of one meter, read together at the edges of windows.


Readings = tuple[dict[str, Reading], dict[str, Reading], dict[str, Reading]]


@dataclass(frozen=True)
class Edge:
    """All devices at one edge of a window; without points where the meter failed."""

    time: float
    unix: float
    gpus: Mapping[str, GpuPoint] = field(default_factory=dict)
    domains: Mapping[str, CounterPoint] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""


class Sensors:
    """GPUs by NVML and the CPU by RAPL.

    Args:
        devices: the training's GPUs, see `devices.resolve`.
        cpu: whether to read RAPL.
        environ: environment of the training, None for this process's own.
        sample_period_s, poll_seconds, shared: see `source.GpuSource`.
        rapl_root, lock_folder: see `rapl.Rapl`.

    Raises:
        MeterError, MissingDependencyError: the GPUs asked for cannot be measured.
    """

    def __init__(
        self,
        *,
        devices: Sequence[int | str],
        cpu: bool,
        environ: Mapping[str, str] | None,
        sample_period_s: float,
        poll_seconds: float,
        shared: str,
        rapl_root: str | os.PathLike[str],
        lock_folder: str | os.PathLike[str] | None,
    ) -> None:
        self.sources: dict[str, GpuSource] = {}
        self.cpu_state = CpuState("off", "not asked for")
        self._nvml: Nvml | None = None
        self._rapl: Rapl | None = None
        self._domains: dict[str, tuple[Domain, CounterTrack]] = {}
        try:
            if devices:
                self._nvml = Nvml()
                for chosen in _choose(devices, self._nvml, environ):
                    self.sources[chosen.gpu.uuid] = GpuSource(
                        self._nvml,
                        chosen,
                        poll_seconds=poll_seconds,
                        sample_period_s=sample_period_s,
                        shared=shared,
                    )
            if cpu:
                self._rapl = Rapl(root=rapl_root, environ=environ, lock_folder=lock_folder)
                self.cpu_state = self._rapl.state
                for domain in self._rapl.domains:
                    track = CounterTrack(wrap_j=domain.wrap_j, max_power_w=MAX_POWER_W)
                    self._domains[domain.name] = (domain, track)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let NVML and RAPL go; a second call does nothing."""
        if self._nvml is not None:
            self._nvml.close()
        if self._rapl is not None:
            self._rapl.close()

    def sample(self) -> None:
        """Read every sensor once; faults are counted, not raised."""
        for source in self.sources.values():
            source.sample()
        for domain, track in self._domains.values():
            _read(domain, track)

    def edge(self) -> Edge:
        """Read every sensor at the edge of a window."""
        now, unix = time.monotonic(), time.time()
        gpus = {uuid: source.point() for uuid, source in self.sources.items()}
        domains = {}
        for name, (domain, track) in self._domains.items():
            _read(domain, track)
            domains[name] = track.point(time.monotonic())
        return Edge(now, unix, gpus, domains)

    def states(self) -> dict[str, GpuState]:
        """Clocks, temperatures and the like of the GPUs."""
        return {uuid: source.state() for uuid, source in self.sources.items()}

    def readings(
        self,
        start: Edge,
        stop: Edge,
        states: tuple[Mapping[str, GpuState], Mapping[str, GpuState]],
        fault: tuple[str, str],
    ) -> Readings:
        """Readings of GPUs, CPU packages and memory between two edges.

        Args:
            states: those of the GPUs at the edges, as far as known.
            fault: reason and words of what spoils all of them; empty texts where nothing does.
        """
        edges = start.time, stop.time
        gpus: dict[str, Reading] = {}
        for uuid, source in self.sources.items():
            pair = states[0].get(uuid), states[1].get(uuid)
            gpus[uuid] = (
                invalid(
                    *fault,
                    method=source.method,
                    update_period_s=source.period_s,
                    start=pair[0],
                    stop=pair[1],
                )
                if fault[0]
                else source.reading(start.gpus[uuid], stop.gpus[uuid], edges=edges, states=pair)
            )
        cpus: dict[str, Reading] = {}
        drams: dict[str, Reading] = {}
        for name, (domain, _) in self._domains.items():
            (drams if domain.dram else cpus)[name] = (
                invalid(*fault, method="rapl", update_period_s=UPDATE_PERIOD_S)
                if fault[0]
                else counter_reading(
                    start.domains[name],
                    stop.domains[name],
                    period_s=UPDATE_PERIOD_S,
                    method="rapl",
                    skew_s=skew_s(start.domains[name], stop.domains[name], edges),
                )
            )
        return gpus, cpus, drams


def _read(domain: Domain, track: CounterTrack) -> None:
    before = time.monotonic()
    try:
        value = domain.read_j()
    except MeterError as error:
        track.fail(before, error.reason, error.what)
        return
    track.push(0.5 * (before + time.monotonic()), value)


def _choose(
    devices: Sequence[int | str], nvml: Nvml, environ: Mapping[str, str] | None
) -> list[Chosen]:
    """The GPUs asked for, each once."""
    gpus = nvml.gpus()
    chosen: dict[str, Chosen] = {}
    for device in devices:
        told = torch_uuid(device) if environ is None else None
        found = resolve(
            device,
            gpus,
            environ=environ,
            parent_of_mig=nvml.parent_of_mig,
            runtime_uuid=told,
        )
        chosen.setdefault(found.gpu.uuid, found)
    return list(chosen.values())


# What a training or a campaign may ask of a meter, whichever meter it is.


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
        """Measure a block; windows nest."""
        ...

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows that have ended, in the order of ending."""
        ...

    def close(self) -> None:
        """Stop measuring; a second call does nothing."""
        ...


SHARED = ("refuse", "flag")


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

    Opening raises typed faults, so that a training that cannot be measured does not begin; a
    window never does: where a sensor fails its reading is invalid, with the reason.

    Args:
        devices: the training's GPUs: torch's indices, UUIDs, their beginnings, or MIG names (see
            `devices.resolve`); `()` for the CPU alone. GPUs named twice are measured once.
        sync: called before both edges of every window, and nowhere else, so that work still
            queued on a GPU falls into the window that queued it.
        sample_hz: how often power and counters are sampled in the background.
        shared: what to do with a GPU that is divided (MIG) or used by other processes: `refuse`
            raises, and invalidates windows in which another process came; `flag` measures all of
            it and flags the reading.
        cpu: whether to measure CPU packages and memory; `cpu_state` says what came of it.
        poll_seconds: how long, at most, to watch a GPU's counter for its refresh period.
        patience_s: how long an edge waits for the sensors at most.
        rapl_root, lock_folder: see `rapl.Rapl`.
        environ: environment of the training, where it is another process than this.

    Attributes:
        methods: GPU UUID -> how its energy is measured.
        periods_s: GPU UUID -> refresh period of its sensor, NaN where it could not be seen.
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
    ) -> None:
        super().__init__()
        _check_arguments(devices, sample_hz, shared, poll_seconds, patience_s)
        self._sync = sync
        self._patience_s = patience_s
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
        )
        # The thread knows the sensors and not the meter: a meter that is forgotten is closed.
        self._worker = Worker(self._sensors.sample, period_s=1 / sample_hz)
        self._shut = weakref.finalize(self, _shut, self._worker, self._sensors)
        sources = self._sensors.sources
        self.cpu_state = self._sensors.cpu_state
        self.methods = {uuid: source.method for uuid, source in sources.items()}
        self.periods_s = {uuid: source.period_s for uuid, source in sources.items()}
        self.notes = {uuid: source.notes for uuid, source in sources.items()}

    def __enter__(self) -> EnergyMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread and let the sensors go; a second call does nothing.

        Windows still open become invalid with the reason `unfinished`.
        """
        if os.getpid() != self._pid:  # a forked child has neither the thread nor the windows
            return
        with self._lock:
            begun = [span for span in self._open if span.begun is not None]
            for span in reversed(begun):
                edge = _fault("unfinished", "the meter was closed in this window")
                self._keep(span, self._measured(span, edge, {}, ""))
        self._shut()

    def baseline(self, seconds: float) -> Baseline:
        """Measure a window named `baseline` while sleeping: what the machine uses at rest.

        Raises:
            ConfigError: the duration is not above 0.
        """
        if not (isinstance(seconds, (int, float)) and 0 < seconds < math.inf):
            raise ConfigError("no duration", value=seconds, expected="seconds above 0")
        with self.window("baseline") as span:
            time.sleep(seconds)
        return Baseline.of(span.window)

    def check_parts(self, window: Window) -> tuple[PartsCheck, ...]:
        """Whether the windows inside this one add up to it; see `parts.check_parts`."""
        return check_parts(window, self.windows)

    def _begin(self, span: Span) -> _Begun:
        # The states first: asking for them takes milliseconds that would fall into the window.
        states = self._states()
        return _Begun(self._edge(), states, self._worker.failures)

    def _end(self, span: Span, error: str) -> Window:
        edge = self._edge()
        return self._measured(span, edge, self._states(), error)

    def _states(self) -> dict[str, GpuState]:
        try:
            return self._worker.ask(self._sensors.states, timeout_s=self._patience_s)
        except MeterFailed:  # the edge beside it meets the same and says so
            return {}

    def _edge(self) -> Edge:
        if self._sync is not None:
            try:
                self._sync()
            except Exception as error:  # noqa: BLE001 - the training meets the device's fault itself
                return _fault("sync-failed", f"{type(error).__name__}: {error}")
        try:
            return self._worker.ask(self._sensors.edge, timeout_s=self._patience_s)
        except MeterError as error:
            return _fault(error.reason, error.what)

    def _measured(
        self, span: Span, stop: Edge, stop_states: Mapping[str, GpuState], error: str
    ) -> Window:
        begun: _Begun = span.begun
        start = begun.edge
        fault = next(
            ((edge.reason, edge.detail) for edge in (start, stop) if edge.reason), ("", "")
        )
        if not fault[0] and begun.failures != self._worker.failures:
            fault = "meter-failed", f"sampling failed in between: {self._worker.failure}"
        gpus, cpus, drams = self._sensors.readings(start, stop, (begun.states, stop_states), fault)
        return Window(
            name=span.name,
            path=span.path,
            index=span.index,
            parent=span.parent,
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


def _fault(reason: str, detail: str) -> Edge:
    return Edge(time.monotonic(), time.time(), reason=reason, detail=detail)


def _shut(worker: Worker, sensors: Sensors) -> None:
    """At closing, at the process's end, or when the meter is forgotten."""
    if worker.close():  # a driver that hangs must not hang the process's end as well
        sensors.close()


def _check_arguments(
    devices: object, sample_hz: float, shared: str, poll_seconds: float, patience_s: float
) -> None:
    if isinstance(devices, (str, int)):
        raise ConfigError(
            "devices are a sequence", value=devices, expected="such as [0] or ['cuda:0']"
        )
    if shared not in SHARED:
        raise ConfigError("no way to treat shared GPUs", value=shared, expected=" or ".join(SHARED))
    for name, value, most in (
        ("sample_hz", sample_hz, 1000.0),
        ("poll_seconds", poll_seconds, 60.0),
        ("patience_s", patience_s, 3600.0),
    ):
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not good or not 0 < value <= most:
            raise ConfigError(f"{name} is out of range", value=value, expected=f"0 < x <= {most:g}")


# A meter without sensors: it keeps the windows and their times, and says that no more is known.


class NullMeter(WindowMeter):
    """Windows with time only; their energy is `unmeasured`, which is NaN and not 0.

    The one reading of each window stands under the name `unmeasured` too.
    """

    def __enter__(self) -> NullMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to let go of."""

    def _begin(self, span: Span) -> tuple[float, float]:
        return time.monotonic(), time.time()

    def _end(self, span: Span, error: str) -> Window:
        started, started_unix = span.begun
        return Window(
            name=span.name,
            path=span.path,
            index=span.index,
            parent=span.parent,
            started=started,
            stopped=time.monotonic(),
            started_unix=started_unix,
            stopped_unix=time.time(),
            energy_j={
                "unmeasured": invalid(
                    "unmeasured", "this meter has no sensors", method="unmeasured"
                )
            },
            cpu_state=CpuState("off", "this meter has no sensors"),
            error=error,
        )
