"""Real images that are small enough for a CPU: scikit-learn's digits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import torch
from sklearn.datasets import load_digits

from naslib_ecnas import Cell
from naslib_ecnas.training import RECIPES, Cifar10, train
from naslib_ecnas.training.data import Split

#: A max-pooling cell: among the cheapest, and it sees strokes that are many pixels apart.
CELL, EPOCHS, TRAIN, TESTED = Cell.from_row(3), 3, 640, 160
#: Statistics of the normalisation that follow within a hundred steps, and a rate for small batches.
RECIPE = replace(RECIPES["ecnas"], batch_size=16, batch_norm_momentum=0.1, base_rate=0.03)


def _digits() -> Cifar10:
    """8 x 8 grey digits as 32 x 32 colour images."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    grey = torch.from_numpy((digits.images[order] * 255 / 16).astype(np.uint8))
    images = grey.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None].repeat(1, 3, 1, 1)
    labels = torch.from_numpy(digits.target[order].astype(np.int64))
    cuts = (0, TRAIN, TRAIN + TESTED, TRAIN + 2 * TESTED)
    parts = [Split(images[a:b], labels[a:b]) for a, b in pairwise(cuts)]
    return Cifar10(*parts, name="digits", sha256="0" * 64)


@pytest.mark.slow
def test_digits_are_learnt() -> None:
    data = _digits()
    options = {"epochs": EPOCHS, "recipe": RECIPE, "data": data, "evaluate_images": TESTED}
    found = [train(CELL, seed=seed, **options).accuracy("test") for seed in range(3)]
    print(f"digits: {found}")
    assert min(found) > 0.6  # chance is 0.1
