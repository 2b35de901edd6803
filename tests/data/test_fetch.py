"""Fetching, against a server on the loopback that misbehaves in every way it can."""

from __future__ import annotations

import errno
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.data import fetch as fetch_module
from naslib_ecnas.data import locks, transfer
from naslib_ecnas.data.catalog import Citation, FileEntry
from naslib_ecnas.data.fetch import Limits, downloads_folder, fetch, local_copy
from naslib_ecnas.data.progress import Silent
from naslib_ecnas.errors import (
    ChecksumError,
    ConfigError,
    FetchError,
    StorageError,
    TruncatedError,
)

CONTENT = bytes(range(256)) * 4096  # 1 MiB
FAST = Limits(timeout=5.0, tries=3, all_tries=12, pause=0.0)


class Server:
    """Serves `content` under every path and counts what it sends."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = '"one"'
        self.ranges = True
        self.cuts: list[int] = []
        """Bytes after which each of the next answers is cut off."""
        self.statuses: list[int] = []
        """Codes that the next requests are refused with."""
        self.claimed: int | None = None
        """A Content-Length that is not the real one."""
        self.unsized = False
        self.kind = "application/octet-stream"
        self.location: str | None = None
        self.pause = 0.0
        self.asked: list[str | None] = []
        """Range of each request."""
        self.sent = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, to: http.server.BaseHTTPRequestHandler) -> None:
        wanted = to.headers.get("Range")
        self.asked.append(wanted)
        if self.statuses:
            to.send_error(self.statuses.pop(0))
            return
        if self.location is not None:
            to.send_response(302)
            to.send_header("Location", self.location)
            to.send_header("Content-Length", "0")
            to.end_headers()
            return
        start = 0
        condition = to.headers.get("If-Range")
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        if self.ranges and match and (condition is None or condition == self.etag):
            start = int(match[1])
            if start >= len(self.content):
                to.send_error(416)
                return
            to.send_response(206)
            last = len(self.content) - 1
            to.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        else:
            to.send_response(200)
        if not self.unsized:
            length = len(self.content) - start if self.claimed is None else self.claimed
            to.send_header("Content-Length", str(length))
        if self.etag:
            to.send_header("ETag", self.etag)
        to.send_header("Content-Type", self.kind)
        to.end_headers()
        body = self.content[start:]
        if self.cuts:
            body = body[: self.cuts.pop(0)]
        for at in range(0, len(body), 1 << 16):
            block = body[at : at + (1 << 16)]
            try:
                to.wfile.write(block)
            except OSError:
                return
            self.sent += len(block)
            time.sleep(self.pause)
        to.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    server = Server(CONTENT)
    yield server
    server.close()


@pytest.fixture
def entry(server: Server) -> FileEntry:
    return FileEntry(
        name="made-up.bin",
        address=f"{server.address}/somewhere/made-up.bin",
        size=len(CONTENT),
        approximate_size=None,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="MIT",
        citation=Citation("nobody", "Nobody: Nothing."),
        format="ecnas-tfrecord",
    )


class Heard(Silent):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.starts: list[tuple[str, int | None, int]] = []
        self.last = 0
        self.notes: list[str] = []

    def started(self, name: str, doing: str, total: int | None, done: int) -> None:
        self.starts.append((doing, total, done))

    def advanced(self, name: str, done: int) -> None:
        self.last = done

    def noted(self, name: str, message: str) -> None:
        self.notes.append(message)


def left() -> set[str]:
    """What lies in the folder of downloads, locks aside."""
    return {p.name for p in downloads_folder().glob("*") if not p.name.endswith(".lock")}


def test_brings_the_file_and_then_uses_it(server: Server, entry: FileEntry) -> None:
    heard = Heard()
    path = fetch(entry, progress=heard, limits=FAST)
    assert path == downloads_folder() / entry.name
    assert path.read_bytes() == CONTENT
    assert ("fetching", len(CONTENT), 0) in heard.starts
    assert heard.last == len(CONTENT)
    assert fetch(entry, limits=FAST) == path == local_copy(entry)
    assert len(server.asked) == 1
    assert left() == {entry.name}


def test_goes_on_after_a_lost_connection_without_asking_again(
    server: Server, entry: FileEntry
) -> None:
    server.cuts = [300_000, 200_000]
    path = fetch(entry, limits=FAST)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]
    assert server.sent == len(CONTENT)  # no byte twice


def test_goes_on_in_a_later_call(server: Server, entry: FileEntry) -> None:
    server.cuts = [400_000]
    with pytest.raises(FetchError, match="400,000 bytes are kept") as caught:
        fetch(entry, limits=replace(FAST, all_tries=1))
    assert "ECNAS_MIRROR" in str(caught.value.remedy)
    assert left() == {"made-up.bin.part", "made-up.bin.part.json"}
    heard = Heard()
    assert fetch(entry, limits=FAST, progress=heard).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-"]
    assert ("fetching", len(CONTENT), 400_000) in heard.starts
    assert left() == {entry.name}


@pytest.mark.parametrize("etag", ['W/"weak"', None])
def test_goes_on_without_a_strong_tag_because_the_checksum_decides(
    server: Server, entry: FileEntry, etag: str | None
) -> None:
    server.etag = etag
    server.cuts = [400_000]
    assert fetch(entry, limits=FAST).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-"]


def test_starts_again_where_the_server_knows_no_ranges(server: Server, entry: FileEntry) -> None:
    server.ranges = False
    server.cuts = [400_000]
    assert fetch(entry, limits=FAST).read_bytes() == CONTENT
    assert server.sent == len(CONTENT) + 400_000


def test_starts_again_when_the_file_was_replaced(server: Server, entry: FileEntry) -> None:
    other = b"x" * len(CONTENT)
    server.content, server.etag, server.cuts = other, '"old"', [400_000]
    with pytest.raises(FetchError):
        fetch(entry, limits=replace(FAST, all_tries=1))
    server.content, server.etag = CONTENT, '"new"'
    assert fetch(entry, limits=FAST).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-"]
    assert server.sent == len(CONTENT) + 400_000


def test_starts_again_when_parts_do_not_fit_together(server: Server, entry: FileEntry) -> None:
    """A server without tags cannot tell that its file was replaced; the checksum can."""
    server.content, server.etag, server.cuts = b"x" * len(CONTENT), None, [400_000]
    with pytest.raises(FetchError):
        fetch(entry, limits=replace(FAST, all_tries=1))
    server.content = CONTENT
    heard = Heard()
    assert fetch(entry, limits=FAST, progress=heard).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-", None]
    assert any("do not fit" in note for note in heard.notes)


def test_a_part_of_another_address_is_not_gone_on_with(server: Server, entry: FileEntry) -> None:
    server.cuts = [400_000]
    with pytest.raises(FetchError):
        fetch(entry, limits=replace(FAST, all_tries=1))
    moved = replace(entry, address=f"{server.address}/elsewhere")
    assert fetch(moved, limits=FAST).read_bytes() == CONTENT
    assert server.asked == [None, None]


@pytest.mark.parametrize("rest", [b"", b"more than there should be"])
def test_a_part_that_is_complete_or_too_long(server: Server, entry: FileEntry, rest: bytes) -> None:
    part = downloads_folder() / "made-up.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + rest)
    part.with_name("made-up.bin.part.json").write_text(
        f'{{"address": "{entry.address}", "version": "\\"one\\""}}'
    )
    assert fetch(entry, limits=FAST).read_bytes() == CONTENT
    assert server.asked == ([None] if rest else [])


def test_wrong_bytes_are_refused_and_not_kept(server: Server, entry: FileEntry) -> None:
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(ChecksumError) as caught:
        fetch(entry, limits=FAST)
    message = str(caught.value)
    assert hashlib.sha256(server.content).hexdigest() in message
    assert str(entry.sha256) in message
    assert left() == set()
    assert len(server.asked) == 1


@pytest.mark.parametrize("claimed", [10, 1 << 60])
def test_another_size_is_refused_before_a_byte_is_read(
    server: Server, entry: FileEntry, claimed: int
) -> None:
    server.claimed = claimed
    with pytest.raises(FetchError, match="another file"):
        fetch(entry, limits=FAST)
    assert left() == set()


def test_endless_answers_are_cut_at_the_published_size(server: Server, entry: FileEntry) -> None:
    server.content, server.unsized = CONTENT * 50, True
    with pytest.raises(FetchError, match="more than"):
        fetch(entry, limits=FAST)
    assert left() == set()


def test_an_approximate_size_leaves_some_room(server: Server, entry: FileEntry) -> None:
    rough = replace(entry, size=None, approximate_size=1_000_000)
    assert fetch(rough, limits=FAST).read_bytes() == CONTENT
    with pytest.raises(FetchError, match="another file"):
        fetch(replace(rough, name="b", approximate_size=500_000), limits=FAST)


def test_a_web_page_is_no_file(server: Server, entry: FileEntry) -> None:
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(FetchError, match="web page"):
        fetch(replace(entry, size=None), limits=FAST)


def test_passing_refusals_are_tried_again(server: Server, entry: FileEntry) -> None:
    server.statuses = [503, 429]
    heard = Heard()
    assert fetch(entry, limits=FAST, progress=heard).read_bytes() == CONTENT
    assert [note for note in heard.notes if "trying again" in note] == heard.notes
    assert len(heard.notes) == 2


def test_tries_are_bounded_and_pauses_grow(
    server: Server, entry: FileEntry, tmp_path: Path
) -> None:
    server.statuses = [503] * 99
    pauses: list[float] = []
    one = transfer.Transfer(
        entry.name,
        entry.address,
        tmp_path / "part",
        size=entry.size,
        limit=len(CONTENT),
        careful=False,
        progress=Silent(),
        limits=Limits(tries=4, pause=0.5),
        sleep=pauses.append,
    )
    with pytest.raises(FetchError, match="503"):
        one.run()
    assert pauses == [0.5, 1.0, 2.0]
    assert len(server.asked) == 4


def test_a_file_that_is_not_there_is_not_asked_for_twice(server: Server, entry: FileEntry) -> None:
    server.statuses = [404] * 9
    with pytest.raises(FetchError, match="404"):
        fetch(entry, limits=FAST)
    assert len(server.asked) == 1


def test_nobody_answers(server: Server, entry: FileEntry) -> None:
    server.close()
    with pytest.raises(FetchError, match="no connection"):
        fetch(entry, limits=FAST)


def test_silence_counts_as_a_lost_connection(server: Server, entry: FileEntry) -> None:
    server.pause = 2.0
    with pytest.raises(FetchError, match="lost"):
        fetch(entry, limits=replace(FAST, timeout=0.2, all_tries=1))


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/made-up.bin", "file:///etc/hostname"])
def test_redirects_lead_to_http_only(server: Server, entry: FileEntry, location: str) -> None:
    server.location = location
    with pytest.raises(FetchError):
        fetch(entry, limits=FAST)


@pytest.mark.parametrize("scheme", ["ftp://host/folder", "s3://bucket", "file://host/folder"])
def test_other_kinds_of_mirror_are_refused(
    entry: FileEntry, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", scheme)
    with pytest.raises(ConfigError):
        fetch(entry, limits=FAST)
    assert local_copy(entry) is None


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/"])
def test_a_mirror_folder_is_used_in_place(
    server: Server,
    entry: FileEntry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    form: str,
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", form.format(tmp_path))
    with pytest.raises(FetchError, match="does not hold"):
        fetch(entry, limits=FAST)
    copy = tmp_path / entry.name
    copy.write_bytes(CONTENT)
    assert fetch(entry, limits=FAST) == copy == local_copy(entry)
    copy.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ChecksumError):
        fetch(entry, limits=FAST)
    copy.write_bytes(CONTENT[:-1])
    with pytest.raises(TruncatedError) as caught:
        fetch(entry, limits=FAST)
    assert caught.value.offset == len(CONTENT) - 1
    assert server.asked == []
    assert left() == set()


def test_a_mirror_address_takes_the_place_of_the_published_one(
    server: Server, entry: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", server.address + "/mirror/")
    gone = replace(entry, address="https://nowhere.invalid/made-up.bin")
    assert fetch(gone, limits=FAST).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_brought_anew(server: Server, entry: FileEntry) -> None:
    path = fetch(entry, limits=FAST)
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(FetchError, match="damaged"):
        fetch(entry, bring=False)
    heard = Heard()
    assert fetch(entry, limits=FAST, progress=heard).read_bytes() == CONTENT
    assert any("fetching it again" in note for note in heard.notes)


def test_nothing_is_brought_where_that_is_not_wanted(server: Server, entry: FileEntry) -> None:
    with pytest.raises(FetchError, match="not on this machine") as caught:
        fetch(entry, bring=False)
    assert "ecnas data fetch" in str(caught.value.remedy)
    assert server.asked == []
    assert not downloads_folder().exists()


def test_without_a_published_checksum(server: Server, entry: FileEntry) -> None:
    unknown = replace(entry, sha256=None, size=None)
    with pytest.raises(FetchError, match="--unverified"):
        fetch(unknown, limits=FAST)
    assert server.asked == []
    heard = Heard()
    path = fetch(unknown, unverified=True, limits=FAST, progress=heard)
    record = downloads_folder() / "made-up.bin.sha256"
    assert record.read_text() == f"{entry.sha256}  made-up.bin\n"
    assert any(str(entry.sha256) in note for note in heard.notes)
    assert fetch(unknown, unverified=True, limits=FAST) == path
    # Another file is not accepted under that name any more.
    path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(ChecksumError, match=str(entry.sha256)):
        fetch(unknown, unverified=True, limits=FAST)
    assert left() == {record.name}


def test_without_checksum_or_tag_parts_are_not_put_together(
    server: Server, entry: FileEntry
) -> None:
    server.etag, server.cuts = None, [400_000]
    unknown = replace(entry, sha256=None, size=None)
    assert fetch(unknown, unverified=True, limits=FAST).read_bytes() == CONTENT
    assert server.asked == [None, None]


def test_an_interruption_keeps_what_came(
    server: Server, entry: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Heard):
        def advanced(self, name: str, done: int) -> None:
            if done > 200_000:
                raise KeyboardInterrupt

    heard = Impatient()
    with pytest.raises(KeyboardInterrupt):
        fetch(entry, limits=FAST, progress=heard)
    assert any("goes on from there" in note for note in heard.notes)
    kept = (downloads_folder() / "made-up.bin.part").stat().st_size
    assert kept > 200_000
    assert fetch(entry, limits=FAST).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]


def test_a_full_disk(server: Server, entry: FileEntry) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full, which answers every write as a full disk does")
    downloads_folder().mkdir(parents=True)
    (downloads_folder() / "made-up.bin.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="disk is full"):
        fetch(entry, limits=FAST)
    assert not (downloads_folder() / entry.name).exists()


def test_a_file_in_the_place_of_the_cache(
    server: Server, entry: FileEntry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("not a folder")
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(StorageError):
        fetch(entry, limits=FAST)
    assert server.asked == []


def test_a_read_only_cache(
    server: Server, entry: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(entry, limits=FAST)
    real = os.open

    def read_only(name: Any, flags: int, *args: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), name)
        return real(name, flags, *args, **more)

    monkeypatch.setattr(os, "open", read_only)
    assert fetch(entry, limits=FAST) == path  # what is there can be used
    with pytest.raises(StorageError, match="cannot be written"):
        fetch(replace(entry, name="another.bin"), limits=FAST)


SCRIPT = """
import sys
from naslib_ecnas.data.catalog import Citation, FileEntry
from naslib_ecnas.data.fetch import fetch
name, address, size, sha256 = sys.argv[1:]
cite = Citation("key", "text")
entry = FileEntry(name, address, int(size), None, sha256, "MIT", cite, "ecnas-tfrecord")
print(fetch(entry))
"""


def test_two_processes_at_once_fetch_once(server: Server, entry: FileEntry) -> None:
    server.pause = 0.02
    arguments = [entry.name, entry.address, str(entry.size), str(entry.sha256)]
    command = [sys.executable, "-c", SCRIPT, *arguments]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs == [str(downloads_folder() / entry.name)] * 2
    assert server.asked == [None]
    assert left() == {entry.name}


def test_a_killed_process_leaves_a_part_to_go_on_from(server: Server, entry: FileEntry) -> None:
    server.pause = 0.05
    arguments = [entry.name, entry.address, str(entry.size), str(entry.sha256)]
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments])
    part = downloads_folder() / "made-up.bin.part"
    until = time.monotonic() + 30
    while time.monotonic() < until and not (part.exists() and part.stat().st_size > 100_000):
        time.sleep(0.01)
    process.kill()
    process.wait()
    server.pause = 0.0
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    assert fetch(entry, limits=FAST).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]


def test_waiting_for_another_process_has_an_end(tmp_path: Path) -> None:
    heard = Heard()
    path = tmp_path / "file"

    def wait() -> None:
        with locks.locked(path, heard, patience=0.2):
            pytest.fail("two at once")

    failures: list[BaseException] = []

    def other() -> None:
        try:
            wait()
        except FetchError as error:
            failures.append(error)

    with locks.locked(path, Silent()):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(failures) == 1
    assert "too long" in str(failures[0])
    assert heard.notes == ["another process is at it: waiting for that"]


def test_patience_has_sane_defaults() -> None:
    limits = fetch_module.Limits()
    assert limits.timeout <= 60
    assert limits.tries <= 5
    assert limits.all_tries <= 50
