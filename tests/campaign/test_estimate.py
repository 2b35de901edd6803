"""Estimates of hours and energy before a campaign runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from naslib_ecnas.campaign import DataChoice, Plan, Settings
from naslib_ecnas.campaign import estimate as module
from naslib_ecnas.campaign.estimate import expected, modelled, timed
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.progress import listening


def test_models_are_scaled_to_the_images_of_the_plan(plan: Callable[..., Plan]) -> None:
    made, whole = plan(), DataChoice(kind="cifar10", path="/x")
    kwh, seconds = expected(made.units, "titan-xp")
    found = modelled(replace(made, data=whole), "titan-xp")
    assert (found.energy_kwh, found.seconds) == pytest.approx((kwh.sum(), seconds.sum()))
    assert modelled(made, "titan-xp").seconds == pytest.approx(found.seconds * 4 / 10_000)
    assert found.energy_kwh > modelled(replace(made, data=whole)).energy_kwh
    assert found.basis.startswith("on titan-xp by its models")


def test_timed_steps_give_hours_and_energy(
    plan: Callable[..., Plan], traced: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 100 W by the trace, whatever the speed of this machine."""
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    told = []
    settings = replace(traced, batch_size=2, baseline_s=0.0, warm_up_s=0.0)
    with listening(lambda task, *_, **__: told.append(task)):
        found = timed(plan(), settings)
    assert found.seconds > 0
    assert found.energy_kwh * 3.6e6 == pytest.approx(100 * found.seconds, rel=1e-6)
    assert set(told) == {"warm-up"}
    assert len(told) >= 4  # two steps or more of two cells
    unmeasured = timed(plan(rows=(0,)), replace(settings, meter="none"))
    assert unmeasured.energy_kwh != unmeasured.energy_kwh
    rested = timed(plan(rows=(0,)), replace(settings, baseline_s=1000.0, warm_up_s=500.0))
    assert 3500 < rested.seconds < 4500  # three rests of two units, and the warm-up
    for graphs, device in ((False, "cuda:7"), (True, "cpu")):
        speed = ("cuda_graphs",) if graphs else ()
        with pytest.raises(ConfigError, match=device):
            timed(replace(plan(), speed=speed), replace(settings, device=device))
