"""What can be typed after `ecnas`, read from its argparse parsers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Argument", "Command", "tree"]

#: What a shell offers besides fixed words.
Files = Literal["", "files", "folders"]

_FOLDERS = ("DIR", "CAMPAIGN")
_FILES = ("FILE", "OUT", "SRC", "NAME_OR_FILE", "TABLE")


@dataclass(frozen=True)
class Argument:
    """An option's value, or a positional argument."""

    words: tuple[str, ...]
    """Words to offer."""
    files: Files
    many: bool
    """Whether more of them may follow."""


@dataclass(frozen=True)
class Command:
    """A command or an action of one."""

    path: tuple[str, ...]
    """From `ecnas` on."""
    about: str
    options: dict[str, tuple[str, Argument | None]]
    """Option -> help in one line, and its value; None where it takes none."""
    positionals: tuple[Argument, ...]
    commands: tuple[Command, ...]

    def walk(self) -> Iterator[Command]:
        """This command and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def tree(parser: argparse.ArgumentParser, name: str = "ecnas") -> Command:
    """All commands of a parser."""
    return _command(parser, (name,), parser.description or "")


def _command(parser: argparse.ArgumentParser, path: tuple[str, ...], about: str) -> Command:
    options: dict[str, tuple[str, Argument | None]] = {}
    positionals, commands = [], []
    # argparse has no public list of what was added to a parser.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, below in action.choices.items():
                commands.append(_command(below, (*path, name), _line(helps.get(name, ""))))
        elif action.option_strings:
            value = None if action.nargs == 0 else _argument(action)
            for option in action.option_strings:
                options[option] = (_line(_help(action, parser)), value)
        else:
            positionals.append(_argument(action))
    return Command(path, _line(about), options, tuple(positionals), tuple(commands))


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = action.help or ""
    return text % {**vars(action), "prog": parser.prog} if "%" in text else text


def _line(text: str) -> str:
    return " ".join(text.split())


def _argument(action: argparse.Action) -> Argument:
    metavar = action.metavar[-1] if isinstance(action.metavar, tuple) else action.metavar
    files: Files = "folders" if metavar in _FOLDERS else "files" if metavar in _FILES else ""
    if action.choices is not None:
        words = tuple(map(str, action.choices))
    else:
        key = action.option_strings[-1] if action.option_strings else action.dest
        named = _WORDS.get((key, metavar))
        words = () if named is None else named()
    return Argument(words, files, action.nargs in ("+", "*", "...", argparse.REMAINDER))


def _tables() -> tuple[str, ...]:
    from naslib_ecnas.data.catalog import tables
    from naslib_ecnas.surrogate.embedded import EMBEDDED

    return (*EMBEDDED, *(entry.name for entry in tables()))


def _files() -> tuple[str, ...]:
    """What `data fetch` brings: tables and files of the catalog."""
    from naslib_ecnas.data.catalog import catalog

    published = catalog()
    tables = [entry.name for entry in published.tables]
    return (*tables, *(entry.name for entry in published.files))


def _own_methods() -> tuple[str, ...]:
    from naslib_ecnas.search.methods import METHODS

    return tuple(METHODS)


def _methods() -> tuple[str, ...]:
    from naslib_ecnas.comparison.methods import names

    return names()


def _devices() -> tuple[str, ...]:
    from naslib_ecnas.surrogate.device import DEVICES

    return DEVICES


#: Words of arguments whose parsers leave it to the library to say what is possible, by option or
#: name and metavar.
_WORDS: dict[tuple[str, object], Callable[[], tuple[str, ...]]] = {
    ("--table", "NAME"): _tables,
    ("--tables", "A,B"): _tables,
    ("table", "TABLE"): _tables,
    ("source", "SRC"): _tables,
    ("source", "NAME_OR_FILE"): _tables,
    ("names", "NAME_OR_FILE"): _files,
    ("names", "NAME"): _files,
    ("--method", "NAME"): _own_methods,
    ("--methods", "A,B"): _methods,
    ("--device", "GPU"): _devices,
    ("--scaling", "HOW"): lambda: ("affine", "linear"),
    ("--model", "NAME"): lambda: ("ours", "paper"),
    ("shell", "SHELL"): lambda: ("bash", "zsh", "fish"),
}
