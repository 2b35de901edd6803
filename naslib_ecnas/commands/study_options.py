"""Options of the figures and tables that need searches, and the searches."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.figures.study import Study

__all__ = ["add_study_options", "searched"]


def add_study_options(parser: argparse.ArgumentParser, of: str) -> None:
    """Add the options, in a group of their own.

    Args:
        parser: of the command.
        of: which figures or tables need them.
    """
    group = parser.add_argument_group(f"searches, for {of}")
    group.add_argument("--methods", metavar="A,B", help="comma-separated (all there are)")
    group.add_argument(
        "--seeds", type=int, default=10, metavar="N", help="runs of each method (%(default)s)"
    )
    group.add_argument(
        "--evaluations",
        type=int,
        default=500,
        metavar="N",
        help="trainings to charge each run for (%(default)s)",
    )


def searched(bench: Benchmark, args: argparse.Namespace) -> Study:
    """Run the searches that were asked for, with a bar on stderr where that is a terminal.

    Raises:
        EcnasError: a setting is not possible.
    """
    from naslib_ecnas.figures.study import study

    methods = None
    if args.methods is not None:
        methods = [name.strip() for name in args.methods.split(",") if name.strip()]

    def run(on_progress: object = None) -> Study:
        return study(
            bench,
            methods,
            seeds=args.seeds,
            evaluations=args.evaluations,
            epochs=args.epochs,
            on_progress=on_progress,  # type: ignore[arg-type]
        )

    if not sys.stderr.isatty():
        return run()
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("searching", total=None)
        return run(lambda made, total: bar.update(task, completed=made, total=total))
