"""A table that is wider than the terminal is shown whole, a row at a time."""

from __future__ import annotations

import io
import re

import pytest

from naslib_ecnas.console import print_table

HEADINGS = ("", "training energy", "validation accuracy", "why")
ROWS = [("r0", "73.72 Wh", "0.8341", "least"), ("rk", "180.5 Wh", "0.9331", "knee")]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, width: int, stream: io.StringIO) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout", stream)
    print_table(HEADINGS, ROWS, right=[1, 2])
    return stream.getvalue()


def test_blocks_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 30, Terminal()) == (
        "r0\n"
        "  training energy      73.72 Wh\n"
        "  validation accuracy  0.8341\n"
        "  why                  least\n"
        "rk\n"
        "  training energy      180.5 Wh\n"
        "  validation accuracy  0.9331\n"
        "  why                  knee\n"
    )


@pytest.mark.parametrize("width", range(30, 80))
def test_nothing_is_cut_at_any_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = shown(monkeypatch, width, Terminal())
    assert "…" not in text
    for row in ROWS:
        assert all(text_of_a_cell in text for text_of_a_cell in row)
    for word in " ".join(HEADINGS).split():
        assert word in text


def test_a_row_stays_in_one_line_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, width in ((Terminal(), 80), (io.StringIO(), 20)):
        text = shown(monkeypatch, width, stream)
        assert any("r0" in line and "least" in line for line in text.splitlines())


COMPARED = ("method", "hypervolume", "IGD+", "evaluations", "kWh", "rank", "p against the best")
RUNS = [
    ("mse-hvi", "0.9819 (0.9784-0.9854)", "0.0087", "1,000", "123.456", "1.25", "0.0312"),
    ("climber", "0.9550 (0.9469-0.9632)", "0.0239", "1,000", "9.039", "2.75", ""),
]


@pytest.mark.parametrize("width", range(20, 120, 3))
def test_every_number_is_whole_at_any_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    stream = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(COMPARED, RUNS, right=(1, 2, 3, 4, 5), file=stream)
    text = stream.getvalue()
    for row in RUNS:
        for number in row:
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", text), (number, text)
    for word in " ".join(COMPARED).split():
        assert word in text
