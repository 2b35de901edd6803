"""A server on the loopback that misbehaves on demand, and a listener that keeps what it is told."""

from __future__ import annotations

import http.server
import re
import threading
from typing import Any

from naslib_ecnas.data.fetch import Limits
from naslib_ecnas.progress import BYTES, Silent

CONTENT = bytes(range(256)) * 4096  # 1 MiB
#: Timeouts that no slow machine reaches, and no pauses.
FAST = Limits(timeout=60.0, tries=3, all_tries=12, pause=0.0)


class Server:
    """Serves `content` under every path and counts what it sends."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.etag: str | None = '"one"'
        self.ranges = True
        self.cuts: list[int] = []
        """Bytes after which each of the next answers is cut off."""
        self.statuses: list[int] = []
        """Codes that the next requests are refused with."""
        self.raw: list[bytes] = []
        """Whole answers to the next requests, sent as they are."""
        self.claimed: int | None = None
        """A Content-Length that is not the real one."""
        self.unsized = False
        self.kind = "application/octet-stream"
        self.location: str | None = None
        self.hold_at: int | None = None
        """Bytes after which an answer sets `held` and waits for `go`."""
        self.held, self.go = threading.Event(), threading.Event()
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
        self.go.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, to: http.server.BaseHTTPRequestHandler) -> None:
        to.close_connection = True
        wanted = to.headers.get("Range")
        self.asked.append(wanted)
        if self.raw:
            to.wfile.write(self.raw.pop(0))
            return
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
        for block in self._held_blocks(body):
            try:
                to.wfile.write(block)
            except OSError:
                return
            self.sent += len(block)

    def _held_blocks(self, body: bytes) -> Any:
        at = len(body) if self.hold_at is None else self.hold_at
        yield body[:at]
        if self.hold_at is not None:
            self.held.set()
            self.go.wait()
        yield body[at:]


class Heard(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.starts: list[tuple[str, int | None, int]] = []
        self.last = 0
        self.steps: list[int] = []
        self.notes: list[str] = []

    def started(
        self, name: str, doing: str, total: int | None, done: int, unit: str = BYTES
    ) -> None:
        self.starts.append((doing, total, done))

    def advanced(self, name: str, done: int) -> None:
        self.steps.append(done)
        self.last = done

    def noted(self, name: str, message: str) -> None:
        self.notes.append(message)
