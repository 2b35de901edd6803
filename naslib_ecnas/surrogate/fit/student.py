"""Distilling: a small perceptron that says what a large ensemble says, in numpy alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.surrogate.perceptron import Perceptron

__all__ = ["distil", "torch_module"]


def torch_module() -> Any:
    """The package torch.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("torch", feature="fitting a surrogate", extra="fit") from error
    return torch


def distil(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    hidden: tuple[int, ...] = (192, 96),
    epochs: int = 30,
    batch: int = 1024,
    rate: float = 3e-3,
    decay: float = 1e-5,
    weight: NDArray[Any] | None = None,
    seed: int = 0,
) -> Perceptron:
    """Fit a perceptron to an ensemble's output on many cells.

    Args:
        x: (n, k) inputs.
        y: (n, m) outputs to be learned, NaN where one is missing; fitted standardised.
        hidden: widths of the hidden layers.
        epochs, batch, rate, decay: of AdamW, the rate falling to 0 along a cosine.
        weight: (n,) weights of the cells.
        seed: of the start and the order.
    """
    torch = torch_module()
    generator = torch.Generator().manual_seed(seed)
    x = np.asarray(x, dtype=np.float32)
    y = np.asarray(y, dtype=np.float32).reshape(len(x), -1)
    shift, spread = x.mean(axis=0), x.std(axis=0)
    scale = (1 / np.where(spread > 1e-6, spread, 1)).astype(np.float32)
    middle, width = np.nanmean(y, axis=0), np.maximum(np.nanstd(y, axis=0), 1e-9)
    known = ~np.isnan(y)
    perceptron = Perceptron(shift, scale, ())
    inputs = torch.from_numpy(np.clip((x - shift) * scale, -perceptron.clip, perceptron.clip))
    targets = torch.from_numpy(np.where(known, (y - middle) / width, 0).astype(np.float32))
    mask = torch.from_numpy((known / np.maximum(known.mean(axis=0), 1e-9)).astype(np.float32))
    weights = None if weight is None else torch.from_numpy(np.asarray(weight, dtype=np.float32))
    sizes = (x.shape[1], *hidden, y.shape[1])
    parameters = []
    for fan_in, fan_out in pairwise(sizes):
        start = torch.randn(fan_in, fan_out, generator=generator) * (2 / fan_in) ** 0.5
        parameters += [start.requires_grad_(), torch.zeros(fan_out).requires_grad_()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    steps = epochs * -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.1
    )
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for at in range(0, len(x), batch):
            some = order[at : at + batch]
            h = inputs[some]
            for i in range(0, len(parameters), 2):
                h = torch.addmm(parameters[i + 1], h, parameters[i])
                if i < len(parameters) - 2:
                    h = h.relu()
            each = ((h - targets[some]) ** 2 * mask[some]).mean(dim=1)
            loss = each.mean() if weights is None else (each * weights[some]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    arrays = [p.detach().numpy().copy() for p in parameters]
    arrays[-2] = (arrays[-2] * width).astype(np.float32)
    arrays[-1] = (arrays[-1] * width + middle).astype(np.float32)
    layers = tuple(zip(arrays[::2], arrays[1::2], strict=True))
    return Perceptron(shift, scale, layers)
