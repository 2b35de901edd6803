"""`ecnas completion`: a script that completes commands, options and names in a shell.

The command tree is read from the argparse parsers and written into the script as tables: what may
follow a command, and what values an option takes. One short shell function walks over the words
typed so far and looks them up. bash and zsh share it, since both read `case` and `[[ ]]` alike; its
variables avoid the names that zsh reserves (`path`, `options`, `commands`, `words`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from naslib_ecnas.console import examples

__all__ = ["SCRIPTS", "add_parser", "command_tree", "run"]


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
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
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or fish")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script; returns 0.

    Raises:
        ConfigError: there is no script for this shell.
    """
    from naslib_ecnas.cli import command_parser
    from naslib_ecnas.errors import ConfigError

    if args.shell not in SCRIPTS:
        raise ConfigError(f"the shell must be one of {', '.join(SCRIPTS)}", value=args.shell)
    print(SCRIPTS[args.shell](command_tree(command_parser())), end="")
    return 0


# -- the command tree --------------------------------------------------------------------------

#: Whether a shell offers names of files or of folders beside the fixed words.
Files = Literal["", "files", "folders"]
#: Metavars that stand for folders and for files.
_FOLDERS = ("DIR", "CAMPAIGN")
_FILES = ("FILE", "OUT", "SRC", "NAME_OR_FILE", "TABLE")


@dataclass(frozen=True)
class Argument:
    """The value of an option, or a positional argument."""

    words: tuple[str, ...]
    """Words to offer."""
    files: Files
    many: bool
    """Whether it takes several words."""


@dataclass(frozen=True)
class Command:
    """A command, or an action of a command."""

    path: tuple[str, ...]
    """Its words, `ecnas` first."""
    about: str
    options: dict[str, tuple[str, Argument | None]]
    """Option -> its help in one line, and its value (None for a flag)."""
    positionals: tuple[Argument, ...]
    commands: tuple[Command, ...]

    def walk(self) -> Iterator[Command]:
        """This command and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def command_tree(parser: argparse.ArgumentParser) -> Command:
    """All commands of the parser of `ecnas`."""
    return _command(parser, ("ecnas",), parser.description or "")


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
    from naslib_ecnas.surrogate import EMBEDDED

    return (*EMBEDDED, *(entry.name for entry in tables()))


def _files() -> tuple[str, ...]:
    """What `data fetch` takes: tables and files of the catalog."""
    from naslib_ecnas.data.catalog import catalog

    published = catalog()
    tables = [entry.name for entry in published.tables]
    return (*tables, *(entry.name for entry in published.files))


def _own_methods() -> tuple[str, ...]:
    from naslib_ecnas.search.methods import METHODS

    return tuple(METHODS)


def _methods() -> tuple[str, ...]:
    from naslib_ecnas.comparison.compare import method_names

    return method_names()


def _devices() -> tuple[str, ...]:
    from naslib_ecnas.surrogate.devices import DEVICES

    return DEVICES


#: (Option or argument, metavar) -> its words, where argparse has no `choices`.
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


# -- shell scripts -----------------------------------------------------------------------------

# Sets `at` (the command), `wanted` (an option without its value) and `place` (the number of the
# positional argument) from the words before the one that is being typed.
_WALK = r"""
_ecnas_walk() {
  local word
  at=ecnas wanted='' place=0
  for word in "$@"; do
    _ecnas_at "$at"
    if [[ $word == -* ]]; then
      wanted=''
      if _ecnas_value "$at $word"; then wanted=$word; fi
    elif [[ $word == '=' ]]; then
      :  # bash splits --option=value there
    elif [[ -n $wanted ]]; then
      _ecnas_value "$at $wanted"
      if [[ $many == 0 ]]; then wanted=''; fi
    elif [[ " $below " == *" $word "* ]]; then
      at="$at $word" place=0
    else
      place=$((place + 1))
    fi
  done
  _ecnas_at "$at"
}

# Sets `choices` and `kind` for the word that is being typed.
_ecnas_fitting() {
  choices='' kind=''
  if [[ $1 == -* ]]; then
    choices=$flags
  elif [[ -n $wanted ]]; then
    _ecnas_value "$at $wanted"
  else
    _ecnas_value "$at $place" || _ecnas_value "$at *" || choices='' kind=''
    choices="$below $choices"
  fi
}
"""

_BASH = r"""
_ecnas() {
  local cur=${COMP_WORDS[COMP_CWORD]} at wanted place below flags choices kind many found
  if [[ $cur == '=' ]]; then cur=''; fi
  _ecnas_walk "${COMP_WORDS[@]:1:COMP_CWORD-1}"
  _ecnas_fitting "$cur"
  COMPREPLY=()
  while IFS= read -r found; do COMPREPLY+=("$found"); done < <(
    compgen -W "$choices" -- "$cur"
    if [[ $kind == files ]]; then compgen -f -- "$cur"; fi
    if [[ $kind == folders ]]; then compgen -d -- "$cur"; fi
  )
  # Older shells have no compopt: names of folders then end without a slash.
  if [[ -n $kind ]]; then compopt -o filenames 2>/dev/null; fi
  return 0
}

