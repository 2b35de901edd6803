"""Progress of long operations, reported to a listener; the core itself prints nothing.

A function reports to its argument `progress`. Deep below what a user calls, such as in reading a
file or hashing a space, it reports to `listener()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

__all__ = ["BYTES", "Progress", "Silent", "listener", "listening"]

#: The unit of progress that is counted in bytes.
BYTES = "B"


class Progress(Protocol):
    """Receives the progress of named tasks; a task is usually a file."""

    def started(
        self, name: str, doing: str, total: int | None, done: int, unit: str = BYTES
    ) -> None:
        """A task begins, or begins again.

        Args:
            name: the task, usually a file name.
            doing: one verb, such as `"fetching"`.
            total: units in all, None if unknown.
            done: units that were finished before.
            unit: bytes, or what else is counted, such as `"cells"`.
        """

    def advanced(self, name: str, done: int) -> None:
        """`done` units are finished, including those from before."""

    def finished(self, name: str) -> None:
        """The task is complete."""

    def noted(self, name: str, message: str) -> None:
        """A message for the user, such as that a lost connection is tried again."""


class Silent:
    """Ignores all progress."""

    def started(
        self, name: str, doing: str, total: int | None, done: int, unit: str = BYTES
    ) -> None: ...
    def advanced(self, name: str, done: int) -> None: ...
    def finished(self, name: str) -> None: ...
    def noted(self, name: str, message: str) -> None: ...


_LISTENER: ContextVar[Progress | None] = ContextVar("listener", default=None)
_SILENT = Silent()


def listener() -> Progress:
    """The listener of this context: the one given to `listening`, else a silent one."""
    return _LISTENER.get() or _SILENT


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Context in which `listener()` is `progress`."""
    token = _LISTENER.set(progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)
