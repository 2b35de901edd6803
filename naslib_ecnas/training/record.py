"""What one training leaves: accuracies, losses and times, and all that they depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import from_plain, to_plain
from naslib_ecnas.training.recipe import Recipe

__all__ = ["SPLITS", "WHEN", "DataLabel", "Evaluation", "Segment", "TrainingRecord"]

#: Times and splits of the evaluations, in their order.
WHEN = ("start", "half", "end")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class WindowId:
    """A window of the meter that belongs to this training."""

    name: str
    """Unique within the training, such as `"train-1"` or `"evaluate-end-test"`."""
    index: int | None
    """The meter's own number of the window; None where there was no meter, or it gave none."""
    seconds: float
    """Time between the edges, by the training's own clock."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Steps of training between two evaluations."""

    window: WindowId
    first_step: int
    """The first step, counted from 0."""
    steps: int
    """How many; the first segment of a training is one step at rate 0."""
    mean_loss: float
    """Mean cross-entropy over the segment's batches, without the L2 term; NaN where one is."""
    last_loss: float
    """Cross-entropy of the last batch; NaN where it is not finite."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Accuracy on one split at one time."""

    when: str
    """`"start"`, `"half"` or `"end"`."""
    split: str
    """`"train"` (the first of the four files), `"validation"` or `"test"`."""
    steps: int
    """Steps of training before it."""
    images: int
    """Images that were looked at: whole batches only."""
    accuracy: float
    """Fraction of them; NaN where a logit is not finite."""
    window: WindowId

    def __post_init__(self) -> None:
        if self.when not in WHEN or self.split not in SPLITS or self.images < 1 or self.steps < 0:
            raise ConfigError(
                "no evaluation of a training",
                value=(self.when, self.split, self.images, self.steps),
                expected=f"one at {', '.join(WHEN)} on {', '.join(SPLITS)}, of 1 image or more",
            )

    @property
    def latency_s(self) -> float:
        """Seconds for one image, at the recipe's batch size."""
        return self.window.seconds / self.images


@dataclass(frozen=True, kw_only=True)
class DataLabel:
    """Which images it was trained on."""

    name: str
    """`"CIFAR-10"`, `"CIFAR-10 shortened"` or `"synthetic"`."""
    sha256: str
    """Of all labels and pixels."""
    train: int
    """Images of the training split."""
    validation: int
    """Images of the validation split."""
    test: int
    """Images of the test split."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """One training of one cell. Energies stand in the meter's windows, which are named here."""

    cell: str
    """Text of the cell."""
    nasbench_hash: str
    """Its MD5 in NAS-Bench-101."""
    parameters: int
    """Trainable parameters of the network that was trained."""
    epochs: int
    """Budget of the recipe's schedule."""
    budget_steps: int
    """Steps that the budget has."""
    steps: int
    """Steps that were made; fewer only where the caller asked for it."""
    seed: int
    """Of the initial weights and of the order and augmentation of the images."""
    recipe: Recipe
    departures: tuple[str, ...]
    """What differs from the published recipe, its budgets and its data; empty where nothing."""
    data: DataLabel
    device: str
    """torch's name of the device, such as `"cpu"` or `"cuda:0"`."""
    device_name: str
    """What the device calls itself."""
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
    """Of this package and of what the numbers pass through."""

    @property
    def diverged(self) -> bool:
        """Whether a loss was not finite. Such a training is no measurement of accuracy."""
        return self.bad_steps > 0

    @property
    def training_time_s(self) -> float:
        """Seconds in the segments of training, evaluations and start-up not counted."""
        return sum(segment.window.seconds for segment in self.segments)

    @property
    def total_time_s(self) -> float:
        """Seconds from before the network is built to after the last evaluation or checkpoint."""
        return self.windows[0].seconds

    def accuracy(self, split: str, when: str = "end") -> float:
        """Accuracy on a split (`SPLITS`) at a time (`WHEN`), a fraction.

        Raises:
            ConfigError: no such split or time.
        """
        for found in self.evaluations:
            if (found.split, found.when) == (split, when):
                return found.accuracy
        raise ConfigError(
            "no such evaluation",
            value=(split, when),
            expected=f"one of {', '.join(SPLITS)} at one of {', '.join(WHEN)}",
        )

    def inference_energy_j(self, energy_j: Mapping[str, float]) -> dict[str, float]:
        """Joules for one image of each evaluation, from joules of the meter's windows.

        Args:
            energy_j: energy of windows by name; those that are no evaluation are left out.

        Returns:
            Energy for one image by the name of the window, where its energy is given.
        """
        return {
            found.window.name: energy_j[found.window.name] / found.images
            for found in self.evaluations
            if found.window.name in energy_j
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; a number that is not finite is null there."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_json(cls, data: Any, *, path: str | None = None) -> TrainingRecord:
        """The inverse of `to_json`; null becomes NaN.

        Raises:
            FormatError: a field is missing, not known, or of another type.
        """
        return from_plain(cls, data, path=path)
