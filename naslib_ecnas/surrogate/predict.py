"""Everything that the models say of cells, metric by metric, over the budgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.surrogate.accuracy import AccuracyModel
from naslib_ecnas.surrogate.device import DeviceModel
from naslib_ecnas.surrogate.energy import EnergyModel
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.native import BUDGETS, DEVICE
from naslib_ecnas.surrogate.over_epochs import OverEpochs
from naslib_ecnas.surrogate.share import SHARES, ShareModel
from naslib_ecnas.surrogate.time import TimeModel
from naslib_ecnas.surrogate.weights import Weights, shipped

__all__ = ["Models"]

#: The device on which trainings of many epochs were measured.
GROWTH_DEVICE = "quadro-rtx-6000"
#: Rows at a time: their features stay in the processor's cache.
_CHUNK = 8192

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Models:
    """The fitted models of all targets together."""

    energy: EnergyModel | DeviceModel
    """Energy at 4 epochs on the native scale, or that of a device."""
    over_epochs: OverEpochs
    accuracy: AccuracyModel
    time: TimeModel
    share: ShareModel | None = None
    """Of the GPU in the energy, where it was measured."""
    scaling: str = "affine"

    @classmethod
    def shipped(cls, energy: DeviceModel | None = None, scaling: str = "affine") -> Models:
        """The models that come with the package.

        Args:
            energy: the model of another device; the native scale where left out.
            scaling: `"affine"` or `"linear"` in epochs.
        """
        device = DEVICE if energy is None else energy.name
        measured = Weights.load(shipped("devices")).arrays if device in SHARES else None
        return cls(
            energy=energy or EnergyModel.from_weights(Weights.load(shipped("energy"))),
            over_epochs=OverEpochs.from_weights(Weights.load(shipped("epochs"))),
            accuracy=AccuracyModel.from_weights(Weights.load(shipped("accuracy"))),
            time=TimeModel.from_weights(Weights.load(shipped("time"))),
            share=None if measured is None else ShareModel.from_arrays(measured, device),
            scaling=scaling,
        )

    def predict(
        self, rows: ArrayLike, advanced: Callable[[int], None] | None = None, *, threads: int = 2
    ) -> dict[str, Array]:
        """Predict cells.

        Args:
            rows: (n,) rows of the seven-vertex space.
            advanced: hears how many rows are done.
            threads: chunks that are computed at a time; numpy's work runs beside each other.

        Returns:
            (n, 4) values of each metric at 4, 12, 36 and 108 epochs.

        Raises:
            UnknownCellError: a row is none of the space.
        """
        wanted = np.atleast_1d(np.asarray(rows))
        parts = [slice(i, i + _CHUNK) for i in range(0, len(wanted), _CHUNK)]
        out: dict[str, Array] = {}
        done = 0
        with ThreadPoolExecutor(threads) as pool:
            results = pool.map(lambda part: self._chunk(wanted[part]), parts)
            for part, values in zip(parts, results, strict=True):
                for name, column in values.items():
                    if name not in out:
                        out[name] = np.empty((len(wanted), len(BUDGETS)))
                    out[name][part] = column
                done += len(wanted[part])
                if advanced is not None:
                    advanced(done)
        return out

    def energies(self, rows: ArrayLike, budgets: Sequence[int]) -> tuple[Array, Array]:
        """(n, b) kWh of (n,) rows at any budgets, and their standard deviations."""
        wanted = np.atleast_1d(np.asarray(rows))
        mean = np.empty((len(wanted), len(budgets)))
        std = np.empty_like(mean)
        for start in range(0, len(wanted), _CHUNK):
            part = slice(start, start + _CHUNK)
            mean[part], std[part] = self._energy(features(wanted[part]), budgets)
        return mean, std

    def _energy(self, x: NDArray[Any], budgets: Sequence[int]) -> tuple[Array, Array]:
        mean, std = self.energy.predict(x)
        device = self.energy if isinstance(self.energy, DeviceModel) else None
        share = None if device is None else device.start_share
        if device is not None and device.span == "steps":
            # All tables are of runs: what the steps leave out is added.
            steps = 1 - (self.over_epochs.shares(x) if share is None else share)
            mean, std = mean / steps, std / steps
        return self.over_epochs.predict(
            x,
            mean,
            std,
            budgets,
            scaling=self.scaling,
            # Growth over epochs was measured on one device; on others it is less certain.
            fitted_device=device is not None and device.name == GROWTH_DEVICE,
            start_share=share,
        )

    def _chunk(self, rows: NDArray[Any]) -> dict[str, Array]:
        x = features(rows)
        energy, energy_std = self._energy(x, BUDGETS)
        seconds, seconds_std = self.time.predict(x)
        validation, validation_std, test, test_std = self.accuracy.predict(x)
        shares = {}
        if self.share is not None:
            shares["gpu_share"] = self.share.shares(x, BUDGETS)
        return {
            "energy_kwh": energy,
            "energy_kwh_std": energy_std,
            "training_time_s": self.time.at(seconds, BUDGETS),
            "training_time_s_std": self.time.at(seconds_std, BUDGETS),
            "validation_accuracy": validation,
            "validation_accuracy_std": validation_std,
            "test_accuracy": test,
            "test_accuracy_std": test_std,
            **shares,
        }
