"""Figure 2: predicted against measured energies, and the learning curve of the energy model."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, check_types
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.devices import short_device_name
from naslib_ecnas.figures.drawing import INK
from naslib_ecnas.files import Sheet
from naslib_ecnas.quality import kendall_tau

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METRIC = "energy_kwh"
#: The budget that energies are measured at.
_EPOCHS = 4


# -- the learning curve -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Mean absolute error (Wh) of the energy model over the number of training cells."""

    sizes: NDArray[np.int64]
    """(k,) numbers of training cells, ascending."""
    mean_wh: NDArray[np.float64]
    """(k,) mean of the error over the draws."""
    sd_wh: NDArray[np.float64]
    """(k,) sample standard deviation of the error over the draws."""
    draws: NDArray[np.int64]
    """(k,) number of draws of each size."""

    def sheet(self) -> Sheet:
        """A line for each size."""
        rows = list(zip(self.sizes, self.mean_wh, self.sd_wh, self.draws, strict=True))
        return Sheet.of(("training_cells", "mae_wh", "mae_wh_sd", "draws"), rows)


def shipped_learning_curve() -> LearningCurve:
    """The curve of the data that the shipped model is fitted to."""
    text = (files("naslib_ecnas.data") / "learning_curve.csv").read_text(encoding="utf-8")
    sizes, mean, spread, draws = np.loadtxt(text.splitlines(), delimiter=",", skiprows=1).T
    return LearningCurve(sizes.astype(np.int64), mean, spread, draws.astype(np.int64))


# -- predictions ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted and measured energies of cells that the model was not fitted to."""

    caption: str
    rows: NDArray[np.int64]
    """(n,) rows of the cells."""
    measured_kwh: NDArray[np.float64]
    """(n,) means over the repeats."""
    predicted_kwh: NDArray[np.float64]
    factor: float
    """1 if device and PUE agree; else the median of measured over predicted, by which the
    predictions are multiplied before they are drawn and compared."""
    tau: float
    """Kendall's tau-b."""
    mae_wh: float
    """Mean absolute error, after multiplication by the factor."""
    median_error_wh: float
    """Median absolute error, which gross outliers among the measurements do not decide."""

    def sheet(self) -> Sheet:
        """A line for each cell."""
        columns = (self.rows, self.measured_kwh, self.predicted_kwh)
        heads = ("row", f"measured_{_METRIC}", f"predicted_{_METRIC}")
        return Sheet.of(heads, list(zip(*columns, strict=True)))


def fitted_rows(
    device: str | PathLike[str] | None = None, model: str | None = None
) -> NDArray[np.int64]:
    """(n,) rows that the energy model of an embedded table was fitted to; device and model are
    those of `load`. Empty for a user's calibration, which does not record its rows."""
    from naslib_ecnas.surrogate import SUFFIX
    from naslib_ecnas.surrogate.devices import device_name
    from naslib_ecnas.surrogate.models import DEVICE, Weights

    target, key = "energy", "fitted_rows"
    if model == "paper":
        target = "paper"
    elif device is not None and str(device).endswith(SUFFIX):
        return np.zeros(0, dtype=np.int64)
    elif device is not None and device_name(str(device)) != DEVICE:
        target, key = "devices", f"{device_name(str(device))}.rows"
    return Weights.shipped(target).arrays[key].astype(np.int64)


