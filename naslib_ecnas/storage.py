"""Where the package keeps files of its own, and how it writes any file: whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from naslib_ecnas.errors import StorageError

__all__ = ["atomic_write", "cache_folder", "storage_error"]


def cache_folder() -> Path:
    """The folder of downloads and converted tables: `ECNAS_CACHE`, else the user's cache."""
    chosen = os.environ.get("ECNAS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("naslib-ecnas", appauthor=False)


def storage_error(error: OSError, path: Path) -> StorageError:
    """The typed error of a failed write, with its remedy."""
    remedy = "choose another folder, by ECNAS_CACHE or --out"
    if error.errno == errno.ENOSPC:
        what, remedy = "the disk is full", "free some room, or " + remedy
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        what = "the folder cannot be written"
    else:
        what = f"cannot write ({error.strerror or error})"
    return StorageError(what, value=str(path), expected="a writable place", remedy=remedy)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when it is complete.

    Readers and other writers see the old file or the whole new one; on any error nothing is
    left.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    import tempfile  # brings in compression and randomness, which readers do not need

    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a finished file gets the user's ordinary mode.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise storage_error(error, path) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
