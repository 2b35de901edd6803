"""A GPU's reading from two of its points: each sensor judged in full, compared, and flagged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from naslib_ecnas.energy import EnergyMeter, GpuProcess, GpuState
from naslib_ecnas.energy.nvml import GpuPoint, GpuSource
from naslib_ecnas.energy.readings import CounterTrack, PowerTrack

EDGES = (9.99, 19.98)


@pytest.fixture
def source(standin: Any) -> Iterator[GpuSource]:
    """A source on the stand-in that refuses shared GPUs; its points are made up below."""
    with EnergyMeter(cpu=False, poll_seconds=0.2) as meter:
        yield meter._sensors.sources[standin.uuid()]


def points(joules: float, watts: tuple[float, float]) -> tuple[GpuPoint, GpuPoint]:
    """Ten seconds apart, from 10 s to 20 s."""
    counter, power = CounterTrack(), PowerTrack(max_gap_s=60.0)
    found = []
    for time, value, power_w in ((10.0, 5.0, watts[0]), (20.0, 5.0 + joules, watts[1])):
        counter.push(time, value)
        power.push(time, power_w)
        found.append(GpuPoint(counter.point(time), power.point(time)))
    return found[0], found[1]


def test_a_counter_is_judged_with_the_powers_and_the_skew_of_its_edges(source: GpuSource) -> None:
    start, stop = points(2_000, (100.0, 300.0))
    states = GpuState(temperature_c=40.0), GpuState(temperature_c=60.0)
    found = source.reading(start, stop, edges=EDGES, states=states)
    skew = 2 * (0.01 + 0.02)
    assert (found.energy_j, found.method) == (2_000, "counter")
    assert found.uncertainty_j == pytest.approx(300 * (source.period_s + skew) + 1e-3)
    assert (found.start, found.stop) == states
    assert (found.integral_j, found.agreement, found.flags) == (2_000, "agree", ())
    assert source.reading(start, stop, edges=(10.0, 20.0), states=states).uncertainty_j < (
        found.uncertainty_j
    )


def test_the_timing_of_both_sensors_excuses_what_they_differ_by(source: GpuSource) -> None:
    """The trapezoid of a change of 200 W in 10 s is 1 kJ wide: 10 % are within it."""
    start, stop = points(2_200, (100.0, 300.0))
    assert source.reading(start, stop, edges=EDGES, states=(None, None)).agreement == "undecided"
    start, stop = points(2_200, (200.0, 200.0))
    apart = source.reading(start, stop, edges=EDGES, states=(None, None))
    assert (apart.agreement, apart.flags) == ("apart", ("counter-against-power",))
    # Half a second off at both edges explains it again.
    late = source.reading(start, stop, edges=(9.5, 19.5), states=(None, None))
    assert late.agreement == "undecided"


def test_power_alone_is_judged_with_its_skew(standin: Any) -> None:
    standin.set(counter=0)
    start, stop = points(0, (100.0, 300.0))
    start, stop = GpuPoint(None, start.power), GpuPoint(None, stop.power)
    with EnergyMeter(cpu=False, poll_seconds=0.2) as meter:
        source = meter._sensors.sources[standin.uuid()]
        found = source.reading(start, stop, edges=EDGES, states=(None, None))
        assert math.isnan(source.period_s)  # a steady power shows none
    assert (found.energy_j, found.method) == (2_000, "instant-power")
    assert found.uncertainty_j == pytest.approx(1_000 + 0.1 * 200 + 0.06 * 300 + 1e-3)


def test_more_than_the_limit_is_beyond_the_higher_limit_and_all_doubt(source: GpuSource) -> None:
    """Of two limits the higher counts, 1.2 of it: 300 W allow 3,600 J in 10 s."""

    def flags(joules: float, *limits: float) -> tuple[str, ...]:
        start, stop = points(joules, (joules / 10, joules / 10))
        states = [GpuState(power_limit_w=limit) for limit in limits]
        reading = source.reading(start, stop, edges=(10.0, 20.0), states=(states[0], states[1]))
        assert reading.valid
        return reading.flags

    doubt = 360 * source.period_s
    for limits in ((300.0, 200.0), (200.0, 300.0), (math.nan, 300.0), (300.0, math.nan)):
        assert flags(3_600 + 0.5 * doubt, *limits) == ()
        assert flags(3_600 + 1.5 * doubt, *limits) == ("above-power-limit",)
    assert flags(99_999, math.nan, math.nan) == ()


def test_others_at_either_edge_are_named_once_and_in_order(source: GpuSource) -> None:
    def state(*pids: int) -> GpuState:
        return GpuState(others=tuple(GpuProcess(pid, 1.0, True) for pid in pids))

    start, stop = points(1_000, (100.0, 100.0))
    for pair in ((state(9, 4), state(9)), (state(9), state(4, 9)), (state(4, 9), None)):
        found = source.reading(start, stop, edges=EDGES, states=pair)
        assert (found.reason, found.detail) == ("shared", "other processes used the GPU: [4, 9]")
        assert (found.method, found.update_period_s) == ("counter", source.period_s)
        assert (found.start, found.stop) == pair
    assert source.reading(start, stop, edges=EDGES, states=(state(), GpuState())).valid


@pytest.mark.parametrize(("sample_hz", "gap_s"), [(0.5, 10.0), (10.0, 1.0)])
def test_power_may_be_missing_for_five_samples_and_a_second_at_least(
    standin: Any, sample_hz: float, gap_s: float
) -> None:
    with EnergyMeter(cpu=False, poll_seconds=0.2, sample_hz=sample_hz) as meter:
        source = meter._sensors.sources[standin.uuid()]
    assert source._power is not None
    assert source._power._max_gap_s == gap_s
