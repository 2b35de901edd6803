"""`ecnas surrogate`: evaluate and fit the models, and calibrate them to another GPU."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from naslib_ecnas.commands.options import JSON, Options, actions, check_out, chosen
from naslib_ecnas.console import (
    counted,
    print_json,
    print_lines,
    print_table,
    progress,
    split_words,
)
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.surrogate import SUFFIX, TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from naslib_ecnas.quality import Scores
    from naslib_ecnas.surrogate.calibrate import Report


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
    add("--data", "DIR", "folder of reference measurements")
    add("--by-vertices", help="also for each number of vertices")
    add(*JSON)

    line = "ecnas surrogate fit --target energy --out energy.safetensors"
    add = action(_fit, line, f"{line} \\\n    --data my-runs.csv")
    add("--target", help="model to fit", required=True, choices=TARGETS)
    about = "energy model: ours, or the paper's recipe (%(default)s)"
    add("--model", help=about, default="ours", choices=("ours", "paper"))
    about = "folder of the measurements, or for the energy a table (default: what the owners of "
    add("--data", "TABLE", about + "the data publish, fetched)")
    about = "fit the energies of the paper's test fifth too, which are left out otherwise"
    add("--all", help=about)
    add("--out", "FILE", "weights file (.safetensors) to write", required=True)
    _add_seed_and_json(add)

    add = action(_choose, "ecnas surrogate choose --cells 20 --vertices 5")
    add("--cells", "N", "how many (%(default)s)", default=20)
    add("--vertices", "V", "largest number of vertices (%(default)s)", default=7)
    about = "preference for cells that train quickly: 0 none, 1 proportional (%(default)s)"
    add("--cost", "C", about, default=0.0)
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

    add = action(
        _learning_curve,
        "ecnas surrogate learning-curve --data DIR --json > curve.json",
        "ecnas figure 2 --learning-curve curve.json",
    )
    add("--data", "DIR", "folder of the measurements", required=True)
    add("--draws", "N", "fits at each size (%(default)s)", default=10)
    add("--sizes", "N,N", "training-set sizes, comma-separated")
    _add_seed_and_json(add)


def _add_seed_and_json(add: Options) -> None:
    add("--seed", "SEED", "seed (%(default)s)", default=0)
    add(*JSON)


# -- evaluate and fit ---------------------------------------------------------------------------


def _evaluate(args: argparse.Namespace) -> None:
    """Print errors of the models on trainings that the fit has not seen. Shown are errors, rank
    correlation and coverage of the 50, 90 and 99 % intervals, as determined when the models were
    fitted; the same for the cells predicted lowest and highest; and failures and orders of single
    trainings. With --data, compare the models with the measurements of a folder, without those that
    they were fitted on."""
    from naslib_ecnas.quality import Quality

    if args.data is None:
        from naslib_ecnas.surrogate.modelled import shipped_quality

        quality = Quality.from_json(shipped_quality(*TARGETS))
    else:
        from naslib_ecnas.surrogate.evaluate import evaluate

        quality = evaluate(args.data)
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
    from naslib_ecnas.progress import listening
    from naslib_ecnas.quality import Quality
    from naslib_ecnas.surrogate.fit.reference import PUBLISHED_TARGETS, published

    target = "paper" if args.model == "paper" and args.target == "energy" else args.target
    source = published() if args.data is None else args.data
    if args.data is None and target not in PUBLISHED_TARGETS:
        message = "not all measurements of this target are published as files"
        remedy = "name a folder that has them by --data"
        raise ConfigError(message, value=target, remedy=remedy)
    if args.all and target != "energy":
        raise ConfigError("--all is for --target energy and our model", value=target)
    _check_out(args.out)
    more = {"with_test": True} if args.all else {}
    fit = getattr(import_module(f"naslib_ecnas.surrogate.fit.{target}"), f"fit_{target}")
    with progress() as shown, listening(shown):
        weights = fit(source, seed=args.seed, progress=shown, **more)
    weights.save(args.out)
    if args.json:
        print_json({"out": str(args.out), "header": dict(weights.header)})
    else:
        for headings, *rows in Quality.from_json(weights.header["quality"]).tables():
            print_table(headings, rows, right=range(1, len(headings)))
            print()
        print(f"written to: {args.out}")


# -- another GPU ----------------------------------------------------------------------------------


def _choose(args: argparse.Namespace) -> None:
    """List the cells to measure on another GPU. Their measurements are most informative about it:
    an experimental design, not a random sample."""
    from naslib_ecnas.cell import Cell
    from naslib_ecnas.surrogate.calibrate import choose

    rows = choose(args.cells, **chosen(args, "vertices seed cost"))
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
    from naslib_ecnas.surrogate.calibrate import calibrated

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
        print(f"\nwritten to: {args.out}\nuse it: ecnas query 7v 1000 --device {args.out}")


def _report(report: Report) -> None:
    print(f"{report.device}: {counted(report.cells, 'run')} fitted\n")
    scored = (
        ("left out in turn", report.cross_validated),
        ("the same, sound runs", report.sound),
        ("not fitted", report.held_out),
        ("the same, sound runs", report.held_out_sound),
    )
    print_table(
        ("runs", "number", "MAE", "MAPE %", "tau", "in 90 %"),
        [(name, *_line(scores)) for name, scores in scored if scores],
        right=range(1, 6),
    )
    if report.suspicious:
        print("\noutliers, not fitted; measure them again:")
        print_table(
            ("row", "quantity", "measured", "expected", "factor"),
            [
                (str(s.row), s.quantity, f"{s.value:.5g}", f"{s.expected:.5g}", f"{s.factor:.2f}")
                for s in report.suspicious
            ],
            right=[0, 2, 3, 4],
        )


def _line(scores: Scores) -> tuple[str, ...]:
    coverage = "-" if scores.coverage is None else f"{scores.coverage:.2f}"
    error = f"{1000 * scores.mae:.3g} Wh"
    return f"{scores.cells:,}", error, f"{scores.mape:.2f}", f"{scores.tau:.3f}", coverage


# -- learning curve -------------------------------------------------------------------------------


def _learning_curve(args: argparse.Namespace) -> None:
    """Print the error of the energy model over the number of measured cells. It is fitted to
    growing numbers of cells, ten draws each, and evaluated on the validation part of the paper's
    split, as in the paper's figure 2."""
    import numpy as np

    from naslib_ecnas.surrogate.fit.paper import LEARNING_SIZES, learning_curve

    try:
        sizes = tuple(map(int, split_words(args.sizes))) if args.sizes else LEARNING_SIZES
    except ValueError as error:
        message = "--sizes must be whole numbers such as 100,400,1600"
        raise ConfigError(message, value=args.sizes) from error
    with progress() as shown:
        options = chosen(args, "draws seed")
        found = learning_curve(args.data, sizes=sizes, progress=shown, **options)
    if args.json:
        print_json(found)
        return
    rows = []
    for size in sizes:
        drawn = [point for point in found if point["size"] == size]
        rows.append([f"{size:,}", str(len(drawn))])
        for name, digits in (("mae_wh", 3), ("mape", 2), ("tau", 3)):
            values = [point[name] for point in drawn]
            rows[-1].append(f"{np.mean(values):.{digits}f} +- {np.std(values):.{digits}f}")
    print_table(("cells", "draws", "MAE Wh", "MAPE %", "tau"), rows, right=range(5))
