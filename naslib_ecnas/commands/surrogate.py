"""`ecnas surrogate`: fit the models anew, judge them, and calibrate them to another GPU."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import ShownProgress, examples, print_json, print_lines, print_table

if TYPE_CHECKING:
    from naslib_ecnas.quality import Scores
    from naslib_ecnas.surrogate.calibrate import Report
    from naslib_ecnas.surrogate.models import Weights

__all__ = ["add_parser", "run"]

_TARGETS = ("energy", "epochs", "accuracy", "time", "devices", "paper")


def add_parser(subparsers: Any) -> None:
    """Add the command to those of `ecnas`."""
    parser = subparsers.add_parser(
        "surrogate",
        help="the models behind the tables 7v, 5v, 4v: fit, judge, calibrate to a GPU",
        description="The models behind the embedded tables. Predicting and calibrating need "
        "nothing more than the package; fitting anew needs the extra `fit` and the reference "
        "measurements.",
        **examples(
            "ecnas surrogate evaluate",
            "ecnas surrogate choose --cells 20",
            "ecnas surrogate calibrate --measurements my-gpu.csv --out my-gpu.npz",
        ),
    )
    parser.set_defaults(run=lambda args: parser.print_help() or 0)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    one = actions.add_parser(
        "evaluate",
        help="how good the models are on trainings that they have not seen",
        description="Print errors, rank correlation and coverage of the 90 % intervals on "
        "trainings that the fit has not seen, as found when the models were fitted. With --data, "
        "the shipped models are compared with the measurements of a folder; those that they were "
        "fitted on are left out.",
        **examples("ecnas surrogate evaluate", "ecnas surrogate evaluate --by-vertices"),
    )
    one.add_argument("--data", metavar="DIR", help="folder of reference measurements")
    one.add_argument("--by-vertices", action="store_true", help="also by the number of vertices")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_evaluate)

    one = actions.add_parser(
        "fit",
        help="fit a model anew on the reference measurements",
        description="Fit a model anew on a folder of reference measurements, judge it as the "
        "shipped one was judged, and write its weights.",
        **examples("ecnas surrogate fit --target energy --data DIR --out energy.npz"),
    )
    one.add_argument("--target", required=True, choices=_TARGETS, help="what to model")
    one.add_argument(
        "--model",
        default="ours",
        choices=("ours", "paper"),
        help="for the energy: ours, or the paper's recipe (%(default)s)",
    )
    one.add_argument("--data", required=True, metavar="DIR", help="folder of the measurements")
    one.add_argument("--out", required=True, metavar="FILE", help="weights file (.npz) to write")
    one.add_argument("--seed", type=int, default=0, metavar="N", help="seed (%(default)s)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_fit)

    one = actions.add_parser(
        "choose",
        help="which cells to measure on another GPU",
        description="Name the cells whose measurement tells most about a GPU: a design, not a "
        "random draw.",
        **examples("ecnas surrogate choose --cells 20 --vertices 5"),
    )
    one.add_argument("--cells", type=int, default=20, metavar="N", help="how many (%(default)s)")
    one.add_argument(
        "--vertices", type=int, default=7, metavar="V", help="largest number (%(default)s)"
    )
    one.add_argument(
        "--cost",
        type=float,
        default=0.0,
        metavar="C",
        help="prefer cells that train quickly: 0 not at all, 1 in proportion (%(default)s)",
    )
    one.add_argument("--seed", type=int, default=0, metavar="N", help="seed (%(default)s)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_choose)

    one = actions.add_parser(
        "calibrate",
        help="an energy model of another GPU from few measured cells",
        description="Fit an energy model of a GPU to measurements at 4 epochs and estimate its "
        "error by cross-validation. The file is any that `ecnas data convert` reads, such as a "
        "CSV with the columns cell, epochs, energy_kwh and, better, training_time_s.",
        **examples(
            'ecnas surrogate calibrate --measurements my-gpu.csv --device "my GPU" \\\n'
            "    --pue 1 --out my-gpu.npz",
            "ecnas query 7v 1000 --device my-gpu.npz",
        ),
    )
    one.add_argument("--measurements", required=True, metavar="FILE", help="a table or file")
    one.add_argument(
        "--cells", type=int, metavar="N", help="fit only so many, and test on the others (all)"
    )
    one.add_argument("--device", metavar="NAME", help="name of the GPU (that of the file)")
    one.add_argument(
        "--pue",
        type=float,
        metavar="P",
        help="the PUE (power usage effectiveness) that is in the measured energies: 1 for those "
        "of the machine itself",
    )
    one.add_argument(
        "--span",
        choices=("run", "steps"),
        help="what energy_kwh is of: the run from its start to the end of training, or the steps "
        "of training alone (what the file says; run)",
    )
    one.add_argument("--out", metavar="FILE", help="write the calibration (.npz)")
    one.add_argument("--seed", type=int, default=0, metavar="N", help="seed (%(default)s)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_calibrate)

    one = actions.add_parser(
        "learning-curve",
        help="quality of the energy model against the number of measured cells",
        description="Fit on growing numbers of measured cells, ten draws each, and judge on the "
        "valid part of the paper's split, as in the paper's figure 2.",
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


def run(args: argparse.Namespace) -> int:
    """Run the action that was chosen.

    Raises:
        EcnasError: a setting is not possible, or a file cannot be had, read or written.
    """
    code: int = args.run(args)
    return code


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
    # How each was kept from being seen is a sentence: it stands below, once.
    marks: dict[str, int] = {}
    rows = quality.rows(by_vertices=args.by_vertices)
    named = {line.target: line for line in quality}
    shown = []
    for row in rows:
        about = named[row[0]].about if row[0] in named else ""
        mark = f"[{marks.setdefault(about, len(marks) + 1)}]" if about else ""
        shown.append((*row, mark))
    print_table((*HEADINGS, "seen"), shown, right=range(1, 7))
    print()
    print_lines([f"[{number}] not seen by the fit: {about}" for about, number in marks.items()])
    anchors = [f"{line.target}: {line.anchor}" for line in quality if line.anchor]
    if anchors:
        print("\nfor comparison")
        print_lines(anchors)
    return 0


def _fit(args: argparse.Namespace) -> int:
    from naslib_ecnas.quality import HEADINGS, Quality

    target = "paper" if args.model == "paper" and args.target == "energy" else args.target
    weights = _fitter(target)(args.data, seed=args.seed, progress=_say)
    weights.save(Path(args.out).expanduser())
    quality = Quality.of_headers([weights.header])
    if args.json:
        print_json({"out": args.out, "header": dict(weights.header)})
    else:
        print_table(HEADINGS, quality.rows(), right=range(1, 7))
        print(f"written to: {args.out}")
    return 0


def _say(step: str) -> None:
    print(step, file=sys.stderr, flush=True)


def _fitter(target: str) -> Callable[..., Weights]:
    from importlib import import_module

    module = "over_epochs" if target == "epochs" else target
    found = import_module(f"naslib_ecnas.surrogate.fit.{module}")
    fitter: Callable[..., Weights] = getattr(found, f"fit_{module}")
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
        print("SYNTHETIC: calibrated on numbers that are no measurements", file=sys.stderr)
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
        print("\nfar off what the others say, and not fitted; measure them again:")
        print_table(
            ("row", "what", "measured", "expected", "factor"),
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
    from naslib_ecnas.surrogate.fit.over_epochs import LEARNING_SIZES, learning_curve

    sizes: tuple[int, ...] = LEARNING_SIZES
    if args.sizes:
        try:
            sizes = tuple(int(size) for size in args.sizes.split(","))
        except ValueError as error:
            raise ConfigError(
                "no training-set sizes",
                value=args.sizes,
                expected="whole numbers, comma-separated",
                remedy="such as --sizes 100,400,1600",
            ) from error
    with ShownProgress():
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
