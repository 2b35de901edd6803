"""A training that is thrown away, so that the one after it does not pay for a cold device."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import torch

from naslib_ecnas.cell import Cell
from naslib_ecnas.checked import check_numbers
from naslib_ecnas.training.data import Cifar10
from naslib_ecnas.training.environment import convolutions, resolved
from naslib_ecnas.training.recipe import Recipe
from naslib_ecnas.training.trainer import Trainer

__all__ = ["warm_up"]

#: Of the network that is thrown away. No random state that a training draws from is touched.
_SEED = 0
#: Steps are submitted in rows that last about so long, since each row's end waits for the device.
_ROW_S = 0.5


def warm_up(
    cell: Cell,
    *,
    epochs: int,
    recipe: Recipe,
    data: Cifar10,
    seconds: float,
    device: torch.device | str = "cpu",
    check: Callable[[], object] = lambda: None,
) -> int:
    """Train a cell's network for some time and forget it.

    What the first training of a process pays for and others do not is paid here: the CUDA
    context, the loading of cuDNN and of the kernels of this cell in training and in evaluation,
    and the warming of the device up to the time given. A training that follows gives the same
    accuracies and losses as without.

    Args:
        cell, epochs, recipe, data, device: of the training that follows.
        seconds: how long to train; a row of steps that has begun is ended.
        check: called after each step; what it raises ends the warm-up.

    Returns:
        Steps that were made, at least one.

    Raises:
        ConfigError: an argument is not possible.
    """
    check_numbers(least=0, seconds=seconds)
    budget = recipe.steps(epochs, len(data.train))
    trainer = Trainer(
        cell,
        recipe,
        device=resolved(device),
        meter=None,
        budget=budget,
        evaluate_images=recipe.batch_size,
    )

    def on_step(done: int) -> None:
        check()

    until = time.monotonic() + seconds
    steps, row = 0, 1
    with convolutions(tf32=recipe.tf32):
        trainer.start(data, _SEED)
        while steps == 0 or time.monotonic() < until:
            first, began = steps % budget, time.monotonic()
            stop = min(first + row, budget)
            trainer.segment("warm-up", first, stop, on_step)
            if steps == 0:
                trainer.evaluate("start", "validation", stop)
            steps += stop - first
            if time.monotonic() - began < _ROW_S:
                row *= 2
    # The first step of a process leaves a cycle of torch's that would hold the network's memory.
    del trainer
    gc.collect()
    return steps
