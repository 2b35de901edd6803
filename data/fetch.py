"""Brings published files into the cache, whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from naslib_ecnas._version import __version__
from naslib_ecnas.data.assemble import unreadable
from naslib_ecnas.data.catalog import FileEntry, source_of
from naslib_ecnas.errors import (
    ChecksumError,
    EcnasError,
    FetchError,
    FormatError,
    StorageError,
    TruncatedError,
)
from naslib_ecnas.files import atomic_write, cache_folder, from_json, storage_error
from naslib_ecnas.progress import Progress, Silent

__all__ = [
    "Limits",
    "Transfer",
    "check",
    "downloads_folder",
    "fetch",
    "local_copy",
    "locked",
    "sha256_of",
]


# Brings the bytes of one address into a partial file, going on where an earlier try stopped.


_CHUNK = 1 << 18

#: Answers of a server that may be different next time.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Limits:
    """How long and how often is waited and tried."""

    timeout: float = 30.0
    """Seconds without a byte after which a connection counts as lost."""
    tries: int = 4
    """Tries in a row that bring nothing before it is given up."""
    all_tries: int = 40
    """Tries in all."""
    pause: float = 0.5
    """Seconds before the second try; doubled for each further one that brings nothing."""


class _Passing(Exception):
    """This try failed in a way that another may not."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https back to http."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            raise FetchError(
                "the server leads to another kind of address",
                value=newurl,
                expected="https" if before == "https" else "http or https",
                remedy="bring the file by hand and name its folder in ECNAS_MIRROR",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Transfer:
    """One file on its way from an address of http or https.

    Args:
        name: what the file is called in messages.
        address: where it is.
        part: the partial file; beside it `<part>.json` remembers which version of the file the
            bytes belong to.
        size: exact size if known.
        limit: most bytes to accept.
        careful: go on from earlier bytes only where the server proves that its file is the same,
            because nothing else will.
        progress: hears how far it is.
        limits: patience.
        sleep: how to wait between tries.
    """

    def __init__(
        self,
        name: str,
        address: str,
        part: Path,
        *,
        size: int | None,
        limit: int,
        careful: bool,
        progress: Progress,
        limits: Limits,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.address = address
        self.part = part
        self.resumed = False
        """Whether bytes of an earlier try are part of the file."""
        self._state = part.with_name(part.name + ".json")
        self._size = size
        self._limit = limit
        self._careful = careful
        self._progress = progress
        self._limits = limits
        self._sleep = sleep
        self._opener = urllib.request.build_opener(_SafeRedirects)

    def run(self) -> None:
        """Bring the whole file into `part`.

        Raises:
            FetchError: the server has no such file, offers another, or the connection was lost
                more often than `limits` allow; the bytes that came stay for the next time.
            StorageError: the partial file cannot be written.
        """
        barren = 0
        for attempt in range(self._limits.all_tries):
            before = self._have()
            try:
                self._try()
                return
            except _Passing as error:
                fault = error
            barren = 0 if self._have() > before else barren + 1
            if barren >= self._limits.tries or attempt + 1 == self._limits.all_tries:
                break
            self._progress.noted(self.name, f"{fault}: trying again")
            self._sleep(self._limits.pause * 2.0 ** (barren - 1))
        kept = self._have()
        raise FetchError(
            f"{self.name} did not arrive: {fault}",
            value=self.address,
            expected="an answer from the server",
            remedy=(f"{kept:,} bytes are kept: r" if kept else "r")
            + "un the same again to go on, or name a folder that holds the file in ECNAS_MIRROR",
        )

    def forget(self) -> None:
        """Remove the partial file and what is remembered of it.

        Raises:
            StorageError: they cannot be removed.
        """
        for path in (self.part, self._state):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(error, path) from error

    def _have(self) -> int:
        try:
            return self.part.stat().st_size
        except OSError:
            return 0

    def _try(self) -> None:
        """One connection; returns when the file is complete."""
        done = self._have()
        version = self._version() if done else None
        fit = version is not None and done <= self._limit and (version or not self._careful)
        if done and not fit:
            self.forget()
            done, version = 0, None
        if done and done == self._size:
            self.resumed = True
            return
        headers = {"User-Agent": f"naslib-ecnas/{__version__}", "Accept-Encoding": "identity"}
        if done:
            headers["Range"] = f"bytes={done}-"
            if version:
                headers["If-Range"] = version
        request = urllib.request.Request(self.address, headers=headers)
        try:
            with self._opener.open(request, timeout=self._limits.timeout) as response:
                self._receive(response, done)
        except StorageError:
            raise
        except urllib.error.HTTPError as error:
            error.close()
            self._refused(error, done)
        except urllib.error.URLError as error:
            raise _Passing(f"no connection ({error.reason})") from error
        except OSError as error:
            raise _Passing(f"the connection was lost ({error})") from error
        except http.client.HTTPException as error:
            raise _Passing(f"the connection was lost ({type(error).__name__})") from error

    def _refused(self, error: urllib.error.HTTPError, done: int) -> NoReturn:
        """Deal with an answer that is no file."""
        if error.code == 416 and done:  # the file is shorter than what is here: not the same one
            self.forget()
            raise _Passing("the server's file is another than before") from error
        if error.code in _PASSING:
            raise _Passing(f"the server answered {error.code} {error.reason}") from error
        raise FetchError(
            f"the server answered {error.code} {error.reason}",
            value=self.address,
            expected="the file",
            remedy="see whether it moved, or name a folder that holds it in ECNAS_MIRROR",
        ) from error

    def _receive(self, response: Any, done: int) -> None:
        """Write what the server sends, after what is there if it goes on from there."""
        total = self._total(response, done)
        goes_on = response.status == 206
        if not goes_on:
            done = 0
        self.resumed = goes_on and done > 0
        if total is not None and (
            total > self._limit or (self._size is not None and total != self._size)
        ):
            self._other(total)
        if response.headers.get_content_type() == "text/html":
            self._other("a web page")
        self._remember(response)
        # Unbuffered, so that every byte that came is kept whatever happens next.
        with self._open("ab" if goes_on else "wb") as file:
            self._progress.started(self.name, "fetching", total or self._size, done)
            while True:
                # One byte more than allowed is enough to know that there are too many.
                block = response.read1(min(_CHUNK, self._limit + 1 - done))
                if not block:
                    break
                self._append(file, block)
                done += len(block)
                self._progress.advanced(self.name, done)
                if done > self._limit:
                    self.forget()
                    self._other(f"more than {self._limit:,} bytes")
        expected = self._size if self._size is not None else total
        if expected is not None and done < expected:
            raise _Passing(f"the connection was lost after {done:,} of {expected:,} bytes")

    def _total(self, response: Any, done: int) -> int | None:
        """Size of the whole file as the server states it."""
        if response.status == 206:
            match = re.fullmatch(
                r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "")
            )
            if match is None or int(match[1]) != done:
                self.forget()
                raise _Passing("the server goes on from another place than asked")
            return None if match[2] == "*" else int(match[2])
        length = response.headers.get("Content-Length")
        return int(length) if length is not None and length.isdigit() else None

    def _other(self, value: object) -> NoReturn:
        raise FetchError(
            f"the server offers another file than {self.name}",
            value=value,
            expected="a file of "
            + (f"{self._size:,} bytes" if self._size else f"at most {self._limit:,} bytes"),
            remedy=f"{self.address} may have changed: bring the file by hand and name its folder "
            "in ECNAS_MIRROR",
        )

    # A failing disk is no lost connection, so each write tells its own failure.

    def _open(self, mode: Literal["ab", "wb"]) -> FileIO:
        try:
            return self.part.open(mode, buffering=0)
        except OSError as error:
            raise storage_error(error, self.part) from error

    def _append(self, file: FileIO, block: bytes) -> None:
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            raise storage_error(error, self.part) from error

    def _remember(self, response: Any) -> None:
        """Note which version of the file the partial file belongs to."""
        tag = response.headers.get("ETag", "")
        # A weak tag does not promise equal bytes, so it is no ground to go on from.
        version = response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag
        version = version or response.headers.get("Last-Modified", "")
        data = json.dumps({"address": self.address, "version": version})
        try:
            self._state.write_text(data, "utf-8")
        except OSError as error:
            raise storage_error(error, self._state) from error

    def _version(self) -> str | None:
        """Version that the partial file belongs to: empty if the server names none, None if it
        is of another address or nothing is remembered."""
        try:
            state = from_json(self._state.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(state, dict) or state.get("address") != self.address:
            return None
        version = state.get("version")
        return version if isinstance(version, str) else None


# Checks a file against the size and SHA-256 that are published for it.


_CHECKSUMS_CHUNK = 1 << 20


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits.

    Raises:
        UnknownTableError: it cannot be read.
    """
    progress = Silent() if progress is None else progress
    digest, done = hashlib.sha256(), 0
    name = path.name.removesuffix(".part")
    try:
        with path.open("rb") as file:
            progress.started(name, "checking", path.stat().st_size, 0)
            while block := file.read(_CHECKSUMS_CHUNK):
                digest.update(block)
                done += len(block)
                progress.advanced(name, done)
    except OSError as error:
        raise unreadable(error, path) from error
    progress.finished(name)
    return digest.hexdigest()


def check(path: Path, entry: FileEntry, progress: Progress | None = None) -> str:
    """Check a file against its entry in the catalog.

    Returns:
        Its SHA-256, which is the published one unless none is published.

    Raises:
        TruncatedError: it is shorter than published.
        ChecksumError: it has another size or SHA-256 than published.
        UnknownTableError: it cannot be read.
    """
    try:
        size = path.stat().st_size
    except OSError:
        size = None  # sha256_of says what is wrong
    if entry.size is not None and size is not None and size != entry.size:
        kind = TruncatedError if size < entry.size else ChecksumError
        raise kind(
            f"is not the published {entry.name}",
            path=path,
            offset=min(size, entry.size),
            value=f"{size:,} bytes",
            expected=f"{entry.size:,} bytes",
            remedy="remove it and fetch it again",
        )
    found = sha256_of(path, progress)
    if entry.sha256 is not None and found != entry.sha256:
        raise ChecksumError(
            f"is not the published {entry.name}",
            path=path,
            value=f"SHA-256 {found}",
            expected=entry.sha256,
            remedy="remove it and fetch it again",
        )
    return found


# Locks that let two processes make the same file without harm.


#: Longest wait for another process, in seconds. A lock is freed when its process ends.
_PATIENCE = 2 * 3600.0


@contextmanager
def locked(path: Path, progress: Progress, *, patience: float = _PATIENCE) -> Iterator[None]:
    """Hold the lock of a file that is about to be made; its folder is made first.

    Raises:
        StorageError: the folder cannot be written.
        FetchError: another process held the lock too long.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.noted(path.name, "another process is at it: waiting for that")
            lock.acquire(timeout=patience, poll_interval=0.1)
    except Timeout as error:
        raise FetchError(
            f"another process has held {path.name} for too long",
            value=f"{patience:g} s",
            expected="that it comes to an end",
            remedy=f"end it, or remove {lock.lock_file} if there is none",
        ) from error
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        yield
    finally:
        lock.release()


#: Most bytes of a file whose size is not published at all.
_UNKNOWN_LIMIT = 8 << 30

_NEXT_TIME = "the same again goes on from there"


def downloads_folder() -> Path:
    """The folder of fetched files."""
    return cache_folder() / "downloads"


def fetch(
    entry: FileEntry,
    *,
    progress: Progress | None = None,
    unverified: bool = False,
    bring: bool = True,
    limits: Limits | None = None,
) -> Path:
    """A published file, on this machine and checked.

    A file in the cache is checked and used. A file in a mirror's folder is checked and used
    where it lies. Otherwise it is brought from its address, or from the mirror's: an earlier
    try is gone on with, and the file takes its name only after its SHA-256 was right.

    Args:
        entry: the file.
        progress: hears how far it is.
        unverified: accept a file for which no checksum is published. Its SHA-256 is recorded
            beside it, and from then on no other file is accepted.
        bring: whether it may be brought from an address.
        limits: patience with the network.

    Raises:
        FetchError: it could not, or must not, be brought.
        ChecksumError: what came, or lies in the mirror, is not the published file.
        StorageError: the cache cannot be written or the disk is full.
    """
    progress = Silent() if progress is None else progress
    if entry.sha256 is None and not unverified:
        raise FetchError(
            f"no checksum of {entry.name} is published, so nobody can tell whether it is genuine",
            value=entry.address,
            expected="a file that can be verified",
            remedy="accept it all the same with --unverified; its SHA-256 is then recorded",
        )
    final = downloads_folder() / entry.name
    if final.is_file():
        with suppress(FormatError):  # damaged: brought anew below
            return _accepted(final, entry, progress)
    source = source_of(entry)
    if isinstance(source, Path):
        return _accepted(source, entry, progress)
    if not bring:
        raise FetchError(
            f"{entry.name} is {'damaged' if final.is_file() else 'not on this machine'}",
            value=str(final),
            expected="a file fetched before",
            remedy=f"bring it with: ecnas data fetch {entry.name}",
        )
    with locked(final, progress):
        if final.is_file():  # another process brought it meanwhile, or it is damaged
            try:
                return _accepted(final, entry, progress)
            except FormatError as error:
                progress.noted(entry.name, f"{error.what}: fetching it again")
        _brought(source, entry, final, progress, limits or Limits())
    return final


def local_copy(entry: FileEntry) -> Path | None:
    """Where a published file lies on this machine, unchecked; None where it does not."""
    final = downloads_folder() / entry.name
    if final.is_file():
        return final
    try:
        source = source_of(entry)
    except EcnasError:
        return None
    return source if isinstance(source, Path) and source.is_file() else None


def _brought(
    address: str, entry: FileEntry, final: Path, progress: Progress, limits: Limits
) -> None:
    """Bring a file and give it its name; the lock is held."""
    part = final.with_name(final.name + ".part")
    for again in (True, False):
        transfer = Transfer(
            entry.name,
            address,
            part,
            size=entry.size,
            limit=_limit(entry),
            careful=entry.sha256 is None,
            progress=progress,
            limits=limits,
        )
        try:
            transfer.run()
        except KeyboardInterrupt:
            progress.noted(entry.name, f"stopped; what came is kept in {part}: {_NEXT_TIME}")
            raise
        try:
            _accepted(part, entry, progress)
            break
        except FormatError as error:
            transfer.forget()
            # The earlier bytes may be those of another version of the file: once from the start.
            if again and transfer.resumed:
                progress.noted(entry.name, "the parts do not fit together: from the start")
                continue
            if isinstance(error, ChecksumError):
                raise ChecksumError(
                    f"what came from {address} is not the published {entry.name}",
                    value=error.value,
                    expected=error.expected,
                    remedy="try again later or another mirror; nothing of it was kept",
                ) from error
            raise
    try:
        # On disk before it takes its name: a crash must not leave an empty file under it.
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, final)
    except OSError as error:
        raise storage_error(error, final) from error
    transfer.forget()
    progress.finished(entry.name)


def _limit(entry: FileEntry) -> int:
    """Most bytes that a file may have."""
    if entry.size is not None:
        return entry.size
    # Published sizes such as "1.95 GB" may mean either kind of gigabyte.
    return _UNKNOWN_LIMIT if entry.approximate_size is None else entry.approximate_size * 5 // 4


def _accepted(path: Path, entry: FileEntry, progress: Progress) -> Path:
    """The path, once its content is what is published or, lacking that, what is on record."""
    if entry.sha256 is not None:
        check(path, entry, progress)
        return path
    found = sha256_of(path, progress)
    record = downloads_folder() / f"{entry.name}.sha256"
    try:
        recorded = record.read_text("utf-8").split()[0]
    except (OSError, ValueError, IndexError):
        # The form that sha256sum --check reads.
        with atomic_write(record) as file:
            file.write(f"{found}  {entry.name}\n".encode())
        progress.noted(entry.name, f"not verified; SHA-256 {found}, recorded in {record}")
        return path
    if recorded != found:
        raise ChecksumError(
            f"is not the {entry.name} that was accepted before",
            path=path,
            value=f"SHA-256 {found}",
            expected=recorded,
            remedy=f"if this one is right, remove {record}",
        )
    progress.noted(entry.name, f"not verified; SHA-256 {found}, as recorded")
    return path
