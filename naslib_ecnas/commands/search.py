"""`ecnas search`: one search over one table; prints its front, its knee and its cost."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from naslib_ecnas import search
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.commands.options import (
    JSON,
    add_limits,
    add_style_options,
    add_table_options,
    chosen,
    command,
    limits_of,
    open_table,
    styled,
)
from naslib_ecnas.console import (
    print_json,
    print_lines,
    print_table,
    progress,
    quantity_text,
    split_words,
)
from naslib_ecnas.errors import MissingDependencyError, counted
from naslib_ecnas.figures.drawing import save
from naslib_ecnas.figures.front import front_figure
from naslib_ecnas.metrics import metric
from naslib_ecnas.records import Spent
from naslib_ecnas.search.output import document, optimism_text
from naslib_ecnas.search.result import SearchResult


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = command(
        parser,
        run,
        "ecnas search --evaluations 300 --seed 0 --out runs/first",
        "ecnas search --method re --max-energy 20 --out runs/budget",
        "ecnas report runs",
    )
    add("--table", "TABLE", "table or file (%(default)s)", default="7v")
    about = "ehvi, mf-ehvi, semoa, random, sh-emoa, mse-hvi, re, ls, one of another library or "
    about += "module:Class; settings follow the name: semoa:population=20 (%(default)s)"
    add("--method", "METHOD", about, default="ehvi")
    add_limits(add)
    about = "evaluate by single noisy trainings; the result is measured by the table's means"
    add("--noise", help=about)
    add("--seed", "SEED", "seed of the run (%(default)s)", default=0)
    add("--epochs", "E", "training budget (the table's largest)", type=int)
    about = "two or more metrics, comma-separated (%(default)s)"
    add("--objectives", "METRICS", about, default="energy_kwh,validation_accuracy")
    add("--paper", help="the method as in the published code")
    add("--workers", "N", "trainings at a time, in simulated time (%(default)s)", default=1)
    about = "count emissions by hourly gCO2eq/kWh: a CSV file, or california-2022"
    add("--carbon-trace", "FILE", about)
    about = "with a trace, start trainings: now, below-mean or cheapest-window (%(default)s)"
    add("--defer", "RULE", about, default="now")
    add("--out", "DIR", "new folder for history, front, costs, config and plot")
    add("--overwrite", help="replace an earlier search in --out")
    add_style_options(add)
    add("--no-plot", help="write no plot")
    add(*JSON)
    add_table_options(add)


def run(args: argparse.Namespace) -> None:
    """Search a table for the best trade-offs between objectives. Every evaluation is charged as the
    training it stands for. Reported are the front (the cells that no other found cell dominates),
    its knee (the best compromise) and its extremes."""
    limits, look = limits_of(args), styled(args)
    search.check(args.method, **limits, **chosen(args, "seed paper"))
    bench = open_table(args)
    start = time.perf_counter()
    with progress():
        result = search.run(
            bench,
            args.method,
            objectives=split_words(args.objectives),
            charge_repeats=not args.free_repeats,
            **limits,
            **chosen(args, "epochs seed paper noise workers carbon_trace defer out overwrite"),
        )
    seconds = time.perf_counter() - start
    if args.out and not args.no_plot and len(result.front):
        plot(bench, result, args.out, look)
    if args.json:
        print_json(document(result))
        return
    report(result, seconds)
    if result.spent.unknown["co2_g"]:
        print("for gCO2eq, choose --carbon-intensity world or a country such as DK")
    if args.out:
        print(f"written to: {args.out}")


def plot(
    bench: Benchmark,
    result: SearchResult,
    folder: Path,
    look: AbstractContextManager[None] | None = None,
) -> None:
    """Write `front.png` and `front.pdf`, or a note to stderr if matplotlib is missing."""
    try:
        with look or nullcontext():
            save(front_figure(bench, result), folder / "front")
    except MissingDependencyError as error:
        print(f"plot skipped: {error}", file=sys.stderr)


# -- the report ------------------------------------------------------------------------------


def report(result: SearchResult, seconds: float | None = None) -> None:
    """Print the knee and the extremes, the hypervolume, the costs, and how long the search took."""
    config = result.config
    setting = " (paper setting)" if config.paper else ""
    found = counted(len(set(result.front_rows.tolist())), "cell")
    print(
        f"{config.method}{setting} on {config.table} at {config.epochs} epochs, seed "
        f"{config.seed}: {found} on the front, "
        f"{result.hypervolume:.4f} of the true front's hypervolume\n"
    )
    if len(result.front):
        _report_front(result)
    print_lines([f"{metric(name).about}: {config.provenance[name]}" for name in config.objectives])
    if not len(result.front):
        print(f"no evaluation at {config.epochs} epochs: raise the limits of the search")
    _report_costs(result, seconds)


def _report_front(result: SearchResult) -> None:
    """Print the knee and the extremes, in the order of the front."""
    found = document(result)
    named = [("rk", "knee", found["knee"])]
    for i, (name, place) in enumerate(found["extremes"].items()):
        which = "highest" if metric(name).maximise else "lowest"
        named.append((f"r{i}", f"{which} {metric(name).about}", place))
    named.sort(key=lambda item: result.front.tolist().index(item[2]["index"]))
    wanted = ("energy_kwh", "validation_accuracy", "parameters", "training_time_s")
    names = [*found["objectives"], *(name for name in wanted if name in result.details)]
    names = list(dict.fromkeys(names))
    rows = [
        (key, *(_shown(name, place[name]) for name in names), str(place["row"]), why)
        for key, why, place in named
    ]
    headings = ("", *(metric(name).about for name in names), "row", "chosen for")
    print_table(headings, rows, right=range(1, len(headings) - 1))
    print("", *(f"{key}  {place['cell']}" for key, _, place in named), "", sep="\n")
    if result.config.noise:
        print(f"seen less true, mean over the front: {optimism_text(result.optimism)}\n")


def _report_costs(result: SearchResult, seconds: float | None) -> None:
    """Print the number of evaluations and what training them would have cost."""
    took = "" if seconds is None else f", in {seconds:.2f} s"
    print(
        f"this search: {counted(result.spent.evaluations, 'evaluation')} of "
        f"{counted(len(set(result.rows.tolist())), 'different cell')}{took}\n"
        f"training them would have cost: {counted(result.spent.epochs, 'epoch')}, "
        f"{_sum(result.spent, 'seconds', 1 / 3600, 'hours of training')}, "
        f"{_sum(result.spent, 'energy_kwh')}, {_sum(result.spent, 'co2_g', 1, 'gCO2eq')}"
    )
    budgets = Counter(result.epochs.tolist())
    if len(budgets) > 1:
        at = ", ".join(f"{number:,} at {budget}" for budget, number in sorted(budgets.items()))
        print(f"by epochs: {at}; the front is of those at {result.config.epochs}")
    if result.timed:
        config, carbon = result.config, result.config.carbon
        clock = f"{result.hours:,.4g} hours with {counted(config.workers, 'worker')}"
        if carbon:
            clock += f"; emissions by {carbon['name']} (mean {carbon['mean_g_per_kwh']:.4g} "
            clock += f"gCO2eq/kWh), start {carbon['defer']}"
        print(f"in simulated time: {clock}")
    if result.answered:
        print(f"not charged: {counted(result.answered, 'repeated cell')}")
    if result.skipped:
        print(f"not charged: {counted(result.skipped, 'proposal')} outside the table")
    if result.ended_by != "evaluations":
        print(f"ended by: {result.ended_by}")


def _sum(spent: Spent, name: str, factor: float = 1, unit: str = "kWh") -> str:
    """What is known of a cost, and of how many trainings it is not."""
    unknown, value = spent.unknown[name], spent.known[name] * factor
    if 0 < unknown == spent.evaluations:
        return f"unknown {unit}"
    text = _shown(name, value) if unit == "kWh" else quantity_text(value, ",.4g", unit)
    return f"{text} without {unknown:,} unknown" if unknown else text


def _shown(name: str, value: float) -> str:
    """A value with its unit, in Wh below one kWh."""
    unit = metric(name).unit
    if unit == "kWh" and value < 1:
        return quantity_text(value * 1000, ".4g", "Wh")
    if not unit and metric(name).upper == 1.0:
        return quantity_text(value, ".4f")
    return quantity_text(value, ",.4g" if unit else ",.0f", unit)
