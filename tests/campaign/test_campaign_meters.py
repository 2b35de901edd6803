"""Which meter the settings open, and what can be replayed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from naslib_ecnas.campaign import Measurement, Plan, Settings
from naslib_ecnas.campaign.record import record_path
from naslib_ecnas.campaign.worker import opened, read_replay
from naslib_ecnas.energy import EnergyMeter, NullMeter, ReplayMeter
from naslib_ecnas.errors import EcnasError, MissingDependencyError
from naslib_ecnas.files import to_json

CPU = Settings(device="cpu", meter="auto")


def test_on_a_cpu_its_counters_are_taken_where_they_can_be_read() -> None:
    with EnergyMeter(devices=()) as meter:
        state = meter.cpu_state
    with opened(CPU) as found:
        if state.kind == "measured":
            assert found.label.kind == "rapl"
            assert isinstance(found.meter, EnergyMeter)
        else:
            assert found.label.kind == "none"
            assert isinstance(found.meter, NullMeter)
            assert found.label.cpu_detail == state.detail
    with opened(replace(CPU, meter="none")) as found:
        assert isinstance(found.meter, NullMeter)


def test_a_gpu_that_cannot_be_measured_is_an_error_and_not_unmeasured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if nvidia-ml-py were not installed
    with pytest.raises(MissingDependencyError), opened(Settings(device="cuda:0")):
        pass


def test_windows_and_traces_are_replayed(sound: Path, tmp_path: Path) -> None:
    unit = Plan.read(sound).units[0]
    record = Measurement.read(record_path(sound, unit))
    file = tmp_path / "windows.json"
    file.write_text(to_json([window.to_dict() for window in record.windows]))
    with opened(Settings(meter="replay", replay=str(file))) as found:
        with found.meter.window("total") as span:
            pass
        total = record.window("total")
        assert total is not None
        assert span.window.gpu_total_j == total.gpu_total_j
        assert found.label.kind == "replay"
    log = sound / "attempts" / unit.name / "0001.log"
    assert isinstance(read_replay(log), ReplayMeter)
    file.write_text(json.dumps({"times_s": [0, 100], "powers_w": [50, 50]}))
    meter = read_replay(file)
    with meter.window("a") as span:
        pass
    assert span.window.gpu_total_j == pytest.approx(50 * span.window.seconds, rel=1e-6)
    for wrong in ("", "{}", "[]", "[1]", '{"times_s": [1, 0], "powers_w": [1, 1]}', "\x00"):
        file.write_text(wrong)
        with pytest.raises(EcnasError):
            read_replay(file)
    with pytest.raises(EcnasError):
        read_replay(tmp_path / "none")
