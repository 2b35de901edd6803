"""`ecnas`: finds the command, runs it, and turns errors into one clear line and an exit code."""

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

__all__ = ["COMMANDS", "main"]

#: The modules in `naslib_ecnas.commands`, in the order of the help. They are imported when a
#: command line is parsed, and import what they need only when they run.
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

#: Errors in what the user typed rather than in what was met.
_USAGE = (
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
        argv: arguments without the program's name; those of the process where left out.

    Returns:
        0 if all went well, 1 if it failed, 2 if what was typed is not possible, 130 if it was
        interrupted, 141 if the reader of its output went away.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Accepted before and after the command's name, which argparse alone cannot do.
    debug = "--debug" in arguments
    parser = _parser()
    for word in arguments:
        # Before 3.13 argparse takes this `--` for the end of the options and leaves an empty list.
        if word.startswith("--") and word.endswith("=--"):
            parser.error(f"argument {word[:-3]}: expected a value, got --")
    args = parser.parse_args([a for a in arguments if a != "--debug"])
    try:
        code = _run(parser, args)
        sys.stdout.flush()
    except EcnasError as error:
        if debug:
            traceback.print_exc()
        print(f"ecnas: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, _USAGE) else 1
    except BrokenPipeError:
        # Nobody reads any more. The interpreter flushes once more on its way out: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # What no command foresaw, such as a file that was taken away meanwhile.
        if debug:
            traceback.print_exc()
        print(f"ecnas: error: {error}; see where by --debug", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        again = "nothing half-written is left, what is whole is kept: run the same command again"
        print(f"\necnas: interrupted; {again}", file=sys.stderr)
        return 130
    return code


def _run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    run = getattr(args, "run", None)
    if run is None:
        parser.print_help()
        return 0
    code: int = run(args)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ecnas",
        description="Energy-aware architecture search on the cells of NAS-Bench-101: measurements "
        "and models, exact cells, searches that know what they cost.",
        epilog="begin with: ecnas search --out runs/first; each command has --help with examples. "
        "Files are kept in the folder ECNAS_CACHE (see: ecnas info). ECNAS_MIRROR names a "
        "folder or an address that holds the published files by name.",
    )
    parser.add_argument("--version", action="version", version=f"ecnas {__version__}")
    parser.add_argument(
        "--debug", action="store_true", help="show where in the program an error arose"
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"naslib_ecnas.commands.{name}").add_parser(subparsers)
    return parser
