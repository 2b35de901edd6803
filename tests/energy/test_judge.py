"""Sums over samples and what is made of them: closed forms, properties, a brute-force sensor."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.energy import Reading
from naslib_ecnas.energy.judge import agreement, counter_reading, frozen_after_s, power_reading
from naslib_ecnas.energy.period import update_period_s
from naslib_ecnas.energy.track import CounterTrack, PowerTrack
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


def counter(*samples: tuple[float, float], period_s: float = 0.1) -> Reading:
    track = CounterTrack()
    points = []
    for time, value in samples:
        track.push(time, value)
        points.append(track.point(time))
    return counter_reading(points[0], points[-1], period_s=period_s)


def test_a_counter_reading_in_figures() -> None:
    reading = counter((0.0, 10.0), (2.0, 110.0))
    assert reading.energy_j == 100.0
    # The mean power over the window is 50 W; one refresh of 0.1 s of it, and a mJ.
    assert reading.uncertainty_j == pytest.approx(50 * 0.1 + 1e-3)


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


@pytest.mark.parametrize("period", [0.02, 0.1])
def test_the_refresh_period_is_found(period: float) -> None:
    now = [0.0]
    found = update_period_s(
        lambda: math.floor(now[0] / period),
        seconds=5,
        clock=lambda: now[0],
        sleep=lambda s: now.__setitem__(0, now[0] + s),
    )
    assert found == pytest.approx(period, abs=2e-3)


def test_a_sensor_that_never_changes_has_no_period() -> None:
    now = [0.0]
    found = update_period_s(
        lambda: 7.0,
        seconds=0.5,
        clock=lambda: now[0],
        sleep=lambda s: now.__setitem__(0, now[0] + s),
    )
    assert math.isnan(found)
    assert now[0] == pytest.approx(0.5, abs=0.01)
    assert frozen_after_s(found) == 1.0
    assert frozen_after_s(0.5) == 5.0
