"""The modelled tables `7v`, `5v` and `4v`: predictions of every cell and their origin.

`Models` predicts the columns of a table, which `tables` opens, and knows their origin.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.data.arrays import BLOCK
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import EcnasError, FormatError
from naslib_ecnas.files import expanded
from naslib_ecnas.processes import one_blas_thread
from naslib_ecnas.progress import listener
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import SUFFIX, VERSION, checked_settings
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

#: The device on which trainings of many epochs were measured.
_GROWTH_DEVICE = "quadro-rtx-6000"


# -- texts of the origin ---------------------------------------------------------------------------

_NATIVE_NOTE = (
    "the source names an RTX 6000 and no PUE; the measurements agree with the four-vertex table "
    "of the RTX 3090, which includes a PUE of 1.59 (median ratio 1.00), and are labelled like it"
)

_ECNAS = "P. Bakhtiarifard, C. Igel and R. Selvan, ICASSP 2024, arXiv 2210.06015"

_NASBENCH = "C. Ying et al., ICML 2019, arXiv 1902.09635"

#: How the energies were modelled, by the model or the origin of a device's calibration.
_HOW = {
    "paper": "recipe of the paper's perceptron, fitted anew on the published measurements; far off "
    "for the few cells of two or three vertices, of which they contain none",
    "native": "fitted on the measurements of 7-vertex cells at 4 epochs that EC-NAS published",
    "synthetic": "SYNTHETIC: calibrated on numbers that are not measurements",
    "device": "calibrated on few cells measured on this device",
}

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


# -- predictions of all metrics -------------------------------------------------------------------


@dataclass(frozen=True)
class Models:
    """The models of all metrics: a chosen one of the energy, and those that ship of the others."""

    energy: EnergyModel | DeviceModel | PaperModel
    """Energy at 4 epochs: on the native scale (the RTX 3090's), of a calibrated device, or by the
    paper's perceptron."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """Header of a calibration's weights."""
    scaling: str = "affine"
    """`"affine"` or `"linear"` in epochs."""

    @classmethod
    def shipped(
        cls, device: Device = None, *, scaling: str | None = None, model: str | None = None
    ) -> Models:
        """The models that come with the package.

        Args:
            device: a calibrated device, or the file of a calibration; the native scale by default.
            scaling: `"affine"` (default) or `"linear"`, which the paper's model is always.
            model: `"ours"` (default) or `"paper"`.

        Raises:
            ConfigError: the device is not calibrated, or a setting is not possible.
            UnknownTableError, FormatError: a file of weights is missing or damaged.
        """
        model, scaling = checked_settings(model, scaling, device)
        if device is not None:
            return cls(*calibration_of(device), scaling)
        shipped = PaperModel.shipped() if model == "paper" else EnergyModel.shipped()
        return cls(shipped, scaling=scaling)

    def predict(self, rows: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """(n, 4) values of each column of a table, of (n,) rows at 4, 12, 36 and 108 epochs.

        Raises:
            UnknownCellError: a row is not one of the seven-vertex space.
        """
        return _joined(map(self._columns, _parts(rows)))

    def energies(self, rows: ArrayLike, budgets: Sequence[int]) -> dict[str, Array]:
        """(n, b) kWh of (n,) rows at any budgets, and their standard deviations, by metric."""
        return _joined(self._energy(part, budgets) for part in _parts(rows))

    def _energy(
        self, rows: ArrayLike, budgets: Sequence[int], x: NDArray[Any] | None = None
    ) -> dict[str, Array]:
        if isinstance(self.energy, PaperModel):  # it has no standard deviation
            return {"energy_kwh": self.energy.energy_kwh(rows, budgets)}
        x = features(rows) if x is None else x
        growth, known = OverEpochs.shipped(), dict[str, Any]()
        mean, std = self.energy.predict(x)
        if isinstance(self.energy, DeviceModel):
            share = self.energy.start_share
            # Growth over epochs was measured on one device; on others it is less certain.
            known = {"fitted_device": self.energy.name == _GROWTH_DEVICE, "start_share": share}
            if self.energy.span == "steps":
                # Tables hold the energy of start-up and training steps: the start-up is added.
                steps = 1 - (growth.shares(x) if share is None else share)
                mean, std = mean / steps, std / steps
        mean, std = growth.predict(x, mean, std, budgets, scaling=self.scaling, **known)
        return {"energy_kwh": mean, "energy_kwh_std": std}

    def metrics(self, rows: ArrayLike) -> dict[str, Array]:
        """(n, 4) values of each metric, without noise, of a few rows (n,)."""
        x = features(rows)
        seconds, seconds_std = TimeModel.shipped().predict(x)
        shares = {} if self._share is None else {"gpu_share": self._share.shares(x, BUDGETS)}
        return {
            **self._energy(rows, BUDGETS, x),
            "training_time_s": seconds,
            "training_time_s_std": seconds_std,
            **AccuracyModel.shipped().predict(x),
            **shares,
        }

    @cached_property
    def _share(self) -> ShareModel | None:
        """Share of the GPU in the energy, where it was measured."""
        device = self.energy.name if isinstance(self.energy, DeviceModel) else DEVICE
        if device not in SHARES:
            return None
        return ShareModel.from_arrays(Weights.shipped("devices").arrays, f"share.{device}.")

    def _columns(self, rows: ArrayLike) -> dict[str, NDArray[np.float32]]:
        values = self.metrics(rows)
        values |= NoiseModel.shipped().columns(np.asarray(rows), values)
        # The precision of float32 is enough for predictions and takes half the space.
        return {metric: each.astype(np.float32) for metric, each in values.items()}

    # -- a table of a whole space and the origin of its columns ----

    def columns(self, name: str, vertices: int) -> Columns:
        """A table of every cell of up to some vertices; reports how many are predicted."""
        from concurrent.futures import ThreadPoolExecutor  # single blocks need none of it

        rows = np.arange(len(Space(vertices)), dtype=np.int32)
        report = partial(listener(), f"predicting {name}, once", total=len(rows), unit="cells")
        found: list[dict[str, NDArray[Any]]] = []
        with one_blas_thread(), ThreadPoolExecutor(2) as pool:
            for values in pool.map(self._columns, _parts(rows)):
                found.append(values)
                report(min(BLOCK * len(found), len(rows)))
        return Columns(
            name=name,
            vertices=vertices,
            rows=rows,
            budgets=BUDGETS,
            repeats=1,
            values={k: v.astype(np.float64)[:, :, None] for k, v in _joined(found).items()},
            provenance=self.provenance,
            attributes=self.attributes,
        )

    @cached_property
    def provenance(self) -> dict[str, Provenance]:
        """Origin of each column, in the order of `predict`."""
        of = {name: Provenance("modelled", device=d, note=n) for name, (d, n) in _ORIGINS.items()}
        of["energy"] = self.energy_provenance
        of["gpu"] = replace(of["energy"], pue=None, note=_GPU_NOTE)
        return {name: of[name.partition("_")[0]] for name in self.predict([0])}

    @property
    def energy_provenance(self) -> Provenance:
        """Origin of the energies: the device, the scale and the model."""
        device = self.energy if isinstance(self.energy, DeviceModel) else None
        synthetic = bool(self.header.get("synthetic"))
        share = self.header.get("start_up_share")
        how = "native" if device is None else "synthetic" if synthetic else "device"
        if isinstance(self.energy, PaperModel):
            how = "paper"
        if self.scaling == "linear":
            grows = "other budgets scaled by epochs / 4"
        elif share is None:
            grows = "affine in the epochs, with a constant start-up, as measured on the RTX 6000"
        else:
            seen = "in these runs" if synthetic else "measured on this device"
            grows = f"affine in the epochs, start-up being {share:.1%} at 4 epochs, as {seen}"
        if self.header.get("energy_span") == "steps":
            grows += "; start-up added to the measured steps of training"
        notes = [_HOW[how], grows, *([_NATIVE_NOTE] if device is None else [])]
        return Provenance(
            "synthetic" if synthetic else "modelled",
            device=DEVICE_TITLE if device is None else device.name,
            pue=float(self.header.get("pue", PUE)),
            note="; ".join(notes),
        )

    @property
    def attributes(self) -> dict[str, str]:
        """Texts for the header of a table."""
        own = shipped_quality("paper" if isinstance(self.energy, PaperModel) else "energy")
        energy = self.header.get("quality", []) if self.header else own
        others = shipped_quality("epochs", "accuracy", "time", "noise")
        return {
            "description": "every value is modelled; nothing in this table was measured",
            "version": VERSION,
            "citation": f"{_ECNAS}; accuracies and times after {_NASBENCH}",
            "licence": "Apache-2.0",
            "quality": json.dumps([*energy, *others], ensure_ascii=False),
        }


def _parts(rows: ArrayLike) -> list[NDArray[Any]]:
    """Rows in parts that stay small in memory."""
    wanted = np.atleast_1d(np.asarray(rows))
    return np.split(wanted, range(BLOCK, len(wanted), BLOCK))


def _joined(parts: Iterable[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays of all parts, put together."""
    found = list(parts)
    return {name: np.concatenate([values[name] for values in found]) for name in found[0]}


def shipped_quality(*targets: str) -> list[Any]:
    """Lines of `Quality` of shipped models, as `Quality.to_json` gives them."""
    return [line for target in targets for line in Weights.shipped(target).header["quality"]]


# -- calibrated devices ---------------------------------------------------------------------------


def calibration_of(device: str | PathLike[str]) -> tuple[DeviceModel, Mapping[str, Any]]:
    """The model of a calibrated device, or of the file of a calibration, and its header.

    The model in a user's own file is checked by predicting three cells.

    Raises:
        ConfigError: the device is not calibrated.
        UnknownTableError: there is no such file.
        FormatError: the file holds no calibration.
    """
    if not str(device).endswith(SUFFIX):
        weights = Weights.shipped("devices")
        model = DeviceModel.from_weights(weights, str(device))
        lines = [q for q in weights.header["quality"] if q["target"].endswith(f", {model.name}")]
        return model, {"quality": lines, "pue": weights.header["pue"]}
    weights = Weights.load(expanded(device))
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
            path=device,
            remedy="write it again by: ecnas surrogate calibrate --out FILE",
        ) from error
    return model, weights.header
