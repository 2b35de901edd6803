"""Figure of a comparison over the worlds of a modelled table: which rankings hold in how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from naslib_ecnas.comparison.findings import counted
from naslib_ecnas.comparison.results import Results
from naslib_ecnas.comparison.worlds import WorldRanking
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK, PAGE_WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Smallest missing share of the hypervolume that is drawn; smaller ones are drawn there.
LEAST = 1e-4


def worlds_figure(results: Results, ranking: WorldRanking) -> Figure:
    """Missing hypervolume of each method in each world, and in how many one beats another."""
    count, methods = len(ranking.worlds), len(ranking.methods)
    units = [unit for unit in results.runs if unit.table == ranking.table]
    config, seeds = results.runs[units[0]].config, len({unit.seed for unit in units})
    caption = (
        f"Table {ranking.table}, {config.epochs} epochs, {counted(seeds, 'seed')}, and "
        f"{counted(count, 'world')}: tables as plausible as it. Left: missing share of the "
        "hypervolume of a world's own true front (less is better), median over the seeds; a dot is "
        "a world, the bar their median, the cross the table itself. Right: number of worlds in "
        "which the method of the line is better than the one of the column. Methods are in the "
        f"order of the table, which holds as a whole in {ranking.order_holds[-1]} of {count} "
        f"worlds. {drawing.origins(results.benchmarks[ranking.table], config.objectives)}"
    )
    with drawing.captioned(1.5 + 0.28 * methods, caption, width=PAGE_WIDTH) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.3, 1))
        _spread(left, ranking)
        _matrix(right, ranking)
    return figure


def _spread(axes: Axes, ranking: WorldRanking) -> None:
    missing, on_table = (
        np.maximum(1.0 - share, LEAST) for share in (ranking.in_worlds, ranking.on_table)
    )
    # Equal heights for equal worlds, so that they are found in every line.
    heights = np.linspace(-0.28, 0.28, len(ranking.worlds)) if len(ranking.worlds) > 1 else [0.0]
    for place, shares in enumerate(missing):
        colour, _ = drawing.line_of(sorted(ranking.methods).index(ranking.methods[place]))
        axes.scatter(shares, place + np.asarray(heights), s=5, color=colour, alpha=0.7, linewidth=0)
        axes.vlines(np.median(shares), place - 0.36, place + 0.36, color=colour, linewidth=1.4)
    axes.plot(on_table, range(len(on_table)), "x", color=INK["black"], markersize=5)
    axes.set(xlabel="missing share of hypervolume")
    every = np.append(missing, on_table)
    if (span := float(every.max() / every.min())) > 8:
        axes.set(xscale="log")
        drawing.log_ticks(axes.xaxis, span)
    axes.set_yticks(range(len(ranking.methods)), ranking.methods)
    axes.set_ylim(len(ranking.methods) - 0.5, -0.5)


def _matrix(axes: Axes, ranking: WorldRanking) -> None:
    better, count = ranking.better, len(ranking.worlds)
    shown = np.where(np.eye(len(better), dtype=np.bool_), np.nan, better / count)
    axes.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), share in np.ndenumerate(shown):
        if i != j:
            colour = "white" if share > 0.6 else INK["black"]
            axes.text(j, i, f"{better[i, j]}", ha="center", va="center", color=colour, fontsize=7)
    axes.set_xticks(range(len(ranking.methods)), ranking.methods, rotation=30, ha="right")
    axes.set_xlabel(f"better than ... in so many of {count} worlds")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
