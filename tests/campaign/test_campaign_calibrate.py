"""From a campaign's export to a calibration: longer budgets come out unbiased.

The device is synthetic, and known: a run of n epochs takes `a + b n` kWh, whose slope b follows
from the cell and whose start-up and evaluations a are one fifth of the energy at 4 epochs, twice
what the RTX 6000 has.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import naslib_ecnas as ecnas
from naslib_ecnas import cli
from naslib_ecnas.campaign import Measurement, Plan, export, make_plan
from naslib_ecnas.campaign.record import record_path
from naslib_ecnas.data.convert import write_csv
from naslib_ecnas.energy.readings import Window
from naslib_ecnas.errors import ConfigError, FormatError, ProvenanceError
from naslib_ecnas.surrogate.calibrate import calibrated
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.modelled import modelled_columns
from naslib_ecnas.surrogate.models import (
    DeviceModel,
    OverEpochs,
    Weights,
    shipped,
    shipped_descriptors,
)

BUDGETS = (4, 12, 36, 108)
SHARE = 0.2
ROWS = tuple(range(1, 91, 4))


def slope_kwh(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) kWh of one epoch on the synthetic device."""
    parts = shipped_descriptors().parts(features(rows))
    return np.asarray((2 + 6 * parts.sum(axis=1)) * 250 / 3.6e6)


def runs_kwh(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, 4) kWh from the start of a run to the end of its training."""
    slope = slope_kwh(rows)
    start = 4 * slope * SHARE / (1 - SHARE)
    return np.asarray(start[:, None] + np.outer(slope, BUDGETS))


def _made_to_use(record: Measurement, steps_kwh: float, fixed_kwh: float) -> Measurement:
    """A record whose GPU alone used so much in its steps, and besides up to the last evaluation."""
    training = record.training
    trained = [s.window.name for s in training.segments]
    besides = ["init", *(e.window.name for e in training.evaluations if e.when != "end")]
    each = {
        **dict.fromkeys(trained, 3.6e6 * steps_kwh / len(trained)),
        **dict.fromkeys(besides, 3.6e6 * fixed_kwh / len(besides)),
    }

    def changed(window: Window) -> Window:
        joules = each.get(window.name, 1.0)
        readings = {name: replace(r, energy_j=joules) for name, r in window.energy_j.items()}
        return replace(window, energy_j=readings, cpu_energy_j={})

    return replace(record, windows=tuple(map(changed, record.windows)))


@pytest.fixture
def synthetic_campaign(sound: Path, tmp_path: Path) -> Path:
    """Runs of 4 epochs of 23 cells on the synthetic device, as records."""
    template = Measurement.read(record_path(sound, Plan.read(sound).units[0]))
    folder = tmp_path / "synthetic"
    plan = make_plan(ROWS, name="synthetic", vertices=4, data=Plan.read(sound).data)
    plan.write(folder)
    for unit in plan.units:
        slope = float(slope_kwh(np.array([unit.row]))[0])
        record = _made_to_use(template, 4 * slope, 4 * slope * SHARE / (1 - SHARE))
        replace(record, unit=unit).write(record_path(folder, unit))
    return folder


@pytest.mark.parametrize("span", ["run", "steps"])
def test_all_budgets_are_unbiased_whichever_the_export_is_of(
    synthetic_campaign: Path, tmp_path: Path, span: str
) -> None:
    out, model = tmp_path / "runs.csv", tmp_path / "model.npz"
    columns = export(synthetic_campaign, out, span=span)
    truth = runs_kwh(columns.rows.astype(np.int64))
    share = SHARE if span == "steps" else 0.0
    np.testing.assert_allclose(
        columns.values["energy_kwh"][:, 0, 0], (1 - share) * truth[:, 0], rtol=1e-9
    )
    calibrate = ["surrogate", "calibrate", "--measurements", str(out), "--out", str(model)]
    assert cli.main(calibrate) == 0
    bench = ecnas.load("4v", device=str(model))
    rows = np.arange(91)
    said = np.stack([bench.values("energy_kwh", budget) for budget in BUDGETS], axis=1)
    off = np.median(said / runs_kwh(rows), axis=0) - 1
    assert np.abs(off).max() < 0.01
    assert "20.0% at 4 epochs, as measured on this device" in str(bench.provenance["energy_kwh"])


def test_without_a_measured_share_the_steps_get_the_models_start_up(
    synthetic_campaign: Path, tmp_path: Path
) -> None:
    """A file of one's own: a CSV without a header. Its slope is kept, whatever the start-up."""
    out = tmp_path / "runs.csv"
    export(synthetic_campaign, out, span="steps")
    lines = out.read_text().splitlines()
    out.write_text("\n".join(line for line in lines if not line.startswith("#")) + "\n")
    model = {}
    for span in ("run", "steps"):
        _, weights = calibrated(out, pue=1.0, span=span)
        weights.save(tmp_path / f"{span}.npz")
        model[span] = ecnas.load("4v", device=str(tmp_path / f"{span}.npz"))
    rows = np.arange(91)
    shares = OverEpochs.from_weights(Weights.load(shipped("epochs"))).shares(features(rows))
    ratio = model["steps"].values("energy_kwh", 4) / model["run"].values("energy_kwh", 4)
    np.testing.assert_allclose(ratio, 1 / (1 - shares), rtol=1e-6)
    long = model["steps"].values("energy_kwh", 108) / runs_kwh(rows)[:, 3]
    assert abs(np.median(long) - 1) < 0.01
    # Taken for runs, the same numbers come out a tenth too low.
    wrong = model["run"].values("energy_kwh", 108) / runs_kwh(rows)[:, 3]
    assert np.median(wrong) < 0.95


