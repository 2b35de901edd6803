"""One device's energy over one window, and the state of the device at the window's edges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from naslib_ecnas.errors import ConfigError

__all__ = ["AGREEMENTS", "METHODS", "GpuProcess", "GpuState", "Reading", "invalid"]

#: How an energy came about.
METHODS = ("counter", "instant-power", "average-power", "rapl", "replay", "unmeasured", "none")
#: Counter against integrated power: within 5 %; apart by more; apart, but by no more than the
#: timing of the two sensors explains; only one of them there.
AGREEMENTS = ("agree", "apart", "undecided", "unchecked")


@dataclass(frozen=True)
class GpuProcess:
    """A process on the GPU that is not the training's own."""

    pid: int
    memory_bytes: float
    """NaN where the driver does not tell."""
    visible: bool
    """Whether this system has a process of that number; in a container it may have none."""


@dataclass(frozen=True)
class GpuState:
    """A GPU at the edge of a window. NaN and None where `unsupported` names the quantity."""

    power_w: float = math.nan
    temperature_c: float = math.nan
    sm_clock_mhz: float = math.nan
    memory_clock_mhz: float = math.nan
    power_limit_w: float = math.nan
    throttle_reasons: tuple[str, ...] | None = None
    others: tuple[GpuProcess, ...] | None = None
    """Processes of others on this GPU."""
    unsupported: tuple[str, ...] = ()
    """Names of the quantities that could not be had."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GpuState:
        """The inverse of `dataclasses.asdict`, after a detour through JSON."""
        values = {
            name: _nan(data[name])
            for name in (
                "power_w",
                "temperature_c",
                "sm_clock_mhz",
                "memory_clock_mhz",
                "power_limit_w",
            )
        }
        reasons, others = data["throttle_reasons"], data["others"]
        return cls(
            **values,
            throttle_reasons=None if reasons is None else tuple(reasons),
            others=None
            if others is None
            else tuple(
                GpuProcess(int(o["pid"]), _nan(o["memory_bytes"]), bool(o["visible"]))
                for o in others
            ),
            unsupported=tuple(data["unsupported"]),
        )


@dataclass(frozen=True)
class Reading:
    """Energy of one device over one window.

    An invalid reading has no energy: `energy_j` is NaN, never 0 and never a part of the truth.
    """

    energy_j: float
    """Joules, gross. NaN where the reading is invalid."""
    method: str
    """One of `METHODS`."""
    valid: bool = True
    reason: str = ""
    """Why the reading is invalid, one word: `reset`, `gpu-lost`, `frozen`, `not-a-number`,
    `too-short`, `gap`, `shared`, `denied`, `unsupported`, `unmeasured`, `query-failed`,
    `meter-failed`, `sync-failed`, `unfinished`, `not-recorded`, `outside-trace`."""
    detail: str = ""
    """The same in words, with the figures."""
    uncertainty_j: float = math.nan
    """Bound on the error that the sensor's refresh period makes at the two edges, and, for
    integrated power, that the sampling makes. The sensor's own accuracy is not in it."""
    update_period_s: float = math.nan
    """Seconds between two refreshes of the sensor, measured when the meter was opened."""
    integral_j: float = math.nan
    """Integral of sampled power beside a counter; NaN where there is none."""
    agreement: str = "unchecked"
    """One of `AGREEMENTS`."""
    flags: tuple[str, ...] = ()
    """What a reader should know though the reading is valid: `shared`, `counter-against-power`,
    `above-power-limit`, `failed-samples`."""
    start: GpuState | None = field(default=None, repr=False)
    stop: GpuState | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.agreement not in AGREEMENTS:
            raise ConfigError(
                "no reading",
                value=(self.method, self.agreement),
                expected=f"a method of {', '.join(METHODS)} and an agreement of "
                + ", ".join(AGREEMENTS),
            )
        if self.valid != math.isfinite(self.energy_j) or self.valid == bool(self.reason):
            raise ConfigError(
                "a reading's energy, validity and reason contradict each other",
                value=(self.energy_j, self.valid, self.reason),
                expected="a finite energy and no reason, or NaN and a reason",
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Reading:
        """The inverse of `dataclasses.asdict`, after a detour through JSON."""
        start, stop = data["start"], data["stop"]
        return cls(
            energy_j=_nan(data["energy_j"]),
            method=data["method"],
            valid=data["valid"],
            reason=data["reason"],
            detail=data["detail"],
            uncertainty_j=_nan(data["uncertainty_j"]),
            update_period_s=_nan(data["update_period_s"]),
            integral_j=_nan(data["integral_j"]),
            agreement=data["agreement"],
            flags=tuple(data["flags"]),
            start=None if start is None else GpuState.from_dict(start),
            stop=None if stop is None else GpuState.from_dict(stop),
        )


def invalid(reason: str, detail: str, *, method: str, **rest: Any) -> Reading:
    """A reading without an energy."""
    return Reading(
        energy_j=math.nan, method=method, valid=False, reason=reason, detail=detail, **rest
    )


def _nan(value: Any) -> float:
    return math.nan if value is None else float(value)
