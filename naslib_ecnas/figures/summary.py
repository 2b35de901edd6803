"""Figures 5 and 6: what searches reach, method by method."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis.attainment import attainment_surface
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.figures.drawing import (
    PAGE_WIDTH,
    add_caption,
    line_of,
    new_figure,
    origins,
    style,
)
from naslib_ecnas.figures.front import axis_unit, front_panel, scale_axes
from naslib_ecnas.figures.radar import radar, radar_limits
from naslib_ecnas.figures.sheet import Sheet
from naslib_ecnas.figures.study import Study, mean_quantities
from naslib_ecnas.metrics import OBJECTIVES, metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

__all__ = [
    "attainment_sheet",
    "attainment_surfaces",
    "fronts_sheet",
    "methods_figure",
    "summary_caption",
    "summary_figure",
]


def attainment_surfaces(data: Study) -> dict[str, NDArray[np.float64]]:
    """Median attainment surface of each method: (k, 2) kWh and validation accuracy."""
    return {
        method: attainment_surface([r.front_values for r in results], OBJECTIVES).points
        for method, results in data.runs.items()
    }


def attainment_sheet(data: Study) -> Sheet:
    """A line for each corner of each method's median attainment surface."""
    surfaces = attainment_surfaces(data)
    return Sheet.of(
        ("method", *OBJECTIVES), [(m, *point) for m, points in surfaces.items() for point in points]
    )


def fronts_sheet(data: Study) -> Sheet:
    """A line for each cell on the front of each method's first seed, with what it was chosen as."""
    rows = []
    for method, results in data.runs.items():
        first = results[0]
        marks = {first.extremes[0]: "r0", first.extremes[1]: "r1"}
        marks[first.knee] = " ".join(filter(None, (marks.get(first.knee), "rk")))
        for index in first.front.tolist():
            values = first.values[index]
            rows.append((method, first.config.seed, first.rows[index], *values, marks.get(index)))
    return Sheet.of(("method", "seed", "row", *OBJECTIVES, "chosen_as"), rows)


def summary_caption(bench: Benchmark, data: Study, shown: str) -> str:
    """What both figures say below: settings, how to read them, and the origin of the values."""
    axes = [n for n in (*OBJECTIVES, "training_time_s") if n == OBJECTIVES[0] or n in bench.metrics]
    seeds = f"{len(data.seeds)} seed{'s' if len(data.seeds) > 1 else ''}"
    return (
        f"Table {data.table}, {data.epochs} epochs, {data.evaluations:,} evaluations, {seeds}. "
        f"{shown} Radar: means over the seeds of r0 (least energy), rk (knee) and r1 (highest "
        "accuracy), each axis from 0 to the value at its end. "
        f"{origins(bench, list(dict.fromkeys(axes)))}"
    )


def summary_figure(bench: Benchmark, data: Study, *, method: str = "semoa") -> Figure:
    """Figure 5: median attainment of the methods, one front, and a radar of its chosen cells.

    Args:
        bench: the table that was searched.
        data: the searches.
        method: whose front and radar are drawn.

    Raises:
        ConfigError: the method was not run.
        MissingDependencyError: matplotlib is not installed.
    """
    if method not in data.runs:
        raise ConfigError(
            "the method was not run",
            value=method,
            expected="one of " + ", ".join(data.runs),
            remedy="add it to --methods",
        )
    means = mean_quantities(data.runs[method])
    with style():
        figure = new_figure(PAGE_WIDTH, 2.9)
        grid = figure.add_gridspec(1, 3, width_ratios=(1, 1, 0.8))
        left, middle = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        _attained(left, bench, data)
        front_panel(middle, bench, data.runs[method][0], cloud=False)
        right = cast("PolarAxes", figure.add_subplot(grid[2], projection="polar"))
        radar(right, means, radar_limits([means]))
        for axes, letter in ((left, "a"), (middle, "b"), (right, "c")):
            _legend(axes, f"({letter})")
        shown = (
            f"(a) Energy and accuracy that at least half of the runs reach. (b) Front of {method}, "
            f"seed {data.seeds[0]}. (c) Chosen cells of {method}."
        )
        add_caption(figure, summary_caption(bench, data, shown))
    return figure


def methods_figure(bench: Benchmark, data: Study) -> Figure:
    """Figure 6: the front of the first seed and the radar of every method, on common axes.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    means = {method: mean_quantities(results) for method, results in data.runs.items()}
    limits = radar_limits(list(means.values()))
    columns = min(2, len(means))
    lines = -(-len(means) // columns)
    with style():
        figure = new_figure(PAGE_WIDTH * columns / 2, 1.1 + 1.9 * lines)
        grid = figure.add_gridspec(lines, 2 * columns, width_ratios=(1, 0.8) * columns)
        fronts: list[Axes] = []
        for i, (method, results) in enumerate(data.runs.items()):
            line, column = divmod(i, columns)
            axes = figure.add_subplot(
                grid[line, 2 * column],
                sharex=fronts[0] if fronts else None,
                sharey=fronts[0] if fronts else None,
            )
            front_panel(axes, bench, results[0], cloud=False)
            if column:
                axes.set_ylabel("")
            axes.set_title(method, fontsize=8, loc="left")
            fronts.append(axes)
            polar = figure.add_subplot(grid[line, 2 * column + 1], projection="polar")
            radar(cast("PolarAxes", polar), means[method], limits)
            if i == 0:
                lines_of = [ax.get_legend_handles_labels() for ax in (axes, polar)]
        handles = [h for found, _ in lines_of for h in found]
        labels = [label for _, found in lines_of for label in found]
        name = next(iter(data.runs))
        labels = ["front found" if label == f"found by {name}" else label for label in labels]
        figure.legend(handles, labels, loc="outside upper left", ncols=2 * columns, borderpad=0)
        shown = f"Fronts of seed {data.seeds[0]}."
        add_caption(figure, summary_caption(bench, data, shown))
    return figure


def _attained(axes: Axes, bench: Benchmark, data: Study) -> None:
    factor, label = axis_unit(OBJECTIVES[0], bench.values(OBJECTIVES[0], data.epochs))
    true = np.array(bench.front(OBJECTIVES, data.epochs).values, dtype=np.float64)
    surfaces = {"true front": true, **attainment_surfaces(data)}
    furthest = max(points[:, 0].max() for points in surfaces.values())
    for i, (name, points) in enumerate(surfaces.items()):
        # What is attained stays attained for any greater energy.
        x = factor * np.append(points[:, 0], furthest)
        y = np.append(points[:, 1], points[-1, 1])
        first = i == 0
        colour, line = ("#A6A6A6", "-") if first else line_of(i - 1)
        axes.step(
            x,
            y,
            where="post",
            color=colour,
            linestyle=line,
            linewidth=2.2 if first else 1.1,
            label=name,
        )
    every = np.concatenate(list(surfaces.values())) * [factor, 1.0]
    scale_axes(axes, every, [label, metric(OBJECTIVES[1]).label])


def _legend(axes: Axes, letter: str) -> None:
    """The panel's letter, and a legend of its own: the entries have nothing in common."""
    polar = axes.name == "polar"
    axes.legend(
        loc="upper center" if polar else "lower left",
        bbox_to_anchor=(0.5, -0.24) if polar else (0.0, 1.04),
        ncols=3 if polar else 2,
        fontsize=6,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.8,
        columnspacing=0.8,
        labelspacing=0.25,
    )
    place = (-0.35, 1.2) if polar else (-0.25, 1.04)
    axes.text(*place, letter, transform=axes.transAxes, fontsize=8)
