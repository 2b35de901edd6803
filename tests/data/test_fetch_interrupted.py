"""Fetching that is interrupted, killed, raced, or has no place to write to."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fetch_server import CONTENT, FAST, Heard, Server, left

from naslib_ecnas.data.catalog import FileEntry
from naslib_ecnas.data.fetch import downloads_folder, fetch, locked
from naslib_ecnas.errors import (
    FetchError,
    StorageError,
)
from naslib_ecnas.progress import Silent


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


def test_a_folder_in_the_place_of_the_file(server: Server, entry: FileEntry) -> None:
    """What came is kept, so that the next call asks for nothing."""
    final = downloads_folder() / entry.name
    final.mkdir(parents=True)
    with pytest.raises(StorageError) as caught:
        fetch(entry, limits=FAST)
    assert str(final) in str(caught.value)
    final.rmdir()
    assert fetch(entry, limits=FAST).read_bytes() == CONTENT
    assert len(server.asked) == 1


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
        with locked(path, heard, patience=0.2):
            pytest.fail("two at once")

    failures: list[BaseException] = []

    def other() -> None:
        try:
            wait()
        except FetchError as error:
            failures.append(error)

    with locked(path, Silent()):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(failures) == 1
    assert "too long" in str(failures[0])
    assert heard.notes == ["another process is at it: waiting for that"]
