"""What all commands have in common: help, exit codes, errors, interrupts, closed pipes."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas import cli
from naslib_ecnas._version import __version__
from naslib_ecnas.commands import info
from naslib_ecnas.commands.options import command
from naslib_ecnas.errors import FetchError


def test_help_names_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    """In a process of its own, as `python -m naslib_ecnas`."""
    script = (
        "import runpy, sys; sys.argv = ['ecnas', '--help']\n"
        "try: runpy.run_module('naslib_ecnas', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'rich', 'torch', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for name in cli.COMMANDS:
        assert re.search(rf"\n    {name}\s", ran.stdout), name


def test_without_arguments_the_help_is_shown(ecnas_: Any) -> None:
    for words in ((), ("data",), ("surrogate",), ("measure",)):
        assert "usage: ecnas" in ecnas_.out(*words)


def test_version_and_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for words, code in (
        (["--version"], 0),
        (["nonsense"], 2),
        (["query"], 2),
        (["data", "fetch"], 2),
        # Before Python 3.13 argparse makes an empty list of these.
        (["search", "--epochs=--"], 2),
        (["search", "--seeds=--"], 2),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == code
        out, err = capsys.readouterr()
        assert out == (f"ecnas {__version__}\n" if code == 0 else "")
        assert ("usage: ecnas" in err) == (code == 2)
        if words[-1].endswith("=--"):
            assert f"argument {words[-1][:-3]}: expected a value, got --" in err


def test_debug_shows_where(ecnas_: Any) -> None:
    line = ("query", "4v-nothing", 0)
    assert "4v-nothing" in ecnas_.refused(*line)
    for words in (("--debug", *line), (*line, "--debug")):
        ran = ecnas_(*words)
        assert ran.code == 2
        assert "Traceback" in ran.err
        assert "\necnas: error: " in ran.err


def test_exit_codes_of_failures(ecnas_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = FileNotFoundError(2, "No such file or directory", "/no/such/file")
    for error, code, text in (
        (FetchError("no luck", remedy="try again"), 1, "ecnas: error: no luck; try again\n"),
        (gone, 1, f"ecnas: error: {gone}; --debug shows where\n"),
        (MemoryError(), 1, "ecnas: error: there is not enough memory; --debug shows where\n"),
        (KeyboardInterrupt(), 130, "run the same command again\n"),
    ):

        def fail(*_: object, error: BaseException = error) -> int:
            raise error

        monkeypatch.setattr(info, "run", fail)
        for words in (("info",), ("info", "--debug")):
            ran = ecnas_(*words)
            assert (ran.code, ran.out) == (code, "")
            assert ran.err.endswith(text)
            assert ("Traceback" in ran.err) == ("--debug" in words)


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    """Buffered, the output fails when it is flushed; unbuffered, when it is printed."""
    for options in ((), ("-u",)):
        read_end, write_end = os.pipe()
        os.close(read_end)  # nobody reads, from the start
        ran = subprocess.run(
            [sys.executable, *options, "-m", "naslib_ecnas", "data", "list", "--json"],
            cwd=tmp_path,
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(write_end)
        assert (ran.returncode, ran.stderr) == (141, "")


# -- help ----


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
    parser = argparse.ArgumentParser(prog="ecnas")
    command(parser, lambda args: None, long, "ecnas a \\\n    b", title="once")
    for width in ("40", "80", "200"):
        monkeypatch.setenv("COLUMNS", width)
        assert parser.format_help().endswith(f"once:\n  {long}\n  ecnas a \\\n      b\n")


def test_every_command_has_examples_that_fit_and_parse() -> None:
    whole = cli.command_parser()
    parsers = dict(_parsers(whole))
    del parsers["ecnas completion"]  # its examples are lines of shell start-up files
    assert set(parsers) >= {f"ecnas {name}" for name in cli.COMMANDS if name != "completion"}
    for name, parser in parsers.items():
        _, _, text = parser.format_help().partition("examples:\n")
        assert text, name
        assert max(map(len, text.splitlines())) <= 80, name
        for line in text.replace("\\\n", " ").strip().splitlines():
            program, *words = shlex.split(line.partition(" > ")[0])
            assert program == "ecnas"
            if "--help" not in words:
                assert callable(whole.parse_args(words).run), line
                assert callable(cli.command_parser(words[:1]).parse_args(words).run), line
