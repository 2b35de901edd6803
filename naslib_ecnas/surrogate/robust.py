"""Ridge regression that single wrong measurements do not bend, and the errors of predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.quality import Z90

Vector = NDArray[np.float64]

#: Residuals over this many spreads count less: 95 % as efficient as least squares on a normal.
_HUBER = 1.345
#: Residuals over so many spreads get weight 0.
_CUT = 6.0
_STEPS = 30
#: Random fits of `_trimmed`, and the share of measurements that each is improved on.
_STARTS, _SOUND = 100, 0.7


@dataclass(frozen=True)
class RobustFit:
    """Coefficients and the weight of each measurement."""

    coefficients: Vector
    """(1 + k,) intercept first."""
    weight: Vector
    """(n,) weights from 1 to 0; outliers have 0."""

    def __call__(self, x: NDArray[Any]) -> Vector:
        """(n,) fitted values of (n, k)."""
        return np.asarray(self.coefficients[0] + x @ self.coefficients[1:], dtype=np.float64)


def robust_ridge(
    x: NDArray[Any],
    y: NDArray[Any],
    penalty: float,
    floor: float,
    *,
    trimmed: bool = False,
    one_sided: bool = False,
) -> RobustFit:
    """Iteratively reweighted least squares with Huber's weights; the intercept is not shrunk.

    Where outliers would leave less than half of the measurements, the starting weights are used.

    Args:
        x: (n, k) standardised descriptors.
        y: (n,) values.
        penalty: of the squared coefficients.
        floor: least spread, so that an exact fit does not turn all else into outliers.
        trimmed: start from the measurements that a trimmed fit finds sound, where up to 30 % may
            be wrong to one side; by default from all.
        one_sided: whether only positive residuals can get weight 0: another job on the machine
            makes a run longer, none makes it shorter.
    """
    design = np.column_stack([np.ones(len(y)), np.asarray(x, dtype=np.float64)])
    shrink = np.diag([1e-9, *[penalty] * (design.shape[1] - 1)])
    begin = _trimmed(design, y, shrink, 4 * floor) if trimmed else np.ones(len(y))
    weight, b = begin, np.zeros(design.shape[1])
    for _ in range(_STEPS):
        weighted = design * weight[:, None]
        b = np.linalg.solve(design.T @ weighted + shrink, weighted.T @ y)
        residual = y - design @ b
        error = np.abs(residual)
        spread = max(1.4826 * float(np.median(error[weight > 0])), floor)
        weight = np.minimum(1, _HUBER * spread / np.maximum(error, 1e-300))
        weight = np.where((residual if one_sided else error) > _CUT * spread, 0.0, weight)
        if np.count_nonzero(weight) < len(y) / 2:
            weight = begin
    return RobustFit(b, weight)


def _trimmed(design: Vector, y: NDArray[Any], shrink: Vector, within: float) -> Vector:
    """(n,) 1 for measurements whose residuals are up to `within` or four spreads, else 0.

    Least trimmed squares (Rousseeuw and Van Driessen, Data Mining and Knowledge Discovery 12,
    2006, section 3): many fits to few measurements drawn at random, each improved twice by a fit
    to the measurements nearest to it; the one with the least sum of squares over these wins.
    """
    n, k = design.shape
    nearest = min(n, max(int(np.ceil(_SOUND * n)), k + 1))
    rng = np.random.default_rng(0)
    chosen = rng.permuted(np.tile(np.arange(n), (_STARTS, 1)), axis=1)[:, : min(k + 1, n)]
    error = np.zeros((0, n))
    for _ in range(3):
        part, value = design[chosen], y[chosen]
        left = np.swapaxes(part, 1, 2) @ part + shrink
        right = np.swapaxes(part, 1, 2) @ value[:, :, None]
        fits = np.linalg.solve(left, right)[:, :, 0]
        error = np.abs(y - fits @ design.T)
        chosen = np.argpartition(error, nearest - 1, axis=1)[:, :nearest]
    best = int(np.argmin((np.take_along_axis(error, chosen, axis=1) ** 2).sum(axis=1)))
    # The median of the nearest 70 % is the 35 % quantile of all: 0.454 standard deviations.
    spread = float(np.median(error[best][chosen[best]])) / 0.454
    return np.asarray(error[best] <= max(within, 4 * spread), dtype=np.float64)


def conformal_sd(error: NDArray[Any]) -> float:
    """Standard deviation such that 1.645 times it bounds nine tenths of (n,) absolute errors.

    Split conformal: of n errors the one of rank ceil(0.9 (n + 1)).
    """
    ordered = np.sort(error)
    rank = min(int(np.ceil(0.9 * (len(ordered) + 1))), len(ordered))
    return float(ordered[rank - 1]) / Z90
