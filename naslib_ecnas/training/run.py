"""One training of one cell by NAS-Bench-101's protocol, its parts in windows of a meter."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.meter import Meter
from naslib_ecnas.errors import ConfigError, as_int, check_counts, check_numbers
from naslib_ecnas.files import atomic_write
from naslib_ecnas.progress import listener
from naslib_ecnas.training.data import Cifar10, evaluation_batches, standardise, training_batches
from naslib_ecnas.training.device import (
    GraphedPass,
    arithmetic,
    arithmetic_departures,
    arithmetic_of_training,
    check_device,
    device_name,
    synchronise,
    versions,
)
from naslib_ecnas.training.model import RMSProp, build
from naslib_ecnas.training.recipe import BUDGETS, Recipe
from naslib_ecnas.training.record import (
    CIFAR10,
    SPLITS,
    WHEN,
    DataLabel,
    Evaluation,
    Segment,
    TrainingRecord,
    WindowId,
)

# -- one training ---------------------------------------------------------------------------


@dataclass
class Windows:
    """The windows of one training, timed here and measured by a meter if there is one."""

    device: torch.device
    meter: Meter | None = None
    made: dict[str, WindowId] = field(default_factory=dict)
    """By name, in the order of opening."""

    @contextmanager
    def open(self, name: str) -> Iterator[None]:
        """A window; the device is idle at both edges."""
        self.made[name] = WindowId(name=name, index=None, seconds=math.nan)
        synchronise(self.device)
        with nullcontext() if self.meter is None else self.meter.window(name) as span:
            start = time.monotonic()
            yield
            synchronise(self.device)
            seconds = time.monotonic() - start
        index = None if span is None else span.index
        self.made[name] = WindowId(name=name, index=index, seconds=seconds)


class Trainer:
    """The state of one training, on the device of its windows; see `train` for the arguments.

    Attributes:
        losses: cross-entropy of every step so far.
    """

    def __init__(
        self,
        cell: Cell,
        recipe: Recipe,
        data: Cifar10,
        windows: Windows,
        budget: int,
        seed: int,
        evaluate_images: int | None = None,
    ) -> None:
        self._recipe, self._windows, self._budget = recipe, windows, budget
        self._device = device = windows.device
        self.losses: list[float] = []
        weights, order = np.random.SeedSequence(seed).spawn(2)
        self.network = build(cell, recipe, seed=int(weights.generate_state(1)[0]))
        self._layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        # torch's own types leave out the layout.
        self.network.to(device, memory_format=self._layout)  # type: ignore[call-overload]
        self._forward: Callable[[Tensor], Tensor] = self.network
        if recipe.compile:
            self._forward = torch.compile(self.network)
        settings = {name: getattr(recipe, name) for name in ("decay", "momentum", "epsilon", "l2")}
        self._optimiser = RMSProp(self.network.parameters(), lr=recipe.rate(0, budget), **settings)
        host, size = recipe.images == "host", recipe.batch_size
        data = data.to(device, host=host)
        rng = np.random.default_rng(order)
        self._batches = training_batches(data.train, batch_size=size, rng=rng, host=host)
        self._pass: Callable[[Tensor, Tensor], Tensor] = self._eager
        if recipe.cuda_graphs:
            self.network.train()
            images = torch.zeros(size, *data.train.images.shape[1:], device=device)
            labels = torch.zeros(size, dtype=torch.int64, device=device)
            with torch.cuda.device(device):
                self._pass = GraphedPass(self._eager, self.network, images, labels)
        self._evaluated = _evaluated(data, size, evaluate_images)

    def segment(
        self, name: str, first: int, stop: int, on_step: Callable[[int], object]
    ) -> Segment:
        """Train the steps from `first` to before `stop`; `on_step` gets the steps made so far."""
        self.network.train()
        with self._windows.open(name):
            losses = torch.empty(stop - first, device=self._device)
            for step in range(first, stop):
                images, labels = next(self._batches)
                for group in self._optimiser.param_groups:
                    group["lr"] = self._recipe.rate(step, self._budget)
                loss = self._pass(images, labels)
                self._optimiser.step()
                # Kept on the device: reading a loss would make every step wait for it.
                losses[step - first] = loss
                on_step(step + 1)
        values = losses.tolist()
        self.losses.extend(values)
        finite = all(map(math.isfinite, values))
        return Segment(
            window=self._windows.made[name],
            first_step=first,
            steps=stop - first,
            mean_loss=math.fsum(values) / len(values) if finite else math.nan,
            last_loss=values[-1] if math.isfinite(values[-1]) else math.nan,
        )

    def _eager(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, whose gradients the network then has."""
        loss = cross_entropy(self._logits(images), labels)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    @torch.inference_mode()
    def evaluate(self, when: str, split: str, steps: int) -> Evaluation:
        """Accuracy on a split after `steps` steps."""
        name, batches = f"evaluate-{when}-{split}", self._evaluated[split]
        count = sum(len(labels) for _, labels in batches)
        self.network.eval()
        with self._windows.open(name):
            right = torch.zeros((), dtype=torch.int64, device=self._device)
            finite = torch.ones((), dtype=torch.bool, device=self._device)
            for images, labels in batches:
                images = images.to(self._device, non_blocking=True)
                logits = self._logits(standardise(images))
                right += (logits.argmax(dim=1) == labels).sum()
                finite &= logits.isfinite().all()
            accuracy = int(right) / count if bool(finite) else math.nan
        found: dict[str, Any] = {"steps": steps, "images": count, "accuracy": accuracy}
        return Evaluation(when=when, split=split, window=self._windows.made[name], **found)

    def _logits(self, images: Tensor) -> Tensor:
        """(n, 10) float32 logits of standardised images."""
        images = images.contiguous(memory_format=self._layout)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._recipe.bf16):
            logits = self._forward(images)
        return logits.float()

    def save(self, path: Path) -> None:
        """Write weights and running statistics as numpy's `.npz`, completely or not at all."""
        with self._windows.open("checkpoint"), atomic_write(path) as file:
            state = self.network.state_dict()
            np.savez(file, **{name: value.cpu().numpy() for name, value in state.items()})


