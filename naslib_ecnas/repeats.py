"""The mean over repeats: over those that are there, and of what has a mean."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_of", "means"]


def means(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) means over the (n, repeats) that are there; a point in time has no mean."""
    if values.shape[1] == 1:
        return values[:, 0]
    if name.endswith("_unix_s"):
        return np.full(len(values), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all repeats missing: NaN is meant
        out: NDArray[np.float64] = np.nanmean(values, axis=1)
    return out


def mean_of(name: str, values: Sequence[float]) -> float:
    """`means` of the repeats of one cell."""
    if name.endswith("_unix_s"):
        return values[0] if len(values) == 1 else math.nan
    there = [v for v in values if not math.isnan(v)]
    return sum(there) / len(there) if there else math.nan
