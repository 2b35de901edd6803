"""What commands share: how a parser is made, the options of tables and studies, and their use."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import progress, split_words
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import expanded

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.figures.summary import Study

#: The option of commands that can print JSON, for `add(*JSON)`.
JSON = ("--json", None, "print one JSON object")

# Evaluations of a run without any limit.
_EVALUATIONS = 300


class Options:
    """Adds options and arguments to a parser or to a group of one, one by each call."""

    def __init__(self, parser: argparse._ActionsContainer) -> None:
        self._parser = parser

    def __call__(
        self,
        name: str,
        metavar: str | tuple[str, ...] | None = None,
        help: str = "",
        **settings: Any,
    ) -> None:
        """Add an option or argument; without metavar and choices it is a flag.

        The type of a number follows from its default; `out` and `campaign` are paths. Completion
        offers what the metavar stands for, see `naslib_ecnas.commands.completion`.
        """
        if metavar is None and "choices" not in settings:
            settings["action"] = "store_true"
        elif metavar is not None:
            settings["metavar"] = metavar
        if name in ("out", "--out", "campaign"):
            settings["type"] = expanded
        if isinstance(settings.get("default"), (int, float)):
            settings["type"] = type(settings["default"])
        self._parser.add_argument(name, help=help, **settings)

    def group(self, title: str) -> Options:
        """Adds options under a heading of their own."""
        return Options(self._parser.add_argument_group(title))


Run = Callable[[argparse.Namespace], "int | None"]


def command(
    parser: argparse.ArgumentParser, run: Run, *examples: str, title: str = "examples"
) -> Options:
    """Give a parser its help and what it runs; returns what adds its options.

    Args:
        run: takes what was typed and returns the exit code, None for 0. Its docstring is the
            description of the command.
        examples: commands to copy, below the options; a long one may contain line breaks.
    """
    lines = [f"  {line}" for example in examples for line in example.splitlines()]
    # Else argparse would join the example commands and break them at the edge of the terminal.
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = _wrapped(_text(run))
    parser.epilog = "\n".join([f"{title}:", *lines])
    parser.set_defaults(run=run)
    return Options(parser)


def actions(parser: argparse.ArgumentParser, about: str, *examples: str) -> Callable[..., Options]:
    """Make a command that only groups actions; alone it prints its help.

    Returns:
        A function that adds an action. It takes the arguments of `command` from `run` on, whose
        name is the action's, and the first sentence of whose docstring is the action's line in the
        help.
    """
    command(parser, lambda args: parser.print_help(), *examples)
    parser.description = _wrapped(about)
    below = parser.add_subparsers(title="actions", metavar="ACTION")

    def action(run: Run, *examples: str) -> Options:
        name = run.__name__.strip("_").replace("_", "-")
        first = _text(run).partition(". ")[0].rstrip(".").replace("%", "%%")
        added = below.add_parser(name, help=first[:1].lower() + first[1:])
        return command(added, run, *examples)

    return action


def _wrapped(text: str) -> str:
    return fill(text, get_terminal_size().columns - 2)


def _text(run: Run) -> str:
    return " ".join((run.__doc__ or "").split())


# -- options of several commands --------------------------------------------------------------


def add_table_options(add: Options) -> None:
    """Add the options of every command that opens a table: device, world, PUE, ..."""
    add = add.group("energy, emissions and world of the table")
    about = "GPU of a modelled table (7v, 5v, 4v): a name such as titan-xp, or a file that "
    add("--device", "GPU", about + "`ecnas surrogate calibrate` wrote")
    about = "energy over epochs of a modelled table: affine (the default) or linear"
    add("--scaling", "SCALING", about)
    add("--model", "MODEL", "energy model of a modelled table: ours (default) or paper")
    about = "world of a modelled table: another table, as plausible by what its models know"
    add("--world", "WORLD", about, type=int)
    about = "power usage effectiveness: energy that the data centre draws for each kWh of its "
    add("--pue", "P", about + "machines (default: the table's)", type=float)
    about = "gCO2eq/kWh, a country such as DK, EU or world (default: the table's emissions)"
    add("--carbon-intensity", "G", about)


def check_out(file: Path | None) -> None:
    """Refuse an --out that cannot be written, before long work; a ConfigError."""
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise ConfigError("--out must be a file in a folder that exists", value=str(file))


def add_shared(add: Options, default: str = "graphics") -> None:
    """Add the option of every command that measures GPUs: what to do if others use them."""
    about = "GPU that other processes use: refuse it, flag its energies, or flag processes that "
    about += "only draw, such as a display server, and refuse others (%(default)s)"
    add("--shared", help=about, choices=("refuse", "flag", "graphics"), default=default)


def chosen(args: argparse.Namespace, names: str) -> dict[str, Any]:
    """The values of some options, by their names, which are separated by spaces."""
    return {name: getattr(args, name) for name in names.split()}


def add_limits(add: Options, of: str = "the search") -> None:
    """Add the options of what a run may spend."""
    about = f"limit on the trainings charged to {of} ({_EVALUATIONS} if no limit is given)"
    add("--evaluations", "N", about, type=int)
    about = "limit on the energy of all trainings, in kWh"
    add("--max-energy", "KWH", about, type=float, dest="max_energy_kwh")
    add("--max-epochs", "N", "limit on the epochs of all trainings", type=int)
    about = "limit on the time of all trainings, in seconds"
    add("--max-time", "S", about, type=float, dest="max_time_s")
    add("--free-repeats", help="do not charge cells that were evaluated before")


def limits_of(args: argparse.Namespace) -> dict[str, Any]:
    """The limits of the options of `add_limits`, by the names of `naslib_ecnas.search.run`."""
    limits = chosen(args, "evaluations max_energy_kwh max_epochs max_time_s")
    if all(value is None for value in limits.values()):
        limits["evaluations"] = _EVALUATIONS
    return limits


def table_options(args: argparse.Namespace) -> dict[str, Any]:
    """The values of the options of `add_table_options`, as keyword arguments of `load`."""
    return chosen(args, "device scaling model world pue carbon_intensity")


def open_table(args: argparse.Namespace, name: str | None = None, **changed: Any) -> Benchmark:
    """The table `name`, else the one of `--table`, else the default one; shows the progress.

    `changed` are arguments of `load` that replace those of the options.
    """
    from naslib_ecnas.loading import DEFAULT_TABLE, load

    name = args.table if name is None else name
    options = {**table_options(args), **changed}
    with progress():
        return load(DEFAULT_TABLE if name is None else name, **options)


def add_style_options(add: Options) -> None:
    """Add the options of how figures are drawn: their width and whether with captions."""
    about = "width of figures: column, text (of a two-column paper) or millimetres"
    add("--width", "WIDTH", about + " (each figure's own)")
    add("--no-caption", help="draw no caption; it is in the metadata of the files anyway")


def styled(args: argparse.Namespace) -> AbstractContextManager[None]:
    """The style of figures that the options of `add_style_options` ask for."""
    from naslib_ecnas.figures.drawing import style

    return style(args.width, caption=False if args.no_caption else None)


def add_study_options(add: Options, of: str) -> None:
    """Add the options of figures and tables that run searches; `of` says which those are."""
    add = add.group(f"searches for {of}")
    add("--methods", "METHODS", "comma-separated (default: all methods)")
    add("--seeds", "N", "runs of each method (%(default)s)", default=10)
    about = "trainings that each run is charged for (%(default)s)"
    add("--evaluations", "N", about, default=500)


def run_study(bench: Benchmark, args: argparse.Namespace) -> Study:
    """Run the searches that the options of `add_study_options` ask for."""
    from naslib_ecnas.figures.summary import study

    methods = None if args.methods is None else split_words(args.methods)
    with progress():
        return study(bench, methods, **chosen(args, "seeds evaluations epochs"))
