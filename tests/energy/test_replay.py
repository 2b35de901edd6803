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
    GpuState,
    Meter,
    NullMeter,
    Reading,
    ReplayMeter,
    Window,
    check_parts,
    net,
)
from naslib_ecnas.energy.readings import invalid
from naslib_ecnas.errors import ConfigError


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


def test_the_rest_is_held_against_the_highest_power_known() -> None:
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
    means = total(1000)
    limits = {
        # The highest mean, of the part b: 150 W.
        150.0: means,
        # An edge's power; what is not known is left out.
        170.0: total(1000, start=GpuState(power_w=170.0), stop=GpuState()),
        160.0: total(1000, start=GpuState(power_w=20.0), stop=GpuState(power_w=160.0)),
        # The board's limit is the most, whatever was drawn at the edges.
        250.0: total(
            1000,
            start=GpuState(power_w=400.0, power_limit_w=250.0),
            stop=GpuState(power_limit_w=200.0),
        ),
        200.0: total(1000, start=GpuState(power_w=400.0), stop=GpuState(power_limit_w=200.0)),
    }
    for power, whole in limits.items():
        (check,) = check_parts(whole, [*parts, whole])
        assert (check.device, check.verdict) == ("GPU-a", "ok")
        assert (check.total_j, check.parts_j, check.rest_j) == (1000, 475, 525)
        assert check.uncovered_s == 5.5
        assert check.most_rest_j == 5.5 * power
        assert check.tolerance_j == pytest.approx(1 + 3 + 1e-6, abs=1e-9)
    # Both ends of what can be: nothing used in the 5.5 s, and 150 W throughout.
    for energy, verdict in ((470.9, "off"), (471.1, "ok"), (1303.9, "ok"), (1304.1, "off")):
        assert check_parts(total(energy), parts)[0].verdict == verdict
    assert check_parts(total(0), parts[2:3])[0].most_rest_j == 0
    # Windows that overlap leave nothing uncovered, not less than nothing.
    overlap = [window("a", 8, 500, index=6, parent=5), window("b", 8, 500, index=7, parent=5)]
    assert check_parts(means, overlap)[0].uncovered_s == 0


def test_parts_that_are_invalid_or_missing_prove_nothing() -> None:
    total = window("total", 10, 1000)
    assert check_parts(total, [total])[0].verdict == "unknown"
    bad = {"GPU-a": invalid("reset", "it fell", method="counter")}
    good = window("b", 4, 400, index=2, parent=0)
    without = window("c", 4, 0, index=3, parent=0, energy_j={})
    for parts in (
        [window("a", 4, 0, index=1, parent=0, energy_j=bad)],
        [good, window("a", 4, 0, index=1, parent=0, energy_j=bad)],
        [good, without],
    ):
        (check,) = check_parts(total, parts)
        assert (check.verdict, check.total_j) == ("unknown", 1000)
        assert math.isnan(check.parts_j + check.rest_j)
        assert math.isnan(check.tolerance_j + check.most_rest_j)
        assert check.uncovered_s == 10 - sum(part.seconds for part in parts)
    assert check_parts(window("total", 10, 0, energy_j=bad), [good])[0].verdict == "unknown"


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


def test_net_counts_every_device_and_doubts_what_changed() -> None:
    def all_three(seconds: float, *energies: float, doubt: float = 1.0) -> Window:
        gpu, cpu, dram = (Reading(energy_j=e, method="rapl", uncertainty_j=doubt) for e in energies)
        return window(
            "w",
            seconds,
            0,
            energy_j={"GPU-a": gpu},
            cpu_energy_j={"package-0": cpu},
            dram_energy_j={"package-0/dram": dram},
        )

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
    assert lone["GPU-a"].energy_j == 4_000
    assert lone["package-0"].gross_j == 3_000
    assert math.isnan(lone["package-0"].energy_j)
    assert math.isnan(lone["package-0"].uncertainty_j)


def test_net_of_what_is_invalid_is_not_a_number() -> None:
    bad = window(
        "baseline", 10, 0, energy_j={"GPU-a": invalid("reset", "it fell", method="counter")}
    )
    assert math.isnan(net(window("train", 1, 5), Baseline.of(bad))["GPU-a"].energy_j)
    assert math.isnan(net(bad, Baseline.of(window("baseline", 1, 5)))["GPU-a"].energy_j)
