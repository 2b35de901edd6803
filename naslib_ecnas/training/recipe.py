"""How NAS-Bench-101 and EC-NAS train a cell: a frozen object that every training record keeps.

The values are those of `config.py`, `model_builder.py` and `evaluate.py` of
google-research/nasbench. That code doubles its base rate of 0.1 for the two shards of its TPU;
EC-NAS trained on one GPU and did not. Four things depend on that code's hardware and differ here:

- its TPU normalised each half of a batch by itself; here a batch is normalised whole;
- its input is shuffled anew after every evaluation; here the order of the images runs on;
- it repeats a training whose loss is not finite up to five times; here that loss is recorded;
- it augments images on the CPU; here augmentation runs on the training's own device.

Both evaluate a network after its first step and at the end; between the two, NAS-Bench-101 at half
of the budget (`intermediate_evaluations` of its `config.py`), EC-NAS after the first epoch (its
`results.json` have evaluations at epochs 0, 1 and n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from naslib_ecnas.errors import ConfigError, check_choice, check_counts, check_numbers

#: Epochs of the benchmark's trainings.
BUDGETS = (4, 12, 36, 108)
#: Images of batches 1 to 4.
TRAIN_IMAGES = 40_000
#: Where the images of a training are kept.
IMAGES = ("device", "host")
#: Settings of a recipe that make its trainings faster, and are off in the published ones.
SPEED = ("tf32", "bf16", "channels_last", "compile", "cuda_graphs")
#: When the evaluation between start and end takes place.
MIDDLES = ("half", "first-epoch")
#: Published recipe -> its base rate and its evaluation in the middle.
_PUBLISHED = {"nasbench101": (0.2, "half"), "ecnas": (0.1, "first-epoch")}
#: Settings of a recipe -> limits of their values, as in `check_numbers`.
_LIMITS = {
    "base_rate epsilon batch_norm_epsilon": {"above": 0.0},
    "l2": {"least": 0.0},
    "decay momentum": {"least": 0.0, "below": 1.0},
    "batch_norm_momentum": {"above": 0.0, "most": 1.0},
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a training except cell, budget, data and seed.

    Take one of `RECIPES` and change it with `dataclasses.replace`; `departures` lists the changes.
    An impossible value raises a ConfigError.
    """

    name: str
    """The published recipe it starts from: `"nasbench101"` or `"ecnas"`."""
    base_rate: float
    """Learning rate that the cosine starts from."""
    middle: str
    """When the evaluation between start and end takes place: `half` of the budget, or after the
    `first-epoch`."""
    batch_size: int = 256
    """Images of a batch, in training and in evaluation; the remainder is dropped."""
    l2: float = 1e-4
    """Weight of half the sum of squares of all trainable parameters in the loss."""
    decay: float = 0.9
    """Decay of RMSProp's mean square."""
    momentum: float = 0.9
    """Momentum of RMSProp."""
    epsilon: float = 1.0
    """Added within RMSProp's square root."""
    batch_norm_momentum: float = 0.003
    """Share of a new batch in the running statistics: 1 - 0.997 of TensorFlow's convention."""
    batch_norm_epsilon: float = 1e-5
    """Added to the variance of a batch normalisation."""
    bf16: bool = False
    """Forward pass in bfloat16 where torch's autocast considers it safe."""
    tf32: bool = False
    """Whether convolutions and matrix products on a GPU may round their factors to TF32."""
    channels_last: bool = False
    """Memory layout of weights and activations; changes the order of sums only."""
    compile: bool = False
    """Whether the network is compiled by `torch.compile`; the first steps then include its time."""
    cuda_graphs: bool = False
    """Whether forward and backward pass are recorded once, in the start-up, and then submitted as
    one graph at every step, where small cells otherwise wait for the launches of their kernels.
    The kernels are the same. Only a GPU can do so."""
    images: str = "device"
    """Where the images are kept: in the memory of the training's device, or in host memory, from
    which every batch is copied. Accuracies and losses are the same, energies are not."""

    def __post_init__(self) -> None:
        check_choice(tuple(_PUBLISHED), name=self.name)
        check_choice(IMAGES, images=self.images)
        check_choice(MIDDLES, middle=self.middle)
        check_counts("a recipe", least=2, batch_size=self.batch_size)  # one image has no variance
        for names, limits in _LIMITS.items():
            check_numbers("a recipe", **limits, **{n: getattr(self, n) for n in names.split()})

    def steps(self, epochs: int, images: int = TRAIN_IMAGES) -> int:
        """Steps of a budget: 625, 1,875, 5,625 and 16,875 for 4, 12, 36 and 108 epochs.

        Batches reach across the ends of epochs, so only the budget's last remainder is dropped.

        Raises:
            ConfigError: `epochs` is not a positive whole number, or too few to fill one batch.
        """
        check_counts("a training", epochs=epochs)
        steps = epochs * images // self.batch_size
        if not steps:
            most = epochs * images
            raise ConfigError(f"batch_size must be at most {most}", value=self.batch_size)
        return steps

    def middle_step(self, epochs: int, steps: int) -> int:
        """Steps before the evaluation in the middle: 312 or 156 of the 625 of 4 epochs.

        A run that is stopped early, after `steps` steps, is evaluated at the same share of them.
        """
        return max(1, steps // (2 if self.middle == "half" else epochs))

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step, counted from 0: a cosine from the base rate to 0.

        The first step has rate 0: it moves the running statistics of the normalisation and
        RMSProp's mean square, but no weight (`model_builder.py`).
        """
        if step == 0:
            return 0.0
        return 0.5 * self.base_rate * (1 + math.cos(math.pi * step / steps))

    def departures(self) -> tuple[str, ...]:
        """What differs from the published recipe of this name, one text for each value."""
        published = vars(RECIPES[self.name])
        return tuple(
            f"{k} {v} for {published[k]}" for k, v in vars(self).items() if v != published[k]
        )


#: The two recipes by name.
RECIPES = {
    name: Recipe(name=name, base_rate=rate, middle=middle)
    for name, (rate, middle) in _PUBLISHED.items()
}
