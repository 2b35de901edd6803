"""Claims: one owner at a time, whoever races, dies or loses its heartbeat; logs of attempts."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.campaign.claims import (
    AttemptLog,
    Claim,
    Heartbeat,
    Owner,
    StaleClaims,
    Superseded,
    attempts,
    claims,
)
from naslib_ecnas.files import to_json

SAFETY_S = 600.0


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    """A claim of this process."""
    made = Claim(tmp_path, 1)
    assert made.take()
    return made


def _racer(root: Path, number: int, barrier: Any, won: Any) -> None:
    stale = StaleClaims(SAFETY_S)
    barrier.wait(SAFETY_S)
    found = []
    for i in range(200):
        claim = Claim(root / str(i), number)
        free = number == 1 or stale.over(replace(claim, number=number - 1))
        if free and claim.take():
            found.append(i)
    won.put(found)


def test_of_several_processes_exactly_one_gets_each_claim(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for number in (1, 2):  # the first racers are dead when the second take over from them
        barrier, won = fork.Barrier(4), fork.SimpleQueue()
        racers = [
            fork.Process(target=_racer, args=(tmp_path, number, barrier, won)) for _ in range(4)
        ]
        for racer in racers:
            racer.start()
        found = [won.get() for _ in racers]
        for racer in racers:
            racer.join(SAFETY_S)
        assert sorted(i for each in found for i in each) == list(range(200))
    assert all([c.number for c in claims(tmp_path / str(i))] == [1, 2] for i in range(200))


def test_a_live_owner_keeps_its_claim_and_knows_itself(claim: Claim) -> None:
    assert not Claim(claim.folder, 1).take()
    assert not claim.overtaken
    assert claim.owner is not None
    assert (claim.owner.pid, claim.owner.dead) == (os.getpid(), False)
    assert not StaleClaims(SAFETY_S).over(claim)


def test_a_reused_process_number_is_not_the_owner() -> None:
    assert replace(Owner.here(), process_start="1").dead
    # On another machine or after another boot the number means nothing.
    assert not replace(Owner.here(), process_start="1", host="elsewhere").dead
    assert not replace(Owner.here(), process_start="1", system="another boot").dead


def test_a_claim_is_stale_by_the_clock_of_who_looks(tmp_path: Path, clock: Any) -> None:
    claim, stale = Claim(tmp_path, 1), StaleClaims(10.0, clock)
    for owner in (to_json(replace(Owner.here(), host="elsewhere", pid=1)), ""):
        claim.path.write_text(owner)  # an empty one: its owner died before it signed
        assert (claim.owner is None) == (not owner)
        # Its machine's clock is decades late; then comes one heartbeat.
        for moment, wait_s in ((1, 6.0), (2, 5.0)):
            os.utime(claim.path, (moment, moment))
            looks = []
            for _ in range(3):
                clock.now += wait_s
                looks.append(stale.over(claim))
            assert looks == [False, False, True]
        claim.path.unlink()
        assert not stale.over(claim)


def test_an_owner_that_was_superseded_stops(claim: Claim) -> None:
    os.utime(claim.path, (1, 1))
    heartbeat = Heartbeat(claim, beat_s=0.01)
    with heartbeat:
        deadline = time.monotonic() + SAFETY_S
        while claim.path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.005)  # until its thread beats
    assert claim.path.stat().st_mtime > 2
    heartbeat.check()
    assert Claim(claim.folder, 2).take()
    assert claim.overtaken
    heartbeat.beat()
    with pytest.raises(Superseded):
        heartbeat.check()
    claim.path.unlink()
    heartbeat.beat()  # a file system that fails is not an error


def test_a_log_says_how_an_attempt_ended_and_survives_half_a_line(claim: Claim) -> None:
    log = AttemptLog(claim)
    log.add("open", name="total")
    assert [a.ended for a in attempts(claim.folder)] == [""]
    log.end("invalid", "too short")
    log.end("recorded")  # only the first counts
    whole = log.path.read_bytes()
    (found,) = attempts(claim.folder)
    assert (found.claim, found.ended, found.detail) == (claim, "invalid", "too short")
    assert 0 <= found.seconds < SAFETY_S
    for length in range(len(whole)):
        log.path.write_bytes(whole[:length])
        ended = attempts(claim.folder)[0].ended
        assert ended == ("invalid" if length >= len(whole) - 1 else "")
    log.path.write_bytes(b"\xff\n[1]\n{}\n" + whole)
    assert attempts(claim.folder)[0].ended == "invalid"


def test_a_log_that_is_no_file_or_too_large_is_an_attempt_without_events(claim: Claim) -> None:
    log = claim.path.with_suffix(".log")
    os.mkfifo(log)
    assert [a.ended for a in attempts(claim.folder)] == [""]
    log.unlink()
    with log.open("wb") as sparse:
        sparse.truncate(1 << 40)
    assert [a.ended for a in attempts(claim.folder)] == [""]
