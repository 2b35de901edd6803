"""What commands print: framed, with bars and colours on a terminal; elsewhere plain lines."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest

from naslib_ecnas.console import ShownProgress, duration_text, print_lines, print_table
from naslib_ecnas.progress import listener

ROWS = [("7v", "423,624", "all"), ("4v", "91", "few of them")]


def test_a_table_elsewhere_is_aligned_text() -> None:
    out = io.StringIO()
    print_table(("name", "cells", "which"), ROWS, right=(1,), file=out)
    assert out.getvalue() == (
        "name    cells  which\n7v    423,624  all\n4v         91  few of them\n"
    )
    out = io.StringIO()
    print_table(("name", "cells"), [], file=out)
    assert out.getvalue() == "name  cells\n"


def test_a_table_on_a_terminal_keeps_its_texts_and_its_width(terminal: Any) -> None:
    code = (
        "from naslib_ecnas.console import print_table\n"
        f"print_table(('name', 'cells', 'which'), {[*ROWS, ('x', '1', '[red]' + 'word ' * 40)]!r})"
    )
    text = terminal.shown([sys.executable, "-c", code], columns=60)
    assert "\x1b[" in text
    lines = terminal.plain(text).splitlines()
    assert max(map(len, lines)) <= 60
    assert any(re.search(r"4v +91 +few of them", line) for line in lines)
    assert "[red]word" in terminal.plain(text)  # nothing of a text is taken for markup
    assert terminal.plain(text).count("word") == 40


def test_numbers_keep_their_digits_on_a_narrow_terminal(terminal: Any) -> None:
    rows = [("energy at 108 epochs, on a GPU of that name", "123,456", "0.98765", "[1]")]
    rows.append(("time", "1", "0.5", "[2]"))
    code = (
        "from naslib_ecnas.console import print_table\n"
        f"print_table(('target', 'cells', 'tau', 'seen'), {rows!r}, right=(1, 2))"
    )
    said = terminal.plain(terminal.shown([sys.executable, "-c", code], columns=50))
    assert max(map(len, said.splitlines())) <= 50
    assert re.search(r"123,456 +0\.98765", said)
    assert "…" not in said
    assert [line.split("  ")[0] for line in said.splitlines()[3:5]] == [
        " energy at 108 epochs, on",
        " a GPU of that name",
    ]


def test_lines_are_broken_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], terminal: Any
) -> None:
    line = "word " * 30 + "end"
    print_lines([line])
    assert capsys.readouterr().out == line + "\n"
    code = f"from naslib_ecnas.console import print_lines\nprint_lines([{line!r}])"
    lines = terminal.shown([sys.executable, "-c", code], columns=50).splitlines()
    assert max(map(len, lines)) <= 50
    assert all(rest.startswith("    ") for rest in lines[1:])
    assert " ".join(" ".join(lines).split()) == line


def test_progress_elsewhere_is_single_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with ShownProgress() as progress:
        progress.started("a.bin", "checking", 5_000_000_000, 0)
        progress.started("a.bin", "fetching", 2_100_000, 0)
        progress.advanced("a.bin", 1_000_000)
        progress.noted("a.bin", "lost: trying again")
        progress.started("a.bin", "fetching", 2_100_000, 1_000_000)
        progress.started("b.bin", "fetching", None, 0)
        progress.finished("a.bin")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "fetching a.bin (2.1 MB)",
        "a.bin: lost: trying again",
        "fetching a.bin (2.1 MB), from byte 1,000,000 on",
        "fetching b.bin",
    ]


def test_what_lies_deep_below_is_heard_too(capsys: pytest.CaptureFixture[str]) -> None:
    with ShownProgress():
        listener().started("x.csv", "writing", None, 0)
    listener().started("y.csv", "writing", None, 0)
    assert capsys.readouterr().err == "writing x.csv\n"


def test_progress_on_a_terminal_is_bars_that_go_away(terminal: Any) -> None:
    code = """
from naslib_ecnas.console import ShownProgress
with ShownProgress() as progress:
    progress.noted("a.bin", "before any bar")
    progress.started("quick", "checking", 1000, 0)
    progress.started("a.bin", "fetching", 2_100_000, 0)
    progress.advanced("a.bin", 1_000_000)
    progress.noted("a.bin", "lost [again]")
    progress.started("a.bin", "fetching", 2_100_000, 1_000_000)
    progress.advanced("a.bin", 2_100_000)
    progress.started("slow.bin", "checking", 200_000_000, 0)
    progress._bars.refresh()
    progress.finished("a.bin")
    progress.finished("a.bin")
    progress.advanced("a.bin", 5)
"""
    text = terminal.shown([sys.executable, "-c", code], columns=100)
    said = terminal.plain(text)
    assert "a.bin: before any bar" in said
    assert "a.bin: lost [again]" in said
    assert "quick" not in said
    assert re.search(r"fetching a\.bin .*2\.1/2\.1 MB", said)
    assert re.search(r"checking slow\.bin .*0\.0/200\.0 MB", said)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back
    # The last that is drawn is erased.
    assert text.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.26, "0.3 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (120.0, "2 min"),
        (7199.0, "120 min"),
        (7200.0, "2.0 h"),
        (float("nan"), "unknown time"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
