"""Locks that let two processes make the same file without harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from naslib_ecnas.errors import FetchError
from naslib_ecnas.progress import Progress
from naslib_ecnas.storage import storage_error

__all__ = ["locked"]

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
