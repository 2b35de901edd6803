"""Hourly carbon traces: closed forms of means and starts, and files that are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.data.carbon_trace import DEFER, EXAMPLE, CarbonTrace
from naslib_ecnas.errors import FormatError

HOUR = 3600.0
#: Half a day at 300 g/kWh, then half a day at 100.
DAY = CarbonTrace("day", np.repeat([300.0, 100.0], 12))


@pytest.mark.parametrize(
    ("start_h", "hours", "mean"),
    [
        (0, 1, 300.0),
        (11, 2, 200.0),
        (11.5, 2, 150.0),
        (12.25, 0, 100.0),
        (23, 4, 250.0),  # it begins anew
        (5, 24 * 30, 200.0),
        (24 * 1000, 12, 300.0),
    ],
)
def test_the_mean_over_a_training(start_h: float, hours: float, mean: float) -> None:
    found = DAY.intensity([start_h * HOUR], [hours * HOUR])
    assert found == pytest.approx([mean], rel=1e-12)


@pytest.mark.parametrize(
    ("rule", "free_h", "hours", "start_h"),
    [
        ("now", 3.5, 2, 3.5),
        ("below-mean", 3.5, 2, 12),
        ("below-mean", 12.5, 2, 12.5),
        ("below-mean", 24, 2, 36),
        ("cheapest-window", 3.5, 2, 12),
        ("cheapest-window", 13.5, 2, 13.5),
        ("cheapest-window", 23.5, 2, 36),
        ("cheapest-window", 3.5, 14, 10),  # or until two hours after midnight, which is later
        ("cheapest-window", 1, 24, 1),
    ],
)
def test_when_a_training_starts(rule: str, free_h: float, hours: float, start_h: float) -> None:
    assert DAY.start(rule, free_h * HOUR, hours * HOUR) == pytest.approx(start_h * HOUR)


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=60),
    st.integers(0, 5000),
    st.integers(1, 3000),
)
def test_no_start_within_a_day_is_cleaner(values: list[int], free: int, minutes: int) -> None:
    trace = CarbonTrace("any", np.array(values, dtype=np.float64))
    start = trace.start("cheapest-window", free * 60.0, minutes * 60.0)
    assert free * 60.0 <= start <= free * 60.0 + 24 * HOUR
    every = free * 60.0 + np.arange(0, 24 * 60 + 1, 7) * 60.0
    best = trace.intensity(every, np.full(len(every), minutes * 60.0)).min()
    assert trace.intensity([start], [minutes * 60.0])[0] <= best + 1e-9
    waited = trace.start("below-mean", free * 60.0, 1.0)
    assert trace.intensity([waited], [0.0])[0] <= trace.mean + 1e-9


def test_the_trace_of_the_package() -> None:
    trace = CarbonTrace.read(EXAMPLE)
    assert (trace.name, len(trace.g_per_kwh)) == (EXAMPLE, 168)
    assert trace.to_json()["mean_g_per_kwh"] == pytest.approx(200.7, abs=0.05)
    assert DEFER[0] == "now"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "one hour or more"),
        ("hour,g\n", "one hour or more"),
        ("hour,g\n2022-01-01T00:00Z,1\n2022-01-01T02:00Z,1\n", "line 3"),
        ("hour,g\n2022-01-01T00:00Z,1\n2022-01-01T00:00Z,1\n", "line 3"),
        ("hour,g\n2022-01-01T00:00Z,1\n2022-01-01T01:00,1\n", "line 3"),
        ("hour,g\n2022-01-01T00:00Z,\n", "line 2"),
        ("hour,g\n2022-01-01T00:00Z,nan\n", "finite number"),
        ("hour,g\n2022-01-01T00:00Z,-1\n", "at least 0"),
        ("hour,g\n2022-01-01T00:00Z,1e9\n", "at most 100000"),
        ("hour,g\n2022-01-01T00:00Z,1,2\n", "line 2"),
        ("# mine\nhour,g\nmonday,1\n", "line 3"),
    ],
)
def test_a_file_that_is_no_trace(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(FormatError, match=says):
        CarbonTrace.read(path)


def test_places_that_hold_no_trace(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("none", "pipe", "bytes", "."):
        with pytest.raises(FormatError, match="no hourly carbon trace"):
            CarbonTrace.read(tmp_path / name)
