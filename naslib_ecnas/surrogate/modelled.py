"""The modelled tables `7v`, `5v` and `4v`: predictions of every cell and their origin.

`Models` predicts all metrics of cells, and `modelled_columns` makes a table of a whole space, which
`cached` keeps in the cache. `energy_model` gives energies alone, at any budgets, to `ecnas data
build`. `reported` gives the errors of the models on cells that were not
fitted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import ConfigError, EcnasError, FormatError
from naslib_ecnas.progress import Progress, silent
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import SUFFIX, TARGETS, checked_scaling
from naslib_ecnas.surrogate.devices import (
    SHARES,
    DeviceModel,
    OverEpochs,
    ShareModel,
)
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.models import (
    BUDGETS,
    DEVICE,
    DEVICE_TITLE,
    PUE,
    AccuracyModel,
    EnergyModel,
    TimeModel,
    Weights,
)
from naslib_ecnas.surrogate.paper import PaperModel

__all__ = [
    "TARGETS",
    "Models",
    "calibration_of",
    "energy_model",
    "energy_provenance",
    "modelled_columns",
    "provenance_of",
    "reported",
]

Array = NDArray[np.float64]
Device = str | PathLike[str] | None

#: Energies (n, b) of rows (n,) at budgets (b,), by metric.
Energies = Callable[[NDArray[np.int32], Sequence[int]], dict[str, Array]]

#: The device on which trainings of many epochs were measured.
_GROWTH_DEVICE = "quadro-rtx-6000"

#: Rows at a time: their features stay in the processor's cache.
_CHUNK = 8192


# -- predictions of all metrics -------------------------------------------------------------------


@dataclass(frozen=True)
class Models:
    """The fitted models of all targets."""

    energy: EnergyModel | DeviceModel
    """Energy at 4 epochs, on the native scale (the RTX 3090's) or of a calibrated device."""
    over_epochs: OverEpochs
    accuracy: AccuracyModel
    time: TimeModel
    share: ShareModel | None = None
    """Share of the GPU in the energy, where it was measured."""
    scaling: str = "affine"

    @classmethod
    def shipped(cls, energy: DeviceModel | None = None, scaling: str = "affine") -> Models:
        """The models that come with the package.

        Args:
            energy: the model of another device; by default the native scale.
            scaling: `"affine"` or `"linear"` in epochs.
        """
        device = DEVICE if energy is None else energy.name
        arrays = {target: Weights.shipped(target).arrays for target in TARGETS}
        return cls(
            energy=energy or EnergyModel.from_arrays(arrays["energy"]),
            over_epochs=OverEpochs.from_arrays(arrays["epochs"]),
            accuracy=AccuracyModel.from_arrays(arrays["accuracy"]),
            time=TimeModel.from_arrays(arrays["time"]),
            share=(
                ShareModel.from_weights(Weights.shipped("devices"), device)
                if device in SHARES
                else None
            ),
            scaling=scaling,
        )

    def predict(
        self, rows: ArrayLike, advanced: Callable[[int], None] | None = None, *, threads: int = 2
    ) -> dict[str, Array]:
        """(n, 4) values of each metric at 4, 12, 36 and 108 epochs.

        Args:
            rows: (n,) rows of the seven-vertex space.
            advanced: called with the number of rows done.
            threads: chunks that are computed in parallel.

        Raises:
            UnknownCellError: a row is not one of the space.
        """
        wanted = np.atleast_1d(np.asarray(rows))
        from concurrent.futures import ThreadPoolExecutor  # a cached table needs none of it

        parts = [slice(i, i + _CHUNK) for i in range(0, len(wanted), _CHUNK)]
        out: dict[str, Array] = {}
        done = 0
        with ThreadPoolExecutor(threads) as pool:
            results = pool.map(lambda part: self._chunk(wanted[part]), parts)
            for part, values in zip(parts, results, strict=True):
                for name, column in values.items():
                    if name not in out:
                        out[name] = np.empty((len(wanted), len(BUDGETS)))
                    out[name][part] = column
                done += len(wanted[part])
                if advanced is not None:
                    advanced(done)
        return out

    def energies(self, rows: ArrayLike, budgets: Sequence[int]) -> tuple[Array, Array]:
        """(n, b) kWh of (n,) rows at any budgets, and their standard deviations."""
        wanted = np.atleast_1d(np.asarray(rows))
        mean = np.empty((len(wanted), len(budgets)))
        std = np.empty_like(mean)
        for start in range(0, len(wanted), _CHUNK):
            part = slice(start, start + _CHUNK)
            mean[part], std[part] = self._energy(features(wanted[part]), budgets)
        return mean, std

    def _energy(self, x: NDArray[Any], budgets: Sequence[int]) -> tuple[Array, Array]:
        mean, std = self.energy.predict(x)
        device = self.energy if isinstance(self.energy, DeviceModel) else None
        share = None if device is None else device.start_share
        if device is not None and device.span == "steps":
            # Tables hold the energy of whole runs: start-up and evaluations are added.
            steps = 1 - (self.over_epochs.shares(x) if share is None else share)
            mean, std = mean / steps, std / steps
        return self.over_epochs.predict(
            x,
            mean,
            std,
            budgets,
            scaling=self.scaling,
            # Growth over epochs was measured on one device; on others it is less certain.
            fitted_device=device is not None and device.name == _GROWTH_DEVICE,
            start_share=share,
        )

    def _chunk(self, rows: NDArray[Any]) -> dict[str, Array]:
        x = features(rows)
        energy, energy_std = self._energy(x, BUDGETS)
        seconds, seconds_std = self.time.predict(x)
        validation, validation_std, test, test_std = self.accuracy.predict(x)
        shares = {}
        if self.share is not None:
            shares["gpu_share"] = self.share.shares(x, BUDGETS)
        return {
            "energy_kwh": energy,
            "energy_kwh_std": energy_std,
            "training_time_s": self.time.at(seconds, BUDGETS),
            "training_time_s_std": self.time.at(seconds_std, BUDGETS),
            "validation_accuracy": validation,
            "validation_accuracy_std": validation_std,
            "test_accuracy": test,
            "test_accuracy_std": test_std,
            **shares,
        }


# -- errors of the models on cells not fitted ------------------------------------------------------

_ENERGY_ANCHOR = (
    "paper's test fifth: the authors' perceptron MAE .330 Wh, MAPE 2.39 %, tau .950; a strong "
    "ensemble .211 Wh, 1.51 %, .965"
)

#: The device that has more than four-vertex cells.
_DEVICE_CELLS = {"quadro-rtx-6000": "cells of up to 5 vertices left out in turn, in ten folds"}

_LINEAR = "what scaling by epochs / 4 gives from the same model"


def reported(target: str) -> dict[str, Any]:
    """Errors of a shipped model on cells not fitted, for `Quality.of_headers`."""
    header = Weights.shipped(target).header
    known = dict(header.get("quality") or {})
    if target == "energy":
        lines = dict(_energy(known))
    elif target == "epochs":
        lines = dict(_epochs(known))
    elif target == "devices":
        lines = dict(_devices(known, header))
    elif target == "paper":
        about = "the paper's valid part, used only to choose the epoch"
        lines = {name: {**entry, "about": about} for name, entry in known.items()}
    else:
        lines = {name: known[name] for name in sorted(known, key=_by_budget)}
    anchors = header.get("anchors") or {}
    if target == "energy":
        anchors = {next(iter(lines)): _ENERGY_ANCHOR}
    elif target == "epochs":
        anchors = {name: _LINEAR for name in lines if "linear" in name}
    return {"target": header.get("target"), "quality": lines, "anchors": anchors}


def _by_budget(name: str) -> tuple[bool, int]:
    """Validation before test, then by epochs; a header is in alphabetical order."""
    numbers = [int(word) for word in name.split() if word.isdigit()]
    return "test" in name, numbers[0] if numbers else 0


def _energy(known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    about = "5-fold cross-validation over the measured cells of the 7-vertex space"
    yield "energy at 4 epochs", {**known, "unit": "Wh", "about": about}
    about = "fitted on the paper's train part, tested on its valid part"
    yield (
        "energy at 4 epochs, paper's split",
        {**known["paper_split"], "unit": "Wh", "about": about},
    )


def _epochs(known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    names = {
        "energy_108": "energy at 108 epochs, 5-vertex cells",
        "energy_108_linear": "energy at 108 epochs, linear scaling",
        "four_vertices_12": "energy at 12 epochs, 4-vertex cells",
        "four_vertices_36": "energy at 36 epochs, 4-vertex cells",
        "four_vertices_108": "energy at 108 epochs, 4-vertex cells",
    }
    left_out = "cells left out in turn, in ten folds, on the RTX 6000"
    # Starting from the measured energy at 4 epochs, these lines show the errors of growth alone.
    grown = (
        "these trainings, but other trainings of a fifth of the cells were fitted; from the energy "
        "measured at 4 epochs, on the RTX 6000"
    )
    for key, name in names.items():
        if key in known:
            about = grown if key.startswith("four") else left_out
            entry = {**known[key], "unit": "Wh", "about": about}
            if "mae" in entry:
                entry["mae"] = 1000 * entry["mae"]
            if key == "energy_108":
                entry["by_vertices"] = known.get("by_vertices") or {}
            yield name, entry


def _devices(known: Mapping[str, Any], header: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for device in header["devices"]:
        entry = {**known[device], "unit": "Wh"}
        entry["mae"] = 1000 * entry["mae"]
        entry["about"] = _DEVICE_CELLS.get(device, "each 4-vertex cell left out in turn")
        entry["about"] += ", without runs far off the others"
        yield f"energy at 4 epochs, {device}", entry


# -- a table of a whole space and the origin of its columns ---------------------------------------

_NATIVE_NOTE = (
    "the source names an RTX 6000 and no PUE; the measurements agree with the four-vertex table "
    "of the RTX 3090, which includes a PUE of 1.59 (median ratio 1.00), and are labelled like it"
)

_ECNAS = "P. Bakhtiarifard, C. Igel and R. Selvan, ICASSP 2024, arXiv 2210.06015"

_NASBENCH = "C. Ying et al., ICML 2019, arXiv 1902.09635"


def modelled_columns(
    name: str,
    vertices: int,
    *,
    device: Device = None,
    scaling: str = "affine",
    model: str = "ours",
    progress: Progress | None = None,
) -> Columns:
    """A table of the predictions of every cell of a space.

    Args:
        name: short name of the table.
        vertices: largest number of vertices.
        device: a calibrated device, or the file of a calibration; the native scale by default.
        scaling: `"affine"` or `"linear"` in epochs.
        model: `"ours"` or `"paper"`.
        progress: shows how many cells are done.

    Raises:
        ConfigError: the device is not calibrated.
        UnknownTableError, FormatError: a file of weights is missing or damaged.
    """
    calibration, header = calibration_of(device)
    models = Models.shipped(calibration, scaling)
    rows = np.arange(len(Space(vertices)), dtype=np.int32)
    report, task = progress or silent, f"predicting {name}, once"
    values = models.predict(rows, lambda done: report(task, done, len(rows), unit="cells"))
    if model == "paper":
        values = _with_paper(values, rows)
    return Columns(
        name=name,
        vertices=vertices,
        rows=rows,
        budgets=BUDGETS,
        repeats=1,
        # The precision of float32 is enough for predictions and takes half the space.
        values={k: v.astype(np.float32).astype(np.float64)[:, :, None] for k, v in values.items()},
        provenance=provenance_of(values, calibration, header, scaling, model),
        attributes=_attributes(header, model),
    )


def calibration_of(device: Device) -> tuple[DeviceModel | None, Mapping[str, Any]]:
    """The model of a device and the header of its weights; None and {} for the native scale.

    Raises:
        ConfigError: the device is not calibrated.
        UnknownTableError: there is no such file.
        FormatError: the file holds no calibration.
    """
    if device is None:
        return None, {}
    if str(device).endswith(SUFFIX):
        weights = Weights.load(Path(device).expanduser())
        return _user_model(weights, device), weights.header
    weights = Weights.shipped("devices")
    model = DeviceModel.from_weights(weights, str(device))
    lines = reported("devices")
    name = f"energy at 4 epochs, {model.name}"
    quality = {name: lines["quality"][name]}
    return model, {"target": lines["target"], "quality": quality, "pue": weights.header["pue"]}


def _user_model(weights: Weights, path: str | PathLike[str]) -> DeviceModel:
    """The model in a user's own file, checked by predicting three cells."""
    try:
        model = DeviceModel.from_weights(weights, str(weights.header["device"]))
        with np.errstate(all="ignore"):  # infinite values are refused just below
            found = np.array(model.predict(features(np.arange(1, 4))))
        if found.shape != (2, 3) or not (np.isfinite(found) & (found > 0)).all():
            raise ValueError("it predicts no energies")
    except EcnasError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise FormatError(
            f"holds no calibration of a device ({type(error).__name__}: {error})",
            path=path,
            remedy="write it again by: ecnas surrogate calibrate --out FILE",
        ) from error
    return model


def _with_paper(values: dict[str, Array], rows: NDArray[np.int32]) -> dict[str, Array]:
    """Our predictions with the paper's energies, which have no standard deviation."""
    paper = PaperModel.from_weights(Weights.shipped("paper"))
    kept = {name: v for name, v in values.items() if not name.startswith("energy_kwh")}
    return {"energy_kwh": paper.energy_kwh(rows, BUDGETS), **kept}


def energy_provenance(
    calibration: DeviceModel | None = None,
    header: Mapping[str, Any] | None = None,
    scaling: str = "affine",
    model: str = "ours",
) -> Provenance:
    """Origin of modelled energies: the device, the scale and the model."""
    header = header or {}
    if model == "paper-weights":
        how = "the weights that the paper's authors published"
    elif model == "paper":
        how = (
            "recipe of the paper's perceptron, fitted anew on the published measurements; far off "
            "for the few cells of two or three vertices, of which they contain none"
        )
    elif calibration is None:
        how = "fitted on the measurements of 7-vertex cells at 4 epochs that EC-NAS published"
    elif header.get("synthetic"):
        how = "SYNTHETIC: calibrated on numbers that are not measurements"
    else:
        how = "calibrated on few cells measured on this device"
    grows = (
        "other budgets scaled by epochs / 4"
        if scaling == "linear"
        else "affine in the epochs, with a constant start-up, as measured on the RTX 6000"
    )
    if header.get("start_up_share") is not None and scaling != "linear":
        seen = "in these runs" if header.get("synthetic") else "measured on this device"
        grows = (
            "affine in the epochs, start-up and evaluations being "
            f"{header['start_up_share']:.1%} at 4 epochs, as {seen}"
        )
    if header.get("energy_span") == "steps":
        grows += "; start-up and evaluations added to the measured steps of training"
    scale = _NATIVE_NOTE if calibration is None else ""
    device = DEVICE_TITLE if calibration is None else calibration.name
    pue = PUE if calibration is None else float(header.get("pue", PUE))
    return Provenance(
        "synthetic" if header.get("synthetic") else "modelled",
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
    notes = {
        "gpu": "GPU over GPU and processor packages, as metered in runs of one epoch on the RTX "
        "3090 and of 4 and 108 on the RTX 6000",
        "training": f"{trained} at 108 epochs, other budgets in proportion",
        "validation": f"{trained}; mean over trainings (at 108 epochs the source has the largest "
        "of three, from which the mean and its deviation are estimated)",
        "test": f"{trained} at 108 epochs; at 4, 12 and 36 epochs from the validation accuracy "
        "by what EC-NAS's own trainings show of the two",
    }
    of = {
        "energy": energy,
        "gpu": replace(energy, pue=None, note=notes["gpu"]),
        "training": Provenance("modelled", device="TPU v2", note=notes["training"]),
        "validation": Provenance("modelled", note=notes["validation"]),
        "test": Provenance("modelled", note=notes["test"]),
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


# -- energies alone, for a command line -----------------------------------------------------------


def energy_model(
    choice: Sequence[str], *, scaling: str | None = None, device: Any = None
) -> tuple[Energies, Provenance]:
    """Energies as a function of rows (n,) and budgets (b,), and their origin.

    Budgets need not be those of NAS-Bench-101.

    Args:
        choice: `["ours"]`, `["paper"]` or `["paper-weights", FILE]`.
        scaling: of ours, `"affine"` or `"linear"`.
        device: of ours, a calibrated one.

    Raises:
        ConfigError: there is no such model, or a setting does not go with it.
        UnknownTableError: there is no such file.
        FormatError: the file does not hold the paper's perceptron.
    """
    kind, files = next(iter(choice), ""), list(choice[1:])
    if kind not in ("ours", "paper", "paper-weights") or len(files) != (kind == "paper-weights"):
        raise ConfigError(
            "energy model must be ours, paper or paper-weights FILE", value=" ".join(choice)
        )
    scaling = checked_scaling(kind, scaling, device)
    if kind == "ours":
        calibration, header = calibration_of(device)
        models = Models.shipped(calibration, scaling)

        def ours(rows: NDArray[np.int32], budgets: Sequence[int]) -> dict[str, Array]:
            mean, std = models.energies(rows, budgets)
            return {"energy_kwh": mean, "energy_kwh_std": std}

        return ours, energy_provenance(calibration, header, scaling)
    if kind == "paper":
        model = PaperModel.from_weights(Weights.shipped("paper"))
    else:
        model = PaperModel.from_torch_file(files[0])

    def paper(rows: NDArray[np.int32], budgets: Sequence[int]) -> dict[str, Array]:
        return {"energy_kwh": model.energy_kwh(rows, budgets)}

    return paper, energy_provenance(scaling=scaling, model=kind)
