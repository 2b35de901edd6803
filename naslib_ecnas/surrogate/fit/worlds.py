"""Likeness of cells for worlds: the leading directions of what the accuracies' perceptron knows.

No measurements are fitted. That like cells err alike was measured on the cells of NAS-Bench-101
whose accuracies are published: see `SMOOTH`.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike

import numpy as np

from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.common import weights_of
from naslib_ecnas.surrogate.models import AccuracyModel, Weights
from naslib_ecnas.surrogate.worlds import Likeness

#: Cells that are drawn from the whole space, and leading directions there, which hold 95 % of the
#: last hidden layer's variance.
_CELLS, _DIRECTIONS = 50_000, 32

#: Share of a field's variance that like cells have in common.
SMOOTH = 0.7

#: Share of the doubt of accuracies that all budgets have in common.
SHARED = 0.4


def fit_worlds(folder: str | PathLike[str] | None = None, *, seed: int = 0) -> Weights:
    """The likeness of cells, from the shipped perceptron of accuracies.

    Args:
        folder: not used; every fit takes one.
        seed: of the draw of cells.
    """
    ranks = AccuracyModel.shipped().ranks
    rows = np.random.default_rng(seed).choice(len(Space()), _CELLS, replace=False)
    hidden = np.maximum(replace(ranks, layers=ranks.layers[:-1])(features(rows)), 0)
    middle = hidden.mean(axis=0)
    _, values, directions = np.linalg.svd(hidden - middle, full_matrices=False)
    whiten = directions[:_DIRECTIONS].T * (np.sqrt(_CELLS) / values[:_DIRECTIONS])
    origin = (-middle @ whiten).astype(np.float32)
    model = Likeness(whiten.astype(np.float32), origin, SMOOTH, SHARED)
    split = "no measurements are fitted"
    return weights_of("likeness of cells", seed, (), split, (), model.to_arrays())
