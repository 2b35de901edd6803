"""An energy model of another GPU from the measurements of few cells, and how good it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.checked import check_counts
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.intervals import Z90
from naslib_ecnas.scores import Scores, scores
from naslib_ecnas.surrogate.descriptors import Descriptors, shipped_descriptors
from naslib_ecnas.surrogate.design import choose
from naslib_ecnas.surrogate.device import DeviceModel
from naslib_ecnas.surrogate.features import FEATURES, features
from naslib_ecnas.surrogate.robust import RobustFit, robust_ridge, trimmed_start

__all__ = ["Calibration", "Measurements", "Report", "Suspicious", "calibrate"]

Vector = NDArray[np.float64]

#: Chosen by what is best over the four GPUs of the four-vertex files together, on random draws
#: of 20 cells: see `fit.devices`.
TIME_PENALTY = 0.3
POWER_PENALTY = 2.0
ENERGY_PENALTY = 1.0
#: Least spreads that are taken for noise (log), so that few cells with a lucky fit do not make
#: outliers of the rest; six of them are suspicious.
_TIME_FLOOR, _ENERGY_FLOOR = 0.01, 0.04
_FEWEST = 8
_VERTICES = [f.name for f in FEATURES].index("vertices")


@dataclass(frozen=True)
class Measurements:
    """Runs of 4 epochs on one device."""

    rows: NDArray[np.int64]
    """(n,) rows of the cells."""
    energy_kwh: Vector
    """(n,) from the start of the run to the end of training."""
    training_time_s: Vector | None = None
    """(n,) s of training. They cost nothing to note, tell disturbed runs from sound ones and
    make the calibration better."""

    @classmethod
    def of(
        cls, rows: ArrayLike, energy_kwh: ArrayLike, training_time_s: ArrayLike | None = None
    ) -> Measurements:
        """Checked.

        Raises:
            ConfigError: lengths differ, or values are not positive numbers.
        """
        r = np.asarray(rows)
        columns = {"energy_kwh": np.asarray(energy_kwh, dtype=np.float64)}
        if training_time_s is not None:
            columns["training_time_s"] = np.asarray(training_time_s, dtype=np.float64)
        for name, values in columns.items():
            if r.ndim != 1 or values.shape != r.shape:
                raise ConfigError(
                    f"{name} does not go with the rows",
                    value=values.shape,
                    expected=f"shape {r.shape}, one number for each row",
                    remedy="give one value for each measured cell",
                )
            wrong = ~(np.isfinite(values) & (values > 0))
            if wrong.any():
                raise ConfigError(
                    f"{name} of row {r[wrong][0]} is no measurement",
                    value=float(values[wrong][0]),
                    expected="a number over 0",
                    remedy="leave failed runs out",
                )
        return cls(r.astype(np.int64), columns["energy_kwh"], columns.get("training_time_s"))

    def take(self, chosen: NDArray[Any]) -> Measurements:
        """Those of a mask or of indices."""
        time = self.training_time_s
        return Measurements(
            self.rows[chosen], self.energy_kwh[chosen], None if time is None else time[chosen]
        )


@dataclass(frozen=True)
class Suspicious:
    """A measurement far off what the others say, such as a run beside another one."""

    row: int
    quantity: str
    """`energy_kwh` or `training_time_s`."""
    value: float
    expected: float
    factor: float
    """value / expected."""
    weight: float
    """What it counted in the fit: 0 not at all."""


@dataclass(frozen=True)
class Report:
    """How good a calibration is."""

    device: str
    cells: int
    """Measurements that were fitted."""
    cross_validated: Scores
    """Of each measurement under the fit to the others, energies in kWh; suspicious ones
    included."""
    sound: Scores
    """The same without the suspicious ones."""
    worst: float
    """Largest error of a sound one, in per cent."""
    suspicious: tuple[Suspicious, ...]
    held_out: Scores | None = None
    """On measurements that were not chosen for the fit, where `cells` left some."""
    held_out_sound: Scores | None = None
    """The same without those whose time or energy is far off the fit."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a header."""
        out: dict[str, Any] = {
            "device": self.device,
            "cells": self.cells,
            "worst": round(self.worst, 3),
            "suspicious": [asdict(s) for s in self.suspicious],
        }
        for name in ("cross_validated", "sound", "held_out", "held_out_sound"):
            value = getattr(self, name)
            if value is not None:
                out[name] = value.to_json()
        return out


