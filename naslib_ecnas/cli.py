"""The `ecnas` program: runs one command and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from naslib_ecnas._version import __version__
from naslib_ecnas.errors import (
    CatalogError,
    ConfigError,
    EcnasError,
    InvalidCellError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
    UnknownRepeatError,
    UnknownTableError,
)

__all__ = ["COMMANDS", "command_parser", "main"]

#: Modules of `naslib_ecnas.commands`, in the order of the help. Each imports what it needs when
#: its command runs, so that the help is fast.
COMMANDS = (
    "info",
    "data",
    "query",
    "search",
    "compare",
    "surrogate",
    "naslib",
    "figure",
    "table",
    "report",
    "measure",
    "doctor",
    "completion",
)

#: Errors in what the user typed (exit code 2); all others are failures (exit code 1).
_USAGE_ERRORS = (
    CatalogError,
    ConfigError,
    InvalidCellError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
    UnknownRepeatError,
    UnknownTableError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: arguments without the program's name; those of the process if None.

    Returns:
        0 on success, 1 if the command failed, 2 if what was typed is not possible, 130 if it was
        interrupted, 141 if the reader of its output went away.
    """
    typed = list(sys.argv[1:] if argv is None else argv)
    # Accepted before and after the command's name, which argparse alone cannot do.
    debug = "--debug" in typed
    arguments = [word for word in typed if word != "--debug"]
    first = next((word for word in arguments if not word.startswith("-")), None)
    parser = command_parser(first if first in COMMANDS else None)
    for word in arguments:
        # Before 3.13 argparse takes this `--` for the end of the options and leaves an empty list.
        if word.startswith("--") and word.endswith("=--"):
            parser.error(f"argument {word[:-3]}: expected a value, got --")
    args = parser.parse_args(arguments)
    try:
        code = _run(parser, args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The interpreter flushes stdout again when it exits: let that write go to /dev/null.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (EcnasError, OSError) as error:
        if debug:
            traceback.print_exc()
        # An OSError is one that no command expected, such as a file deleted while it was read.
        hint = "" if isinstance(error, EcnasError) else "; --debug shows where"
        print(f"ecnas: error: {error}{hint}", file=sys.stderr)
        return 2 if isinstance(error, _USAGE_ERRORS) else 1
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        again = "no half-written file is left and whole ones are kept: run the same command again"
        print(f"\necnas: interrupted; {again}", file=sys.stderr)
        return 130


def command_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of the command line.

    Args:
        command: build the parser of this command alone, which starts faster; all if None.
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
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS if command is None else (command,):
        import_module(f"naslib_ecnas.commands.{name}").add_parser(subparsers)
    return parser


def _run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    run = getattr(args, "run", None)
    if run is None:
        parser.print_help()
        return 0
    code: int = run(args)
    return code
