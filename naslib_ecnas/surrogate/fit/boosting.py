"""Boosted trees on a robust loss: several seeds of LightGBM, averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import MissingDependencyError

__all__ = ["Boosting", "fit_boosting"]

#: Huber's loss turns linear at this error, in the logarithm: beyond it a run counts as disturbed.
_HUBER = 0.05


@dataclass(frozen=True)
class Boosting:
    """The fitted trees of each seed."""

    members: tuple[Any, ...]

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) means over the members of (n, k) inputs."""
        total = sum(member.predict(np.asarray(x, dtype=np.float64)) for member in self.members)
        return np.asarray(total / len(self.members), dtype=np.float64)


def fit_boosting(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    seeds: int = 3,
    trees: int = 1500,
    rate: float = 0.03,
    leaves: int = 16,
    seed: int = 0,
) -> Boosting:
    """Fit to (n, k) inputs and (n,) targets, `seeds` times.

    Raises:
        MissingDependencyError: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise MissingDependencyError(
            "lightgbm", feature="fitting a surrogate", extra="fit"
        ) from error
    members = []
    for member in range(seeds):
        settings = {
            "objective": "huber",
            "alpha": _HUBER,
            "learning_rate": rate,
            "num_leaves": leaves,
            "min_data_in_leaf": 5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "feature_fraction": 0.3,
            "lambda_l2": 1.0,
            "seed": seed * 1000 + member,
            # One thread and rows first, so that equal seeds give equal trees.
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(np.asarray(x, dtype=np.float64), y, free_raw_data=True)
        members.append(lightgbm.train(settings, data, num_boost_round=trees))
    return Boosting(tuple(members))
