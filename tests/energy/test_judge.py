"""Sums over samples and what is made of them: closed forms, properties, a brute-force sensor."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.energy import GpuState, Reading
from naslib_ecnas.energy.readings import (
    CounterTrack,
    PowerTrack,
    agreement,
    counter_reading,
    frozen_after_s,
    power_reading,
    skew_s,
)
from naslib_ecnas.errors import ConfigError

finite = st.floats(0, 1e4, allow_nan=False)


@given(st.lists(st.tuples(st.floats(0.01, 0.5), finite), min_size=2, max_size=15), st.data())
@settings(max_examples=100, deadline=None)
def test_two_points_of_a_power_track_are_the_trapezoids_between_them(
    samples: list[tuple[float, float]], data: st.DataObject
) -> None:
    times = np.cumsum([dt for dt, _ in samples])
    powers = np.array([power for _, power in samples])
    i = data.draw(st.integers(0, len(samples) - 2))
    j = data.draw(st.integers(i + 1, len(samples) - 1))
    track = PowerTrack(max_gap_s=1.0)
    points = []
    for time, power in zip(times, powers, strict=True):
        track.push(float(time), float(power))
        points.append(track.point(float(time)))
    reading = power_reading(points[i], points[j], method="instant-power", period_s=0.02)
    part = slice(i, j + 1)
    expected = sum(np.diff(times[part]) * (powers[part][1:] + powers[part][:-1]) / 2)
    assert reading.energy_j == pytest.approx(float(expected), rel=1e-9, abs=1e-6)
    assert reading.uncertainty_j > 0


@given(
    power=st.floats(1, 1000),
    period=st.floats(0.005, 0.1),
    start=st.floats(0.2, 1.0),
    seconds=st.floats(0.2, 5.0),
    ramp=st.floats(0, 100),
)
@settings(max_examples=200, deadline=None)
def test_the_uncertainty_of_a_counter_covers_its_lag(
    power: float, period: float, start: float, seconds: float, ramp: float
) -> None:
    """A counter that shows what was used until its last refresh, of a power that rises."""

    def used(t: float) -> float:
        return power * t + 0.5 * ramp * t * t

    def shown(t: float) -> float:
        return round(used(math.floor(t / period) * period), 3)

    track = CounterTrack()
    track.push(start - period, shown(start - period))
    points = []
    for t in (start, start + seconds):
        track.push(t, shown(t))
        points.append(track.point(t))
    edges = (power + ramp * start, power + ramp * (start + seconds))
    reading = counter_reading(*points, period_s=period, edge_power_w=edges)
    assert reading.valid
    exact = used(start + seconds) - used(start)
    assert abs(reading.energy_j - exact) <= reading.uncertainty_j + 1e-6


@given(st.lists(st.floats(0, 50), min_size=1, max_size=60), st.floats(100, 300))
@settings(max_examples=100, deadline=None)
def test_a_wrapping_counter_gives_the_sum_of_its_steps(steps: list[float], wrap: float) -> None:
    track = CounterTrack(wrap_j=wrap, max_power_w=99.0)
    total = 0.0
    track.push(0.0, 0.0)
    for i, step in enumerate(steps, start=1):
        total += step
        track.push(float(i), math.fmod(total, wrap))
    point = track.point(float(len(steps)))
    assert point.rise_j == pytest.approx(total, abs=1e-6)
    assert point.faults.resets == point.faults.gaps == 0


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_fall_of_a_counter_without_wraps_is_a_reset(values: list[float]) -> None:
    track = CounterTrack()
    for i, value in enumerate(values):
        track.push(0.1 * i, value)
    falls = sum(b < a for a, b in pairwise(values))
    assert track.point(0.1 * len(values)).faults.resets == falls


def counter(*samples: tuple[float, float], period_s: float = 0.1, **known: Any) -> Reading:
    track = CounterTrack()
    points = []
    for time, value in samples:
        track.push(time, value)
        points.append(track.point(time))
    return counter_reading(points[0], points[-1], period_s=period_s, **known)


def test_a_counter_reading_in_figures() -> None:
    samples = (5.0, 10.0), (7.0, 110.0)
    reading = counter(*samples)
    assert reading.energy_j == 100.0
    assert reading.method == "counter"
    # The mean power over the window is 50 W; one refresh of 0.1 s of it, and a mJ.
    assert reading.uncertainty_j == pytest.approx(50 * 0.1 + 1e-3)
    unknown = counter(*samples, period_s=math.nan)
    assert math.isnan(unknown.update_period_s)
    assert unknown.uncertainty_j == reading.uncertainty_j
    # Of the edges' powers the highest that is known counts; the skew is a delay as well.
    reading = counter(*samples, edge_power_w=(math.nan, 80.0, 60.0), skew_s=0.02)
    assert reading.uncertainty_j == pytest.approx(80 * (0.1 + 0.02) + 1e-3)
    # Idle edges do not hide that the counter's rise took this power at least.
    reading = counter(*samples, edge_power_w=(1.0, 2.0))
    assert reading.uncertainty_j == pytest.approx(100 / (2 + 0.1) * 0.1 + 1e-3)


def test_a_power_reading_in_figures() -> None:
    track = PowerTrack(max_gap_s=1.0)
    points = []
    for time, power in ((4.5, 10.0), (5.0, 50.0), (6.0, 250.0), (6.5, 150.0)):
        track.push(time, power)
        points.append(track.point(time))
    found = power_reading(points[1], points[3], method="average-power", period_s=0.1, skew_s=0.02)
    assert found.energy_j == 150 * 1.0 + 200 * 0.5
    trapezoids = 0.5 * 200 * 1.0 + 0.5 * 100 * 0.5
    assert found.uncertainty_j == pytest.approx(trapezoids + 1.1 * 100 + 0.02 * 150 + 1e-3)
    down = power_reading(points[2], points[3], method="instant-power", period_s=math.nan)
    assert down.uncertainty_j == pytest.approx(0.5 * 100 * 0.5 + 0.1 * 100 + 1e-3)
    skewed = power_reading(
        points[2], points[3], method="instant-power", period_s=math.nan, skew_s=0.02
    )
    assert skewed.uncertainty_j - down.uncertainty_j == pytest.approx(0.02 * 250)


def test_the_skew_is_twice_the_way_from_both_edges() -> None:
    track = CounterTrack()
    track.push(1.01, 1.0)
    start = track.point(1.01)
    track.push(2.03, 2.0)
    assert skew_s(start, track.point(2.03), (1.0, 2.0)) == pytest.approx(2 * (0.01 + 0.03))
    assert skew_s(start, track.point(2.03), (1.02, 2.04)) == pytest.approx(2 * (0.01 + 0.01))


def test_a_reading_keeps_the_states_of_its_edges_valid_or_not() -> None:
    states = GpuState(temperature_c=40.0), GpuState(temperature_c=60.0)
    power = PowerTrack(max_gap_s=1.0)
    points = [power.point(0.0)]
    for time in (0.5, 1.0):
        power.push(time, 100.0)
        points.append(power.point(time))
    integrated = [
        power_reading(a, b, method="instant-power", period_s=0.02, states=states)
        for a, b in (points[1:], points[:2])
    ]
    counted = [
        counter((0.0, 1.0), (1.0, last), period_s=0.02, states=states) for last in (9.0, 0.5)
    ]
    for good, bad in (integrated, counted):
        assert (good.valid, bad.valid) == (True, False)
        for found in (good, bad):
            assert (found.start, found.stop) == states
            assert found.update_period_s == 0.02


def test_the_edge_that_failed_is_named() -> None:
    never = CounterTrack().point(1.0)
    assert counter_reading(never, never, period_s=0.1).detail == "at the start: unsupported"
    track = CounterTrack()
    track.push(1.0, 5.0)
    start = track.point(1.0)
    track.push(1.5, 50.0)
    track.fail(2.0, "query-failed", "a timeout")
    stop = track.point(2.0)
    found = counter_reading(start, stop, period_s=0.1)
    assert (found.reason, found.detail) == ("query-failed", "at the end: a timeout")
    assert (stop.time, stop.fresh) == (2.0, False)
    assert math.isnan(stop.rise_j)
    frozen = counter((0.0, 5.0), (0.5, 5.0), (1.5, 5.0))
    assert frozen.detail == "at the end the counter had not moved for 1.5 s"
    late = counter((3.0, 5.0), (3.5, 5.0), (7.0, 5.0), (8.0, 6.0))
    assert late.valid  # it moved at last, at the end
    track.push(9.0, 50.0)
    still = track.point(9.0)
    track.push(9.5, 60.0)
    found = counter_reading(still, track.point(9.5), period_s=0.1)
    assert found.detail == "at the start the counter had not moved for 7.5 s"


@pytest.mark.parametrize(("failed", "flags"), [(0, ()), (2, ("failed-samples",))])
def test_a_failed_sample_between_good_edges_is_flagged(failed: int, flags: tuple[str, ...]) -> None:
    counted, power = CounterTrack(), PowerTrack(max_gap_s=1.0)
    for track in (counted, power):
        track.push(0.0, 100.0)
    starts = counted.point(0.0), power.point(0.0)
    for track in (counted, power):
        for i in range(failed):
            track.fail(0.1 * i, "query-failed", "a timeout")
        track.push(0.5, 150.0)
    assert counter_reading(starts[0], counted.point(0.5), period_s=0.1).flags == flags
    found = power_reading(starts[1], power.point(0.5), method="instant-power", period_s=0.1)
    assert found.flags == flags
    assert counted.point(0.5).faults.failed == power.point(0.5).faults.failed == failed


def test_the_gravest_fault_is_the_reason() -> None:
    track = CounterTrack()
    track.push(0.0, 5.0)
    points = [track.point(0.0)]
    for reason in ("query-failed", "not-a-number", "reset", "gpu-lost"):
        if reason == "reset":
            track.push(0.1, 1.0)
        else:
            track.fail(0.1, reason, reason)
        points.append(track.point(0.1))
        assert counter_reading(points[0], points[-1], period_s=0.1).reason == reason
    # What happened before a window is not its fault.
    track.push(0.2, 2.0)
    before = track.point(0.2)
    track.push(0.3, 3.0)
    assert counter_reading(before, track.point(0.3), period_s=0.1).energy_j == 1.0


def test_a_fall_is_a_wrap_up_to_the_power_of_the_device() -> None:
    """From 90 J of 100 J down to 10 J are 20 J: of 10 W in 1 s, and 1 s for the refreshes."""
    for value, resets in ((10.0, 0), (10.5, 1), (20.0, 1)):
        track = CounterTrack(wrap_j=100.0, max_power_w=10.0)
        track.push(0.0, 90.0)
        track.push(1.0, value)
        point = track.point(1.0)
        assert point.faults.resets == resets
        assert point.rise_j == (0.0 if resets else 20.0)
        assert ("no wrap explains it" in point.faults.detail) == bool(resets)
    # A value above the wrap was none of this counter's.
    track = CounterTrack(wrap_j=100.0, max_power_w=10.0)
    track.push(0.0, 100.25)
    track.push(1.0, 0.0)
    assert track.point(1.0).faults.resets == 1
    # From the wrap itself to 0 nothing was used.
    track = CounterTrack(wrap_j=100.0, max_power_w=10.0)
    track.push(0.0, 100.0)
    track.push(1.0, 0.0)
    assert (track.point(1.0).faults.resets, track.point(1.0).rise_j) == (0, 0.0)


def test_nothing_is_clamped() -> None:
    fell = counter((0.0, 9000.0), (1.0, 5.0))
    assert (fell.valid, fell.reason) == (False, "reset")
    assert math.isnan(fell.energy_j)
    assert "9000.000 J to 5.000 J" in fell.detail
    still = counter((0.0, 5.0), (0.05, 5.0))
    assert still.reason == "too-short"
    frozen = counter((0.0, 5.0), (0.5, 5.0), (1.5, 5.0))
    assert frozen.reason == "frozen"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_values_that_are_none(bad: float) -> None:
    assert counter((0.0, 1.0), (1.0, bad)).reason == "not-a-number"
    assert counter((0.0, 1.0), (1.0, bad), (1.1, 5.0)).reason == "not-a-number"
    track = PowerTrack(max_gap_s=1)
    track.push(0.0, 100.0)
    start = track.point(0.0)
    track.push(0.5, bad)
    track.push(1.0, 100.0)
    reading = power_reading(start, track.point(1.0), method="instant-power", period_s=math.nan)
    assert reading.reason == "not-a-number"


def test_samples_of_power_too_far_apart_do_not_stand_for_the_time_between() -> None:
    track = PowerTrack(max_gap_s=1.0)
    points = []
    for time in (0.0, 0.5, 3.0, 3.5):
        track.push(time, 100.0)
        points.append(track.point(time))
    assert power_reading(points[0], points[3], method="average-power", period_s=0.1).reason == "gap"
    assert power_reading(points[2], points[3], method="average-power", period_s=0.1).valid


def test_average_power_is_less_certain_than_power_of_the_moment() -> None:
    track = PowerTrack(max_gap_s=1.0)
    track.push(0.0, 50.0)
    start = track.point(0.0)
    track.push(1.0, 250.0)
    stop = track.point(1.0)
    moment = power_reading(start, stop, method="instant-power", period_s=0.1)
    average = power_reading(start, stop, method="average-power", period_s=0.1)
    assert moment.energy_j == average.energy_j == 150.0
    assert average.uncertainty_j - moment.uncertainty_j == pytest.approx(200.0 * 1.0)


def test_a_sensor_never_read_is_not_zero() -> None:
    point = CounterTrack().point(1.0)
    assert counter_reading(point, point, period_s=0.1).reason == "unsupported"
    power = PowerTrack(max_gap_s=1).point(1.0)
    assert not power_reading(power, power, method="instant-power", period_s=0.1).valid


def reading(energy: float, doubt: float) -> Reading:
    return Reading(energy_j=energy, method="counter", uncertainty_j=doubt)


def test_agreement_has_four_outcomes() -> None:
    assert agreement(reading(100, 0), reading(104.9, 0)) == "agree"
    assert agreement(reading(100, 1), reading(106, 1)) == "apart"
    assert agreement(reading(100, 4), reading(106, 3)) == "undecided"
    assert agreement(reading(100, 1), counter((0.0, 1.0), (0.1, 1.0))) == "unchecked"


@pytest.mark.parametrize(
    "fields",
    [
        {"energy_j": math.nan},
        {"energy_j": math.inf},
        {"energy_j": 0.0, "valid": False, "reason": "reset"},
        {"energy_j": 1.0, "reason": "reset"},
        {"energy_j": math.nan, "valid": False},
        {"energy_j": 1.0, "method": "guess"},
        {"energy_j": 1.0, "agreement": "maybe"},
    ],
)
def test_a_reading_cannot_contradict_itself(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Reading(**{"method": "counter", **fields})  # type: ignore[arg-type]


def test_a_counter_may_stand_still_for_ten_refreshes_and_a_second_at_least() -> None:
    assert frozen_after_s(math.nan) == frozen_after_s(0.02) == 1.0
    assert frozen_after_s(0.5) == 5.0
