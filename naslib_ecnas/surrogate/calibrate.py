"""Calibrating another GPU: which cells to measure, the fit to few measurements, its quality.

`choose` names cells worth measuring, `calibrate` fits a `DeviceModel` to their measurements by
ridge regression that disturbed runs do not bend, and `calibrated` does so for a file.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

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
    check_types,
    whole_numbers,
)
from naslib_ecnas.files import to_plain
from naslib_ecnas.quality import QualityLine, Scores, log_scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.devices import SPANS, Descriptors, DeviceModel
from naslib_ecnas.surrogate.features import features, vertices_of
from naslib_ecnas.surrogate.models import Weights
from naslib_ecnas.surrogate.robust import conformal_sd, robust_ridge

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
) -> NDArray[np.int64]:
    """(cells,) rows to measure, the most informative first; equal arguments, equal rows.

    Half is D-optimal: each next cell is the one whose prediction by a linear model of the cells
    before is least certain; these lie at the extremes. The others are k-centres: each next cell is
    the one farthest from those chosen, so that none is far from all of them.

    Args:
        cells: how many.
        vertices: candidates are all cells of up to so many vertices (at most 20,000 drawn).
        rows: (n,) candidates instead.
        seed: of the draw of candidates.

    Raises:
        ConfigError: fewer candidates than cells, or fewer than 8 cells.
        UnknownCellError: a row is not one of the seven-vertex space.
    """
    check_counts(least=_FEWEST, cells=cells)
    check_counts(least=0, seed=seed)
    if rows is None:
        # Row 0 has no vertices: its time is no sum over kinds of layers.
        pool = np.arange(1, len(Space(vertices)), dtype=np.int64)
        if len(pool) > _CANDIDATES:
            drawn = np.random.default_rng(seed).choice(pool, _CANDIDATES, replace=False)
            pool = np.sort(drawn)
    else:
        pool = np.unique(whole_numbers(rows).astype(np.int64))
    if cells > len(pool):
        raise ConfigError(f"cannot choose {cells} of {len(pool)} candidates")
    z = Descriptors.shipped()(features(pool))
    # Scaled to the candidates: descriptors of seven-vertex cells spread more than of four-vertex.
    z = (z - z.mean(axis=0)) / np.maximum(z.std(axis=0), 1e-9)
    design = np.column_stack([np.ones(len(z)), z])
    inverse = np.diag([1e6, *[1 / _RIDGE] * z.shape[1]])
    chosen: list[int] = []
    near = np.full(len(z), np.inf)  # squared distance to the nearest chosen one
    for number in range(cells):
        if number < cells - round(0.5 * cells):
            # Gain of log det of the information, by the matrix determinant lemma.
            gain = np.log1p(np.einsum("ij,jk,ik->i", design, inverse, design))
            gain[chosen] = -np.inf
            chosen.append(int(np.argmax(gain)))
            row = inverse @ design[chosen[-1]]
            inverse = inverse - np.outer(row, row) / (1 + design[chosen[-1]] @ row)
        else:
            chosen.append(int(np.argmax(near)))
        near = np.minimum(near, ((z - z[chosen[-1]]) ** 2).sum(axis=1))
    return pool[chosen]


# -- the calibration of a device ------------------------------------------------------------------

#: Penalties, the best for the four GPUs of `fit.devices` together on random draws of 20 cells, and
#: least spreads of the noise (log), so that a lucky fit to few cells does not make outliers of the
#: rest; a measurement more than six of them off is suspicious.
_TIME, _POWER, _ENERGY = (0.3, 0.01), (2.0, 0.04), (1.0, 0.04)


@dataclass(frozen=True)
class Measurements:
    """Runs of 4 epochs on one device."""

    rows: NDArray[np.int64]
    """(n,) rows of the cells."""
    energy_kwh: Vector
    """(n,) of start-up and training steps, without evaluations."""
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
        time = None if self.training_time_s is None else self.training_time_s[chosen]
        return Measurements(self.rows[chosen], self.energy_kwh[chosen], time)


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
        every = {name: v.to_json() for name, v in vars(self).items() if isinstance(v, Scores)}
        suspicious = [asdict(each) for each in self.suspicious]
        rounded = {"worst": round(self.worst, 3), "suspicious": suspicious}
        return {"device": self.device, "cells": self.cells, **rounded, **every}


@dataclass(frozen=True)
class Calibration:
    """A device's model and its report."""

    model: DeviceModel
    report: Report


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
    check_types(Measurements, measurements=measurements)
    base = descriptors or Descriptors.shipped()
    check_counts(least=0, seed=seed)
    chosen = np.ones(len(measurements.rows), dtype=bool)
    if folds is not None:
        check_counts(least=2, folds=folds)
    if cells is not None and cells != len(chosen):
        chosen = np.isin(measurements.rows, choose(cells, rows=measurements.rows, seed=seed))
    fitted = measurements.take(chosen)
    number, (found, cell) = len(fitted.rows), np.unique(fitted.rows, return_inverse=True)
    if len(found) < _FEWEST:
        raise ConfigError(
            f"a calibration needs {_FEWEST} or more cells, better 20",
            value=len(found),
            remedy="measure those that this names: ecnas surrogate choose",
        )
    x = features(fitted.rows)
    z, first = base(x), base.time_s(x)
    fit = _fit(z, first, fitted)

    # Repeats of a cell stay together: a fold's fit must not see its cells.
    folds = folds or (number if number <= 120 else 10)
    fold = np.random.default_rng(seed).permutation(len(found))[cell] % folds
    predicted = np.empty(number)
    for part in (fold == f for f in np.unique(fold)):
        others = _fit(z[~part], first[~part], fitted.take(~part))
        predicted[part] = others.energy(z[part], first[part])
    sound, energy = fit.weight > 0, fitted.energy_kwh
    sd = conformal_sd(np.abs(np.log(energy / predicted))[sound])
    vertices = int(vertices_of(fitted.rows)[sound].max()) - 2
    limits = z[sound].min(axis=0), z[sound].max(axis=0), vertices
    model = DeviceModel(device, base, fit.time, fit.power, sd, *limits)
    report = Report(
        device=device,
        cells=number,
        cross_validated=log_scores(energy, predicted, sd),
        sound=log_scores(energy[sound], predicted[sound], sd),
        worst=float(100 * np.max(np.abs(predicted / energy - 1)[sound])),
        suspicious=_suspicious(fit, fitted, z, first),
        **({} if chosen.all() else _held_out(model, measurements.take(~chosen))),
    )
    return Calibration(model, report)


