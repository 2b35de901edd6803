"""Where the package keeps files of its own, and how it writes any file: whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from naslib_ecnas.errors import StorageError

__all__ = [
    "atomic_write",
    "cache_folder",
    "exists",
    "is_file",
    "is_folder",
    "storage_error",
    "write_together",
]


def cache_folder() -> Path:
    """The folder of downloads and converted tables: `ECNAS_CACHE`, else the user's cache."""
    chosen = os.environ.get("ECNAS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("naslib-ecnas", appauthor=False)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether something is there.

    `Path.exists`, `is_file` and `is_dir` raise where a name is too long or a folder above is
    private; to a reader such a path is one where nothing is.
    """
    return os.path.exists(path)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is there; see `exists`."""
    return os.path.isfile(path)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is there; see `exists`."""
    return os.path.isdir(path)


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


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all of them take their names, or none does.

    Each is on the disk before the first takes its name, so that a full disk shows in time.

    Raises:
        StorageError: a folder cannot be written or the disk is full.
    """
    with ExitStack() as stack:
        for path, content in contents.items():
            file = stack.enter_context(atomic_write(path))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
