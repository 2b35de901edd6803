"""Anytime curves and attainment of the methods of a comparison, a figure for each table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import (
    AnytimeBand,
    anytime,
    attainment_surface,
    band,
    common_budgets,
)
from naslib_ecnas.comparison.grid import Unit
from naslib_ecnas.comparison.results import Results
from naslib_ecnas.figures.drawing import (
    PAGE_WIDTH,
    add_caption,
    line_of,
    new_figure,
    origins,
    save,
    style,
)
from naslib_ecnas.figures.front import axis_unit, scale_axes
from naslib_ecnas.figures.sheet import Sheet
from naslib_ecnas.metrics import metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["anytime_bands", "comparison_figure", "write_figures"]

#: Smallest missing share of hypervolume that is drawn as such.
_LEAST = 1e-4
#: What the curves run over: name of a cumulative cost, label, whether it needs energies.
_AXES = (("evaluations", "evaluations"), ("energy_kwh", "simulated energy of the search (kWh)"))


def write_figures(results: Results, out: Path) -> list[Path]:
    """Write `comparison-TABLE.pdf`, `.svg`, `.png` and the curves as CSV, for each table.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        StorageError: the folder cannot be written.
    """
    written = []
    for table in results.benchmarks:
        stem = out / Unit(table, "comparison", 0).file.parts[1]
        stem = stem.with_name(f"comparison-{stem.name}")
        written += save(comparison_figure(results, table), stem, ("pdf", "svg", "png"))
        written.append(_curves(results, table).write(stem.with_name(f"{stem.name}.csv")))
    return written


def anytime_bands(results: Results, table: str, cost: str) -> dict[str, AnytimeBand]:
    """Median and quartiles of the hypervolume of each method, at budgets that all runs reach.

    Args:
        results: of a comparison.
        table: one of its tables.
        cost: what was spent, by the names of `Spent`.

    Returns:
        The bands by method; none where the table does not say what a training costs.
    """
    units = [unit for unit in results.runs if unit.table == table]
    spent = {unit: results.runs[unit].cumulative[cost] for unit in units}
    if any(np.isnan(column).any() for column in spent.values()):
        return {}
    budgets = common_budgets(list(spent.values()))
    scale = results.yardsticks[table].scale
    curves: dict[str, list[NDArray[np.float64]]] = {}
    for unit in units:
        curve = anytime(results.own(unit), spent[unit], budgets, scale)
        curves.setdefault(unit.method, []).append(curve)
    return {method: band(found, budgets) for method, found in curves.items()}


def comparison_figure(results: Results, table: str) -> Figure:
    """Hypervolume over evaluations and over energy, and median attainment, of each method.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    units = [unit for unit in results.runs if unit.table == table]
    methods = list(dict.fromkeys(unit.method for unit in units))
    config = results.runs[units[0]].config
    two = len(config.objectives) == 2
    with style():
        figure = new_figure(PAGE_WIDTH, 2.9)
        panels: list[Axes] = list(figure.subplots(1, 3 if two else 2))
        for axes, (cost, label) in zip(panels, _AXES, strict=False):
            _anytime(axes, anytime_bands(results, table, cost), label)
        panels[0].set_ylabel("missing share of hypervolume")
        if two:
            _attained(panels[2], results, table, methods)
        handles, labels = panels[-1 if two else 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4, borderpad=0)
        add_caption(figure, _caption(results, table, units, two=two))
    return figure


def _anytime(axes: Axes, bands: dict[str, AnytimeBand], label: str) -> None:
    for place, (method, found) in enumerate(bands.items()):
        colour, line = line_of(place)
        median, lower, upper = (_missing(v) for v in (found.median, found.lower, found.upper))
        axes.plot(found.budgets, median, line, color=colour, linewidth=1.1, label=method)
        axes.fill_between(found.budgets, lower, upper, color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label)
    if not bands:
        axes.text(0.5, 0.5, "costs not known", ha="center", transform=axes.transAxes)


def _missing(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is missing to the whole hypervolume, which tells good searches apart; not below what
    the axis shows."""
    return np.maximum(1.0 - share, _LEAST)


def _attained(axes: Axes, results: Results, table: str, methods: list[str]) -> None:
    yardstick = results.yardsticks[table]
    names = yardstick.scale.objectives
    x_metric, y_metric = (metric(name) for name in names)
    factor, x_label = axis_unit(names[0], yardstick.front[:, 0])
    worst = yardstick.scale.reference
    drawn: list[tuple[str, NDArray[np.float64]]] = [("true front", yardstick.front)]
    for method in methods:
        units = [u for u in results.runs if (u.table, u.method) == (table, method)]
        found = [results.own(unit) for unit in units]
        drawn.append((method, attainment_surface(found, names).points))
    for place, (name, points) in enumerate(drawn):
        near = (x_metric.cost(points[:, 0]) <= x_metric.cost(worst[0])) & (
            y_metric.cost(points[:, 1]) <= y_metric.cost(worst[1])
        )
        kept = points[near]
        colour, line = ("#A6A6A6", "-") if place == 0 else line_of(place - 1)
        axes.step(
            factor * np.append(kept[:, 0], worst[0]),
            np.append(kept[:, 1], kept[-1:, 1]),
            line,
            where="pre" if x_metric.maximise else "post",
            color=colour,
            linewidth=2.2 if place == 0 else 1.1,
            label=name,
        )
    scale_axes(axes, yardstick.front * [factor, 1.0], [x_label, y_metric.label])


def _caption(results: Results, table: str, units: list[Unit], *, two: bool) -> str:
    config = results.runs[units[0]].config
    bench = results.benchmarks[table]
    seeds = len({unit.seed for unit in units})
    shown = (
        "Left: what is missing to the true front's hypervolume, less is better, drawn down to "
        f"{_LEAST:g}; lines are medians over the seeds, bands quartiles."
    )
    if two:
        shown += " Right: what at least half of the runs attain."
    return (
        f"Table {table}, {config.epochs} epochs, {seeds} seed{'s' if seeds > 1 else ''}. {shown} "
        "Hypervolume between the ideal of the true front and a point a tenth of its range behind "
        f"its nadir. {origins(bench, config.objectives)}"
    )


def _curves(results: Results, table: str) -> Sheet:
    rows = [
        (table, method, cost, budget, lower, median, upper)
        for cost, _ in _AXES
        for method, found in anytime_bands(results, table, cost).items()
        for budget, lower, median, upper in zip(
            found.budgets, found.lower, found.median, found.upper, strict=True
        )
    ]
    headings = ("table", "method", "over", "spent", "lower_quartile", "median", "upper_quartile")
    return Sheet.of(headings, rows)
