"""Real images: scikit-learn's digits, trained by our code and by a plain loop of torch."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy, pad

from naslib_ecnas import Cell
from naslib_ecnas.training import RECIPES, Cifar10, Recipe, build, train
from naslib_ecnas.training.data import DEVIATION, MEAN, Split

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


def _plain(data: Cifar10, recipe: Recipe, seed: int) -> float:
    """Accuracy of a loop in which nothing but the network is ours."""
    random = torch.Generator().manual_seed(seed)
    network = build(CELL, recipe, seed=100 + seed)
    parameters = list(network.parameters())
    squares = [torch.ones_like(p) for p in parameters]
    moments = [torch.zeros_like(p) for p in parameters]
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
    steps = EPOCHS * TRAIN // recipe.batch_size
    network.train()
    for step in range(steps):
        if step % (TRAIN // recipe.batch_size) == 0:
            order = torch.randperm(TRAIN, generator=random)
        chosen, order = order[: recipe.batch_size], order[recipe.batch_size :]
        batch = []
        for image in data.train.images[chosen]:
            down, right, mirrored = torch.randint(0, 9, (3,), generator=random).tolist()
            cut = pad(image, (4, 4, 4, 4))[:, down : down + 32, right : right + 32]
            batch.append(cut.flip(2) if mirrored % 2 else cut)
        images = (torch.stack(batch).float() - mean) / deviation
        loss = cross_entropy(network(images), data.train.labels[chosen])
        loss = loss + recipe.l2 * sum((p**2).sum() / 2 for p in parameters)
        rate = 0.5 * recipe.base_rate * (1 + math.cos(math.pi * step / steps)) if step else 0.0
        with torch.no_grad():
            for p, grad, s, m in zip(
                parameters, torch.autograd.grad(loss, parameters), squares, moments, strict=True
            ):
                s.mul_(recipe.decay).add_((1 - recipe.decay) * grad**2)
                m.mul_(recipe.momentum).add_(rate * grad / torch.sqrt(s + recipe.epsilon))
                p.sub_(m)
    network.eval()
    with torch.no_grad():
        logits = network((data.test.images.float() - mean) / deviation)
    return float((logits.argmax(1) == data.test.labels).float().mean())


@pytest.mark.slow
def test_digits_are_learnt_as_by_a_plain_loop() -> None:
    data, plain, ours = _digits(), [], []
    for seed in range(3):
        options = {"epochs": EPOCHS, "recipe": RECIPE, "data": data, "seed": seed}
        ours.append(train(CELL, evaluate_images=TESTED, **options).accuracy("test"))
        plain.append(_plain(data, RECIPE, seed))
    spread = np.hypot(np.std(ours, ddof=1), np.std(plain, ddof=1)) / math.sqrt(3)
    print(f"digits: ours {ours}, plain {plain}")
    assert min(*ours, *plain) > 0.6  # chance is 0.1
    assert abs(np.mean(ours) - np.mean(plain)) < 3 * max(spread, 0.02)
