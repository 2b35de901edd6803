"""Calibrating another GPU: which cells to measure, the fit to few measurements, its quality.

`choose` names cells worth measuring, `calibrate` fits a `DeviceModel` to their measurements by
ridge regression that disturbed runs do not bend, and `calibrated` does so for a file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.data.table import Table, check_pue
from naslib_ecnas.errors import (
    ConfigError,
    FormatError,
    ProvenanceError,
    check_counts,
    check_numbers,
    whole_numbers,
)
from naslib_ecnas.quality import Z90, Scores, scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.devices import SPANS, Descriptors, DeviceModel, shipped_descriptors
from naslib_ecnas.surrogate.features import features, vertices_of
from naslib_ecnas.surrogate.models import Weights

__all__ = [
    "Calibration",
    "Measurements",
    "Report",
    "Suspicious",
    "calibrate",
    "calibrated",
    "choose",
    "measurements_of",
]

Vector = NDArray[np.float64]

#: Fewest cells of a calibration.
_FEWEST = 8

# -- which cells to measure -----------------------------------------------------------------------

#: Further candidates would add nothing.
_CANDIDATES = 20_000

#: Prior variance of a slope is 1 / _RIDGE, in units of the candidates' spread.
_RIDGE = 0.3


def choose(
    cells: int = 20,
    *,
    vertices: int = 7,
    rows: ArrayLike | None = None,
    seed: int = 0,
    cost: float = 0.0,
    spread: float = 0.5,
    descriptors: Descriptors | None = None,
) -> NDArray[np.int64]:
    """(cells,) rows to measure, the most informative first; equal arguments, equal rows.

    A part is D-optimal: each next cell is the one whose prediction by a linear model of the cells
    before is least certain; these lie at the extremes. The others are k-centres: each next cell is
    the one farthest from those chosen, so that none is far from all of them.

    Args:
        cells: how many.
        vertices: candidates are all cells of up to so many vertices (at most 20,000 drawn).
        rows: (n,) candidates instead.
        seed: of the draw of candidates.
        cost: 0 ignores what a measurement costs; at 1 a cell that takes twice the time has to
            give twice the information.
        spread: share of k-centres, 0 to 1.
        descriptors: those of the package by default.

    Raises:
        ConfigError: fewer candidates than cells, or fewer than 8 cells.
        UnknownCellError: a row is not one of the seven-vertex space.
    """
    check_counts(least=_FEWEST, cells=cells)
    check_counts(least=0, seed=seed)
    check_numbers(least=0, cost=cost)
    check_numbers(least=0, most=1, spread=spread)
    if rows is None:
        space = Space(vertices)
        # Row 0 has no vertices: its time is no sum over kinds of layers.
        pool = np.arange(1, len(space), dtype=np.int64)
        if len(pool) > _CANDIDATES:
            drawn = np.random.default_rng(seed).choice(pool, _CANDIDATES, replace=False)
            pool = np.sort(drawn)
    else:
        pool = np.unique(whole_numbers(rows).astype(np.int64))
    if cells > len(pool):
        raise ConfigError(f"cannot choose {cells} of {len(pool)} candidates")
    base = descriptors or shipped_descriptors()
    x = features(pool)
    z = base(x)
    # Scaled to the candidates: descriptors of seven-vertex cells spread more than of four-vertex.
    z = (z - z.mean(axis=0)) / np.maximum(z.std(axis=0), 1e-9)
    price = base.time_s(x) ** cost
    first = cells - round(spread * cells)
    chosen = _d_optimal(z, price, first)
    chosen += _centres(z, price, chosen, cells - first)
    return pool[chosen]


def _d_optimal(z: NDArray[np.float64], price: NDArray[np.float64], number: int) -> list[int]:
    design = np.column_stack([np.ones(len(z)), z])
    inverse = np.diag([1e6, *[1 / _RIDGE] * z.shape[1]])
    chosen: list[int] = []
    free = np.ones(len(z), dtype=bool)
    for _ in range(number):
        # Gain of log det of the information, by the matrix determinant lemma.
        gain = np.log1p(np.einsum("ij,jk,ik->i", design, inverse, design)) / price
        best = int(np.argmax(np.where(free, gain, -np.inf)))
        chosen.append(best)
        free[best] = False
        row = inverse @ design[best]
        inverse = inverse - np.outer(row, row) / (1 + design[best] @ row)
    return chosen


def _centres(
    z: NDArray[np.float64], price: NDArray[np.float64], before: list[int], number: int
) -> list[int]:
    near = np.full(len(z), np.inf)
    for i in before:
        near = np.minimum(near, ((z - z[i]) ** 2).sum(axis=1))
    chosen: list[int] = []
    for _ in range(number):
        if before or chosen:
            best = int(np.argmax(np.sqrt(near) / price))
        else:
            best = int(np.argmin((z**2).sum(axis=1)))  # begin in the middle
        chosen.append(best)
        near = np.minimum(near, ((z - z[best]) ** 2).sum(axis=1))
    return chosen


# -- ridge regression that single wrong measurements do not bend ----------------------------------

#: Residuals over this many spreads count less: 95 % as efficient as least squares on a normal.
_HUBER = 1.345
_STEPS = 30
#: Random fits of `trimmed_start`, and the share of measurements that each is improved on.
_STARTS, _SOUND = 100, 0.7


@dataclass(frozen=True)
class RobustFit:
    """Coefficients and the weight of each measurement."""

    coefficients: Vector
    """(1 + k,) intercept first."""
    weight: Vector
    """(n,) weights from 1 to 0; outliers have 0."""

    def __call__(self, x: NDArray[Any]) -> Vector:
        """(n,) fitted values of (n, k)."""
        return np.asarray(self.coefficients[0] + x @ self.coefficients[1:], dtype=np.float64)


def robust_ridge(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    penalty: float,
    start: NDArray[Any] | None = None,
    floor: float = 1e-3,
    cut: float = 6.0,
    one_sided: bool = False,
) -> RobustFit:
    """Iteratively reweighted least squares with Huber's weights; the intercept is not shrunk.

    Args:
        x: (n, k) standardised descriptors.
        y: (n,) values.
        penalty: of the squared coefficients.
        start: (n,) weights of the first step, all 1 by default.
        floor: least spread, so that an exact fit does not turn all else into outliers.
        cut: residuals over so many spreads get weight 0. Where this would leave less than half of
            the measurements, the starting weights are used.
        one_sided: whether only positive residuals can get weight 0: another job on the machine
            makes a run longer, none makes it shorter.
    """
    design = np.column_stack([np.ones(len(y)), np.asarray(x, dtype=np.float64)])
    shrink = np.diag([1e-9, *[penalty] * (design.shape[1] - 1)])
    begin = np.ones(len(y)) if start is None else np.asarray(start, dtype=np.float64)
    weight = begin
    b = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        weighted = design * weight[:, None]
        b = np.linalg.solve(design.T @ weighted + shrink, weighted.T @ y)
        residual = y - design @ b
        error = np.abs(residual)
        spread = max(1.4826 * float(np.median(error[weight > 0])), floor)
        weight = np.minimum(1, _HUBER * spread / np.maximum(error, 1e-300))
        weight = np.where((residual if one_sided else error) > cut * spread, 0.0, weight)
        if np.count_nonzero(weight) < len(y) / 2:
            weight = begin
    return RobustFit(b, weight)


def trimmed_start(
    x: NDArray[Any], y: NDArray[Any], *, penalty: float, within: float, seed: int = 0
) -> NDArray[np.bool_]:
    """(n,) mask of sound measurements, where up to 30 % may be wrong to one side.

    Least trimmed squares (Rousseeuw and Van Driessen, Data Mining and Knowledge Discovery 12,
    2006, section 3): many fits to few measurements drawn at random, each improved twice by a fit
    to the measurements nearest to it; the one with the least sum of squares over these wins.

    Args:
        x: (n, k) standardised descriptors.
        y: (n,) values.
        penalty: of the squared coefficients.
        within: residuals up to this, or up to four spreads, are sound.
        seed: of the draws.
    """
    design = np.column_stack([np.ones(len(y)), np.asarray(x, dtype=np.float64)])
    n, k = design.shape
    shrink = np.diag([1e-9, *[penalty] * (k - 1)])
    nearest = min(n, max(int(np.ceil(_SOUND * n)), k + 1))
    rng = np.random.default_rng(seed)
    chosen = rng.permuted(np.tile(np.arange(n), (_STARTS, 1)), axis=1)[:, : min(k + 1, n)]
    error = np.zeros((0, n))
    for _ in range(3):
        part, value = design[chosen], y[chosen]
        left = np.swapaxes(part, 1, 2) @ part + shrink
        right = np.swapaxes(part, 1, 2) @ value[:, :, None]
        fits = np.linalg.solve(left, right)[:, :, 0]
        error = np.abs(y - fits @ design.T)
        chosen = np.argpartition(error, nearest - 1, axis=1)[:, :nearest]
    best = int(np.argmin((np.take_along_axis(error, chosen, axis=1) ** 2).sum(axis=1)))
    # The median of the nearest 70 % is the 35 % quantile of all: 0.454 standard deviations.
    spread = float(np.median(error[best][chosen[best]])) / 0.454
    return np.asarray(error[best] <= max(within, 4 * spread))


# -- the calibration of a device ------------------------------------------------------------------

#: The best for the four GPUs of `fit.devices` together, on random draws of 20 cells.
_TIME_PENALTY, _POWER_PENALTY, _ENERGY_PENALTY = 0.3, 2.0, 1.0

#: Least spreads of the noise (log), so that a lucky fit to few cells does not make outliers of the
#: rest; a measurement more than six of them off is suspicious.
_TIME_FLOOR, _ENERGY_FLOOR = 0.01, 0.04


@dataclass(frozen=True)
class Measurements:
    """Runs of 4 epochs on one device."""

    rows: NDArray[np.int64]
    """(n,) rows of the cells."""
    energy_kwh: Vector
    """(n,) from the start of the run to the end of training."""
    training_time_s: Vector | None = None
    """(n,) s of training. They tell disturbed runs from sound ones and improve the calibration."""

    @classmethod
    def of(
        cls, rows: ArrayLike, energy_kwh: ArrayLike, training_time_s: ArrayLike | None = None
    ) -> Measurements:
        """Measurements of arrays of equal length, checked to be positive numbers.

        Raises:
            ConfigError: lengths differ, or a value is not positive.
        """
        r = np.asarray(rows)
        columns = {"energy_kwh": np.asarray(energy_kwh, dtype=np.float64)}
        if training_time_s is not None:
            columns["training_time_s"] = np.asarray(training_time_s, dtype=np.float64)
        for name, values in columns.items():
            if r.ndim != 1 or values.shape != r.shape:
                raise ConfigError(f"{name} must have the shape {r.shape}", value=values.shape)
            wrong = ~(np.isfinite(values) & (values > 0))
            if wrong.any():
                value = float(values[wrong][0])
                raise ConfigError(f"{name} of row {r[wrong][0]} must be positive", value=value)
        return cls(r.astype(np.int64), columns["energy_kwh"], columns.get("training_time_s"))

    def take(self, chosen: NDArray[Any]) -> Measurements:
        """The measurements of a mask or of indices."""
        time = self.training_time_s
        return Measurements(
            self.rows[chosen], self.energy_kwh[chosen], None if time is None else time[chosen]
        )


@dataclass(frozen=True)
class Suspicious:
    """A measurement far off the fit to the others, such as a run beside another job."""

    row: int
    quantity: str
    """`energy_kwh` or `training_time_s`."""
    value: float
    expected: float
    factor: float
    """value / expected."""
    weight: float
    """Its weight in the fit."""


@dataclass(frozen=True)
class Report:
    """Quality of a calibration."""

    device: str
    cells: int
    """Measurements that were fitted."""
    cross_validated: Scores
    """Of the energies in kWh, each measurement predicted by a fit without it; suspicious ones
    included."""
    sound: Scores
    """The same without the suspicious ones."""
    worst: float
    """Largest error of a measurement that is not suspicious, in per cent."""
    suspicious: tuple[Suspicious, ...]
    held_out: Scores | None = None
    """On measurements that were not chosen for the fit, where `cells` left some."""
    held_out_sound: Scores | None = None
    """The same without those whose time is over 5 % or whose energy is over 30 % off the fit."""

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
        """(n,) log(kWh / s of one epoch on the first GPU) of (n, 5) descriptors."""
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
    """Fit the model of a device and cross-validate it.

    Args:
        measurements: of at least 8 cells; 20 that `choose` names are enough.
        cells: fit only so many, chosen among the measured by `choose`, and test on the others.
        device: its name.
        descriptors: those of the package by default.
        folds: of the cross-validation; by default each cell is left out by itself, or there are
            10 folds for more than 120 measurements.
        seed: of the folds and of the choice.

    Raises:
        ConfigError: too few cells.
        UnknownCellError: a row is not one of the seven-vertex space.
    """
    base = descriptors or shipped_descriptors()
    total = len(measurements.rows)
    check_counts(least=0, seed=seed)
    if cells is not None:
        check_counts(cells=cells)
    if cells is not None and cells > total:
        raise ConfigError(f"cannot fit {cells} of {total} measurements")
    fitted, rest = measurements, None
    if cells is not None and cells < total:
        rows = choose(cells, rows=measurements.rows, seed=seed, descriptors=base)
        mask = np.isin(measurements.rows, rows)
        fitted, rest = measurements.take(mask), measurements.take(~mask)
    n = len(fitted.rows)
    if len(np.unique(fitted.rows)) < _FEWEST:
        raise ConfigError(
            f"a calibration needs {_FEWEST} or more cells, better 20",
            value=len(np.unique(fitted.rows)),
            remedy="measure those that this names: ecnas surrogate choose",
        )
    x = features(fitted.rows)
    z, first = base(x), base.time_s(x)
    fit = _fit(z, first, fitted)
    suspicious = _suspicious(fit, first, z, fitted)
    doubted = np.isin(np.arange(n), [i for i, _ in suspicious])

    number = folds or (n if n <= 120 else 10)
    _, cell = np.unique(fitted.rows, return_inverse=True)
    # Repeats of a cell stay together: a fold's fit must not see its cells.
    fold = np.random.default_rng(seed).permutation(int(cell.max()) + 1)[cell] % number
    log = np.empty(n)
    for f in np.unique(fold):
        out = fold == f
        log[out] = _fit(z[~out], first[~out], fitted.take(~out)).log_energy(z[out])
    predicted = first * np.exp(log)
    error = np.abs(np.log(fitted.energy_kwh / predicted))
    sound = ~doubted
    sd = conformal_sd(error[sound])
    model = DeviceModel(
        device,
        base,
        fit.time,
        fit.power,
        sd,
        low=z[sound].min(axis=0),
        high=z[sound].max(axis=0),
        vertices=int(vertices_of(fitted.rows)[sound].max()) - 2,
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
        whole = _robust(z, energy, _ENERGY_PENALTY, _ENERGY_FLOOR)
        none = np.zeros_like(whole.coefficients)
        return _Fit(none, whole.coefficients, None, energy - whole(z), whole.weight)
    ratio = np.log(m.training_time_s / first)
    time = _robust(z, ratio, _TIME_PENALTY, _TIME_FLOOR, one_sided=True)
    # A run with a disturbed time has a disturbed power.
    sound = time.weight > 0
    power = robust_ridge(
        z[sound],
        np.log(m.energy_kwh / m.training_time_s)[sound],
        penalty=_POWER_PENALTY,
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
    """Index and description of each measurement of weight 0, the worst first."""
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


def conformal_sd(error: NDArray[Any]) -> float:
    """Standard deviation such that 1.645 times it bounds nine tenths of (n,) absolute errors.

    Split conformal: of n errors the one of rank ceil(0.9 (n + 1)).
    """
    ordered = np.sort(error)
    rank = min(int(np.ceil(0.9 * (len(ordered) + 1))), len(ordered))
    return float(ordered[rank - 1]) / Z90


# -- from a file of measurements to the weights to keep -------------------------------------------

#: Epochs of the trainings that devices are calibrated on.
_EPOCHS = 4


def measurements_of(table: Table) -> Measurements:
    """The runs of 4 epochs in a table, one for each repeat.

    Raises:
        ConfigError: the table has no energies at 4 epochs.
        ProvenanceError: its energies are modelled.
    """
    if _EPOCHS not in table.budgets or "energy_kwh" not in table.metrics:
        raise ConfigError(
            f"a calibration needs energy_kwh at {_EPOCHS} epochs; table {table.name} has "
            f"{', '.join(table.metrics)} at {table.budgets}"
        )
    # Energies scaled from 4 epochs are measured ones there.
    if table.provenance["energy_kwh"].kind == "modelled":
        raise ProvenanceError(
            f"a calibration needs measured energies; table {table.name} has modelled ones"
        )
    budget = table.budgets.index(_EPOCHS)
    energy = table.at_budget("energy_kwh", budget)
    there = np.isfinite(energy)
    rows = np.repeat(table.rows.astype(np.int64), energy.shape[1])[there.ravel()]
    time = None
    if "training_time_s" in table.metrics:
        seconds = table.at_budget("training_time_s", budget)[there]
        time = seconds if np.isfinite(seconds).all() else None
    return Measurements.of(rows, energy[there], time)


def calibrated(
    source: str | PathLike[str],
    *,
    cells: int | None = None,
    device: str | None = None,
    pue: float | None = None,
    span: str | None = None,
    seed: int = 0,
) -> tuple[Calibration, Weights]:
    """Calibrate a device from a file.

    Args:
        source: any file that `ecnas data convert` reads, or a table's name.
        cells: fit only so many and test on the others.
        device: name of the GPU; by default from the file's provenance.
        pue: PUE within the energies; by default from the file's provenance.
        span: `run` if the energies cover the run from its start to the end of training, `steps`
            if they cover the steps of training alone; by default the file's attribute, or else
            `run`, as in EC-NAS. The file of a campaign gives the share of the start-up too, which
            then scales the energies to longer budgets.
        seed: of the choice and the folds.

    Raises:
        ConfigError: too few cells, no energies at 4 epochs, an unknown PUE, or a span that is not
            the file's.
        ProvenanceError: the energies are modelled.
        UnknownTableError: there is no such file.
        FormatError: the file cannot be read.
    """
    if pue is not None:
        check_pue(pue)
    path = converted(source)
    table = Table.open(path)
    measurements = measurements_of(table)
    origin = table.provenance["energy_kwh"]
    pue = origin.pue if pue is None else pue
    if pue is None:
        raise ConfigError(
            f"{source} does not give the PUE within its energies",
            remedy="add --pue 1 if no overhead is included",
        )
    name = device or origin.device or Path(str(source)).stem
    span, share = _span(table, span), _start_share(table)
    calibration = calibrate(measurements, cells=cells, device=name, seed=seed)
    model = replace(calibration.model, name=name, span=span, start_share=share)
    header: dict[str, Any] = {
        "target": "energy of another GPU",
        "device": name,
        "pue": pue,
        "energy_span": span,
        "start_up_share": share,
        "seed": seed,
        "data": {Path(str(source)).name: origin.sha256 or sha256_of(path)},
        "split": f"{len(calibration.model.low)} descriptors; each run left out in turn",
        "quality": {
            f"energy at 4 epochs, {name}": {
                **calibration.report.sound.to_json(),
                "unit": "kWh",
                "about": "each run left out in turn, without runs far off the others",
            }
        },
        "report": calibration.report.to_json(),
    }
    if origin.kind == "synthetic":
        header["synthetic"] = True
    return replace(calibration, model=model), Weights(header, model.to_arrays(f"{name}."))


def _span(table: Table, asked: str | None) -> str:
    """What the energies cover, one of `SPANS`."""
    said = table.attributes.get("energy_span")
    span = asked or said or "run"
    if span not in SPANS or (said is not None and span != said):
        wanted = said if said in SPANS else " or ".join(SPANS)
        raise ConfigError(f"the span of the energies must be {wanted}", value=span)
    return span


def _start_share(table: Table) -> float | None:
    """Share of the start-up in the energy of a run of 4 epochs, None if the file has none."""
    text = table.attributes.get("start_up_share")
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise FormatError("start_up_share must be from 0 to below 1", path=table.path, value=text)
    return share
