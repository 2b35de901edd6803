"""Plot of a search: the front that it found, over the cells and the true front of its table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.figures.drawing import COLUMN_WIDTH, INK, add_caption, new_figure, origins, style
from naslib_ecnas.metrics import metric
from naslib_ecnas.search.result import SearchResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["axis_unit", "front_figure", "front_panel", "scale_axes"]


def front_figure(bench: Benchmark, result: SearchResult) -> Figure:
    """Scatter plot of a table's cells with the true front, the front found, its knee and extremes.

    The axes are the first two objectives. With more than two, the fronts are those of all
    objectives, and the caption says so. The caption states the origin of the values on both axes.

    Args:
        bench: the benchmark that was searched.
        result: the search.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with style():
        figure = new_figure(COLUMN_WIDTH, 3.4)
        front_panel(figure.add_subplot(), bench, result)
        legend = figure.legend(
            loc="outside upper left",
            ncols=2,
            borderpad=0,
            columnspacing=1.2,
            handlelength=1.4,
            handletextpad=0.5,
            labelspacing=0.3,
        )
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1.0)  # the dots of the cloud are too faint for a legend
        add_caption(figure, _caption(bench, result))
    return figure


def front_panel(axes: Axes, bench: Benchmark, result: SearchResult, *, cloud: bool = True) -> None:
    """Draw the first two objectives of a search, without legend and caption.

    Args:
        axes: axes to draw into.
        bench: the benchmark that was searched.
        result: the search.
        cloud: draw every cell of the table behind the fronts.
    """
    names = result.config.objectives
    cells = np.column_stack([bench.values(name, result.config.epochs) for name in names])
    cells = cells[~np.isnan(cells).any(axis=1)]
    true = np.asarray(bench.front(names, result.config.epochs).values, dtype=np.float64)
    units = [axis_unit(name, cells[:, i]) for i, name in enumerate(names[:2])]
    factors = np.array([factor for factor, _ in units])
    around = cells if cloud else np.concatenate([true, result.front_values])
    if cloud:
        _cloud(axes, cells[:, :2] * factors)
    _steps(axes, true[:, :2] * factors, names, joined=len(names) == 2)
    _found(axes, result.front_values[:, :2] * factors, result, factors)
    scale_axes(axes, around[:, :2] * factors, [label for _, label in units])


def axis_unit(name: str, values: NDArray[np.float64]) -> tuple[float, str]:
    """Factor and label of an axis: a metric in its unit, but small energies in Wh."""
    found = metric(name)
    if found.unit == "kWh" and values.size and float(np.nanmedian(values)) < 1:
        return 1000.0, f"{found.about} (Wh)"
    return 1.0, found.label


def _cloud(axes: Axes, cells: NDArray[np.float64]) -> None:
    # More cells are drawn fainter, so that the cloud shows density and does not hide the fronts.
    alpha = min(0.6, max(0.05, 40 / math.sqrt(len(cells))))
    x, y = cells.T
    axes.scatter(
        x,
        y,
        s=max(1.0, 6 - math.log10(len(cells))),
        color="#A6A6A6",
        alpha=alpha,
        linewidths=0,
        rasterized=True,  # hundreds of thousands of points would make the PDF large
        label=f"all {len(cells):,} cells",
        zorder=1,
    )


def _steps(axes: Axes, front: NDArray[np.float64], names: tuple[str, ...], *, joined: bool) -> None:
    order = np.lexsort((front[:, 1], front[:, 0]))
    x, y = front[order].T
    colour, label = INK["black"], "true front"
    if not joined:
        axes.scatter(x, y, s=9, marker="x", linewidths=0.7, color=colour, label=label, zorder=3)
        return
    # Between two points of the front, the one that is better in the first objective is attained.
    axes.step(
        x,
        y,
        where="pre" if metric(names[0]).maximise else "post",
        linewidth=0.9,
        marker="o",
        markersize=2,
        color=colour,
        label=label,
        zorder=3,
    )


def _found(
    axes: Axes, front: NDArray[np.float64], result: SearchResult, factors: NDArray[np.float64]
) -> None:
    x, y = front.T
    axes.scatter(
        x,
        y,
        s=14,
        color=INK["blue"],
        edgecolors="white",
        linewidths=0.4,
        label=f"found by {result.config.method}",
        zorder=4,
    )
    marks = [("knee $r_k$", result.knee, "D", INK["vermilion"], 26.0)]
    shapes = "<>^vsp"
    for i, (name, index) in enumerate(zip(result.config.objectives, result.extremes, strict=True)):
        marks.append((f"$r_{i}$: {_best(name)}", index, shapes[i % 6], INK["orange"], 26.0))
    for label, index, marker, colour, size in marks:
        x, y = result.values[index, :2] * factors
        axes.scatter(
            x,
            y,
            s=size,
            marker=marker,
            color=colour,
            edgecolors=INK["black"],
            linewidths=0.6,
            label=label,
            zorder=5,
        )


def _best(name: str) -> str:
    found = metric(name)
    return f"{'highest' if found.maximise else 'lowest'} {found.about}"


def scale_axes(axes: Axes, cells: NDArray[np.float64], labels: list[str]) -> None:
    """Label both axes, and make an axis logarithmic if its values span orders of magnitude.

    Args:
        axes: axes that the points are drawn into.
        cells: (n, 2) values of the points.
        labels: labels of the two axes, with units.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_xlabel(labels[0][0].upper() + labels[0][1:])
    axes.set_ylabel(labels[1][0].upper() + labels[1][1:])
    scales = (axes.set_xscale, axes.set_yscale)
    for axis, scale, values in zip((axes.xaxis, axes.yaxis), scales, cells.T, strict=True):
        low, high = float(values.min()), float(values.max())
        # Only costs: shares between 0 and 1 stay linear even if they are small.
        if low > 0 and high / low > 8 and high > 1:
            scale("log")
            if high / low < 1000:
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axis.set_major_formatter(ScalarFormatter())
                axis.set_minor_formatter(NullFormatter())


def _caption(bench: Benchmark, result: SearchResult) -> str:
    config = result.config
    text = (
        f"Table {config.table}, {config.epochs} epochs; {config.method}"
        f"{' (paper setting)' if config.paper else ''}, {config.evaluations:,} evaluations, "
        f"seed {config.seed}, {100 * result.hypervolume:.2f} % of the true front's hypervolume. "
        f"{origins(bench, config.objectives[:2])}"
    )
    if len(config.objectives) > 2:
        text += f" Fronts are those of all objectives: {', '.join(config.objectives)}."
    return text
