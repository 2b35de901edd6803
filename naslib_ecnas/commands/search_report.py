"""What a search found and cost, for reading, and its plot."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from naslib_ecnas.console import print_lines, print_table

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.search.result import SearchResult

__all__ = ["plot", "report"]


def plot(bench: Benchmark, result: SearchResult, folder: Path) -> None:
    """Write `front.png` and `front.pdf`; say so where matplotlib is missing."""
    from naslib_ecnas.errors import MissingDependencyError
    from naslib_ecnas.figures.drawing import save
    from naslib_ecnas.figures.front import front_figure

    try:
        save(front_figure(bench, result), folder / "front")
    except MissingDependencyError as error:
        print(f"plot skipped: {error}", file=sys.stderr)


def report(result: SearchResult, seconds: float | None = None) -> None:
    """Print the knee and the extremes, the hypervolume and the costs.

    Args:
        result: what was found.
        seconds: how long looking it up took; None where that means nothing.
    """
    from naslib_ecnas.metrics import metric

    config = result.config
    setting = " (paper setting)" if config.paper else ""
    print(
        f"{config.method}{setting} on {config.table} at {config.epochs} epochs, seed "
        f"{config.seed}: {len(result.front)} cells on the front, {result.hypervolume:.4f} of the "
        "true front's hypervolume\n"
    )
    if len(result.front):
        _report_front(result)
    for name in config.objectives:
        print_lines([f"{metric(name).about}: {config.provenance[name]}"])
    if not len(result.front):
        print(f"no evaluation at {config.epochs} epochs: let the search spend more")
    _report_costs(result, seconds)


def _report_front(result: SearchResult) -> None:
    """Print the knee and the extremes."""
    from naslib_ecnas.cell import Cell
    from naslib_ecnas.metrics import metric

    config = result.config
    named = _named(result)
    shown = [n for n in ("energy_kwh", "validation_accuracy") if n in result.details]
    shown = list(dict.fromkeys([*config.objectives, *shown, "parameters", "training_time_s"]))
    print_table(
        ("", *(metric(name).about for name in shown), "row", "chosen for"),
        [
            (
                key,
                *(_shown(name, _value(result, name, index)) for name in shown),
                str(result.rows[index]),
                why,
            )
            for key, why, index in named
        ],
        right=range(1, len(shown) + 2),
    )
    print()
    for key, _, index in named:
        print(f"{key}  {Cell.from_row(int(result.rows[index]))}")
    print()


def _report_costs(result: SearchResult, seconds: float | None) -> None:
    """Print what the search made, and what that would have cost."""
    spent = result.spent
    took = "" if seconds is None else f", looked up in {seconds:.2f} s"
    print(
        f"this search: {spent.evaluations:,} evaluations of {len(set(result.rows.tolist())):,} "
        f"cells{took}\n"
        f"trained, it would have cost: {spent.epochs:,} epochs, "
        f"{_known(spent.seconds / 3600, '.4g', 'hours of training')}, "
        f"{_shown('energy_kwh', spent.energy_kwh)}, {_known(spent.co2_g, ',.4g', 'gCO2eq')}"
    )
    if len(set(result.epochs.tolist())) > 1:
        at = [
            f"{int((result.epochs == b).sum()):,} at {b}"
            for b in sorted(set(result.epochs.tolist()))
        ]
        print(f"by epochs: {', '.join(at)}; those at {result.config.epochs} make the front")
    if result.answered:
        print(f"answered without a charge: {result.answered:,} cells that came again")
    if result.skipped:
        print(f"skipped: {result.skipped:,} proposals that were no cell of the table, not charged")
    if result.ended_by != "evaluations":
        print(f"ended by: {result.ended_by}")


def _named(result: SearchResult) -> list[tuple[str, str, int]]:
    """Key, reason and evaluation of the knee and the extremes, in the order of the front."""
    from naslib_ecnas.metrics import metric

    named = [("rk", "knee", result.knee)]
    for i, (name, index) in enumerate(zip(result.config.objectives, result.extremes, strict=True)):
        found = metric(name)
        named.append((f"r{i}", f"{'highest' if found.maximise else 'lowest'} {found.about}", index))
    place = {index: i for i, index in enumerate(result.front.tolist())}
    return sorted(named, key=lambda item: place[item[2]])


def _value(result: SearchResult, name: str, index: int) -> float:
    if name in result.config.objectives:
        return float(result.values[index, result.config.objectives.index(name)])
    return float(result.details[name][index]) if name in result.details else math.nan


def _shown(name: str, value: float) -> str:
    """A value with its unit, for reading."""
    from naslib_ecnas.metrics import metric

    unit = metric(name).unit
    if unit == "kWh" and value < 1:
        return _known(value * 1000, ".4g", "Wh")
    if not unit and metric(name).upper == 1.0:
        return _known(value, ".4f", "")
    return _known(value, ",.0f" if not unit else ",.4g", unit)


def _known(value: float, form: str, unit: str) -> str:
    text = f"{value:{form}} {unit}".strip()
    return text if math.isfinite(value) else f"unknown {unit}".strip()
