"""The refresh period of a sensor, by a time that the test moves."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from naslib_ecnas.energy.readings import update_period_s


def watched(read: Callable[[float], float], seconds: float) -> tuple[float, float]:
    """The period found in a sensor of time, and how long it took."""
    now = [100.0]
    found = update_period_s(
        lambda: read(now[0] - 100.0),
        seconds=seconds,
        clock=lambda: now[0],
        sleep=lambda s: now.__setitem__(0, now[0] + s),
    )
    return found, now[0] - 100.0


@pytest.mark.parametrize("period", [0.02, 0.1])
def test_the_refresh_period_is_found(period: float) -> None:
    found, took = watched(lambda t: math.floor(t / period), 5)
    assert found == pytest.approx(period, abs=2e-3)
    # Nine changes tell enough.
    assert took == pytest.approx(9 * period, abs=5e-3)


def test_the_median_does_not_mind_a_late_refresh() -> None:
    changes = [0.03, 0.05, 0.07, 0.09, 0.39, 0.41]
    found, took = watched(lambda t: sum(t >= c for c in changes), 0.5)
    assert found == pytest.approx(0.02, abs=2e-3)
    assert took == pytest.approx(0.5, abs=2e-3)


@pytest.mark.parametrize("changes", [[], [0.2]])
def test_a_sensor_that_changes_less_than_twice_has_no_period(changes: list[float]) -> None:
    found, took = watched(lambda t: 7.0 - sum(t >= c for c in changes), 0.5)
    assert math.isnan(found)
    assert took == pytest.approx(0.5, abs=2e-3)


def test_two_changes_are_a_period() -> None:
    found, _ = watched(lambda t: sum(t >= c for c in (0.2, 0.35)), 0.5)
    assert found == pytest.approx(0.15, abs=2e-3)


def test_a_sensor_is_asked_once_a_millisecond() -> None:
    asked: list[float] = []
    watched(lambda t: asked.append(t) or 7.0, 0.1)
    assert len(asked) == pytest.approx(101, abs=1)
