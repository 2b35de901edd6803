"""Meters without hardware: none, and a trace of power."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.energy import Meter, NullMeter, ReplayMeter, check_parts
from naslib_ecnas.errors import ConfigError


def test_every_meter_has_one_interface_and_knows_enclosing_windows_at_any_depth() -> None:
    for meter in (NullMeter(), ReplayMeter()):
        assert isinstance(meter, Meter)
        with meter:
            with meter.window("first"):
                pass
            with meter.window("total"), meter.window("evaluation"):
                for split in ("train", "test"):
                    with meter.window(split):
                        pass
        meter.close()
        assert [(w.path, w.index, w.parent) for w in meter.windows] == [
            ("first", 0, None),
            ("total/evaluation/train", 3, 2),
            ("total/evaluation/test", 4, 2),
            ("total/evaluation", 2, 1),
            ("total", 1, None),
        ]
        for w in meter.windows:
            reason = "unmeasured" if isinstance(meter, NullMeter) else "outside-trace"
            assert (w.reasons, w.cpu_state.kind, w.valid) == ((reason,), "off", False)
            assert math.isnan(w.gpu_total_j)
            assert w.seconds >= 0


def test_a_trace_integrates_in_closed_form(clock: Any) -> None:
    """100 W rising by 10 W a second: from 2 s to 5 s it is 300 + 5 (25 - 4) J."""
    meter = ReplayMeter.of_trace([0, 10], [100, 200], clock=clock)
    clock.now += 2
    with meter.window("train") as w:
        clock.now += 3
    assert w.window.gpu_total_j == pytest.approx(300 + 5 * 21)
    assert w.window.seconds == 3
    assert w.window.energy_j["replayed"].method == "replay"
    with meter.window("beyond its end") as w:
        clock.now += 5.5
    assert w.window.reasons == ("outside-trace",)


@given(st.lists(st.floats(0, 500), min_size=2, max_size=8), st.data())
@settings(max_examples=50, deadline=None)
def test_windows_of_a_trace_add_up(powers: list[float], data: st.DataObject) -> None:
    now = [0.0]
    times = np.arange(len(powers), dtype=float)
    meter = ReplayMeter.of_trace(times, powers, clock=lambda: now[0])
    cuts = sorted(data.draw(st.lists(st.floats(0, times[-1]), min_size=1, max_size=5)))
    with meter.window("total") as total:
        for cut in [*cuts, float(times[-1])]:
            with meter.window("part"):
                now[0] = cut
    parts = [w.gpu_total_j for w in meter.windows if w.name == "part"]
    assert total.window.gpu_total_j == pytest.approx(sum(parts), abs=1e-6)
    grid = np.linspace(0, times[-1], 2001)
    dense = np.interp(grid, times, powers)
    brute = float(np.sum(0.5 * (dense[1:] + dense[:-1])) * (grid[1] - grid[0]))
    assert total.window.gpu_total_j == pytest.approx(brute, rel=1e-3, abs=1)
    (check,) = check_parts(total.window, meter.windows)
    assert check.verdict == "ok"


def test_what_is_not_a_trace() -> None:
    two = [0, 1]
    wrong = [([0], [1]), (two, [1]), ([0, 0], [1, 1]), ([1, 0], [1, 1])]
    for times, powers in (*wrong, (two, [1, -1]), (two, [1, math.nan])):
        with pytest.raises(ConfigError, match="ascending times"):
            ReplayMeter.of_trace(times, powers)
    with ReplayMeter.of_trace([0, 1e6], [1, math.inf]) as meter, meter.window("w") as w:
        pass
    assert w.window.reasons == ("not-a-number",)
