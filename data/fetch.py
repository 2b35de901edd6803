"""Fetching published files into the cache: resumed, checked against SHA-256, locked.

A file is downloaded into `NAME.part`, which later calls continue, and takes its name only when
its checksum is right.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from filelock import FileLock, Timeout

from naslib_ecnas._version import __version__
from naslib_ecnas.data.assemble import opened, pieces, reading
from naslib_ecnas.data.catalog import FileEntry, source_of
from naslib_ecnas.errors import (
    ChecksumError,
    EcnasError,
    FetchError,
    FormatError,
    StorageError,
    TruncatedError,
)
from naslib_ecnas.files import atomic_write, cache_folder, is_file, read_bytes, storing
from naslib_ecnas.progress import BYTES, listener

_CHUNK = 1 << 18  # bytes read from a connection at a time
_TIMEOUT_S = 30.0  # without a byte, after which a connection counts as lost
# Bytes a second, over each timeout, below which a connection counts as lost, too. So the size of a
# file bounds the time that its transfer may take.
_LEAST_SPEED = 2048
_TRIES, _ALL_TRIES = 4, 40  # in a row without a new byte, and in total, before a transfer gives up
_PAUSE_S = 0.5  # before the second try; doubled for each further try without a new byte
_BEAT = 5.0  # seconds between signs of life of a process that holds a lock
_PATIENCE_S = 60.0  # longest wait for such a sign
_UNKNOWN_LIMIT = 1 << 30  # most bytes of a file whose size is not published

#: Status codes of a server that a later try may not meet again.
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})

_BY_HAND = "download it yourself and name its folder in ECNAS_MIRROR"


# -- one download ---------------------------------------------------------------------------------


class _TryAgain(Exception):
    """This try failed, but another one may succeed."""


@contextmanager
def _every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Context in which a thread makes a call again and again, the first after some seconds."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(seconds):
            call()

    threading.Thread(target=work, name="ecnas-fetch", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


class _Web(
    urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.HTTPRedirectHandler
):
    """urllib's handlers, which keep the sockets of all connections, and the answers.

    Redirects are followed to http and https only, and never from https back to http.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sockets: list[socket.socket] = []
        self.answers: list[http.client.HTTPResponse] = []

    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        sockets, answers = self.sockets, self.answers

        class Noted(http_class):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

            def response_class(self, *args: Any, **options: Any) -> http.client.HTTPResponse:
                answers.append(http.client.HTTPResponse(*args, **options))
                return answers[-1]

        return super().do_open(Noted, req, **options)

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            expected = "https" if before == "https" else "http or https"
            message = f"the server must redirect to {expected}"
            raise FetchError(message, value=newurl, remedy=_BY_HAND)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def close(self) -> None:
        """Close what is still open, such as a refused redirect, or an answer without its header."""
        for answer in self.answers:
            answer.close()
        self.sockets.clear()
        self.answers.clear()


