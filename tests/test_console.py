"""The console: frames, bars and colours on a terminal, plain lines elsewhere; numbers as text."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from naslib_ecnas.console import (
    bytes_text,
    duration_text,
    installed_version,
    print_lines,
    print_table,
    progress,
    quantity_text,
    split_words,
)
from naslib_ecnas.errors import counted
from naslib_ecnas.progress import listener

ROWS = [("7v", "423,624", "all"), ("4v", "91", "few of them")]


class Screen(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def shown(headings: tuple[str, ...], rows: list[tuple[str, ...]], right: Any = ()) -> str:
    stream = Screen()
    print_table(headings, rows, right=right, file=stream)
    return re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())


def test_a_table_elsewhere_is_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "cells", "which"), ROWS, right=(1,))
    text = "name    cells  which\n7v    423,624  all\n4v         91  few of them\n"
    assert capsys.readouterr().out == text
    print_table(("name", "cells"), [])
    assert capsys.readouterr().out == "name  cells\n"


def test_a_table_on_a_terminal_keeps_its_texts_and_its_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = shown(("name", "cells", "which"), [*ROWS, ("x", "1", "[red]" + "word " * 40)])
    assert max(map(len, text.splitlines())) <= 60
    assert re.search(r"4v +91 +few of them", text)
    assert "[red]word" in text  # nothing in a text is read as markup
    assert text.count("word") == 40
    monkeypatch.setenv("COLUMNS", "50")
    row = ("energy at 108 epochs, on a GPU of that name", "123,456", "0.98765", "[1]")
    text = shown(("target", "cells", "tau", "note"), [row, ("time", "1", "0.5", "[2]")], (1, 2))
    assert max(map(len, text.splitlines())) <= 50
    assert re.search(r"123,456 +0\.98765", text)
    firsts = [line.split("  ")[0] for line in text.splitlines()[2:4]]
    assert firsts == ["energy at 108 epochs, on a", "GPU of that name"]


WIDE = ("", "training energy", "validation accuracy", "why")
CHOSEN = [("r0", "73.72 Wh", "0.8341", "least"), ("rk", "180.5 Wh", "0.9331", "knee")]


def test_nothing_is_cut_at_any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert shown(WIDE, CHOSEN, (1, 2)) == (
        "r0\n"
        "  training energy      73.72 Wh\n"
        "  validation accuracy  0.8341\n"
        "  why                  least\n"
        "rk\n"
        "  training energy      180.5 Wh\n"
        "  validation accuracy  0.9331\n"
        "  why                  knee\n"
    )
    compared = ("method", "hypervolume", "IGD+", "evaluations", "kWh", "rank", "p against the best")
    runs = [
        ("mse-hvi", "0.9819 (0.9784-0.9854)", "0.0087", "1,000", "123.456", "1.25", "0.0312"),
        ("climber", "0.9550 (0.9469-0.9632)", "0.0239", "1,000", "9.039", "2.75", ""),
    ]
    for headings, rows, right in ((WIDE, CHOSEN, (1, 2)), (compared, runs, (1, 2, 3, 4, 5))):
        for width in range(20, 120, 3):
            monkeypatch.setenv("COLUMNS", str(width))
            text = shown(headings, rows, right)
            assert "…" not in text
            for part in (part for row in rows for part in row):
                assert re.search(rf"(?<![\d.]){re.escape(part)}(?![\d.])", text), (part, text)
            for word in " ".join(headings).split():
                assert word in text
    assert any("r0" in line and "least" in line for line in shown(WIDE, CHOSEN).splitlines())
    # Lines are wrapped on a terminal only.
    line = "word " * 30 + "end"
    monkeypatch.setenv("COLUMNS", "50")
    for stream in (io.StringIO(), Screen()):
        monkeypatch.setattr("sys.stdout", stream)
        print_lines([line])
        lines = stream.getvalue().splitlines()
        assert " ".join(" ".join(lines).split()) == line
        if stream.isatty():
            assert max(map(len, lines)) <= 50
            assert all(rest.startswith("    ") for rest in lines[1:])
        else:
            assert lines == [line]


def test_progress_elsewhere_is_single_lines_and_of_long_work_one_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress() as shown:
        shown("checking a.bin", 0, 5_000_000_000, unit="B")
        shown("fetching a.bin", 0, 2_100_000, unit="B")
        shown("fetching a.bin", 1_000_000, 2_100_000, unit="B")
        shown("a.bin", note="lost: trying again")
        shown("fetching b.bin", 1_000_000, 2_100_000, unit="B")
        shown("fetching b.bin", 2_100_000, 2_100_000, unit="B")
        shown("predicting 7v", 0, 423_624, unit="cells")
        shown("comparing", 3, 4, unit="runs")
        listener()("writing x.csv")  # by code that has no argument for it
    listener()("writing y.csv")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "fetching a.bin (2.1 MB)",
        "a.bin: lost: trying again",
        "fetching b.bin (2.1 MB), 1 MB done",
        "predicting 7v (423,624 cells)",
        "comparing (4 runs), 3 done",
        "writing x.csv",
    ]
    clock = iter(range(0, 10_000, 25))
    monkeypatch.setattr("naslib_ecnas.console.time.monotonic", lambda: next(clock))
    with progress() as shown:
        for done in range(8):
            shown("comparing", done, 1000, unit="runs")
    assert capsys.readouterr().err.splitlines() == [
        "comparing (1,000 runs)",
        "comparing (1,000 runs), 3 done",
        "comparing (1,000 runs), 6 done",
    ]


def test_bars_on_a_terminal_are_erased_at_the_end(terminal: Any, tmp_path: Path) -> None:
    code = """
