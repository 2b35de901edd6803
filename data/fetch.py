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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from filelock import FileLock, Timeout

from naslib_ecnas._version import __version__
from naslib_ecnas.data.assemble import opened, reading
from naslib_ecnas.data.catalog import FileEntry, source_of
from naslib_ecnas.errors import (
    ChecksumError,
    EcnasError,
    FetchError,
    FormatError,
    StorageError,
    TruncatedError,
)
from naslib_ecnas.files import atomic_write, cache_folder, is_file, read_bytes, storage_error
from naslib_ecnas.progress import BYTES, Progress, silent

_CHUNK = 1 << 18  # bytes read from a connection at a time
_HASHED = 1 << 20  # bytes read from a file at a time for its checksum
_BEAT = 5.0  # seconds between signs of life of a process that holds a lock
_LOCK_PATIENCE = 60.0  # longest wait for such a sign, in seconds
_UNKNOWN_LIMIT = 1 << 30  # most bytes of a file whose size is not published

#: Status codes of a server that a later try may not meet again.
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})

_BY_HAND = "download it yourself and name its folder in ECNAS_MIRROR"


# -- one download ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """How long a transfer waits and how often it tries."""

    timeout: float = 30.0
    """Seconds without a byte after which a connection counts as lost."""
    least_speed: int = 2048
    """Bytes a second, over each `timeout`, below which a connection counts as lost, too. So the
    size of a file bounds the time that its transfer may take."""
    tries: int = 4
    """Tries in a row without a new byte before the transfer gives up."""
    all_tries: int = 40
    """Tries in total."""
    pause: float = 0.5
    """Seconds before the second try; doubled for each further try without a new byte."""


