"""Training time of any cell in NAS-Bench-101, in numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.perceptron import Perceptron
from naslib_ecnas.surrogate.weights import Weights

__all__ = ["TimeModel"]

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
