"""Export: closed forms of every energy, refusals, every format, and the way to a calibration."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import naslib_ecnas as ecnas
from naslib_ecnas import cli
from naslib_ecnas.campaign import Measurement, Plan, SyntheticError, columns_of, export, make_plan
from naslib_ecnas.campaign.measurement import record_path
from naslib_ecnas.data.long_form import write_csv
from naslib_ecnas.data.nasbench_tfrecord import read_ecnas
from naslib_ecnas.energy.readings import Window, invalid
from naslib_ecnas.errors import ConfigError, FormatError, ProvenanceError
from naslib_ecnas.surrogate.calibrate import calibrated
from naslib_ecnas.surrogate.devices import Descriptors, DeviceModel
from naslib_ecnas.surrogate.features import features

Spoil = Callable[[Callable[[Measurement], Measurement]], Path]
J_PER_KWH = 3.6e6


def _records(folder: Path) -> list[Measurement]:
    return [Measurement.read(record_path(folder, unit)) for unit in Plan.read(folder).units]


def _at(columns: Any, record: Measurement) -> tuple[int, int, int]:
    """Index of a record in columns of one budget."""
    return columns.rows.tolist().index(record.unit.row), 0, record.unit.repeat


def _before(record: Measurement, when: str) -> float:
    """Seconds of start-up and of the steps before an evaluation."""
    training = record.training
    at = next(e for e in training.evaluations if e.when == when)
    seconds = [w.seconds for w in training.windows if w.name == "init"]
    seconds += [s.window.seconds for s in training.segments if s.first_step < at.steps]
    return math.fsum(seconds)


def _too_short(name: str) -> Callable[[Measurement], Measurement]:
    gone = invalid("too-short", "it did not step", method="counter")
    return lambda r: replace(
        r,
        windows=tuple(
            replace(w, energy_j=dict.fromkeys(w.energy_j, gone)) if w.name == name else w
            for w in r.windows
        ),
    )


# -- energies: the made-up GPU draws 200 W, two CPU packages 50 W each ----------------------------


def test_energies_of_steps_are_power_times_time_times_pue(sound: Path) -> None:
    columns = columns_of(sound, pue=1.5, carbon=100.0, span="steps")
    gpu_only = columns_of(sound, cpu=False, span="steps")
    values = columns.values
    for record in _records(sound):
        at, training, total = _at(columns, record), record.training, record.window("total")
        assert total is not None
        seconds, first = training.training_time_s, training.segments[0].window.seconds
        for name, expected in {
            "energy_kwh": 1.5 * 300 * seconds / J_PER_KWH,
            "co2_g": 100 * 1.5 * 300 * seconds / J_PER_KWH,
            "total_energy_kwh": 1.5 * 300 * total.seconds / J_PER_KWH,
            "initial_energy_kwh": 1.5 * 300 * first / J_PER_KWH,
            "initial_training_time_s": first,
            "training_time_s": seconds,
            "gpu_energy_j": 200 * total.seconds,
            "cpu1_power_w": 50,
            "epoch": 4,
        }.items():
            assert values[name][at] == pytest.approx(expected), name
        assert gpu_only.values["energy_kwh"][at] == pytest.approx(200 * seconds / J_PER_KWH)
        for split in ("train", "validation", "test"):
            assert values[f"{split}_accuracy"][at] == training.accuracy(split)
            assert values[f"halfway_{split}_accuracy"][at] == training.accuracy(split, "middle")
    origin = columns.provenance["energy_kwh"]
    assert (origin.kind, origin.pue, origin.device) == ("measured", 1.5, "Made-up GPU")
    assert "100 gCO2eq/kWh" in (columns.provenance["co2_g"].note or "")
    assert "GPU alone" in (gpu_only.provenance["energy_kwh"].note or "")
    assert not any("co2" in name for name in gpu_only.values)


def test_a_training_includes_its_start_up_and_no_evaluation(sound: Path) -> None:
    """As EC-NAS counts: at 300 W, the seconds of start-up and steps."""
    columns, steps = columns_of(sound), columns_of(sound, span="steps")
    spans = [found.attributes["energy_span"] for found in (columns, steps)]
    assert spans == ["training", "steps"]
    shares = []
    for record in _records(sound):
        at = _at(columns, record)
        for prefix, when in (("initial_", "start"), ("halfway_", "middle"), ("", "end")):
            kwh = 300 * _before(record, when) / J_PER_KWH
            assert columns.values[f"{prefix}energy_kwh"][at] == pytest.approx(kwh)
        for name in ("total_energy_kwh", "training_time_s"):
            assert columns.values[name][at] == steps.values[name][at]
        # The record's file says the same, without PUE and with both CPU packages.
        said = json.loads(record_path(sound, record.unit).read_bytes())["content"]
        for name in ("energy_kwh", "total_energy_kwh", "training_time_s", "total_time_s"):
            assert said[name] == columns.values[name][at]
        start_up = _before(record, "end") - record.training.training_time_s
        assert said["start_up_s"] == pytest.approx(start_up)
        assert record.energy_kwh < record.total_energy_kwh
        shares.append(1 - record.training.training_time_s / _before(record, "end"))
    for found in (columns, steps):
        share = float(found.attributes["start_up_share"])
        assert share == pytest.approx(np.median(shares), rel=1e-2)
    note = columns.provenance["energy_kwh"].note or ""
    assert "of start-up and training steps; evaluations are in the total alone" in note


def test_a_window_too_short_for_the_sensor_is_estimated_at_the_mean_power(spoil: Spoil) -> None:
    for name, span in (("init", "training"), ("train-0", "steps")):
        folder = spoil(_too_short(name))
        record = _records(folder)[0]
        columns = columns_of(folder, span=span)
        seconds = record.training.training_time_s if span == "steps" else _before(record, "end")
        kwh = columns.values["energy_kwh"][_at(columns, record)]
        assert kwh == pytest.approx(300 * seconds / J_PER_KWH, rel=2e-3)
    assert "first step of 1 trainings" in (columns.provenance["energy_kwh"].note or "")


def test_a_cpu_that_one_record_lacks_counts_for_none(spoil: Spoil) -> None:
    folder = spoil(
        lambda r: replace(r, windows=tuple(replace(w, cpu_energy_j={}) for w in r.windows))
    )
    assert "GPU alone" in (columns_of(folder).provenance["energy_kwh"].note or "")
    asked = columns_of(folder, cpu=True)
    assert math.isnan(asked.values["energy_kwh"][_at(asked, _records(folder)[0])])
    assert np.isnan(asked.values["energy_kwh"]).sum() == 1


def test_missing_units_are_nan_and_no_records_an_error(sound: Path) -> None:
    gone, *rest = Plan.read(sound).units
    record = _records(sound)[0]
    record_path(sound, gone).unlink()
    columns = columns_of(sound)
    for values in columns.values.values():
        assert math.isnan(values[_at(columns, record)])
        assert np.isnan(values).sum() == 1
    for wrong in ({"pue": 0.5}, {"span": "whole"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            columns_of(sound, **wrong)
    record_path(sound, gone).write_bytes(record_path(sound, rest[0]).read_bytes())
    with pytest.raises(FormatError, match="was expected"):  # a copy would count twice
        columns_of(str(sound))
    for unit in (gone, *rest):
        record_path(sound, unit).unlink()
    with pytest.raises(ConfigError, match="no records"):
        columns_of(sound)


# -- what is refused, and files -------------------------------------------------------------------


def test_synthetic_and_mixed_records_are_refused(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ecnas"
    export(sound, out)
    out.unlink()
    path = record_path(sound, Plan.read(sound).units[0])
    record = Measurement.read(path)
    training = record.training
    shortened = replace(training.data, name="not CIFAR-10")
    rounded = {**training.arithmetic, "cudnn.conv.fp32_precision": "tf32"}
    for changes, error, text in (
        ({"training": replace(training, steps=100)}, SyntheticError, "allow-synthetic"),
        ({"training": replace(training, data=shortened)}, SyntheticError, "allow-synthetic"),
        ({"training": replace(training, device_name="Other")}, ProvenanceError, "more than one"),
        ({"training": replace(training, arithmetic=rounded)}, ProvenanceError, "one rounding"),
    ):
        replace(record, **changes).write(path)
        with pytest.raises(error, match=text):
            export(sound, out)
    assert not out.exists()


def test_synthetic_records_say_so_when_they_are_read_back(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(SyntheticError, match="cannot state"):
        export(measured, tmp_path / "out.tfrecord", allow_synthetic=True)
    assert not (tmp_path / "out.tfrecord").exists()
    for suffix in ("ecnas", "parquet", "csv"):
        out = tmp_path / f"out.{suffix}"
        written = export(measured, out, allow_synthetic=True)
        bench = ecnas.load(out)
        kinds = {p.kind for name, p in bench.provenance.items() if name in written.values}
        assert kinds == {"synthetic"}
        note = bench.provenance["validation_accuracy"].note or ""
        assert note.startswith("SYNTHETIC, not a measurement: stopped after 2 of 32 steps; synth")
        assert "SYNTHETIC" in written.attributes["description"]
        assert bench.rows.tolist() == [0, 2]
        for record in _records(measured):
            value = bench.query(record.unit.row, epochs=4, repeat=record.unit.repeat)
            assert value.validation_accuracy == record.training.accuracy("validation")
        # No energy was measured: it is missing, not 0.
        assert np.isnan(written.values["energy_kwh"]).all()
        assert "had no meter: missing" in (written.provenance["energy_kwh"].note or "")


def test_the_official_format_is_read_back_and_has_runs_only(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tfrecord"
    with pytest.raises(ConfigError, match="cannot state another span"):
        export(sound, out, span="steps")
    assert not out.exists()
    written = export(sound, out, pue=1.59, carbon="DK")
    bench = ecnas.load(out)
    for name in written.values:
        assert bench.table.column(name) == pytest.approx(written.values[name]), name
    columns = read_ecnas(out)
    assert int(np.isfinite(columns.values["validation_accuracy"]).sum()) == 4
    assert columns.attributes["gpu"] == "Made-up GPU"


# -- calibration ----------------------------------------------------------------------------------
# The device is synthetic, and known: a run of n epochs takes `a + b n` kWh, whose slope b follows
# from the cell and whose start-up a is one fifth of the energy at 4 epochs, twice what the RTX 6000
# has.

BUDGETS = (4, 12, 36, 108)
SHARE = 0.2
ALL = np.arange(91)


def slope_kwh(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) kWh of one epoch on the synthetic device."""
    parts = Descriptors.shipped().parts(features(rows))
    return np.asarray((2 + 6 * parts.sum(axis=1)) * 250 / J_PER_KWH)


