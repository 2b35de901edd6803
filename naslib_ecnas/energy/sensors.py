"""All sensors of one meter, read together at the edges of windows."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from naslib_ecnas.energy.devices import Chosen, resolve, torch_uuid
from naslib_ecnas.energy.faults import MeterError
from naslib_ecnas.energy.judge import counter_reading, skew_s
from naslib_ecnas.energy.nvml import Nvml
from naslib_ecnas.energy.rapl import MAX_POWER_W, UPDATE_PERIOD_S, Domain, Rapl
from naslib_ecnas.energy.reading import GpuState, Reading, invalid
from naslib_ecnas.energy.source import GpuPoint, GpuSource
from naslib_ecnas.energy.track import CounterPoint, CounterTrack
from naslib_ecnas.energy.window import CpuState

__all__ = ["Edge", "Readings", "Sensors"]

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
