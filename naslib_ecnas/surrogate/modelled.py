"""The modelled tables `7v`, `5v` and `4v`: predictions of every cell and their origin.

`Models` predicts all metrics of cells, and `modelled` adds what a table of them tells, which
`tables` opens. `energy_model` gives energies alone, at any budgets, to `ecnas data build`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.data.arrays import BLOCK
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import ConfigError, EcnasError, FormatError
from naslib_ecnas.files import expanded
from naslib_ecnas.progress import Progress, silent
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import SUFFIX, VERSION, checked_scaling
from naslib_ecnas.surrogate.devices import SHARES, DeviceModel, OverEpochs, ShareModel
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
from naslib_ecnas.surrogate.noise import NoiseModel
from naslib_ecnas.surrogate.paper import PaperModel

Array = NDArray[np.float64]
Device = str | PathLike[str] | None

#: Energies (n, b) of rows (n,) at budgets (b,), by metric.
Energies = Callable[[NDArray[np.int32], Sequence[int]], dict[str, Array]]

#: The device on which trainings of many epochs were measured.
_GROWTH_DEVICE = "quadro-rtx-6000"


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
        share = None
        if device in SHARES:
            share = ShareModel.from_arrays(Weights.shipped("devices").arrays, f"share.{device}.")
        others = OverEpochs.shipped(), AccuracyModel.shipped(), TimeModel.shipped()
        return cls(energy or EnergyModel.shipped(), *others, share, scaling)

    def predict(self, rows: ArrayLike) -> dict[str, Array]:
        """(n, 4) values of each metric of (n,) rows at 4, 12, 36 and 108 epochs.

        Raises:
            UnknownCellError: a row is not one of the seven-vertex space.
        """
        return _by_chunks(lambda part: self.metrics(features(part)), rows)

    def energies(self, rows: ArrayLike, budgets: Sequence[int]) -> dict[str, Array]:
        """(n, b) kWh of (n,) rows at any budgets, and their standard deviations, by metric."""
        return _by_chunks(lambda part: self._energy(features(part), budgets), rows)

    def _energy(self, x: NDArray[Any], budgets: Sequence[int]) -> dict[str, Array]:
        mean, std = self.energy.predict(x)
        device = self.energy if isinstance(self.energy, DeviceModel) else None
        share = None if device is None else device.start_share
        if device is not None and device.span == "steps":
            # Tables hold the energy of start-up and training steps: the start-up is added.
            steps = 1 - (self.over_epochs.shares(x) if share is None else share)
            mean, std = mean / steps, std / steps
        mean, std = self.over_epochs.predict(
            x,
            mean,
            std,
            budgets,
            scaling=self.scaling,
            # Growth over epochs was measured on one device; on others it is less certain.
            fitted_device=device is not None and device.name == _GROWTH_DEVICE,
            start_share=share,
        )
        return {"energy_kwh": mean, "energy_kwh_std": std}

    def metrics(self, x: NDArray[Any]) -> dict[str, Array]:
        """(n, 4) values of each metric, of (n, k) features."""
        seconds, seconds_std = self.time.predict(x)
        shares = {} if self.share is None else {"gpu_share": self.share.shares(x, BUDGETS)}
        return {
            **self._energy(x, BUDGETS),
            "training_time_s": seconds,
            "training_time_s_std": seconds_std,
            **self.accuracy.predict(x),
            **shares,
        }


def _by_chunks(
    predict: Callable[[NDArray[Any]], dict[str, NDArray[Any]]],
    rows: ArrayLike,
    advanced: Callable[[int], object] = lambda done: None,
    threads: int = 1,
) -> dict[str, NDArray[Any]]:
    """Arrays that `predict` makes of some rows at a time, put together for all rows."""
    from concurrent.futures import ThreadPoolExecutor  # single blocks need none of it

    wanted = np.atleast_1d(np.asarray(rows))
    parts = np.split(wanted, range(BLOCK, len(wanted), BLOCK))
    found: list[dict[str, NDArray[Any]]] = []
    with ThreadPoolExecutor(threads) as pool:
        for values in pool.map(predict, parts):
            found.append(values)
            advanced(min(BLOCK * len(found), len(wanted)))
    return {name: np.concatenate([values[name] for values in found]) for name in found[0]}


# -- a table of a whole space and the origin of its columns ---------------------------------------

_NATIVE_NOTE = (
    "the source names an RTX 6000 and no PUE; the measurements agree with the four-vertex table "
    "of the RTX 3090, which includes a PUE of 1.59 (median ratio 1.00), and are labelled like it"
)

_ECNAS = "P. Bakhtiarifard, C. Igel and R. Selvan, ICASSP 2024, arXiv 2210.06015"

_NASBENCH = "C. Ying et al., ICML 2019, arXiv 1902.09635"


@dataclass(frozen=True)
class Modelled:
    """A modelled table before anything of it is predicted."""

    name: str
    vertices: int
    """Largest number of vertices of the space."""
    predict: Callable[[ArrayLike], dict[str, NDArray[np.float32]]]
    """From (n,) rows to (n, 4) values of each metric at 4, 12, 36 and 108 epochs."""
    provenance: dict[str, Provenance]
    """Origin of each metric, in the order of `predict`."""
    attributes: dict[str, str]
    budgets: tuple[int, ...] = BUDGETS

    def columns(self, progress: Progress = silent) -> Columns:
        """The predictions of every cell of the space; `progress` is told how many are done."""
        rows = np.arange(len(Space(self.vertices)), dtype=np.int32)
        report = partial(progress, f"predicting {self.name}, once", total=len(rows), unit="cells")
        values = _by_chunks(self.predict, rows, report, threads=2)
        return Columns(
            name=self.name,
            vertices=self.vertices,
            rows=rows,
            budgets=self.budgets,
            repeats=1,
            values={k: v.astype(np.float64)[:, :, None] for k, v in values.items()},
            provenance=self.provenance,
            attributes=self.attributes,
        )


def modelled(
    name: str,
    vertices: int,
    *,
    device: Device = None,
    scaling: str = "affine",
    model: str = "ours",
) -> Modelled:
    """The models of a table and the origin of its columns.

    Args:
        name: short name of the table.
        vertices: largest number of vertices.
        device: a calibrated device, or the file of a calibration; the native scale by default.
        scaling: `"affine"` or `"linear"` in epochs.
        model: `"ours"` or `"paper"`.

    Raises:
        ConfigError: the device is not calibrated.
        UnknownTableError, FormatError: a file of weights is missing or damaged.
    """
    calibration, header = calibration_of(device)
    models = Models.shipped(calibration, scaling)
    noise = NoiseModel.shipped()
    paper = PaperModel.shipped() if model == "paper" else None

    def predict(rows: ArrayLike) -> dict[str, NDArray[np.float32]]:
        values = models.metrics(features(rows))
        if paper is not None:  # it has no standard deviation
            values["energy_kwh"] = paper.energy_kwh(rows, BUDGETS)
            del values["energy_kwh_std"]
        values |= noise.columns(np.asarray(rows), values)
        # The precision of float32 is enough for predictions and takes half the space.
        return {metric: each.astype(np.float32) for metric, each in values.items()}

    origin = energy_provenance(calibration, header, scaling, model)
    metrics = predict([0])  # names alone matter
    return Modelled(
        name, vertices, predict, _provenance(metrics, origin), _attributes(header, model)
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
        weights = Weights.load(expanded(device))
        return _user_model(weights, device), weights.header
    weights = Weights.shipped("devices")
    model = DeviceModel.from_weights(weights, str(device))
    lines = [q for q in weights.header["quality"] if q["target"].endswith(f", {model.name}")]
    return model, {"quality": lines, "pue": weights.header["pue"]}


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


#: How the energies were modelled, by the model or the origin of a device's calibration.
_HOW = {
    "paper-weights": "the weights that the paper's authors published",
    "paper": "recipe of the paper's perceptron, fitted anew on the published measurements; far off "
    "for the few cells of two or three vertices, of which they contain none",
    "native": "fitted on the measurements of 7-vertex cells at 4 epochs that EC-NAS published",
    "synthetic": "SYNTHETIC: calibrated on numbers that are not measurements",
    "device": "calibrated on few cells measured on this device",
}


def energy_provenance(
    calibration: DeviceModel | None = None,
    header: Mapping[str, Any] | None = None,
    scaling: str = "affine",
    model: str = "ours",
) -> Provenance:
    """Origin of modelled energies: the device, the scale and the model.

    `header` is the one of the calibration's weights.
    """
    header = header or {}
    synthetic, share = bool(header.get("synthetic")), header.get("start_up_share")
    if model == "ours":
        model = "native" if calibration is None else "synthetic" if synthetic else "device"
    if scaling == "linear":
        grows = "other budgets scaled by epochs / 4"
    elif share is None:
        grows = "affine in the epochs, with a constant start-up, as measured on the RTX 6000"
    else:
        seen = "in these runs" if synthetic else "measured on this device"
        grows = f"affine in the epochs, start-up being {share:.1%} at 4 epochs, as {seen}"
    notes = [_HOW[model], grows]
    if header.get("energy_span") == "steps":
        notes[1] += "; start-up added to the measured steps of training"
    if calibration is None:
        notes.append(_NATIVE_NOTE)
    return Provenance(
        "synthetic" if synthetic else "modelled",
        device=DEVICE_TITLE if calibration is None else calibration.name,
        pue=PUE if calibration is None else float(header.get("pue", PUE)),
        note="; ".join(notes),
    )


_TRAINED = "fitted on trainings that NAS-Bench-101 published"

#: Device and note of each column that holds no energies, by the first word of its name.
_ORIGINS = {
    "training": ("TPU v2", f"{_TRAINED}; start-up, and the rest in proportion to the epochs"),
    "validation": (
        None,
        f"{_TRAINED}; mean over trainings (at 108 epochs the source has the largest of three, from "
        "which the mean and its deviation are estimated)",
    ),
    "test": (
        None,
        f"{_TRAINED} at 108 epochs; at 4, 12 and 36 epochs from the validation accuracy by what "
        "EC-NAS's own trainings show of the two",
    ),
    "failure": (
        None,
        f"{_TRAINED}; a failed training predicts one class for every image, and no accuracy of "
        "this table includes one",
    ),
}
_GPU_NOTE = (
    "GPU over GPU and processor packages, as metered in runs of one epoch on the RTX 3090 and of 4 "
    "and 108 on the RTX 6000"
)


def _provenance(metrics: Iterable[str], energy: Provenance) -> dict[str, Provenance]:
    """Origin of each modelled column, from the origin of the energies."""
    of = {name: Provenance("modelled", device=d, note=n) for name, (d, n) in _ORIGINS.items()}
    of |= {"energy": energy, "gpu": replace(energy, pue=None, note=_GPU_NOTE)}
    return {name: of[name.partition("_")[0]] for name in metrics}


def shipped_quality(*targets: str) -> list[Any]:
    """Lines of `Quality` of shipped models, as `Quality.to_json` gives them."""
    return [line for target in targets for line in Weights.shipped(target).header["quality"]]


def _attributes(header: Mapping[str, Any], model: str) -> dict[str, str]:
    own = shipped_quality("paper" if model == "paper" else "energy")
    energy = header.get("quality", []) if header else own
    return {
        "description": "every value is modelled; nothing in this table was measured",
        "version": VERSION,
        "citation": f"{_ECNAS}; accuracies and times after {_NASBENCH}",
        "licence": "Apache-2.0",
        "quality": json.dumps(
            [*energy, *shipped_quality("epochs", "accuracy", "time", "noise")], ensure_ascii=False
        ),
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
        return models.energies, energy_provenance(calibration, header, scaling)
    model = PaperModel.from_torch_file(files[0]) if files else PaperModel.shipped()

    def paper(rows: NDArray[np.int32], budgets: Sequence[int]) -> dict[str, Array]:
        return {"energy_kwh": model.energy_kwh(rows, budgets)}

    return paper, energy_provenance(scaling=scaling, model=kind)
