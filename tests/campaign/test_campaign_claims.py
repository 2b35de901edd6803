"""Claims: one owner at a time, whoever races, dies or falls silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from naslib_ecnas.campaign.claims import (
    AttemptLog,
    Claim,
    Heart,
    Owner,
    Superseded,
    Watch,
    attempts,
    numbers,
    read_owner,
    take,
)
from naslib_ecnas.files import to_plain

_RACER = """
import sys, time
from pathlib import Path
from naslib_ecnas.campaign.claims import Watch, take
root, number, start = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
watch = Watch(60.0)
time.sleep(max(start - time.time(), 0))
for i in range(200):
    place = root / str(i)
    if number == 1 or watch.over(place, number - 1):
        if take(place, number) is not None:
            print(i)
"""


def _race(root: Path, number: int) -> list[list[int]]:
    """What each of four processes won."""
    start = time.time() + 2.5
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, str(root), str(number), str(start)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    won = []
    for racer in racers:
        out, _ = racer.communicate(timeout=60)
        assert racer.returncode == 0
        won.append([int(line) for line in out.split()])
    return won


def test_of_several_processes_exactly_one_gets_each_claim(tmp_path: Path) -> None:
    won = _race(tmp_path, 1)
    assert sorted(i for each in won for i in each) == list(range(200))
    # All racers are dead now: each claim is taken over, and again by one only.
    again = _race(tmp_path, 2)
    assert sorted(i for each in again for i in each) == list(range(200))
    assert all(numbers(tmp_path / str(i)) == [1, 2] for i in range(200))


def test_a_live_owner_is_left_alone_and_knows_itself(tmp_path: Path) -> None:
    claim = take(tmp_path, 1)
    assert claim == Claim(tmp_path, 1)
    assert take(tmp_path, 1) is None
    assert claim.mine
    owner = read_owner(tmp_path, 1)
    assert owner is not None
    assert (owner.pid, owner.dead) == (os.getpid(), False)
    assert not Watch(0.5).over(tmp_path, 1)


def test_a_reused_process_number_is_not_the_owner(tmp_path: Path) -> None:
    assert replace(Owner.here(), process_start="1").dead
    # Of another machine or after another boot the number says nothing.
    assert not replace(Owner.here(), process_start="1", host="elsewhere").dead
    assert not replace(Owner.here(), process_start="1", system="another boot").dead


def _elsewhere(folder: Path) -> Path:
    """A claim of another machine."""
    folder.mkdir(exist_ok=True)
    path = folder / "0001.claim"
    path.write_text(json.dumps(to_plain(replace(Owner.here(), host="elsewhere", pid=1))))
    return path


def test_silence_makes_a_claim_stale_whatever_its_clock_says(tmp_path: Path) -> None:
    path = _elsewhere(tmp_path)
    os.utime(path, (1, 1))  # its machine's clock is decades late
    watch = Watch(0.4)
    assert not watch.over(tmp_path, 1)
    time.sleep(0.25)
    os.utime(path, (2, 2))  # a sign of life
    assert not watch.over(tmp_path, 1)
    time.sleep(0.25)
    assert not watch.over(tmp_path, 1)
    time.sleep(0.25)
    assert watch.over(tmp_path, 1)


def test_a_claim_that_nobody_signed_falls_to_silence_too(tmp_path: Path) -> None:
    (tmp_path / "0001.claim").touch()  # its owner died between creating and signing it
    watch = Watch(0.2)
    assert read_owner(tmp_path, 1) is None
    assert not watch.over(tmp_path, 1)
    time.sleep(0.25)
    assert watch.over(tmp_path, 1)


def test_an_owner_that_was_taken_over_stops(tmp_path: Path) -> None:
    claim = take(tmp_path, 1)
    assert claim is not None
    with Heart(claim, beat_s=0.05) as heart:
        before = claim.path.stat().st_mtime_ns
        time.sleep(0.2)
        heart.check()
        assert claim.path.stat().st_mtime_ns > before
        assert take(tmp_path, 2) is not None
        time.sleep(0.2)
        assert not claim.mine
        with pytest.raises(Superseded):
            heart.check()


def test_a_log_tells_how_an_attempt_ended_and_survives_half_a_line(tmp_path: Path) -> None:
    claim = take(tmp_path, 1)
    assert claim is not None
    log = AttemptLog(tmp_path, 1)
    log.add("open", name="total")
    assert [a.ended for a in attempts(tmp_path)] == [""]
    log.end("invalid", "too short")
    log.end("recorded")  # only the first counts
    whole = log.path.read_bytes()
    (found,) = attempts(tmp_path)
    assert (found.number, found.ended, found.detail) == (1, "invalid", "too short")
    assert 0 <= found.seconds < 5
    for length in range(len(whole)):
        log.path.write_bytes(whole[:length])
        ended = attempts(tmp_path)[0].ended
        assert ended == ("invalid" if length >= len(whole) - 1 else "")
    log.path.write_bytes(b"\xff\n[1]\n{}\n" + whole)
    assert attempts(tmp_path)[0].ended == "invalid"
