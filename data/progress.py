"""What a long operation tells whoever shows it; the core itself prints nothing."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Hears how far a file is. Every call names the file."""

    def started(self, name: str, doing: str, total: int | None, done: int) -> None:
        """Work on a file begins, or begins again.

        Args:
            name: the file.
            doing: one verb, such as `"fetching"`.
            total: its bytes, or None where nobody knows.
            done: bytes that were there before.
        """

    def advanced(self, name: str, done: int) -> None:
        """So many of its bytes are done, those that were there before included."""

    def finished(self, name: str) -> None:
        """It is complete."""

    def noted(self, name: str, message: str) -> None:
        """Something a person would like to know, such as that a lost connection is tried again."""


class Silent:
    """Shows nothing."""

    def started(self, name: str, doing: str, total: int | None, done: int) -> None: ...
    def advanced(self, name: str, done: int) -> None: ...
    def finished(self, name: str) -> None: ...
    def noted(self, name: str, message: str) -> None: ...