@dataclass(frozen=True)
class Calibration:
    """A device's model and its report."""

    model: DeviceModel
    report: Report


@dataclass(frozen=True)
class _Fit:
    time: Vector
    power: Vector
    time_residual: Vector | None
    energy_residual: Vector
    weight: Vector

    def log_energy(self, z: NDArray[Any]) -> Vector:
        both = self.time + self.power
        return np.asarray(both[0] + z @ both[1:])


def calibrate(
    measurements: Measurements,
    *,
    cells: int | None = None,
    device: str = "own",
    descriptors: Descriptors | None = None,
    folds: int | None = None,
    seed: int = 0,
) -> Calibration:
    """Fit a device's model.

    Args:
        measurements: of at least 8 cells; about 20 are enough. Which ones, says `choose`.
        cells: fit only so many, chosen among the measured by `choose`, and test on the others.
        device: its name.
        descriptors: those of the package where left out.
        folds: of the cross-validation; each measurement is left out once by itself where left
            out (up to 120 measurements, then 10 folds).
        seed: of the folds and of the choice.

    Raises:
        ConfigError: too few cells.
        UnknownCellError: a row is none of the seven-vertex space.
    """
    base = descriptors or shipped_descriptors()
    total = len(measurements.rows)
    check_counts(least=0, seed=seed)
    if cells is not None:
        check_counts(cells=cells)
    if cells is not None and cells > total:
        raise ConfigError(
            "fewer runs were measured than are to be fitted",
            value=cells,
            expected=f"{_FEWEST} to {total}",
            remedy="leave it out to fit all",
        )
    fitted, rest = measurements, None
    if cells is not None and cells < total:
        rows = choose(cells, rows=measurements.rows, seed=seed, descriptors=base)
        mask = np.isin(measurements.rows, rows)
        fitted, rest = measurements.take(mask), measurements.take(~mask)
    n = len(fitted.rows)
    if len(np.unique(fitted.rows)) < _FEWEST:
        raise ConfigError(
            "too few cells to calibrate a device",
            value=len(np.unique(fitted.rows)),
            expected=f"{_FEWEST} or more, better 20",
            remedy="measure those that `ecnas surrogate choose` names",
        )
    x = features(fitted.rows)
    z, first = base(x), base.time_s(x)
    fit = _fit(z, first, fitted)
    suspicious = _suspicious(fit, first, z, fitted)
    doubted = np.isin(np.arange(n), [i for i, _ in suspicious])

    number = folds or (n if n <= 120 else 10)
    _, cell = np.unique(fitted.rows, return_inverse=True)
    # Repeats of a cell stay together; else the fit would have seen it.
    fold = np.random.default_rng(seed).permutation(int(cell.max()) + 1)[cell] % number
    log = np.empty(n)
    for f in np.unique(fold):
        out = fold == f
        log[out] = _fit(z[~out], first[~out], fitted.take(~out)).log_energy(z[out])
    predicted = first * np.exp(log)
    error = np.abs(np.log(fitted.energy_kwh / predicted))
    sound = ~doubted
    sd = _quantile(error[sound]) / Z90
    model = DeviceModel(
        device,
        base,
        fit.time,
        fit.power,
        sd,
        low=z[sound].min(axis=0),
        high=z[sound].max(axis=0),
        vertices=int(x[sound, _VERTICES].max()),
    )
    report = Report(
        device=device,
        cells=n,
        cross_validated=_scores(fitted.energy_kwh, predicted, sd),
        sound=_scores(fitted.energy_kwh[sound], predicted[sound], sd),
        worst=float(100 * np.max(np.abs(predicted / fitted.energy_kwh - 1)[sound])),
        suspicious=tuple(s for _, s in suspicious),
        **({} if rest is None else _held_out(model, fit, rest)),
    )
    return Calibration(model, report)


