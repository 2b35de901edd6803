"""Which part of the energy the GPU takes; the rest is the host's processors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.surrogate.models import Descriptors, Weights, device_name, shipped

__all__ = ["ShareModel", "gpu_share"]

#: Devices whose runs hold the energy of the GPU and of all the host's processors.
SHARES = ("quadro-rtx-6000", "rtx-3090")


@dataclass(frozen=True)
class ShareModel:
    """GPU energy over that of the GPU and all processor packages, over the whole run."""

    descriptors: Descriptors
    points: NDArray[np.float64]
    """(m, 8) epochs, six coefficients of the logit, standard deviation of one run's share; by
    ascending epochs."""

    def predict(
        self, x: NDArray[Any], epochs: float = 4
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Share (0..1) of (n, f) features and its standard deviation: (n,) each.

        Between the measured budgets the logit runs straight in the logarithm of the epochs;
        beyond them the nearest one holds.
        """
        return self._at(self.descriptors(x), epochs)

    def shares(self, x: NDArray[Any], budgets: Sequence[int]) -> NDArray[np.float64]:
        """(n, b) share of (n, f) features at budgets of epochs."""
        z = self.descriptors(x)
        if len(self.points) == 1:  # measured at one budget, the same at all
            return np.repeat(self._at(z, 1)[0][:, None], len(budgets), axis=1)
        return np.stack([self._at(z, epochs)[0] for epochs in budgets], axis=1)

    def _at(
        self, z: NDArray[np.float64], epochs: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        budgets = np.log(self.points[:, 0])
        at = np.clip(np.interp(np.log(epochs), budgets, np.arange(len(budgets))), 0, None)
        low = int(at)
        high = min(low + 1, len(budgets) - 1)
        part = at - low
        point = (1 - part) * self.points[low] + part * self.points[high]
        share = 1 / (1 + np.exp(-(point[1] + z @ point[2:7])))
        return share, np.full(len(share), point[7])

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], device: str) -> ShareModel:
        """Of `Weights` that `fit_devices` made.

        Raises:
            ConfigError: shares of this device were not measured.
        """
        name = device_name(device)
        if f"share_{name}" not in arrays:
            raise ConfigError(
                "the share of the GPU was not measured on this device",
                value=device,
                expected="one of " + ", ".join(SHARES),
                remedy="ask for one of them",
            )
        return cls(Descriptors.from_arrays(arrays), arrays[f"share_{name}"])


def gpu_share(
    x: NDArray[Any], *, device: str = "rtx-3090", epochs: float = 4, weights: Weights | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """GPU energy over all energy of (n, f) features, and its standard deviation: (n,) each.

    The RTX 3090 was measured over runs of one epoch beside a host with one processor package;
    that share is taken for all budgets. The Quadro RTX 6000 at 4 and at 108 epochs, two packages.

    Args:
        x: features.
        device: `rtx-3090` or `quadro-rtx-6000`.
        epochs: training budget.
        weights: those of `fit_devices`; the package's where left out.

    Raises:
        ConfigError: shares of this device were not measured.
    """
    arrays = (weights or Weights.load(shipped("devices"))).arrays
    return ShareModel.from_arrays(arrays, device).predict(x, epochs)
