"""When a search ends: what it may spend on trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError

__all__ = ["QUANTITIES", "Limits"]

#: What is counted of a search, by the names of `Spent`.
QUANTITIES = ("evaluations", "epochs", "seconds", "energy_kwh", "co2_g")


@dataclass(frozen=True)
class Limits:
    """What a search may spend; None where it does not matter.

    The rule: evaluations are made in the order in which they are asked for. The first one that
    would take the sum of any quantity past its limit is not made, and the run ends there, even if
    a cheaper one would still have fitted.

    Raises:
        ConfigError: no limit at all, or one that is not possible.
    """

    evaluations: int | None = None
    """Trainings charged."""
    epochs: int | None = None
    seconds: float | None = None
    """Training time."""
    energy_kwh: float | None = None

    def __post_init__(self) -> None:
        for name, option in (("evaluations", "evaluations"), ("epochs", "max_epochs")):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or value < 1
            ):
                raise _impossible(option, value, "a whole number of at least 1")
        for name, option in (("seconds", "max_time_s"), ("energy_kwh", "max_energy_kwh")):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not 0 < value < math.inf
            ):
                raise _impossible(option, value, "a finite number above 0")
        if not self.set:
            raise ConfigError(
                "a search without an end",
                expected="evaluations, max_energy_kwh, max_epochs or max_time_s",
                remedy="set at least one of them",
            )

    @property
    def set(self) -> dict[str, float]:
        """The limits there are, by quantity."""
        named = {name: getattr(self, name, None) for name in QUANTITIES}
        return {name: value for name, value in named.items() if value is not None}

    def fitting(self, spent: NDArray[np.float64], charges: NDArray[np.float64]) -> tuple[int, str]:
        """How many of the next evaluations can be made.

        Args:
            spent: (5,) what was spent so far, in the order of `QUANTITIES`.
            charges: (n, 5) what each of the next evaluations costs.

        Returns:
            Their number, and the quantity that stops the next one ("" where none does).
        """
        # One long sum, so that it does not depend on how the evaluations came in batches.
        sums = np.cumsum(np.concatenate([spent[None], charges]), axis=0)[1:]
        fits, stopper = len(charges), ""
        for name, limit in self.set.items():
            over = sums[:, QUANTITIES.index(name)] > limit
            first = int(over.argmax()) if over.any() else len(charges)
            if first < fits:
                fits, stopper = first, name
        return fits, stopper

    def share(self, spent: NDArray[np.float64]) -> float:
        """Largest share of a limit that is spent, 0 to 1."""
        return max(float(spent[QUANTITIES.index(name)]) / limit for name, limit in self.set.items())


def _impossible(option: str, value: object, expected: str) -> ConfigError:
    return ConfigError(
        f"no possible {option}",
        value=value,
        expected=expected,
        remedy="choose a number in this range",
    )
