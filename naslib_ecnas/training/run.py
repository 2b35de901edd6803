"""One training of one cell by NAS-Bench-101's protocol, its parts in windows of a meter."""

from __future__ import annotations

import gc
import math
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from naslib_ecnas._version import __version__
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers
from naslib_ecnas.files import atomic_write
from naslib_ecnas.training.data import (
    Cifar10,
    evaluation_batches,
    standardise,
    training_batches,
)
from naslib_ecnas.training.model import Network, build
from naslib_ecnas.training.recipe import BUDGETS, Recipe
from naslib_ecnas.training.record import (
    SPLITS,
    DataLabel,
    Evaluation,
    Segment,
    TrainingRecord,
    WindowId,
)
from naslib_ecnas.training.rmsprop import RMSProp

__all__ = ["MeterLike", "Trainer", "check_device", "train", "warm_up"]


# -- the device -----------------------------------------------------------------------------


def check_device(device: torch.device | str) -> None:
    """Check that torch has a device, without using it.

    The context of a GPU costs energy, which belongs to the first training.

    Raises:
        ConfigError: torch does not know the device, or does not see it.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:  # TypeError: not a text
        raise _no_device(device, error) from error
    if found.type != "cuda":
        _resolved(found)
    elif not torch.cuda.is_available():
        raise _no_device(device, "torch sees no GPU")
    elif (found.index or 0) >= torch.cuda.device_count():
        raise _no_device(device, f"torch sees {torch.cuda.device_count()} of them")


def _no_device(device: torch.device | str, why: object) -> ConfigError:
    return ConfigError(f"no such device {str(device)!r} ({str(why).splitlines()[0]})")


def _resolved(device: torch.device | str) -> torch.device:
    """The device, with its number if it is a GPU.

    Raises:
        ConfigError: torch does not know the device, or does not see it.
    """
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:  # torch without CUDA asserts
        raise _no_device(device, error) from error
    if found.type == "cuda" and found.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return found


def _synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished what was submitted; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _convolutions(*, tf32: bool) -> AbstractContextManager[None]:
    """Set torch's flags for convolutions while a training runs, and restore them after it."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True,
        benchmark=torch.backends.cudnn.benchmark,
        deterministic=torch.backends.cudnn.deterministic,
        allow_tf32=tf32,
    )
    return flags


