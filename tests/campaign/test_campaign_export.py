"""Export: closed forms for every energy, refusals, and back through every format."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.campaign import Measurement, Plan, SyntheticError, columns_of, export
from naslib_ecnas.campaign.record import record_path
from naslib_ecnas.data.nasbench_tfrecord import read_ecnas_records
from naslib_ecnas.energy.readings import invalid
from naslib_ecnas.errors import ConfigError, ProvenanceError

Spoil = Callable[[Callable[[Measurement], Measurement]], Path]


def _records(folder: Path) -> list[Measurement]:
    return [Measurement.read(record_path(folder, unit)) for unit in Plan.read(folder).units]


def test_energies_are_those_of_the_windows_times_the_pue(sound: Path) -> None:
    """The made-up GPU draws 200 W, two CPU packages 50 W each."""
    columns = columns_of(sound, pue=1.5, carbon=100.0, span="steps")
    gpu_only = columns_of(sound, cpu=False, span="steps")
    rows = columns.rows.tolist()
    for record in _records(sound):
        at = rows.index(record.unit.row), 0, record.unit.repeat
        training = record.training
        total = record.window("total")
        assert total is not None
        # The training's clock and the meter's differ by microseconds.
        close = {"rel": 1e-3}
        kwh = 1.5 * 300 * training.training_time_s / 3.6e6
        assert columns.values["energy_kwh"][at] == pytest.approx(kwh, **close)
        assert columns.values["co2_g"][at] == pytest.approx(100 * kwh, **close)
        alone = 200 * training.training_time_s / 3.6e6
        assert gpu_only.values["energy_kwh"][at] == pytest.approx(alone, **close)
        whole = 1.5 * 300 * total.seconds / 3.6e6
        assert columns.values["total_energy_kwh"][at] == pytest.approx(whole, rel=1e-12)
        first = training.segments[0].window.seconds
        before = 1.5 * 300 * first / 3.6e6
        assert columns.values["initial_energy_kwh"][at] == pytest.approx(before, **close)
        assert columns.values["initial_training_time_s"][at] == first
        assert columns.values["training_time_s"][at] == pytest.approx(training.training_time_s)
        assert columns.values["gpu_energy_j"][at] == pytest.approx(200 * total.seconds)
        assert columns.values["cpu1_power_w"][at] == pytest.approx(50)
        assert columns.values["epoch"][at] == 4
        for split in ("train", "validation", "test"):
            assert columns.values[f"{split}_accuracy"][at] == training.accuracy(split)
            halfway = columns.values[f"halfway_{split}_accuracy"][at]
            assert halfway == training.accuracy(split, "half")
    origin = columns.provenance["energy_kwh"]
    assert (origin.kind, origin.pue, origin.device) == ("measured", 1.5, "Made-up GPU")
    assert "100 gCO2eq/kWh" in (columns.provenance["co2_g"].note or "")
    assert "GPU alone" in (gpu_only.provenance["energy_kwh"].note or "")
    assert not any("co2" in name for name in gpu_only.values)


def _before(record: Measurement, when: str) -> float:
    """Seconds of start-up, of steps, and of evaluations earlier than one."""
    training = record.training
    at = next(e for e in training.evaluations if e.when == when)
    earlier = ("start", "half", "end")[: ("start", "half", "end").index(when)]
    seconds = [w.seconds for w in training.windows if w.name == "init"]
    seconds += [s.window.seconds for s in training.segments if s.first_step < at.steps]
    seconds += [e.window.seconds for e in training.evaluations if e.when in earlier]
    return math.fsum(seconds)


def test_a_run_has_its_start_up_and_earlier_evaluations_in(sound: Path) -> None:
    """As EC-NAS counts: at 300 W, all seconds but those of the later evaluations."""
    columns, steps = columns_of(sound), columns_of(sound, span="steps")
    assert (columns.attributes["energy_span"], steps.attributes["energy_span"]) == ("run", "steps")
    rows, shares = columns.rows.tolist(), []
    for record in _records(sound):
        at = rows.index(record.unit.row), 0, record.unit.repeat
        for prefix, when in (("initial_", "start"), ("halfway_", "half"), ("", "end")):
            kwh = 300 * _before(record, when) / 3.6e6
            assert columns.values[f"{prefix}energy_kwh"][at] == pytest.approx(kwh, rel=2e-3)
        for name in ("total_energy_kwh", "training_time_s"):
            assert columns.values[name][at] == steps.values[name][at]
        shares.append(1 - record.training.training_time_s / _before(record, "end"))
    for found in (columns, steps):
        share = float(found.attributes["start_up_share"])
        assert share == pytest.approx(np.median(shares), rel=1e-2)
    assert "start-up and earlier evaluations included" in (
        columns.provenance["energy_kwh"].note or ""
    )
    with pytest.raises(ConfigError, match="span"):
        columns_of(sound, span="whole")


def test_the_official_format_is_of_runs_alone(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot say otherwise"):
        export(sound, tmp_path / "t.tfrecord", span="steps")
    assert list(tmp_path.glob("*.tfrecord")) == []


def test_a_start_up_too_short_for_the_sensor_is_taken_at_the_runs_power(spoil: Spoil) -> None:
    def short(record: Measurement) -> Measurement:
        gone = invalid("too-short", "it did not step", method="counter")
        windows = tuple(
            replace(w, energy_j=dict.fromkeys(w.energy_j, gone)) if w.name == "init" else w
            for w in record.windows
        )
        return replace(record, windows=windows)

    folder = spoil(short)
    unit = Plan.read(folder).units[0]
    record = Measurement.read(record_path(folder, unit))
    columns = columns_of(folder)
    at = columns.rows.tolist().index(unit.row), 0, unit.repeat
    kwh = 300 * _before(record, "end") / 3.6e6
    assert columns.values["energy_kwh"][at] == pytest.approx(kwh, rel=2e-3)


def test_a_step_too_short_for_the_sensor_is_taken_at_the_others_power(
    spoil: Spoil,
) -> None:
    def short(record: Measurement) -> Measurement:
        gone = invalid("too-short", "it did not step", method="counter")
        windows = tuple(
            replace(w, energy_j=dict.fromkeys(w.energy_j, gone)) if w.name == "train-0" else w
            for w in record.windows
        )
        return replace(record, windows=windows)

    folder = spoil(short)
    unit = Plan.read(folder).units[0]
    record = Measurement.read(record_path(folder, unit))
    columns = columns_of(folder, span="steps")
    at = columns.rows.tolist().index(unit.row), 0, unit.repeat
    kwh = 300 * record.training.training_time_s / 3.6e6
    assert columns.values["energy_kwh"][at] == pytest.approx(kwh, rel=1e-3)
    assert "first step of 1 trainings" in (columns.provenance["energy_kwh"].note or "")


def test_a_cpu_that_one_record_lacks_counts_for_none(spoil: Spoil) -> None:
    folder = spoil(
        lambda r: replace(r, windows=tuple(replace(w, cpu_energy_j={}) for w in r.windows))
    )
    note = columns_of(folder).provenance["energy_kwh"].note or ""
    assert "GPU alone" in note
    unit = Plan.read(folder).units[0]
    asked = columns_of(folder, cpu=True)
    at = asked.rows.tolist().index(unit.row), 0, unit.repeat
    assert math.isnan(asked.values["energy_kwh"][at])
    assert np.isnan(asked.values["energy_kwh"]).sum() == 1


def test_synthetic_records_are_refused(measured: Path, sound: Path, tmp_path: Path) -> None:
    # `sound` rewrote the same folder: make one record a shortened one again.
    assert sound == measured
    out = tmp_path / "out.ecnas"
    export(sound, out)
    path = record_path(sound, Plan.read(sound).units[0])
    record = Measurement.read(path)
    for spoilt in (
        replace(record, training=replace(record.training, steps=100)),
        replace(record, meter=replace(record.meter, kind="replay")),
        replace(
            record,
            training=replace(
                record.training, data=replace(record.training.data, name="CIFAR-10 shortened")
            ),
        ),
    ):
        spoilt.write(path)
        with pytest.raises(SyntheticError, match="allow-synthetic"):
            export(sound, tmp_path / "other.ecnas")
    assert not (tmp_path / "other.ecnas").exists()


@pytest.mark.parametrize("suffix", ["ecnas", "parquet", "csv"])
def test_synthetic_records_say_so_when_they_are_read_back(
    suffix: str, measured: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"out.{suffix}"
    written = export(measured, out, allow_synthetic=True)
    bench = ecnas.load(out)
    kinds = {p.kind for name, p in bench.provenance.items() if name in written.values}
    assert kinds == {"synthetic"}
    note = bench.provenance["validation_accuracy"].note or ""
    assert note.startswith("SYNTHETIC, no measurement")
    assert "synthetic images" in note
    assert "SYNTHETIC" in written.attributes["description"]
    rows = bench.rows.tolist()
    assert rows == [0, 2]
    for record in _records(measured):
        value = bench.query(record.unit.row, epochs=4, repeat=record.unit.repeat)
        assert value.validation_accuracy == record.training.accuracy("validation")
    # Nobody measured an energy: it is missing, and not 0.
    assert np.isnan(written.values["energy_kwh"]).all()
    assert "had no meter: missing" in (written.provenance["energy_kwh"].note or "")


def test_a_tfrecord_cannot_say_synthetic_and_is_refused(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(SyntheticError, match="cannot say"):
        export(measured, tmp_path / "out.tfrecord", allow_synthetic=True)
    assert not (tmp_path / "out.tfrecord").exists()


def test_the_official_format_is_read_back(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tfrecord"
    written = export(sound, out, pue=1.59, carbon="DK")
    bench = ecnas.load(out)
    for name in written.values:
        assert bench.table.column(name) == pytest.approx(written.values[name]), name
    trainings = list(read_ecnas_records(out))
    assert len(trainings) == 4
    assert all(len(t.message.evaluations) == 3 for t in trainings)
    assert {t.message.power.gpu.devices[0].name for t in trainings} == {"Made-up GPU"}


def test_records_of_different_origin_do_not_mix(spoil: Spoil) -> None:
    folder = spoil(lambda r: replace(r, training=replace(r.training, device_name="Other GPU")))
    with pytest.raises(ProvenanceError, match="more than one device"):
        columns_of(folder)


def test_missing_units_are_nan_and_none_is_an_error(sound: Path) -> None:
    units = Plan.read(sound).units
    record_path(sound, units[0]).unlink()
    columns = columns_of(sound)
    at = columns.rows.tolist().index(units[0].row), 0, units[0].repeat
    for values in columns.values.values():
        assert math.isnan(values[at])
        assert np.isnan(values).sum() == 1
    for unit in units[1:]:
        record_path(sound, unit).unlink()
    with pytest.raises(ConfigError, match="no records"):
        columns_of(sound)
    with pytest.raises(ConfigError, match="PUE"):
        columns_of(sound, pue=0.5)
