"""Calibrating another GPU: the choice of cells, made-up devices, and the four measured ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import ConfigError, FormatError, ProvenanceError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.calibrate import (
    Measurements,
    calibrate,
    calibrated,
    choose,
    measurements_of,
)
from naslib_ecnas.surrogate.devices import Descriptors
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.devices import device_runs, measurements

# -- which cells to measure ----------------------------------------------------------------------


@pytest.mark.parametrize("vertices", [4, 5, 7])
def test_choices_are_distinct_cells_of_the_space_and_repeatable(vertices: int) -> None:
    rows = choose(20, vertices=vertices)
    assert len(np.unique(rows)) == 20
    assert 0 < rows.min() < rows.max() < len(Space(vertices))
    np.testing.assert_array_equal(rows, choose(20, vertices=vertices))


def test_choices_are_among_the_given_rows() -> None:
    given = [5, 5, 9, 11, 12, 20, 33, 40, 41, 60, 80]
    chosen = choose(8, rows=given)
    assert set(chosen) <= set(given)
    assert len(set(chosen)) == 8
    with pytest.raises(ConfigError):
        choose(20, rows=range(19))


def test_the_design_has_more_information_than_random_draws() -> None:
    pool = np.arange(1, 91)
    z = Descriptors.shipped()(features(pool))
    design = np.column_stack([np.ones(len(z)), (z - z.mean(axis=0)) / z.std(axis=0)])

    def information(rows: np.ndarray) -> float:
        part = design[rows - 1]
        return float(np.linalg.slogdet(part.T @ part)[1])

    rng = np.random.default_rng(0)
    drawn = max(information(rng.choice(pool, 20, replace=False)) for _ in range(200))
    assert information(choose(20, rows=pool)) > drawn


# -- calibrations --------------------------------------------------------------------------------


def synthetic(rows: np.ndarray, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """kWh and s of a made-up GPU: conv3x3 gains more than all else, as with tensor cores."""
    parts = Descriptors.shipped().parts(features(rows))
    time = 4 * (2 + 6 * parts.sum(axis=1) - 2.4 * parts[:, 0])
    drawn = np.random.default_rng(0).standard_normal(len(rows))
    return time * 250 / 3.6e6 * np.exp(noise * drawn), time


def test_a_synthetic_device_is_found_from_twenty_cells() -> None:
    rows = choose(20)
    result = calibrate(Measurements.of(rows, *synthetic(rows)), device="mine")
    assert result.model.name == result.report.device == "mine"
    assert result.report.suspicious == ()
    new = Space(7).sample(np.random.default_rng(9), 500)
    mean, std = result.model.predict(features(new))
    off = synthetic(new, noise=0)[0] / mean
    assert np.mean(np.abs(1 / off - 1)) < 0.04
    assert np.mean(np.abs(np.log(off)) < 1.645 * std / mean) > 0.85


@pytest.mark.parametrize("with_time", [True, False])
def test_disturbed_runs_are_listed_and_bend_nothing(with_time: bool) -> None:
    rows, factor = choose(24), np.ones(24)
    factor[[3, 11]] = 2.4, 5.0
    clean, result = (
        calibrate(Measurements.of(rows, energy * by, time * by if with_time else None))
        for energy, time in [synthetic(rows)]
        for by in (1, factor)
    )
    report = result.report
    worst, other = report.suspicious
    assert (worst.row, other.row) == (rows[11], rows[3])
    assert worst.factor == worst.value / worst.expected == pytest.approx(5, rel=0.15)
    assert worst.quantity == ("training_time_s" if with_time else "energy_kwh")
    assert report.cells == report.cross_validated.cells == report.sound.cells + 2 == 24
    x = features(Space(7).sample(np.random.default_rng(2), 300))
    change = result.model.predict(x)[0] / clean.model.predict(x)[0]
    assert np.abs(np.log(change)).max() < 0.08
    assert len(report.to_json()["suspicious"]) == 2


def test_repeats_of_a_cell_stay_together_in_cross_validation() -> None:
    rows = np.repeat(choose(12), 3)
    energy, time = synthetic(rows)
    energy[:3] *= 1.2  # one cell is unlike its model: its repeats must not predict each other
    report = calibrate(Measurements.of(rows, energy, time)).report
    assert report.cells == 36
    assert report.worst > 10


def test_impossible_measurements_are_refused() -> None:
    wrong: tuple[Any, ...]
    for wrong in (
        *(([0.01], None), ([0.01, 0.0], None), ([0.01, np.nan], None)),
        *(([0.01, 0.02], [3.0, -1.0]), ([0.01, 0.02], [3.0])),
    ):
        with pytest.raises(ConfigError, match="must"):
            Measurements.of([1, 2], *wrong)
    rows = np.repeat(np.arange(20, 27), 3)
    few = Measurements.of(rows, *synthetic(rows))
    with pytest.raises(ConfigError, match="8 or more cells"):
        calibrate(few)
    with pytest.raises(ConfigError, match="cannot choose 22 of 7"):
        calibrate(few, cells=22)


def test_four_measured_devices_from_twenty_cells(reference: Path) -> None:
    """On the cells that were not chosen; limits where the runs' own noise lets them be met."""
    most = {"quadro-rtx-6000": 3.0, "rtx-3060": 3.0, "rtx-3090": 3.3, "titan-xp": 4.2}
    for device, bound in most.items():
        report = calibrate(measurements(device_runs(reference, device)), cells=20).report
        assert report.held_out is not None
        assert report.held_out_sound is not None
        assert report.cells == 20
        assert report.held_out.cells == (68 if device == "rtx-3060" else 71)
        assert report.held_out_sound.mape < bound
        assert report.held_out_sound.tau > 0.86
        if device != "rtx-3090":
            assert report.held_out.mape < bound


