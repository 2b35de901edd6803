"""The fitted models in numpy, without the fits: weights files, and energy, time and accuracy.

Each `Model` is a frozen dataclass whose arrays are kept in `Weights`, the content of one file.
`features.features` gives the inputs of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from itertools import chain, count, takewhile
from os import PathLike
from typing import Any, ClassVar, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.arrays import ArrayFile, write_arrays
from naslib_ecnas.errors import FormatError
from naslib_ecnas.metrics import J_PER_KWH
from naslib_ecnas.surrogate import shipped
from naslib_ecnas.surrogate.exact import exp, interpolated, log, rounded, weighted_sum
from naslib_ecnas.surrogate.features import COSTS, FEATURES

Matrix = NDArray[np.float32]
Array = NDArray[np.float64]

#: Training budgets of NAS-Bench-101 in epochs.
BUDGETS = (4, 12, 36, 108)

#: The device whose scale the energies are on unless another one is asked for ...
DEVICE = "rtx-3090"
#: ... its maker's name for it ...
DEVICE_TITLE = "NVIDIA GeForce RTX 3090"
#: ... and the power usage effectiveness within the energies.
PUE = 1.59


#: Binary digits after the point of a perceptron's inputs, of its activations, and of its weights.
INPUT_BITS, WEIGHT_BITS = 14, 16

#: Rows that a perceptron takes at a time: twice as fast as 2,048, whose arrays leave the cache.
_ROWS = 512


# -- models and files of their weights ------------------------------------------------------------


M = TypeVar("M", bound="Model")


class Model:
    """Base of the fitted models: frozen dataclasses of arrays, numbers, and other models."""

    SHIPPED: ClassVar[tuple[str, str]]
    """The one of `TARGETS` that has the model of the package, and the prefix of its arrays."""

    @classmethod
    def shipped(cls: type[M]) -> M:
        """The model that comes with the package, made once in a process."""
        kind: Any = cls  # mypy takes no class for hashable
        found: M = _shipped(kind)
        return found

    def to_arrays(self, prefix: str = "") -> dict[str, NDArray[Any]]:
        """Arrays for `Weights`, named after the fields; texts and None are left out."""
        out: dict[str, NDArray[Any]] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value, name = getattr(self, field.name), prefix + field.name
            if isinstance(value, Model):
                out |= value.to_arrays(f"{name}.")
            elif field.name == "layers":
                out |= {f"{name}.{i}": array for i, array in enumerate(chain(*value))}
            elif isinstance(value, (int, float, np.ndarray)):
                out[name] = np.asarray(value)
        return out

    @classmethod
    def from_arrays(
        cls: type[M], arrays: Mapping[str, NDArray[Any]], prefix: str = "", **known: Any
    ) -> M:
        """The inverse of `to_arrays`, with `known` fields that are not among the arrays.

        Raises:
            KeyError: an array is missing.
        """
        types = get_type_hints(cls)
        for field in fields(cls):  # type: ignore[arg-type]
            kind, name = types[field.name], prefix + field.name
            if field.name in known:
                continue
            if isinstance(kind, type) and issubclass(kind, Model):
                known[field.name] = kind.from_arrays(arrays, f"{name}.")
            elif field.name == "layers":
                there = takewhile(lambda key: key in arrays, (f"{name}.{i}" for i in count()))
                flat = [arrays[key] for key in there]
                known[field.name] = tuple(zip(flat[::2], flat[1::2], strict=True))
            else:
                known[field.name] = kind(arrays[name]) if kind in (int, float) else arrays[name]
        return cls(**known)


@cache
def _shipped(kind: type[Model]) -> Any:
    target, prefix = kind.SHIPPED
    return kind.from_arrays(Weights.shipped(target).arrays, prefix)


@dataclass(frozen=True)
class Perceptron(Model):
    """A multilayer perceptron: standardised inputs, rectified hidden layers, a linear output.

    Inputs are clipped to `clip` standard deviations, so that a cell unlike all fitted ones is not
    extrapolated without bound.
    """

    shift: Matrix
    """(k,) mean of each input."""
    scale: Matrix
    """(k,) one over the standard deviation of each input."""
    layers: tuple[tuple[Matrix, Matrix], ...]
    """Weights (inputs, outputs) and biases (outputs,) of each layer."""
    clip: float = 6.0

    def __call__(
        self, x: NDArray[Any], activation: Callable[[Array], Array] | None = None
    ) -> Array:
        """(n, m) outputs of (n, k) inputs, with the same bits on every machine.

        Weights, biases and activations are rounded to integers. `activation` is the one of the
        hidden layers, rectified by default.
        """
        # A factor of a power of two is exact: hidden layers give numbers in units of the inputs.
        unit = 2.0**-WEIGHT_BITS
        layers = [
            (rounded(weight, WEIGHT_BITS) * unit, rounded(bias, WEIGHT_BITS + INPUT_BITS) * unit)
            for weight, bias in self.layers
        ]
        parts = []
        for start in range(0, max(len(x), 1), _ROWS):
            h = np.asarray(x[start : start + _ROWS], dtype=np.float64) - self.shift
            h *= self.scale
            h = rounded(np.clip(h, -self.clip, self.clip, out=h), INPUT_BITS)
            for i, (weight, bias) in enumerate(layers):
                if i and activation:
                    h = rounded(activation(h * 2.0**-INPUT_BITS), INPUT_BITS)
                elif i:
                    np.rint(np.maximum(h, 0, out=h), out=h)
                h = h @ weight
                h += bias
            parts.append(h * 2.0**-INPUT_BITS)
        return np.concatenate(parts)


#: To be raised when the features or the meaning of an array change; other files are refused.
_VERSION = 2


@dataclass(frozen=True)
class Weights:
    """Arrays of one model and their origin, kept in a safetensors file."""

    header: Mapping[str, Any]
    """Plain values: `target`, `seed`, `data` (SHA-256 of each file), `split`, `quality`, and what
    the model itself needs."""
    arrays: Mapping[str, NDArray[Any]]
    """Arrays of numbers by name."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file atomically; equal weights give equal bytes.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
            ValueError: a number of the header is not finite.
        """
        header = {"version": _VERSION, **self.header}
        write_arrays(path, dict(sorted(self.arrays.items())), dict(sorted(header.items())))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Weights:
        """Read a file that `save` wrote.

        Raises:
            UnknownTableError: there is no such file.
            FormatError: it is damaged, of another version, or not a file of weights.
        """
        with ArrayFile(path, remedy="write one by: ecnas surrogate fit or calibrate") as file:
            version = file.metadata.get("version")
            if version != _VERSION:
                message = f"the file must hold weights of version {_VERSION}"
                raise FormatError(message, path=path, value=version)
            return cls(file.metadata, {name: file[name] for name in file.arrays})

    @classmethod
    @cache
    def shipped(cls, target: str) -> Weights:
        """The weights of one of `TARGETS` that come with the package, read once in a process."""
        return cls.load(shipped(target))


# -- training time, accuracy, energy --------------------------------------------------------------


@dataclass(frozen=True)
class LayerTime(Model):
    """Seconds as a linear sum over the layers of a cell."""

    coefficients: Array
    """(t,) seconds for a unit of each of the first t features."""
    intercept: float
    floor: float
    """Least sum, in s."""

    def __call__(self, x: NDArray[Any]) -> Array:
        """(n,) seconds of (n, k) features."""
        total = weighted_sum(x[:, : len(self.coefficients)], self.coefficients)
        return np.asarray(np.maximum(total + self.intercept, self.floor))

    def power_inputs(self, x: NDArray[Any]) -> Array:
        """(n, COSTS + 2) inputs of a model of power: features, log of the seconds, seconds."""
        seconds = self(x)
        return np.column_stack([x[:, :COSTS].astype(np.float64), log(seconds), seconds])


#: Feature that counts the operations of a cell.
_OPERATIONS = [feature.name for feature in FEATURES].index("vertices")


@dataclass(frozen=True)
class TimeModel(Model):
    """Seconds that NAS-Bench-101 took to train a cell on its TPUs: start-up, and then each epoch.

    The time at 108 epochs is a linear sum over layers, times corrections by two perceptrons. The
    start-up, in which the compiler runs, is a linear sum over operations and edges; it is the same
    at all budgets.
    """

    SHIPPED = "time", ""

    layers_s: LayerTime
    """Seconds at 108 epochs before the corrections."""
    correction: Perceptron
    """Predicts log(time / sum over layers) from the features."""
    limit: float
    """These corrections are clipped to this, either way."""
    small: Perceptron
    """Predicts the rest of log(time), which small cells have."""
    start_s: LayerTime
    """Seconds of the start-up."""
    error: Array
    """(3, 4) standard deviation of log(measured / predicted) at each of the `BUDGETS`, for cells of
    up to two operations, of three and of more."""

    def last(self, x: NDArray[Any]) -> Array:
        """(n,) seconds at 108 epochs, of (n, k) features, without the rest of small cells."""
        correction = self.correction(x)[:, 0]
        return np.asarray(self.layers_s(x) * exp(np.clip(correction, -self.limit, self.limit)))

    def predict(self, x: NDArray[Any]) -> tuple[Array, Array]:
        """(n, 4) seconds of (n, k) features at the `BUDGETS`, and their standard deviations.

        Nine of ten measured times lie within `mean * exp(+-1.645 * std / mean)`.
        """
        last = self.last(x) * exp(self.small(x)[:, 0])
        start = np.minimum(self.start_s(x), last)
        epochs = np.array(BUDGETS, dtype=np.float64)
        mean = start[:, None] + (last - start)[:, None] * (epochs / BUDGETS[-1])
        size = np.clip(x[:, _OPERATIONS].astype(np.int64) - 2, 0, len(self.error) - 1)
        return mean, mean * self.error[size]


#: Index of the test accuracy at the last budget, which follows the outputs of the budgets.
_TEST = len(BUDGETS)


@dataclass(frozen=True)
class AccuracyModel(Model):
    """Accuracies in NAS-Bench-101's sense: means over trainings that differ by their seed
    and did not fail.

    A perceptron ranks the cells: it predicts a normal score for every budget. One curve maps the
    score to the mean accuracy of held-out cells with this score, another one to the standard
    deviation of their accuracies.
    """

    SHIPPED = "accuracy", ""

    ranks: Perceptron
    """Predicts five normal scores from the features."""
    score: Array
    """(5, k) ascending scores: the knots of the curves."""
    accuracy: Array
    """(5, k) accuracy at the knots, never falling."""
    deviation: Array
    """(5, k) standard deviation at the knots."""
    test_less_validation: Array
    """(4, 2) at each budget, mean and standard deviation of test less validation accuracy in
    trainings that have both; the last is not used."""
    excess: Array
    """(k, 4) what validation accuracies by the curves are too high by at each budget, for cells of
    0 to k - 1 operations."""

    def predict(self, x: NDArray[Any]) -> dict[str, Array]:
        """(n, 4) accuracies of (n, k) features at 4, 12, 36, 108 epochs by metric, as fractions.

        Standard deviations at 4, 12 and 36 epochs are of the accuracy of a single training, at
        108 of the mean over three. Nine of ten lie within 1.645 of them. No test accuracies at 4,
        12 and 36 epochs were published: they are the validation accuracy plus the difference in
        EC-NAS's own trainings.
        """
        z = self.ranks(x)
        mean = np.empty((len(z), len(self.score)))
        std = np.empty_like(mean)
        for k in range(len(self.score)):
            mean[:, k] = interpolated(z[:, k], self.score[k], self.accuracy[k])
            std[:, k] = interpolated(z[:, k], self.score[k], self.deviation[k])
        if len(self.excess):
            few = np.minimum(x[:, _OPERATIONS].astype(np.int64), len(self.excess))
            mean[:, :_TEST] -= np.append(self.excess, np.zeros((1, _TEST)), axis=0)[few]
        less, spread = self.test_less_validation.T
        test = np.clip(mean[:, :_TEST] + less, 0, 1)
        test_std = np.sqrt(std[:, :_TEST] ** 2 + spread**2)
        test[:, -1], test_std[:, -1] = mean[:, _TEST], std[:, _TEST]
        return {
            "validation_accuracy": mean[:, :_TEST],
            "validation_accuracy_std": std[:, :_TEST],
            "test_accuracy": test,
            "test_accuracy_std": test_std,
        }


@dataclass(frozen=True)
class EnergyModel(Model):
    """Energy at 4 epochs as time times power: a linear model of time, a perceptron of power.

    The scale is the one of the published seven-vertex measurements: an RTX 3090 with its host's
    processors, start-up and evaluation included, times a power usage effectiveness of 1.59.
    """

    SHIPPED = "energy", ""

    time: LayerTime
    """Seconds of one epoch on the RTX 3090, evaluation left out."""
    power: Perceptron
    """Predicts log(energy / time in W) and the log spread of the fitted ensemble from
    `LayerTime.power_inputs`."""
    bounds: Array
    """(2, 2) least and greatest values that the perceptron's outputs are clipped to."""
    error: Array
    """(3,) log relative error: constant, slope in log(energy in Wh), slope in the log spread."""

    def predict(self, x: NDArray[Any]) -> tuple[Array, Array]:
        """Energy in kWh at 4 epochs of (n, k) features and its standard deviation, (n,) each.

        The standard deviation is for one new measurement: nine of ten lie within
        `mean * exp(+-1.645 * std / mean)`.
        """
        inputs = self.time.power_inputs(x)
        power, spread = np.clip(self.power(inputs), *self.bounds).T
        mean = inputs[:, -1] * exp(power) / J_PER_KWH
        constant, by_energy, by_spread = self.error
        relative = exp(constant + by_energy * log(1000 * mean) + by_spread * spread)
        return mean, mean * relative
