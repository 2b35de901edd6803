"""Five numbers of a cell that tell how another GPU's time and power compare.

A GPU runs a network layer by layer, so the time of one epoch is nearly a sum over layers. Fitted
on one GPU, that sum says how long a cell takes there and which part of it is spent in which
kind of layer. On another GPU convolutions, pools and additions speed up by different factors:
the time there follows from the time here and these shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.features import FEATURES
from naslib_ecnas.surrogate.weights import Weights, shipped

__all__ = ["DESCRIPTORS", "KINDS", "Descriptors", "kind_of_column", "shipped_descriptors"]

Matrix = NDArray[np.float64]

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
    shift: Matrix
    """(5,) mean of each descriptor over measured seven-vertex cells."""
    scale: Matrix
    """(5,) one over its standard deviation."""

    def parts(self, x: NDArray[Any]) -> Matrix:
        """(n, 5) s of one epoch on the first GPU by `KINDS`, of (n, f) features."""
        coefficients = self.coefficients.astype(np.float64)
        return np.asarray(np.maximum(np.asarray(x, dtype=np.float64) @ coefficients.T, 0))

    def time_s(self, x: NDArray[Any]) -> Matrix:
        """(n,) s of one epoch on the first GPU."""
        total = self.intercept + self.parts(x).sum(axis=1)
        return np.asarray(np.maximum(total, _LEAST_TIME_S))

    def raw(self, x: NDArray[Any]) -> Matrix:
        """(n, 5) `DESCRIPTORS`, not standardised."""
        parts = self.parts(x)
        total = parts.sum(axis=1)
        share = parts / np.maximum(total, 1e-9)[:, None]
        time = np.log(np.maximum(self.intercept + total, _LEAST_TIME_S))
        return np.column_stack([time, share[:, _SHARES]])

    def __call__(self, x: NDArray[Any]) -> Matrix:
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
