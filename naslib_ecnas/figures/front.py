"""Plot of a search: the front that it found, over the cells and the true front of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK, Array
from naslib_ecnas.metrics import metric
from naslib_ecnas.search.result import SearchResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def front_figure(bench: Benchmark, result: SearchResult) -> Figure:
    """Scatter plot of a table's cells with the true front, the front found, its knee and extremes.

    The axes are the first two objectives. With more than two, the fronts are those of all
    objectives, and the caption says so. The caption states the origin of the values on both axes.
    """
    config = result.config
    caption = (
        f"Table {config.table}, {config.epochs} epochs; {config.method}"
        f"{' (paper setting)' if config.paper else ''}, {config.evaluations:,} evaluations, "
        f"seed {config.seed}, {100 * result.hypervolume:.2f} % of the true front's hypervolume. "
        f"{drawing.origins(bench, config.objectives[:2])}"
    )
    if len(config.objectives) > 2:
        caption += f" Fronts are those of all objectives: {', '.join(config.objectives)}."
    if len(bench.rows) > drawing.MANY:
        caption += " Darker grey: more cells."
    with drawing.panels(caption, height=2.6) as (figure, (axes,)):
        front_panel(axes, bench, result)
        drawing.legend(figure, axes)
    return figure


def front_panel(axes: Axes, bench: Benchmark, result: SearchResult, *, cloud: bool = True) -> None:
    """Draw the first two objectives of a search, without legend and caption.

    With `cloud`, every cell of the table is drawn behind the fronts: as a point, or as the density
    of the cells if there are many.
    """
    names, epochs = result.config.objectives, result.config.epochs
    true = np.asarray(bench.front(names, epochs).values, dtype=np.float64)
    cells = np.column_stack([bench.values(name, epochs) for name in names])
    cells = cells[~np.isnan(cells).any(axis=1)]
    shown = cells if cloud else np.concatenate([true, result.front_values])
    factors = drawing.scale_axes(axes, names[:2], shown[:, :2], table=cells)
    look: dict[str, Any]
    if cloud:
        look = {"s": 3, "color": "#A6A6A6", "label": f"all {len(shown):,} cells", "zorder": 1}
        image = drawing.cloud(axes, shown[:, :2] * factors, "Greys", **look)
        if image is not None:
            image.set_clim(1, 10 * image.get_array().max())  # never as dark as the front
    points = true[np.lexsort(true[:, 1::-1].T)][:, :2] * factors
    look = {"color": INK["black"], "label": "true front", "zorder": 3}
    if len(names) == 2:
        steps(axes, points, names[0], linewidth=0.9, marker="o", markersize=2, **look)
    else:
        axes.scatter(points[:, 0], points[:, 1], s=9, marker="x", linewidths=0.7, **look)
    look = {"s": 14, "color": INK["blue"], "edgecolors": "white", "linewidths": 0.4, "zorder": 4}
    look["label"] = f"found by {result.config.method}"
    axes.scatter(*(result.front_values[:, :2] * factors).T, **look)
    marks = [("knee $r_k$", result.knee, "D", INK["vermilion"])]
    for i, (name, index) in enumerate(zip(names, result.extremes, strict=True)):
        best = f"{'highest' if metric(name).maximise else 'lowest'} {metric(name).about}"
        marks.append((f"$r_{i}$: {best}", index, "<>^vsp"[i % 6], INK["orange"]))
    look = {"s": 26, "edgecolors": INK["black"], "linewidths": 0.6, "zorder": 5}
    for label, index, marker, colour in marks:
        x, y = result.values[index, :2] * factors
        axes.scatter(x, y, marker=marker, color=colour, label=label, **look)


def steps(axes: Axes, points: Array, x_metric: str, **look: Any) -> None:
    """Draw the edge of what a front attains, from its (n, 2) points sorted by x."""
    # Between two points of a front, the one that is better in x is attained.
    where: Any = "pre" if metric(x_metric).maximise else "post"
    axes.step(points[:, 0], points[:, 1], where=where, **look)
