"""Figure 2: the energies of a modelled table against measured ones, and the learning curve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, FormatError, UnknownTableError
from naslib_ecnas.figures.drawing import COLUMN_WIDTH, INK, add_caption, new_figure, style
from naslib_ecnas.files import Sheet, from_json, is_file
from naslib_ecnas.quality import kendall_tau

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "EPOCHS",
    "LearningCurve",
    "Predictions",
    "fitted_rows",
    "predictions",
    "predictions_figure",
    "read_learning_curve",
]


# The learning curve that `ecnas surrogate learning-curve --json` printed, read and checked.


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Error of fits to few and to many cells."""

    sizes: NDArray[np.int64]
    """(k,) cells to fit on, ascending."""
    mean_wh: NDArray[np.float64]
    """(k,) mean over the draws of the mean absolute error."""
    sd_wh: NDArray[np.float64]
    """(k,) standard deviation over the draws (of a sample), NaN with one draw."""
    draws: NDArray[np.int64]
    """(k,) draws of each size."""

    def sheet(self) -> Sheet:
        """A line for each size."""
        rows = list(zip(self.sizes, self.mean_wh, self.sd_wh, self.draws, strict=True))
        return Sheet.of(("training_cells", "mae_wh", "mae_wh_sd", "draws"), rows)


