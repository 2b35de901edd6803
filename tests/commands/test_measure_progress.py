"""Progress of a campaign's worker: bars on a terminal that go away, lines elsewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas import cli
from naslib_ecnas.campaign import Done, Plan
from naslib_ecnas.commands import measure
from naslib_ecnas.commands.measure import MeasureProgress
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


def command(campaign: Path, steps: int) -> list[str]:
    return [sys.executable, "-m", "naslib_ecnas", *RUN, str(steps), str(campaign)]


def test_on_a_terminal_bars_for_the_campaign_and_the_training(
    campaign: Path, terminal: Any
) -> None:
    raw = terminal.shown(command(campaign, 16), columns=100)
    assert raw.count("\x1b[?25l") == raw.count("\x1b[?25h") == 1  # the cursor comes back
    shown = terminal.plain(raw)
    assert re.search(r"units .* 0/2", shown)
    assert re.search(r"row \d, 4 epochs, repeat 0 .*\b\d+/16\b", shown)
    assert re.search(r"recorded after [\d.]+ s \(1 of 2, about [\d.]+ s to come\)", shown)
    assert "\x1b[2K" in raw[raw.rindex("0/2") :]  # the bars are erased
    assert shown.splitlines()[-1].startswith("2 units recorded")


def test_what_is_written_to_a_file_is_there_though_bars_are_shown(
    campaign: Path, terminal: Any, tmp_path: Path
) -> None:
    with (tmp_path / "out.txt").open("wb") as file:
        shown = terminal.shown(command(campaign, 2), stdout=file)
    assert "units" in shown
    assert (tmp_path / "out.txt").read_text().count("recorded after") == 2


def test_elsewhere_no_bars(campaign: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*RUN, "2", str(campaign)]) == 0
    out, err = capfd.readouterr()
    assert [line.split(" (")[-1] for line in out.splitlines()[-3:-1]][1] == "2 of 2)"
    assert not err


def test_no_campaign(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        MeasureProgress(tmp_path)


def test_a_unit_that_is_tried_again_has_one_bar(
    campaign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = Plan.read(campaign).units[0]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(measure, "_REDRAW_S", 1e-9)
    with MeasureProgress(campaign) as shown:
        for attempt in range(3):
            shown.stepped(unit, 0, 0)
            assert tasks(shown) == ["units", f"{unit}: before training"]
            shown.stepped(unit, 5, 16)
            assert tasks(shown) == ["units", str(unit)]
            shown.told(Done(unit, attempt + 1, "invalid", "frozen", 1.0))
            assert tasks(shown) == ["units"]
    assert capsys.readouterr().out.count("invalid after 1.0 s: frozen (0 of 2)") == 3


def tasks(shown: MeasureProgress) -> list[str]:
    assert shown._bars is not None
    return [task.description for task in shown._bars.tasks]


def test_strays_are_not_counted(campaign: Path) -> None:
    (campaign / "records").mkdir(exist_ok=True)
    (campaign / "records" / "99-4-0.json").write_text("{}")
    assert MeasureProgress(campaign)._recorded() == 0
