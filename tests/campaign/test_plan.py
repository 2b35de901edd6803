"""Plans: which units, in which order, and their file; settings of workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from naslib_ecnas import Cell
from naslib_ecnas.campaign import DataChoice, Pace, Plan, Settings, make_plan
from naslib_ecnas.campaign.plan import file_rows
from naslib_ecnas.errors import ConfigError, FormatError, StorageError, UnknownTableError

DATA = DataChoice(kind="synthetic", images_per_file=4)


def _plan(**options: object) -> Plan:
    given = {"name": "p", "vertices": 4, "data": DATA, **options}
    return make_plan(range(91), **given)  # type: ignore[arg-type]


def test_every_cell_budget_and_repeat_is_there_once() -> None:
    plan = _plan(epochs=(4, 12), repeats=3)
    triples = {(u.row, u.epochs, u.repeat) for u in plan.units}
    assert triples == {(r, e, n) for r in range(91) for e in (4, 12) for n in range(3)}
    assert len(plan.units) == len(triples) == len({u.seed for u in plan.units})
    assert all(u.cell == str(Cell.from_row(u.row)) for u in plan.units)
    # A unit's seed does not depend on the others.
    few = make_plan([7], name="q", vertices=4, data=DATA, repeats=2).by_name
    assert all(plan.by_name[name].seed == unit.seed for name, unit in few.items())
    assert _plan(limit=5).units == _plan().units[:5]


def test_the_order_follows_the_seed_and_not_the_cells() -> None:
    rows = [u.row for u in _plan(repeats=3, seed=1).units]
    assert rows != sorted(rows)
    assert rows == [u.row for u in _plan(repeats=3, seed=1).units]
    assert rows != [u.row for u in _plan(repeats=3, seed=2).units]
    # Repeats of a cell are not neighbours, and the order hardly correlates with the row.
    assert sum(a == b for a, b in pairwise(rows)) < 15
    n = len(rows)
    centred = sum((i - (n - 1) / 2) * (row - 45) for i, row in enumerate(rows))
    spread = (sum((i - (n - 1) / 2) ** 2 for i in range(n)) * n * 690) ** 0.5
    assert abs(centred / spread) < 0.2


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (_plan, {"vertices": 3}),
        (_plan, {"vertices": 8}),
        (DataChoice, {"kind": "cifar10"}),
        (DataChoice, {"kind": "synthetic", "path": "/x"}),
        (Settings, {"steps": 0}),
        (Settings, {"meter": "replay"}),
        (Settings, {"gpu": "GPU-0", "meter": "none"}),
        (Settings, {"warm_up_s": "2"}),
        (Pace, {"stale_s": 0}),
    ],
)
def test_what_is_not_possible_is_refused(
    make: Callable[..., object], settings: dict[str, object]
) -> None:
    with pytest.raises(ConfigError):
        make(**settings)


def test_a_gpu_is_warmed_up_for_a_minute_by_default() -> None:
    assert Settings().warm_up_s == 0.0
    assert Settings(device="cuda:1").warm_up_s == 60.0
    assert Settings(device="cuda:1", warm_up_s=0).warm_up_s == 0


def test_the_file_gives_the_plan_back(tmp_path: Path, plan: Callable[..., Plan]) -> None:
    made = plan()
    made.write(tmp_path / "c")
    made.write(str(tmp_path / "c"))  # the same again changes nothing
    assert Plan.read(str(tmp_path / "c")) == made
    assert Plan.read(tmp_path / "c").checksum == made.checksum
    with pytest.raises(ConfigError, match="another plan"):
        replace(made, seed=9).write(tmp_path / "c")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="something else"):
        made.write(tmp_path / "full")


def test_a_damaged_plan_is_an_error(tmp_path: Path, plan: Callable[..., Plan]) -> None:
    plan().write(tmp_path)
    file = tmp_path / "plan.json"
    whole = file.read_text()
    data = json.loads(whole)
    units, images = data["units"], data["data"]

    def edited(place: dict[str, object], **changes: object) -> str:
        before = dict(place)
        place.update(changes)
        text = json.dumps(data)
        place.update(before)
        return text

    for wrong in (
        *(whole[:500], "", "[]", whole.replace("plan/1", "plan/0")),
        *(edited(units[0], **{name: 10**9}) for name in ("row", "repeat", "epochs")),
        *(edited(units[0], **{name: -1}) for name in ("row", "repeat", "epochs", "seed")),
        edited(units[0], row=True),
        edited(images, images_per_file=10**12),
        edited(data, name="\x1b[31mred"),
        *(edited(data, speed=speed) for speed in (["warp"], ["tf32", "tf32"])),
        edited(data, units=units * 2),
    ):
        file.write_text(wrong)
        with pytest.raises(FormatError):
            Plan.read(tmp_path)
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(StorageError, match="more than"):
        Plan.read(tmp_path)
    with pytest.raises(UnknownTableError, match="no campaign"):
        Plan.read(tmp_path / "elsewhere")


def test_speed_is_part_of_the_plan(tmp_path: Path) -> None:
    fast = _plan(speed=["bf16", "cuda_graphs"])
    fast.write(tmp_path / "fast")
    assert Plan.read(tmp_path / "fast") == fast
    assert fast.checksum != _plan().checksum


def test_cells_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "cells"
    file.write_text(f"# two\n5\n\n{Cell.from_row(17)}  # the other\n5\n")
    assert file_rows(file) == [5, 17, 5]
    file.write_text(json.dumps([{"row": 3, "cell": "x"}, {"row": 1}]))
    assert file_rows(file) == [3, 1]
    for wrong in (b"hello", b"", b"# none", b"[1, null]", b"[1", b"[-1]", b"9" * 5000, b"\xff\xfe"):
        file.write_bytes(wrong)
        with pytest.raises(FormatError):
            file_rows(file)