@dataclass
class Transfer:
    """Download of a published file over http or https into a partial file, resumed if possible.

    `<part>.json` beside the partial file records which version of the server's file its bytes
    belong to. A file without a published checksum is resumed only if the server proves that its
    version is the same.
    """

    entry: FileEntry
    address: str
    part: Path
    resumed: bool = field(default=False, init=False)
    """Whether the partial file contains bytes of an earlier try."""

    def __post_init__(self) -> None:
        self._state = self.part.with_name(self.part.name + ".json")
        self._web = _Web()
        self._received = self._seen = 0
        self._slow = False
        rough = self.entry.approximate_size
        # Published sizes such as "1.95 GB" may mean either kind of gigabyte.
        self._limit = self.entry.size or (rough * 5 // 4 if rough else _UNKNOWN_LIMIT)

    def run(self) -> None:
        """Download the whole file into `part`.

        Raises:
            FetchError: the server has no such file or offers another one, or all tries
                failed; the bytes received are kept for the next time.
            StorageError: the partial file cannot be written.
        """
        in_vain = 0  # tries in a row that brought no byte
        for attempt in range(1, _ALL_TRIES + 1):
            before = self._have()
            try:
                self._slow, self._seen = False, self._received
                with _every(_TIMEOUT_S, self._watch), closing(self._web):
                    return self._try()
            except _TryAgain as error:
                fault = error
            in_vain = 0 if self._have() > before and not self._slow else in_vain + 1
            if in_vain >= _TRIES or attempt == _ALL_TRIES:
                break
            listener()(self.entry.name, note=f"{fault}: trying again")
            time.sleep(_PAUSE_S * 2.0 ** (in_vain - 1))
        kept = self._have()
        remedy = "run the same again to go on, or name a folder with the file in ECNAS_MIRROR"
        raise FetchError(
            f"{self.entry.name} did not arrive from {self.address}: {fault}",
            remedy=f"{kept:,} bytes are kept: {remedy}" if kept else remedy,
        )

    def _watch(self) -> None:
        """Shut the connections if too little came since the last call, headers included."""
        if self._received - self._seen < _LEAST_SPEED * _TIMEOUT_S:
            self._slow = True
            for each in list(self._web.sockets):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._seen = self._received

    def forget(self) -> None:
        """Remove the partial file and the record of its version.

        Raises:
            StorageError: one of them cannot be removed.
        """
        for path in (self.part, self._state):
            with storing(path):
                path.unlink(missing_ok=True)

    def _have(self) -> int:
        try:
            return self.part.stat().st_size
        except OSError:
            return 0

    def _try(self) -> None:
        """One connection; returns when the file is complete."""
        done = self._have()
        version = self._version() if done else None
        # "" is a version that the server did not name, None one that nobody recorded.
        proven = bool(version) if self.entry.sha256 is None else version is not None
        if done and (done > self._limit or not proven):
            self.forget()
            done = 0
        if done and done == self.entry.size:
            self.resumed = True
            return
        headers = {"User-Agent": f"naslib-ecnas/{__version__}", "Accept-Encoding": "identity"}
        if done:
            headers |= {"Range": f"bytes={done}-"} | ({"If-Range": version} if version else {})
        request = urllib.request.Request(self.address, headers=headers)
        try:
            opener = urllib.request.build_opener(self._web)
            with opener.open(request, timeout=_TIMEOUT_S) as response:
                self._receive(response, done)
        except StorageError:
            raise
        except urllib.error.HTTPError as error:
            answer = f"the server answered {error.code} {error.reason}"
            if error.code == 416 and done:  # shorter than the bytes that are here: another file
                self.forget()
                raise _TryAgain("the server's file has changed") from error
            if error.code in _TEMPORARY:
                raise _TryAgain(answer) from error
            raise FetchError(f"{answer} for {self.address}", remedy=_BY_HAND) from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # of a bad redirect
            reason = getattr(error, "reason", f"{type(error).__name__}: {error}")
            raise self._lost(f"failed ({reason})") from error

    def _receive(self, response: Any, done: int) -> None:
        """Write the body of an answer to `part`, appended if the server resumes."""
        resumes, stated = response.status == 206, response.headers.get("Content-Length", "")
        if resumes:
            place = response.headers.get("Content-Range", "")
            match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", place)
            if match is None or int(match[1]) != done:
                self.forget()
                raise _TryAgain("the server resumes at another place than asked")
            stated = match[2]
        total = int(stated) if stated.isdigit() else None
        done = done if resumes else 0
        self.resumed = done > 0
        size = self.entry.size or total
        if total is not None and (total > self._limit or total != size):
            raise self._other_file(total)
        if response.headers.get_content_type() == "text/html":
            raise self._other_file("a web page")
        self._remember(response)
        # Unbuffered, so that every byte received is kept whatever happens next.
        with storing(self.part):
            file = self.part.open("ab" if resumes else "wb", buffering=0)
        with file:
            progress, task = listener(), f"fetching {self.entry.name}"
            progress(task, done, size, unit=BYTES)
            # One byte more than allowed is enough to know that there are too many.
            while block := response.read1(min(_CHUNK, self._limit + 1 - done)):
                rest = memoryview(block)
                with storing(self.part):
                    while rest:
                        rest = rest[file.write(rest) :]
                done += len(block)
                self._received += len(block)
                progress(task, done, size, unit=BYTES)
                if done > self._limit:
                    self.forget()
                    raise self._other_file(f"more than {self._limit:,} bytes")
        if self._slow or (size is not None and done < size):
            raise self._lost(f"was lost after {done:,} of {size or 'unknown'} bytes")

    def _lost(self, how: str) -> _TryAgain:
        """The error of a connection, to be raised."""
        slow = f" since it brought fewer than {_LEAST_SPEED} bytes a second"
        return _TryAgain(f"the connection {how}{slow if self._slow else ''}")

    def _other_file(self, value: object) -> FetchError:
        """The error for an answer that is not the file, to be raised."""
        size = f"{'' if self.entry.size else 'at most '}{self._limit:,} bytes"
        message = f"{self.address} is another file than {self.entry.name}, which has {size}"
        return FetchError(message, value=value, remedy=_BY_HAND)

    def _remember(self, response: Any) -> None:
        """Record the version of the server's file that the partial file belongs to."""
        tag = response.headers.get("ETag", "")
        # A weak tag does not promise equal bytes, so it does not identify a version.
        strong = "" if tag.startswith("W/") else tag
        version = strong or response.headers.get("Last-Modified", "")
        state = msgspec.json.encode({"address": self.address, "version": version})
        with storing(self._state):
            self._state.write_bytes(state)

    def _version(self) -> str | None:
        """Recorded version of the partial file: "" if the server named none, None if there is no
        record or one of another address."""
        try:
            state = msgspec.json.decode(read_bytes(self._state), type=dict[str, str])
        except (OSError, ValueError):
            return None
        return state.get("version") if state.get("address") == self.address else None


# -- checksums ------------------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits.

    Raises:
        UnknownTableError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with opened(path) as file:
        for piece in pieces(file, "checking"):
            digest.update(piece)
    return digest.hexdigest()


def check(path: Path, entry: FileEntry) -> str:
    """SHA-256 of a file, compared with the size and SHA-256 that the catalog has for it.

    Raises:
        TruncatedError: it is shorter than published.
        ChecksumError: it has another size or SHA-256 than published.
        UnknownTableError: it cannot be read.
    """
    with reading(path):
        size = path.stat().st_size
    if entry.size is not None and size != entry.size:
        kind = TruncatedError if size < entry.size else ChecksumError
        published = f"the published {entry.name} has {entry.size} bytes"
        raise kind(published, path=path, offset=min(size, entry.size), value=size)
    found = sha256_of(path)
    if entry.sha256 is not None and found != entry.sha256:
        published = f"the published {entry.name} has SHA-256 {entry.sha256}"
        raise ChecksumError(published, path=path, value=found)
    return found


# -- locks between processes ----------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file while it is made, in a folder that is created if needed.

    A process that ends frees its locks. Waits for another process while that gives signs of life,
    and up to a minute for the next one.

    Raises:
        StorageError: the folder cannot be written.
        FetchError: another process holds the lock, but has stopped.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            listener()(path.name, note="waiting for another process that makes the file")
        while not lock.is_locked:
            beat = os.stat(lock.lock_file).st_mtime_ns
            try:
                lock.acquire(timeout=_PATIENCE_S, poll_interval=0.1)
            except Timeout as error:
                if os.stat(lock.lock_file).st_mtime_ns == beat:
                    who = f"the process that makes {path.name}"
                    message = f"{who} gives no sign of life in {_PATIENCE_S:g} s"
                    remedy = f"end it; its lock is {lock.lock_file}"
                    raise FetchError(message, remedy=remedy) from error

    def beat_once() -> None:
        with suppress(OSError):
            os.utime(lock.lock_file)

    try:
        with _every(_BEAT, beat_once):
            yield
    finally:
        lock.release()


# -- published files ------------------------------------------------------------------------------


def downloads_folder() -> Path:
    """The folder of fetched files in the cache."""
    return cache_folder() / "downloads"


def fetch(
    entry: FileEntry,
    *,
    unverified: bool = False,
    download: bool = True,
) -> Path:
    """Path of a published file on this machine, fetched if needed and checked.

    A file in the cache or in a mirror's folder is used in place. Any other file is downloaded
    from its address or from the mirror's address; an interrupted download is resumed.

    Args:
        entry: the file.
        unverified: accept a file without a published checksum. Its SHA-256 is recorded beside
            it, and from then on no other file is accepted.
        download: whether the file may be downloaded.

    Raises:
        FetchError: the file could not, or must not, be downloaded.
        ChecksumError: the downloaded file, or the one in the mirror, is not the published one.
        StorageError: the cache cannot be written or the disk is full.
    """
    if entry.sha256 is None and not unverified:
        message = f"no checksum of {entry.name} is published, so it cannot be verified"
        raise FetchError(message, remedy="accept and record its SHA-256 with --unverified")
    final = downloads_folder() / entry.name
    if _usable(final, entry):
        return final
    source = source_of(entry)
    if isinstance(source, Path):
        _accept(source, entry)
        return source
    if not download:
        state = "damaged" if is_file(final) else "not on this machine"
        remedy = f"fetch it with: ecnas data fetch {entry.name}"
        raise FetchError(f"{entry.name} is {state}", remedy=remedy)
    with locked(final):
        if not _usable(final, entry):  # another process may have fetched it meanwhile
            if is_file(final):
                listener()(entry.name, note=f"{final} is damaged: fetching it again")
            _download(source, entry, final)
    return final


def _usable(path: Path, entry: FileEntry) -> bool:
    """Whether a file is there and undamaged."""
    with suppress(FormatError):
        if is_file(path):
            _accept(path, entry)
            return True
    return False


def local_copy(entry: FileEntry) -> Path | None:
    """Path of a published file on this machine, not checked; None if it is not here."""
    try:
        final = downloads_folder() / entry.name
        if is_file(final):
            return final
        source = source_of(entry)
    except EcnasError:
        return None
    return source if isinstance(source, Path) and is_file(source) else None


def _download(address: str, entry: FileEntry, final: Path) -> None:
    """Download a file, check it and give it its name; the caller holds the lock."""
    part = final.with_name(final.name + ".part")
    for again in (True, False):
        transfer = Transfer(entry, address, part)
        try:
            transfer.run()
        except KeyboardInterrupt:
            note = f"stopped; {part} is kept, and the same command goes on from there"
            listener()(entry.name, note=note)
            raise
        try:
            _accept(part, entry)
            break
        except FormatError as error:
            transfer.forget()
            # The earlier bytes may belong to another version of the file: once from the start.
            if not (again and transfer.resumed):
                message = f"{address} sent another file: {error}"
                raise ChecksumError(message, remedy="try later, or set ECNAS_MIRROR") from error
            listener()(entry.name, note="the parts do not fit together: from the start")
    with storing(final):
        # On disk before it takes its name: a crash must not leave an empty file under it.
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, final)
    transfer.forget()


def _accept(path: Path, entry: FileEntry) -> None:
    """Compare a file with the published checksum or, without one, the recorded one.

    Raises:
        FormatError: it differs.
    """
    found = check(path, entry)
    if entry.sha256 is not None:
        return
    record = downloads_folder() / f"{entry.name}.sha256"
    try:
        recorded = read_bytes(record).decode().split()[0]
    except (OSError, ValueError, IndexError):
        # In the form that sha256sum --check reads.
        with atomic_write(record) as file:
            file.write(f"{found}  {entry.name}\n".encode())
        recorded = found
    if recorded != found:
        message = f"the {entry.name} accepted before has SHA-256 {recorded}"
        remedy = f"if this file is right, remove {record}"
        raise ChecksumError(message, path=path, value=found, remedy=remedy)
    listener()(entry.name, note=f"not verified; SHA-256 {found}, recorded in {record}")
