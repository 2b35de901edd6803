"""From two points of a track to a reading: what is valid, how uncertain, and what to flag."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from naslib_ecnas.energy.reading import GpuState, Reading, invalid
from naslib_ecnas.energy.track import CounterPoint, Faults, PowerPoint

__all__ = [
    "APART",
    "ASSUMED_PERIOD_S",
    "AVERAGE_POWER_LAG_S",
    "agreement",
    "counter_reading",
    "frozen_after_s",
    "power_reading",
    "skew_s",
]

#: Counter and integral that differ by more than this share of the counter are flagged.
APART = 0.05
#: Refresh period taken for a sensor whose own could not be measured, in s; counters and power
#: sensors refresh every 20 to 100 ms (Yang et al., arXiv 2312.02741, Table 1).
ASSUMED_PERIOD_S = 0.1
#: Over how long `nvmlDeviceGetPowerUsage` averages on Ampere and newer, in s (NVML's reference).
AVERAGE_POWER_LAG_S = 1.0
_RESOLUTION_J = 1e-3  # NVML's counter counts in mJ
_LAG_S = {"instant-power": 0.0, "average-power": AVERAGE_POWER_LAG_S}


def frozen_after_s(period_s: float) -> float:
    """How long a counter may stand still before it counts as frozen, in s."""
    return max(1.0, 10 * (ASSUMED_PERIOD_S if math.isnan(period_s) else period_s))


def counter_reading(
    start: CounterPoint,
    stop: CounterPoint,
    *,
    period_s: float,
    method: str = "counter",
    edge_power_w: Sequence[float] = (),
    skew_s: float = 0.0,
    states: tuple[GpuState | None, GpuState | None] = (None, None),
) -> Reading:
    """The reading of a counter between two points.

    The counter may lag its device by up to a refresh period at either edge. The two lags act in
    opposite directions, so the error is at most one period at the higher of the edges' powers.

    Args:
        period_s: refresh period; NaN where unknown.
        edge_power_w: powers known at the edges; the mean power stands in where there is none.
        skew_s: how far the sensor was read from the window's edges, in s, both together.
    """
    rest: dict[str, Any] = {"update_period_s": period_s, "start": states[0], "stop": states[1]}
    fault = _fault(start, stop)
    seconds = stop.time - start.time
    limit = frozen_after_s(period_s)
    if fault is None:
        for edge, point in (("start", start), ("end", stop)):
            still = point.time - point.moved
            if still > limit:
                fault = "frozen", f"at the {edge} the counter had not moved for {still:.1f} s"
    energy = stop.rise_j - start.rise_j
    if fault is None and energy <= 0:
        fault = (
            "too-short",
            f"the counter did not step in {seconds:.3f} s; it refreshes every {period_s:.3f} s",
        )
    if fault is not None:
        return invalid(*fault, method=method, **rest)
    period = ASSUMED_PERIOD_S if math.isnan(period_s) else period_s
    power = max([p for p in edge_power_w if math.isfinite(p)] or [energy / seconds])
    power = max(power, energy / (seconds + period))
    return Reading(
        energy_j=energy,
        method=method,
        uncertainty_j=power * (period + skew_s) + _RESOLUTION_J,
        flags=("failed-samples",) if start.faults.failed != stop.faults.failed else (),
        **rest,
    )


def power_reading(
    start: PowerPoint,
    stop: PowerPoint,
    *,
    method: str,
    period_s: float,
    skew_s: float = 0.0,
    states: tuple[GpuState | None, GpuState | None] = (None, None),
) -> Reading:
    """The reading of integrated power between two points.

    The uncertainty has two parts: half of each change of power times its step, which bounds the
    trapezoids' error where power rises or falls steadily between samples; and the sensor's delay
    (refresh period, and the averaging of average power) times the change of power between the
    edges, since a delay moves the window. To this comes the skew at the higher power, as above.
    """
    rest: dict[str, Any] = {"update_period_s": period_s, "start": states[0], "stop": states[1]}
    fault = _fault(start, stop)
    if fault is not None:
        return invalid(*fault, method=method, **rest)
    delay = (ASSUMED_PERIOD_S if math.isnan(period_s) else period_s) + _LAG_S[method]
    return Reading(
        energy_j=stop.integral_j - start.integral_j,
        method=method,
        uncertainty_j=stop.spread_j
        - start.spread_j
        + delay * abs(stop.power_w - start.power_w)
        + skew_s * max(start.power_w, stop.power_w)
        + _RESOLUTION_J,
        flags=("failed-samples",) if start.faults.failed != stop.faults.failed else (),
        **rest,
    )


def skew_s(
    start: CounterPoint | PowerPoint, stop: CounterPoint | PowerPoint, edges: tuple[float, float]
) -> float:
    """How far two points may lie from the edges of their window, in s, both together.

    A point's time is the middle of its query. The sensor answered somewhere within the query, which
    began no sooner than the edge, so it lies at most twice that far from the edge.
    """
    return 2 * (abs(start.time - edges[0]) + abs(stop.time - edges[1]))


def agreement(counter: Reading, integral: Reading) -> str:
    """How a counter and integrated power of the same window agree; one of `AGREEMENTS`."""
    if not (counter.valid and integral.valid):
        return "unchecked"
    apart = abs(counter.energy_j - integral.energy_j)
    if apart <= APART * counter.energy_j:
        return "agree"
    timing = counter.uncertainty_j + integral.uncertainty_j
    return "undecided" if apart <= timing else "apart"


def _fault(
    start: CounterPoint | PowerPoint, stop: CounterPoint | PowerPoint
) -> tuple[str, str] | None:
    """Reason and words of the gravest fault at the edges or between them."""
    a, b = start.faults, stop.faults
    for reason, kind in (
        ("gpu-lost", "lost"),
        ("reset", "resets"),
        ("not-a-number", "not_a_number"),
        ("gap", "gaps"),
    ):
        if _between(a, b, kind):
            return reason, b.detail
    for edge, point in (("start", start), ("end", stop)):
        if not point.fresh:
            return point.reason, f"at the {edge}: {point.faults.detail or point.reason}"
    return None


def _between(a: Faults, b: Faults, kind: str) -> bool:
    return bool(getattr(a, kind) != getattr(b, kind))
