"""`ecnas figure`: the figures of the EC-NAS paper, drawn from any table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import (
    ConsoleProgress,
    add_study_options,
    add_table_options,
    examples,
    print_json,
    run_study,
    split_words,
    table_options,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.files import Sheet

__all__ = ["add_parser", "run"]

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


@dataclass(frozen=True)
class _Prepared:
    """A figure that is ready to be drawn, with its caption and its numbers."""

    draw: Callable[[], Figure]
    caption: str
    sheets: dict[str, Sheet]
    """Suffix of the file name -> numbers for a CSV file."""


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    listed = "; ".join(f"{number}: {about}" for number, about in _FIGURES.items())
    parser = subparsers.add_parser(
        "figure",
        help="figures 1 to 6 of the paper from any table, as PDF, SVG, PNG and CSV",
        description=f"Draw a figure of the EC-NAS paper from a table. {listed}. Writes "
        "figure-N.pdf, .svg and .png, and the numbers of the figure as .csv.",
        **examples(
            "ecnas figure 1 --table 5v --out figures",
            "ecnas figure 5 --table 5v --seeds 10 --evaluations 500 --out figures",
        ),
    )
    add = parser.add_argument
    add("number", type=int, choices=tuple(_FIGURES), metavar="N", help="1 to 6")
    add("--table", metavar="NAME", help="table or file (7v; figure 4: 4v)")
    add("--out", default=".", metavar="DIR", help="folder to write to (the current one)")
    add(
        "--epochs", type=int, metavar="N", help="training budget (the largest; figure 4: the least)"
    )
    add("--json", action="store_true", help="print one JSON object: files, caption, settings")
    group = parser.add_argument_group("options of single figures")
    group.add_argument(
        "--measurements",
        metavar="FILE",
        help="figure 2: table or file of energies measured at 4 epochs (5v-4epochs if fetched)",
    )
    group.add_argument(
        "--learning-curve",
        metavar="FILE",
        help="figure 2: output of `ecnas surrogate learning-curve --json`",
    )
    group.add_argument(
        "--occurrences",
        default="all",
        metavar="HOW",
        help="figure 3: swap all vertices with the operator at once, or one (%(default)s)",
    )
    group.add_argument(
        "--official", action="store_true", help="figure 4: the four published 4-vertex tables"
    )
    group.add_argument(
        "--devices", metavar="A,B", help="figure 4: GPUs of the modelled table (all calibrated)"
    )
    add_study_options(parser, "figures 5 and 6")
    add_table_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0.

    Raises:
        EcnasError: a setting is not possible, matplotlib is missing, or a table or a file cannot
            be read or written.
    """
    from naslib_ecnas.errors import ConfigError
    from naslib_ecnas.figures.drawing import save, style

    if args.epochs is not None and args.number in _FIXED_BUDGETS:
        raise ConfigError(
            f"figure {args.number} always shows {_FIXED_BUDGETS[args.number]}: omit --epochs"
        )
    with style():  # raises if matplotlib is missing, before any search is run
        made = _FIGURE_FUNCTIONS[args.number](args)
        stem = Path(args.out).expanduser() / f"figure-{args.number}"
        with ConsoleProgress() as shown:
            shown(f"drawing figure {args.number}")
            files = save(made.draw(), stem, _FORMATS)
    for part, sheet in made.sheets.items():
        files.append(sheet.write(stem.with_name(f"{stem.name}{part}.csv")))
    if args.json:
        print_json({"figure": args.number, "caption": made.caption, "files": list(map(str, files))})
        return 0
    print(f"figure {args.number}: {_FIGURES[args.number]}\n{made.caption}")
    for path in files:
        print(f"written to: {path}")
    return 0


def _bench(args: argparse.Namespace, **changed: Any) -> Benchmark:
    from naslib_ecnas.loading import DEFAULT_TABLE, load

    with ConsoleProgress() as fetching:
        name = DEFAULT_TABLE if args.table is None else args.table
        return load(name, progress=fetching, **{**table_options(args), **changed})


