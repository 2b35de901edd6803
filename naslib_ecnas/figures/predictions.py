"""Figure 2: predicted against measured energies, and the learning curve of the energy model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta, Struct, json
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, FormatError, UnknownTableError, check_types
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.devices import short_device_name
from naslib_ecnas.figures.drawing import INK
from naslib_ecnas.files import Sheet, expanded, is_file, read_bytes
from naslib_ecnas.quality import kendall_tau

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METRIC = "energy_kwh"
#: The budget that energies are measured at.
_EPOCHS = 4
_MAKE_CURVE = "make it: ecnas surrogate learning-curve --data DIR --json > FILE"


# -- the learning curve -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Mean absolute error (Wh) of the energy model over the number of training cells."""

    sizes: NDArray[np.int64]
    """(k,) numbers of training cells, ascending."""
    mean_wh: NDArray[np.float64]
    """(k,) mean of the error over the draws."""
    sd_wh: NDArray[np.float64]
    """(k,) sample standard deviation of the error over the draws, NaN with one draw."""
    draws: NDArray[np.int64]
    """(k,) number of draws of each size."""

    def sheet(self) -> Sheet:
        """A line for each size."""
        rows = list(zip(self.sizes, self.mean_wh, self.sd_wh, self.draws, strict=True))
        return Sheet.of(("training_cells", "mae_wh", "mae_wh_sd", "draws"), rows)


class _Point(Struct):
    """What a figure needs of a fit to some of the cells."""

    size: Annotated[int, Meta(gt=0)]
    mae_wh: float


def read_learning_curve(path: str | PathLike[str]) -> LearningCurve:
    """Read the output of `ecnas surrogate learning-curve --json`.

    Raises:
        UnknownTableError: there is no such file.
        FormatError: the file is not such an output.
    """
    file = expanded(path)
    if not is_file(file):
        message = "the learning curve must be a file"
        raise UnknownTableError(message, value=str(path), remedy=_MAKE_CURVE)
    try:
        points = json.decode(read_bytes(file), type=Annotated[list[_Point], Meta(min_length=1)])
    except (OSError, ValueError, RecursionError) as error:
        message = f"a learning curve must be a list of objects with size and mae_wh: {error}"
        raise FormatError(message, path=file, remedy=_MAKE_CURVE) from error
    sizes, group = np.unique([point.size for point in points], return_inverse=True)
    errors = np.array([point.mae_wh for point in points])
    each = [errors[group == i] for i in range(len(sizes))]
    means, draws = np.array([e.mean() for e in each]), np.array([len(e) for e in each])
    spread = np.array([e.std(ddof=1) if len(e) > 1 else math.nan for e in each])
    return LearningCurve(sizes, means, spread, draws)


