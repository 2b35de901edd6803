"""Running sums of a sensor and the readings that follow: closed forms and properties."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.energy import GpuProcess, GpuState, MeterError, Reading
from naslib_ecnas.energy.sensors import (
    Denied,
    Edge,
    Point,
    Sensor,
    Source,
    agreement,
    counted,
    integrated,
    update_period_s,
)

finite = st.floats(0, 1e4, allow_nan=False)
Sample = tuple[float, float]


def counter_points(*samples: Sample, **options: Any) -> list[Point]:
    """The running sums after each sample of a counter: seconds and joules."""
    return list(accumulate(samples, lambda p, s: counted(p, *s, **options), initial=Point()))[1:]


def power_points(*samples: Sample, max_gap_s: float = 1.0) -> list[Point]:
    """The running sums after each sample of a power sensor: seconds and watts."""
    add = partial(integrated, max_gap_s=max_gap_s)
    return list(accumulate(samples, lambda p, s: add(p, *s), initial=Point()))[1:]


def a_sensor(method: str = "counter", period_s: float = math.nan) -> Sensor:
    return Sensor(method, lambda: 0.0, counted, period_s)


def reading(
    start: Point,
    stop: Point,
    method: str = "counter",
    *,
    period_s: float = 0.1,
    edges: Sample | None = None,
    powers: Sample | tuple[()] = (),
) -> Reading:
    edges = edges or (start.time, stop.time)
    return a_sensor(method, period_s).reading(start, stop, edges, powers)


def counter(*samples: Sample, **known: Any) -> Reading:
    """The reading between the first and the last of some samples."""
    points = counter_points(*samples)
    return reading(points[0], points[-1], **known)


instant = partial(reading, method="instant-power")


# -- running sums ---------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.01, 0.5), finite), min_size=2, max_size=15), st.data())
@settings(max_examples=100, deadline=None)
def test_two_points_of_power_are_the_trapezoids_between_them(
    samples: list[Sample], data: st.DataObject
) -> None:
    times = np.cumsum([dt for dt, _ in samples])
    powers = np.array([power for _, power in samples])
    i = data.draw(st.integers(0, len(samples) - 2))
    j = data.draw(st.integers(i + 1, len(samples) - 1))
    points = power_points(*zip(times.tolist(), powers.tolist(), strict=True))
    found = instant(points[i], points[j], period_s=0.02)
    part = slice(i, j + 1)
    expected = sum(np.diff(times[part]) * (powers[part][1:] + powers[part][:-1]) / 2)
    assert found.energy_j == pytest.approx(float(expected), rel=1e-9, abs=1e-6)
    assert found.uncertainty_j > 0


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
    """A counter that shows the energy used until its last refresh, of a power that rises."""

    def used(t: float) -> float:
        return power * t + 0.5 * ramp * t * t

    def shown(t: float) -> float:
        return round(used(math.floor(t / period) * period), 3)

    times = (start - period, start, start + seconds)
    points = counter_points(*((t, shown(t)) for t in times))
    powers = (power + ramp * start, power + ramp * (start + seconds))
    found = reading(*points[1:], period_s=period, powers=powers)
    assert found.valid
    exact = used(start + seconds) - used(start)
    assert abs(found.energy_j - exact) <= found.uncertainty_j + 1e-6


@given(st.lists(st.floats(0, 50), min_size=1, max_size=60), st.floats(100, 300))
@settings(max_examples=100, deadline=None)
def test_a_wrapping_counter_gives_the_sum_of_its_steps(steps: list[float], wrap: float) -> None:
    sums = [0.0, *np.cumsum(steps).tolist()]
    samples = [(float(i), math.fmod(total, wrap)) for i, total in enumerate(sums)]
    point = counter_points(*samples, wrap_j=wrap, max_power_w=99.0)[-1]
    assert point.energy_j == pytest.approx(sums[-1], abs=1e-6)
    assert not point.faults


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_fall_of_a_counter_without_wraps_is_a_reset(values: list[float]) -> None:
    point = counter_points(*((0.1 * i, value) for i, value in enumerate(values)))[-1]
    assert point.faults["reset"] == sum(b < a for a, b in pairwise(values))


def test_falls_and_gaps_of_a_counter_that_wraps() -> None:
    """From 90 J of 100 J down to 10 J are 20 J: of 10 W in 1 s, and 1 s for the refreshes."""
    limits = {"wrap_j": 100.0, "max_power_w": 10.0}
    for first, value, resets, rise in (
        (90.0, 10.0, 0, 20.0),
        (90.0, 10.5, 1, 0.0),
        (90.0, 20.0, 1, 0.0),
        (100.25, 0.0, 1, 0.0),  # above the wrap: not a value of this counter
        (100.0, 0.0, 0, 0.0),  # from the wrap itself to 0 nothing was used
    ):
        point = counter_points((0.0, first), (1.0, value), **limits)[-1]
        assert (point.faults["reset"], point.energy_j) == (resets, rise)
        assert ("no wrap explains it" in point.detail) == bool(resets)
    # In 10.5 s it could have wrapped twice.
    points = counter_points((0.0, 5.0), (9.0, 50.0), (19.5, 60.0), **limits)
    assert [point.faults["gap"] for point in points] == [0, 0, 1]


def test_a_sensor_samples_in_the_middle_of_its_query_and_counts_its_faults() -> None:
    now = [10.0]
    faults: list[tuple[Any, str, str]] = [
        (Denied("no"), "denied", "no"),
        (ValueError("changed"), "meter-failed", "ValueError: changed"),
        *((bad, "not-a-number", f"got {bad}") for bad in (math.nan, math.inf, -1.0)),
    ]
    answers = iter([5.0, *(answer for answer, _, _ in faults), 7.0, 0.0])

    def read() -> float:
        now[0] += 2
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sensor, clock = Sensor("counter", read, counted, 0.1), lambda: now[0]
    first = sensor.sample(clock)
    assert (first.time, first.value) == (11.0, 5.0)
    for number, (_, reason, detail) in enumerate(faults):
        sensor.sample(clock)
        assert (sensor.point.reason, sensor.point.detail[-len(detail) :]) == (reason, detail)
        assert sensor.point.faults[reason] == max(number - 1, 1)
        assert reading(first, sensor.point).reason in (reason, "meter-failed", "not-a-number")
    sensor.sample(clock)
    assert (sensor.point.time, sensor.point.energy_j, sensor.point.reason) == (23.0, 2.0, "")
    assert reading(first, sensor.point).reason == "not-a-number"
    sensor.sample(clock)
    assert (sensor.point.value, sensor.point.reason) == (0.0, "")
    assert MeterError.reason == "failed"


def test_the_refresh_period_is_the_median_of_eight() -> None:
    def watched(read: Callable[[float], float], seconds: float) -> Sample:
        """The period found in a sensor that is a function of time, and how long it took."""
        now = [100.0]
        found = update_period_s(
            lambda: read(now[0] - 100.0),
            seconds=seconds,
            clock=lambda: now[0],
            sleep=lambda s: now.__setitem__(0, now[0] + s),
        )
        return found, now[0] - 100.0

    for period in (0.02, 0.1):
        found, took = watched(lambda t, p=period: math.floor(t / p), 5)
        assert found == pytest.approx(period, abs=2e-3)
        assert took == pytest.approx(9 * period, abs=5e-3)
    late = [0.03, 0.05, 0.07, 0.09, 0.39, 0.41]
    for changes, period in ((late, 0.02), ((0.2, 0.35), 0.15), ((), None), ((0.2,), None)):
        found, took = watched(lambda t, at=changes: 7.0 - sum(t >= c for c in at), 0.5)
        assert math.isnan(found) if period is None else found == pytest.approx(period, abs=2e-3)
        assert took == pytest.approx(0.5, abs=2e-3)
    asked: list[float] = []
    watched(lambda t: asked.append(t) or 7.0, 0.1)
    assert len(asked) == pytest.approx(101, abs=1)  # once a millisecond


# -- from two points to a reading -----------------------------------------------------------------


def test_a_counter_reading_in_figures() -> None:
    samples = (5.0, 10.0), (7.0, 110.0)
    for known, doubt in (
        ({}, 50 * 0.1),  # one refresh of 0.1 s at the mean power of 50 W
        ({"period_s": math.nan}, 50 * 0.1),
        # The highest known power of the edges counts. The skew, twice the way from both, delays.
        ({"powers": (80.0, 60.0), "edges": (5.01, 6.97)}, 80 * (0.1 + 2 * (0.01 + 0.03))),
        # Idle edges do not hide that the counter's rise took this power at least.
        ({"powers": (1.0, 2.0)}, 100 / (2 + 0.1) * 0.1),
    ):
        found = counter(*samples, **known)
        assert (found.energy_j, found.method) == (100.0, "counter")
        assert found.uncertainty_j == pytest.approx(doubt + 1e-3)
        assert found.update_period_s == pytest.approx(known.get("period_s", 0.1), nan_ok=True)


def test_a_power_reading_in_figures() -> None:
    points = power_points((4.5, 10.0), (5.0, 50.0), (6.0, 250.0), (6.5, 150.0))
    skewed = {"edges": (4.995, 6.505)}  # by 0.02 s
    found = reading(points[1], points[3], method="average-power", **skewed)
    assert found.energy_j == 150 * 1.0 + 200 * 0.5
    trapezoids = 0.5 * 200 * 1.0 + 0.5 * 100 * 0.5
    assert found.uncertainty_j == pytest.approx(trapezoids + 1.1 * 100 + 0.02 * 150 + 1e-3)
    down = instant(points[2], points[3], period_s=math.nan)
    assert down.uncertainty_j == pytest.approx(0.5 * 100 * 0.5 + 0.1 * 100 + 1e-3)
    late = instant(points[2], points[3], period_s=math.nan, edges=(5.99, 6.5))
    assert late.uncertainty_j - down.uncertainty_j == pytest.approx(0.02 * 250)
    # Average power is less certain by the second over which it averages.
    moment = instant(points[1], points[3], **skewed)
    assert found.uncertainty_j - moment.uncertainty_j == pytest.approx(100 * 1.0)


def test_nothing_is_clamped_and_the_edge_that_failed_is_named() -> None:
    for samples, reason, detail in (
        (((0.0, 9000.0), (1.0, 5.0)), "reset", "the counter fell from 9000.000 J to 5.000 J"),
        (((0.0, 5.0), (0.05, 5.0)), "too-short", "the counter did not step in 0.050 s; it "),
        (((0.0, 5.0), (0.5, 5.0), (1.5, 5.0)), "frozen",
         "at the end the counter had not moved for 1.5 s"),
    ):  # fmt: skip
        found = counter(*samples)
        assert (found.valid, found.reason) == (False, reason)
        assert math.isnan(found.energy_j)
        assert found.detail.startswith(detail)
    assert counter((3.0, 5.0), (3.5, 5.0), (7.0, 5.0), (8.0, 6.0)).valid  # moved at the end
    for method in ("counter", "instant-power"):
        found = reading(Point(), Point(), method)
        assert (found.reason, found.detail) == ("unsupported", "at the start: unsupported")
    start, moved = counter_points((1.0, 5.0), (1.5, 50.0))
    found = reading(start, moved.failed("query-failed", "a timeout"))
    assert (found.reason, found.detail) == ("query-failed", "at the end: a timeout")
    still, after = counter_points((1.0, 50.0), (9.0, 50.0), (9.5, 60.0))[1:]
    assert reading(still, after).detail == "at the start the counter had not moved for 8.0 s"


def test_a_counter_is_frozen_after_ten_periods_and_a_second_at_least() -> None:
    for period_s, limit_s in ((math.nan, 1.0), (0.02, 1.0), (0.5, 5.0)):
        for still_s, reason in ((0.99 * limit_s, ""), (1.01 * limit_s, "frozen")):
            start, _, stop = counter_points((0.0, 1.0), (0.1, 2.0), (0.1 + still_s, 2.0))
            assert reading(start, stop, period_s=period_s).reason == reason


def test_samples_of_power_too_far_apart_do_not_represent_the_time_between() -> None:
    points = power_points((0.0, 100.0), (0.5, 100.0), (3.0, 100.0), (3.5, 100.0), (4.5, 100.0))
    found = instant(points[0], points[3])
    assert (found.reason, found.detail) == ("gap", "2.50 s between two samples of power")
    assert instant(points[2], points[4]).valid


def test_faults_between_good_edges() -> None:
    """Failed queries are flagged; of graver faults the gravest is the reason."""
    for first, method in (
        (counter_points((0.0, 5.0))[0], "counter"),
        (power_points((0.0, 5.0))[0], "instant-power"),
    ):
        add = counted if method == "counter" else partial(integrated, max_gap_s=1.0)
        for times, flags in ((0, ()), (2, ("failed-samples",))):
            stop = first
            for _ in range(times):
                stop = stop.failed("query-failed", "a timeout")
            stop = add(stop, 0.5, 150.0)
            assert reading(first, stop, method).flags == flags
            assert stop.faults["query-failed"] == times
    (first,) = counter_points((0.0, 5.0))
    point = first
    for reason in ("query-failed", "gap", "meter-failed", "not-a-number", "reset", "gpu-lost"):
        point = counted(point, 0.1, 1.0) if reason == "reset" else point.failed(reason, reason)
        assert reading(first, point).reason == reason
    # What happened before a window is not its fault.
    before = counted(point, 0.2, 2.0)
    assert reading(before, counted(before, 0.3, 3.0)).energy_j == 1.0


def test_agreement_has_four_outcomes() -> None:
    def known(energy: float, doubt: float) -> Reading:
        return Reading(energy_j=energy, method="counter", uncertainty_j=doubt)

    for energy, doubts, outcome in (
        (105.0, (0.0, 0.0), "agree"),
        (95.0, (0.0, 0.0), "agree"),
        (105.5, (1.0, 4.0), "apart"),
        (106.0, (3.5, 2.5), "undecided"),
    ):
        assert agreement(known(100.0, doubts[0]), known(energy, doubts[1])) == outcome
    assert agreement(known(100, 1), counter((0.0, 1.0), (0.1, 1.0))) == "unchecked"


# -- the reading of a device ----------------------------------------------------------------------

#: A GPU with a counter and instantaneous power, which must not be shared.
GPU = Source("energy_j", (a_sensor("counter", 0.01), a_sensor("instant-power")), shared="refuse")


def device(
    joules: float,
    watts: Sample,
    edges: Sample = (9.99, 19.98),
    states: tuple[GpuState | None, GpuState | None] = (None, None),
    *,
    source: Source = GPU,
    failed: bool = False,
) -> Reading:
    """Of points ten seconds apart, from 10 s to 20 s: of the counter and of the power."""
    counts = counter_points((10.0, 5.0), (20.0, 5.0 + joules))
    powers = power_points((10.0, watts[0]), (20.0, watts[1]), max_gap_s=60.0)
    if failed:
        powers[1] = powers[1].failed("query-failed", "")
    columns = zip(edges, zip(counts, powers, strict=True), states, strict=True)
    return source.reading("a", *(Edge(t, 0.0, {"a": p}, {"a": state}) for t, p, state in columns))


def test_the_powers_and_the_skew_of_the_edges_are_in_the_uncertainty() -> None:
    states = GpuState(temperature_c=40.0), GpuState(temperature_c=60.0)
    found = device(2_000, (100.0, 300.0), states=states)
    skew = 2 * (0.01 + 0.02)
    assert (found.energy_j, found.method) == (2_000, "counter")
    assert found.uncertainty_j == pytest.approx(300 * (0.01 + skew) + 1e-3)
    assert (found.start, found.stop, found.update_period_s) == (*states, 0.01)
    assert (found.integral_j, found.agreement, found.flags) == (2_000, "agree", ())
    # A power that failed at an edge is not known there.
    found = device(2_000, (100.0, 300.0), (10.0, 20.0), failed=True)
    assert found.uncertainty_j == pytest.approx(2_000 / 10.01 * 0.01 + 1e-3)
    assert (found.agreement, math.isnan(found.integral_j)) == ("unchecked", True)
    # An invalid reading keeps the states too.
    found = device(-2, (1.0, 1.0), states=states)
    assert (found.reason, found.start, found.stop) == ("reset", *states)
    found = device(2_200, (200.0, 200.0))
    assert (found.agreement, found.flags) == ("apart", ("counter-against-power",))


def test_above_the_limit_is_beyond_the_higher_limit_and_the_uncertainty() -> None:
    """Of two limits the higher counts, 1.2 of it: 300 W allow 3,600 J in 10 s."""

    def flags(joules: float, *limits: float) -> tuple[str, ...]:
        first, second = (GpuState(power_limit_w=limit) for limit in limits)
        found = device(joules, (joules / 10, joules / 10), (10.0, 20.0), (first, second))
        assert found.valid
        return found.flags

    doubt = 360 * 0.01
    for limits in ((300.0, 200.0), (200.0, 300.0), (math.nan, 300.0), (300.0, math.nan)):
        assert flags(3_600 + 0.5 * doubt, *limits) == ()
        assert flags(3_600 + 1.5 * doubt, *limits) == ("above-power-limit",)
    assert flags(99_999, math.nan, math.nan) == ()


def test_others_at_either_edge_are_named_once_and_in_order() -> None:
    def state(*pids: int) -> GpuState:
        return GpuState(others=tuple(GpuProcess(pid, 1.0, True) for pid in pids))

    def used(*pair: GpuState | None, source: Source = GPU) -> Reading:
        return device(1_000, (100.0, 100.0), states=pair or (None, None), source=source)

    for pair in ((state(9, 4), state(9)), (state(9), state(4, 9)), (state(4, 9), None)):
        found = used(*pair)
        assert (found.reason, found.detail) == ("shared", "other processes used the GPU: [4, 9]")
        assert (found.method, found.update_period_s) == ("counter", 0.01)
        assert (found.start, found.stop) == pair
    assert used(state(), GpuState()).valid
    flagging = replace(GPU, shared="flag")
    assert used(state(9), None, source=flagging).flags == ("shared",)
    assert used(source=replace(GPU, divided=True)).flags == ("shared",)
    draws = GpuState(others=(GpuProcess(7, 1.0, True, draws=True),))
    assert used(draws, None).reason == "shared"
    lenient = replace(GPU, shared="graphics")
    assert used(state(9), draws, source=lenient).detail.endswith(": [9]")
    for source in (flagging, lenient):
        assert used(draws, None, source=source).flags == ("graphics",)
