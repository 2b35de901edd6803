"""Fetching, against a server on the loopback that misbehaves in every way it can."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from fetch_server import CONTENT, FAST, Heard, Server, left

from naslib_ecnas.data import fetch as fetch_module
from naslib_ecnas.data.catalog import FileEntry
from naslib_ecnas.data.fetch import Limits, downloads_folder, fetch, local_copy
from naslib_ecnas.errors import (
    ChecksumError,
    ConfigError,
    FetchError,
    TruncatedError,
)
from naslib_ecnas.progress import Silent


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
    one = fetch_module.Transfer(
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


def test_patience_has_sane_defaults() -> None:
    limits = fetch_module.Limits()
    assert limits.timeout <= 60
    assert limits.tries <= 5
    assert limits.all_tries <= 50