class _Fit(NamedTuple):
    """Intercepts and slopes as in `DeviceModel`, and the weights of the measurements."""

    time: Vector
    power: Vector
    weight: Vector

    def energy(self, z: Vector, first: Vector) -> Vector:
        """(n,) kWh of (n, 5) descriptors and (n,) s of one epoch on the first GPU."""
        both = self.time + self.power
        return np.asarray(first * np.exp(both[0] + z @ both[1:]))


def _fit(z: Vector, first: Vector, m: Measurements) -> _Fit:
    if m.training_time_s is None:
        whole = robust_ridge(z, np.log(m.energy_kwh / first), *_ENERGY, trimmed=True)
        return _Fit(np.zeros_like(whole.coefficients), whole.coefficients, whole.weight)
    seconds = np.log(m.training_time_s / first)
    time = robust_ridge(z, seconds, *_TIME, trimmed=True, one_sided=True)
    # A run with a disturbed time has a disturbed power.
    sound = time.weight > 0
    watt = np.log(m.energy_kwh / m.training_time_s)[sound]  # up to a constant
    power = robust_ridge(z[sound], watt, *_POWER)
    weight = np.zeros(len(z))
    weight[sound] = power.weight
    return _Fit(time.coefficients, power.coefficients, weight)


def _suspicious(fit: _Fit, m: Measurements, z: Vector, first: Vector) -> tuple[Suspicious, ...]:
    """The measurements of weight 0, the worst first."""
    energy, time = fit.energy(z, first), first * np.exp(fit.time[0] + z @ fit.time[1:])
    found = []
    for i in np.flatnonzero(fit.weight == 0):
        name, value, expected = "energy_kwh", m.energy_kwh[i], energy[i]
        seconds = None if m.training_time_s is None else m.training_time_s[i]
        if seconds is not None and abs(np.log(seconds / time[i])) > 0.05:
            name, value, expected = "training_time_s", seconds, time[i]
        numbers = map(float, (value, expected, value / expected))
        found.append(Suspicious(int(m.rows[i]), name, *numbers))
    return tuple(sorted(found, key=lambda each: -abs(np.log(each.factor))))


def _held_out(model: DeviceModel, rest: Measurements) -> dict[str, Scores]:
    x = features(rest.rows)
    mean, std = model.predict(x)
    sd = std / mean
    sound = np.abs(np.log(rest.energy_kwh / mean)) <= np.log(1.3)
    if rest.training_time_s is not None:
        sound &= np.abs(np.log(rest.training_time_s / model.training_time_s(x))) <= np.log(1.05)
    return {
        "held_out": log_scores(rest.energy_kwh, mean, sd),
        "held_out_sound": log_scores(rest.energy_kwh[sound], mean[sound], sd[sound]),
    }


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
        span: `training` if the energies cover start-up and training steps, `steps` if they cover
            the steps alone; by default the file's attribute, or else `training`, as in EC-NAS.
            Evaluations must be in neither: at 4 epochs they take about 12 % more. The file of a
            campaign gives the share of the start-up too, which then scales the energies to longer
            budgets.
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
    model = replace(calibration.model, span=span, start_share=share)
    line = QualityLine(
        f"energy at 4 epochs, {name}",
        "each run left out in turn, without runs far off the others",
        "kWh",
        calibration.report.sound.to_json(),
    )
    header: dict[str, Any] = {
        "target": "energy of another GPU",
        "device": name,
        "pue": pue,
        "energy_span": span,
        "start_up_share": share,
        "seed": seed,
        "data": {Path(str(source)).name: origin.sha256 or sha256_of(path)},
        "split": f"{len(calibration.model.low)} descriptors; each run left out in turn",
        "quality": to_plain([line]),
        "report": calibration.report.to_json(),
        **({"synthetic": True} if origin.kind == "synthetic" else {}),
    }
    return replace(calibration, model=model), Weights(header, model.to_arrays(f"{name}."))


def _span(table: Table, asked: str | None) -> str:
    """What the energies cover, one of `SPANS`."""
    said = table.attributes.get("energy_span")
    span = asked or said or "training"
    if span not in SPANS or (said is not None and span != said):
        wanted = said if said in SPANS else " or ".join(SPANS)
        raise ConfigError(f"the span of the energies must be {wanted}", value=span)
    return span


def _start_share(table: Table) -> float | None:
    """Share of the start-up in the energy of a run of 4 epochs, None if the file has none."""
    text = table.attributes.get("start_up_share")
    with suppress(ValueError):
        if text is None or 0 <= float(text) < 1:
            return None if text is None else float(text)
    raise FormatError("start_up_share must be from 0 to below 1", path=table.path, value=text)
