"""Fetching from a server that misbehaves in every way it can, onto disks that fail; checksums."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fetch_server import CONTENT, ProgressLog, Server, answer

from naslib_ecnas import errors
from naslib_ecnas.data import fetch as fetching
from naslib_ecnas.data.catalog import Citation, FileEntry
from naslib_ecnas.data.fetch import Transfer, downloads_folder, fetch, local_copy
from naslib_ecnas.errors import ChecksumError, FetchError, StorageError
from naslib_ecnas.progress import Progress, listening, silent

HALF = len(CONTENT) // 2
NAMES = ("_TIMEOUT_S", "_TRIES", "_ALL_TRIES", "_PAUSE_S")
SHIPPED = {name: getattr(fetching, name) for name in NAMES}
#: Timeouts that no slow machine reaches, and no pauses.
FAST = dict(zip(NAMES, (60.0, 3, 12, 0.0), strict=True))
ONCE = {"_ALL_TRIES": 1}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FAST.items():
        monkeypatch.setattr(fetching, name, value)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    server = Server()
    yield server
    server.close()


def made_up(address: str) -> FileEntry:
    size, digest = len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
    citation = Citation("nobody", "Nobody: Nothing.")
    kind = "ecnas-tfrecord"
    return FileEntry("made-up.bin", address, "MIT", citation, kind, size, sha256=digest)


@pytest.fixture
def entry(server: Server) -> FileEntry:
    return made_up(f"{server.address}/somewhere/made-up.bin")


def heard(entry: FileEntry, log: Progress, **more: Any) -> Path:
    """A fetch whose progress is reported to a log."""
    with listening(log):
        return fetch(entry, **more)


def refused(
    entry: FileEntry,
    match: str | None = None,
    kind: Any = FetchError,
    limits: Mapping[str, float] = FAST,
    **more: Any,
) -> Any:
    """The error of a fetch that cannot succeed."""
    with pytest.raises(kind, match=match) as caught, patch.multiple(fetching, **limits):
        fetch(entry, **more)
    return caught.value


def left() -> set[str]:
    """The files in the folder of downloads, except locks."""
    return {p.name for p in downloads_folder().glob("*") if not p.name.endswith(".lock")}


# -- whole fetches --------------------------------------------------------------------------------


def test_fetches_the_file_and_then_uses_it(server: Server, entry: FileEntry) -> None:
    log = ProgressLog()
    path = heard(entry, log)
    assert path == downloads_folder() / entry.name
    assert path.read_bytes() == CONTENT
    assert ("fetching made-up.bin", len(CONTENT), 0) in log.starts
    assert log.last == len(CONTENT)
    assert fetch(entry) == path == local_copy(entry)
    assert len(server.asked) == 1
    assert left() == {entry.name}


@pytest.mark.parametrize("etag", ['"one"', 'W/"weak"', None])
def test_resumes_after_a_lost_connection(
    server: Server, entry: FileEntry, etag: str | None
) -> None:
    """Without a strong tag, too, because the checksum decides."""
    server.etag, server.cuts = etag, [300_000, 200_000]
    assert fetch(entry).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]
    assert server.sent == len(CONTENT)  # no byte twice


def test_resumes_in_a_later_call(server: Server, entry: FileEntry) -> None:
    server.cuts = [400_000]
    error = refused(entry, "400,000 bytes are kept", limits=ONCE)
    assert "ECNAS_MIRROR" in str(error.remedy)
    assert left() == {"made-up.bin.part", "made-up.bin.part.json"}
    log = ProgressLog()
    assert heard(entry, log).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-"]
    assert ("fetching made-up.bin", len(CONTENT), 400_000) in log.starts
    assert left() == {entry.name}


def test_starts_again_if_the_server_knows_no_ranges(server: Server, entry: FileEntry) -> None:
    server.ranges, server.cuts = False, [400_000]
    assert fetch(entry).read_bytes() == CONTENT
    assert server.sent == len(CONTENT) + 400_000


@pytest.mark.parametrize("tags", [('"old"', '"new"'), (None, None)])
def test_starts_again_if_the_file_was_replaced(
    server: Server, entry: FileEntry, tags: tuple[str | None, str | None]
) -> None:
    """A server without tags cannot tell; then the checksum does."""
    server.content, server.etag, server.cuts = b"x" * len(CONTENT), tags[0], [400_000]
    refused(entry, limits=ONCE)
    server.content, server.etag = CONTENT, tags[1]
    log = ProgressLog()
    assert heard(entry, log).read_bytes() == CONTENT
    again = [] if tags[0] else [None]
    assert server.asked == [None, "bytes=400000-", *again]
    assert any("do not fit" in note for note in log.notes) is bool(again)


@pytest.mark.parametrize("rest", [b"", b"more than there should be"])
def test_a_part_that_is_complete_or_too_long(server: Server, entry: FileEntry, rest: bytes) -> None:
    part = downloads_folder() / "made-up.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + rest)
    state = {"address": entry.address, "version": '"one"'}
    part.with_name("made-up.bin.part.json").write_text(json.dumps(state))
    assert fetch(entry).read_bytes() == CONTENT
    assert server.asked == ([None] if rest else [])


def test_wrong_bytes_are_refused_and_not_kept(server: Server, entry: FileEntry) -> None:
    server.content = CONTENT[:-1] + b"!"
    error = refused(entry, kind=ChecksumError)
    for checksum in (hashlib.sha256(server.content).hexdigest(), str(entry.sha256)):
        assert checksum in str(error)
    assert left() == set()
    assert len(server.asked) == 1


def test_another_file_is_refused_by_size_or_kind(server: Server, entry: FileEntry) -> None:
    for other, message in (
        (answer("200 OK", Content_Length=10), "another file"),
        (answer("200 OK", Content_Length=1 << 60), "another file"),
        (answer("200 OK", CONTENT * 50), "more than"),
        (answer("200 OK", Content_Type="text/html; charset=utf-8"), "web page"),
    ):
        server.raw = [other]
        refused(entry, message)
        assert left() == set()
    # An approximate size leaves some room.
    rough = replace(entry, size=None, approximate_size=1_000_000)
    assert fetch(rough).read_bytes() == CONTENT
    refused(replace(rough, name="b", approximate_size=500_000), "another file")


def test_temporary_refusals_are_tried_again(server: Server, entry: FileEntry) -> None:
    server.raw = [answer("503 Busy"), answer("429 Slow down"), b"nonsense\r\n\r\n"]
    log = ProgressLog()
    with patch.multiple(fetching, _TRIES=4):
        assert heard(entry, log).read_bytes() == CONTENT
    assert all("trying again" in note for note in log.notes)
    for note, fault in zip(log.notes, ("503", "429", "BadStatusLine"), strict=True):
        assert fault in note
    server.raw = [answer("404 Not found")] * 9
    refused(replace(entry, name="b"), "404")
    assert len(server.asked) == 5


def test_a_server_that_is_silent_or_gone(server: Server, entry: FileEntry) -> None:
    server.raw = [answer("302 Found", Location="http://[::1")]
    refused(entry, "Invalid IPv6 URL", limits=ONCE)
    server.hold_at = 0
    refused(entry, "connection (failed|was lost)", limits={**ONCE, "_TIMEOUT_S": 0.1})
    server.close()
    refused(entry, "connection failed .*refused")


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"HTTP/1.0 200 OK\r\nServer: ", b"x"),
        (answer("200 OK"), b"x"),
        (answer("200 OK", Content_Length=len(CONTENT)), b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["header", "body", "body of a size", "chunk extension", "chunks", "100 Continue"],
)
def test_a_server_that_is_slow_without_end(
    server: Server, entry: FileEntry, begin: bytes, piece: bytes
) -> None:
    """Never silent for long, so that no timeout helps; without a size, too."""
    server.endless = begin, piece
    slow = {**ONCE, "_TIMEOUT_S": 0.2, "_LEAST_SPEED": 1_000_000}
    refused(entry, "fewer than 1000000 bytes a second", limits=slow)
    refused(replace(entry, size=None, sha256=None), "fewer", limits=slow, unverified=True)
    assert not (downloads_folder() / entry.name).exists()


def test_redirects_lead_to_http_only(server: Server, entry: FileEntry) -> None:
    for location in ("ftp://127.0.0.1/made-up.bin", "file:///etc/hostname"):
        server.raw = [answer("302 Found", Location=location)]
        refused(entry, r"[Rr]edirect")
    other = Server()
    server.raw = [answer("302 Found", Location=f"{other.address}/elsewhere/made-up.bin")]
    try:
        assert fetch(entry).read_bytes() == CONTENT
    finally:
        other.close()
    assert (server.asked, other.asked) == ([None] * 3, [None])


# -- mirrors and the cache ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "{}/"])
def test_a_mirror_folder_is_used_in_place(
    server: Server, entry: FileEntry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", form.format(tmp_path))
    refused(entry, "does not hold")
    copy = tmp_path / entry.name
    copy.write_bytes(CONTENT)
    assert fetch(entry) == copy == local_copy(entry)
    for wrong in (CONTENT[:-1] + b"!", CONTENT + b"!"):
        copy.write_bytes(wrong)
        refused(entry, kind=ChecksumError)
    copy.write_bytes(CONTENT[:-1])
    error = refused(entry, kind=errors.TruncatedError)
    assert error.offset == len(CONTENT) - 1
    assert server.asked == []
    assert left() == set()


def test_a_mirror_address_replaces_the_published_one(
    server: Server, entry: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("ftp://host/folder", "s3://bucket", "file:///folder"):
        monkeypatch.setenv("ECNAS_MIRROR", scheme)
        refused(entry, kind=errors.ConfigError)
        assert local_copy(entry) is None
    monkeypatch.setenv("ECNAS_MIRROR", server.address + "/mirror/")
    gone = replace(entry, address="https://nowhere.invalid/made-up.bin")
    assert fetch(gone).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server, entry: FileEntry) -> None:
    error = refused(entry, "not on this machine", download=False)
    assert "ecnas data fetch" in str(error.remedy)
    assert server.asked == []
    assert not downloads_folder().exists()
    path = fetch(entry)
    path.write_bytes(CONTENT[:1000])
    refused(entry, "damaged", download=False)
    log = ProgressLog()
    assert heard(entry, log).read_bytes() == CONTENT
    assert any("fetching it again" in note for note in log.notes)


def test_without_a_published_checksum(server: Server, entry: FileEntry) -> None:
    unknown = replace(entry, sha256=None, size=None)
    refused(unknown, "--unverified")
    assert server.asked == []
    log = ProgressLog()
    # Without a tag there is no proof that the parts belong together, so nothing is resumed.
    server.etag, server.cuts = None, [400_000]
    path = heard(unknown, log, unverified=True)
    assert server.asked == [None, None]
    record = downloads_folder() / "made-up.bin.sha256"
    assert record.read_text() == f"{entry.sha256}  made-up.bin\n"
    assert any(str(entry.sha256) in note for note in log.notes)
    assert fetch(unknown, unverified=True) == path
    # From then on, another file of that name is refused.
    path.unlink()
    server.content = CONTENT[::-1]
    refused(unknown, str(entry.sha256), kind=ChecksumError, unverified=True)
    assert left() == {record.name}


# -- one transfer ---------------------------------------------------------------------------------


def one(server: Server, part: Path, log: Progress = silent, **limits: float) -> Transfer:
    """A transfer after its run."""
    address = f"{server.address}/made-up.bin"
    transfer = Transfer(made_up(address), address, part)
    with listening(log), patch.multiple(fetching, **(limits or FAST)):
        transfer.run()
    return transfer


def half_there(server: Server, part: Path) -> None:
    """The first half, and the record of its version."""
    part.write_bytes(CONTENT[:HALF])
    state = {"address": f"{server.address}/made-up.bin", "version": '"one"'}
    part.with_name(part.name + ".json").write_text(json.dumps(state))


def test_tries_are_bounded_and_pauses_grow(server: Server, tmp_path: Path) -> None:
    pauses: list[float] = []
    assert list(SHIPPED.values()) == [30.0, 4, 40, 0.5]
    server.raw = [answer("503 Busy")] * 4
    sleep = patch.object(fetching.time, "sleep", pauses.append)
    with sleep, pytest.raises(FetchError, match="503"):
        one(server, tmp_path / "part", **SHIPPED)
    assert pauses == [0.5, 1.0, 2.0]
    assert len(server.asked) == 4
    server.asked, server.cuts = [], [1000] * 99  # tries that bring a little each
    with pytest.raises(FetchError, match="did not arrive") as caught:
        one(server, tmp_path / "part", _TRIES=2, _ALL_TRIES=5)
    assert "5,000 bytes are kept" in str(caught.value.remedy)
    assert len(server.asked) == 5
    assert (tmp_path / "part").read_bytes() == CONTENT[:5000]


def test_only_an_answer_from_the_right_place_is_appended(server: Server, tmp_path: Path) -> None:
    for place, start in (
        *((place, HALF + 1) for place in (f"bytes {HALF + 1}-9/9", "bytes */9", "", f"{HALF}-9/9")),
        (f"bytes {HALF}-{len(CONTENT) - 1}/*", HALF),  # of a server that does not know the size
    ):
        half_there(server, tmp_path / "part")
        server.asked = []
        server.raw = [answer("206 Partial", CONTENT[start:], Content_Range=place)]
        log = ProgressLog()
        transfer = one(server, tmp_path / "part", log)
        assert (tmp_path / "part").read_bytes() == CONTENT
        right = start == HALF
        assert transfer.resumed is right
        assert server.asked == [f"bytes={HALF}-", *([] if right else [None])]
        assert right or "another place" in log.notes[0]


def test_a_file_that_became_shorter(server: Server, tmp_path: Path) -> None:
    """The server answers 416; the file that it then offers has not the published size."""
    half_there(server, tmp_path / "part")
    server.content = CONTENT[: HALF // 2]
    log = ProgressLog()
    with pytest.raises(FetchError, match="another file"):
        one(server, tmp_path / "part", log)
    assert server.asked == [f"bytes={HALF}-", None]
    assert "has changed" in log.notes[0]
    assert not (tmp_path / "part").exists()


def test_a_part_without_a_valid_record_is_not_resumed(server: Server, tmp_path: Path) -> None:
    for i, state in enumerate(("", "{", "[]", '{"version": 3}', '{"address": "elsewhere"}')):
        half_there(server, tmp_path / f"part{i}")
        (tmp_path / f"part{i}.json").write_text(state)
        one(server, tmp_path / f"part{i}")
        assert (tmp_path / f"part{i}").read_bytes() == CONTENT
    assert server.asked == [None] * 5


# -- interruptions, locks and disks ---------------------------------------------------------------


def test_an_interruption_keeps_what_came(server: Server, entry: FileEntry) -> None:
    class Interrupting(ProgressLog):
        def __call__(self, task: str, done: int = 0, *args: Any, **more: Any) -> None:
            super().__call__(task, done, *args, **more)
            if done > 200_000:
                raise KeyboardInterrupt

    log = Interrupting()
    with listening(log):
        refused(entry, kind=KeyboardInterrupt)
    assert any("goes on from there" in note for note in log.notes)
    kept = (downloads_folder() / "made-up.bin.part").stat().st_size
    assert kept > 200_000
    assert fetch(entry).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]


SCRIPT = """
import pickle, sys
from naslib_ecnas.data.fetch import fetch
from naslib_ecnas.progress import listening
def printed(task, done=0, total=None, *, unit="", note=""):
    if done:
        print(done, flush=True)
