"""Figure 3: effect of replacing one operator of a cell by another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, check_choice, check_types
from naslib_ecnas.figures import drawing
from naslib_ecnas.files import Sheet
from naslib_ecnas.metrics import metric
from naslib_ecnas.topologies import OPERATIONS, topologies

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Metrics of the paper's four heat maps, in the paper's order.
METRICS = ("energy_kwh", "training_time_s", "validation_accuracy", "parameters")
_SHORT = ("3x3", "1x1", "pool")

#: Which vertices a swap replaces, see `swapped`.
OCCURRENCES = ("all", "one", "paper")

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Swaps:
    """Mean effect of every swap of two operators, at one budget of a table."""

    epochs: tuple[int, ...]
    """(m,) budget of each metric."""
    caption: str
    metrics: tuple[str, ...]
    effect: NDArray[np.float64]
    """(m, 3, 3) mean change when the second index's operator replaces the first's, in the order of
    `OPERATIONS`: relative to the value before, or the difference for accuracies. 0 on the
    diagonal, NaN if no cell can be compared."""
    cells: NDArray[np.int64]
    """(m, 3, 3) number of comparisons in each mean."""

    def sheet(self) -> Sheet:
        """A line for each metric and swap; relative changes in per cent."""
        rows = []
        for (m, a, b), count in np.ndenumerate(self.cells):
            if a != b:
                name = self.metrics[m]
                factor, unit = (1.0, "difference") if _is_share(name) else (100.0, "per cent")
                mean = factor * self.effect[m, a, b]
                rows.append((name, OPERATIONS[a], OPERATIONS[b], mean, unit, count))
        return Sheet.of(("metric", "from", "to", "mean_change", "unit", "comparisons"), rows)


def swapped(vertices: int, before: int, after: int, occurrences: str = "all") -> tuple[Rows, Rows]:
    """Pairs of cells with the same edges that differ by a swap of operators.

    Args:
        vertices: largest number of vertices of the space.
        before, after: two different positions in `OPERATIONS`.
        occurrences: `"all"` swaps every vertex with the operator at once; `"one"` swaps one at a
            time, so that a cell occurs once for each such vertex. `"paper"` is `"all"` as the
            paper's figure has it: cells without the operator are pairs with themselves, and a swap
            is lost if the result is not labelled as NAS-Bench-101's files label its class of cells.

    Returns:
        (n,) rows before and (n,) rows after the swap.

    Raises:
        ConfigError: the operators or `occurrences` do not exist.
    """
    kinds = range(len(OPERATIONS))
    if before not in kinds or after not in kinds or before == after:
        raise ConfigError("a swap takes two different operators of 0, 1, 2", value=(before, after))
    check_choice(OCCURRENCES, occurrences=occurrences)
    table = topologies()
    size = int(np.searchsorted(table.vertices[table.row_topology], vertices, "right"))
    topology = table.row_topology[:size].astype(np.int64)
    number = table.row_ops[:size].astype(np.int64)
    slots = table.vertices[topology].astype(np.int64) - 2
    first = table.first[topology].astype(np.int64)
    steps = [np.zeros(size, dtype=np.int64)]
    for slot in range(vertices - 2):
        # Labellings are base-3 numbers whose first slot is the most significant digit.
        weight = 3 ** np.maximum(slots - 1 - slot, 0)
        has = (slot < slots) & (number // weight % 3 == before)
        steps.append(np.where(has, (after - before) * weight, 0))
    if occurrences != "one":
        steps = [np.sum(steps, axis=0)]
    if occurrences == "paper":
        labelling = number + steps[0]
        target = table.row_of[first + labelling].astype(np.int64)
        kept = np.flatnonzero(table.row_ops[target] == labelling)
        return kept, target[kept]
    sources = [np.flatnonzero(step) for step in steps]
    targets = [table.row_of[(first + number + step)[step != 0]] for step in steps]
    return np.concatenate(sources), np.concatenate(targets).astype(np.int64)


def swap_effects(
    bench: Benchmark,
    *,
    metrics: Sequence[str] = METRICS,
    epochs: int | None = None,
    occurrences: str = "all",
) -> Swaps:
    """Mean effect of replacing one operator by another, over the cells that contain it.

    For costs this is the mean of (after - before) / before, for accuracies the mean of
    after - before. Pairs with a missing value or a cost of 0 are left out.

    With the occurrences `"paper"` the mean is antisymmetric: half of the effect of a swap less half
    of that of the reverse one. This gives the printed changes of the parameters to every digit, and
    energies at 4 epochs and times at 108 of the modelled table within .5 points of the printed
    ones; printed accuracies are not explained (docs/figures.md).

    The budget is the largest by default; with `"paper"`, that of energies is the smallest.

    Raises:
        ConfigError: `occurrences` are none of `OCCURRENCES`.
        UnknownMetricError, UnknownBudgetError: the table does not hold a metric or this budget.
    """
    check_types(Benchmark, bench=bench)
    budgets = dict.fromkeys(metrics, bench.budgets[-1] if epochs is None else epochs)
    if occurrences == "paper" and epochs is None:
        budgets |= {name: bench.budgets[0] for name in metrics if name == "energy_kwh"}
    values = {name: bench.values(name, budget) for name, budget in budgets.items()}
    n = len(OPERATIONS)
    effect = np.zeros((len(values), n, n))
    cells = np.zeros((len(values), n, n), dtype=np.int64)
    for a, b in itertools.permutations(range(n), 2):
        before, after = swapped(bench.space.vertices, a, b, occurrences)
        for m, (name, column) in enumerate(values.items()):
            change = column[after] - column[before]
            if not _is_share(name):
                with np.errstate(divide="ignore", invalid="ignore"):
                    change = change / column[before]
            change = change[np.isfinite(change)]
            cells[m, a, b] = len(change)
            effect[m, a, b] = change.mean() if len(change) else np.nan
    about = "one vertex at a time" if occurrences == "one" else "every occurrence at once"
    over = f"the cells of table {bench.name} that contain it"
    if occurrences == "paper":
        effect = (effect - effect.swapaxes(1, 2)) / 2
        over = (
            f"all cells of table {bench.name} after whose swap the operators stand as in "
            "NAS-Bench-101's files; half of it less half of the reverse replacement"
        )
    at = sorted(set(budgets.values()), reverse=True)
    when = f"{at[0]} epochs" + (f", energies at {at[-1]}" if len(at) > 1 else "")
    caption = (
        f"Mean effect of replacing the operator on the left by the operator below, {about}, edges "
        f"unchanged, over {over}; {when}. Colour: change as a share of a panel's largest. "
        f"{drawing.origins(bench, metrics)}"
    )
    return Swaps(tuple(budgets.values()), caption, tuple(values), effect, cells)


def swaps_figure(swaps: Swaps) -> Figure:
    """Heat maps, one for each metric, with the number in each field: darker is worse."""
    count, labels = len(swaps.metrics), ("To", "From")
    options: dict[str, Any] = {"least": 1.6, "height": 1.45, "labels": labels}
    with drawing.panels(swaps.caption, count, **options) as (figure, every):
        for axes, name, effect in zip(every, swaps.metrics, swaps.effect, strict=True):
            share = _is_share(name)
            shown = np.where(np.eye(len(effect), dtype=bool), np.nan, effect)
            shades = metric(name).cost(shown) / (float(np.nanmax(np.abs(shown), initial=0)) or 1.0)
            factor, digits = (1, 4) if share else (100, 1)
            texts = {
                (a, b): "?" if np.isnan(value) else drawing.signed(factor * value, digits)
                for (a, b), value in np.ndenumerate(shown)
                if a != b
            }
            look = {"cmap": "YlGnBu", "vmin": -1, "vmax": 1}
            image = drawing.matrix(axes, shades, texts, _SHORT, **look)
            title = f"{metric(name).about} ({'difference' if share else '%'})"
            axes.set_title(drawing.capitalised(title), fontsize=7)
        bar = drawing.colour_bar(figure, image, every, ticks=[-1, 0, 1])
        bar.set_xticklabels(["Better", "No change", "Worse"])
    return figure


def _is_share(name: str) -> bool:
    """Whether a metric lies between 0 and 1, so that its change is given as a difference."""
    found = metric(name)
    return not found.unit and found.upper == 1.0
