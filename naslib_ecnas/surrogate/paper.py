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
from functools import cached_property
from io import BytesIO
from itertools import pairwise
from os import PathLike
from pickle import UnpicklingError

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import (
    FormatError,
    MissingDependencyError,
    UnknownTableError,
    whole_numbers,
)
from naslib_ecnas.files import is_file, read_bytes
from naslib_ecnas.network import parameters
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.exact import Layers, exp
from naslib_ecnas.surrogate.models import Model

#: Units of each layer, inputs first.
SIZES = (36, 128, 64, 32, 32, 1)
_VERTICES = 7
#: Rows at a time, so that memory does not grow with the hidden layers' units.
_CHUNK = 1 << 14
#: Codes of the vertices, 0 past the last one.
_INPUT, _OUTPUT = 1, 5
#: In the order of `topologies.OPERATIONS`: 3x3, 1x1, pool; then of a missing vertex, whose label
#: is -1.
_CODES = np.array([3, 2, 4, 0], dtype=np.float32)

#: What torch raises for files that it did not write, or that hold more than tensors.
_UNREADABLE = (
    *(RuntimeError, UnpicklingError, EOFError, ValueError, LookupError),
    *(AttributeError, TypeError, AssertionError, OSError),
)

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
        wanted = whole_numbers(rows)
        parts = np.split(wanted, range(_CHUNK, len(wanted), _CHUNK))
        return np.concatenate([np.abs(self.exact(inputs(part))[:, 0]) for part in parts])

    @cached_property
    def exact(self) -> Layers:
        """The layers in exact arithmetic."""
        return Layers(self.layers, _gelu)

    def energy_kwh(self, rows: ArrayLike, budgets: Sequence[int]) -> NDArray[np.float64]:
        """(n, b) kWh, in proportion to the epochs as in the published table."""
        return self.wh(rows)[:, None] / 1000 * (np.asarray(budgets, dtype=np.float64) / 4)

    @classmethod
    def from_torch_file(cls, path: str | PathLike[str]) -> PaperModel:
        """The model from a state dict that torch saved, such as the authors' file.

        The names of the tensors do not matter, only their order. The authors' class has a batch
        normalisation behind each hidden layer that it never applies; its tensors are skipped if
        they have their initial values. Only tensors and plain containers are unpickled.

        Raises:
            MissingDependencyError: torch is not installed.
            UnknownTableError: there is no such file.
            FormatError: the file is not a state dict of such a perceptron.
        """
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError("torch", feature="reading torch's files") from error
        if not is_file(path):
            raise UnknownTableError(f"no file of weights at {path}")
        try:
            content = torch.load(BytesIO(read_bytes(path)), map_location="cpu", weights_only=True)
        except _UNREADABLE as error:
            raise FormatError(
                f"holds no state dict of torch's ({str(error).partition(chr(10))[0]:.200})",
                path=path,
                remedy="save model.state_dict() instead of the model",
            ) from error
        for key in ("state_dict", "model_state_dict"):
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
        tensors = list(content.values()) if isinstance(content, dict) else []
        try:
            arrays = [tensor.detach().to(torch.float32).numpy() for tensor in tensors]
        except (AttributeError, RuntimeError, TypeError):  # no tensors, sparse or quantised ones
            arrays = []
        found = [np.ascontiguousarray(array.T) for array in _without_idle(arrays)]
        shapes = [array.shape for array in found]
        if shapes != [shape for units in pairwise(SIZES) for shape in (units, units[1:])]:
            sizes = "-".join(map(str, SIZES))
            raise FormatError(f"must hold the paper's perceptron {sizes}", path=path, value=shapes)
        if not all(np.isfinite(array).all() for array in found):
            raise FormatError("has weights that are not finite", path=path)
        return cls(tuple(zip(found[::2], found[1::2], strict=True)))


def _without_idle(arrays: Sequence[Matrix]) -> list[Matrix]:
    """Weights and biases without batch normalisations that were never used.

    An unused one has its initial values: scales and variances of 1, shifts and means of 0, and a
    count of 0. One that was used is kept, so that the model is refused.
    """
    kept: list[Matrix] = []
    for array in arrays:
        due = array.ndim == 2 or (bool(kept) and kept[-1].ndim == 2)
        if due or not (np.all(array == 0) or np.all(array == 1)):
            kept.append(array)
    return kept


def _gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * x * (1 + _erf(x * np.sqrt(0.5)))


def _erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    poly = ((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736
    tail = (poly * t + 0.254829592) * t * exp(-np.minimum(x * x, 700))
    return np.asarray(np.sign(x) * (1 - tail))
