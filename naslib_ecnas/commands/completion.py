"""`ecnas completion`: a script that completes commands, options and names in a shell."""

from __future__ import annotations

import argparse
from typing import Any

from naslib_ecnas.commands.help_text import examples

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add the command to those of `ecnas`."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes ecnas in bash, zsh or fish",
        description="Print a script that completes commands, options, names of tables, methods and "
        "devices, and files.",
        **examples(
            "bash, in ~/.bashrc:               source <(ecnas completion bash)",
            "zsh, in ~/.zshrc after compinit:  source <(ecnas completion zsh)",
            "fish:  ecnas completion fish > ~/.config/fish/completions/ecnas.fish",
            title="once for each shell",
        ),
    )
    # No choices of argparse: the errors of this package say more.
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or fish")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script.

    Raises:
        ConfigError: there is none for this shell.
    """
    from naslib_ecnas.cli import _parser
    from naslib_ecnas.commands.completion_scripts import SCRIPTS
    from naslib_ecnas.commands.completion_tree import tree
    from naslib_ecnas.errors import ConfigError

    if args.shell not in SCRIPTS:
        raise ConfigError(
            "no completion for this shell",
            value=args.shell,
            expected="one of " + ", ".join(SCRIPTS),
            remedy="ask for one of these",
        )
    print(SCRIPTS[args.shell](tree(_parser())), end="")
    return 0
