"""`ecnas info`: the version, the cache folder and its tables, NASLib, and optional packages."""

from __future__ import annotations

import argparse

from naslib_ecnas.commands.doctor import SOFTWARE, checks, show
from naslib_ecnas.commands.options import JSON, command


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command(parser, run, "ecnas info", "ecnas info --json")(*JSON)


def run(args: argparse.Namespace) -> None:
    """Show the version, the cache folder and the tables in it, whether NASLib is found, and which
    optional packages are installed: what `ecnas doctor` says, but for the hardware."""
    show(args, checks(SOFTWARE))