def _clouds(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.figures.budgets import clouds, clouds_figure

    data = clouds(_bench(args))
    sheets = {"": data.sheet(), "-fronts": data.front_sheet()}
    return _Prepared(lambda: clouds_figure(data), data.caption, sheets)


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
    measured = _measurements(args.measurements, args.pue)
    fitted = None
    if (args.table or DEFAULT_TABLE) in EMBEDDED:
        fitted = fitted_rows(args.device, args.model)
    data = predictions(_bench(args), measured, fitted=fitted)
    sheets = {"": data.sheet()}
    if curve is not None:
        sheets["-learning-curve"] = curve.sheet()
    elif not args.json:
        print(
            "drawn without the learning curve; to add it: ecnas surrogate learning-curve "
            "--data DIR --json > FILE, then --learning-curve FILE",
            file=sys.stderr,
        )
    return _Prepared(lambda: predictions_figure(data, curve), data.caption, sheets)


def _measurements(name: str | None, pue: float | None) -> Benchmark:
    """The table of `--measurements`, by default the published one if it was fetched.

    Another PUE applies to both tables of the comparison.
    """
    from naslib_ecnas.errors import ConfigError, FetchError
    from naslib_ecnas.loading import load

    if name is not None:
        with ConsoleProgress() as fetching:
            return load(name, pue=pue, progress=fetching)
    try:
        return load("5v-4epochs", pue=pue, fetch=False)
    except FetchError as error:
        raise ConfigError(
            "figure 2 needs energies measured at 4 epochs: --measurements FILE, or 5v-4epochs",
            remedy="ecnas data fetch 5v-4epochs",
        ) from error


def _swaps(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.figures.swaps import swap_effects, swaps_figure

    data = swap_effects(_bench(args), epochs=args.epochs, occurrences=args.occurrences)
    return _Prepared(lambda: swaps_figure(data), data.caption, {"": data.sheet()})


def _devices(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.errors import ConfigError
    from naslib_ecnas.figures.devices import device_energies, devices_figure
    from naslib_ecnas.loading import load
    from naslib_ecnas.surrogate.devices import DEVICES

    if args.official and (args.devices or args.table or args.device):
        raise ConfigError("--official does not go with --devices, --device or --table")
    args.table = "4v" if args.table is None else args.table
    if args.official:
        with ConsoleProgress() as fetching:
            place = {name: table_options(args)[name] for name in ("pue", "carbon_intensity")}
            benches = [load(name, progress=fetching, **place) for name in _OFFICIAL]
    else:
        devices = args.devices or args.device or ",".join(DEVICES)
        benches = [_bench(args, device=name) for name in split_words(devices)]
    data = device_energies(benches, epochs=args.epochs)
    return _Prepared(lambda: devices_figure(data), data.caption, {"": data.sheet()})


def _summary(args: argparse.Namespace) -> _Prepared:
    from naslib_ecnas.figures.summary import (
        attainment_sheet,
        chosen_sheet,
        fronts_sheet,
        methods_figure,
        summary_caption,
        summary_figure,
    )

    bench = _bench(args)
    data = run_study(bench, args)
    sheets = {"": chosen_sheet(data), "-fronts": fronts_sheet(data)}
    if args.number == 5:
        sheets["-attainment"] = attainment_sheet(data)
        shown = "semoa" if "semoa" in data.runs else next(iter(data.runs))
        return _Prepared(
            lambda: summary_figure(bench, data, method=shown),
            summary_caption(bench, data, f"Front and radar of {shown}."),
            sheets,
        )
    return _Prepared(
        lambda: methods_figure(bench, data), summary_caption(bench, data, "Every method."), sheets
    )


_FIGURE_FUNCTIONS: dict[int, Callable[[argparse.Namespace], _Prepared]] = {
    1: _clouds,
    2: _predictions,
    3: _swaps,
    4: _devices,
    5: _summary,
    6: _summary,
}