# -- predictions ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted and measured energies of the cells that both tables hold."""

    predicted_by: str
    measured_by: str
    epochs: int
    caption: str
    rows: NDArray[np.int64]
    """(n,) rows of the cells."""
    measured_kwh: NDArray[np.float64]
    """(n,) means over the repeats."""
    predicted_kwh: NDArray[np.float64]
    fitted: NDArray[np.bool_]
    """(n,) whether the model was fitted to a measurement of the cell."""
    tau: float
    """Kendall's tau-b over the cells that the model was not fitted to, or over all if none is."""
    mae_wh: float
    """Mean absolute error over the same cells; NaN if the devices or PUE differ, since then only
    the order of the cells can be compared."""

    def sheet(self) -> Sheet:
        """A line for each cell."""
        columns = (self.rows, self.measured_kwh, self.predicted_kwh, self.fitted)
        heads = ("row", f"measured_{_METRIC}", f"predicted_{_METRIC}", "fitted")
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
    """Compare a modelled table with a measured one; the model was fitted to the `fitted` rows.

    Raises:
        ConfigError: the tables share fewer than two cells, or `measured` is modelled.
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
    rows = np.flatnonzero(~np.isnan(a[:size] + b[:size]))
    if len(rows) < 2:
        both = f"{modelled.name} and {measured.name}"
        raise ConfigError(f"{both} have fewer than two cells in common at {epochs} epochs")
    seen = np.isin(rows, np.zeros(0, dtype=np.int64) if fitted is None else fitted)
    judged = rows[~seen] if (~seen).sum() > 1 else rows
    ours, theirs = modelled.provenance[_METRIC], measured.provenance[_METRIC]
    devices = [None if p.device is None else short_device_name(p.device) for p in (ours, theirs)]
    alike = devices[0] == devices[1] and ours.pue == theirs.pue
    mae = 1000 * float(np.abs(a[judged] - b[judged]).mean()) if alike else float("nan")
    tau = kendall_tau(b[judged], a[judged])
    if len(judged) < len(rows):
        about = "those that the model was not fitted to"
    elif seen.any():
        about = "which the model was fitted to"
    else:
        about = "none of which the model is known to be fitted to"
    m, p = (f"{b.name}, {drawing.origin_of(b, _METRIC)}" for b in (measured, modelled))
    caption = (
        f"Energy of {len(rows):,} cells at {epochs} epochs. Measured: table {m}. "
        f"Predicted: table {p}. Kendall's tau over {len(judged):,} cells ({about})."
    )
    if not alike:
        caption += " Device or PUE differ: only the order can be compared."
    names = modelled.name, measured.name
    return Predictions(*names, epochs, caption, rows, b[rows], a[rows], seen, tau, mae)


def predictions_figure(data: Predictions, curve: LearningCurve | None = None) -> Figure:
    """Predicted over measured energies and, if given, the learning curve."""
    caption = data.caption
    if curve is not None:
        caption += " Right: mean absolute error on cells not fitted, mean and standard deviation"
        caption += f" over {int(curve.draws.max())} draws."
    with drawing.captioned(3.4 if curve is None else 2.6, caption) as figure:
        panels = figure.subplots(1, 1 if curve is None else 2, squeeze=False)[0]
        _scatter(panels[0], data)
        if curve is not None:
            look: dict[str, Any] = {"color": INK["blue"], "marker": "o", "markersize": 3}
            look |= {"linewidth": 0.9, "capsize": 2, "elinewidth": 0.7}
            spread = np.nan_to_num(curve.sd_wh)
            panels[1].errorbar(curve.sizes, curve.mean_wh, yerr=spread, **look)
            panels[1].set(xscale="log", xlabel="Training cells", ylabel="MAE (Wh)")
            panels[1].set_ylim(bottom=0)
            drawing.log_ticks(panels[1].xaxis, curve.sizes.max() / curve.sizes.min())
    return figure


def _scatter(axes: Axes, data: Predictions) -> None:
    measured, predicted = 1000 * data.measured_kwh, 1000 * data.predicted_kwh
    many = len(data.rows) > 1000
    look: dict[str, Any] = {"s": 3, "alpha": 0.5} if many else {"s": 9, "alpha": 0.9}
    look |= {"linewidths": 0, "rasterized": many}
    groups = ((data.fitted, "fitted", "orange", "s"), (~data.fitted, "not fitted", "blue", "o"))
    for chosen, label, ink, marker in groups:
        if chosen.any():
            look |= {"marker": marker, "color": INK[ink], "label": f"{label} ({chosen.sum():,})"}
            axes.scatter(measured[chosen], predicted[chosen], **look)
    ends = [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
    axes.plot(ends, ends, color=INK["black"], linewidth=0.7, label="equal")
    axes.set(xlabel="Measured energy (Wh)", ylabel="Predicted energy (Wh)")
    mae = f", MAE {data.mae_wh:.2f} Wh" if np.isfinite(data.mae_wh) else ""
    axes.plot([], [], " ", label=f"$\\tau$ = {data.tau:.3f}{mae}")
    drawing.legend_above(axes, markerscale=2 if many else 1)
