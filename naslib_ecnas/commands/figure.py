"""`ecnas figure`: the figures of the EC-NAS paper, drawn from any table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from naslib_ecnas.commands.options import (
    add_study_options,
    add_table_options,
    command,
    open_table,
    run_study,
)
from naslib_ecnas.console import print_json, progress, split_words
from naslib_ecnas.errors import ConfigError, FetchError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.files import Sheet

_FORMATS = ("pdf", "svg", "png")
_FIGURES = {
    1: "energy against accuracy of all cells at every budget",
    2: "predicted against measured energies, and the learning curve",
    3: "effect of swapping operators on energy, time, accuracy and parameters",
    4: "energies on several GPUs",
    5: "median attainment of the methods, one front and its chosen cells",
    6: "front and chosen cells of every method",
}
#: Figures with fixed budgets -> which they are.
_FIXED_BUDGETS = {1: "all budgets", 2: "4 epochs"}
_OFFICIAL = ("4v-rtx6000", "4v-rtx3060", "4v-rtx3090", "4v-titanxp")


#: A figure that is ready: what draws it, its caption, and numbers for CSV files by the suffixes of
#: their names.
_Prepared = tuple[Callable[[], "Figure"], str, dict[str, "Sheet"]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command(
        parser,
        run,
        "ecnas figure 1 --table 5v --out figures",
        "ecnas figure 5 --table 5v --seeds 10 --evaluations 500 --out figures",
    )
    listed = "; ".join(f"{number}: {about}" for number, about in _FIGURES.items())
    add("number", "N", listed, type=int, choices=tuple(_FIGURES))
    add("--table", "TABLE", "table or file (7v; figure 4: 4v)")
    add("--out", "DIR", "folder to write to (the current one)", default=".")
    add("--epochs", "E", "training budget (the largest; figure 4: the least)", type=int)
    add("--json", help="print one JSON object: files, caption, settings")
    single = add.group("options of single figures")
    about = "figure 2: table or file of energies measured at 4 epochs (5v-4epochs if fetched)"
    single("--measurements", "TABLE", about)
    about = "figure 2: output of `ecnas surrogate learning-curve --json`"
    single("--learning-curve", "FILE", about)
    about = "figure 3: swap all vertices with the operator at once, one, or as the paper does "
    single("--occurrences", "HOW", about + "(%(default)s)", default="all")
    single("--official", help="figure 4: the four published 4-vertex tables")
    single("--devices", "GPUS", "figure 4: GPUs of the modelled table (all calibrated)")
    add_study_options(add, "figures 5 and 6")
    add_table_options(add)


def run(args: argparse.Namespace) -> None:
    """Draw a figure of the EC-NAS paper from a table. Writes figure-N.pdf, .svg and .png, and the
    numbers of the figure as .csv."""
    from naslib_ecnas.figures.drawing import save, style

    number = args.number
    if args.epochs is not None and number in _FIXED_BUDGETS:
        raise ConfigError(f"figure {number} always shows {_FIXED_BUDGETS[number]}: omit --epochs")
    prepare = (_clouds, _predictions, _swaps, _devices, _searches, _searches)[number - 1]
    with style():  # raises if matplotlib is missing, before any search is run
        draw, caption, sheets = prepare(args)
        stem = args.out / f"figure-{number}"
        with progress() as shown:
            shown(f"drawing figure {number}")
            files = save(draw(), stem, _FORMATS)
    for part, sheet in sheets.items():
        files.append(sheet.write(stem.with_name(f"{stem.name}{part}.csv")))
    if args.json:
        print_json({"figure": number, "caption": caption, "files": list(map(str, files))})
        return
    print(f"figure {number}: {_FIGURES[number]}\n{caption}")
    for file in files:
        print(f"written to: {file}")


def _clouds(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.figures.budgets import clouds, clouds_figure

    data = clouds(open_table(args))
    sheets = {"": data.sheet(), "-fronts": data.front_sheet()}
    return partial(clouds_figure, data), data.caption, sheets


def _predictions(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.figures.predictions import (
        fitted_rows,
        predictions,
        predictions_figure,
        read_learning_curve,
    )
    from naslib_ecnas.loading import DEFAULT_TABLE
    from naslib_ecnas.surrogate import EMBEDDED

    curve = read_learning_curve(args.learning_curve) if args.learning_curve else None
    measured = _measurements(args)
    modelled = (args.table or DEFAULT_TABLE) in EMBEDDED
    fitted = fitted_rows(args.device, args.model) if modelled else None
    data = predictions(open_table(args), measured, fitted=fitted)
    sheets = {"": data.sheet()}
    if curve is not None:
        sheets["-learning-curve"] = curve.sheet()
    elif not args.json:
        how = "ecnas surrogate learning-curve --data DIR --json > FILE, then --learning-curve FILE"
        print(f"drawn without the learning curve; to add it: {how}", file=sys.stderr)
    return partial(predictions_figure, data, curve), data.caption, sheets


def _measurements(args: argparse.Namespace) -> Benchmark:
    """The table of `--measurements`, by default the published one if it was fetched.

    Another PUE applies to both tables of the comparison.
    """
    from naslib_ecnas.loading import load

    if args.measurements is not None:
        with progress() as shown:
            return load(args.measurements, pue=args.pue, progress=shown)
    try:
        return load("5v-4epochs", pue=args.pue, fetch=False)
    except FetchError as error:
        message = "figure 2 needs energies measured at 4 epochs: --measurements FILE, or 5v-4epochs"
        raise ConfigError(message, remedy="ecnas data fetch 5v-4epochs") from error


def _swaps(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.figures.swaps import swap_effects, swaps_figure

    data = swap_effects(open_table(args), epochs=args.epochs, occurrences=args.occurrences)
    return partial(swaps_figure, data), data.caption, {"": data.sheet()}


def _devices(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.figures.devices import device_energies, devices_figure
    from naslib_ecnas.surrogate.devices import DEVICES

    if args.official:
        if args.devices or args.table or args.device:
            raise ConfigError("--official does not go with --devices, --device or --table")
        modelled = {"device": None, "scaling": None, "model": None}
        benches = [open_table(args, name, **modelled) for name in _OFFICIAL]
    else:
        names = split_words(args.devices or args.device or ",".join(DEVICES))
        table = "4v" if args.table is None else args.table
        benches = [open_table(args, table, device=name) for name in names]
    data = device_energies(benches, epochs=args.epochs)
    return partial(devices_figure, data), data.caption, {"": data.sheet()}


def _searches(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.figures import summary

    bench = open_table(args)
    data = run_study(bench, args)
    sheets = {"": summary.chosen_sheet(data), "-fronts": summary.fronts_sheet(data)}
    if args.number == 6:
        draw = partial(summary.methods_figure, bench, data)
        return draw, summary.summary_caption(bench, data, "Every method."), sheets
    shown = "semoa" if "semoa" in data.runs else next(iter(data.runs))
    draw = partial(summary.summary_figure, bench, data, method=shown)
    sheets["-attainment"] = summary.attainment_sheet(data)
    return draw, summary.summary_caption(bench, data, f"Front and radar of {shown}."), sheets