class _TryAgain(Exception):
    """This try failed, but another one may succeed."""


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    """Turn errors of the disk into StorageError, so that none counts as a lost connection."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


class _Noted:
    """Mixin of urllib's handlers that keeps the sockets of all connections."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        def made(*args: Any, **settings: Any) -> Any:
            connection = http_class(*args, **settings)

            def connect() -> None:
                http_class.connect(connection)
                self._sockets.append(connection.sock)

            connection.connect = connect
            return connection

        return super().do_open(made, req, **options)  # type: ignore[misc]


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https back to http."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            expected = "https" if before == "https" else "http or https"
            message = f"the server must redirect to {expected}"
            raise FetchError(message, value=newurl, remedy=_BY_HAND)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


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
    progress: Progress = silent
    limits: Limits = Limits()
    sleep: Callable[[float], None] = time.sleep
    """Waits so many seconds between tries."""
    resumed: bool = field(default=False, init=False)
    """Whether the partial file contains bytes of an earlier try."""

    def __post_init__(self) -> None:
        self._state = self.part.with_name(self.part.name + ".json")
        self._sockets: list[socket.socket] = []
        kinds = (urllib.request.HTTPHandler, urllib.request.HTTPSHandler)
        noted = [type(kind.__name__, (_Noted, kind), {})(self._sockets) for kind in kinds]
        self._opener = urllib.request.build_opener(_SafeRedirects, *noted)
        self._received, self._slow = 0, False
        rough = self.entry.approximate_size
        # Published sizes such as "1.95 GB" may mean either kind of gigabyte.
        self._limit = self.entry.size or (rough * 5 // 4 if rough else _UNKNOWN_LIMIT)

    def run(self) -> None:
        """Download the whole file into `part`.

        Raises:
            FetchError: the server has no such file or offers another one, or the tries that
                `limits` allow failed; the bytes received are kept for the next time.
            StorageError: the partial file cannot be written.
        """
        in_vain = 0  # tries in a row that brought no byte
        for attempt in range(1, self.limits.all_tries + 1):
            before = self._have()
            try:
                with self._watched():
                    return self._try()
            except _TryAgain as error:
                fault = error
            in_vain = 0 if self._have() > before and not self._slow else in_vain + 1
            if in_vain >= self.limits.tries or attempt == self.limits.all_tries:
                break
            self.progress(self.entry.name, note=f"{fault}: trying again")
            self.sleep(self.limits.pause * 2.0 ** (in_vain - 1))
        kept = self._have()
        remedy = "run the same again to go on, or name a folder with the file in ECNAS_MIRROR"
        raise FetchError(
            f"{self.entry.name} did not arrive from {self.address}: {fault}",
            remedy=f"{kept:,} bytes are kept: {remedy}" if kept else remedy,
        )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Shut the connections of a try whose answer, headers included, comes too slowly."""
        self._sockets.clear()
        self._slow, ended = False, threading.Event()

        def watch() -> None:
            least, before = self.limits.least_speed * self.limits.timeout, self._received
            while not ended.wait(self.limits.timeout):
                if self._received - before < least:
                    self._slow = True
                    for each in list(self._sockets):
                        with suppress(OSError):
                            each.shutdown(socket.SHUT_RDWR)
                before = self._received

        threading.Thread(target=watch, name="ecnas-transfer", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def forget(self) -> None:
        """Remove the partial file and the record of its version.

        Raises:
            StorageError: one of them cannot be removed.
        """
        for path in (self.part, self._state):
            with _storing(path):
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
            with self._opener.open(request, timeout=self.limits.timeout) as response:
                self._receive(response, done)
        except StorageError:
            raise
        except urllib.error.HTTPError as error:
            error.close()
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
        total = self._total(response, done)
        resumes = response.status == 206
        done = done if resumes else 0
        self.resumed = done > 0
        size = self.entry.size or total
        if total is not None and (total > self._limit or total != size):
            raise self._other_file(total)
        if response.headers.get_content_type() == "text/html":
            raise self._other_file("a web page")
        self._remember(response)
        # Unbuffered, so that every byte received is kept whatever happens next.
        with _storing(self.part):
            file = self.part.open("ab" if resumes else "wb", buffering=0)
        with file:
            task = f"fetching {self.entry.name}"
            self.progress(task, done, size, unit=BYTES)
            # One byte more than allowed is enough to know that there are too many.
            while block := response.read1(min(_CHUNK, self._limit + 1 - done)):
                rest = memoryview(block)
                with _storing(self.part):
                    while rest:
                        rest = rest[file.write(rest) :]
                done += len(block)
                self._received += len(block)
                self.progress(task, done, size, unit=BYTES)
                if done > self._limit:
                    self.forget()
                    raise self._other_file(f"more than {self._limit:,} bytes")
        if self._slow or (size is not None and done < size):
            raise self._lost(f"was lost after {done:,} of {size or 'unknown'} bytes")

    def _lost(self, how: str) -> _TryAgain:
        """The error of a connection, to be raised."""
        slow = f" since it brought fewer than {self.limits.least_speed} bytes a second"
        return _TryAgain(f"the connection {how}{slow if self._slow else ''}")

    def _total(self, response: Any, done: int) -> int | None:
        """Size of the whole file that the server states; None if it states none."""
        if response.status != 206:
            length = response.headers.get("Content-Length", "")
            return int(length) if length.isdigit() else None
        place = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", place)
        if match is None or int(match[1]) != done:
            self.forget()
            raise _TryAgain("the server resumes at another place than asked")
        return None if match[2] == "*" else int(match[2])

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
        with _storing(self._state):
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


def sha256_of(path: Path, progress: Progress = silent) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits.

    Raises:
        UnknownTableError: the file cannot be read.
    """
    digest, done = hashlib.sha256(), 0
    task = f"checking {path.name.removesuffix('.part')}"
    with opened(path, report=False) as file:
        size = os.fstat(file.fileno()).st_size
        while block := file.read(_HASHED):
            digest.update(block)
            done += len(block)
            progress(task, done, size, unit=BYTES)
    return digest.hexdigest()


def check(path: Path, entry: FileEntry, progress: Progress = silent) -> str:
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
    found = sha256_of(path, progress)
    if entry.sha256 is not None and found != entry.sha256:
        published = f"the published {entry.name} has SHA-256 {entry.sha256}"
        raise ChecksumError(published, path=path, value=found)
    return found


# -- locks between processes ----------------------------------------------------------------------


@contextmanager
def locked(path: Path, progress: Progress, *, patience: float = _LOCK_PATIENCE) -> Iterator[None]:
    """Hold the lock of a file while it is made, in a folder that is created if needed.

    A process that ends frees its locks. Waits for another process while that gives signs of life,
    and up to `patience` seconds for the next one.

    Raises:
        StorageError: the folder cannot be written.
        FetchError: another process holds the lock, but has stopped.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with _storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(path.name, note="waiting for another process that makes the file")
            _wait(lock, path.name, patience)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT):
            with suppress(OSError):
                os.utime(lock.lock_file)

    threading.Thread(target=beat, name="ecnas-lock", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        lock.release()


def _wait(lock: FileLock, name: str, patience: float) -> None:
    """Acquire a lock that another process holds, whose signs of life are the file's times."""
    seen, since = 0, time.monotonic()
    while True:
        try:
            lock.acquire(timeout=min(1.0, patience), poll_interval=0.1)
            return
        except Timeout as error:
            beat = os.stat(lock.lock_file).st_mtime_ns
            if beat != seen:
                seen, since = beat, time.monotonic()
            elif time.monotonic() - since > patience:
                message = f"the process that makes {name} gives no sign of life in {patience:g} s"
                raise FetchError(message, remedy=f"end it; its lock is {lock.lock_file}") from error


# -- published files ------------------------------------------------------------------------------


def downloads_folder() -> Path:
    """The folder of fetched files in the cache."""
    return cache_folder() / "downloads"


def fetch(
    entry: FileEntry,
    *,
    progress: Progress = silent,
    unverified: bool = False,
    download: bool = True,
    limits: Limits | None = None,
) -> Path:
    """Path of a published file on this machine, fetched if needed and checked.

    A file in the cache or in a mirror's folder is used in place. Any other file is downloaded
    from its address or from the mirror's address; an interrupted download is resumed.

    Args:
        entry: the file.
        progress: progress listener.
        unverified: accept a file without a published checksum. Its SHA-256 is recorded beside
            it, and from then on no other file is accepted.
        download: whether the file may be downloaded.
        limits: timeouts and numbers of tries.

    Raises:
        FetchError: the file could not, or must not, be downloaded.
        ChecksumError: the downloaded file, or the one in the mirror, is not the published one.
        StorageError: the cache cannot be written or the disk is full.
    """
    if entry.sha256 is None and not unverified:
        message = f"no checksum of {entry.name} is published, so it cannot be verified"
        raise FetchError(message, remedy="accept and record its SHA-256 with --unverified")
    final = downloads_folder() / entry.name
    if _usable(final, entry, progress):
        return final
    source = source_of(entry)
    if isinstance(source, Path):
        _accept(source, entry, progress)
        return source
    if not download:
        state = "damaged" if is_file(final) else "not on this machine"
        remedy = f"fetch it with: ecnas data fetch {entry.name}"
        raise FetchError(f"{entry.name} is {state}", remedy=remedy)
    with locked(final, progress):
        if not _usable(final, entry, progress):  # another process may have fetched it meanwhile
            if is_file(final):
                progress(entry.name, note=f"{final} is damaged: fetching it again")
            _download(source, entry, final, progress, limits or Limits())
    return final


def _usable(path: Path, entry: FileEntry, progress: Progress) -> bool:
    """Whether a file is there and undamaged."""
    with suppress(FormatError):
        if is_file(path):
            _accept(path, entry, progress)
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


def _download(
    address: str, entry: FileEntry, final: Path, progress: Progress, limits: Limits
) -> None:
    """Download a file, check it and give it its name; the caller holds the lock."""
    part = final.with_name(final.name + ".part")
    for again in (True, False):
        transfer = Transfer(entry, address, part, progress, limits)
        try:
            transfer.run()
        except KeyboardInterrupt:
            note = f"stopped; {part} is kept, and the same command goes on from there"
            progress(entry.name, note=note)
            raise
        try:
            _accept(part, entry, progress)
            break
        except FormatError as error:
            transfer.forget()
            # The earlier bytes may belong to another version of the file: once from the start.
            if not (again and transfer.resumed):
                message = f"{address} sent another file: {error}"
                raise ChecksumError(message, remedy="try later, or set ECNAS_MIRROR") from error
            progress(entry.name, note="the parts do not fit together: from the start")
    with _storing(final):
        # On disk before it takes its name: a crash must not leave an empty file under it.
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, final)
    transfer.forget()


def _accept(path: Path, entry: FileEntry, progress: Progress) -> None:
    """Compare a file with the published checksum or, without one, the recorded one.

    Raises:
        FormatError: it differs.
    """
    found = check(path, entry, progress)
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
    progress(entry.name, note=f"not verified; SHA-256 {found}, recorded in {record}")
