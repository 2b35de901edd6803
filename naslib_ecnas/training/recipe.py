"""How NAS-Bench-101 trains a cell, and how EC-NAS does: one frozen object that a record keeps.

The values are those of `config.py`, `model_builder.py` and `evaluate.py` of
google-research/nasbench. Its base rate of 0.1 is doubled there for the two shards of its TPU, which
EC-NAS's runs on one GPU did not do. Four things of that code come from its host and are not
repeated here: its TPU normalised each half of a batch by itself; its input starts anew, freshly
shuffled, after every evaluation; a training whose loss is not finite is tried again up to five
times; images are augmented on the CPU. Here a batch is normalised whole, the order of the images
runs on, a loss that is not finite is recorded, and augmentation runs on the training's own device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from naslib_ecnas.errors import ConfigError

__all__ = ["BUDGETS", "IMAGES", "RECIPES", "TRAIN_IMAGES", "Recipe"]

#: Epochs of the benchmark's trainings.
BUDGETS = (4, 12, 36, 108)
#: Images of batches 1 to 4.
TRAIN_IMAGES = 40_000
#: Where the images of a training are kept.
IMAGES = ("device", "host")
_BASE_RATES = {"nasbench101": 0.2, "ecnas": 0.1}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a training but the cell, the budget, the data and the seed.

    Take one of `RECIPES` and change it with `dataclasses.replace`; `departures` says what was
    changed.

    Raises:
        ConfigError: a value is not possible.
    """

    name: str
    """What it follows: `"nasbench101"` or `"ecnas"`."""
    base_rate: float
    """Learning rate that the cosine starts from."""
    batch_size: int = 256
    """Images of a batch, in training and in evaluation; the remainder is dropped."""
    l2: float = 1e-4
    """Weight of half the sum of squares of all trainable parameters in the loss."""
    decay: float = 0.9
    """Of RMSProp's mean square."""
    momentum: float = 0.9
    """Of RMSProp."""
    epsilon: float = 1.0
    """Of RMSProp, added within the square root."""
    batch_norm_momentum: float = 0.003
    """Share of a new batch in the running statistics: 1 - 0.997 of TensorFlow's convention."""
    batch_norm_epsilon: float = 1e-5
    """Added to the variance."""
    bf16: bool = False
    """Forward pass in bfloat16 where torch's autocast takes it to be safe."""
    tf32: bool = False
    """Whether convolutions on a GPU may round their factors to TF32."""
    channels_last: bool = False
    """Memory layout of weights and activations; changes the order of sums only."""
    compile: bool = False
    """Whether `torch.compile` makes the network; its time is then part of the first steps."""
    images: str = "device"
    """Where the images are kept: in the memory of the training's device, or in the host's, which
    then sends every batch. Accuracies and losses are the same; the energies of both are not."""

    def __post_init__(self) -> None:
        _require(self.name in _BASE_RATES, "name", self.name, f"one of {', '.join(_BASE_RATES)}")
        _require(
            type(self.batch_size) is int and self.batch_size >= 2,
            "batch_size",
            self.batch_size,
            "a whole number from 2 (one image has no variance)",
        )
        for name in ("base_rate", "epsilon", "batch_norm_epsilon"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value > 0, name, value, "a positive number")
        _require(math.isfinite(self.l2) and self.l2 >= 0, "l2", self.l2, "0 or more")
        for name in ("decay", "momentum"):
            value = getattr(self, name)
            _require(0 <= value < 1, name, value, "a number from 0 to below 1")
        _require(self.images in IMAGES, "images", self.images, " or ".join(IMAGES))
        value = self.batch_norm_momentum
        _require(0 < value <= 1, "batch_norm_momentum", value, "a number above 0 to 1")

    def steps(self, epochs: int, images: int = TRAIN_IMAGES) -> int:
        """Steps of a budget: 625, 1,875, 5,625 and 16,875 for 4, 12, 36 and 108 epochs.

        Batches reach across the ends of epochs, so only the budget's last remainder is dropped.

        Raises:
            ConfigError: no batch can be filled, or `epochs` is no positive whole number.
        """
        _require(type(epochs) is int and epochs > 0, "epochs", epochs, "a positive whole number")
        steps = epochs * images // self.batch_size
        _require(
            steps > 0, "batch_size", self.batch_size, f"at most epochs x images, {epochs * images}"
        )
        return steps

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step, counted from 0: a cosine from the base rate to 0.

        The first step has rate 0: it moves the running statistics of the normalisation and
        RMSProp's mean square, but no weight (`model_builder.py`).
        """
        if step == 0:
            return 0.0
        return 0.5 * self.base_rate * (1 + math.cos(math.pi * step / steps))

    def departures(self) -> tuple[str, ...]:
        """What differs from the recipe that it is named after, one text for each value."""
        published = RECIPES[self.name]
        return tuple(
            f"{field.name} {getattr(self, field.name)} for {getattr(published, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(published, field.name)
        )


def _require(good: bool, name: str, value: object, expected: str) -> None:
    if not good:
        raise ConfigError(
            f"{name} is not possible in a training",
            value=value,
            expected=expected,
            remedy="start from naslib_ecnas.training.RECIPES",
        )


#: The two recipes by name.
RECIPES = {name: Recipe(name=name, base_rate=rate) for name, rate in _BASE_RATES.items()}
