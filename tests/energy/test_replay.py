"""Meters without hardware: replayed windows, a trace of power, nothing; parts and net energy."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.energy import (
    Baseline,
    Meter,
    NullMeter,
    Reading,
    ReplayMeter,
    Window,
    check_parts,
    net,
)
from naslib_ecnas.energy.reading import invalid
from naslib_ecnas.errors import ConfigError, FormatError


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def window(name: str, seconds: float, energy: float, **fields: Any) -> Window:
    reading = Reading(energy_j=energy, method="counter", uncertainty_j=1.0)
    values = {"path": name, "index": 0, "parent": None, "energy_j": {"GPU-a": reading}, **fields}
    return Window(
        name=name,
        started=10.0,
        stopped=10.0 + seconds,
        started_unix=0,
        stopped_unix=seconds,
        **values,
    )


@pytest.mark.parametrize("meter", [NullMeter(), ReplayMeter()])
def test_every_meter_has_one_interface(meter: Any) -> None:
    assert isinstance(meter, Meter)
    with meter, meter.window("total") as total, meter.window("train") as train:
        time.sleep(0.01)
    meter.close()
    assert [w.path for w in meter.windows] == ["total/train", "total"]
    assert train.window.parent == total.index == 0
    assert total.window.seconds >= train.window.seconds >= 0.01
    assert not total.window.valid
    assert math.isnan(total.window.gpu_total_j)
    assert Window.from_json(total.window.to_json()).path == "total"


def test_a_window_knows_the_one_around_it_at_any_depth() -> None:
    meter = NullMeter()
    with meter.window("first"):
        pass
    with meter.window("total"), meter.window("evaluation"):
        for split in ("train", "test"):
            with meter.window(split):
                pass
    assert [(w.path, w.index, w.parent) for w in meter.windows] == [
        ("first", 0, None),
        ("total/evaluation/train", 3, 2),
        ("total/evaluation/test", 4, 2),
        ("total/evaluation", 2, 1),
        ("total", 1, None),
    ]


def test_without_sensors_energy_is_unmeasured_not_zero() -> None:
    meter = NullMeter()
    with meter.window("train") as w:
        pass
    assert w.window.reasons == ("unmeasured",)
    assert w.window.to_dict()["gpu_total_j"] != 0
    assert '"energy_j": null' in w.window.to_json()
    assert w.window.cpu_state.kind == "off"


def test_a_trace_integrates_in_closed_form() -> None:
    """100 W rising by 10 W a second: from 2 s to 5 s it is 300 + 5 (25 - 4) J."""
    clock = Clock()
    meter = ReplayMeter.of_trace([0, 10], [100, 200], clock=clock)
    clock.now += 2
    with meter.window("train") as w:
        clock.now += 3
    assert w.window.gpu_total_j == pytest.approx(300 + 5 * 21)
    assert w.window.seconds == 3
    assert w.window.energy_j["replayed"].method == "replay"


@given(st.lists(st.floats(0, 500), min_size=2, max_size=8), st.data())
@settings(max_examples=50, deadline=None)
def test_windows_of_a_trace_add_up(powers: list[float], data: st.DataObject) -> None:
    clock = Clock()
    times = np.arange(len(powers), dtype=float)
    meter = ReplayMeter.of_trace(times, powers, clock=clock)
    cuts = sorted(data.draw(st.lists(st.floats(0, times[-1]), min_size=1, max_size=5)))
    with meter.window("total") as total:
        for cut in [*cuts, float(times[-1])]:
            with meter.window("part"):
                clock.now = 1000.0 + cut
    parts = [w.gpu_total_j for w in meter.windows if w.name == "part"]
    assert total.window.gpu_total_j == pytest.approx(sum(parts), abs=1e-6)
    grid = np.linspace(0, times[-1], 2001)
    dense = np.interp(grid, times, powers)
    brute = float(np.sum(0.5 * (dense[1:] + dense[:-1])) * (grid[1] - grid[0]))
    assert total.window.gpu_total_j == pytest.approx(brute, rel=1e-3, abs=1)
    (check,) = check_parts(total.window, meter.windows)
    assert check.verdict == "ok"


def test_outside_its_trace_a_window_is_invalid() -> None:
    clock = Clock()
    meter = ReplayMeter.of_trace([0, 1], [100, 100], clock=clock)
    with meter.window("train") as w:
        clock.now += 1.5
    assert w.window.reasons == ("outside-trace",)


@pytest.mark.parametrize(
    ("times", "powers"),
    [
        ([0], [1]),
        ([0, 1], [1]),
        ([0, 0], [1, 1]),
        ([1, 0], [1, 1]),
        ([0, 1], [1, -1]),
        ([0, 1], [1, math.nan]),
    ],
)
def test_what_is_no_trace(times: list[float], powers: list[float]) -> None:
    with pytest.raises(ConfigError, match="no trace"):
        ReplayMeter.of_trace(times, powers)


def test_windows_are_replayed_by_name_in_their_order_and_marked() -> None:
    recorded = [window("train", 3, 300, index=1), window("train", 2, 100, index=0)]
    meter = ReplayMeter(recorded)
    with meter.window("total") as total:
        energies = []
        for _ in range(3):
            with meter.window("train") as w:
                pass
            energies.append(w.window.gpu_total_j)
    assert energies[:2] == [100, 300]
    assert math.isnan(energies[2])
    assert w.window.reasons == total.window.reasons == ("not-recorded",)
    first = meter.windows[0]
    assert (first.path, first.parent, first.seconds) == ("total/train", 0, 2)
    assert first.energy_j["GPU-a"].method == "replay"


def test_parts_that_do_not_fit_are_off() -> None:
    total = window("total", 10, 1000)
    inside = [window("a", 4, 400, index=1, parent=0), window("b", 6, 600, index=2, parent=0)]
    (check,) = check_parts(total, [*inside, total])
    assert (check.verdict, check.rest_j) == ("ok", 0)
    assert check.tolerance_j == pytest.approx(3)
    too_much = [inside[0], window("b", 6, 604, index=2, parent=0)]
    assert check_parts(total, too_much)[0].verdict == "off"
    # 100 J in 1 uncovered second, where at most 100 W were seen, is just possible; 110 J are not.
    shorter = [inside[0], window("b", 5, 500, index=2, parent=0)]
    assert check_parts(total, shorter)[0].verdict == "ok"
    less = [inside[0], window("b", 5, 490, index=2, parent=0)]
    assert check_parts(total, less)[0].verdict == "off"


def test_parts_that_are_invalid_or_missing_prove_nothing() -> None:
    total = window("total", 10, 1000)
    assert check_parts(total, [total])[0].verdict == "unknown"
    bad = {"GPU-a": invalid("reset", "it fell", method="counter")}
    parts = [window("a", 4, 0, index=1, parent=0, energy_j=bad)]
    assert check_parts(total, parts)[0].verdict == "unknown"


def test_net_is_gross_less_rest() -> None:
    before = Baseline.of(window("baseline", 10, 500))
    after = Baseline.of(window("baseline", 10, 600))
    work = window("train", 100, 20_000)
    one = net(work, before)["GPU-a"]
    assert (one.gross_j, one.idle_w, one.energy_j) == (20_000, 50, 15_000)
    assert one.uncertainty_j == pytest.approx(1 + 100 * 1 / 10)
    both = net(work, before, after)["GPU-a"]
    assert (both.idle_w, both.energy_j) == (55, 14_500)
    assert both.uncertainty_j == pytest.approx(1 + 100 * (1 / 10 + 5))


def test_net_of_what_is_invalid_is_not_a_number() -> None:
    bad = window(
        "baseline", 10, 0, energy_j={"GPU-a": invalid("reset", "it fell", method="counter")}
    )
    assert math.isnan(net(window("train", 1, 5), Baseline.of(bad))["GPU-a"].energy_j)
    assert math.isnan(net(bad, Baseline.of(window("baseline", 1, 5)))["GPU-a"].energy_j)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "a"}'])
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(FormatError):
        Window.from_json(text)