def _fit(z: Vector, first: Vector, m: Measurements) -> _Fit:
    energy = np.log(m.energy_kwh / first)
    if m.training_time_s is None:
        whole = _robust(z, energy, ENERGY_PENALTY, _ENERGY_FLOOR)
        none = np.zeros_like(whole.coefficients)
        return _Fit(none, whole.coefficients, None, energy - whole(z), whole.weight)
    ratio = np.log(m.training_time_s / first)
    time = _robust(z, ratio, TIME_PENALTY, _TIME_FLOOR, one_sided=True)
    # A disturbed run's power is no better than its time.
    sound = time.weight > 0
    power = robust_ridge(
        z[sound],
        np.log(m.energy_kwh / m.training_time_s)[sound],
        penalty=POWER_PENALTY,
        floor=_ENERGY_FLOOR,
    )
    weight = np.zeros(len(z))
    weight[sound] = power.weight
    residual = energy - time(z) - power(z)
    return _Fit(time.coefficients, power.coefficients, ratio - time(z), residual, weight)


def _robust(
    z: Vector, y: Vector, penalty: float, floor: float, *, one_sided: bool = False
) -> RobustFit:
    start = trimmed_start(z, y, penalty=penalty, within=4 * floor)
    return robust_ridge(z, y, penalty=penalty, start=start, floor=floor, one_sided=one_sided)


def _suspicious(
    fit: _Fit, first: Vector, z: Vector, m: Measurements
) -> list[tuple[int, Suspicious]]:
    """Index and description of each, the worst first."""
    found = []
    by_energy = np.exp(fit.log_energy(z)) * first
    by_time = first * np.exp(fit.time[0] + z @ fit.time[1:])
    for i in np.flatnonzero(fit.weight == 0):
        off_time = fit.time_residual is not None and abs(fit.time_residual[i]) > 0.05
        name, value, expected = "energy_kwh", m.energy_kwh[i], by_energy[i]
        if m.training_time_s is not None and off_time:
            name, value, expected = "training_time_s", m.training_time_s[i], by_time[i]
        factor = float(value / expected)
        found.append(
            (int(i), Suspicious(int(m.rows[i]), name, float(value), float(expected), factor, 0.0))
        )
    return sorted(found, key=lambda pair: -abs(np.log(pair[1].factor)))


def _held_out(model: DeviceModel, fit: _Fit, rest: Measurements) -> dict[str, Scores]:
    x = features(rest.rows)
    mean, std = model.predict(x)
    sd = std / mean
    off = np.abs(np.log(rest.energy_kwh / mean)) > np.log(1.3)
    if rest.training_time_s is not None:
        off |= np.abs(np.log(rest.training_time_s / model.training_time_s(x))) > np.log(1.05)
    sound = ~off
    return {
        "held_out": _scores(rest.energy_kwh, mean, sd),
        "held_out_sound": _scores(rest.energy_kwh[sound], mean[sound], sd[sound]),
    }


def _scores(true: Vector, predicted: Vector, sd: float | Vector) -> Scores:
    factor = np.exp(Z90 * np.asarray(sd))
    return scores(true, predicted, predicted / factor, predicted * factor)


def _quantile(error: Vector) -> float:
    """The 90 % quantile of split conformal: of n errors the one of rank ceil(0.9 (n + 1))."""
    ordered = np.sort(error)
    return float(ordered[min(int(np.ceil(0.9 * (len(ordered) + 1))), len(ordered)) - 1])
