"""Running sums, readings, windows, parts and net energy: closed forms, properties, round trips."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.energy import (
    Baseline,
    CpuState,
    GpuProcess,
    GpuState,
    Reading,
    Window,
    check_parts,
    net,
)
from naslib_ecnas.energy.readings import (
    CounterPoint,
    CounterTrack,
    PowerPoint,
    PowerTrack,
    agreement,
    check_name,
    counter_reading,
    frozen_after_s,
    invalid,
    power_reading,
    skew_s,
    update_period_s,
)
from naslib_ecnas.errors import ConfigError, FormatError

finite = st.floats(0, 1e4, allow_nan=False)


def counter_points(*samples: tuple[float, float], **options: Any) -> list[CounterPoint]:
    track, points = CounterTrack(**options), []
    for time, value in samples:
        track.push(time, value)
        points.append(track.point(time))
    return points


def power_points(*samples: tuple[float, float], max_gap_s: float = 1.0) -> list[PowerPoint]:
    track, points = PowerTrack(max_gap_s=max_gap_s), []
    for time, power in samples:
        track.push(time, power)
        points.append(track.point(time))
    return points


def counter(*samples: tuple[float, float], period_s: float = 0.1, **known: Any) -> Reading:
    """The reading between the first and the last of some samples."""
    points = counter_points(*samples)
    return counter_reading(points[0], points[-1], period_s=period_s, **known)


def instant(start: PowerPoint, stop: PowerPoint, period_s: float = 0.1, **known: Any) -> Reading:
    return power_reading(start, stop, method="instant-power", period_s=period_s, **known)


# -- running sums ---------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.01, 0.5), finite), min_size=2, max_size=15), st.data())
@settings(max_examples=100, deadline=None)
def test_two_points_of_a_power_track_are_the_trapezoids_between_them(
    samples: list[tuple[float, float]], data: st.DataObject
) -> None:
    times = np.cumsum([dt for dt, _ in samples])
    powers = np.array([power for _, power in samples])
    i = data.draw(st.integers(0, len(samples) - 2))
    j = data.draw(st.integers(i + 1, len(samples) - 1))
    points = power_points(*zip(times.tolist(), powers.tolist(), strict=True))
    reading = instant(points[i], points[j], 0.02)
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
    """A counter that shows the energy used until its last refresh, of a power that rises."""

    def used(t: float) -> float:
        return power * t + 0.5 * ramp * t * t

    def shown(t: float) -> float:
        return round(used(math.floor(t / period) * period), 3)

    times = (start - period, start, start + seconds)
    points = counter_points(*((t, shown(t)) for t in times))
    edges = (power + ramp * start, power + ramp * (start + seconds))
    reading = counter_reading(*points[1:], period_s=period, edge_power_w=edges)
    assert reading.valid
    exact = used(start + seconds) - used(start)
    assert abs(reading.energy_j - exact) <= reading.uncertainty_j + 1e-6


@given(st.lists(st.floats(0, 50), min_size=1, max_size=60), st.floats(100, 300))
@settings(max_examples=100, deadline=None)
def test_a_wrapping_counter_gives_the_sum_of_its_steps(steps: list[float], wrap: float) -> None:
    sums = [0.0, *np.cumsum(steps).tolist()]
    samples = [(float(i), math.fmod(total, wrap)) for i, total in enumerate(sums)]
    point = counter_points(*samples, wrap_j=wrap, max_power_w=99.0)[-1]
    assert point.rise_j == pytest.approx(sums[-1], abs=1e-6)
    assert point.faults.resets == point.faults.gaps == 0


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_fall_of_a_counter_without_wraps_is_a_reset(values: list[float]) -> None:
    point = counter_points(*((0.1 * i, value) for i, value in enumerate(values)))[-1]
    assert point.faults.resets == sum(b < a for a, b in pairwise(values))


def test_a_fall_is_a_wrap_up_to_the_power_of_the_device() -> None:
    """From 90 J of 100 J down to 10 J are 20 J: of 10 W in 1 s, and 1 s for the refreshes."""
    for first, value, resets, rise in (
        (90.0, 10.0, 0, 20.0),
        (90.0, 10.5, 1, 0.0),
        (90.0, 20.0, 1, 0.0),
        (100.25, 0.0, 1, 0.0),  # above the wrap: not a value of this counter
        (100.0, 0.0, 0, 0.0),  # from the wrap itself to 0 nothing was used
    ):
        point = counter_points((0.0, first), (1.0, value), wrap_j=100.0, max_power_w=10.0)[-1]
        assert (point.faults.resets, point.rise_j) == (resets, rise)
        assert ("no wrap explains it" in point.faults.detail) == bool(resets)


def test_a_gap_that_could_hide_a_wrap_is_a_fault() -> None:
    samples = (0.0, 5.0), (9.0, 50.0), (19.5, 60.0)
    points = counter_points(*samples, wrap_j=100.0, max_power_w=10.0)
    assert [point.faults.gaps for point in points] == [0, 0, 1]


# -- the refresh period ---------------------------------------------------------------------------


def watched(read: Callable[[float], float], seconds: float) -> tuple[float, float]:
    """The period found in a sensor that is a function of time, and how long it took."""
    now = [100.0]
    found = update_period_s(
        lambda: read(now[0] - 100.0),
        seconds=seconds,
        clock=lambda: now[0],
        sleep=lambda s: now.__setitem__(0, now[0] + s),
    )
    return found, now[0] - 100.0


def test_the_refresh_period_is_the_median_of_eight() -> None:
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


# -- readings -------------------------------------------------------------------------------------


def test_a_counter_reading_in_figures() -> None:
    samples = (5.0, 10.0), (7.0, 110.0)
    reading = counter(*samples)
    assert (reading.energy_j, reading.method) == (100.0, "counter")
    # The mean power over the window is 50 W; one refresh of 0.1 s of it, and 1 mJ.
    assert reading.uncertainty_j == pytest.approx(50 * 0.1 + 1e-3)
    unknown = counter(*samples, period_s=math.nan)
    assert math.isnan(unknown.update_period_s)
    assert unknown.uncertainty_j == reading.uncertainty_j
    # The highest known power of the edges counts; the skew is a delay as well.
    reading = counter(*samples, edge_power_w=(math.nan, 80.0, 60.0), skew_s=0.02)
    assert reading.uncertainty_j == pytest.approx(80 * (0.1 + 0.02) + 1e-3)
    # Idle edges do not hide that the counter's rise took this power at least.
    reading = counter(*samples, edge_power_w=(1.0, 2.0))
    assert reading.uncertainty_j == pytest.approx(100 / (2 + 0.1) * 0.1 + 1e-3)
    assert frozen_after_s(math.nan) == frozen_after_s(0.02) == 1.0
    assert frozen_after_s(0.5) == 5.0


def test_a_power_reading_in_figures() -> None:
    points = power_points((4.5, 10.0), (5.0, 50.0), (6.0, 250.0), (6.5, 150.0))
    found = power_reading(points[1], points[3], method="average-power", period_s=0.1, skew_s=0.02)
    assert found.energy_j == 150 * 1.0 + 200 * 0.5
    trapezoids = 0.5 * 200 * 1.0 + 0.5 * 100 * 0.5
    assert found.uncertainty_j == pytest.approx(trapezoids + 1.1 * 100 + 0.02 * 150 + 1e-3)
    down = instant(points[2], points[3], math.nan)
    assert down.uncertainty_j == pytest.approx(0.5 * 100 * 0.5 + 0.1 * 100 + 1e-3)
    skewed = instant(points[2], points[3], math.nan, skew_s=0.02)
    assert skewed.uncertainty_j - down.uncertainty_j == pytest.approx(0.02 * 250)
    # Average power is less certain by the second over which it averages.
    moment = instant(points[1], points[3], skew_s=0.02)
    assert found.uncertainty_j - moment.uncertainty_j == pytest.approx(100 * 1.0)


def test_the_skew_is_twice_the_way_from_both_edges() -> None:
    start, stop = counter_points((1.01, 1.0), (2.03, 2.0))
    assert skew_s(start, stop, (1.0, 2.0)) == pytest.approx(2 * (0.01 + 0.03))
    assert skew_s(start, stop, (1.02, 2.04)) == pytest.approx(2 * (0.01 + 0.01))


def test_a_reading_keeps_the_states_of_its_edges_valid_or_not() -> None:
    states = GpuState(temperature_c=40.0), GpuState(temperature_c=60.0)
    never = PowerTrack(max_gap_s=1.0).point(0.0)
    points = power_points((0.5, 100.0), (1.0, 100.0))
    readings = [instant(a, b, 0.02, states=states) for a, b in (points, (never, points[0]))]
    readings += [
        counter((0.0, 1.0), (1.0, last), period_s=0.02, states=states) for last in (9.0, 0.5)
    ]
    assert [found.valid for found in readings] == [True, False, True, False]
    for found in readings:
        assert (found.start, found.stop, found.update_period_s) == (*states, 0.02)


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
    never = CounterTrack().point(1.0)
    found = counter_reading(never, never, period_s=0.1)
    assert (found.reason, found.detail) == ("unsupported", "at the start: unsupported")
    power = PowerTrack(max_gap_s=1).point(1.0)
    assert not instant(power, power).valid
    track = CounterTrack()
    track.push(1.0, 5.0)
    start = track.point(1.0)
    track.push(1.5, 50.0)
    track.fail(2.0, "query-failed", "a timeout")
    stop = track.point(2.0)
    found = counter_reading(start, stop, period_s=0.1)
    assert (found.reason, found.detail) == ("query-failed", "at the end: a timeout")
    assert (stop.time, stop.fresh, math.isnan(stop.rise_j)) == (2.0, False, True)
    track.push(9.0, 50.0)
    still = track.point(9.0)
    track.push(9.5, 60.0)
    found = counter_reading(still, track.point(9.5), period_s=0.1)
    assert found.detail == "at the start the counter had not moved for 7.5 s"


def test_values_that_are_not_numbers_of_at_least_0() -> None:
    for bad in (math.nan, math.inf, -1.0):
        assert counter((0.0, 1.0), (1.0, bad)).reason == "not-a-number"
        assert counter((0.0, 1.0), (1.0, bad), (1.1, 5.0)).reason == "not-a-number"
        points = power_points((0.0, 100.0), (0.5, bad), (1.0, 100.0))
        assert instant(points[0], points[2]).reason == "not-a-number"
    assert counter((0.0, 0.0), (1.0, 3.0)).energy_j == 3.0
    assert instant(*power_points((0.0, 0.0), (1.0, 3.0))).energy_j == 1.5


def test_samples_of_power_too_far_apart_do_not_represent_the_time_between() -> None:
    points = power_points((0.0, 100.0), (0.5, 100.0), (3.0, 100.0), (3.5, 100.0), (4.5, 100.0))
    found = instant(points[0], points[3])
    assert (found.reason, found.detail) == ("gap", "2.50 s between two samples of power")
    assert instant(points[2], points[4]).valid


def test_a_failed_sample_between_good_edges_is_flagged() -> None:
    for failed, flags in ((0, ()), (2, ("failed-samples",))):
        counted, power = CounterTrack(), PowerTrack(max_gap_s=1.0)
        for track in (counted, power):
            track.push(0.0, 100.0)
        starts = counted.point(0.0), power.point(0.0)
        for track in (counted, power):
            for i in range(failed):
                track.fail(0.1 * i, "query-failed", "a timeout")
            track.push(0.5, 150.0)
        assert counter_reading(starts[0], counted.point(0.5), period_s=0.1).flags == flags
        assert instant(starts[1], power.point(0.5)).flags == flags
        assert counted.point(0.5).faults.failed == power.point(0.5).faults.failed == failed


def test_the_gravest_fault_is_the_reason() -> None:
    track = CounterTrack()
    track.push(0.0, 5.0)
    first = track.point(0.0)
    for reason in ("query-failed", "not-a-number", "reset", "gpu-lost"):
        if reason == "reset":
            track.push(0.1, 1.0)
        else:
            track.fail(0.1, reason, reason)
        assert counter_reading(first, track.point(0.1), period_s=0.1).reason == reason
    # What happened before a window is not its fault.
    track.push(0.2, 2.0)
    before = track.point(0.2)
    track.push(0.3, 3.0)
    assert counter_reading(before, track.point(0.3), period_s=0.1).energy_j == 1.0


def test_agreement_has_four_outcomes() -> None:
    def reading(energy: float, doubt: float) -> Reading:
        return Reading(energy_j=energy, method="counter", uncertainty_j=doubt)

    for energy, doubts, outcome in (
        (105.0, (0.0, 0.0), "agree"),
        (95.0, (0.0, 0.0), "agree"),
        (105.5, (1.0, 4.0), "apart"),
        (106.0, (3.5, 2.5), "undecided"),
    ):
        assert agreement(reading(100.0, doubts[0]), reading(energy, doubts[1])) == outcome
    assert agreement(reading(100, 1), counter((0.0, 1.0), (0.1, 1.0))) == "unchecked"


def test_a_reading_cannot_contradict_itself() -> None:
    for fields in (
        {"energy_j": math.nan}, {"energy_j": math.inf}, {"energy_j": 1.0, "reason": "reset"},
        {"energy_j": 0.0, "valid": False, "reason": "reset"}, {"energy_j": 1.0, "method": "guess"},
        {"energy_j": math.nan, "valid": False}, {"energy_j": 1.0, "agreement": "maybe"},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            Reading(**{"method": "counter", **fields})  # type: ignore[arg-type]


# -- windows --------------------------------------------------------------------------------------


def full_window() -> Window:
    """Every field differs from its default and from every other."""
    processes = GpuProcess(17, 2.0**30, False), GpuProcess(18, 2.0**20, True)
    known = {"throttle_reasons": ("software-thermal",), "unsupported": ("fan",)}
    state = GpuState(101.0, 61.0, 1410.0, 1593.0, 400.0, others=processes, **known)
    idle = GpuState(*[1.0] * 5, throttle_reasons=(), others=())
    figures = {"uncertainty_j": 2.0, "update_period_s": 0.02, "integral_j": 301.0}
    words = {"detail": "words", "agreement": "agree", "flags": ("shared", "failed-samples")}
    reading = Reading(300.0, "counter", start=state, stop=idle, **figures, **words)

    def plain(joules: float, method: str) -> Reading:
        return Reading(joules, method, True, "", "", 1, 1, 1)

    return Window(
        name="train",
        path="total/train",
        index=3,
        parent=2,
        started=10.0,
        stopped=12.5,
        started_unix=1.7e9,
        stopped_unix=1.7e9 + 2.25,
        energy_j={"GPU-a": reading, "GPU-b": plain(5.0, "counter")},
        cpu_energy_j={"package-0": plain(40.0, "rapl")},
        dram_energy_j={"package-0/dram": plain(7.0, "rapl")},
        cpu_state=CpuState("measured", "package-0", "none needed"),
        error="ZeroDivisionError",
    )


def test_every_field_of_a_window_survives_json() -> None:
    given = full_window()
    assert Window.from_dict(given.to_dict()) == given
    assert Window.from_json(given.to_json(indent=1)) == given
    plain = given.to_dict()
    assert (plain["seconds"], plain["valid"]) == (2.5, True)
    assert [plain[f"{kind}_total_j"] for kind in ("gpu", "cpu", "dram")] == [305, 40, 7]
    # What is unknown stays unknown.
    bad = invalid("reset", "it fell", method="counter", start=GpuState())
    empty = Window("a", "a", 0, None, 1.0, 2.0, 1.0, 2.0, energy_j={"GPU-a": bad})
    assert '"energy_j": null' in empty.to_json()
    assert '"gpu_total_j": null' in empty.to_json()
    again = Window.from_json(empty.to_json())
    assert (again.parent, again.energy_j["GPU-a"].reason) == (None, "reset")
    assert again.energy_j["GPU-a"].stop is None
    state = again.energy_j["GPU-a"].start
    assert state is not None
    assert (state.throttle_reasons, state.others, state.unsupported) == (None, None, ())
    assert math.isnan(state.power_w)
    assert (again.cpu_state, again.error) == (CpuState("off", "", ""), "")


def test_what_is_not_a_window() -> None:
    plain = full_window().to_dict()
    derived = {"seconds", "valid", "gpu_total_j", "cpu_total_j", "dram_total_j"}
    wrong = [{k: v for k, v in plain.items() if k != gone} for gone in plain.keys() - derived]
    for name, value in (
        ("index", math.inf),
        ("started", "soon"),
        ("energy_j", 3),
        ("cpu_state", {"sort": "measured"}),
        ("energy_j", {"GPU-a": {}}),
    ):
        wrong.append({**plain, name: value})
    for data in wrong:
        with pytest.raises(FormatError):
            Window.from_dict(data)
    for text in ("", "{}", "[]", '{"name": "a"}'):
        with pytest.raises(FormatError):
            Window.from_json(text)


def test_each_reason_is_given_once() -> None:
    bad = {
        name: invalid(reason, "", method="counter")
        for name, reason in (("GPU-a", "reset"), ("GPU-b", "gap"), ("GPU-c", "reset"))
    }
    good = Reading(energy_j=1.0, method="counter")
    mixed = Window("a", "a", 0, None, 1.0, 2.0, 1.0, 2.0, energy_j={**bad, "GPU-d": good})
    assert (mixed.valid, mixed.reasons) == (False, ("reset", "gap"))
    assert math.isnan(mixed.gpu_total_j)


def test_a_name_is_a_text_without_a_slash() -> None:
    for bad in ("", "a/b", "/", 3, None, b"a"):
        with pytest.raises(ConfigError, match="without a slash"):
            check_name(bad)
    assert check_name("a b") == "a b"


# -- parts and net energy -------------------------------------------------------------------------

BAD = {"GPU-a": invalid("reset", "it fell", method="counter")}


def window(name: str, seconds: float, energy: float, **fields: Any) -> Window:
    reading = Reading(energy_j=energy, method="counter", uncertainty_j=1.0)
    values = {"path": name, "index": 0, "parent": None, "energy_j": {"GPU-a": reading}, **fields}
    times = {"started": 10.0, "stopped": 10.0 + seconds, "started_unix": 0, "stopped_unix": seconds}
    return Window(name=name, **times, **values)


def test_parts_that_do_not_fit_are_off() -> None:
    total = window("total", 10, 1000)
    first = window("a", 4, 400, index=1, parent=0)
    (check,) = check_parts(total, [first, window("b", 6, 600, index=2, parent=0), total])
    assert (check.verdict, check.rest_j) == ("ok", 0)
    assert check.tolerance_j == pytest.approx(3)
    # 100 J in 1 uncovered second, where at most 100 W were seen, is just possible; 110 J are not.
    for seconds, energy, verdict in ((6, 604, "off"), (5, 500, "ok"), (5, 490, "off")):
        part = window("b", seconds, energy, index=2, parent=0)
        assert check_parts(total, [first, part])[0].verdict == verdict


def test_the_rest_is_compared_with_the_highest_power_known() -> None:
    """4.5 of 10 s are covered; the others have used what is missing, or not."""

    def total(energy: float, **states: GpuState) -> Window:
        reading = Reading(energy_j=energy, method="counter", uncertainty_j=1.0, **states)
        return window("total", 10, 0, index=5, energy_j={"GPU-a": reading})

    parts = [
        window("a", 4, 400, index=6, parent=5),
        window("b", 0.5, 75, index=7, parent=5),
        window("c", 0, 0, index=8, parent=5),  # no time, and so no mean
        window("deeper", 2, 999, index=9, parent=6),
        window("elsewhere", 2, 999, index=10, parent=None),
    ]
    limited = GpuState(power_limit_w=200.0)
    over = GpuState(power_w=400.0, power_limit_w=250.0)
    for power, states in (
        (150.0, {}),  # the highest mean, of the part b
        (170.0, {"start": GpuState(power_w=170.0), "stop": GpuState()}),
        (160.0, {"start": GpuState(power_w=20.0), "stop": GpuState(power_w=160.0)}),
        (250.0, {"start": over, "stop": limited}),  # the limit, whatever the edges drew
        (200.0, {"start": GpuState(power_w=400.0), "stop": limited}),
    ):
        whole = total(1000, **states)
        (check,) = check_parts(whole, [*parts, whole])
        assert (check.device, check.verdict) == ("GPU-a", "ok")
        assert (check.total_j, check.parts_j, check.rest_j) == (1000, 475, 525)
        assert (check.uncovered_s, check.most_rest_j) == (5.5, 5.5 * power)
        assert check.tolerance_j == pytest.approx(1 + 3 + 1e-6, abs=1e-9)
    # Both ends of what is possible: nothing used in the 5.5 s, and 150 W throughout.
    for energy, verdict in ((470.9, "off"), (471.1, "ok"), (1303.9, "ok"), (1304.1, "off")):
        assert check_parts(total(energy), parts)[0].verdict == verdict
    assert check_parts(total(0), parts[2:3])[0].most_rest_j == 0
    # Windows that overlap leave 0 s uncovered, not less.
    overlap = [window("a", 8, 500, index=6, parent=5), window("b", 8, 500, index=7, parent=5)]
    assert check_parts(total(1000), overlap)[0].uncovered_s == 0


def test_parts_are_unknown_where_a_reading_is_missing_or_invalid() -> None:
    total = window("total", 10, 1000)
    assert check_parts(total, [])[0].verdict == "unknown"
    good = window("b", 4, 400, index=2, parent=0)
    bad = window("a", 4, 0, index=1, parent=0, energy_j=BAD)
    without = window("c", 4, 0, index=3, parent=0, energy_j={})
    for parts in ([bad], [good, bad], [good, without]):
        (check,) = check_parts(total, parts)
        assert (check.verdict, check.total_j) == ("unknown", 1000)
        assert math.isnan(check.parts_j + check.rest_j)
        assert math.isnan(check.tolerance_j + check.most_rest_j)
        assert check.uncovered_s == 10 - sum(part.seconds for part in parts)
    assert check_parts(window("total", 10, 0, energy_j=BAD), [good])[0].verdict == "unknown"


def test_net_is_gross_minus_rest() -> None:
    before = Baseline.of(window("baseline", 10, 500))
    after = Baseline.of(window("baseline", 10, 1300))
    work = window("train", 100, 20_000)
    one = net(work, before)["GPU-a"]
    assert (one.gross_j, one.idle_w, one.energy_j) == (20_000, 50, 15_000)
    assert one.uncertainty_j == pytest.approx(1 + 100 * 1 / 10)
    both = net(work, before, after)["GPU-a"]
    assert (both.idle_w, both.energy_j) == (90, 11_000)
    assert both.uncertainty_j == pytest.approx(1 + 100 * (1 / 10 + 40))
    bad = window("baseline", 10, 0, energy_j=BAD)
    assert math.isnan(net(window("train", 1, 5), Baseline.of(bad))["GPU-a"].energy_j)
    assert math.isnan(net(bad, before)["GPU-a"].energy_j)


def test_net_covers_every_device_and_its_uncertainty_the_change_at_rest() -> None:
    def all_three(seconds: float, *energies: float, doubt: float = 1.0) -> Window:
        gpu, cpu, dram = (Reading(energy_j=e, method="rapl", uncertainty_j=doubt) for e in energies)
        devices = {"cpu_energy_j": {"package-0": cpu}, "dram_energy_j": {"package-0/dram": dram}}
        return window("w", seconds, 0, energy_j={"GPU-a": gpu}, **devices)

    before = Baseline.of(all_three(10, 500, 200, 50, doubt=4.0))
    after = Baseline.of(all_three(5, 200, 100, 25, doubt=1.0))
    assert before.power_w == {"GPU-a": 50, "package-0": 20, "package-0/dram": 5}
    assert set(before.uncertainty_w.values()) == {0.4}
    assert after.uncertainty_w["GPU-a"] == 0.2
    found = net(all_three(100, 9_000, 3_000, 400, doubt=7.0), before, after)
    assert {name: n.energy_j for name, n in found.items()} == {
        "GPU-a": 9_000 - 45 * 100,
        "package-0": 1_000,
        "package-0/dram": -100,
    }
    # The worse of the two baselines, 0.4 W, and half of the 10 W between them.
    assert found["GPU-a"].uncertainty_j == pytest.approx(7 + 100 * (0.4 + 5))
    assert found["package-0"].uncertainty_j == pytest.approx(7 + 100 * 0.4)
    # A device without a baseline has no net energy.
    lone = net(all_three(100, 9_000, 3_000, 400), Baseline.of(window("baseline", 10, 500)))
    assert (lone["GPU-a"].energy_j, lone["package-0"].gross_j) == (4_000, 3_000)
    assert math.isnan(lone["package-0"].energy_j)
    assert math.isnan(lone["package-0"].uncertainty_j)