def _evaluated(
    data: Cifar10, size: int, images: int | None
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """The batches of each evaluation by split."""
    splits = (data.train_first, data.validation, data.test)
    batches = (evaluation_batches(split, batch_size=size, images=images) for split in splits)
    return dict(zip(SPLITS, batches, strict=True))


def train(
    cell: Cell,
    *,
    epochs: int,
    recipe: Recipe,
    data: Cifar10,
    seed: int,
    meter: Meter | None = None,
    device: torch.device | str = "cpu",
    steps: int | None = None,
    evaluate_images: int | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> TrainingRecord:
    """Train a cell's network and evaluate it at the start, in the middle and at the end.

    As in `evaluate.py` of google-research/nasbench, the evaluation at the start comes after one
    step at rate 0, which gives batch normalisation its first running statistics; the recipe says
    when the middle is. Windows of the meter: `total` around everything; in it `init` (start-up:
    network and images to the device), `train-0` (the step at rate 0), `evaluate-start-<split>`,
    `train-1`, `evaluate-middle-<split>`, `train-2`, `evaluate-end-<split>` and, with `checkpoint`,
    `checkpoint`; a segment without steps has no window. Within a segment nothing waits for the
    device, but each step is reported to `progress.listening`. The same arguments give the same
    accuracies and losses on one CPU; on a GPU some kernels add in varying order.

    Args:
        cell: the cell.
        epochs: budget, 4, 12, 36 or 108; the schedule reaches rate 0 at its end.
        recipe: one of `RECIPES`, or a changed one.
        data: the splits.
        seed: decides initial weights, order and augmentation.
        meter: meter of energy; None measures times only.
        device: where to train.
        steps: stop after this many steps, with the middle at the same share of them; the learning
            rate follows the budget's schedule all the same. All steps of the budget by default.
        evaluate_images: largest number of images of an evaluation.
        checkpoint: file for the weights, numpy's `.npz`.

    Raises:
        ConfigError: an argument is not possible.
        StorageError: the checkpoint cannot be written.
    """
    budget = recipe.steps(epochs, len(data.train))
    made = budget if steps is None else as_int(steps)
    # Impossible arguments are refused before anything is measured.
    if made is None or not 1 <= made <= budget:
        raise ConfigError(f"steps must be a whole number from 1 to {budget}", value=steps)
    check_counts("a training", least=0, seed=seed)
    _evaluated(data, recipe.batch_size, evaluate_images)
    check_device(device, cuda_graphs=recipe.cuda_graphs)
    windows = Windows(torch.device(device), meter)
    report = partial(listener(), f"training row {cell.row}", total=made, unit="steps")
    segments, evaluations = [], []
    with arithmetic_of_training(tf32=recipe.tf32), windows.open("total"):
        first_read = arithmetic()
        with windows.open("init"):
            trainer = Trainer(cell, recipe, data, windows, budget, seed, evaluate_images)
        ends = (0, 1, recipe.middle_step(epochs, made), made)
        for number, (when, first, stop) in enumerate(zip(WHEN, ends, ends[1:], strict=False)):
            if first < stop:
                segments.append(trainer.segment(f"train-{number}", first, stop, report))
            evaluations += [trainer.evaluate(when, split, stop) for split in SPLITS]
        if checkpoint is not None:
            trainer.save(Path(checkpoint))
        last_read = arithmetic()
    sizes = {split: len(getattr(data, split)) for split in SPLITS}
    where = trainer.network.dense.weight.device
    bad = [step for step, loss in enumerate(trainer.losses) if not math.isfinite(loss)]
    departures = {
        f"a budget of {epochs} epochs": epochs not in BUDGETS,
        f"stopped after {made} of {budget} steps": made < budget,
        f"evaluations on at most {evaluate_images} images": evaluate_images is not None,
        f"{data.name} data": data.name != CIFAR10,
    }
    return TrainingRecord(
        cell=str(cell),
        nasbench_hash=cell.nasbench_hash,
        parameters=sum(p.numel() for p in trainer.network.parameters()),
        epochs=epochs,
        budget_steps=budget,
        steps=made,
        seed=seed,
        recipe=recipe,
        departures=(
            *recipe.departures(),
            *(text for text, is_one in departures.items() if is_one),
            *arithmetic_departures(first_read, last_read, tf32=recipe.tf32),
        ),
        data=DataLabel(name=data.name, sha256=data.sha256, **sizes),
        device=str(where),
        device_name=device_name(where),
        arithmetic=last_read,
        windows=tuple(windows.made.values()),
        segments=tuple(segments),
        evaluations=tuple(evaluations),
        first_bad_step=bad[0] if bad else None,
        bad_steps=len(bad),
        versions=versions(where),
    )


# -- warm-up --------------------------------------------------------------------------------

#: Steps are submitted in groups of about this duration: each group's end waits for the device.
_GROUP_S = 0.5


def warm_up(
    cell: Cell,
    *,
    epochs: int,
    recipe: Recipe,
    data: Cifar10,
    seconds: float,
    device: torch.device | str = "cpu",
    groups: int = 1,
    meter: Meter | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Segment]:
    """Train a cell's network for some time and discard it, so that the next training runs warm.

    The first training of a process also creates the CUDA context, loads cuDNN and the kernels of
    the cell for training and evaluation, and heats the device; here this happens outside of any
    measurement. No random state that a training draws from changes: the next training gives the
    same accuracies and losses as without a warm-up.

    Args:
        cell, epochs, recipe, data, device: those of the training that follows.
        seconds: how long to train; a group of steps that has begun is finished.
        groups: fewest groups of steps.
        meter: measures each group of steps, in windows called `warm-up`.
        clock: seconds that only grow, which `seconds` is measured on.

    Returns:
        The groups of steps, one or more; each takes about twice the time of the one before.

    Raises:
        ConfigError: an argument is not possible.
    """
    check_numbers(least=0, seconds=seconds)
    budget = recipe.steps(epochs, len(data.train))
    check_device(device, cuda_graphs=recipe.cuda_graphs)
    report = partial(listener(), "warm-up", unit="steps")
    until = clock() + seconds
    made: list[Segment] = []
    steps, group = 0, 1
    with arithmetic_of_training(tf32=recipe.tf32):
        windows = Windows(torch.device(device), meter)
        trainer = Trainer(cell, recipe, data, windows, budget, 0, recipe.batch_size)
        while len(made) < groups or clock() < until:
            first, began = steps % budget, clock()
            stop = min(first + group, budget)
            made.append(trainer.segment("warm-up", first, stop, report))
            if steps == 0:
                trainer.evaluate("start", "validation", stop)
            steps += stop - first
            if clock() - began < _GROUP_S:
                group *= 2
    # The first step of a process leaves a reference cycle in torch that holds the network's memory.
    del trainer
    gc.collect()
    return made
