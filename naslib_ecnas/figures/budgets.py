"""Figure 1: energy against accuracy of every cell, at every training budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownMetricError, check_counts, check_types
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK, Array
from naslib_ecnas.figures.front import steps
from naslib_ecnas.files import Sheet
from naslib_ecnas.metrics import metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: With fewer cells than this in the fullest bin, the colour scale is linear.
_FEW = 20


@dataclass(frozen=True, eq=False)
class Clouds:
    """Histogram of cells over energy and accuracy, at each budget of a table."""

    table: str
    budgets: tuple[int, ...]
    x: str
    """Metric on the x axis, in logarithmic bins; its values are positive."""
    y: str
    """Metric on the y axis, in linear bins."""
    caption: str
    x_edges: Array
    """(i + 1,) edges of the bins, in the metric's unit."""
    y_edges: Array
    """(j + 1,) edges of the bins."""
    count: NDArray[np.int64]
    """(budgets, i, j) cells in each bin."""
    fronts: tuple[Array, ...]
    """(n, 2) true front at each budget, in the metrics' units, sorted from best to worst `x`."""

    @property
    def cells(self) -> tuple[int, ...]:
        """Cells at each budget that have both values."""
        return tuple(int(n) for n in self.count.sum(axis=(1, 2)))

    def sheet(self) -> Sheet:
        """A line for each bin that holds a cell."""
        rows = []
        for budget, count in zip(self.budgets, self.count, strict=True):
            for i, j in np.argwhere(count):
                borders = (*self.x_edges[i : i + 2], *self.y_edges[j : j + 2])
                rows.append((budget, *borders, count[i, j]))
        borders_of = [f"{name}_{end}" for name in (self.x, self.y) for end in ("from", "to")]
        return Sheet.of(("epochs", *borders_of, "cells"), rows)

    def front_sheet(self) -> Sheet:
        """A line for each cell of each true front."""
        rows = [(b, *p) for b, f in zip(self.budgets, self.fronts, strict=True) for p in f]
        return Sheet.of(("epochs", self.x, self.y), rows)


def clouds(
    bench: Benchmark,
    *,
    x: str = "energy_kwh",
    y: str = "validation_accuracy",
    bins: tuple[int, int] | None = None,
) -> Clouds:
    """Count the cells of a table in bins of two metrics, at each of its budgets.

    Args:
        x, y: two metrics; cells count whose value of x is positive.
        bins: numbers of bins in x and y; by default finer with more cells.

    Raises:
        UnknownMetricError: no cell has both values at any budget.
        ConfigError: a number of bins is less than 1.
    """
    check_types(Benchmark, bench=bench)
    pairs = []
    for budget in bench.budgets:
        both = np.column_stack([bench.values(name, budget) for name in (x, y)])
        pairs.append(both[~np.isnan(both).any(axis=1) & (both[:, 0] > 0)])
    budgets = tuple(b for b, p in zip(bench.budgets, pairs, strict=True) if len(p))
    pairs = [p for p in pairs if len(p)]
    if not pairs:
        raise UnknownMetricError(f"no cell of table {bench.name} has both {x} (above 0) and {y}")
    if bins is None:
        most = max(map(len, pairs))
        bins = (160, 100) if most > 10_000 else (80, 50) if most > 1000 else (48, 32)
    check_counts(bins_in_x=bins[0], bins_in_y=bins[1])
    low, high = np.min([p.min(axis=0) for p in pairs], 0), np.max([p.max(axis=0) for p in pairs], 0)
    # Margins keep the extremes off the frame and give a single value a width.
    x_edges = np.geomspace(low[0] / 1.05, high[0] * 1.05, bins[0] + 1)
    room = 0.02 * (high[1] - low[1]) or 0.01
    y_edges = np.linspace(low[1] - room, high[1] + room, bins[1] + 1)
    count = np.stack([np.histogram2d(p[:, 0], p[:, 1], bins=(x_edges, y_edges))[0] for p in pairs])
    fronts = tuple(np.array(bench.front((x, y), b).values, dtype=np.float64) for b in budgets)
    caption = (
        f"Table {bench.name}: {len(pairs[0]):,} cells at each of "
        f"{', '.join(map(str, budgets))} epochs, counted in {bins[0]} x {bins[1]} bins; "
        f"line: true front. {drawing.origins(bench, (x, y))}"
    )
    bins_of = x_edges, y_edges, count.astype(np.int64)
    return Clouds(bench.name, budgets, x, y, caption, *bins_of, fronts)


def clouds_figure(data: Clouds) -> Figure:
    """A panel for each budget, with common axes; darker bins hold more cells."""
    height = 1.15 + 1.3 * ((len(data.budgets) + 1) // 2)
    with drawing.captioned(height, data.caption) as figure:
        from matplotlib.colors import LogNorm, Normalize
        from matplotlib.ticker import MaxNLocator, NullFormatter

        factor, label = drawing.axis_unit(data.x, data.x_edges)
        top = max(2, int(data.count.max()))
        norm = Normalize(0, top) if top < _FEW else LogNorm(1, top)
        look: dict[str, Any] = {"cmap": "cividis_r", "norm": norm, "linewidth": 0}
        look["rasterized"] = True  # thousands of fields would make the PDF large
        grid = drawing.panels(figure, len(data.budgets), sharex=True, sharey=True)
        drawn = zip(grid, data.budgets, data.count, data.fronts, strict=True)
        for axes, budget, count, front in drawn:
            held = np.where(count > 0, count, np.nan).T
            image = axes.pcolormesh(factor * data.x_edges, data.y_edges, held, **look)
            steps(axes, front * [factor, 1.0], data.x, color=INK["vermilion"], linewidth=0.9)
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_title(f"{budget} epochs", fontsize=7, pad=2)
            axes.set_xlabel(label)
            axes.label_outer()
        figure.supylabel(drawing.capitalised(metric(data.y).label), fontsize=8)
        bar = figure.colorbar(image, ax=grid, location="top", aspect=45, pad=0.02)
        bar.set_label("Cells in a bin", fontsize=7)
        bar.ax.tick_params(labelsize=6)
        if top < _FEW:
            bar.ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        bar.outline.set_linewidth(0.4)
    return figure