def predictions(
    modelled: Benchmark,
    measured: Benchmark,
    *,
    fitted: NDArray[np.int64] | None = None,
    epochs: int = _EPOCHS,
) -> Predictions:
    """Compare a modelled table with a measured one, on cells that the model was not fitted to.

    Raises:
        ConfigError: the tables share fewer than two cells that are not `fitted`, or `measured` is
            modelled.
        UnknownBudgetError, UnknownMetricError: a table holds no energies at this budget.
    """
    check_types(Benchmark, modelled=modelled, measured=measured)
    origin = measured.provenance.get(_METRIC)
    if origin is not None and origin.kind == "modelled":
        message = f"the energies of {measured.name} are modelled, not measured"
        remedy = "name a table of measurements, such as 5v-4epochs, by --measurements"
        raise ConfigError(message, remedy=remedy)
    a, b = (bench.values(_METRIC, epochs) for bench in (modelled, measured))
    size = min(len(a), len(b))  # rows of a smaller space are the first of a larger one
    shared = np.flatnonzero(~np.isnan(a[:size] + b[:size]))
    rows = shared if fitted is None else np.setdiff1d(shared, fitted)
    if len(rows) < 2:
        both = f"{modelled.name} and {measured.name}"
        message = f"{both} must share two cells at {epochs} epochs that the model was not fitted to"
        message += f", but of {len(shared)} shared cells it was fitted to {len(shared) - len(rows)}"
        raise ConfigError(message, remedy="name measurements of other cells by --measurements")
    a, b = a[rows], b[rows]
    ours, theirs = modelled.provenance[_METRIC], measured.provenance[_METRIC]
    devices = [None if p.device is None else short_device_name(p.device) for p in (ours, theirs)]
    alike = devices[0] == devices[1] and ours.pue == theirs.pue
    factor = 1.0 if alike else float(np.median(b / a))
    errors = 1000 * np.abs(factor * a - b)
    m, p = (f"{b.name}, {drawing.origin_of(b, _METRIC, epochs)}" for b in (measured, modelled))
    known = "none of which the model is known to be fitted to"
    if len(rows) < len(shared):
        known = f"those of {len(shared):,} that the model was not fitted to"
    caption = (
        f"Energy of {len(rows):,} cells at {epochs} epochs, {known}. Measured: table {m}. "
        f"Predicted: table {p}. Line: equal; tau: Kendall's rank correlation; errors: absolute."
    )
    if not alike:
        caption += f" Devices or PUE differ: predictions are multiplied by {factor:.3g}, the median"
        caption += " ratio, so that only their pattern is compared."
    scores = kendall_tau(b, a), float(errors.mean()), float(np.median(errors))
    return Predictions(caption, rows, b, a, factor, *scores)


def predictions_figure(data: Predictions, curve: LearningCurve | None = None) -> Figure:
    """Predicted over measured energies and, if given, the learning curve beside it."""
    caption = data.caption
    if curve is not None:
        caption = f"(a) {caption} (b) Mean absolute error on cells that were not fitted over the "
        caption += f"number of cells that were, mean and standard deviation of {curve.draws.max()} "
        caption += "draws, of 7-vertex cells."
    options: dict[str, Any] = {"least": 1.6, "height": 1.9, "letters": curve is not None}
    with drawing.panels(caption, 1 if curve is None else 2, **options) as (figure, grid):
        _scatter(grid[0], data)
        if curve is not None:
            look: dict[str, Any] = {"color": INK["blue"], "marker": "o", "markersize": 3}
            look |= {"linewidth": 0.9, "capsize": 2, "elinewidth": 0.7}
            spread = np.nan_to_num(curve.sd_wh)
            grid[1].errorbar(curve.sizes, curve.mean_wh, yerr=spread, **look)
            grid[1].set(xlabel="Training cells", ylabel="Mean absolute error (Wh)", ylim=(0, None))
            drawing.log_axis(grid[1], "x", curve.sizes.min(), curve.sizes.max())
    return figure


def _scatter(axes: Axes, data: Predictions) -> None:
    measured, predicted = 1000 * data.measured_kwh, 1000 * data.factor * data.predicted_kwh
    many = len(data.rows) > 1000
    look: dict[str, Any] = {"s": 3, "alpha": 0.4} if many else {"s": 8, "alpha": 0.7}
    axes.scatter(measured, predicted, color=INK["blue"], linewidths=0, rasterized=many, **look)
    both = np.concatenate([measured, predicted])
    low, high = 0.9 * both.min(), 1.1 * both.max()
    for which in "xy":
        drawing.log_axis(axes, which, low, high)
    axes.plot([low, high], [low, high], color=INK["black"], linewidth=0.7)
    times = "" if data.factor == 1 else f" \N{MULTIPLICATION SIGN} {data.factor:.3g}"
    axes.set(xlabel="Measured energy (Wh)", ylabel=f"Predicted energy{times} (Wh)")
    axes.set(xlim=(low, high), ylim=(low, high))
    median = f"Median error {data.median_error_wh:.2f} Wh"
    text = f"$\\tau$ = {data.tau:.3f}\nMean error {data.mae_wh:.2f} Wh\n{median}"
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "fontsize": 6}
    axes.text(0.99, 0.03, text, **place)
