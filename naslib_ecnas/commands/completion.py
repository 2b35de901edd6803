"""`ecnas completion`: makes a shell complete commands, options, names and files.

The script that a shell reads once asks `ecnas` itself at every tab, through argcomplete: what is
offered follows from the parsers, and never from an older version of the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from naslib_ecnas.commands.options import command

_SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
#: Metavars of comma-separated lists, and those that stand for files and for folders too.
_LISTS = ("TABLES", "METHODS", "METRICS", "GPUS")
_FILES = ("TABLE", "TABLES", "PUBLISHED_OR_FILE", "FILE", "GPU")
_FOLDERS = ("DIR", "CAMPAIGN")
#: Where the names are that a metavar stands for.
_HOMES = {
    "METHOD": "search:METHODS",
    "METRICS": "metrics:METRICS",
    "GPU": "surrogate.devices:DEVICES",
    "GPUS": "surrogate.devices:DEVICES",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command(
        parser,
        run,
        "bash, in ~/.bashrc:               source <(ecnas completion bash)",
        "zsh, in ~/.zshrc after compinit:  source <(ecnas completion zsh)",
        "fish:  ecnas completion fish > ~/.config/fish/completions/ecnas.fish",
        title="once for each shell",
    )
    add("shell", "SHELL", ", ".join(_SHELLS), choices=_SHELLS)


def run(args: argparse.Namespace) -> None:
    """Print a script that completes commands, options, names of tables, methods and devices, and
    files."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["ecnas"], shell=args.shell))


def offer(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what fits the line in its environment, and end the process."""
    from argcomplete import autocomplete

    completer: Any = _words  # typed as a class of argcomplete, but a function will do
    # Options are offered after a dash only.
    autocomplete(parser, always_complete_options=False, default_completer=completer)


def _words(prefix: str, action: argparse.Action, **_: object) -> Iterator[str]:
    """Words and paths for an option or argument, by its metavar; after a comma for a list."""
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    metavar = action.metavar[-1] if isinstance(action.metavar, tuple) else action.metavar
    before = prefix[: prefix.rfind(",") + 1] if metavar in _LISTS else ""
    yield from (before + name for name in _names(metavar or ""))
    if metavar in _FILES:
        yield from FilesCompleter()(prefix)
    elif metavar in _FOLDERS:
        yield from DirectoriesCompleter()(prefix)


def _names(metavar: str) -> Iterable[str]:
    """The names that a metavar stands for."""
    if metavar in _HOMES:
        module, _, name = _HOMES[metavar].partition(":")
        return tuple(getattr(import_module(f"naslib_ecnas.{module}"), name))
    if metavar in ("TABLE", "TABLES", "PUBLISHED", "PUBLISHED_OR_FILE"):
        from naslib_ecnas.data.catalog import catalog
        from naslib_ecnas.plugins import installed
        from naslib_ecnas.surrogate import EMBEDDED

        tables = [entry.name for entry in catalog().tables]
        others = (entry.name for entry in catalog().files)
        own = metavar.startswith("TABLE")
        return [*EMBEDDED, *tables, *installed("table")] if own else [*tables, *others]
    if metavar == "METHODS":
        from naslib_ecnas.search.methods import method_names

        return method_names()
    return {"SCALING": ("affine", "linear"), "MODEL": ("ours", "paper")}.get(metavar, ())
