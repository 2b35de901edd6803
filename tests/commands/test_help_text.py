"""Examples in helps: lines stay whole, every command has some, and argparse takes each."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from naslib_ecnas.cli import _parser
from naslib_ecnas.console import HelpText, examples


def _parsers(
    parser: argparse.ArgumentParser, name: str = "ecnas"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command with its parser, from the command line's own tree."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, one in action.choices.items():
                yield f"{name} {word}", one
                yield from _parsers(one, f"{name} {word}")


PARSERS = dict(_parsers(_parser()))


def commands(help_text: str) -> list[str]:
    """The examples that a help ends with, lines that go on joined."""
    _, _, text = help_text.partition("examples:\n")
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_examples_keep_their_lines(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    long = "ecnas search " + "--evaluations 500 " * 5
    parser = argparse.ArgumentParser(prog="ecnas", **examples(long.strip(), "ecnas a \\\n    b"))
    assert parser.format_help().endswith(f"examples:\n  {long.strip()}\n  ecnas a \\\n      b\n")


def test_prose_is_wrapped_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    prose = "one word and another " * 10
    ours = argparse.ArgumentParser(prog="x", description=prose, formatter_class=HelpText)
    theirs = argparse.ArgumentParser(prog="x", description=prose)
    assert ours.format_help() == theirs.format_help()


def test_a_title_of_ones_own() -> None:
    assert examples("a", title="once")["epilog"] == "once:\n  a"


@pytest.mark.parametrize("name", [name for name in PARSERS if name != "ecnas completion"])
def test_every_command_has_examples_that_fit_and_parse(name: str) -> None:
    text = PARSERS[name].format_help()
    found = commands(text)
    assert found
    assert max(map(len, text.partition("examples:\n")[2].splitlines())) <= 80
    for command in found:
        program, *words = shlex.split(command.partition(" > ")[0])
        assert program == "ecnas"
        if "--help" not in words:
            assert callable(_parser().parse_args(words).run), command
