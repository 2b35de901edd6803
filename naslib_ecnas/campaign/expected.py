"""What units will take, by the models that come with the package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.campaign.plan import Plan, Unit

__all__ = ["expected"]


def expected(plan: Plan, units: Sequence[Unit]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) kWh and (n,) seconds of units on the models' own GPU, PUE as in their table.

    Budgets between those of the models are interpolated, others scaled from the nearest.
    """
    from naslib_ecnas.loading import load

    # The smaller tables hold the same models' values and are made sooner.
    name = next(n for v, n in ((4, "4v"), (5, "5v"), (7, "7v")) if plan.vertices <= v)
    bench = load(name)
    rows = np.array([unit.row for unit in units], dtype=np.int64)
    epochs = np.array([unit.epochs for unit in units], dtype=np.float64)
    budgets = np.array(bench.budgets, dtype=np.float64)
    near = np.clip(epochs, budgets[0], budgets[-1])
    out = []
    for metric in ("energy_kwh", "training_time_s"):
        values = np.stack([bench.values(metric, b)[rows] for b in bench.budgets], axis=1)
        at = np.array([np.interp(e, budgets, v) for e, v in zip(near, values, strict=True)])
        out.append(at * epochs / near)
    return out[0], out[1]