def test_a_file_that_says_its_span_is_not_taken_for_another(
    synthetic_campaign: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs.ecnas"
    export(synthetic_campaign, out, span="steps")
    with pytest.raises(ConfigError, match="something else"):
        calibrated(out, span="run")
    with pytest.raises(ConfigError, match="something else"):
        calibrated(out, span="whole")
    _, weights = calibrated(out)
    assert weights.header["energy_span"] == "steps"
    assert weights.header["start_up_share"] == pytest.approx(SHARE, abs=1e-6)
    assert DeviceModel.from_weights(weights, "Made-up GPU").start_share == pytest.approx(SHARE)
    for wrong in ({"energy_span": "whole"}, {"start_up_share": 1.5}):
        with pytest.raises(FormatError, match="what their energies are of"):
            DeviceModel.from_weights(
                replace(weights, header={**weights.header, **wrong}), "Made-up GPU"
            )


def test_what_a_model_says_is_no_measurement(tmp_path: Path) -> None:
    out = tmp_path / "modelled.csv"
    write_csv(out, modelled_columns("4v", 4))
    with pytest.raises(ProvenanceError, match="tell nothing of a GPU"):
        calibrated(out)


def test_a_calibration_on_synthetic_numbers_says_so(
    synthetic_campaign: Path, tmp_path: Path
) -> None:
    columns = export(synthetic_campaign, tmp_path / "runs.ecnas")
    marked = {
        name: replace(origin, kind="synthetic") for name, origin in columns.provenance.items()
    }
    write_csv(tmp_path / "runs.csv", replace(columns, provenance=marked))
    calibrated(tmp_path / "runs.csv")[1].save(tmp_path / "model.npz")
    bench = ecnas.load("4v", device=str(tmp_path / "model.npz"))
    origin = bench.provenance["energy_kwh"]
    assert (origin.kind, origin.note[:9]) == ("synthetic", "SYNTHETIC")
    assert "measured on this device" not in origin.note
    assert bench.provenance["validation_accuracy"].kind == "modelled"
