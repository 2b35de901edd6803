"""The time of one training epoch from counts of layers, by weighted ridge regression.

Energy is mean power times time, and power varies far less from cell to cell than time does; so a
model of energy that is handed a time need only learn the power. The published one-epoch runs on
the RTX 3090 give that time almost without noise: a network's time is very nearly a sum over its
layers, which is what the linear features are.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.surrogate.features import FEATURES, features
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured

__all__ = ["EPOCH_TIME_FILE", "LINEAR", "EpochTime", "EpochTimeData", "read_epoch_times"]

EPOCH_TIME_FILE = "measured_7v_1epoch_rtx3090.parquet"
#: Leading columns of `FEATURES` that are sums over layers; the logarithms come after them.
LINEAR = next(i for i, f in enumerate(FEATURES) if f.name.startswith("log_"))

_PENALTIES = np.logspace(-4, 2, 13)
#: Predictions stay above this share of the least time that was fitted.
_FLOOR = 0.5
#: Fewer runs tell nothing about this many features.
_LEAST = 10


@dataclass(frozen=True)
class EpochTime:
    """A linear model: seconds of one epoch."""

    coefficients: NDArray[np.float64]
    """(LINEAR,) seconds for a unit of each feature."""
    intercept: float
    floor: float
    """Least time that is ever predicted, in s."""

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) seconds of (n, k) features."""
        time = np.asarray(x[:, :LINEAR], dtype=np.float64) @ self.coefficients + self.intercept
        return np.asarray(np.maximum(time, self.floor))


@dataclass(frozen=True)
class EpochTimeData:
    """The runs that a fit may use."""

    measured: Measured
    x: NDArray[np.float64]
    """(n, LINEAR) features."""

    def fit(self, rows: NDArray[np.int64]) -> EpochTime:
        """Fit to the runs of those cells that are among `rows`, and of no other.

        Relative errors count (weights 1 / time^2); the penalty minimises the generalised
        cross-validation score (Golub, Heath and Wahba, Technometrics 21, 1979, eq. 1.4).

        Raises:
            ConfigError: too few of the cells have a run.
        """
        chosen = np.isin(self.measured.rows, rows)
        if chosen.sum() < _LEAST:
            raise ConfigError(
                "too few cells have a measured time of one epoch",
                value=int(chosen.sum()),
                expected=f"at least {_LEAST}",
                remedy="fit on more cells",
            )
        x, time = self.x[chosen], self.measured["final_training_time_s"][chosen]
        weight = 1 / time**2
        weight /= weight.sum()
        middle = weight @ x
        spread = np.sqrt(weight @ (x - middle) ** 2)
        scale = 1 / np.where(spread > 1e-9, spread, np.inf)
        mean = float(weight @ time)
        root = np.sqrt(weight * len(time))
        u, s, vt = np.linalg.svd((x - middle) * scale * root[:, None], full_matrices=False)
        target = (time - mean) * root
        along = u.T @ target
        beyond = float(target @ target - along @ along)
        best, least = np.zeros(len(s)), np.inf
        for penalty in _PENALTIES * len(time):
            kept = s**2 / (s**2 + penalty)
            left = beyond + float(((1 - kept) * along) @ ((1 - kept) * along))
            score = left / max(len(time) - 1 - float(kept.sum()), 1e-9) ** 2
            if score < least:
                best, least = s / (s**2 + penalty) * along, score
        coefficients = (vt.T @ best) * scale
        return EpochTime(coefficients, mean - float(middle @ coefficients), _FLOOR * time.min())


def read_epoch_times(folder: str | PathLike[str]) -> EpochTimeData:
    """Read the one-epoch runs of the reference data."""
    measured = read_measured(Path(folder) / EPOCH_TIME_FILE)
    return EpochTimeData(measured, features(measured.rows)[:, :LINEAR].astype(np.float64))
