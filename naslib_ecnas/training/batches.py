"""Batches for training and evaluation, augmented and standardised as NAS-Bench-101 does.

`cifar.py` of google-research/nasbench: four black pixels are added on every side, a square of the
old size is cut out at random and mirrored at random; then the published means are subtracted and
the result is divided by the published deviations, so that the border is not 0 in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.training.data import SIDE, Split

__all__ = ["DEVIATION", "MEAN", "PAD", "augment", "evaluation_batches", "standardise", "stream"]

#: Of red, green and blue over the training images, in 0 to 255 (`cifar.py`).
MEAN = (125.31, 122.95, 113.87)
DEVIATION = (62.99, 62.09, 66.70)
#: Pixels added on each side.
PAD = 4


def standardise(images: Tensor) -> Tensor:
    """(n, 3, h, w) uint8 to float32 of about mean 0 and deviation 1."""
    mean, deviation = _constants(images.device)
    return (images.to(torch.float32) - mean) / deviation


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation, copied to a device once, not at every step."""
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1).to(device) for v in (MEAN, DEVIATION))
    return mean, deviation


def augment(images: Tensor, down: Tensor, right: Tensor, mirror: Tensor) -> Tensor:
    """Pad, cut and mirror a whole batch in one gathering.

    Args:
        images: (n, 3, 32, 32) uint8.
        down, right: (n,) where each square begins in the padded image, 0 to 8; 4 is the middle.
        mirror: (n,) 1 where the square is mirrored, 0 where not.

    Returns:
        (n, 3, 32, 32) uint8.
    """
    padded = torch.nn.functional.pad(images, (PAD, PAD, PAD, PAD))
    device = images.device
    line = torch.arange(SIDE, device=device)
    rows = down[:, None] + line
    columns = right[:, None] + torch.where(mirror[:, None] > 0, SIDE - 1 - line, line)
    places = torch.arange(len(images), device=device)
    colours = torch.arange(images.shape[1], device=device)
    return padded[
        places[:, None, None, None],
        colours[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def stream(
    split: Split, *, batch_size: int, rng: np.random.Generator, host: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless training batches: epochs in new random orders, one behind the other.

    A batch may reach across the end of an epoch, as in NAS-Bench-101, where the shuffled epochs
    are joined before they are cut. All draws of an epoch reach the device at once.

    Args:
        split: the images, on the device of the training; or `Split.beside` it.
        batch_size: images of a batch.
        rng: decides order, squares and mirroring.
        host: gather on the host, one batch ahead of the training; the same batches come out.

    Yields:
        (batch, 3, 32, 32) float32 standardised images and (batch,) labels.
    """
    drawn = _drawn(split, batch_size, rng, host)
    for images, labels, down, right, mirror in _one_ahead(drawn) if host else drawn:
        yield standardise(augment(images, down, right, mirror)), labels


def _drawn(
    split: Split, batch_size: int, rng: np.random.Generator, host: bool
) -> Iterator[tuple[Tensor, ...]]:
    """Images, labels and what `augment` wants, batch by batch, on the device."""
    device = split.labels.device
    n = len(split)
    order = torch.empty(0, dtype=torch.int64)
    plan = torch.empty((4, 0), dtype=torch.int64, device=device)
    while True:
        while plan.shape[1] < batch_size:
            draws = (
                rng.permutation(n),
                rng.integers(0, 2 * PAD + 1, n),
                rng.integers(0, 2 * PAD + 1, n),
                rng.integers(0, 2, n),
            )
            fresh = torch.from_numpy(np.stack(draws).astype(np.int64))
            plan = torch.cat([plan, fresh.to(device)], dim=1)
            order = torch.cat([order, fresh[0]])
        chosen, down, right, mirror = plan[:, :batch_size]
        images = _sent(split.images, order[:batch_size], device) if host else split.images[chosen]
        yield images, split.labels[chosen], down, right, mirror
        order, plan = order[batch_size:], plan[:, batch_size:]


def _sent(images: Tensor, chosen: Tensor, device: torch.device) -> Tensor:
    """Some images of the host's, on the device; nothing waits for a GPU.

    torch hands pinned memory out again only after the copy from it is done.
    """
    shape = (len(chosen), *images.shape[1:])
    batch = torch.empty(shape, dtype=images.dtype, pin_memory=device.type == "cuda")
    torch.index_select(images, 0, chosen, out=batch)
    return batch.to(device, non_blocking=True)


def _one_ahead(batches: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """The same of an endless one; each is made before the one in front of it is used."""
    ahead = next(batches)
    for following in batches:
        yield ahead
        ahead = following


def evaluation_batches(
    split: Split, *, batch_size: int, images: int | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Whole batches in the files' order, as views: 39 x 256 = 9,984 of 10,000 images.

    Args:
        split: the images.
        batch_size: images of a batch.
        images: look at no more than so many; by default at all.

    Returns:
        Pairs of (batch, 3, 32, 32) uint8 images and (batch,) labels.

    Raises:
        ConfigError: not even one batch can be filled.
    """
    n = len(split) if images is None else min(images, len(split))
    count = n // batch_size
    if count < 1:
        raise ConfigError(
            "no batch can be filled for an evaluation",
            value=n,
            expected=f"at least {batch_size} images",
            remedy="make batch_size smaller, or evaluate_images larger",
        )
    places = [slice(i * batch_size, (i + 1) * batch_size) for i in range(count)]
    return [(split.images[place], split.labels[place]) for place in places]
