"""From a standard deviation to the bounds between which a training lies."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.checked import floats
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import metric

__all__ = ["Z90", "bounds"]

#: Standard deviations on either side of the mean that hold nine tenths of a normal distribution;
#: the standard deviations of all models are scaled so that they do in fact.
Z90 = 1.645


def bounds(
    name: str, mean: ArrayLike, std: ArrayLike, coverage: float = 0.9
) -> NDArray[np.float64]:
    """(..., 2) lower and upper bounds of (...) means with (...) standard deviations.

    What lies between is what the deviation is of: a single training, or for accuracies at 108
    epochs the mean over three.

    Costs are positive and their errors grow with them: theirs are taken in the logarithm.
    Fractions are cut at 0 and 1.

    Raises:
        ConfigError: the coverage is no number between 0 and 1.
        UnknownMetricError: there is no such metric.
    """
    if isinstance(coverage, bool) or not isinstance(coverage, (int, float)) or not 0 < coverage < 1:
        raise ConfigError(
            "no coverage",
            value=coverage,
            expected="a number between 0 and 1",
            remedy="0.9 is what the models are calibrated for",
        )
    z = Z90 if coverage == 0.9 else NormalDist().inv_cdf(0.5 + coverage / 2)
    m = floats(mean)
    s = floats(std)
    if metric(name).upper == 1.0:
        return np.clip(np.stack([m - z * s, m + z * s], axis=-1), 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.exp(z * np.where(m > 0, s / m, np.nan))
    return np.stack([m / factor, m * factor], axis=-1)