def runs_kwh(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, 4) kWh of start-up and training steps."""
    slope = slope_kwh(rows)
    start = 4 * slope * SHARE / (1 - SHARE)
    return np.asarray(start[:, None] + np.outer(slope, BUDGETS))


def _with_energies(record: Measurement, steps_kwh: float, fixed_kwh: float) -> Measurement:
    """A record of one GPU with these energies of its steps and its start-up."""
    training = record.training
    trained = [s.window.name for s in training.segments]
    each = dict.fromkeys(trained, J_PER_KWH * steps_kwh / len(trained))
    each["init"] = J_PER_KWH * fixed_kwh

    def changed(window: Window) -> Window:
        joules = each.get(window.name, 1.0)
        readings = {name: replace(r, energy_j=joules) for name, r in window.energy_j.items()}
        return replace(window, energy_j=readings, cpu_energy_j={})

    return replace(record, windows=tuple(map(changed, record.windows)))


@pytest.fixture
def device(sound: Path, tmp_path: Path, modelled: None) -> Path:
    """A campaign: runs of 4 epochs of 23 cells on the synthetic device."""
    template = _records(sound)[0]
    folder = tmp_path / "synthetic"
    rows = tuple(range(1, 91, 4))
    plan = make_plan(rows, name="synthetic", vertices=4, data=Plan.read(sound).data)
    plan.write(folder)
    for unit in plan.units:
        slope = float(slope_kwh(np.array([unit.row]))[0])
        record = _with_energies(template, 4 * slope, 4 * slope * SHARE / (1 - SHARE))
        whole = replace(record, unit=unit, plan=plan.checksum)
        whole.write(record_path(folder, unit))
    return folder


def test_all_budgets_are_unbiased_whatever_the_span(device: Path, tmp_path: Path) -> None:
    for span, share in (("training", 0.0), ("steps", SHARE)):
        out, model = tmp_path / f"{span}.csv", tmp_path / f"{span}.safetensors"
        columns = export(device, out, span=span)
        truth = runs_kwh(columns.rows.astype(np.int64))[:, 0]
        energies = columns.values["energy_kwh"][:, 0, 0]
        np.testing.assert_allclose(energies, (1 - share) * truth, rtol=1e-9)
        calibrate = ["surrogate", "calibrate", "--measurements", str(out), "--out", str(model)]
        assert cli.main(calibrate) == 0
        bench = ecnas.load("4v", device=str(model))
        said = np.stack([bench.values("energy_kwh", budget) for budget in BUDGETS], axis=1)
        off = np.median(said / runs_kwh(ALL), axis=0) - 1
        assert np.abs(off).max() < 0.01
        note = str(bench.provenance["energy_kwh"])
        assert "20.0% at 4 epochs, as measured on this device" in note


def test_a_users_own_file_of_steps_gets_the_models_start_up(device: Path, tmp_path: Path) -> None:
    """A CSV without a header. Its slope is kept; with a start-up inside it would be too low."""
    out = tmp_path / "runs.csv"
    export(device, out, span="steps")
    lines = out.read_text().splitlines()
    out.write_text("\n".join(line for line in lines if not line.startswith("#")) + "\n")
    off = {}
    for span in ("training", "steps"):
        file = tmp_path / f"{span}.safetensors"
        calibrated(out, pue=1.0, span=span)[1].save(file)
        energies = ecnas.load("4v", device=str(file)).values("energy_kwh", 108)
        off[span] = np.median(energies / runs_kwh(ALL)[:, 3]) - 1
    assert abs(off["steps"]) < 0.01
    assert off["training"] < -0.05


def test_a_file_that_states_its_span_or_origin_is_believed(device: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs.ecnas"
    columns = export(device, out, span="steps")
    with pytest.raises(ConfigError, match="span of the energies must be steps"):
        calibrated(out, span="training")
    _, weights = calibrated(out)
    assert weights.header["energy_span"] == "steps"
    assert weights.header["start_up_share"] == pytest.approx(SHARE, abs=1e-6)
    assert DeviceModel.from_weights(weights, "Made-up GPU").start_share == pytest.approx(SHARE)
    marked = {name: replace(p, kind="synthetic") for name, p in columns.provenance.items()}
    write_csv(tmp_path / "runs.csv", replace(columns, provenance=marked))
    calibrated(tmp_path / "runs.csv")[1].save(tmp_path / "model.safetensors")
    origin = ecnas.load("4v", device=str(tmp_path / "model.safetensors")).provenance["energy_kwh"]
    assert (origin.kind, origin.note[:9]) == ("synthetic", "SYNTHETIC")
    assert "measured on this device" not in origin.note
