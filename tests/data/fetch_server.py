"""A server on the loopback that misbehaves on demand, and a log of the progress."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from typing import Any

CONTENT = bytes(range(256)) * 4096  # 1 MiB


def answer(status: str, body: bytes = b"", **headers: object) -> bytes:
    """A whole answer of a server."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.0 {status}", *lines, "", ""]).encode() + body


class Server:
    """Serves `content` under every path, resumed if asked, and counts what it sends."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.etag: str | None = '"one"'
        self.ranges = True
        self.raw: list[bytes] = []
        """Whole answers to the next requests, in place of the usual one."""
        self.cuts: list[int] = []
        """Bytes after which each of the next answers is cut off."""
        self.endless: tuple[bytes, bytes] | None = None
        """How each answer begins, and what it sends from then on for ever, but slowly."""
        self.hold_at: int | None = None
        """Bytes after which an answer sets `held` and waits for `go`."""
        self.held, self.go = threading.Event(), threading.Event()
        self.asked: list[str | None] = []
        """Range of each request."""
        self.sent = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(OSError):  # of a client that does not want the rest
                    for block in outer.blocks(self.headers):
                        self.wfile.write(block)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()

    def blocks(self, asked: Message) -> Iterator[bytes]:
        """The answer to a request with these headers."""
        wanted, condition = asked.get("Range"), asked.get("If-Range")
        self.asked.append(wanted)
        if self.raw:
            yield self.raw.pop(0)
            return
        if self.endless:
            yield self.endless[0]
            while not self.go.wait(0.01):
                yield self.endless[1]
            return
        size, start, status = len(self.content), 0, "200 OK"
        headers: dict[str, object] = {"ETag": self.etag} if self.etag else {}
        if self.ranges and wanted and condition in (None, self.etag):
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), "206 Partial"
            headers["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
        if start >= size:
            yield answer("416 Too far")
            return
        yield answer(status, Content_Length=size - start, **headers)
        body = self.content[start:]
        if self.cuts:
            body = body[: self.cuts.pop(0)]
        at = len(body) if self.hold_at is None else self.hold_at
        yield body[:at]
        self.sent += len(body[:at])
        if self.hold_at is not None:
            self.held.set()
            self.go.wait()
            yield body[at:]


class ProgressLog:
    """Keeps every report of progress."""

    def __init__(self) -> None:
        self.starts: list[tuple[str, int | None, int]] = []
        """(task, total, done) of the first report of every row of reports on one task."""
        self.last = 0
        self.steps: list[int] = []
        self.notes: list[str] = []
        self._task = ""

    def __call__(
        self, task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        if note:
            self.notes.append(note)
            self._task = ""
            return
        if task != self._task:
            self.starts.append((task, total, done))
            self._task = task
        self.steps.append(done)
        self.last = done