def _device_name(device: torch.device) -> str:
    """Model of the GPU or processor."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return _processor() if device.type == "cpu" else device.type


def _processor() -> str:
    """Name of the processor from /proc/cpuinfo, else from Python's `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _versions(device: torch.device) -> dict[str, str]:
    """Versions of this package, Python, numpy, torch and, on a GPU, CUDA and cuDNN."""
    found = {
        "naslib_ecnas": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
    }
    if device.type == "cuda":
        found["cuda"] = str(torch.version.cuda)
        found["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    return found


# -- one training ---------------------------------------------------------------------------


class MeterLike(Protocol):
    """A meter whose windows nest and never raise because a sensor fails."""

    def window(self, name: str) -> AbstractContextManager[Any]:
        """Measure a block; the attribute `index` of the bound object, if any, is recorded."""
        ...


class Trainer:
    """The state of one training: network, optimiser, batches and closed windows.

    Args:
        cell: the cell.
        recipe: recipe of the training.
        device: where to train.
        meter: meter of energy, or None.
        budget: steps of the schedule.
        evaluate_images: largest number of images of an evaluation.
    """

    network: Network

    def __init__(
        self,
        cell: Cell,
        recipe: Recipe,
        *,
        device: torch.device,
        meter: MeterLike | None,
        budget: int,
        evaluate_images: int | None,
    ) -> None:
        self._cell = cell
        self._recipe = recipe
        self._device = device
        self._meter = meter
        self._budget = budget
        self._evaluate_images = evaluate_images
        self._opened: list[str] = []
        self._closed: dict[str, WindowId] = {}
        self.losses: list[float] = []
        """Cross-entropy of every step so far."""

    @property
    def windows(self) -> tuple[WindowId, ...]:
        """The closed windows, in the order of opening."""
        return tuple(self._closed[name] for name in self._opened if name in self._closed)

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """A window of the meter, also timed here; the device is idle at both edges."""
        self._opened.append(name)
        _synchronise(self._device)
        with nullcontext() if self._meter is None else self._meter.window(name) as handle:
            start = time.monotonic()
            yield
            _synchronise(self._device)
            seconds = time.monotonic() - start
        index = getattr(handle, "index", None)
        index = index if type(index) is int else None
        self._closed[name] = WindowId(name=name, index=index, seconds=seconds)

    def start(self, data: Cifar10, seed: int) -> None:
        """Build the network and copy it and the images to the device."""
        recipe = self._recipe
        weights, order = np.random.SeedSequence(seed).spawn(2)
        network = build(self._cell, recipe, seed=int(weights.generate_state(1)[0]))
        self._layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.network = network.to(self._device)
        # torch's own types leave out this keyword.
        self.network.to(memory_format=self._layout)  # type: ignore[call-overload]
        self._forward: Callable[[Tensor], Tensor] = self.network
        if recipe.compile:
            self._forward = torch.compile(self.network)
        self._optimiser = RMSProp(
            self.network.parameters(),
            lr=recipe.rate(0, self._budget),
            decay=recipe.decay,
            momentum=recipe.momentum,
            epsilon=recipe.epsilon,
            l2=recipe.l2,
        )
        host = recipe.images == "host"
        data = data.labels_to(self._device) if host else data.to(self._device)
        rng, size = np.random.default_rng(order), recipe.batch_size
        self._batches = training_batches(data.train, batch_size=size, rng=rng, host=host)
        splits = {"train": data.train_first, "validation": data.validation, "test": data.test}
        self._evaluated = {
            name: evaluation_batches(split, batch_size=size, images=self._evaluate_images)
            for name, split in splits.items()
        }

    def segment(
        self, name: str, first: int, stop: int, on_step: Callable[[int], None] | None
    ) -> Segment:
        """Train the steps from `first` to before `stop`."""
        recipe = self._recipe
        self.network.train()
        with self.window(name):
            losses = torch.empty(stop - first, device=self._device)
            for step in range(first, stop):
                images, labels = next(self._batches)
                for group in self._optimiser.param_groups:
                    group["lr"] = recipe.rate(step, self._budget)
                loss = cross_entropy(self._logits(images), labels)
                self._optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimiser.step()
                # Kept on the device: reading a loss would make every step wait for it.
                losses[step - first] = loss.detach()
                if on_step is not None:
                    on_step(step + 1)
        values = losses.tolist()
        self.losses.extend(values)
        finite = all(map(math.isfinite, values))
        return Segment(
            window=self._closed[name],
            first_step=first,
            steps=stop - first,
            mean_loss=math.fsum(values) / len(values) if finite else math.nan,
            last_loss=values[-1] if math.isfinite(values[-1]) else math.nan,
        )

    @torch.inference_mode()
    def evaluate(self, when: str, split: str, steps: int) -> Evaluation:
        """Accuracy on a split after `steps` steps."""
        name = f"evaluate-{when}-{split}"
        batches = self._evaluated[split]
        self.network.eval()
        with self.window(name):
            right = torch.zeros((), dtype=torch.int64, device=self._device)
            finite = torch.ones((), dtype=torch.bool, device=self._device)
            for images, labels in batches:
                images = images.to(self._device, non_blocking=True)
                logits = self._logits(standardise(images))
                right += (logits.argmax(dim=1) == labels).sum()
                finite &= logits.isfinite().all()
            count = sum(len(labels) for _, labels in batches)
            accuracy = int(right) / count if bool(finite) else math.nan
        return Evaluation(
            when=when,
            split=split,
            steps=steps,
            images=count,
            accuracy=accuracy,
            window=self._closed[name],
        )

    def _logits(self, images: Tensor) -> Tensor:
        """(n, 10) float32 logits of standardised images."""
        images = images.contiguous(memory_format=self._layout)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._recipe.bf16):
            logits = self._forward(images)
        return logits.float()

    def save(self, path: Path) -> None:
        """Write weights and running statistics as numpy's `.npz`, completely or not at all."""
        with self.window("checkpoint"):
            state = {name: value.cpu().numpy() for name, value in self.network.state_dict().items()}
            with atomic_write(path) as file:
                np.savez(file, **state)


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

    As in `evaluate.py` of google-research/nasbench, the evaluation at the start comes after one
    step at rate 0, which gives batch normalisation its first running statistics. Windows of the
    meter: `total` around everything; in it `init`, `train-0` (the step at rate 0),
    `evaluate-start-<split>`, `train-1`, `evaluate-half-<split>`, `train-2`,
    `evaluate-end-<split>` and, with `checkpoint`, `checkpoint`; a segment without steps has no
    window. Within a segment nothing waits for the device. The same arguments give the same
    accuracies and losses on one CPU; on a GPU some kernels add in varying order.

    Args:
        cell: the cell.
        epochs: budget, 4, 12, 36 or 108; the schedule reaches rate 0 at its end.
        recipe: one of `RECIPES`, or a changed one.
        data: the splits.
        seed: decides initial weights, order and augmentation.
        meter: meter of energy; None measures times only.
        device: where to train.
        steps: stop after this many steps, halfway at half of them; the learning rate follows the
            budget's schedule all the same. All steps of the budget by default.
        evaluate_images: largest number of images of an evaluation.
        checkpoint: file for the weights, numpy's `.npz`.
        progress: callback(steps_submitted, steps_total), called after each step.

    Raises:
        ConfigError: an argument is not possible.
        StorageError: the checkpoint cannot be written.
    """
    budget = recipe.steps(epochs, len(data.train))
    made = budget if steps is None else steps
    _check(recipe, data, seed, made, budget, evaluate_images)
    where = _resolved(device)
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
    with _convolutions(tf32=recipe.tf32), trainer.window("total"):
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
        device_name=_device_name(where),
        windows=trainer.windows,
        segments=tuple(segments),
        evaluations=tuple(evaluations),
        first_bad_step=bad[0] if bad else None,
        bad_steps=len(bad),
        versions=_versions(where),
    )


def _check(
    recipe: Recipe,
    data: Cifar10,
    seed: int,
    steps: int,
    budget: int,
    evaluate_images: int | None,
) -> None:
    """Refuse impossible arguments before anything is measured."""
    if type(steps) is not int or not 1 <= steps <= budget:
        raise ConfigError(f"steps must be a whole number from 1 to {budget}", value=steps)
    check_counts("a training", least=0, seed=seed)
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


# -- warm-up --------------------------------------------------------------------------------

#: Seed of the network that is thrown away.
_SEED = 0

#: Steps are submitted in groups of about this duration, since each group's end waits for the
#: device.
_GROUP_S = 0.5


def warm_up(
    cell: Cell,
    *,
    epochs: int,
    recipe: Recipe,
    data: Cifar10,
    seconds: float,
    device: torch.device | str = "cpu",
    check: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Train a cell's network for some time and discard it, so that the next training runs warm.

    The first training of a process also creates the CUDA context, loads cuDNN and the kernels of
    the cell for training and evaluation, and heats the device; here this happens outside of any
    measurement. No random state that a training draws from changes: the next training gives the
    same accuracies and losses as without a warm-up.

    Args:
        cell, epochs, recipe, data, device: those of the training that follows.
        seconds: how long to train; a group of steps that has begun is finished.
        check: called after each step; an exception that it raises ends the warm-up.
        clock: seconds that only grow, which `seconds` is measured on.

    Returns:
        Number of steps, at least one.

    Raises:
        ConfigError: an argument is not possible.
    """
    check_numbers(least=0, seconds=seconds)
    budget = recipe.steps(epochs, len(data.train))
    trainer = Trainer(
        cell,
        recipe,
        device=_resolved(device),
        meter=None,
        budget=budget,
        evaluate_images=recipe.batch_size,
    )

    def on_step(done: int) -> None:
        check()

    until = clock() + seconds
    steps, group = 0, 1
    with _convolutions(tf32=recipe.tf32):
        trainer.start(data, _SEED)
        while steps == 0 or clock() < until:
            first, began = steps % budget, clock()
            stop = min(first + group, budget)
            trainer.segment("warm-up", first, stop, on_step)
            if steps == 0:
                trainer.evaluate("start", "validation", stop)
            steps += stop - first
            if clock() - began < _GROUP_S:
                group *= 2
    # The first step of a process leaves a reference cycle in torch that holds the network's memory.
    del trainer
    gc.collect()
    return steps
