"""What a long operation tells whoever shows it; the core itself prints nothing.

A function that has long work hears of a listener by its argument `progress`, or, where it lies deep
below what a user calls (the reading of a file, the hashes of a space), by `listener()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

__all__ = ["BYTES", "Progress", "Silent", "listener", "listening"]

#: The unit of what is counted in bytes.
BYTES = "B"


class Progress(Protocol):
    """Hears how far something is, a file as a rule. Every call names it."""

    def started(
        self, name: str, doing: str, total: int | None, done: int, unit: str = BYTES
    ) -> None:
        """Work on something begins, or begins again.

        Args:
            name: the file, as a rule.
            doing: one verb, such as `"fetching"`.
            total: its bytes, or None where nobody knows.
            done: bytes that were there before.
            unit: what is counted, where that is not bytes, such as `"cells"`.
        """

    def advanced(self, name: str, done: int) -> None:
        """So much of it is done, what was there before included."""

    def finished(self, name: str) -> None:
        """It is complete."""

    def noted(self, name: str, message: str) -> None:
        """Something a person would like to know, such as that a lost connection is tried again."""


class Silent:
    """Shows nothing."""

    def started(
        self, name: str, doing: str, total: int | None, done: int, unit: str = BYTES
    ) -> None: ...
    def advanced(self, name: str, done: int) -> None: ...
    def finished(self, name: str) -> None: ...
    def noted(self, name: str, message: str) -> None: ...


_LISTENER: ContextVar[Progress | None] = ContextVar("listener", default=None)
_SILENT = Silent()


def listener() -> Progress:
    """Who hears of long work here; nobody where no one asked."""
    return _LISTENER.get() or _SILENT


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """While it lasts, long work of this thread is told to `progress`."""
    token = _LISTENER.set(progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)
