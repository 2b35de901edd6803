"""Energy of four epochs of training on the RTX 3090, of any cell, in numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.surrogate.features import FEATURES
from naslib_ecnas.surrogate.perceptron import Perceptron
from naslib_ecnas.surrogate.weights import Weights

__all__ = ["EnergyModel"]

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
