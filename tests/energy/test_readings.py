"""Readings, windows, parts and net energy: closed forms and round trips."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

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
from naslib_ecnas.energy.readings import invalid
from naslib_ecnas.errors import ConfigError, FormatError


def test_a_reading_cannot_contradict_itself() -> None:
    for fields in (
        {"energy_j": math.nan}, {"energy_j": math.inf}, {"energy_j": 1.0, "reason": "reset"},
        {"energy_j": 0.0, "valid": False, "reason": "reset"}, {"energy_j": 1.0, "method": "guess"},
        {"energy_j": math.nan, "valid": False}, {"energy_j": 1.0, "agreement": "maybe"},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            Reading(**{"method": "counter", **fields})  # type: ignore[arg-type]


def window(name: str, seconds: float, energy: float, **fields: Any) -> Window:
    reading = Reading(energy_j=energy, method="counter", uncertainty_j=1.0)
    values = {"path": name, "index": 0, "parent": None, "energy_j": {"GPU-a": reading}, **fields}
    times = {"started": 10.0, "stopped": 10.0 + seconds, "started_unix": 0, "stopped_unix": seconds}
    return Window(name=name, **times, **values)


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
        *("train", "total/train", 3, 2),
        *(10.0, 12.5, 1.7e9, 1.7e9 + 2.25),
        energy_j={"GPU-a": reading, "GPU-b": plain(5.0, "counter")},
        cpu_energy_j={"package-0": plain(40.0, "rapl")},
        dram_energy_j={"package-0/dram": plain(7.0, "rapl")},
        cpu_state=CpuState("measured", "package-0", "none needed"),
        error="ZeroDivisionError",
    )


def test_every_field_of_a_window_survives_json() -> None:
    given = full_window()
    assert Window.from_dict(json.loads(json.dumps(given.to_dict()))) == given
    plain = given.to_dict()
    assert (plain["seconds"], plain["valid"]) == (2.5, True)
    assert [plain[f"{kind}_total_j"] for kind in ("gpu", "cpu", "dram")] == [305, 40, 7]
    # What is unknown stays unknown.
    bad = invalid("reset", "it fell", method="counter", start=GpuState())
    empty = window("a", 1, 0, energy_j={"GPU-a": bad})
    plain = empty.to_dict()
    assert plain["energy_j"]["GPU-a"]["energy_j"] is plain["gpu_total_j"] is None
    again = Window.from_dict(plain)
    reading = again.energy_j["GPU-a"]
    assert (again.parent, again.error, reading.reason, reading.stop) == (None, "", "reset", None)
    state = reading.start
    assert state is not None
    assert (state.throttle_reasons, state.others, state.unsupported) == (None, None, ())
    assert math.isnan(state.power_w)
    assert again.cpu_state == CpuState("off", "", "")


def test_what_is_not_a_window() -> None:
    plain = full_window().to_dict()
    derived = {"seconds", "valid", "gpu_total_j", "cpu_total_j", "dram_total_j"}
    wrong = [{k: v for k, v in plain.items() if k != gone} for gone in plain.keys() - derived]
    for name, value in (("started", "soon"), ("energy_j", 3), ("energy_j", {"GPU-a": {}})):
        wrong.append({**plain, name: value})
    for data in (*wrong, "", {}, []):
        with pytest.raises(FormatError):
            Window.from_dict(data)  # type: ignore[arg-type]


def test_each_reason_is_given_once() -> None:
    reasons = {"GPU-a": "reset", "GPU-b": "gap", "GPU-c": "reset"}
    readings = {name: invalid(why, "", method="counter") for name, why in reasons.items()}
    mixed = window("a", 1, 0, energy_j={**readings, "GPU-d": Reading(1.0, "counter")})
    assert (mixed.valid, mixed.reasons) == (False, ("reset", "gap"))
    assert math.isnan(mixed.gpu_total_j)


# -- parts and net energy -------------------------------------------------------------------------

BAD = {"GPU-a": invalid("reset", "it fell", method="counter")}


def test_the_rest_is_compared_with_the_highest_power_known() -> None:
    """4.5 of 10 s are covered; the others have used what is missing, or not."""

    def total(energy: float, **states: GpuState) -> Window:
        reading = Reading(energy, "counter", uncertainty_j=1.0, **states)
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
    # With one baseline; a device without it, or with an invalid one, has no net energy.
    lone = Baseline.of(window("baseline", 10, 500))
    found = net(all_three(100, 9_000, 3_000, 400), lone)
    gpu, cpu = found["GPU-a"], found["package-0"]
    assert (gpu.gross_j, gpu.idle_w, gpu.energy_j, cpu.gross_j) == (9_000, 50, 4_000, 3_000)
    assert gpu.uncertainty_j == pytest.approx(1 + 100 * 1 / 10)
    assert math.isnan(cpu.energy_j + cpu.uncertainty_j)
    bad = window("baseline", 10, 0, energy_j=BAD)
    run, no_time = window("train", 1, 5), window("baseline", 0, 500)
    for work, before in ((run, Baseline.of(bad)), (run, Baseline.of(no_time)), (bad, lone)):
        assert math.isnan(net(work, before)["GPU-a"].energy_j)
