"""How the units of a campaign are run: what a record depends on, and what it does not."""

from __future__ import annotations

from dataclasses import dataclass

from naslib_ecnas.checked import check_counts, check_numbers
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.training.recipe import IMAGES

__all__ = ["METERS", "Pace", "Settings"]

METERS = ("auto", "none", "replay")
#: Seconds in which a GPU's clocks and most of its temperature have settled under load.
_WARM_UP_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides a measurement beside its unit; every record keeps it.

    Raises:
        ConfigError: a setting is not possible.
    """

    device: str = "cpu"
    """torch's name of the device."""
    meter: str = "auto"
    """`auto`: the GPU by NVML and the CPU by RAPL, or an error where the GPU cannot be measured;
    `none`: no energy; `replay`: what a file says, which is no measurement."""
    replay: str | None = None
    """The file of a replay."""
    gpu: str | None = None
    """The GPU to measure, as NVML names it, where it is not to be found by `device`."""
    baseline_s: float = 10.0
    """Seconds of rest that are measured before and after each training; 0 for none."""
    warm_up_s: float | None = None
    """Seconds of a training that is thrown away, before the first unit of a worker and after a
    pause; 0 for none. Left out it is 60 on a GPU and 0 elsewhere; the attribute is a number."""
    images: str = "device"
    """Where the images are kept, as in `Recipe.images`."""
    steps: int | None = None
    """Stop each training after so many steps."""
    batch_size: int | None = None
    """In place of the recipe's."""
    evaluate_images: int | None = None
    """Look at no more than so many images of each split."""

    def __post_init__(self) -> None:
        if self.meter not in METERS or (self.meter == "replay") != (self.replay is not None):
            raise ConfigError(
                "no such meter",
                value=(self.meter, self.replay),
                expected="auto, none, or replay FILE",
            )
        if self.gpu is not None and self.meter != "auto":
            raise ConfigError("a GPU is measured by the meter auto", value=self.meter)
        if self.images not in IMAGES:
            raise ConfigError("no such place", value=self.images, expected=" or ".join(IMAGES))
        for name in ("steps", "batch_size", "evaluate_images"):
            value = getattr(self, name)
            if value is not None:
                check_counts(**{name: value})
        if self.warm_up_s is None:
            on_gpu = str(self.device).startswith("cuda")
            object.__setattr__(self, "warm_up_s", _WARM_UP_S if on_gpu else 0.0)
        check_numbers(least=0, baseline_s=self.baseline_s, warm_up_s=self.warm_up_s)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How workers treat claims and failures; no record depends on it.

    Raises:
        ConfigError: a number is out of range.
    """

    tries: int = 3
    """Attempts of a unit that may end invalid or failed."""
    beat_s: float = 10.0
    """Seconds between two signs of life of a claim."""
    stale_s: float = 120.0
    """Seconds without one after which a claim of another machine is taken over."""
    patience_s: float = 600.0
    """How long the record of a finished training is kept trying to be written, as on a full disk,
    before the worker ends and the training is lost."""
    wait: bool = True
    """Whether to wait for units that others have claimed, in case they die."""

    def __post_init__(self) -> None:
        check_counts(tries=self.tries)
        check_numbers(least=0, beat_s=self.beat_s, stale_s=self.stale_s, patience_s=self.patience_s)
        if not self.beat_s > 0:
            raise ConfigError("no possible pace", value=self, expected="positive numbers")
        if self.stale_s < 3 * self.beat_s:
            raise ConfigError(
                "claims would be taken from workers that live",
                value=f"{self.stale_s} s",
                expected=f"at least three signs of life, {3 * self.beat_s:g} s",
            )
