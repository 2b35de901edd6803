"""A table that is wider than the terminal is shown whole, a row at a time."""

from __future__ import annotations

import io

import pytest

from naslib_ecnas.commands.wide_table import print_wide_table

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
    print_wide_table(HEADINGS, ROWS, right=[1, 2])
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
    for row in (HEADINGS, *ROWS):
        assert all(word in text for word in row)


def test_a_row_stays_in_one_line_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, width in ((Terminal(), 80), (io.StringIO(), 20)):
        text = shown(monkeypatch, width, stream)
        assert any("r0" in line and "least" in line for line in text.splitlines())
