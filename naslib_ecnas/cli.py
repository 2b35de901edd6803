"""The `ecnas` program: runs one command and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import current_thread, main_thread

from naslib_ecnas import errors
from naslib_ecnas._version import __version__
from naslib_ecnas.console import notes, printing
from naslib_ecnas.progress import listening

#: Command, a module of `naslib_ecnas.commands` -> its line in the help.
COMMANDS = {
    "info": "what is installed, and where files are kept",
    "data": "list, fetch, verify, convert, export and describe published tables",
    "query": "accuracy, energy and time of training one cell",
    "search": "search a table for the best trade-offs of energy and accuracy",
    "compare": "compare search methods over tables and seeds",
    "surrogate": "the models behind the tables 7v, 5v, 4v: evaluate, fit, calibrate to a GPU",
    "naslib": "run a NASLib experiment on a table",
    "figure": "figures 1 to 6 of the paper from any table, as PDF, SVG, PNG and CSV",
    "table": "tables 1 to 3 of the paper from any table",
    "report": "one HTML page of a table and of searches over it",
    "measure": "measure trainings: plan, run, status, validate, export",
    "energy": "energy of any command: ecnas energy -- python train.py",
    "doctor": "what this machine can measure, and how to fix what is missing",
    "completion": "print a script that completes ecnas in bash, zsh, fish and others",
}

#: Errors in what the user typed (exit code 2); all others are failures (exit code 1). Names that do
#: not exist, of tables, metrics and so on, are KeyErrors.
_USAGE_ERRORS = (errors.ConfigError, errors.InvalidCellError, KeyError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: arguments without the program's name; those of the process if None.

    Returns:
        0 on success, 1 if the command failed, 2 if what was typed is not possible, 130 if it was
        interrupted, 141 if the reader of its output went away.
    """
    with printing():
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    completing = "_ARGCOMPLETE" in os.environ
    line = os.environ["COMP_LINE"].split() if completing else sys.argv
    typed = list(line[1:] if argv is None else argv)
    # Accepted before and after the command's name, which argparse alone cannot do. What follows
    # `--` belongs to another program.
    end = typed.index("--") if "--" in typed else len(typed)
    debug = "--debug" in typed[:end]
    arguments = [word for word in typed[:end] if word != "--debug"] + typed[end:]
    first = next((word for word in arguments if not word.startswith("-")), None)
    parser = command_parser([first] if first in COMMANDS else [])
    if completing:
        from naslib_ecnas.commands.completion import offer

        offer(parser)
    for word in typed[:end]:
        # Before 3.13 argparse takes this `--` for the end of the options and leaves an empty list.
        if word.startswith("--") and word.endswith("=--"):
            parser.error(f"argument {word[:-3]}: expected a value, got --")
    args = parser.parse_args(arguments)
    try:
        with _stoppable(), listening(notes):
            code = args.run(args)
            sys.stdout.flush()
        return code or 0
    except BrokenPipeError:
        _abandon_output()
        return 141
    except (errors.EcnasError, OSError, MemoryError) as error:
        if debug:
            traceback.print_exc()
        try:
            sys.stdout.flush()
        except OSError:
            _abandon_output()
        text = "there is not enough memory" if isinstance(error, MemoryError) else str(error)
        # An OSError is one that no command expected, such as a file deleted while it was read.
        hint = "" if isinstance(error, errors.EcnasError) else "; --debug shows where"
        print(f"ecnas: error: {text}{hint}", file=sys.stderr)
        return 2 if isinstance(error, _USAGE_ERRORS) else 1
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        again = "no half-written file is left and whole ones are kept: run the same command again"
        print(f"\necnas: interrupted; {again}", file=sys.stderr)
        return 130


def _abandon_output() -> None:
    """Let what the interpreter still flushes to stdout when it exits go to /dev/null."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _stoppable() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that whatever was started or claimed is ended or released."""
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield  # other threads get no signals
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def command_parser(whole: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser of the command line.

    Args:
        whole: the commands whose options are added, all by default. Those of the others are left
            out, with the imports that they need, so that a command starts faster.
    """
    parser = argparse.ArgumentParser(
        prog="ecnas",
        description="Energy-aware neural architecture search on the cells of NAS-Bench-101: "
        "measured and modelled tables, exact cells, and searches that report their cost.",
        epilog="Start with: ecnas search --out runs/first. Each command has --help with examples. "
        "Files are kept in the folder ECNAS_CACHE (see: ecnas info). ECNAS_MIRROR names a "
        "folder or an address that holds the published files by name.",
    )
    parser.add_argument("--version", action="version", version=f"ecnas {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error was raised")
    parser.set_defaults(run=lambda args: parser.print_help())
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, about in COMMANDS.items():
        added = subparsers.add_parser(name, help=about)
        if name in whole:
            import_module(f"naslib_ecnas.commands.{name}").add_options(added)
    return parser
