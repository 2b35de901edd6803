"""How trainings of one cell differ: failures, accuracies, training time and energy.

`NoiseModel` adds to the predictions of a modelled table how far single trainings scatter around
its means, and how probable it is that one fails. `drawn` makes single trainings of these columns.

A training fails when its activations overflow. Max-pooling neither learns nor normalises: a vertex
of several inputs adds them up, and where pools follow each other the sums multiply, up to the next
convolution, which normalises. Such a network predicts one class for every image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.exact import exp, interpolated
from naslib_ecnas.surrogate.features import OPERATORS, vertices_of
from naslib_ecnas.surrogate.models import BUDGETS, Model
from naslib_ecnas.topologies import MAX_VERTICES, adjacency, labels_of_rows, topologies

Array = NDArray[np.float64]

#: NAS-Bench-101 validates and tests on 39 batches of 256 images.
IMAGES = 39 * 256

#: Validation and test accuracy of a training that failed: the images of the first class.
FAILED = (949 / IMAGES, 999 / IMAGES)

#: Standard normal values at which the shapes of the noise have their knots.
KNOTS = np.linspace(-3.25, 3.25, 14)

#: Names of the columns that `NoiseModel.columns` adds.
FAILURE = "failure_probability"
REPEATED = ("validation_accuracy", "test_accuracy", "training_time_s", "energy_kwh")

_OUTPUT = MAX_VERTICES - 1
_POOL = OPERATORS.index("maxpool3x3")
_LAST = len(BUDGETS) - 1


def pool_paths(rows: NDArray[Any]) -> Array:
    """(n,) most paths that a vertex before the output adds up through pools alone.

    The input and convolutions count 1; a pool counts the sum of its predecessors.
    """
    table = topologies()
    edge = adjacency()[table.row_topology[rows]]
    pool = labels_of_rows(rows) == _POOL
    count = np.ones((len(pool), MAX_VERTICES))
    for v in range(1, _OUTPUT):
        # Sums of integers are exact in any order.
        count[:, v] = np.where(pool[:, v - 1], (count[:, :v] * edge[:, :v, v]).sum(axis=1), 1)
    return np.asarray((count[:, :_OUTPUT] * edge[:, :_OUTPUT, _OUTPUT]).max(axis=1))


def failure_inputs(rows: NDArray[Any]) -> Array:
    """(n, 5) inputs of the logit of the probability of a failure.

    They are 1; whether more than one path is added up; how many more than one, up to four; whether
    a single edge leaves the cell's input; and the number of interior vertices.
    """
    paths = pool_paths(rows)
    leaving = adjacency()[topologies().row_topology[rows], 0].sum(axis=1)
    columns = [np.ones(len(paths)), paths > 1, np.minimum(paths, 5) - 1, leaving == 1]
    return np.column_stack([*columns, vertices_of(rows) - 2]).astype(np.float64)


@dataclass(frozen=True)
class NoiseModel(Model):
    """Scatter of single trainings around the means of a modelled table.

    Standard deviations are such that 1.645 of them hold nine of ten trainings, as everywhere in
    modelled tables; those of accuracies are of trainings that did not fail.
    """

    SHIPPED = "noise", ""

    failure: Array
    """(5,) coefficients of `failure_inputs`."""
    failing: Array
    """(4,) probability of a failure at each budget over the one at the last."""
    concentration: float
    """How certain the probability of a cell is: its odds have a beta distribution with this sum of
    parameters."""
    share: float
    """Share of the variance of validation accuracies at all budgets but the last that is scatter
    between trainings; the rest is doubt of the table's mean."""
    last: Array
    """(2, k) ascending mean validation accuracies at the last budget, and the standard deviation of
    single trainings there."""
    levels: Array
    """(4, m) ascending mean validation accuracies at each budget, at which `shape` is known."""
    shape: Array
    """(4, m, len(KNOTS)) deviation of the validation accuracy from its mean, in standard
    deviations, for standard normal values at `KNOTS`."""
    images: float
    """Deviation of accuracies by the sample of images, over the one of independent images."""
    seconds: Array
    """(4,) relative standard deviation of the training time at each budget."""
    energy: float
    """Relative standard deviation of the energy ..."""
    energy_share: float
    """... and the largest share that it may be of the table's variance."""
    energy_shape: Array
    """(len(KNOTS),) deviation of the energy's logarithm, as in `shape`."""
    link: float
    """Correlation of the standard normal values of time and energy."""
    normal: Array
    """(2, q) ascending probabilities and the normal quantiles at them."""

    # -- columns of a table ----

    def failure_probability(self, rows: NDArray[Any]) -> Array:
        """(n, 4) probability that a single training of each row fails, at 4 to 108 epochs."""
        inputs = failure_inputs(rows)
        logit = (inputs * self.failure).cumsum(axis=1)[:, -1]  # one order of summation
        return np.asarray((1 / (1 + exp(-logit)))[:, None] * self.failing)

    def columns(self, rows: NDArray[Any], values: Mapping[str, Array]) -> dict[str, Array]:
        """The columns of noise of (n,) rows, and the standard deviations that it changes.

        Args:
            rows: of the cells.
            values: (n, 4) predictions at 4, 12, 36 and 108 epochs by metric.

        Returns:
            (n, 4) each: `failure_probability`, `<metric>_repeat_std` of `REPEATED`, and
            `<metric>_std` of accuracies.
        """
        energy = self.energy * values["energy_kwh"]
        if "energy_kwh_std" in values:
            energy = np.minimum(energy, np.sqrt(self.energy_share) * values["energy_kwh_std"])
        return {
            FAILURE: self.failure_probability(rows),
            **self._of_accuracies(values),
            "training_time_s_repeat_std": values["training_time_s"] * self.seconds,
            "energy_kwh_repeat_std": energy,
        }

    def _of_accuracies(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """(n, 4) standard deviations of accuracies: of single trainings, and their scatter.

        Given ones at 108 epochs are of the largest of three validation accuracies, and of the mean
        of three test accuracies, which is what the accuracy model is fitted on.
        """
        mean, test = values["validation_accuracy"], values["test_accuracy"]
        std, test_std = (values[f"{name}_std"].copy() for name in REPEATED[:2])
        repeat = np.empty_like(mean)
        repeat[:, :_LAST] = std[:, :_LAST] * np.sqrt(self.share)
        repeat[:, _LAST] = interpolated(mean[:, _LAST], *self.last)
        shared = self._shared(repeat, mean)
        test_repeat = np.sqrt(shared**2 + self._sampled(test) ** 2)
        for s, r, left in ((std, repeat, _LARGEST_OF_THREE), (test_std, test_repeat, 1 / 3)):
            doubt = np.maximum(s[:, _LAST] ** 2 - left * r[:, _LAST] ** 2, (s[:, _LAST] / 2) ** 2)
            s[:, _LAST] = np.sqrt(doubt + r[:, _LAST] ** 2)
        return {
            "validation_accuracy_std": std,
            "test_accuracy_std": test_std,
            "validation_accuracy_repeat_std": repeat,
            "test_accuracy_repeat_std": test_repeat,
        }

    def _sampled(self, accuracy: Array) -> Array:
        """Standard deviation of accuracies by the sample of images that they are measured on."""
        return np.asarray(self.images * np.sqrt(accuracy * (1 - accuracy) / IMAGES))

    def _shared(self, repeat: Array, mean: Array) -> Array:
        """Standard deviation of what validation and test accuracy of a training share."""
        return np.sqrt(np.maximum(repeat**2 - self._sampled(mean) ** 2, 0))

    # -- single trainings ----

    def drawn(
        self, values: Mapping[str, Array], epochs: int, rng: np.random.Generator
    ) -> dict[str, Array]:
        """One training of each of n cells.

        Six numbers of the generator go to each training, so that one call for n cells draws what n
        calls draw.

        Args:
            values: (n,) columns of a table at one budget, those of `columns` among them.
            epochs: the budget, one of `BUDGETS`.
            rng: the generator.

        Returns:
            (n,) values of the metrics of `REPEATED`. Accuracies are counts over 9,984 images, in
            the precision of float32 as NAS-Bench-101 has them; those of failed trainings are
            `FAILED`. A failure costs as much as a success.
        """
        n = len(next(iter(values.values())))
        budget, uniform = BUDGETS.index(epochs), rng.random((n, 6))
        z = interpolated(uniform[:, :5].ravel(), *self.normal).reshape(n, 5)
        out = {}
        mean, repeat = (values[f"validation_accuracy{end}"] for end in ("", "_repeat_std"))
        shared = self._shared(repeat, mean) * self._shaped(budget, mean, z[:, 0])
        failed = uniform[:, 5] < values[FAILURE]
        for name, own, failure in zip(REPEATED[:2], z[:, 1:3].T, FAILED, strict=True):
            accuracy = values[name] + shared + self._sampled(values[name]) * own
            count = np.rint(np.clip(accuracy, 0, 1) * IMAGES)
            single = np.where(failed, failure, count / IMAGES)
            out[name] = single.astype(np.float32).astype(np.float64)
        linked = self.link * z[:, 3] + np.sqrt(1 - self.link**2) * z[:, 4]
        logs = np.stack([z[:, 3], _between(self.energy_shape[None], 0, linked)])
        relative = np.stack([values[f"{name}_repeat_std"] / values[name] for name in REPEATED[2:]])
        for name, factor in zip(REPEATED[2:], exp(relative * logs), strict=True):
            out[name] = values[name] * factor
        return out

    def _shaped(self, budget: int, mean: Array, z: Array) -> Array:
        """(n,) deviations in standard deviations, from (n,) standard normal values."""
        levels, shape = self.levels[budget], self.shape[budget]
        above = np.clip(np.searchsorted(levels, mean, side="right"), 1, len(levels) - 1)
        low, high = levels[above - 1], levels[above]
        share = (np.clip(mean, low, high) - low) / (high - low)
        lower, upper = _between(shape, above - 1, z), _between(shape, above, z)
        return np.asarray(lower * (1 - share) + upper * share)


def _between(shape: Array, line: Any, z: Array) -> Array:
    """(n,) values at (n,) positions among `KNOTS` on some lines of a (m, len(KNOTS)) shape."""
    along = (np.clip(z, KNOTS[0], KNOTS[-1]) - KNOTS[0]) / (KNOTS[1] - KNOTS[0])
    left = np.minimum(along.astype(np.int64), len(KNOTS) - 2)
    part = along - left
    return np.asarray(shape[line, left] * (1 - part) + shape[line, left + 1] * part)


#: Variance of the largest of three standard normal values.
_LARGEST_OF_THREE = 0.5595
