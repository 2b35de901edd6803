"""An energy model of another GPU from the measurements of few cells, and how good it is."""

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
from naslib_ecnas.surrogate.features import FEATURES, features
from naslib_ecnas.surrogate.models import (
    SPANS,
    Descriptors,
    DeviceModel,
    Weights,
    shipped_descriptors,
)
from naslib_ecnas.surrogate.robust import RobustFit, robust_ridge, trimmed_start

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


# Which cells to measure on a new GPU: those that fix the calibration, not a random draw.


#: More candidates than this tell nothing new.
_CANDIDATES = 20_000

#: Candidates' spread in units of which a slope is known beforehand.
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
    """(cells,) rows to measure, in the order of their worth; equal arguments, equal rows.

    A part is D-optimal: each next cell is the one that the cells before say least about, under
    the linear model of calibration; these lie at the extremes. The others are k-centres: each
    next cell is the one farthest from those chosen, so that none is far from all of them.

    Args:
        cells: how many.
        vertices: candidates are all cells of up to so many vertices (at most 20,000 drawn).
        rows: (n,) candidates instead.
        seed: of the draw of candidates.
        cost: 0 ignores what a measurement costs; at 1 a cell that takes twice the time has to
            tell twice as much.
        spread: share of k-centres.
        descriptors: those of the package where left out.

    Raises:
        ConfigError: fewer candidates than cells, or fewer than 8 cells.
        UnknownCellError: a row is none of the seven-vertex space.
    """
    check_counts(cells=cells)
    check_counts(least=0, seed=seed)
    check_numbers(cost=cost, spread=spread)
    if rows is None:
        space = Space(vertices)
        # Row 0 has no vertices: its time is no sum over kinds of layers.
        pool = np.arange(1, len(space), dtype=np.int64)
        if len(pool) > _CANDIDATES:
            drawn = np.random.default_rng(seed).choice(pool, _CANDIDATES, replace=False)
            pool = np.sort(drawn)
    else:
        pool = np.unique(whole_numbers(rows).astype(np.int64))
    if not 8 <= cells <= len(pool):
        raise ConfigError(
            "cannot choose so many cells",
            value=cells,
            expected=f"8 to {len(pool)} (of the candidates)",
            remedy="ask for another number or give more candidates",
        )
    if not (0 <= spread <= 1 and cost >= 0):
        raise ConfigError(
            "no such design",
            value=f"spread {spread}, cost {cost}",
            expected="spread of 0 to 1, cost of 0 or more",
            remedy="leave them out",
        )
    base = descriptors or shipped_descriptors()
    x = features(pool)
    z = base(x)
    # Candidates' own scale: over seven vertices the descriptors spread otherwise than over four.
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


# From a file of measurements on a GPU to its calibration and the weights to keep.


#: Epochs of the trainings that devices are calibrated on.
EPOCHS = 4


def measurements_of(table: Table) -> Measurements:
    """The runs of 4 epochs in a table, one for each repeat.

    Raises:
        ConfigError: it has none, or no energies.
        ProvenanceError: its energies are modelled.
    """
    if EPOCHS not in table.budgets or "energy_kwh" not in table.metrics:
        raise ConfigError(
            "holds no energies of 4 epochs",
            value=f"{table.name}: budgets {table.budgets}, {', '.join(table.metrics)}",
            expected="energy_kwh at 4 epochs",
            remedy="measure that budget: it is what calibrations are made of",
        )
    # Scaled ones are as measured at 4 epochs.
    if table.provenance["energy_kwh"].kind == "modelled":
        raise ProvenanceError(
            "a model's energies tell nothing of a GPU",
            value=f"{table.name}: {table.provenance['energy_kwh']}",
            expected="measured ones",
            remedy="measure the cells that `ecnas surrogate choose` names",
        )
    budget = table.budgets.index(EPOCHS)
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
        device: name of the GPU; that of the file's provenance where left out.
        pue: PUE within the energies; that of the file's provenance where left out.
        span: `run` where the energies are from the start of the run to the end of training,
            `steps` where they are of the steps of training alone; what the file says where left
            out, else `run`, which EC-NAS's are. The file of a campaign says the start-up's share
            too, so that longer budgets follow from the device's own.
        seed: of the choice and the folds.

    Raises:
        ConfigError: too few cells, no energies of 4 epochs, no PUE known, or a span that is none
            or not the file's.
        ProvenanceError: its energies are modelled.
        UnknownTableError: there is no such file.
        FormatError: it cannot be read.
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
            "the PUE within the energies is not known",
            value=str(source),
            expected="a file that says it, or --pue",
            remedy="--pue 1 where the energies are those of the machine itself",
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
    arrays = {**model.descriptors.to_arrays(), **model.to_arrays(name)}
    return replace(calibration, model=model), Weights(header, arrays)


def _span(table: Table, asked: str | None) -> str:
    """What the energies are of."""
    said = table.attributes.get("energy_span")
    span = asked or said or "run"
    if span not in SPANS or (said is not None and span != said):
        raise ConfigError(
            "the energies are of something else",
            value=span,
            expected=said if said in SPANS else " or ".join(SPANS),
            remedy="leave --span out where the file says it",
        )
    return span


def _start_share(table: Table) -> float | None:
    """Share of the start-up in the energy of a run of 4 epochs, where the file says it."""
    text = table.attributes.get("start_up_share")
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise FormatError(
            "no share of the start-up", path=table.path, value=text, expected="0 to below 1"
        )
    return share
