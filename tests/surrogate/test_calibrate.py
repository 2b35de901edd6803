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
from naslib_ecnas.surrogate.fit.devices import device_measurements

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
    assert information(choose(20, rows=pool, spread=0)) > drawn
    # Cells are cheaper where cost counts.
    time = Descriptors.shipped().time_s
    free, thrifty = (choose(20, cost=cost) for cost in (0, 1))
    assert time(features(thrifty)).sum() < 0.8 * time(features(free)).sum()


def test_centres_alone_begin_in_the_middle() -> None:
    """k-centres: the cell nearest to the mean, then always the farthest from those chosen."""
    pool = np.arange(1, 91)
    z = Descriptors.shipped()(features(pool))
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    wanted = [int(np.argmin((z**2).sum(axis=1)))]
    while len(wanted) < 10:
        wanted.append(int(np.linalg.norm(z[:, None] - z[wanted], axis=2).min(axis=1).argmax()))
    assert choose(10, rows=pool, spread=1).tolist() == pool[wanted].tolist()


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
    truth = synthetic(new, noise=0)[0]
    assert np.mean(np.abs(mean / truth - 1)) < 0.04
    assert np.mean(np.abs(np.log(truth / mean)) < 1.645 * std / mean) > 0.85


@pytest.mark.parametrize("with_time", [True, False])
def test_disturbed_runs_are_listed_and_bend_nothing(with_time: bool) -> None:
    rows = choose(24)
    energy, time = synthetic(rows)
    clean = calibrate(Measurements.of(rows, energy, time if with_time else None))
    for i, factor in ((3, 2.4), (11, 5.0)):
        energy[i] *= factor
        time[i] *= factor
    result = calibrate(Measurements.of(rows, energy, time if with_time else None))
    report = result.report
    found = {s.row: s for s in report.suspicious}
    assert set(found) == {rows[3], rows[11]}
    assert found[rows[11]].factor == pytest.approx(5, rel=0.15)
    assert found[rows[11]].quantity == ("training_time_s" if with_time else "energy_kwh")
    assert found[rows[11]].value / found[rows[11]].expected == pytest.approx(5, rel=0.15)
    assert report.suspicious[0].row == rows[11]
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
    with pytest.raises(ConfigError, match="cannot fit 22 of 21"):
        calibrate(few, cells=22)


def test_four_measured_devices_from_twenty_cells(reference: Path) -> None:
    """On the cells that were not chosen; limits where the runs' own noise lets them be met."""
    most = {"quadro-rtx-6000": 3.0, "rtx-3060": 3.0, "rtx-3090": 3.3, "titan-xp": 4.2}
    for device, bound in most.items():
        report = calibrate(device_measurements(reference, device), cells=20).report
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


def opened(path: Path, made: Columns) -> Table:
    write_table(path, made)
    return Table.open(path)


def test_every_repeat_at_4_epochs_is_a_measurement(tmp_path: Path) -> None:
    found = measurements_of(opened(tmp_path / "t.ecnas", columns()))
    assert found.rows.tolist() == [2, 2, 7, 40, 40]
    assert found.energy_kwh.tolist() == [1, 2, 6, 9, 10]
    assert found.training_time_s is not None
    assert found.training_time_s.tolist() == [100, 200, 600, 900, 1000]
    # Times are used only where every run has one.
    made = columns()
    times = made.values["training_time_s"].copy()
    times[2, 0, 1] = np.nan
    some = replace(made, values={**made.values, "training_time_s": times})
    assert measurements_of(opened(tmp_path / "some.ecnas", some)).training_time_s is None
    found = measurements_of(opened(tmp_path / "none.ecnas", only("energy_kwh")))
    assert found.training_time_s is None
    assert len(found.rows) == 5


def test_tables_without_such_measurements_are_refused(tmp_path: Path) -> None:
    for made in (columns(budgets=(12, 36)), only("training_time_s")):
        with pytest.raises(ConfigError, match="needs energy_kwh at 4 epochs; table runs has"):
            measurements_of(opened(tmp_path / "t.ecnas", made))
    modelled = columns(provenance=dict.fromkeys(columns().values, Provenance("modelled", pue=1.0)))
    with pytest.raises(ProvenanceError, match="table runs has modelled ones"):
        measurements_of(opened(tmp_path / "t.ecnas", modelled))
    for share in ("a fifth", "nan", "1", "-0.1", ""):
        write_table(tmp_path / "t.ecnas", columns(attributes={"start_up_share": share}))
        with pytest.raises(FormatError, match="start_up_share must be from 0") as caught:
            calibrated(tmp_path / "t.ecnas")
        assert caught.value.value == share
    write_table(tmp_path / "t.ecnas", columns(attributes={"energy_span": "day"}))
    with pytest.raises(ConfigError, match="span of the energies must be training or steps"):
        calibrated(tmp_path / "t.ecnas")
