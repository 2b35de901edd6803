"""The state of one training, and its three kinds of windows: start, segment, evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from naslib_ecnas.cell import Cell
from naslib_ecnas.storage import atomic_write
from naslib_ecnas.training.batches import evaluation_batches, standardise, stream
from naslib_ecnas.training.data import Cifar10
from naslib_ecnas.training.environment import synchronise
from naslib_ecnas.training.initialise import build
from naslib_ecnas.training.model import Network
from naslib_ecnas.training.recipe import Recipe
from naslib_ecnas.training.record import Evaluation, Segment, WindowId
from naslib_ecnas.training.rmsprop import RMSProp

__all__ = ["MeterLike", "Trainer"]


class MeterLike(Protocol):
    """What is asked of a meter: windows that nest and never raise for a sensor's fault."""

    def window(self, name: str) -> AbstractContextManager[Any]:
        """Measure a block; an attribute `index` of what it binds goes into the record."""
        ...


class Trainer:
    """Trains one network. `train` of `naslib_ecnas.training` drives it.

    Args:
        cell: the cell.
        recipe: of the training.
        device: where to train.
        meter: of energy, or None.
        budget: steps of the schedule.
        evaluate_images: look at no more than so many images of a split.
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
        """The windows that are closed, in the order of opening."""
        return tuple(self._closed[name] for name in self._opened if name in self._closed)

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """A window of the meter, timed here as well; the device is idle at both edges."""
        self._opened.append(name)
        synchronise(self._device)
        with nullcontext() if self._meter is None else self._meter.window(name) as handle:
            start = time.monotonic()
            yield
            synchronise(self._device)
            seconds = time.monotonic() - start
        index = getattr(handle, "index", None)
        index = index if type(index) is int else None
        self._closed[name] = WindowId(name=name, index=index, seconds=seconds)

    def start(self, data: Cifar10, seed: int) -> None:
        """Build the network and bring it and the images to the device."""
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
        data = data.beside(self._device) if host else data.to(self._device)
        self._batches = stream(
            data.train, batch_size=recipe.batch_size, rng=np.random.default_rng(order), host=host
        )
        looked_at = {"train": data.train_first, "validation": data.validation, "test": data.test}
        self._evaluated = {
            name: evaluation_batches(
                split, batch_size=recipe.batch_size, images=self._evaluate_images
            )
            for name, split in looked_at.items()
        }

    def segment(
        self, name: str, first: int, stop: int, on_step: Callable[[int], None] | None
    ) -> Segment:
        """Train from step `first` up to and without step `stop`."""
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
        return Segment(
            window=self._closed[name],
            first_step=first,
            steps=stop - first,
            mean_loss=_finite(math.fsum(values) / len(values) if _all_finite(values) else math.nan),
            last_loss=_finite(values[-1]),
        )

    @torch.inference_mode()
    def evaluate(self, when: str, split: str, steps: int) -> Evaluation:
        """Accuracy on a split after so many steps."""
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
        """Write weights and running statistics as numpy's `.npz`, whole or not at all."""
        with self.window("checkpoint"):
            state = {name: value.cpu().numpy() for name, value in self.network.state_dict().items()}
            with atomic_write(path) as file:
                np.savez(file, **state)


def _all_finite(values: list[float]) -> bool:
    return all(map(math.isfinite, values))


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan
