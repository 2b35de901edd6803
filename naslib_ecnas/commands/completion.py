"""`ecnas completion`: makes a shell complete commands, options, names and files.

The script that a shell reads once asks `ecnas` itself at every tab, through argcomplete: what is
offered follows from the parsers, and never from an older version of the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from naslib_ecnas.commands.options import command

_SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
#: Metavars of comma-separated lists, and those that stand for files and for folders too.
_LISTS = ("TABLES", "METHODS", "METRICS", "GPUS")
_FILES = ("TABLE", "TABLES", "PUBLISHED_OR_FILE", "FILE", "GPU")
_FOLDERS = ("DIR", "CAMPAIGN")


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
    yield from (before + name for name in _names(metavar))
    if metavar in _FILES:
        yield from FilesCompleter()(prefix)
    elif metavar in _FOLDERS:
        yield from DirectoriesCompleter()(prefix)


def _names(metavar: str | None) -> Iterable[str]:
    """The names that a metavar stands for."""
    match metavar:
        case "TABLE" | "TABLES":
            from naslib_ecnas.data.catalog import catalog
            from naslib_ecnas.surrogate import EMBEDDED

            return [*EMBEDDED, *(entry.name for entry in catalog().tables)]
        case "PUBLISHED" | "PUBLISHED_OR_FILE":
            from naslib_ecnas.data.catalog import catalog

            tables, files = catalog().tables, catalog().files
            return [*(table.name for table in tables), *(file.name for file in files)]
        case "METHOD":
            from naslib_ecnas.search import METHODS

            return METHODS
        case "METHODS":
            from naslib_ecnas.comparison.experiment import method_names

            return method_names()
        case "METRICS":
            from naslib_ecnas.metrics import METRICS

            return METRICS
        case "GPU" | "GPUS":
            from naslib_ecnas.surrogate.devices import DEVICES

            return DEVICES
        case "SCALING":
            return ("affine", "linear")
        case "MODEL":
            return ("ours", "paper")
        case _:
            return ()
