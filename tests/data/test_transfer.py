"""A transfer, on servers that answer oddly, on redirects, and onto disks that fail."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fetch_server import CONTENT, FAST, Heard, Server

from naslib_ecnas.data.fetch import Limits, Transfer
from naslib_ecnas.errors import FetchError, StorageError
from naslib_ecnas.progress import Silent

HALF = len(CONTENT) // 2


class OddServer(Server):
    """Answers the first requests as it is told: with what is no HTTP, or from another place."""

    def __init__(self) -> None:
        super().__init__(CONTENT)
        self.odd: list[bytes] = []
        """Whole answers to the next requests, as they are."""

    def answer(self, to: http.server.BaseHTTPRequestHandler) -> None:
        if not self.odd:
            return super().answer(to)
        self.asked.append(to.headers.get("Range"))
        to.wfile.write(self.odd.pop(0))
        to.close_connection = True
        return None


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    server = OddServer()
    yield server
    server.close()


def one(server: Server, part: Path, heard: Silent | None = None, limits: Limits = FAST) -> Transfer:
    return Transfer(
        "made-up.bin",
        f"{server.address}/made-up.bin",
        part,
        size=len(CONTENT),
        limit=len(CONTENT),
        careful=False,
        progress=heard or Silent(),
        limits=limits,
    )


def half_there(server: Server, part: Path) -> None:
    """The first half, and what is remembered of it."""
    part.write_bytes(CONTENT[:HALF])
    state = {"address": f"{server.address}/made-up.bin", "version": '"one"'}
    part.with_name(part.name + ".json").write_text(json.dumps(state))


def test_what_is_no_http_counts_as_a_lost_connection(odd: OddServer, tmp_path: Path) -> None:
    odd.odd = [b"nonsense\r\n\r\n"]
    heard = Heard()
    one(odd, tmp_path / "part", heard).run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert len(heard.notes) == 1
    assert "BadStatusLine" in heard.notes[0]


@pytest.mark.parametrize("place", [f"bytes {HALF + 1}-9/9", "bytes */9", "", f"{HALF}-9/9"])
def test_an_answer_from_another_place_is_not_appended(
    odd: OddServer, tmp_path: Path, place: str
) -> None:
    half_there(odd, tmp_path / "part")
    odd.odd = [
        f"HTTP/1.0 206 Partial\r\nContent-Range: {place}\r\n\r\n".encode() + CONTENT[HALF + 1 :]
    ]
    heard = Heard()
    transfer = one(odd, tmp_path / "part", heard)
    transfer.run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert odd.asked == [f"bytes={HALF}-", None]
    assert "another place" in heard.notes[0]
    assert not transfer.resumed


def test_a_size_that_the_server_does_not_know_does_no_harm(odd: OddServer, tmp_path: Path) -> None:
    half_there(odd, tmp_path / "part")
    head = f"HTTP/1.0 206 Partial\r\nContent-Range: bytes {HALF}-{len(CONTENT) - 1}/*\r\n\r\n"
    odd.odd = [head.encode() + CONTENT[HALF:]]
    transfer = one(odd, tmp_path / "part")
    transfer.run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert transfer.resumed


def test_a_file_that_became_shorter_is_asked_for_from_the_start(
    odd: OddServer, tmp_path: Path
) -> None:
    """The server says 416; what it then has is not the published size."""
    half_there(odd, tmp_path / "part")
    odd.content = CONTENT[: HALF // 2]
    heard = Heard()
    with pytest.raises(FetchError, match="another file"):
        one(odd, tmp_path / "part", heard).run()
    assert odd.asked == [f"bytes={HALF}-", None]
    assert "another than before" in heard.notes[0]
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("state", ["", "{", "[]", '{"version": 3}', '{"address": "elsewhere"}'])
def test_a_part_that_nobody_remembers_is_not_gone_on_with(
    odd: OddServer, tmp_path: Path, state: str
) -> None:
    half_there(odd, tmp_path / "part")
    (tmp_path / "part.json").write_text(state)
    one(odd, tmp_path / "part").run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert odd.asked == [None]


def test_a_redirect_to_another_server_is_followed(odd: OddServer, tmp_path: Path) -> None:
    other = Server(CONTENT)
    odd.location = f"{other.address}/elsewhere/made-up.bin"
    try:
        one(odd, tmp_path / "part").run()
    finally:
        other.close()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert (odd.asked, other.asked) == ([None], [None])


def test_tries_that_bring_a_little_each_have_an_end_too(odd: OddServer, tmp_path: Path) -> None:
    odd.cuts = [1000] * 99
    with pytest.raises(FetchError, match="did not arrive") as caught:
        one(odd, tmp_path / "part", limits=Limits(tries=2, all_tries=5, pause=0.0)).run()
    assert "5,000 bytes are kept" in str(caught.value.remedy)
    assert len(odd.asked) == 5
    assert (tmp_path / "part").read_bytes() == CONTENT[:5000]


@pytest.mark.parametrize(("taken", "asked"), [("part", 0), ("a link to part", 1), ("part.json", 1)])
def test_a_name_that_cannot_be_written_to_is_told(
    odd: OddServer, tmp_path: Path, taken: str, asked: int
) -> None:
    """It is the disk's fault, so nobody tries again."""
    if taken.startswith("a link"):
        taken = "part"
        (tmp_path / taken).symlink_to(tmp_path / "no" / "such" / "place")
    else:
        (tmp_path / taken).mkdir()
    with pytest.raises(StorageError) as caught:
        one(odd, tmp_path / "part").run()
    assert str(tmp_path / taken) in str(caught.value)
    assert len(odd.asked) == asked