# -- measurements of a table ---------------------------------------------------------------------


ORIGIN = Provenance("synthetic", device="Made-up GPU", pue=1.0)


def columns(**more: object) -> Columns:
    """Synthetic runs of three cells at 4 and 12 epochs; the second has one of two repeats."""
    energy = np.arange(1.0, 13.0).reshape(3, 2, 2)
    energy[1, 0, 0] = np.nan
    values = {"energy_kwh": energy, "training_time_s": 100 * energy}
    rows = np.array([2, 7, 40], dtype=np.int32)
    made = Columns("runs", 4, rows, (4, 12), 2, values, dict.fromkeys(values, ORIGIN))
    return replace(made, **more)


def only(metric: str) -> Columns:
    return columns(values={metric: columns().values[metric]}, provenance={metric: ORIGIN})


def test_every_repeat_at_4_epochs_is_a_measurement(tmp_path: Path) -> None:
    some = columns()
    times = some.values["training_time_s"].copy()
    times[2, 0, 1] = np.nan  # times are used only where every run has one
    some = replace(some, values={**some.values, "training_time_s": times})
    for made, with_time in ((columns(), True), (some, False), (only("energy_kwh"), False)):
        write_table(tmp_path / "t.ecnas", made)
        found = measurements_of(Table.open(tmp_path / "t.ecnas"))
        assert found.rows.tolist() == [2, 2, 7, 40, 40]
        assert found.energy_kwh.tolist() == [1, 2, 6, 9, 10]
        assert (found.training_time_s is not None) == with_time
        if found.training_time_s is not None:
            assert found.training_time_s.tolist() == [100, 200, 600, 900, 1000]


def test_tables_without_such_measurements_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.ecnas"

    def refused(error: type[Exception], message: str, made: Columns) -> None:
        write_table(path, made)
        with pytest.raises(error, match=message):
            calibrated(path)

    needs = "needs energy_kwh at 4 epochs; table runs has"
    refused(ConfigError, needs, columns(budgets=(12, 36)))
    refused(ConfigError, needs, only("training_time_s"))
    modelled = dict.fromkeys(columns().values, Provenance("modelled", pue=1.0))
    refused(ProvenanceError, "table runs has modelled ones", columns(provenance=modelled))
    for share in ("a fifth", "nan", "1", "-0.1", ""):
        made = columns(attributes={"start_up_share": share})
        refused(FormatError, "start_up_share must be from 0", made)
    refused(ConfigError, "must be training or steps", columns(attributes={"energy_span": "day"}))
