"""Progress of a campaign's worker: bars on a terminal that go away, lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from naslib_ecnas import cli
from naslib_ecnas.commands.measure_progress import MeasureProgress
from naslib_ecnas.errors import UnknownTableError

pytest.importorskip("torch")

RUN = ("measure", "run", "--device", "cpu", "--meter", "none", "--batch-size", "2")
RUN = (*RUN, "--evaluate-images", "2", "--steps")


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    cells = tmp_path / "cells.txt"
    cells.write_text("0\n1\n")
    folder = tmp_path / "c"
    plan = ("measure", "plan", "--cells", str(cells), "--data", "synthetic")
    assert cli.main([*plan, "--images-per-file", "64", "--out", str(folder)]) == 0
    return folder


def terminal(campaign: Path, steps: int, out: int | None) -> tuple[str, bytes]:
    """What a run shows on a terminal, and what it writes to stdout where that is a pipe."""
    controller, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "naslib_ecnas", *RUN, str(steps), str(campaign)],
        stdin=subprocess.DEVNULL,
        stdout=end if out is None else out,
        stderr=end,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm-256color"},
    )
    os.close(end)
    shown = b""
    try:
        while block := os.read(controller, 1 << 16):
            shown += block
    except OSError:
        pass  # how a closed terminal ends on Linux
    os.close(controller)
    written = b"" if process.stdout is None else process.stdout.read()
    assert process.wait(timeout=60) == 0
    return shown.decode(), written


def test_on_a_terminal_bars_for_the_campaign_and_the_training(campaign: Path) -> None:
    raw, _ = terminal(campaign, 16, None)
    assert raw.count("\x1b[?25l") == raw.count("\x1b[?25h") == 1  # the cursor comes back
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw)
    assert re.search(r"units .* 0/2", shown)
    assert re.search(r"row \d, 4 epochs, repeat 0 .*\b\d+/16\b", shown)
    assert re.search(r"recorded after [\d.]+ s \(1 of 2, about [\d.]+ s to come\)", shown)
    assert "\x1b[2K" in raw[raw.rindex("0/2") :]  # the bars are erased
    assert shown.splitlines()[-1].startswith("2 units recorded")


def test_what_is_written_to_a_file_is_there_though_bars_are_shown(campaign: Path) -> None:
    shown, written = terminal(campaign, 2, subprocess.PIPE)
    assert "units" in shown
    assert written.decode().count("recorded after") == 2


def test_elsewhere_no_bars(campaign: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*RUN, "2", str(campaign)]) == 0
    out, err = capfd.readouterr()
    assert [line.split(" (")[-1] for line in out.splitlines()[-3:-1]][1] == "2 of 2)"
    assert not err


def test_no_campaign(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        MeasureProgress(tmp_path)
