"""A multilayer perceptron in numpy: what fitted models are distilled into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Perceptron"]

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
