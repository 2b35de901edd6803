"""The record of one training: accuracies, losses and times, and everything they depend on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.files import MaybeNaN
from naslib_ecnas.training.recipe import Recipe

#: Times and splits of the evaluations, in their order; `Recipe.middle` says when the middle is.
WHEN = ("start", "middle", "end")
SPLITS = ("train", "validation", "test")
#: Names of data sets from files: the published images, and any others.
CIFAR10, OTHER = "CIFAR-10", "not CIFAR-10"
_EVALUATED = f"an evaluation is on one of {', '.join(SPLITS)} at one of {', '.join(WHEN)}"


@dataclass(frozen=True, kw_only=True)
class WindowId:
    """A window of the meter that belongs to this training."""

    name: str
    """Unique within the training, such as `"train-1"` or `"evaluate-end-test"`."""
    index: int | None
    """Number of the window in the meter; None without a meter, or where it numbers none."""
    seconds: float
    """Time between the edges, by the training's own clock."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Steps of training between two evaluations."""

    window: WindowId
    first_step: int
    """Counted from 0."""
    steps: int
    """The first segment of a training is one step at rate 0."""
    mean_loss: MaybeNaN
    """Mean cross-entropy over the segment's batches, without the L2 term; NaN where one is NaN."""
    last_loss: MaybeNaN
    """Cross-entropy of the last batch; NaN where it is not finite."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Accuracy on one split at one time."""

    when: str
    """One of `WHEN`."""
    split: str
    """One of `SPLITS`; the train accuracy is of the first of the four files."""
    steps: int
    """Steps of training before it."""
    images: int
    """Images that were evaluated: whole batches only."""
    accuracy: MaybeNaN
    """Fraction of the images classified correctly; NaN where a logit is not finite."""
    window: WindowId

    def __post_init__(self) -> None:
        if self.when not in WHEN or self.split not in SPLITS:
            raise ConfigError(_EVALUATED, value=(self.split, self.when))
        check_counts("an evaluation", images=self.images)
        check_counts("an evaluation", least=0, steps=self.steps)


@dataclass(frozen=True, kw_only=True)
class DataLabel:
    """Which images a training used, and how many of them each split has."""

    name: str
    """`CIFAR10` or `OTHER` by the images' digests, or `"synthetic"`."""
    sha256: str
    """Checksum of all labels and pixels, see `Cifar10.sha256`."""
    train: int
    validation: int
    test: int


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """One training of one cell. Energies are in the meter's windows, which are named here."""

    cell: str
    nasbench_hash: str
    parameters: int
    """Trainable parameters of the network that was trained."""
    epochs: int
    """Training budget; the learning rate reaches 0 at its end."""
    budget_steps: int
    steps: int
    """Steps made; fewer than `budget_steps` only where the caller asked for it."""
    seed: int
    """Decides the initial weights and the order and augmentation of the images."""
    recipe: Recipe
    departures: tuple[str, ...]
    """Differences from the published recipe, its budgets and its data."""
    data: DataLabel
    device: str
    """torch's name of the device, such as `"cpu"` or `"cuda:0"`."""
    device_name: str
    """The device's model."""
    arithmetic: Mapping[str, str | bool | None]
    """torch's settings of rounding and kernels as read back after the last evaluation, by their
    names below `torch.backends`; None where torch refuses to say."""
    windows: tuple[WindowId, ...]
    """All windows in the order of opening: total, init, segments and evaluations, checkpoint."""
    segments: tuple[Segment, ...]
    evaluations: tuple[Evaluation, ...]
    """Three splits at each of three times."""
    first_bad_step: int | None
    """First step whose loss was not finite; None where all were."""
    bad_steps: int
    """Steps whose loss was not finite."""
    versions: Mapping[str, str]
    """Versions of this package, Python, numpy, torch and, on a GPU, CUDA and cuDNN."""

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("epochs", "budget_steps", "steps")}
        check_counts("a training", parameters=self.parameters, **counts)
        if not (self.windows and self.segments and self.evaluations):
            sizes = len(self.windows), len(self.segments), len(self.evaluations)
            raise ConfigError("a training needs windows, segments and evaluations", value=sizes)

    @property
    def training_time_s(self) -> float:
        """Seconds of the training steps, without start-up and evaluations.

        NAS-Bench-101's and EC-NAS's `training_time` (`training_time.py`) is 0 after their start-up
        and grows with the steps alone.
        """
        return math.fsum(segment.window.seconds for segment in self.segments)

    @property
    def start_up_s(self) -> float:
        """Seconds of building the network and moving it and the images to the device."""
        return math.fsum(window.seconds for window in self.windows if window.name == "init")

    @property
    def total_time_s(self) -> float:
        """Seconds from building the network to the end of the last evaluation or checkpoint."""
        return self.windows[0].seconds

    def accuracy(self, split: str, when: str = "end") -> float:
        """Accuracy on a split (`SPLITS`) at a time (`WHEN`), a fraction.

        Raises:
            ConfigError: no such split or time.
        """
        for found in self.evaluations:
            if (found.split, found.when) == (split, when):
                return found.accuracy
        raise ConfigError(_EVALUATED, value=(split, when))
