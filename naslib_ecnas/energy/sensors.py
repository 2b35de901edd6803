"""All sensors of one meter, and the thread that queries them.

Every sensor is queried in that one thread. A driver that hangs then blocks the thread and not the
training, which waits for an answer for a limited time; and no sensor is queried by two threads at
once. The thread is a daemon: it ends with its process, however that ends.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from naslib_ecnas.energy.nvml import (
    Chosen,
    GpuPoint,
    GpuSource,
    MeterFailed,
    Nvml,
    resolve,
    sample,
    torch_uuid,
)
from naslib_ecnas.energy.rapl import MAX_POWER_W, UPDATE_PERIOD_S, Domain, Rapl
from naslib_ecnas.energy.readings import (
    CounterPoint,
    CounterTrack,
    CpuState,
    GpuState,
    Reading,
    counter_reading,
    invalid,
    skew_s,
)

__all__ = ["Edge", "SensorThread", "Sensors"]

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
        except Exception as error:  # noqa: BLE001 - whatever a binding raises, the thread goes on
            self.error = f"{type(error).__name__}: {error}"
        self.done.set()


class SensorThread:
    """A thread that calls `sample` every `period_s` seconds and runs jobs in between.

    Attributes:
        failures: how often `sample` raised.
        failure: message of the last of these errors.
    """

    def __init__(
        self,
        sample: Callable[[], None],
        *,
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = 0
        self.failure = ""
        self._sample = sample
        self._period_s = period_s
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._stuck: _Job | None = None
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="ecnas-meter", daemon=True)
        self._thread.start()

    def ask(self, work: Callable[[], _T], *, timeout_s: float) -> _T:
        """The result of `work`, run in the thread.

        Raises:
            MeterFailed: it raised or took longer than `timeout_s`; or the thread has ended, or
                belongs to another process: a fork does not copy it.
        """
        if self._closed:
            raise MeterFailed("the meter was closed")
        if os.getpid() != self._pid:
            raise MeterFailed("the meter belongs to the process that this one was forked from")
        if self._stuck is not None and not self._stuck.done.is_set():
            # The training has waited for this thread once; it does not wait again.
            raise MeterFailed("the sensors still have not answered an earlier query")
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
        """Stop the thread; returns whether it has stopped within `timeout_s`."""
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
        due = self._clock()
        while True:
            wait = due - self._clock()
            if wait <= 0:
                self._try_sample()
                # After a pause of the machine the missed samples are not made up for.
                due = max(due + self._period_s, self._clock())
                wait = due - self._clock()
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


@dataclass(frozen=True)
class Edge:
    """All devices at one edge of a window; without points if the meter failed."""

    time: float
    unix: float
    gpus: Mapping[str, GpuPoint] = field(default_factory=dict)
    domains: Mapping[str, CounterPoint] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""


class Sensors:
    """GPUs by NVML and the CPU by RAPL.

    Args:
        devices: the training's GPUs, see `nvml.resolve`.
        cpu: whether to read RAPL.
        environ: environment of the training, None for this process's own.
        sample_period_s, poll_seconds, shared: see `nvml.GpuSource`.
        rapl_root, lock_folder: see `rapl.Rapl`.
        clock, sleep: time, in s.

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
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        self.sources: dict[str, GpuSource] = {}
        self.cpu_state = CpuState("off", "not asked for")
        self._clock = clock
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
                        clock=clock,
                        sleep=sleep,
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
        """Release NVML and RAPL; a second call does nothing."""
        if self._nvml is not None:
            self._nvml.close()
        if self._rapl is not None:
            self._rapl.close()

    def sample(self) -> None:
        """Query every sensor once; faults are counted, not raised."""
        for source in self.sources.values():
            source.sample()
        for domain, track in self._domains.values():
            sample(track, domain.read_j, self._clock)

    def edge(self) -> Edge:
        """Query every sensor at the edge of a window."""
        now, unix = self._clock(), time.time()
        gpus = {uuid: source.point() for uuid, source in self.sources.items()}
        domains = {}
        for name, (domain, track) in self._domains.items():
            sample(track, domain.read_j, self._clock)
            domains[name] = track.point(self._clock())
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
    ) -> tuple[dict[str, Reading], dict[str, Reading], dict[str, Reading]]:
        """Readings of GPUs, CPU packages and memory domains between two edges.

        Args:
            states: of the GPUs at the edges, as far as known.
            fault: reason and detail of what makes all of them invalid; two empty texts if nothing.
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


def _choose(
    devices: Sequence[int | str], nvml: Nvml, environ: Mapping[str, str] | None
) -> list[Chosen]:
    """The GPUs asked for, each once."""
    gpus = nvml.gpus()
    chosen: dict[str, Chosen] = {}
    for device in devices:
        found = resolve(
            device,
            gpus,
            environ=environ,
            parent_of_mig=nvml.parent_of_mig,
            # torch knows the devices of this process alone
            runtime_uuid=torch_uuid(device) if environ is None else None,
        )
        chosen.setdefault(found.gpu.uuid, found)
    return list(chosen.values())
