"""`ecnas figure`: the figures of the EC-NAS paper, drawn from any table."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.commands.options import (
    add_study_options,
    add_style_options,
    add_table_options,
    command,
    open_table,
    run_study,
    styled,
)
from naslib_ecnas.console import print_json, progress, split_words
from naslib_ecnas.errors import ConfigError, FetchError
from naslib_ecnas.figures import predictions as of
from naslib_ecnas.figures import summary
from naslib_ecnas.figures.budgets import clouds, clouds_figure
from naslib_ecnas.figures.devices import device_energies, devices_figure, short_device_name
from naslib_ecnas.figures.drawing import KINDS, save
from naslib_ecnas.figures.swaps import swap_effects, swaps_figure
from naslib_ecnas.files import Sheet
from naslib_ecnas.loading import DEFAULT_TABLE, load
from naslib_ecnas.surrogate import EMBEDDED
from naslib_ecnas.surrogate.devices import DEVICES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIGURES = {
    1: "energy against accuracy of all cells at every budget",
    2: "predicted against measured energies, and the learning curve",
    3: "effect of swapping operators on energy, time, accuracy and parameters",
    4: "energies on several GPUs",
    5: "median attainment of the methods, one front and its chosen cells",
    6: "front and chosen cells of every method",
}
#: Options that only some figures have.
_SINGLE = {
    "epochs": (3, 4, 5, 6),
    "ellipses": (1,),
    "measurements": (2,),
    "occurrences": (3,),
    "paper": (3, 5),
    "official": (4,),
    "devices": (4,),
    "methods": (5, 6),
}
_OFFICIAL = ("4v-rtx6000", "4v-rtx3060", "4v-rtx3090", "4v-titanxp")

#: A figure, and numbers for CSV files by the suffixes of their names.
_Drawn = tuple["Figure", dict[str, Sheet]]


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
    add_style_options(add)
    single = add.group("options of single figures")
    single("--ellipses", help="figure 1: mark two regions, as the paper does")
    about = "figure 2: table or file of energies measured at 4 epochs (4-vertex table of the GPU)"
    single("--measurements", "TABLE", about)
    about = "figure 3: swap all vertices with the operator at once, one, or as the paper does "
    single("--occurrences", "HOW", about + "(all; with --paper: paper)")
    single("--paper", help="figure 3: swaps, figure 5: hypervolume by the rules of the paper")
    single("--official", help="figure 4: the four published 4-vertex tables")
    single("--devices", "GPUS", "figure 4: GPUs of the modelled table (all calibrated)")
    add_study_options(add, "figures 5 and 6")
    add_table_options(add)


def run(args: argparse.Namespace) -> None:
    """Draw a figure of the EC-NAS paper from a table. Writes figure-N.pdf, .svg and .png, its
    caption as .txt, and its numbers as .csv."""
    number = args.number
    for option, figures in _SINGLE.items():
        given = getattr(args, option)
        if given is not None and given is not False and number not in figures:
            which = ", ".join(map(str, figures))
            message = f"--{option.replace('_', '-')} is an option of figure {which}"
            raise ConfigError(message, value=f"figure {number}")
    draw = (_clouds, _predictions, _swaps, _devices, _searches, _searches)[number - 1]
    with styled(args):  # raises if matplotlib is missing, before any search is run
        figure, sheets = draw(args)
        stem = args.out / f"figure-{number}"
        files = save(figure, stem, KINDS)
    caption = str(figure.get_label())
    for part, sheet in sheets.items():
        files.append(sheet.write(stem.with_name(f"{stem.name}{part}.csv")))
    if args.json:
        print_json({"figure": number, "caption": caption, "files": list(map(str, files))})
        return
    print(f"figure {number}: {_FIGURES[number]}\n{caption}")
    for file in files:
        print(f"written to: {file}")


def _clouds(args: argparse.Namespace) -> _Drawn:
    data = clouds(open_table(args))
    figure = clouds_figure(data, ellipses=args.ellipses)
    return figure, {"": data.sheet(), "-fronts": data.front_sheet()}


def _predictions(args: argparse.Namespace) -> _Drawn:
    curve = of.shipped_learning_curve()
    modelled = open_table(args)
    embedded = (args.table or DEFAULT_TABLE) in EMBEDDED
    fitted = of.fitted_rows(args.device, args.model) if embedded else None
    data = of.predictions(modelled, _measurements(args, modelled), fitted=fitted)
    sheets = {"": data.sheet(), "-learning-curve": curve.sheet()}
    return of.predictions_figure(data, curve), sheets


def _measurements(args: argparse.Namespace, modelled: Benchmark) -> Benchmark:
    """The table of `--measurements`, by default the published four-vertex table of the same GPU if
    it was fetched.

    Another PUE applies to both tables of the comparison.
    """
    if args.measurements is not None:
        with progress():
            return load(args.measurements, pue=args.pue)
    device = short_device_name(str(modelled.provenance["energy_kwh"].device))
    published = dict(zip(DEVICES, _OFFICIAL, strict=True))
    name = published.get(device, _OFFICIAL[0])
    try:
        return load(name, pue=args.pue, fetch=False)
    except FetchError as error:
        message = f"figure 2 needs energies measured at 4 epochs: --measurements FILE, or {name}"
        raise ConfigError(message, remedy=f"ecnas data fetch {name}") from error


def _swaps(args: argparse.Namespace) -> _Drawn:
    usual = "paper" if args.paper else "all"
    how = usual if args.occurrences is None else args.occurrences
    data = swap_effects(open_table(args), epochs=args.epochs, occurrences=how)
    return swaps_figure(data), {"": data.sheet()}


def _devices(args: argparse.Namespace) -> _Drawn:
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
    return devices_figure(data), {"": data.sheet()}


def _searches(args: argparse.Namespace) -> _Drawn:
    bench = open_table(args)
    data = run_study(bench, args)
    sheets = {"": summary.chosen_sheet(data), "-fronts": summary.fronts_sheet(data)}
    if args.number == 6:
        return summary.methods_figure(bench, data), sheets
    shown = "semoa" if "semoa" in data.runs else next(iter(data.runs))
    sheets["-attainment"] = summary.attainment_sheet(data)
    return summary.summary_figure(bench, data, method=shown, paper=args.paper), sheets
