"""Brings published files into the cache, whole and checked, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from naslib_ecnas.data.catalog import FileEntry
from naslib_ecnas.data.checksums import check, sha256_of
from naslib_ecnas.data.locks import locked
from naslib_ecnas.data.mirror import source_of
from naslib_ecnas.data.transfer import Limits, Transfer
from naslib_ecnas.errors import ChecksumError, EcnasError, FetchError, FormatError
from naslib_ecnas.progress import Progress, Silent
from naslib_ecnas.storage import atomic_write, cache_folder, storage_error

__all__ = ["Limits", "downloads_folder", "fetch", "local_copy"]

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
