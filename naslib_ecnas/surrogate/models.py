"""What the models are fitted on: budgets, the device and the PUE of their own scale."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from math import prod
from os import PathLike
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError, FormatError, UnknownTableError
from naslib_ecnas.files import atomic_write, from_json
from naslib_ecnas.surrogate.features import FEATURES

__all__ = [
    "BUDGETS",
    "DESCRIPTORS",
    "DEVICE",
    "DEVICES",
    "FIRST",
    "KINDS",
    "LAST",
    "PUE",
    "SPANS",
    "TITLE",
    "AccuracyModel",
    "Descriptors",
    "DeviceModel",
    "EnergyModel",
    "Growth",
    "OverEpochs",
    "Perceptron",
    "TimeModel",
    "Weights",
    "device_name",
    "is_synthetic",
    "kind_of_column",
    "shipped",
    "shipped_descriptors",
]


#: Training budgets of NAS-Bench-101 in epochs.
BUDGETS = (4, 12, 36, 108)

#: The device whose scale the energies are on unless another one is asked for ...
DEVICE = "rtx-3090"

#: ... and its maker's name for it.
TITLE = "NVIDIA GeForce RTX 3090"

#: Power usage effectiveness within the energies.
PUE = 1.59


# A multilayer perceptron in numpy: what fitted models are distilled into.


Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Perceptron:
    """Standardised inputs, hidden layers with a rectifier, a linear output layer.

    Inputs are clipped to `clip` standard deviations, so that a cell unlike all that were fitted
    is not extrapolated without bound.
    """

    shift: Matrix
    """(k,) mean of each input."""
    scale: Matrix
    """(k,) one over the standard deviation of each input."""
    layers: tuple[tuple[Matrix, Matrix], ...]
    """Weights (inputs, outputs) and biases (outputs,) of each layer."""
    clip: float = 6.0

    def __call__(self, x: NDArray[Any]) -> Matrix:
        """(n, m) outputs of (n, k) inputs."""
        h = np.asarray(x, dtype=np.float32) - self.shift
        h *= self.scale
        np.clip(h, -self.clip, self.clip, out=h)
        for i, (weight, bias) in enumerate(self.layers):
            h = h @ weight
            h += bias
            if i < len(self.layers) - 1:
                np.maximum(h, 0, out=h)
        return h

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Arrays for `Weights`, their names beginning with `prefix`."""
        out: dict[str, NDArray[Any]] = {
            f"{prefix}_shift": self.shift,
            f"{prefix}_scale": self.scale,
            f"{prefix}_clip": np.float32(self.clip).reshape(()),
        }
        for i, (weight, bias) in enumerate(self.layers):
            out[f"{prefix}_weight{i}"] = weight
            out[f"{prefix}_bias{i}"] = bias
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Perceptron:
        """The inverse of `to_arrays`.

        Raises:
            KeyError: the arrays hold none of this prefix.
        """
        layers: list[tuple[Matrix, Matrix]] = []
        while f"{prefix}_weight{len(layers)}" in arrays:
            i = len(layers)
            layers.append(
                (_float(arrays[f"{prefix}_weight{i}"]), _float(arrays[f"{prefix}_bias{i}"]))
            )
        return cls(
            _float(arrays[f"{prefix}_shift"]),
            _float(arrays[f"{prefix}_scale"]),
            tuple(layers),
            float(arrays[f"{prefix}_clip"]),
        )


def _float(array: NDArray[Any]) -> Matrix:
    return np.ascontiguousarray(array, dtype=np.float32)


# Fitted numbers on disk: plain arrays and a header that says what they were fitted on.


_HEADER = "header"

#: Raised when the features or the meaning of an array change, so that old weights are refused.
VERSION = 1

#: Many times the weights that there are.
_MOST_BYTES = 1 << 28

#: Characters of what zipfile says of a damaged file, which can hold all of its bytes.
_SAID = 200


def is_synthetic(header: Mapping[str, Any]) -> bool:
    """Whether a calibration was made on numbers that are no measurements."""
    said = str(header.get("note", ""))  # where earlier versions put it
    return bool(header.get("synthetic")) or said.startswith("SYNTHETIC")


