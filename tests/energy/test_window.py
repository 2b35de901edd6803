"""What a window holds, and its way to JSON and back."""

from __future__ import annotations

import math

import pytest

from naslib_ecnas.energy import CpuState, GpuProcess, GpuState, Reading, Window
from naslib_ecnas.energy.readings import check_name, invalid
from naslib_ecnas.errors import ConfigError, FormatError


def full_window() -> Window:
    """Every field other than its default, and than every other."""
    state = GpuState(
        power_w=101.0,
        temperature_c=61.0,
        sm_clock_mhz=1410.0,
        memory_clock_mhz=1593.0,
        power_limit_w=400.0,
        throttle_reasons=("software-thermal",),
        others=(GpuProcess(17, 2.0**30, False), GpuProcess(18, 2.0**20, True)),
        unsupported=("fan",),
    )
    reading = Reading(
        energy_j=300.0,
        method="counter",
        detail="words",
        uncertainty_j=2.0,
        update_period_s=0.02,
        integral_j=301.0,
        agreement="agree",
        flags=("shared", "failed-samples"),
        start=state,
        stop=GpuState(*[1.0] * 5, throttle_reasons=(), others=()),
    )
    return Window(
        name="train",
        path="total/train",
        index=3,
        parent=2,
        started=10.0,
        stopped=12.5,
        started_unix=1.7e9,
        stopped_unix=1.7e9 + 2.25,
        energy_j={"GPU-a": reading, "GPU-b": Reading(5.0, "counter", True, "", "", 1, 1, 1)},
        cpu_energy_j={"package-0": Reading(40.0, "rapl", True, "", "", 1, 1, 1)},
        dram_energy_j={"package-0/dram": Reading(7.0, "rapl", True, "", "", 1, 1, 1)},
        cpu_state=CpuState("measured", "package-0", "none needed"),
        error="ZeroDivisionError",
    )


def test_every_field_of_a_window_survives_json() -> None:
    given = full_window()
    assert Window.from_dict(given.to_dict()) == given
    assert Window.from_json(given.to_json()) == given
    plain = given.to_dict()
    assert (plain["seconds"], plain["valid"]) == (2.5, True)
    assert [plain[f"{kind}_total_j"] for kind in ("gpu", "cpu", "dram")] == [305, 40, 7]
    # What is unknown stays so.
    bad = invalid("reset", "it fell", method="counter", start=GpuState())
    empty = Window("a", "a", 0, None, 1.0, 2.0, 1.0, 2.0, energy_j={"GPU-a": bad})
    again = Window.from_json(empty.to_json())
    assert again.parent is None
    assert again.energy_j["GPU-a"].reason == "reset"
    assert again.energy_j["GPU-a"].stop is None
    state = again.energy_j["GPU-a"].start
    assert state is not None
    assert (state.throttle_reasons, state.others, state.unsupported) == (None, None, ())
    assert math.isnan(state.power_w)


def test_a_window_without_one_of_its_fields_is_none() -> None:
    plain = full_window().to_dict()
    derived = {"seconds", "valid", "gpu_total_j", "cpu_total_j", "dram_total_j"}
    for missing in plain.keys() - derived:
        with pytest.raises(FormatError, match="no energy window"):
            Window.from_dict({k: v for k, v in plain.items() if k != missing})
    for name, value in (
        ("index", math.inf),
        ("started", "soon"),
        ("energy_j", 3),
        ("cpu_state", {"sort": "measured"}),
        ("energy_j", {"GPU-a": {}}),
    ):
        with pytest.raises(FormatError, match="no energy window"):
            Window.from_dict({**plain, name: value})


def test_each_reason_is_given_once() -> None:
    bad = {
        name: invalid(reason, "", method="counter")
        for name, reason in (("GPU-a", "reset"), ("GPU-b", "gap"), ("GPU-c", "reset"))
    }
    good = Reading(energy_j=1.0, method="counter")
    mixed = Window("a", "a", 0, None, 1.0, 2.0, 1.0, 2.0, energy_j={**bad, "GPU-d": good})
    assert (mixed.cpu_state, mixed.error) == (CpuState("off", "", ""), "")
    assert (mixed.valid, mixed.reasons) == (False, ("reset", "gap"))
    assert math.isnan(mixed.gpu_total_j)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "a"}'])
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(FormatError):
        Window.from_json(text)


def test_a_name_is_a_text_without_a_slash() -> None:
    for bad in ("", "a/b", "/", 3, None, b"a"):
        with pytest.raises(ConfigError, match="no name") as raised:
            check_name(bad)
        assert raised.value.value == bad
    assert check_name("a b") == "a b"
