"""Validation and test accuracy of any cell at four budgets, in numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.native import BUDGETS
from naslib_ecnas.surrogate.perceptron import Perceptron
from naslib_ecnas.surrogate.weights import Weights

__all__ = ["AccuracyModel"]

#: The output after those of the budgets is the test accuracy at the last of them.
_TEST = len(BUDGETS)

Array = NDArray[np.float64]


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
