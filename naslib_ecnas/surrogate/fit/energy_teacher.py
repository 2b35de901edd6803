"""The ensemble that is distilled into the energy model, and what it is fitted on.

Its members predict the logarithm of energy over time: Gaussian processes, each with length scales
from another draw of the cells, and boosted trees. All of it, the time model too, is fitted on the
chosen cells and on no other, so that the rest can judge it.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.features import COSTS, features
from naslib_ecnas.surrogate.fit.boosting import Boosting, fit_boosting
from naslib_ecnas.surrogate.fit.epoch_time import EpochTime, EpochTimeData, read_epoch_times
from naslib_ecnas.surrogate.fit.gaussian_process import GaussianProcess, fit_gaussian_process
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured

__all__ = [
    "COSTS",
    "ENERGY_FILE",
    "JOULES_PER_KWH",
    "EnergyData",
    "Teacher",
    "fit_teacher",
    "inputs",
    "read_energy",
]

ENERGY_FILE = "measured_7v_energy_4epochs.parquet"
JOULES_PER_KWH = 3.6e6

#: The least spread of members that counts, in the logarithm.
_LEAST_SPREAD = 1e-4

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class EnergyData:
    """All that the fit reads."""

    measured: Measured
    x: NDArray[np.float32]
    """(n, len(FEATURES)) features of the measured cells."""
    times: EpochTimeData

    @property
    def energy_kwh(self) -> Vector:
        """(n,) measured energies at 4 epochs."""
        return self.measured["energy_kwh"].astype(np.float64)


@dataclass(frozen=True)
class Teacher:
    """The ensemble, of logarithms of energy over time."""

    time: EpochTime
    processes: tuple[GaussianProcess, ...]
    trees: Boosting
    share: float
    """Weight of the trees."""

    def predict(self, x: NDArray[Any]) -> tuple[Vector, Vector]:
        """Logarithm of the mean power in W, and of the members' spread, (n,) each."""
        z = inputs(self.time, x)
        trees = self.trees.predict(z)
        processes = np.stack([process.predict(z) for process in self.processes])
        mean = (1 - self.share) * processes.mean(axis=0) + self.share * trees
        spread = np.sqrt(processes.var(axis=0) + (trees - processes.mean(axis=0)) ** 2)
        return mean, np.log(spread + _LEAST_SPREAD)


def inputs(time: EpochTime, x: NDArray[Any]) -> Vector:
    """(n, COSTS + 2) inputs of every member, from (n, len(FEATURES)) features."""
    seconds = time.predict(x)
    return np.column_stack([x[:, :COSTS].astype(np.float64), np.log(seconds), seconds])


def read_energy(folder: str | PathLike[str]) -> EnergyData:
    """Read the reference data of the energy at 4 epochs."""
    measured = read_measured(Path(folder) / ENERGY_FILE)
    return EnergyData(measured, features(measured.rows), read_epoch_times(folder))


def fit_teacher(
    data: EnergyData,
    chosen: NDArray[Any],
    *,
    seed: int = 0,
    processes: int = 3,
    subset: int = 900,
    steps: int = 160,
    seeds: int = 1,
    share: float = 0.1,
) -> Teacher:
    """Fit the ensemble on the chosen cells (a mask or indices), seeing no other.

    Args:
        data: what was measured.
        chosen: the cells; times are taken of these only.
        processes, subset, steps: of the Gaussian processes.
        seeds: of the trees.
        share: weight of the trees in the mean.
    """
    time = data.times.fit(data.measured.rows[chosen])
    x = data.x[chosen]
    seconds = time.predict(x)
    target = np.log(data.energy_kwh[chosen] * JOULES_PER_KWH / seconds)
    z = inputs(time, x)
    members = tuple(
        fit_gaussian_process(
            z, target, np.log(seconds), subset=subset, steps=steps, seed=seed * 100 + member
        )
        for member in range(processes)
    )
    return Teacher(time, members, fit_boosting(z, target, seeds=seeds, seed=seed), share)
