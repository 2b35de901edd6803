"""Checks a file against the size and SHA-256 that are published for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from naslib_ecnas.data.catalog import FileEntry
from naslib_ecnas.data.source import unreadable
from naslib_ecnas.errors import ChecksumError, TruncatedError
from naslib_ecnas.progress import Progress, Silent

__all__ = ["check", "sha256_of"]

_CHUNK = 1 << 20


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
            while block := file.read(_CHUNK):
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
