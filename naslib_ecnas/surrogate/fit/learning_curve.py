"""Quality against training-set size, as in the paper's figure 2.

Cells are drawn from the train part of the paper's split and every fit is judged on its whole
valid part. A fit sees the drawn cells alone: the one-epoch times that it uses are theirs too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.progress import listener
from naslib_ecnas.scores import scores
from naslib_ecnas.surrogate.fit.boosting import fit_boosting
from naslib_ecnas.surrogate.fit.energy_teacher import (
    JOULES_PER_KWH,
    EnergyData,
    inputs,
    read_energy,
)
from naslib_ecnas.surrogate.fit.gaussian_process import fit_gaussian_process

__all__ = ["MODELS", "SIZES", "learning_curve"]

SIZES = (100, 200, 400, 800, 1600, 3017)

Vector = NDArray[np.float64]
Fit = Callable[[Vector, Vector, Vector, Vector, int], Vector]


def _process(z: Vector, y: Vector, covariate: Vector, unseen: Vector, seed: int) -> Vector:
    fitted = fit_gaussian_process(z, y, covariate, subset=450, steps=110, seed=seed)
    return fitted.predict(unseen)


def _boosting(z: Vector, y: Vector, covariate: Vector, unseen: Vector, seed: int) -> Vector:
    return fit_boosting(z, y, seeds=1, trees=600, rate=0.05, seed=seed).predict(unseen)


def _ours(z: Vector, y: Vector, covariate: Vector, unseen: Vector, seed: int) -> Vector:
    return np.asarray(
        0.75 * _process(z, y, covariate, unseen, seed)
        + 0.25 * _boosting(z, y, covariate, unseen, seed)
    )


#: Each from inputs, logarithms of power, logarithms of time and unseen inputs to predictions.
MODELS: dict[str, Fit] = {"ours": _ours, "boosting": _boosting, "process": _process}


def learning_curve(
    folder: str | PathLike[str],
    *,
    sizes: Sequence[int] = SIZES,
    draws: int = 10,
    model: str = "ours",
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Errors on the valid part of the paper's split, fitted on few cells and on many.

    For speed "ours" is not the whole ensemble but its two kinds of members, once each: one
    Gaussian process whose length scales are fitted on at most 450 cells, and the trees of one
    seed; nothing is distilled. So its last point is a little worse than the model that ships. The
    default takes some four minutes on one core; the listener to long work hears how far it is.

    Args:
        folder: the reference data.
        sizes: cells to fit on; draws of one number are nested, the smaller in the larger.
        draws: of the cells, for each size.
        model: one of `MODELS`.
        seed: of the draws and the fits.

    Returns:
        A dict for each draw and size: `size`, `draw`, `mae_wh`, `mape` in per cent, `tau`.

    Raises:
        ConfigError: an unknown model, no draw, or a size that the train part cannot give.
    """
    if model not in MODELS:
        raise ConfigError(
            "no such model", value=model, expected=", ".join(MODELS), remedy="choose one of them"
        )
    data = read_energy(folder)
    train = np.flatnonzero(data.measured["paper_split"] == "train")
    valid = np.flatnonzero(data.measured["paper_split"] == "valid")
    _check(sizes, draws, len(train))
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    heard = listener()
    heard.started("learning curve", "fitting", draws * len(sizes), 0, "fits")
    for draw in range(draws):
        order = rng.permutation(train)
        for size in sizes:
            found.append(
                {
                    "size": int(size),
                    "draw": draw,
                    **_judged(data, order[:size], valid, MODELS[model], seed * 1000 + draw),
                }
            )
            heard.advanced("learning curve", len(found))
    heard.finished("learning curve")
    return found


def _check(sizes: Sequence[int], draws: int, most: int) -> None:
    if draws < 1:
        raise ConfigError("no draws", value=draws, expected="1 or more", remedy="choose draws=10")
    wrong = [size for size in sizes if not _LEAST <= size <= most]
    if wrong or not sizes:
        raise ConfigError(
            "not a size of a training set",
            value=wrong[0] if wrong else list(sizes),
            expected=f"{_LEAST} to {most} cells",
            remedy="choose sizes within",
        )


#: Fewer cells hold too few one-epoch times for a linear model of them.
_LEAST = 50


def _judged(
    data: EnergyData, chosen: NDArray[Any], valid: NDArray[Any], fit: Fit, seed: int
) -> dict[str, float]:
    time = data.times.fit(data.measured.rows[chosen])
    seconds = time.predict(data.x[chosen])
    target = np.log(data.energy_kwh[chosen] * JOULES_PER_KWH / seconds)
    unseen = data.x[valid]
    power = fit(inputs(time, data.x[chosen]), target, np.log(seconds), inputs(time, unseen), seed)
    wh = 1000 * time.predict(unseen) * np.exp(power) / JOULES_PER_KWH
    quality = scores(1000 * data.energy_kwh[valid], wh)
    return {"mae_wh": quality.mae, "mape": quality.mape, "tau": quality.tau}
