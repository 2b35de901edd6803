"""A modelled table in memory: the predictions, and what has to be known of each column."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.columns import Columns
from naslib_ecnas.errors import EcnasError, FormatError
from naslib_ecnas.progress import Progress, Silent
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.device import DeviceModel
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.headers import reported
from naslib_ecnas.surrogate.native import BUDGETS, PUE, TITLE
from naslib_ecnas.surrogate.paper import PaperModel
from naslib_ecnas.surrogate.predict import Models
from naslib_ecnas.surrogate.weights import Weights, is_synthetic, shipped

__all__ = [
    "calibration_of",
    "energy_columns",
    "energy_provenance",
    "modelled_columns",
    "provenance_of",
]

_NATIVE_NOTE = (
    "the source names an RTX 6000 and no PUE; the measurements agree with the four-vertex table "
    "of the RTX 3090, whose PUE of 1.59 is in (median ratio 1.00), and so are labelled as such"
)
_ECNAS = "P. Bakhtiarifard, C. Igel and R. Selvan, ICASSP 2024, arXiv 2210.06015"
_NASBENCH = "C. Ying et al., ICML 2019, arXiv 1902.09635"


def modelled_columns(
    name: str,
    vertices: int,
    *,
    device: str | PathLike[str] | None = None,
    scaling: str = "affine",
    model: str = "ours",
    progress: Progress | None = None,
) -> Columns:
    """Predict every cell of a space.

    Args:
        name: short name of the table.
        vertices: largest number of vertices.
        device: a calibrated device, or the file of a calibration; the native scale where left
            out.
        scaling: `"affine"` or `"linear"` in epochs.
        model: `"ours"` or `"paper"`.
        progress: hears how far it is.

    Raises:
        ConfigError: there is no calibration of the device.
        FormatError: a file of weights is damaged.
    """
    calibration, header = calibration_of(device)
    models = Models.shipped(calibration, scaling)
    rows = np.arange(len(Space(vertices)), dtype=np.int32)
    progress = Silent() if progress is None else progress
    progress.started(f"{name}, once", "predicting", len(rows), 0, "cells")
    values = models.predict(rows, lambda done: progress.advanced(f"{name}, once", done))
    progress.finished(f"{name}, once")
    if model == "paper":
        values = _with_paper(values, rows)
    return Columns(
        name=name,
        vertices=vertices,
        rows=rows,
        budgets=BUDGETS,
        repeats=1,
        # float32 says all that a prediction knows, in half the room.
        values={k: v.astype(np.float32).astype(np.float64)[:, :, None] for k, v in values.items()},
        provenance=provenance_of(values, calibration, header, scaling, model),
        attributes=_attributes(header, model),
    )


def calibration_of(
    device: str | PathLike[str] | None,
) -> tuple[DeviceModel | None, Mapping[str, Any]]:
    """The model of a device and the header of its weights; none for the native scale.

    Raises:
        ConfigError: there is no calibration of the device.
        UnknownTableError: it is a file that is not there.
        FormatError: the file holds no calibration.
    """
    if device is None:
        return None, {}
    if isinstance(device, str) and device.endswith(".npz"):
        device = Path(device).expanduser()
    own = isinstance(device, Path)
    weights = Weights.load(device if own else shipped("devices"))
    if own:
        return _checked(weights, device), weights.header
    model = DeviceModel.from_weights(weights, str(device))
    lines = reported("devices")
    name = f"energy at 4 epochs, {model.name}"
    quality = {name: lines["quality"][name]}
    return model, {"target": lines["target"], "quality": quality, "pue": weights.header["pue"]}


def _checked(weights: Weights, path: str | PathLike[str]) -> DeviceModel:
    """The model in a user's own file, once it was seen to predict."""
    try:
        model = DeviceModel.from_weights(weights, str(weights.header["device"]))
        with np.errstate(all="ignore"):  # what overflows is refused just below
            found = np.array(model.predict(features(np.arange(1, 4))))
        if found.shape != (2, 3) or not (np.isfinite(found) & (found > 0)).all():
            raise ValueError("it predicts no energies")
    except EcnasError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise FormatError(
            f"holds no calibration of a device ({type(error).__name__}: {error})",
            path=path,
            expected="a file that `ecnas surrogate calibrate` wrote",
            remedy="calibrate again: ecnas surrogate calibrate --out FILE",
        ) from error
    return model


