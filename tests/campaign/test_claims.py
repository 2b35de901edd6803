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
    Claim,
    Owner,
    Superseded,
    attempts,
    heartbeat,
)
from naslib_ecnas.errors import StorageError
from naslib_ecnas.progress import listener, listening

SAFETY_S = 600.0


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    """A claim of this process."""
    made = Claim(tmp_path, 1)
    assert made.take()
    return made


def _racer(root: Path, number: int, barrier: Any, won: Any) -> None:
    barrier.wait(SAFETY_S)
    found = []
    for i in range(200):
        claim = Claim(root / str(i), number)
        if (number == 1 or attempts(claim.folder)[number - 2].dead) and claim.take():
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
    made = [[one.claim.number for one in attempts(tmp_path / str(i))] for i in range(200)]
    assert made == [[1, 2]] * 200


def test_a_live_owner_keeps_its_claim_and_knows_itself(claim: Claim) -> None:
    assert not Claim(claim.folder, 1).take()
    assert not claim.overtaken
    (found,) = attempts(claim.folder)
    assert found.owner is not None
    assert (found.owner.pid, found.dead) == (os.getpid(), False)


def test_a_reused_process_number_is_not_the_owner() -> None:
    assert replace(Owner.here(), process_start="1").dead
    # On another machine or after another boot the number means nothing.
    assert not replace(Owner.here(), process_start="1", host="elsewhere").dead
    assert not replace(Owner.here(), process_start="1", system="another boot").dead


def train_until(deadline: float) -> None:
    while time.monotonic() < deadline:
        listener()("training", 2, 2)


def test_a_live_worker_beats_and_notices_that_it_was_superseded(claim: Claim) -> None:
    seen: list[Any] = []
    deadline = time.monotonic() + SAFETY_S
    with listening(lambda *task, **about: seen.append((task, about))), heartbeat(claim, 0.01):
        claim.path.rename(claim.folder / "kept")
        time.sleep(0.05)  # a file system that fails is not an error
        (claim.folder / "kept").rename(claim.path)
        os.utime(claim.path, (1, 1))
        while claim.path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        listener()("training", 1, 2, unit="steps")
        assert Claim(claim.folder, 2).take()
        with pytest.raises(Superseded):
            train_until(deadline)
    assert claim.path.stat().st_mtime > 2
    assert seen[0] == (("training", 1, 2), {"unit": "steps"})


def test_a_log_says_how_an_attempt_ended_and_survives_half_a_line(claim: Claim) -> None:
    assert [a.ended for a in attempts(claim.folder)] == [""]
    before = claim.path.read_bytes()
    claim.end("invalid", "too short")
    whole = claim.path.read_bytes()
    (found,) = attempts(claim.folder)
    assert (found.claim, found.ended, found.detail) == (claim, "invalid", "too short")
    assert 0 <= found.seconds < SAFETY_S
    for length in range(len(whole)):
        claim.path.write_bytes(whole[:length])
        (found,) = attempts(claim.folder)
        assert found.ended == ""
        assert (found.owner is None) == (length < len(before))
    for torn in (b"\xff", b"[1]", b"{}", whole[len(before) : -3]):
        claim.path.write_bytes(before + b"\n" + torn)
        claim.end("invalid")
        assert attempts(claim.folder)[0].ended == "invalid"


def test_a_claim_that_is_no_file_or_too_large_is_named(claim: Claim) -> None:
    claim.path.unlink()
    os.mkfifo(claim.path)
    with pytest.raises(StorageError, match="not a regular file"):
        attempts(claim.folder)
    claim.path.unlink()
    with claim.path.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(StorageError, match="more than"):
        attempts(claim.folder)
