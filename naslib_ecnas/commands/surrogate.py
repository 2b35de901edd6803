"""`ecnas surrogate`: evaluate and fit the models, and calibrate them to another GPU."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from naslib_ecnas.cell import Cell
from naslib_ecnas.commands.options import JSON, Options, actions, check_out, chosen
from naslib_ecnas.console import print_json, print_lines, print_table, progress
from naslib_ecnas.errors import ConfigError, counted
from naslib_ecnas.quality import Quality, QualityLine
from naslib_ecnas.surrogate import SUFFIX, TARGETS
from naslib_ecnas.surrogate.calibrate import Report, calibrated, choose
from naslib_ecnas.surrogate.fit.reference import PUBLISHED_TARGETS, published
from naslib_ecnas.surrogate.modelled import shipped_quality


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    action = actions(
        parser,
        "The models behind the embedded tables. Predicting and calibrating need only the package; "
        "fitting needs the extra `fit` and the reference measurements.",
        "ecnas surrogate evaluate",
        "ecnas surrogate choose --cells 20",
        "ecnas surrogate calibrate --measurements my-gpu.csv --out my-gpu.safetensors",
    )
    add = action(_evaluate, "ecnas surrogate evaluate", "ecnas surrogate evaluate --by-vertices")
    add("--by-vertices", help="also for each number of vertices")
    add(*JSON)

    line = "ecnas surrogate fit --target energy --out energy.safetensors"
    add = action(_fit, line, f"{line} \\\n    --data my-runs.csv")
    about = "model to fit; `paper` is the energy by the paper's recipe"
    add("--target", help=about, required=True, choices=TARGETS)
    about = "folder of the measurements, or for the energy a table (default: what the owners of "
    add("--data", "TABLE", about + "the data publish, fetched)")
    about = "fit the energies of the paper's test fifth too, which are left out otherwise"
    add("--all", help=about)
    add("--out", "FILE", "weights file (.safetensors) to write", required=True)
    _add_seed_and_json(add)

    add = action(_choose, "ecnas surrogate choose --cells 20 --vertices 5")
    add("--cells", "N", "how many (%(default)s)", default=20)
    add("--vertices", "V", "largest number of vertices (%(default)s)", default=7)
    _add_seed_and_json(add)

    add = action(
        _calibrate,
        'ecnas surrogate calibrate --measurements my-gpu.csv --device "my GPU" \\\n'
        "    --pue 1 --out my-gpu.safetensors",
        "ecnas query 7v 1000 --device my-gpu.safetensors",
    )
    add("--measurements", "TABLE", "table or file", required=True)
    add("--cells", "N", "fit N cells and test on the others (default: fit all)", type=int)
    add("--device", "NAME", "name of the GPU (default: from the file)")
    about = "PUE (power usage effectiveness) that the measured energies contain: 1 for the energy "
    add("--pue", "P", about + "of the machine itself", type=float)
    about = "what energy_kwh covers: start-up and training steps, or the steps alone; evaluations "
    about += "must be in neither (default: from the file, else training)"
    add("--span", help=about, choices=("training", "steps"))
    add("--out", "FILE", "calibration file (.safetensors) to write")
    _add_seed_and_json(add)


def _add_seed_and_json(add: Options) -> None:
    add("--seed", "SEED", "seed (%(default)s)", default=0)
    add(*JSON)


# -- evaluate and fit ---------------------------------------------------------------------------


def _evaluate(args: argparse.Namespace) -> None:
    """Print errors of the models on trainings that the fit has not seen. Shown are errors, rank
    correlation and coverage of the 50, 90 and 99 % intervals, as determined when the models were
    fitted; the same for the cells predicted lowest and highest; and failures and orders of single
    trainings."""
    quality = Quality.from_json(shipped_quality(*TARGETS))
    if args.json:
        print_json({"targets": quality.to_json()})
        return
    # How the test data were kept apart is a sentence: it is printed once, below the table.
    abouts = {line.target: line.about for line in quality}
    marks: dict[str, int] = {}
    for headings, *rows in quality.tables(by_vertices=args.by_vertices):
        shown = []
        for row in rows:
            about = abouts.get(row[0])
            mark = f"[{marks.setdefault(about, len(marks) + 1)}]" if about else ""
            shown.append((*row, mark))
        print_table((*headings, "note"), shown, right=range(1, len(headings)))
        print()
    print_lines([f"[{number}] test data: {about}" for about, number in marks.items()])
    anchors = [f"{line.target}: {line.anchor}" for line in quality if line.anchor]
    if anchors:
        print("\nfor comparison")
        print_lines(anchors)


def _check_out(out: Path | None) -> None:
    """Refuse, before long work, a file that cannot be written or is not read as weights."""
    if out is not None and out.suffix != SUFFIX:
        raise ConfigError(f"--out must have the suffix {SUFFIX}", value=str(out))
    check_out(out)


def _fit(args: argparse.Namespace) -> None:
    """Fit a model to published measurements, or an energy model to your own; evaluate it like the
    shipped one, and write its weights. The energy takes about a quarter of an hour on one core."""
    target, source = args.target, published() if args.data is None else args.data
    if args.data is None and target not in PUBLISHED_TARGETS:
        message = "not all measurements of this target are published as files"
        remedy = "name a folder that has them by --data"
        raise ConfigError(message, value=target, remedy=remedy)
    if args.all and target != "energy":
        raise ConfigError("--all is for --target energy", value=target)
    _check_out(args.out)
    more = {"with_test": True} if args.all else {}
    home = "devices" if target == "epochs" else target
    fit = getattr(import_module(f"naslib_ecnas.surrogate.fit.{home}"), f"fit_{target}")
    with progress():
        weights = fit(source, seed=args.seed, **more)
    weights.save(args.out)
    if args.json:
        print_json({"out": str(args.out), "header": dict(weights.header)})
    else:
        _print_quality(Quality.from_json(weights.header["quality"]))
        print(f"written to: {args.out}")


def _print_quality(quality: Quality) -> None:
    for headings, *rows in quality.tables():
        print_table(headings, rows, right=range(1, len(headings)))
        print()


# -- another GPU ----------------------------------------------------------------------------------


def _choose(args: argparse.Namespace) -> None:
    """List the cells to measure on another GPU. Their measurements are most informative about it:
    an experimental design, not a random sample."""
    rows = choose(args.cells, **chosen(args, "vertices seed"))
    cells = [Cell.from_row(int(row)) for row in rows]
    if args.json:
        keys = ("row", "cell", "hash", "epochs")
        found = ((cell.row, str(cell), cell.nasbench_hash, 4) for cell in cells)
        print_json([dict(zip(keys, values, strict=True)) for values in found])
    else:
        print_table(("row", "cell"), [(str(cell.row), str(cell)) for cell in cells], right=[0])


def _calibrate(args: argparse.Namespace) -> None:
    """Make an energy model of another GPU from few measured cells. It is fitted to measurements at
    4 epochs, and its error is estimated by cross-validation. The file is any that `ecnas data
    convert` reads, such as a CSV with the columns cell, epochs, energy_kwh and, better,
    training_time_s."""
    _check_out(args.out)
    options = chosen(args, "cells device pue span seed")
    calibration, weights = calibrated(args.measurements, **options)
    if args.out:
        weights.save(args.out)
    if weights.header.get("synthetic"):
        print("SYNTHETIC: calibrated on numbers that are not measurements", file=sys.stderr)
    if args.json:
        print_json({"report": calibration.report.to_json(), "header": dict(weights.header)})
        return
    _report(calibration.report)
    if args.out:
        print(f"written to: {args.out}\nuse it: ecnas query 7v 1000 --device {args.out}")


def _report(report: Report) -> None:
    print(f"{report.device}: {counted(report.cells, 'run')} fitted\n")
    scored = (
        ("left out in turn", report.cross_validated),
        ("the same, sound runs", report.sound),
        ("not fitted", report.held_out),
        ("the same, sound runs", report.held_out_sound),
    )
    lines = (
        QualityLine(name, "", "Wh", replace(scores, mae=1000 * scores.mae).to_json())
        for name, scores in scored
        if scores
    )
    _print_quality(Quality(tuple(lines)))
    if report.suspicious:
        print("outliers, not fitted; measure them again:")
        print_table(
            ("row", "quantity", "measured", "expected", "factor"),
            [
                (str(s.row), s.quantity, f"{s.value:.5g}", f"{s.expected:.5g}", f"{s.factor:.2f}")
                for s in report.suspicious
            ],
            right=[0, 2, 3, 4],
        )
        print()
