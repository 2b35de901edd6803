"""The paper's energy model: a perceptron on the matrix, the operations and the parameters.

Bakhtiarifard, Igel and Selvan (ICASSP 2024), section 3: 36-128-64-32-32-1, GELU, Wh at 4 epochs,
scaled by epochs / 4. Its inputs are the 28 entries of the upper triangle of the 7x7 matrix, the
diagonal among them, 7 codes of operations, and the parameters in millions. Vertices are ordered as
in NAS-Bench-101's files and in the matrices of our rows.

Predictions for cells unlike the fitted ones are not bounded. The smallest cells are such: the
published table has 0.784 Wh for the cell of one edge, which takes 5.3 to 5.7 Wh, and a model fitted
by the same recipe from another start may be as far off on the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import whole_numbers
from naslib_ecnas.network import parameters
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.exact import exp
from naslib_ecnas.surrogate.models import Model, Perceptron

#: Units of each layer, inputs first.
SIZES = (36, 128, 64, 32, 32, 1)
_VERTICES = 7
#: Codes of the vertices, 0 past the last one.
_INPUT, _OUTPUT = 1, 5
#: In the order of `topologies.OPERATIONS`: 3x3, 1x1, pool; then of a missing vertex, whose label
#: is -1.
_CODES = np.array([3, 2, 4, 0], dtype=np.float32)

Matrix = NDArray[np.float32]


def inputs(rows: ArrayLike) -> Matrix:
    """(n, 36) inputs of the model for (n,) rows.

    A cell of fewer vertices has its output right after its operations; the rest is zero.
    """
    wanted = whole_numbers(rows)
    matrices, labels = Space().matrices(wanted)
    at, output = np.arange(_VERTICES), 1 + (labels >= 0).sum(axis=1)[:, None]
    # Our matrices keep the output at vertex 6; the paper's follow the operations.
    source, there = np.where(at < output, at, _VERTICES - 1), at <= output
    cell = np.arange(len(wanted))[:, None, None]
    packed = matrices[cell, source[:, :, None], source[:, None]]
    packed = packed * (there[:, :, None] & there[:, None])
    codes = np.zeros((len(wanted), _VERTICES), dtype=np.float32)
    codes[:, 0], codes[:, 1:-1] = _INPUT, _CODES[labels]
    np.put_along_axis(codes, output, _OUTPUT, axis=1)
    upper = np.triu_indices(_VERTICES)
    millions = parameters(wanted) / 1e6
    return np.column_stack([packed[:, upper[0], upper[1]], codes, millions]).astype(np.float32)


@dataclass(frozen=True)
class PaperModel(Model):
    """The paper's perceptron of the energy at 4 epochs."""

    SHIPPED = "paper", ""

    layers: tuple[tuple[Matrix, Matrix], ...]
    """Weights (inputs, outputs) and biases (outputs,) of the five layers."""

    def wh(self, rows: ArrayLike) -> NDArray[np.float64]:
        """(n,) Wh at 4 epochs, the absolute value of the output as in the published table."""
        plain = Perceptron(np.zeros(1, np.float32), np.ones(1, np.float32), self.layers, np.inf)
        return np.abs(plain(inputs(rows), _gelu)[:, 0])

    def energy_kwh(self, rows: ArrayLike, budgets: Sequence[int]) -> NDArray[np.float64]:
        """(n, b) kWh, in proportion to the epochs as in the published table."""
        return self.wh(rows)[:, None] / 1000 * (np.asarray(budgets, dtype=np.float64) / 4)


def _gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * x * (1 + _erf(x * np.sqrt(0.5)))


def _erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    poly = ((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736
    tail = (poly * t + 0.254829592) * t * exp(-np.minimum(x * x, 700))
    return np.asarray(np.sign(x) * (1 - tail))