with listening(printed):
    fetch(pickle.loads(bytes.fromhex(sys.argv[1])))
"""


def test_a_killed_process_leaves_a_part_to_resume(
    server: Server, entry: FileEntry, tmp_path: Path
) -> None:
    server.hold_at = HALF
    command = [sys.executable, "-c", SCRIPT, pickle.dumps(entry).hex()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    with process:
        assert process.stdout is not None
        first = int(process.stdout.readline())  # printed once these bytes are kept
        process.kill()
    server.hold_at = None
    kept = (downloads_folder() / "made-up.bin.part").stat().st_size
    assert first <= kept <= HALF
    assert fetch(entry).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]


def test_two_at_once_fetch_once(server: Server, entry: FileEntry) -> None:
    class Waiting(ProgressLog):
        waits = threading.Event()

        def __call__(self, *args: Any, **more: Any) -> None:
            super().__call__(*args, **more)
            if self.notes:
                self.waits.set()

    server.hold_at = HALF
    log = Waiting()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetch, entry)
        assert server.held.wait(60)
        no_sign = pytest.raises(FetchError, match="no sign of life in 0 s")
        with no_sign, patch.object(fetching, "_PATIENCE_S", 0):  # waiting has an end
            fetching.locked(downloads_folder() / entry.name).__enter__()
        second = pool.submit(heard, entry, log)
        assert log.waits.wait(60)
        server.go.set()
    assert first.result() == second.result() == downloads_folder() / entry.name
    assert log.notes == ["waiting for another process that makes the file"]
    assert server.asked == [None]
    assert left() == {entry.name}


def test_a_process_that_gives_signs_of_life_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_BEAT", 0.01)
    monkeypatch.setattr(fetching, "_PATIENCE_S", 20)
    path = tmp_path / "x"
    lock, log = tmp_path / ".x.lock", ProgressLog()
    with ThreadPoolExecutor(1) as pool:
        with fetching.locked(path), listening(log):
            wait = fetching.locked(path).__enter__
            other = pool.submit(copy_context().run, wait)
            while not log.notes:
                pass
            times = {lock.stat().st_mtime_ns}
            while len(times) < 3:
                times.add(lock.stat().st_mtime_ns)
        other.result()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk without room")
def test_a_full_disk(server: Server, entry: FileEntry) -> None:
    downloads_folder().mkdir(parents=True)
    (downloads_folder() / "made-up.bin.part").symlink_to("/dev/full")
    refused(entry, "disk is full", kind=StorageError)
    assert not (downloads_folder() / entry.name).exists()


def test_a_cache_or_file_of_another_kind(
    server: Server, entry: FileEntry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bytes are kept, so that the next call asks for nothing."""
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "file"))
    refused(entry, kind=StorageError)
    assert server.asked == []
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    final = downloads_folder() / entry.name
    final.mkdir(parents=True)
    refused(entry, str(final), kind=StorageError)
    final.rmdir()
    assert fetch(entry).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_read_only_cache(
    server: Server, entry: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(entry)
    real = os.open

    def read_only(name: Any, flags: int, *args: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), name)
        return real(name, flags, *args, **more)

    monkeypatch.setattr(os, "open", read_only)
    assert fetch(entry) == path  # a file that is there can be used
    refused(replace(entry, name="another.bin"), "cannot be written", kind=StorageError)


def test_a_name_that_cannot_be_written_to(server: Server, tmp_path: Path) -> None:
    """A fault of the disk, so there is no further try."""
    for folder, taken in (("a", "part"), ("b", "part.json"), ("c", "part")):
        place = tmp_path / folder
        place.mkdir()
        if folder == "c":
            (place / taken).symlink_to(place / "no" / "such" / "place")
        else:
            (place / taken).mkdir()
        with pytest.raises(StorageError, match=str(place / taken)):
            one(server, place / "part")
    assert len(server.asked) == 2  # none for the first