from naslib_ecnas.console import progress
with progress() as shown:
    shown("a.bin", note="before any bar")
    shown("checking quick", 0, 1000, unit="B")
    shown("writing")
    shown("reading", 1)
    shown("reading", 5, 5)  # its total is known only later
    shown("fetching a.bin", 0, 2_100_000, unit="B")
    shown("a.bin", note="lost [again]")
    shown("fetching a.bin", 2_000_000, 2_100_000, unit="B")
    shown("checking slow.bin", 0, 200_000_000, unit="B")
    shown("searching", 1_000, 2_000, unit="runs")
    shown.bars.refresh()
    shown("fetching a.bin", 2_100_000, 2_100_000, unit="B")
    shown("fetching a.bin", 2_100_000, 2_100_000, unit="B")
    print("a result")
"""
    text = terminal.shown([sys.executable, "-c", code], columns=100)
    plain = terminal.plain(text)
    assert "a.bin: before any bar" in plain
    assert "a.bin: lost [again]" in plain
    assert "quick" not in plain
    assert re.search(r"fetching a\.bin .*2 MB of 2\.1 MB", plain)
    assert re.search(r"checking slow\.bin .*0 B of 200 MB", plain)
    assert re.search(r"searching .*1,000 of 2,000 runs", plain)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back
    assert text.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))  # the last drawing is erased
    with (tmp_path / "out").open("wb") as file:
        assert "a result" not in terminal.shown([sys.executable, "-c", code], stdout=file)
    assert (tmp_path / "out").read_text() == "a result\n"


def test_text_from_elsewhere_does_not_steer_a_terminal(terminal: Any, terminal_text: str) -> None:
    code = f"""
import sys
from naslib_ecnas.console import print_json, print_table, printing, progress
text = {terminal_text!r}
with printing():
    print("plain", text, file=sys.stderr)
    print_table(("name" + text, "x"), [(text, text)])
    with progress(slow=True) as shown:
        shown("task" + text, 1, 3)
        shown("task" + text, note=text)
        print("during", text)
    print_json({{"a": text, "ü": "ü"}})
"""
    text = terminal.shown([sys.executable, "-c", code], columns=200)
    assert "━" in text
    assert terminal.plain(text).replace("\r", "").replace("\n", "").isprintable()
    assert not re.search(r"\x1b(\[31m|\]|\[2J)", text)
    assert text.count("\\x1b[31m") >= 7
    # A stream that cannot show a letter shows its code, and JSON stays JSON.
    script = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run(script, capture_output=True, text=True, check=True, env=environment)
    assert '"\\u00fc": "\\u00fc"' in ran.stdout


def test_numbers_and_words_as_text() -> None:
    durations = {0.26: "0.3 s", 9.94: "9.9 s", 9.96: "10 s", 119.4: "119 s", 120.0: "2 min"}
    for seconds, text in {**durations, 7199.0: "120 min", 7200.0: "2.0 h"}.items():
        assert duration_text(seconds) == text
    assert duration_text(float("nan")) == "unknown time"
    sizes = {0: "0 B", 999: "999 B", 1000: "1 kB", 999_700: "1 MB", 2_136_916: "2.14 MB"}
    for size, text in {**sizes, 613_992_864: "614 MB", 1_950_000_000: "1.95 GB"}.items():
        assert bytes_text(size) == text
    assert bytes_text(None) == "?"
    assert quantity_text(7.5, ".2f", "kWh") == "7.50 kWh"
    assert quantity_text(float("nan"), ".2f", "kWh") == "unknown kWh"
    assert quantity_text(0.5, ".1f") == "0.5"
    assert [counted(n, "run") for n in (0, 1, 2000)] == ["0 runs", "1 run", "2,000 runs"]
    assert split_words(" a, b,,c ") == ("a", "b", "c")
    assert installed_version("no-such-package-of-anyone") is None
    assert installed_version("numpy") == numpy.__version__
