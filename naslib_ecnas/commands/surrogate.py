"""`ecnas surrogate`: evaluate and fit the models, and calibrate them to another GPU."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import (
    ConsoleProgress,
    examples,
    print_json,
    print_lines,
    print_table,
    show_help,
    split_words,
)

if TYPE_CHECKING:
    from naslib_ecnas.quality import Scores
    from naslib_ecnas.surrogate.calibrate import Report
    from naslib_ecnas.surrogate.models import Weights

__all__ = ["add_parser"]

_TARGETS = ("energy", "epochs", "accuracy", "time", "devices", "paper")


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    parser = subparsers.add_parser(
        "surrogate",
        help="the models behind the tables 7v, 5v, 4v: evaluate, fit, calibrate to a GPU",
        description="The models behind the embedded tables. Predicting and calibrating need only "
        "the package; fitting needs the extra `fit` and the reference measurements.",
        **examples(
            "ecnas surrogate evaluate",
            "ecnas surrogate choose --cells 20",
            "ecnas surrogate calibrate --measurements my-gpu.csv --out my-gpu.npz",
        ),
    )
    parser.set_defaults(run=show_help(parser))
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    one = actions.add_parser(
        "evaluate",
        help="errors of the models on trainings that the fit has not seen",
        description="Print errors, rank correlation and coverage of the 90 % intervals on "
        "trainings that the fit has not seen, as determined when the models were fitted. With "
        "--data, compare the models with the measurements of a folder, without those that they "
        "were fitted on.",
        **examples("ecnas surrogate evaluate", "ecnas surrogate evaluate --by-vertices"),
    )
    one.add_argument("--data", metavar="DIR", help="folder of reference measurements")
    one.add_argument("--by-vertices", action="store_true", help="also for each number of vertices")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_evaluate)

    one = actions.add_parser(
        "fit",
        help="fit a model to the reference measurements",
        description="Fit a model to a folder of reference measurements, evaluate it like the "
        "shipped one, and write its weights.",
        **examples("ecnas surrogate fit --target energy --data DIR --out energy.npz"),
    )
    one.add_argument("--target", required=True, choices=_TARGETS, help="model to fit")
    one.add_argument(
        "--model",
        default="ours",
        choices=("ours", "paper"),
        help="energy model: ours, or the paper's recipe (%(default)s)",
    )
    one.add_argument("--data", required=True, metavar="DIR", help="folder of the measurements")
    one.add_argument("--out", required=True, metavar="FILE", help="weights file (.npz) to write")
    one.add_argument("--seed", type=int, default=0, metavar="N", help="seed (%(default)s)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_fit)

    one = actions.add_parser(
        "choose",
        help="which cells to measure on another GPU",
        description="List the cells whose measurements are most informative about a GPU: an "
        "experimental design, not a random sample.",
        **examples("ecnas surrogate choose --cells 20 --vertices 5"),
    )
    one.add_argument("--cells", type=int, default=20, metavar="N", help="how many (%(default)s)")
    one.add_argument(
        "--vertices",
        type=int,
        default=7,
        metavar="V",
        help="largest number of vertices (%(default)s)",
    )
    one.add_argument(
        "--cost",
        type=float,
        default=0.0,
        metavar="C",
        help="preference for cells that train quickly: 0 none, 1 proportional (%(default)s)",
    )
    one.add_argument("--seed", type=int, default=0, metavar="N", help="seed (%(default)s)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_choose)

    one = actions.add_parser(
        "calibrate",
        help="energy model of another GPU from few measured cells",
        description="Fit an energy model of a GPU to measurements at 4 epochs and estimate its "
        "error by cross-validation. The file is any that `ecnas data convert` reads, such as a "
        "CSV with the columns cell, epochs, energy_kwh and, better, training_time_s.",
        **examples(
            'ecnas surrogate calibrate --measurements my-gpu.csv --device "my GPU" \\\n'
            "    --pue 1 --out my-gpu.npz",
            "ecnas query 7v 1000 --device my-gpu.npz",
        ),
    )
    one.add_argument("--measurements", required=True, metavar="FILE", help="table or file")
    one.add_argument(
        "--cells",
        type=int,
        metavar="N",
        help="fit N cells and test on the others (default: fit all)",
    )
    one.add_argument("--device", metavar="NAME", help="name of the GPU (default: from the file)")
    one.add_argument(
        "--pue",
        type=float,
        metavar="P",
        help="PUE (power usage effectiveness) that the measured energies contain: 1 for the "
        "energy of the machine itself",
    )
    one.add_argument(
        "--span",
        choices=("run", "steps"),
        help="what energy_kwh covers: the run from its start to the end of training, or the "
        "training steps alone (default: from the file, else run)",
    )
    one.add_argument("--out", metavar="FILE", help="calibration file (.npz) to write")
    one.add_argument("--seed", type=int, default=0, metavar="N", help="seed (%(default)s)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_calibrate)

    one = actions.add_parser(
        "learning-curve",
        help="error of the energy model over the number of measured cells",
        description="Fit to growing numbers of measured cells, ten draws each, and evaluate on "
        "the validation part of the paper's split, as in the paper's figure 2.",
        **examples(
            "ecnas surrogate learning-curve --data DIR --json > curve.json",
            "ecnas figure 2 --learning-curve curve.json",
        ),
    )
    one.add_argument("--data", required=True, metavar="DIR", help="folder of the measurements")
    one.add_argument("--model", default="ours", metavar="NAME", help="ours or paper (%(default)s)")
    one.add_argument(
        "--draws", type=int, default=10, metavar="N", help="fits at each size (%(default)s)"
    )
    one.add_argument("--sizes", metavar="N,N", help="training-set sizes, comma-separated")
    one.add_argument("--seed", type=int, default=0, metavar="N", help="seed (%(default)s)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_learning_curve)


# -- evaluate and fit ---------------------------------------------------------------------------


def _evaluate(args: argparse.Namespace) -> int:
    from naslib_ecnas.quality import HEADINGS, Quality
    from naslib_ecnas.surrogate.modelled import reported

    if args.data is None:
        quality = Quality.of_headers(reported(name) for name in _TARGETS)
    else:
        from naslib_ecnas.surrogate.evaluate import evaluate

        quality = evaluate(args.data)
    if args.json:
        print_json({"targets": quality.to_json()})
        return 0
    # How the test data were kept apart is a sentence: it is printed once, below the table.
    marks: dict[str, int] = {}
    rows = quality.rows(by_vertices=args.by_vertices)
    named = {line.target: line for line in quality}
    shown = []
    for row in rows:
        about = named[row[0]].about if row[0] in named else ""
        mark = f"[{marks.setdefault(about, len(marks) + 1)}]" if about else ""
        shown.append((*row, mark))
    print_table((*HEADINGS, "note"), shown, right=range(1, 7))
    print()
    print_lines([f"[{number}] test data: {about}" for about, number in marks.items()])
    anchors = [f"{line.target}: {line.anchor}" for line in quality if line.anchor]
    if anchors:
        print("\nfor comparison")
        print_lines(anchors)
    return 0


def _fit(args: argparse.Namespace) -> int:
    from naslib_ecnas.quality import HEADINGS, Quality

    target = "paper" if args.model == "paper" and args.target == "energy" else args.target
    weights = _fitter(target)(args.data, seed=args.seed, progress=_print_step)
    weights.save(Path(args.out).expanduser())
    quality = Quality.of_headers([weights.header])
    if args.json:
        print_json({"out": args.out, "header": dict(weights.header)})
    else:
        print_table(HEADINGS, quality.rows(), right=range(1, 7))
        print(f"written to: {args.out}")
    return 0


def _print_step(step: str) -> None:
    print(step, file=sys.stderr, flush=True)


def _fitter(target: str) -> Callable[..., Weights]:
    from importlib import import_module

    found = import_module(f"naslib_ecnas.surrogate.fit.{target}")
    fitter: Callable[..., Weights] = getattr(found, f"fit_{target}")
    return fitter


# -- another GPU ----------------------------------------------------------------------------------


def _choose(args: argparse.Namespace) -> int:
    from naslib_ecnas.cell import Cell
    from naslib_ecnas.surrogate.calibrate import choose

    rows = choose(args.cells, vertices=args.vertices, seed=args.seed, cost=args.cost)
    cells = [Cell.from_row(int(row)) for row in rows]
    if args.json:
        print_json(
            [
                {"row": cell.row, "cell": str(cell), "hash": cell.nasbench_hash, "epochs": 4}
                for cell in cells
            ]
        )
        return 0
    print_table(("row", "cell"), [(str(cell.row), str(cell)) for cell in cells], right=[0])
    return 0


def _calibrate(args: argparse.Namespace) -> int:
    from naslib_ecnas.surrogate.calibrate import calibrated
    from naslib_ecnas.surrogate.models import is_synthetic

    calibration, weights = calibrated(
        args.measurements,
        cells=args.cells,
        device=args.device,
        pue=args.pue,
        span=args.span,
        seed=args.seed,
    )
    if args.out:
        weights.save(Path(args.out).expanduser())
    if is_synthetic(weights.header):
        print("SYNTHETIC: calibrated on numbers that are not measurements", file=sys.stderr)
    if args.json:
        print_json({"report": calibration.report.to_json(), "header": dict(weights.header)})
        return 0
    _report(calibration.report)
    if args.out:
        print(f"\nwritten to: {args.out}\nuse it: ecnas query 7v 1000 --device {args.out}")
    return 0


def _report(report: Report) -> None:
    print(f"{report.device}: {report.cells} runs fitted\n")
    named = {
        "left out in turn": report.cross_validated,
        "the same, sound runs": report.sound,
        "not fitted": report.held_out,
        "the same, sound runs ": report.held_out_sound,
    }
    print_table(
        ("runs", "number", "MAE", "MAPE %", "tau", "in 90 %"),
        [(name.strip(), *_line(scores)) for name, scores in named.items() if scores],
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
    return (
        f"{scores.cells:,}",
        f"{1000 * scores.mae:.3g} Wh",
        f"{scores.mape:.2f}",
        f"{scores.tau:.3f}",
        "-" if scores.coverage is None else f"{scores.coverage:.2f}",
    )


# -- learning curve -------------------------------------------------------------------------------


def _learning_curve(args: argparse.Namespace) -> int:
    import numpy as np

    from naslib_ecnas.errors import ConfigError
    from naslib_ecnas.surrogate.fit.paper import LEARNING_SIZES, learning_curve

    sizes: tuple[int, ...] = LEARNING_SIZES
    if args.sizes:
        try:
            sizes = tuple(int(size) for size in split_words(args.sizes))
        except ValueError as error:
            message = "--sizes must be whole numbers such as 100,400,1600"
            raise ConfigError(message, value=args.sizes) from error
    with ConsoleProgress():
        found = learning_curve(
            args.data, sizes=sizes, draws=args.draws, model=args.model, seed=args.seed
        )
    if args.json:
        print_json(found)
        return 0
    rows = []
    for size in sizes:
        drawn = [point for point in found if point["size"] == size]
        means = [
            f"{np.mean([p[name] for p in drawn]):.{digits}f} +- "
            f"{np.std([p[name] for p in drawn]):.{digits}f}"
            for name, digits in (("mae_wh", 3), ("mape", 2), ("tau", 3))
        ]
        rows.append((f"{size:,}", str(len(drawn)), *means))
    print_table(("cells", "draws", "MAE Wh", "MAPE %", "tau"), rows, right=range(5))
    return 0