def read_learning_curve(path: str | PathLike[str]) -> LearningCurve:
    """Read what `ecnas surrogate learning-curve --json` printed.

    Raises:
        UnknownTableError: there is no such file.
        FormatError: it is no such list.
    """
    file = Path(path).expanduser()
    if not is_file(file):
        raise UnknownTableError(
            "no such learning curve",
            value=str(path),
            expected="a file that `ecnas surrogate learning-curve --json` printed",
            remedy="make it: ecnas surrogate learning-curve --data DIR --json > FILE",
        )
    try:
        points = from_json(file.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or not even text
        raise _wrong(file, str(error)) from error
    if not isinstance(points, list) or not points or not all(map(_good, points)):
        raise _wrong(file, points[0] if isinstance(points, list) and points else type(points))
    sizes = np.array([point["size"] for point in points])
    errors = np.array([point["mae_wh"] for point in points], dtype=np.float64)
    each = [errors[sizes == size] for size in np.unique(sizes)]
    return LearningCurve(
        np.unique(sizes),
        np.array([e.mean() for e in each]),
        np.array([e.std(ddof=1) if len(e) > 1 else math.nan for e in each]),
        np.array([len(e) for e in each]),
    )


def _good(point: Any) -> bool:
    if not isinstance(point, Mapping):
        return False
    size, error = point.get("size"), point.get("mae_wh")
    return (
        type(size) is int
        and size > 0
        and isinstance(error, (int, float))
        and not isinstance(error, bool)
        and math.isfinite(error)
    )


def _wrong(file: Path, value: Any) -> FormatError:
    return FormatError(
        "not a learning curve",
        path=file,
        value=value,
        expected="a list of objects with size and mae_wh",
        remedy="make it: ecnas surrogate learning-curve --data DIR --json > FILE",
    )


_METRIC = "energy_kwh"

#: Budget that energies were measured at.
EPOCHS = 4


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted and measured energies of the cells that both tables have."""

    predicted_by: str
    measured_by: str
    epochs: int
    caption: str
    rows: NDArray[np.int64]
    """(n,) cells."""
    measured_kwh: NDArray[np.float64]
    """(n,) mean over the repeats."""
    predicted_kwh: NDArray[np.float64]
    fitted: NDArray[np.bool_]
    """(n,) whether the model was fitted on a measurement of the cell."""
    tau: float
    """Kendall's tau-b over the cells that were not fitted, over all where every one was."""
    mae_wh: float
    """Mean absolute error over the same cells; NaN where devices or PUE differ, since then the
    values are not of one kind and only their order can be compared."""

    def sheet(self) -> Sheet:
        """A line for each cell."""
        columns = (self.rows, self.measured_kwh, self.predicted_kwh, self.fitted)
        heads = ("row", f"measured_{_METRIC}", f"predicted_{_METRIC}", "fitted")
        return Sheet.of(heads, list(zip(*columns, strict=True)))


def fitted_rows(
    device: str | PathLike[str] | None = None, model: str | None = None
) -> NDArray[np.int64]:
    """Cells that the model behind an embedded table was fitted on.

    Args:
        device, model: as of `naslib_ecnas.load`.

    Returns:
        (n,) rows; none where a user's own calibration does not say.
    """
    from naslib_ecnas.surrogate.models import DEVICE, Weights, device_name, shipped

    path, key = shipped("energy"), "fitted_rows"
    if model == "paper":
        path = shipped("paper")
    elif device is not None and str(device).endswith(".npz"):
        return np.zeros(0, dtype=np.int64)
    elif device is not None and device_name(str(device)) != DEVICE:
        path, key = shipped("devices"), f"{device_name(str(device))}_rows"
    arrays = Weights.load(path).arrays
    return np.asarray(arrays.get(key, np.zeros(0)), dtype=np.int64)


def predictions(
    modelled: Benchmark,
    measured: Benchmark,
    *,
    fitted: NDArray[np.int64] | None = None,
    epochs: int = EPOCHS,
) -> Predictions:
    """Compare a modelled table with a measured one, cell by cell.

    Args:
        modelled: the table whose energies are predictions.
        measured: the table whose energies are measurements at this budget.
        fitted: rows that the predictions' model was fitted on.
        epochs: training budget.

    Raises:
        ConfigError: the tables share no cell, or the measurements are themselves modelled.
        UnknownBudgetError: a table does not hold this budget.
        UnknownMetricError: a table holds no energies.
    """
    origin = measured.provenance.get(_METRIC)
    if origin is not None and origin.kind == "modelled":
        raise ConfigError(
            "these are no measurements",
            value=f"{measured.name}: {origin.kind}",
            expected="a table of measured energies, such as 5v-4epochs",
            remedy="name one by --measurements",
        )
    a, b = (bench.values(_METRIC, epochs) for bench in (modelled, measured))
    size = min(len(a), len(b))  # rows of a smaller space are the first of a larger one
    rows = np.flatnonzero(~np.isnan(a[:size] + b[:size]))
    if len(rows) < 2:
        raise ConfigError(
            "the tables have no cells in common",
            value=f"{modelled.name} and {measured.name} at {epochs} epochs",
            expected="energies of the same cells",
            remedy="name other measurements by --measurements",
        )
    seen = np.isin(rows, np.zeros(0, dtype=np.int64) if fitted is None else fitted)
    judged = rows[~seen] if (~seen).sum() > 1 else rows
    ours, theirs = modelled.provenance[_METRIC], measured.provenance[_METRIC]
    alike = _device(ours.device) == _device(theirs.device) and ours.pue == theirs.pue
    mae = 1000 * float(np.abs(a[judged] - b[judged]).mean()) if alike else float("nan")
    tau = kendall_tau(b[judged], a[judged])
    plain = [str(replace(p, source=None, note=None)) for p in (theirs, ours)]
    if len(judged) < len(rows):
        about = "those that the model was not fitted on"
    elif seen.any():
        about = "which the model was fitted on"
    else:
        about = "none of them known to have been fitted"
    caption = (
        f"Energy of {len(rows):,} cells at {epochs} epochs. Measured: table {measured.name}, "
        f"{plain[0]}. Predicted: table {modelled.name}, {plain[1]}. Kendall's tau over "
        f"{len(judged):,} cells ({about})."
    )
    if not alike:
        caption += " Device or PUE differ: only the order can be compared."
    return Predictions(
        predicted_by=modelled.name,
        measured_by=measured.name,
        epochs=epochs,
        caption=caption,
        rows=rows.astype(np.int64),
        measured_kwh=b[rows],
        predicted_kwh=a[rows],
        fitted=seen,
        tau=tau,
        mae_wh=mae,
    )


def _device(name: str | None) -> str | None:
    """One text for "NVIDIA Quadro RTX 6000" and "quadro-rtx-6000"."""
    from naslib_ecnas.surrogate.models import device_name

    try:
        return None if name is None else device_name(name)
    except ConfigError:  # a device without a calibration: its own name tells it apart
        return name


def predictions_figure(data: Predictions, curve: LearningCurve | None = None) -> Figure:
    """Predicted against measured energies and, where it is given, error against training cells.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with style():
        figure = new_figure(COLUMN_WIDTH, 2.6 if curve is not None else 3.4)
        panels = figure.subplots(1, 1 if curve is None else 2, squeeze=False)[0]
        _scatter(panels[0], data)
        caption = data.caption
        if curve is not None:
            _curve(panels[1], curve)
            caption += (
                f" Right: mean absolute error on cells not fitted, mean and standard deviation "
                f"over {int(curve.draws.max())} draws."
            )
        add_caption(figure, caption)
    return figure


def _scatter(axes: Axes, data: Predictions) -> None:
    measured, predicted = 1000 * data.measured_kwh, 1000 * data.predicted_kwh
    many = len(data.rows) > 1000
    groups = ((data.fitted, "fitted", "orange", "s"), (~data.fitted, "not fitted", "blue", "o"))
    for chosen, label, ink, marker in groups:
        if chosen.any():
            axes.scatter(
                measured[chosen],
                predicted[chosen],
                s=3 if many else 9,
                alpha=0.5 if many else 0.9,
                marker=marker,
                color=INK[ink],
                linewidths=0,
                rasterized=many,
                label=f"{label} ({int(chosen.sum()):,})",
            )
    ends = [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
    axes.plot(ends, ends, color=INK["black"], linewidth=0.7, label="equal")
    axes.set_xlabel("Measured energy (Wh)")
    axes.set_ylabel("Predicted energy (Wh)")
    scores = f"$\\tau$ = {data.tau:.3f}"
    if np.isfinite(data.mae_wh):
        scores += f", MAE {data.mae_wh:.2f} Wh"
    axes.plot([], [], " ", label=scores)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.04),
        fontsize=6,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.4,
        handletextpad=0.5,
        labelspacing=0.25,
        markerscale=2 if many else 1,
    )


def _curve(axes: Axes, curve: LearningCurve) -> None:
    spread = np.nan_to_num(curve.sd_wh)
    axes.errorbar(
        curve.sizes,
        curve.mean_wh,
        yerr=spread,
        color=INK["blue"],
        marker="o",
        markersize=3,
        linewidth=0.9,
        capsize=2,
        elinewidth=0.7,
    )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Training cells")
    axes.set_ylabel("MAE (Wh)")
