"""The meter: windows of energy of a training's own GPUs, and of the node's CPU and memory."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from naslib_ecnas.energy.baseline import Baseline
from naslib_ecnas.energy.faults import MeterError, MeterFailed
from naslib_ecnas.energy.parts import PartsCheck, check_parts
from naslib_ecnas.energy.rapl import POWERCAP
from naslib_ecnas.energy.reading import GpuState
from naslib_ecnas.energy.sensors import Edge, Sensors
from naslib_ecnas.energy.spans import Span, WindowMeter
from naslib_ecnas.energy.window import Window
from naslib_ecnas.energy.worker import Worker
from naslib_ecnas.errors import ConfigError

__all__ = ["EnergyMeter"]

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
