"""From a file of measurements on a GPU to its calibration and the weights to keep."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.data.checksums import sha256_of
from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.table import Table
from naslib_ecnas.data.view import check_pue
from naslib_ecnas.errors import ConfigError, FormatError, ProvenanceError
from naslib_ecnas.surrogate.calibrate import Calibration, Measurements, calibrate
from naslib_ecnas.surrogate.device import SPANS
from naslib_ecnas.surrogate.weights import Weights

__all__ = ["calibrated", "measurements_of"]

#: Epochs of the trainings that devices are calibrated on.
EPOCHS = 4


def measurements_of(table: Table) -> Measurements:
    """The runs of 4 epochs in a table, one for each repeat.

    Raises:
        ConfigError: it has none, or no energies.
        ProvenanceError: its energies are modelled.
    """
    if EPOCHS not in table.budgets or "energy_kwh" not in table.metrics:
        raise ConfigError(
            "holds no energies of 4 epochs",
            value=f"{table.name}: budgets {table.budgets}, {', '.join(table.metrics)}",
            expected="energy_kwh at 4 epochs",
            remedy="measure that budget: it is what calibrations are made of",
        )
    # Scaled ones are as measured at 4 epochs.
    if table.provenance["energy_kwh"].kind == "modelled":
        raise ProvenanceError(
            "a model's energies tell nothing of a GPU",
            value=f"{table.name}: {table.provenance['energy_kwh']}",
            expected="measured ones",
            remedy="measure the cells that `ecnas surrogate choose` names",
        )
    budget = table.budgets.index(EPOCHS)
    energy = table.at_budget("energy_kwh", budget)
    there = np.isfinite(energy)
    rows = np.repeat(table.rows.astype(np.int64), energy.shape[1])[there.ravel()]
    time = None
    if "training_time_s" in table.metrics:
        seconds = table.at_budget("training_time_s", budget)[there]
        time = seconds if np.isfinite(seconds).all() else None
    return Measurements.of(rows, energy[there], time)


def calibrated(
    source: str | PathLike[str],
    *,
    cells: int | None = None,
    device: str | None = None,
    pue: float | None = None,
    span: str | None = None,
    seed: int = 0,
) -> tuple[Calibration, Weights]:
    """Calibrate a device from a file.

    Args:
        source: any file that `ecnas data convert` reads, or a table's name.
        cells: fit only so many and test on the others.
        device: name of the GPU; that of the file's provenance where left out.
        pue: PUE within the energies; that of the file's provenance where left out.
        span: `run` where the energies are from the start of the run to the end of training,
            `steps` where they are of the steps of training alone; what the file says where left
            out, else `run`, which EC-NAS's are. The file of a campaign says the start-up's share
            too, so that longer budgets follow from the device's own.
        seed: of the choice and the folds.

    Raises:
        ConfigError: too few cells, no energies of 4 epochs, no PUE known, or a span that is none
            or not the file's.
        ProvenanceError: its energies are modelled.
        UnknownTableError: there is no such file.
        FormatError: it cannot be read.
    """
    if pue is not None:
        check_pue(pue)
    path = converted(source)
    table = Table.open(path)
    measurements = measurements_of(table)
    origin = table.provenance["energy_kwh"]
    pue = origin.pue if pue is None else pue
    if pue is None:
        raise ConfigError(
            "the PUE within the energies is not known",
            value=str(source),
            expected="a file that says it, or --pue",
            remedy="--pue 1 where the energies are those of the machine itself",
        )
    name = device or origin.device or Path(str(source)).stem
    span, share = _span(table, span), _start_share(table)
    calibration = calibrate(measurements, cells=cells, device=name, seed=seed)
    model = replace(calibration.model, name=name, span=span, start_share=share)
    header: dict[str, Any] = {
        "target": "energy of another GPU",
        "device": name,
        "pue": pue,
        "energy_span": span,
        "start_up_share": share,
        "seed": seed,
        "data": {Path(str(source)).name: origin.sha256 or sha256_of(path)},
        "split": f"{len(calibration.model.low)} descriptors; each run left out in turn",
        "quality": {
            f"energy at 4 epochs, {name}": {
                **calibration.report.sound.to_json(),
                "unit": "kWh",
                "about": "each run left out in turn, without runs far off the others",
            }
        },
        "report": calibration.report.to_json(),
    }
    if origin.kind == "synthetic":
        header["synthetic"] = True
    arrays = {**model.descriptors.to_arrays(), **model.to_arrays(name)}
    return replace(calibration, model=model), Weights(header, arrays)


def _span(table: Table, asked: str | None) -> str:
    """What the energies are of."""
    said = table.attributes.get("energy_span")
    span = asked or said or "run"
    if span not in SPANS or (said is not None and span != said):
        raise ConfigError(
            "the energies are of something else",
            value=span,
            expected=said if said in SPANS else " or ".join(SPANS),
            remedy="leave --span out where the file says it",
        )
    return span


def _start_share(table: Table) -> float | None:
    """Share of the start-up in the energy of a run of 4 epochs, where the file says it."""
    text = table.attributes.get("start_up_share")
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise FormatError(
            "no share of the start-up", path=table.path, value=text, expected="0 to below 1"
        )
    return share
