"""Figure 1: energy against accuracy of every cell, at every training budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownMetricError, check_types
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK, Array
from naslib_ecnas.figures.front import steps
from naslib_ecnas.files import Sheet
from naslib_ecnas.metrics import OBJECTIVES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Clouds:
    """Energy and accuracy of the cells, at each budget of a table."""

    budgets: tuple[int, ...]
    caption: str
    rows: tuple[NDArray[np.int64], ...]
    """(n,) rows at each budget that have both values, and an energy above 0."""
    points: tuple[Array, ...]
    """(n, 2) their values, in the metrics' units."""
    fronts: tuple[Array, ...]
    """(n, 2) true front at each budget, in the metrics' units, from the least energy on."""

    @property
    def many(self) -> bool:
        """Whether densities are drawn instead of single cells."""
        return max(map(len, self.points)) > drawing.MANY

    def sheet(self) -> Sheet:
        """A line for each cell at each budget; of many cells, for each bin that holds one."""
        rows: list[tuple[Any, ...]] = []
        if not self.many:
            for budget, held, points in zip(self.budgets, self.rows, self.points, strict=True):
                rows += [(budget, row, *point) for row, point in zip(held, points, strict=True)]
            return Sheet.of(("epochs", "row", *OBJECTIVES), rows)
        for budget, points in zip(self.budgets, self.points, strict=True):
            count, x, y = drawing.binned(points, True, False)
            for i, j in np.argwhere(count):
                rows.append((budget, *x[i : i + 2], *y[j : j + 2], count[i, j]))
        borders = [f"{name}_{end}" for name in OBJECTIVES for end in ("from", "to")]
        return Sheet.of(("epochs", *borders, "cells"), rows)

    def front_sheet(self) -> Sheet:
        """A line for each cell of each true front."""
        rows = [(b, *p) for b, f in zip(self.budgets, self.fronts, strict=True) for p in f]
        return Sheet.of(("epochs", *OBJECTIVES), rows)


def clouds(bench: Benchmark) -> Clouds:
    """Energy and validation accuracy of all cells of a table, at each of its budgets.

    Raises:
        UnknownMetricError: no cell has both values at any budget.
    """
    check_types(Benchmark, bench=bench)
    found = []
    for budget in bench.budgets:
        both = np.column_stack([bench.values(name, budget) for name in OBJECTIVES])
        rows = np.flatnonzero(~np.isnan(both).any(axis=1) & (both[:, 0] > 0))
        if len(rows):
            front = np.array(bench.front(OBJECTIVES, budget).values, dtype=np.float64)
            found.append((budget, rows, both[rows], front))
    if not found:
        what = "an energy above 0 and a validation accuracy"
        raise UnknownMetricError(f"no cell of table {bench.name} has {what}")
    budgets, *columns = zip(*found, strict=True)
    caption = (
        f"Table {bench.name}: {len(columns[0][0]):,} cells at {', '.join(map(str, budgets))} "
        f"epochs; line: true front. {drawing.origins(bench, OBJECTIVES)}"
    )
    return Clouds(budgets, caption, *columns)


def clouds_figure(data: Clouds, *, ellipses: bool = False) -> Figure:
    """A panel for each budget, with a common y axis: cells as points, or their density.

    With `ellipses`, as in the paper, the panel of the largest budget marks two regions: around the
    most accurate cell (red), and around the one of least energy at most .01 worse (green).
    """
    caption = data.caption
    if ellipses:
        front, best = data.fronts[-1], data.fronts[-1][-1]
        near = front[np.argmax(np.abs(front[:, 1] - best[1]) <= 0.01)]
        cut = 100 * (1 - near[0] / best[0])
        caption += (
            " Red ellipse: highest validation accuracy; green: within .01 of it with the least "
            f"training energy, {cut:.0f} % less."
        )
    factor, label = drawing.axis_unit("energy_kwh", np.concatenate(data.points)[:, 0])
    labels = label, "Validation accuracy"
    options: dict[str, Any] = {"least": 1.6, "height": 1.55, "labels": labels, "sharey": "row"}
    with drawing.panels(caption, len(data.budgets), **options) as (figure, every):
        images = []
        drawn = zip(every, data.budgets, data.points, data.fronts, strict=True)
        for axes, budget, points, front in drawn:
            drawing.log_axis(axes, "x", factor * points.min(0)[0], factor * points.max(0)[0])
            look: dict[str, Any] = {"s": 5 if len(points) < 200 else 2, "color": INK["blue"]}
            images.append(drawing.cloud(axes, points * [factor, 1.0], "Blues", alpha=0.6, **look))
            steps(axes, front * [factor, 1.0], "energy_kwh", color=INK["vermilion"], linewidth=0.9)
            axes.set_title(f"{budget} epochs", fontsize=7, pad=6 if ellipses else 2)
        if ellipses:
            from matplotlib.markers import MarkerStyle

            look = {"marker": MarkerStyle("o", fillstyle="none").scaled(1.0, 0.55)}
            look |= {"markersize": 14, "markeredgewidth": 1.0, "clip_on": False}
            for (x_at, y_at), ink in ((best, "#C1121F"), (near, INK["green"])):
                every[-1].plot(factor * x_at, y_at, color=ink, **look)
        images = [image for image in images if image is not None]
        if images:
            most = max(int(image.get_array().max()) for image in images)
            for image in images:
                image.set_clim(1, most)
            bar = drawing.colour_bar(figure, images[0], every)
            bar.set_xlabel("Cells in a bin", fontsize=7)
            drawing.log_axis(bar, "x", 1, most)
    return figure
