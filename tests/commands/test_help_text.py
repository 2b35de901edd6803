"""Helps: every command has examples that argparse accepts, in lines that stay whole."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from naslib_ecnas.cli import command_parser
from naslib_ecnas.console import HelpFormatter, examples


def _parsers(
    parser: argparse.ArgumentParser, name: str = "ecnas"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command and action, with its parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, one in action.choices.items():
                yield f"{name} {word}", one
                yield from _parsers(one, f"{name} {word}")


def test_examples_keep_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    long = ("ecnas search " + "--evaluations 500 " * 5).strip()
    for width in ("40", "80", "200"):
        monkeypatch.setenv("COLUMNS", width)
        parser = argparse.ArgumentParser(prog="ecnas", **examples(long, "ecnas a \\\n    b"))
        assert parser.format_help().endswith(f"examples:\n  {long}\n  ecnas a \\\n      b\n")
    assert examples("a", title="once")["epilog"] == "once:\n  a"


def test_prose_is_wrapped_as_by_argparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    prose = "one word and another " * 10
    ours = argparse.ArgumentParser(prog="x", description=prose, formatter_class=HelpFormatter)
    theirs = argparse.ArgumentParser(prog="x", description=prose)
    assert ours.format_help() == theirs.format_help()


def test_every_command_has_examples_that_fit_and_parse() -> None:
    whole = command_parser()
    parsers = dict(_parsers(whole))
    del parsers["ecnas completion"]  # its examples are lines of shell start-up files
    for name, parser in parsers.items():
        _, _, text = parser.format_help().partition("examples:\n")
        assert text, name
        assert max(map(len, text.splitlines())) <= 80, name
        for line in text.replace("\\\n", " ").strip().splitlines():
            program, *words = shlex.split(line.partition(" > ")[0])
            assert program == "ecnas"
            if "--help" not in words:
                assert callable(whole.parse_args(words).run), line
                assert callable(command_parser(words[0]).parse_args(words).run), line
