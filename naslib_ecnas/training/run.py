"""One training of one cell by NAS-Bench-101's protocol, window by window."""

from __future__ import annotations

import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path

import torch

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.training.batches import evaluation_batches
from naslib_ecnas.training.data import Cifar10
from naslib_ecnas.training.environment import convolutions, device_name, resolved, versions
from naslib_ecnas.training.recipe import BUDGETS, Recipe
from naslib_ecnas.training.record import SPLITS, DataLabel, TrainingRecord
from naslib_ecnas.training.trainer import MeterLike, Trainer

__all__ = ["train"]


def train(
    cell: Cell,
    *,
    epochs: int,
    recipe: Recipe,
    data: Cifar10,
    seed: int,
    meter: MeterLike | None = None,
    device: torch.device | str = "cpu",
    steps: int | None = None,
    evaluate_images: int | None = None,
    checkpoint: str | PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingRecord:
    """Train a cell's network and evaluate it at the start, halfway and at the end.

    As in `evaluate.py` of google-research/nasbench, the start is after one step at rate 0, so that
    the running statistics are those of images. Windows of the meter: `total` around all; in it
    `init`, `train-0` (the step at rate 0), `evaluate-start-<split>`, `train-1`,
    `evaluate-half-<split>`, `train-2`, `evaluate-end-<split>` and, where asked for, `checkpoint`;
    a segment without steps has no window. Within a segment nothing waits for the device. The same
    arguments give the same accuracies and losses on one CPU; on a GPU some kernels add in varying
    order.

    Args:
        cell: the cell.
        epochs: budget, 4, 12, 36 or 108; the schedule reaches rate 0 at its end.
        recipe: of the training, one of `RECIPES` or a changed one.
        data: the splits.
        seed: of weights, order and augmentation.
        meter: of energy; None measures times only.
        device: where to train.
        steps: stop after so many; the schedule stays that of the budget. Halfway is half of them.
        evaluate_images: look at no more than so many images of a split.
        checkpoint: file that the weights are written to as numpy's `.npz`.
        progress: called with the steps that were submitted and the steps to make, after each.

    Raises:
        ConfigError: an argument is not possible.
        StorageError: the checkpoint cannot be written.
    """
    budget = recipe.steps(epochs, len(data.train))
    made = budget if steps is None else steps
    _check(recipe, data, seed, made, budget, evaluate_images)
    where = resolved(device)
    trainer = Trainer(
        cell,
        recipe,
        device=where,
        meter=meter,
        budget=budget,
        evaluate_images=evaluate_images,
    )
    on_step = None if progress is None else lambda done: progress(done, made)
    half = max(1, made // 2)
    parts = (("start", 0, 1), ("half", 1, half), ("end", half, made))
    segments, evaluations = [], []
    with convolutions(tf32=recipe.tf32), trainer.window("total"):
        with trainer.window("init"):
            trainer.start(data, seed)
        for number, (when, first, stop) in enumerate(parts):
            if first < stop:
                segments.append(trainer.segment(f"train-{number}", first, stop, on_step))
            evaluations += [trainer.evaluate(when, split, stop) for split in SPLITS]
        if checkpoint is not None:
            trainer.save(Path(checkpoint))
    bad = [step for step, loss in enumerate(trainer.losses) if not math.isfinite(loss)]
    return TrainingRecord(
        cell=str(cell),
        nasbench_hash=cell.nasbench_hash,
        parameters=sum(p.numel() for p in trainer.network.parameters()),
        epochs=epochs,
        budget_steps=budget,
        steps=made,
        seed=seed,
        recipe=recipe,
        departures=_departures(recipe, data, epochs, made, budget, evaluate_images),
        data=DataLabel(
            name=data.name,
            sha256=data.sha256,
            train=len(data.train),
            validation=len(data.validation),
            test=len(data.test),
        ),
        device=str(where),
        device_name=device_name(where),
        windows=trainer.windows,
        segments=tuple(segments),
        evaluations=tuple(evaluations),
        first_bad_step=bad[0] if bad else None,
        bad_steps=len(bad),
        versions=versions(where),
    )


def _check(
    recipe: Recipe,
    data: Cifar10,
    seed: int,
    steps: int,
    budget: int,
    evaluate_images: int | None,
) -> None:
    """Refuse before anything is measured."""
    if type(steps) is not int or not 1 <= steps <= budget:
        raise ConfigError("no such number of steps", value=steps, expected=f"1 to {budget}")
    if type(seed) is not int or seed < 0:
        raise ConfigError("no seed", value=seed, expected="a whole number from 0")
    for split in (data.train_first, data.validation, data.test):
        evaluation_batches(split, batch_size=recipe.batch_size, images=evaluate_images)


def _departures(
    recipe: Recipe,
    data: Cifar10,
    epochs: int,
    steps: int,
    budget: int,
    evaluate_images: int | None,
) -> tuple[str, ...]:
    found = list(recipe.departures())
    if epochs not in BUDGETS:
        found.append(f"a budget of {epochs} epochs")
    if steps < budget:
        found.append(f"stopped after {steps} of {budget} steps")
    if evaluate_images is not None:
        found.append(f"evaluations on at most {evaluate_images} images")
    if data.name != "CIFAR-10":
        found.append(f"{data.name} data")
    return tuple(found)