complete -F _ecnas ecnas
"""

_ZSH = r"""
_ecnas() {
  local cur=${words[CURRENT]} at wanted place below flags choices kind many
  _ecnas_walk "${(@)words[2,CURRENT-1]}"
  if [[ $cur == --*=* ]] && _ecnas_value "$at ${cur%%=*}"; then
    compset -P '*='
  else
    _ecnas_fitting "$cur"
  fi
  compadd -- ${=choices}
  if [[ $kind == files ]]; then _files; fi
  if [[ $kind == folders ]]; then _files -/; fi
}

# Autoloaded as a file of $fpath, or read by source.
if [[ $funcstack[1] == _ecnas ]]; then _ecnas "$@"; else compdef _ecnas ecnas; fi
"""

_FISH = r"""
function __ecnas_complete
    set -l at ecnas
    set -l wanted ''
    set -l place 0
    set -l typed (commandline -opc)
    set -l cur (commandline -ct)
    for word in $typed[2..-1]
        set -l below (__ecnas_below "$at" | string replace -r '\t.*' '')
        if string match -q -- '-*' $word
            set wanted ''
            __ecnas_value "$at $word" >/dev/null; and set wanted $word
        else if test -n "$wanted"
            set -l value (__ecnas_value "$at $wanted")
            string match -q '* many' $value[1]; or set wanted ''
        else if contains -- $word $below
            set at "$at $word"
            set place 0
        else
            set place (math $place + 1)
        end
    end
    set -l value
    if string match -q -- '--*=*' $cur
        set -l option (string replace -r '=.*' '' -- $cur)
        set value (__ecnas_value "$at $option")
        test -n "$value[2]"; and printf '%s\n' $option=$value[2..-1]
        return
    else if string match -q -- '-*' $cur
        __ecnas_flags "$at"
    else if test -n "$wanted"
        set value (__ecnas_value "$at $wanted")
    else
        __ecnas_below "$at"
        set value (__ecnas_value "$at $place"; or __ecnas_value "$at *")
    end
    test -n "$value[2]"; and printf '%s\n' $value[2..-1]
    string match -q 'files*' $value[1]; and __fish_complete_path $cur
    string match -q 'folders*' $value[1]; and __fish_complete_directories $cur ''
    return 0
end

complete -c ecnas -f -k -a '(__ecnas_complete)'
"""


def _quoted(text: str) -> str:
    """A text in single quotes, for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _values(root: Command) -> list[tuple[str, Argument]]:
    """Every value with its key: after an option, or by position (`*`: from the last one on)."""
    found = []
    for command in root.walk():
        here = " ".join(command.path)
        found += [
            (f"{here} {option}", value)
            for option, (_, value) in command.options.items()
            if value is not None
        ]
        for place, argument in enumerate(command.positionals):
            found.append((f"{here} {place}", argument))
            if argument.many:
                found.append((f"{here} *", argument))
    return found


def _table_lines(root: Command) -> str:
    """The command tree as two shell functions, for bash and zsh."""
    lines = ["_ecnas_at() {", "  below='' flags=''", "  case $1 in"]
    for command in root.walk():
        below = " ".join(c.path[-1] for c in command.commands)
        flags = " ".join(command.options)
        here = _quoted(" ".join(command.path))
        lines.append(f"    {here}) below={_quoted(below)} flags={_quoted(flags)} ;;")
    lines += ["  esac", "}", "", "_ecnas_value() {", "  case $1 in"]
    for where, argument in _values(root):
        lines.append(
            f"    {_quoted(where)}) choices={_quoted(' '.join(argument.words))} "
            f"kind={_quoted(argument.files)} many={int(argument.many)} ;;"
        )
    lines += ["    *) return 1 ;;", "  esac", "}"]
    return "\n".join(lines)


def _bash(root: Command) -> str:
    return f"# Completion of ecnas for bash.\n{_table_lines(root)}\n{_WALK}{_BASH}"


def _zsh(root: Command) -> str:
    return f"#compdef ecnas\n# Completion of ecnas for zsh.\n{_table_lines(root)}\n{_WALK}{_ZSH}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish(root: Command) -> str:
    def switch(name: str, cases: list[tuple[str, list[str]]]) -> list[str]:
        lines = [f"function {name}", "    switch $argv[1]"]
        for where, printed in cases:
            if printed:
                # `*` is a pattern in a `case`; here it is part of the key.
                key = _fish_quoted(where.replace("*", "\\*"))
                texts = " ".join(map(_fish_quoted, printed))
                lines += [f"        case {key}", f"            printf '%s\\n' {texts}"]
        return [*lines, "        case '*'", "            return 1", "    end", "end", ""]

    below = [
        (" ".join(c.path), [f"{b.path[-1]}\t{b.about}" for b in c.commands]) for c in root.walk()
    ]
    flags = [
        (" ".join(c.path), [f"{option}\t{about}" for option, (about, _) in c.options.items()])
        for c in root.walk()
    ]
    values = [
        (where, [f"{a.files or 'words'}{' many' if a.many else ''}", *a.words])
        for where, a in _values(root)
    ]
    lines = [
        "# Completion of ecnas for fish.",
        *switch("__ecnas_below", below),
        *switch("__ecnas_flags", flags),
        *switch("__ecnas_value", values),
    ]
    return "\n".join(lines) + _FISH


#: Shell -> function from the command tree to its script.
SCRIPTS: dict[str, Callable[[Command], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