@dataclass(frozen=True)
class Weights:
    """Arrays of one model and where they come from.

    Stored as a NumPy archive (`.npz`) without pickled objects.
    """

    header: Mapping[str, Any]
    """JSON: `target`, `seed`, `data` (SHA-256 of each file), `split`, `quality`, and what the
    model itself needs."""
    arrays: Mapping[str, NDArray[Any]]
    """Arrays of numbers by name."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file, whole or not at all; equal weights give equal bytes.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        text = json.dumps({"version": VERSION, **self.header}, sort_keys=True, allow_nan=False)
        arrays: dict[str, Any] = {
            _HEADER: np.frombuffer(text.encode(), dtype=np.uint8),
            **{name: self.arrays[name] for name in sorted(self.arrays)},
        }
        with atomic_write(Path(path)) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Weights:
        """Read a file that `save` wrote.

        Raises:
            UnknownTableError: there is no such file.
            FormatError: it holds no weights, or those of another version.
        """
        arrays: dict[str, NDArray[Any]] = {}
        # A plain array instead of an archive is a TypeError or AttributeError, an unknown way of
        # packing a NotImplementedError.
        try:
            arrays = _unpacked(Path(path))
            header = from_json(arrays.pop(_HEADER).tobytes())
        except FileNotFoundError as error:
            raise UnknownTableError(
                "no such file of weights",
                value=str(path),
                expected="a file that `ecnas surrogate fit` or `calibrate` wrote",
                remedy="make one, or check the name",
            ) from error
        except (
            OSError,
            ValueError,
            KeyError,
            EOFError,
            AttributeError,
            TypeError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise FormatError(
                f"holds no weights ({shorten(str(error), _SAID)})",
                path=path,
                expected="a NumPy archive of arrays with a header",
                remedy="make it again by: ecnas surrogate fit",
            ) from error
        if not isinstance(header, dict) or header.get("version") != VERSION:
            raise FormatError(
                "the weights are of another version",
                path=path,
                value=header.get("version") if isinstance(header, dict) else header,
                expected=str(VERSION),
                remedy="make them again by: ecnas surrogate fit",
            )
        return cls(header, arrays)


def _unpacked(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an archive, none of which may be longer than the archive says.

    `numpy.load` allocates what an array's own header claims before it reads it.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > _MOST_BYTES:
            raise ValueError(f"unpacks to more than {_MOST_BYTES:,} bytes")
        for member in members:
            with archive.open(member) as file:
                content = BytesIO(file.read(member.file_size))
            version = np.lib.format.read_magic(content)
            if version != (1, 0):
                raise ValueError(f"an array of version {version}")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(content)
            rest = member.file_size - content.tell()
            if dtype.hasobject or prod(shape) * dtype.itemsize != rest or min(shape, default=0) < 0:
                raise ValueError(f"{member.filename} is no array of {shape} {dtype}")
            held = np.frombuffer(content.getbuffer()[content.tell() :], dtype=dtype)
            order: Any = "F" if fortran else "C"
            arrays[member.filename.removesuffix(".npy")] = held.reshape(shape, order=order).copy()
    return arrays


def shipped(name: str) -> Path:
    """The weights file of a target that comes with the package, such as `energy`."""
    import naslib_ecnas.data

    return Path(naslib_ecnas.data.__path__[0]) / f"surrogate_{name}.npz"


# Training time of any cell in NAS-Bench-101, in numpy alone.


#: Epochs of the trainings that the model is fitted on.
EPOCHS = 108

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TimeModel:
    """Seconds that NAS-Bench-101 took to train a cell for 108 epochs on its TPUs.

    A linear sum over layers, times what a perceptron adds to it.
    """

    coefficients: Array
    """(t,) seconds for a unit of each of the first t features."""
    intercept: float
    floor: float
    """Least time that the sum may be, in s."""
    correction: Perceptron
    """From the features to the logarithm of true over linear."""
    limit: float
    """Largest correction that is believed, either way."""
    error: float
    """Standard deviation of log(measured / predicted)."""

    @classmethod
    def from_weights(cls, weights: Weights) -> TimeModel:
        """The model that `fit_time` made.

        Raises:
            KeyError: the weights are of another target.
        """
        arrays = weights.arrays
        intercept, floor, limit, error = (float(v) for v in arrays["scalars"])
        return cls(
            arrays["coefficients"].astype(np.float64),
            intercept,
            floor,
            Perceptron.from_arrays(arrays, "correction"),
            limit,
            error,
        )

    def linear_s(self, x: NDArray[Any]) -> Array:
        """(n,) seconds by the sum over layers alone."""
        first = np.asarray(x[:, : len(self.coefficients)], dtype=np.float64)
        return np.asarray(np.maximum(first @ self.coefficients + self.intercept, self.floor))

    def predict(self, x: NDArray[Any]) -> tuple[Array, Array]:
        """(n,) seconds for 108 epochs and their standard deviation, of (n, k) features.

        `mean * exp(+-1.645 * std / mean)` holds nine of ten measured times.
        """
        correction = self.correction(x)[:, 0].astype(np.float64)
        mean = self.linear_s(x) * np.exp(np.clip(correction, -self.limit, self.limit))
        return mean, mean * self.error

    @staticmethod
    def at(seconds: NDArray[Any], budgets: Sequence[int]) -> Array:
        """(n, b) seconds at other budgets, in proportion to the epochs.

        In the published records the time at half of the epochs is 0.4986 to 0.5015 of the whole:
        start-up is not in it.
        """
        share = np.asarray(budgets, dtype=np.float64) / EPOCHS
        return np.asarray(seconds[:, None] * share)


# Validation and test accuracy of any cell at four budgets, in numpy alone.


#: The output after those of the budgets is the test accuracy at the last of them.
_TEST = len(BUDGETS)


@dataclass(frozen=True)
class AccuracyModel:
    """Accuracies in NAS-Bench-101's sense: means over trainings that differ by their seed.

    A perceptron ranks the cells: it gives each a normal score for every budget. A curve turns the
    score into the accuracy that held-out cells of this score had on average, another one into
    how far their accuracies lay off.
    """

    ranks: Perceptron
    """From the features to five normal scores."""
    score: Array
    """(5, k) ascending scores at which the curves are given."""
    accuracy: Array
    """(5, k) accuracy at these, rising."""
    deviation: Array
    """(5, k) standard deviation at these."""
    test_less_validation: Array
    """(4, 2) at each budget, the mean of test less validation accuracy in trainings that have
    both, and its standard deviation; the last is not used."""

    @classmethod
    def from_weights(cls, weights: Weights) -> AccuracyModel:
        """The model that `fit_accuracy` made.

        Raises:
            KeyError: the weights are of another target.
        """
        arrays = weights.arrays
        names = ("score", "accuracy", "deviation", "test_less_validation")
        curves = (arrays[name].astype(np.float64) for name in names)
        return cls(Perceptron.from_arrays(arrays, "ranks"), *curves)

    def predict(self, x: NDArray[Any]) -> tuple[Array, Array, Array, Array]:
        """Accuracies of (n, k) features at 4, 12, 36, 108 epochs, as fractions.

        The standard deviations are those of a single training's accuracy about the prediction at
        4, 12 and 36 epochs, and of the mean over three trainings at 108: 1.645 of them on either
        side hold nine of ten.

        Returns:
            (n, 4) validation accuracy, its standard deviation, test accuracy and its standard
            deviation. At 4, 12 and 36 epochs nobody published NAS-Bench-101's test accuracies
            here: they are the validation accuracy and the difference in EC-NAS's own trainings.
        """
        z = self.ranks(x).astype(np.float64)
        mean = np.empty((len(z), len(self.score)))
        std = np.empty_like(mean)
        for k in range(len(self.score)):
            mean[:, k] = np.interp(z[:, k], self.score[k], self.accuracy[k])
            std[:, k] = np.interp(z[:, k], self.score[k], self.deviation[k])
        less, spread = self.test_less_validation.T
        test = np.clip(mean[:, :_TEST] + less, 0, 1)
        test_std = np.hypot(std[:, :_TEST], spread)
        test[:, -1], test_std[:, -1] = mean[:, _TEST], std[:, _TEST]
        return mean[:, :_TEST], std[:, :_TEST], test, test_std


# Energy of four epochs of training on the RTX 3090, of any cell, in numpy alone.


_JOULES_PER_KWH = 3.6e6

_CHUNK = 8192


@dataclass(frozen=True)
class EnergyModel:
    """Energy as time times power: a linear model of the time, a perceptron for the power.

    The scale is that of the published seven-vertex measurements: an RTX 3090 with its host's
    processors, start-up and evaluation included, times a power usage effectiveness of 1.59.
    """

    time_coefficients: NDArray[np.float64]
    """(t,) seconds of one epoch for a unit of each of the first t features."""
    time_intercept: float
    time_floor: float
    """Least time that is ever predicted, in s."""
    power: Perceptron
    """From the first features, then the logarithm of the time and the time itself, to the
    logarithm of the energy over the time (W) and that of the spread of the fitted ensemble."""
    bounds: NDArray[np.float64]
    """(2, 2) least and greatest of the perceptron's outputs that are believed."""
    error: NDArray[np.float64]
    """(3,) logarithm of the relative error: constant, for the logarithm of the energy in Wh, for
    that of the spread."""

    @classmethod
    def from_weights(cls, weights: Weights) -> EnergyModel:
        """The model that `fit_energy` made.

        Raises:
            KeyError: the weights are of another target.
        """
        arrays = weights.arrays
        return cls(
            time_coefficients=arrays["time_coefficients"].astype(np.float64),
            time_intercept=float(arrays["time_intercept"]),
            time_floor=float(arrays["time_floor"]),
            power=Perceptron.from_arrays(arrays, "power"),
            bounds=arrays["bounds"].astype(np.float64),
            error=arrays["error"].astype(np.float64),
        )

    def epoch_time_s(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) seconds of one epoch on the RTX 3090, evaluation left out, of (n, k) features."""
        linear = np.asarray(x[:, : len(self.time_coefficients)], dtype=np.float64)
        time = linear @ self.time_coefficients + self.time_intercept
        return np.asarray(np.maximum(time, self.time_floor))

    def predict(self, x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energy in kWh at 4 epochs and its standard deviation, (n,) each.

        The standard deviation is that of a new measurement about the prediction, such that
        `mean * exp(+-1.645 * std / mean)` holds nine of ten of them.

        Args:
            x: (n, len(FEATURES)) from `features`.

        Raises:
            ConfigError: x has another shape.
        """
        if x.ndim != 2 or x.shape[1] != len(FEATURES):
            raise ConfigError(
                "not the features of cells",
                value=x.shape,
                expected=f"shape (n, {len(FEATURES)})",
                remedy="make them by naslib_ecnas.surrogate.features.features",
            )
        mean, std = np.empty(len(x)), np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            some = slice(start, start + _CHUNK)
            mean[some], std[some] = self._predict(x[some])
        return mean, std

    def _predict(self, x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        time = self.epoch_time_s(x)
        columns = len(self.power.shift) - 2
        inputs = np.column_stack([x[:, :columns], np.log(time), time])
        power, spread = np.clip(self.power(inputs).astype(np.float64), *self.bounds).T
        mean = time * np.exp(power) / _JOULES_PER_KWH
        constant, by_energy, by_spread = self.error
        relative = np.exp(constant + by_energy * np.log(1000 * mean) + by_spread * spread)
        return mean, mean * relative


# Five numbers of a cell that tell how another GPU's time and power compare.
#
# A GPU runs a network layer by layer, so the time of one epoch is nearly a sum over layers. Fitted
# on one GPU, that sum says how long a cell takes there and which part of it is spent in which
# kind of layer. On another GPU convolutions, pools and additions speed up by different factors:
# the time there follows from the time here and these shares.


descriptors_Matrix = NDArray[np.float64]

#: Kinds of layers that time is divided into.
KINDS = ("conv3x3", "conv1x1", "maxpool3x3", "projection", "addition")

#: Columns of `Descriptors.__call__`. The share of projections is what the others leave.
DESCRIPTORS = (
    "log_time",
    "conv3x3_share",
    "conv1x1_share",
    "maxpool3x3_share",
    "addition_share",
)

#: No cell takes less: guards the logarithm (s on the first GPU; the least cell takes 5).
_LEAST_TIME_S = 1.0

_SHARES = (0, 1, 2, 4)


def kind_of_column() -> NDArray[np.int64]:
    """(f,) index in `KINDS` of each of the `FEATURES`; -1 for those that are no sum over layers
    of one kind."""
    named = [f.name for f in FEATURES]
    # Chains of operations begin with an operation's name too; sums over layers end here.
    sums = named.index("log_multiply_adds")
    stems = (*KINDS[:4], "addition")
    out = np.full(len(named), -1, dtype=np.int64)
    for i, name in enumerate(named[:sums]):
        if name.startswith("reuses"):  # gradients added up: additions of the backward pass
            out[i] = KINDS.index("addition")
        for kind, stem in enumerate(stems):
            if name.startswith(stem):
                out[i] = kind
    return out


@dataclass(frozen=True)
class Descriptors:
    """Additive time of an epoch on the first GPU, and the descriptors made of it."""

    intercept: float
    """s for each epoch, whatever the cell."""
    coefficients: NDArray[np.float32]
    """(5, f) s for each unit of a feature, in the row of the feature's kind."""
    shift: descriptors_Matrix
    """(5,) mean of each descriptor over measured seven-vertex cells."""
    scale: descriptors_Matrix
    """(5,) one over its standard deviation."""

    def parts(self, x: NDArray[Any]) -> descriptors_Matrix:
        """(n, 5) s of one epoch on the first GPU by `KINDS`, of (n, f) features."""
        coefficients = self.coefficients.astype(np.float64)
        return np.asarray(np.maximum(np.asarray(x, dtype=np.float64) @ coefficients.T, 0))

    def time_s(self, x: NDArray[Any]) -> descriptors_Matrix:
        """(n,) s of one epoch on the first GPU."""
        total = self.intercept + self.parts(x).sum(axis=1)
        return np.asarray(np.maximum(total, _LEAST_TIME_S))

    def raw(self, x: NDArray[Any]) -> descriptors_Matrix:
        """(n, 5) `DESCRIPTORS`, not standardised."""
        parts = self.parts(x)
        total = parts.sum(axis=1)
        share = parts / np.maximum(total, 1e-9)[:, None]
        time = np.log(np.maximum(self.intercept + total, _LEAST_TIME_S))
        return np.column_stack([time, share[:, _SHARES]])

    def __call__(self, x: NDArray[Any]) -> descriptors_Matrix:
        """(n, 5) `DESCRIPTORS`, standardised."""
        return (self.raw(x) - self.shift) * self.scale

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays for `Weights`."""
        return {
            "base_intercept": np.float64(self.intercept).reshape(()),
            "base_coefficients": self.coefficients,
            "base_shift": self.shift,
            "base_scale": self.scale,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Descriptors:
        """The inverse of `to_arrays`.

        Raises:
            KeyError: the arrays hold none.
        """
        return cls(
            float(arrays["base_intercept"]),
            arrays["base_coefficients"],
            arrays["base_shift"],
            arrays["base_scale"],
        )


@cache
def shipped_descriptors() -> Descriptors:
    """Those that come with the package.

    Raises:
        UnknownTableError: the package lacks them.
    """
    return Descriptors.from_arrays(Weights.load(shipped("devices")).arrays)


# Energy over epochs: a start-up that does not grow, and a share that does.


Vector = NDArray[np.float64]

#: Budgets between which growth was measured.
FIRST, LAST = 4, 108

#: E(108) / E(4). 27 is no start-up at all; a start-up of a third of the energy at 4 epochs, far
#: over any that was measured, gives 18.3.
LEAST_RATIO, MOST_RATIO = 18.0, 26.9


@dataclass(frozen=True)
class Growth:
    """E(n) = a + b n of cells."""

    start_kwh: Vector
    """(n,) a: what is spent whatever the budget."""
    epoch_kwh: Vector
    """(n,) b: energy of one epoch."""


@dataclass(frozen=True)
class OverEpochs:
    """From the energy at 4 epochs to that at any budget.

    The ratio r = E(108) / E(4) of a cell is the exponential of a linear function of its
    descriptors, clipped to 18..26.9, so that b = E4 (r - 1) / 104 and a = E4 - 4 b are positive.
    It was fitted on the Quadro RTX 6000, where 700 five-vertex cells were trained for 108 epochs
    three times each, and all for 4 epochs. On the RTX 3090, whose scale is the default, nothing
    over 4 epochs was measured. The runs of one epoch there, against the energies at 4 epochs of
    the same 1,577 cells, give a start-up of about 13 % of the energy at 4 epochs instead of the
    10 % of this model, so 4 % less at 108 epochs, provided that the evaluation half-way through
    the longer run costs the same multiple of the first evaluation as on the RTX 6000; with half
    or one and a half of that it is 2 or 6 % less. That is too uncertain for a correction: the
    RTX 6000's ratio is taken for every device, unchanged, and the difference is part of the
    standard deviation (`transfer`).
    """

    descriptors: Descriptors
    ratio: Vector
    """(6,) intercept and slopes of log(E108 / E4)."""
    sd: float
    """Standard deviation of log(measured / predicted) at 108 epochs for cells not seen, the mean
    of three runs predicted from the model of 4 epochs."""
    noise: float
    """That at 4 epochs: mostly of the single measurement, which does not grow with the budget."""
    transfer: float
    """Further standard deviation of the logarithm at 108 epochs on devices other than the one
    fitted on."""

    def ratios(self, x: NDArray[Any]) -> Vector:
        """(n,) E(108) / E(4) of (n, f) features."""
        log = self.ratio[0] + self.descriptors(x) @ self.ratio[1:]
        return np.asarray(np.clip(np.exp(log), LEAST_RATIO, MOST_RATIO))

    def shares(self, x: NDArray[Any]) -> Vector:
        """(n,) share of the start-up in the energy at 4 epochs."""
        return np.asarray(1 - FIRST * (self.ratios(x) - 1) / (LAST - FIRST))

    def growth(
        self, x: NDArray[Any], energy4_kwh: NDArray[Any], start_share: float | None = None
    ) -> Growth:
        """Start-up and energy of an epoch, from features and the (n,) energy at 4 epochs.

        Args:
            start_share: share of the start-up in the energy at 4 epochs, where it was measured.
        """
        energy = np.asarray(energy4_kwh, dtype=np.float64)
        if start_share is None:
            each = energy * (self.ratios(x) - 1) / (LAST - FIRST)
        else:
            each = energy * (1 - start_share) / FIRST
        return Growth(energy - FIRST * each, each)

    def predict(
        self,
        x: NDArray[Any],
        energy4_kwh: NDArray[Any],
        std4_kwh: NDArray[Any],
        budgets: Sequence[int] = (4, 12, 36, 108),
        *,
        scaling: Literal["affine", "linear"] | str = "affine",
        fitted_device: bool = False,
        start_share: float | None = None,
    ) -> tuple[Vector, Vector]:
        """Energy in kWh at budgets of epochs and its standard deviation: (n, b) each.

        Args:
            x: (n, f) features.
            energy4_kwh, std4_kwh: (n,) at 4 epochs, on any device.
            budgets: epochs, positive.
            scaling: `affine`, or `linear` as the published tables have it (times epochs / 4,
                which scales the start-up too and is some 12 % too much at 108).
            fitted_device: whether the energies are the Quadro RTX 6000's, for which no transfer
                is needed.
            start_share: share of the start-up in the energy at 4 epochs, where it was measured
                on the device itself; no transfer is needed then either.

        The deviation goes from the one given at 4 epochs to that at 108 evenly in the logarithm
        of the epochs. What the given one has over `noise` is taken for an error of the model,
        which stays. For linear scaling the deviation is scaled alike and knows nothing of the
        excess.

        Raises:
            ConfigError: another scaling, or a budget of no epochs.
        """
        epochs = np.asarray(list(budgets), dtype=np.float64)
        if scaling not in ("affine", "linear"):
            raise ConfigError(
                "no such scaling over epochs",
                value=scaling,
                expected="affine or linear",
                remedy="leave it out for the measured one",
            )
        if epochs.size and not (np.isfinite(epochs).all() and epochs.min() > 0):
            raise ConfigError(
                "a budget of no epochs",
                value=list(budgets),
                expected="numbers over 0",
                remedy="ask for 1 epoch or more",
            )
        energy = np.asarray(energy4_kwh, dtype=np.float64)
        std = np.asarray(std4_kwh, dtype=np.float64)
        if scaling == "linear":
            return np.outer(energy, epochs / FIRST), np.outer(std, epochs / FIRST)
        growth = self.growth(x, energy, start_share)
        mean = growth.start_kwh[:, None] + np.outer(growth.epoch_kwh, epochs)
        relative = (std / energy) ** 2
        excess = np.maximum(relative - self.noise**2, 0)
        known = fitted_device or start_share is not None
        last = self.sd**2 + excess + (0 if known else self.transfer**2)
        part = np.clip(np.log(epochs / FIRST) / np.log(LAST / FIRST), 0, 1)
        return mean, mean * np.sqrt(np.outer(relative, 1 - part) + np.outer(last, part))

    @classmethod
    def from_weights(cls, weights: Weights) -> OverEpochs:
        """The inverse of `to_arrays`.

        Raises:
            KeyError: the weights are of another target.
        """
        arrays = weights.arrays
        sd, noise, transfer = (float(v) for v in arrays["epochs_sd"])
        return cls(Descriptors.from_arrays(arrays), arrays["epochs_ratio"], sd, noise, transfer)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays for `Weights`."""
        return {
            **self.descriptors.to_arrays(),
            "epochs_ratio": self.ratio,
            "epochs_sd": np.array([self.sd, self.noise, self.transfer]),
        }


# Energy of training on a GPU that few cells were measured on.


#: Names of the calibrated devices that come with the package.
DEVICES = ("quadro-rtx-6000", "rtx-3060", "rtx-3090", "titan-xp")

#: What the energies that a device was calibrated on are of: whole runs up to the end of training,
#: start-up included, as EC-NAS's are; or the steps of training alone.
SPANS = ("run", "steps")

_VERTICES = [f.name for f in FEATURES].index("vertices")

_TITLES = ("nvidia", "geforce", "quadro")


def device_name(text: object) -> str:
    """The one of `DEVICES` that is meant: "RTX 3090", "titanxp", "NVIDIA Quadro RTX 6000", ...

    Raises:
        ConfigError: none is.
    """
    known = {_short(name): name for name in DEVICES}
    found = known.get(_short(text)) if isinstance(text, str) else None
    if found is None:
        raise ConfigError(
            "no calibration of this device comes with the package",
            value=text,
            expected="one of " + ", ".join(DEVICES),
            remedy="measure some cells and make one by: ecnas surrogate calibrate",
        )
    return found


def _short(text: str) -> str:
    letters = re.sub(r"[^a-z0-9]", "", text.lower())
    for title in _TITLES:
        letters = letters.replace(title, "")
    return letters


@dataclass(frozen=True)
class DeviceModel:
    """Energy at 4 epochs on one device: time there, times mean power there.

    Both are the exponential of a linear function of the descriptors; the time is taken relative
    to that on the first GPU. Time varies by less than one per cent from run to run, while power
    read every few seconds varies by several, so that each is fitted as its noise allows.
    """

    name: str
    descriptors: Descriptors
    time: Vector
    """(6,) intercept and slopes of log(s here at 4 epochs / s of one epoch on the first GPU);
    zeros where times were not measured, all being in `power` then."""
    power: Vector
    """(6,) intercept and slopes of log(kWh / s)."""
    sd: float
    """Standard deviation of log(measured / predicted) within the calibrated range: the 90 %
    interval of cross-validation over 1.645."""
    low: Vector
    high: Vector
    """(5,) range of the descriptors over the calibrated cells."""
    vertices: int
    """Most vertices with an operation of a calibrated cell."""
    drift: float = 0.03
    """Further standard deviation of the logarithm for each unit that a descriptor lies outside
    of the range."""
    beyond: float = 0.035
    """The same for cells of more vertices than any calibrated one: what calibrating on
    four-vertex cells missed on five-vertex cells (RTX 6000) and seven-vertex ones (RTX 3090)."""
    span: str = "run"
    """What the energies are of, one of `SPANS`."""
    start_share: float | None = None
    """Share of the start-up in the energy of a run of 4 epochs, where it was measured here."""

    def predict(self, x: NDArray[Any]) -> tuple[Vector, Vector]:
        """Energy in kWh at 4 epochs of (n, f) features, and its standard deviation: (n,) each.

        It is the energy of `span`. The deviation is that of one new measurement; the 90 % interval
        is mean x exp(-+1.645 std / mean).
        """
        z = self.descriptors(x)
        outside = np.maximum(np.maximum(self.low - z, z - self.high), 0)
        linear = self.time + self.power
        # Slopes outside the calibrated range carry on for the time, but power has a limit.
        inside = np.clip(z, self.low, self.high)
        if self.time.any():
            log = linear[0] + z @ self.time[1:] + inside @ self.power[1:]
        else:
            log = linear[0] + z @ linear[1:]
        mean = self.descriptors.time_s(x) * np.exp(log)
        larger = np.asarray(x[:, _VERTICES]) > self.vertices
        further = self.drift**2 * (outside**2).sum(axis=1) + self.beyond**2 * larger
        sd = np.sqrt(self.sd**2 + further)
        return mean, mean * sd

    def training_time_s(self, x: NDArray[Any]) -> Vector:
        """(n,) s of training for 4 epochs.

        Raises:
            ConfigError: the device was calibrated without times.
        """
        if not self.time.any():
            raise ConfigError(
                "the device was calibrated without times",
                value=self.name,
                expected="measurements with training_time_s",
                remedy="calibrate it again with them",
            )
        log = self.time[0] + self.descriptors(x) @ self.time[1:]
        return np.asarray(self.descriptors.time_s(x) * np.exp(log))

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Arrays for `Weights`, their names beginning with `prefix`; `Descriptors` apart."""
        return {
            f"{prefix}_time": self.time,
            f"{prefix}_power": self.power,
            f"{prefix}_sd": np.array([self.sd, self.vertices, self.drift, self.beyond]),
            f"{prefix}_range": np.stack([self.low, self.high]),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], prefix: str, name: str | None = None
    ) -> DeviceModel:
        """The inverse; `arrays` hold the descriptors too.

        Raises:
            KeyError: the arrays hold none of this prefix.
        """
        sd, vertices, drift, beyond = (float(v) for v in arrays[f"{prefix}_sd"])
        low, high = arrays[f"{prefix}_range"]
        return cls(
            name or prefix,
            Descriptors.from_arrays(arrays),
            arrays[f"{prefix}_time"],
            arrays[f"{prefix}_power"],
            sd,
            low,
            high,
            int(vertices),
            drift,
            beyond,
        )

    @classmethod
    def from_weights(cls, weights: Weights, device: str) -> DeviceModel:
        """The calibration of one device.

        Raises:
            ConfigError: there is none of it.
            FormatError: its header does not say what its energies are of.
        """
        name = device if f"{device}_power" in weights.arrays else device_name(device)
        span = weights.header.get("energy_span", "run")
        share = weights.header.get("start_up_share")
        good = share is None or (isinstance(share, float) and 0 <= share < 1)
        if span not in SPANS or not good:
            raise FormatError(
                "the weights do not say what their energies are of",
                value=(span, share),
                expected=f"{' or '.join(SPANS)}, and a share from 0 to below 1",
                remedy="make them again by: ecnas surrogate calibrate",
            )
        return replace(cls.from_arrays(weights.arrays, name), span=span, start_share=share)
