"""Claims: one owner at a time, whoever races, dies or loses its heartbeat; logs of attempts."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.campaign import claims
from naslib_ecnas.files import to_plain

SAFETY_S = 600.0


def _racer(root: Path, number: int, barrier: Any, won: Any) -> None:
    stale = claims.StaleClaims(SAFETY_S)
    barrier.wait(SAFETY_S)
    found = []
    for i in range(200):
        place = root / str(i)
        free = number == 1 or stale.over(place, number - 1)
        if free and claims.take(place, number) is not None:
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
    assert all(claims.numbers(tmp_path / str(i)) == [1, 2] for i in range(200))


def test_a_live_owner_keeps_its_claim_and_knows_itself(tmp_path: Path) -> None:
    claim = claims.take(tmp_path, 1)
    assert claim == claims.Claim(tmp_path, 1)
    assert claims.take(tmp_path, 1) is None
    assert claim.mine
    owner = claims.read_owner(tmp_path, 1)
    assert owner is not None
    assert (owner.pid, owner.dead) == (os.getpid(), False)
    assert not claims.StaleClaims(SAFETY_S).over(tmp_path, 1)


def test_a_reused_process_number_is_not_the_owner() -> None:
    assert replace(claims.Owner.here(), process_start="1").dead
    # On another machine or after another boot the number means nothing.
    assert not replace(claims.Owner.here(), process_start="1", host="elsewhere").dead
    assert not replace(claims.Owner.here(), process_start="1", system="another boot").dead


def test_a_claim_is_stale_by_the_clock_of_who_looks(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "0001.claim"
    stale = claims.StaleClaims(10.0, clock)
    for owner in (json.dumps(to_plain(replace(claims.Owner.here(), host="elsewhere", pid=1))), ""):
        path.write_text(owner)  # an empty one: its owner died between creating and signing it
        assert (claims.read_owner(tmp_path, 1) is None) == (not owner)
        os.utime(path, (1, 1))  # its machine's clock is decades late
        looks = []
        for _ in range(3):
            clock.now += 6.0
            looks.append(stale.over(tmp_path, 1))
        assert looks == [False, False, True]
        os.utime(path, (2, 2))  # a heartbeat
        looks = []
        for _ in range(3):
            clock.now += 5.0
            looks.append(stale.over(tmp_path, 1))
        assert looks == [False, False, True]
        path.unlink()
        assert not stale.over(tmp_path, 1)


def test_an_owner_that_was_superseded_stops(tmp_path: Path) -> None:
    claim = claims.take(tmp_path, 1)
    assert claim is not None
    os.utime(claim.path, (1, 1))
    heartbeat = claims.Heartbeat(claim, beat_s=0.01)
    with heartbeat:
        deadline = time.monotonic() + SAFETY_S
        while claim.path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.005)  # until its thread beats
    assert claim.path.stat().st_mtime > 2
    heartbeat.check()
    assert claims.take(tmp_path, 2) is not None
    assert not claim.mine
    heartbeat.beat()
    with pytest.raises(claims.Superseded):
        heartbeat.check()
    claim.path.unlink()
    heartbeat.beat()  # a file system that fails is not an error


def test_a_log_says_how_an_attempt_ended_and_survives_half_a_line(tmp_path: Path) -> None:
    claim = claims.take(tmp_path, 1)
    assert claim is not None
    log = claims.AttemptLog(tmp_path, 1)
    log.add("open", name="total")
    assert [a.ended for a in claims.attempts(tmp_path)] == [""]
    log.end("invalid", "too short")
    log.end("recorded")  # only the first counts
    whole = log.path.read_bytes()
    (found,) = claims.attempts(tmp_path)
    assert (found.number, found.ended, found.detail) == (1, "invalid", "too short")
    assert 0 <= found.seconds < SAFETY_S
    for length in range(len(whole)):
        log.path.write_bytes(whole[:length])
        ended = claims.attempts(tmp_path)[0].ended
        assert ended == ("invalid" if length >= len(whole) - 1 else "")
    log.path.write_bytes(b"\xff\n[1]\n{}\n" + whole)
    assert claims.attempts(tmp_path)[0].ended == "invalid"