def _with_paper(
    values: dict[str, NDArray[np.float64]], rows: NDArray[np.int32]
) -> dict[str, NDArray[np.float64]]:
    """Our predictions with the paper's energies, whose errors nobody knows cell by cell."""
    paper = PaperModel.from_weights(Weights.load(shipped("paper")))
    kept = {name: v for name, v in values.items() if not name.startswith("energy_kwh")}
    return {"energy_kwh": paper.energy_kwh(rows, BUDGETS), **kept}


def energy_provenance(
    calibration: DeviceModel | None = None,
    header: Mapping[str, Any] | None = None,
    scaling: str = "affine",
    model: str = "ours",
) -> Provenance:
    """Origin of modelled energies: of which device, on which scale, by which model."""
    header = header or {}
    if model == "paper-weights":
        how = "the weights that the paper's authors published"
    elif model == "paper":
        how = (
            "recipe of the paper's perceptron, fitted anew on the published measurements; far off "
            "for the few cells of two or three vertices, which these hold none of"
        )
    elif calibration is None:
        how = "fitted on the measurements of 7-vertex cells at 4 epochs that EC-NAS published"
    elif is_synthetic(header):
        how = "SYNTHETIC: calibrated on numbers that are no measurements"
    else:
        how = "calibrated on few cells measured on this device"
    grows = (
        "other budgets scaled by epochs / 4"
        if scaling == "linear"
        else "over epochs affine, start-up apart, as measured on the RTX 6000"
    )
    if header.get("start_up_share") is not None and scaling != "linear":
        seen = "in these runs" if is_synthetic(header) else "measured on this device"
        grows = (
            "over epochs affine, start-up and evaluations being "
            f"{header['start_up_share']:.1%} at 4 epochs, as {seen}"
        )
    if header.get("energy_span") == "steps":
        grows += "; start-up and evaluations added to the measured steps of training"
    scale = _NATIVE_NOTE if calibration is None else ""
    device = TITLE if calibration is None else calibration.name
    pue = PUE if calibration is None else float(header.get("pue", PUE))
    return Provenance(
        "synthetic" if is_synthetic(header) else "modelled",
        device=device,
        pue=pue,
        note="; ".join(part for part in (how, grows, scale) if part),
    )


def provenance_of(
    metrics: Mapping[str, Any],
    calibration: DeviceModel | None,
    header: Mapping[str, Any],
    scaling: str,
    model: str,
) -> dict[str, Provenance]:
    """Origin of each modelled column."""
    energy = energy_provenance(calibration, header, scaling, model)
    trained = "fitted on trainings that NAS-Bench-101 published"
    of = {
        "energy": energy,
        "gpu": replace(
            energy,
            pue=None,
            note="GPU over GPU and processor packages, as metered in runs of one epoch on the RTX "
            "3090 and of 4 and 108 on the RTX 6000",
        ),
        "training": Provenance(
            "modelled",
            device="TPU v2",
            note=f"{trained} at 108 epochs, other budgets in proportion",
        ),
        "validation": Provenance(
            "modelled",
            note=f"{trained}; mean over trainings (at 108 epochs the source has the largest of "
            "three, from which the mean is estimated, and the deviation is that of the mean)",
        ),
        "test": Provenance(
            "modelled",
            note=f"{trained} at 108 epochs; at 4, 12 and 36 epochs from the validation accuracy "
            "by what EC-NAS's own trainings show of the two",
        ),
    }
    return {name: of[name.partition("_")[0]] for name in metrics}


def _attributes(header: Mapping[str, Any], model: str) -> dict[str, str]:
    targets = ("paper" if model == "paper" else "energy", "epochs", "accuracy", "time")
    known = [reported(target) for target in targets]
    if header:
        known[0] = {k: header[k] for k in ("target", "quality", "anchors") if k in header}
    return {
        "description": "every value is modelled; nothing in this table was measured",
        "citation": f"{_ECNAS}; accuracies and times after {_NASBENCH}",
        "licence": "Apache-2.0",
        "quality": json.dumps(known),
    }


def energy_columns(
    model: Models | PaperModel,
) -> Callable[[NDArray[np.int32], Sequence[int]], dict[str, NDArray[np.float64]]]:
    """A model's energies as a function of rows (n,) and budgets (b,), for `data.build`.

    Budgets need not be those of NAS-Bench-101: the energy is known for any number of epochs.
    """

    def energies(rows: NDArray[np.int32], budgets: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        if isinstance(model, PaperModel):
            return {"energy_kwh": model.energy_kwh(rows, budgets)}
        mean, std = model.energies(rows, budgets)
        return {"energy_kwh": mean, "energy_kwh_std": std}

    return energies
