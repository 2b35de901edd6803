"""Progress of long work, which `listener()` gets: the callback of the context `listening`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

#: The unit of progress that is counted in bytes.
BYTES = "B"


class Progress(Protocol):
    """Callback of long work; every call tells how far one task is."""

    def __call__(
        self, task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        """Take one report.

        Args:
            task: what is done to what, such as `"fetching 4V9E_linscale.tfrecord"`. The same text
                belongs to the same task.
            done: units that are finished; the task ends when it reaches `total`.
            total: units in all, None if unknown.
            unit: what is counted: `BYTES`, or a plural such as `"cells"`.
            note: a message for the user, such as that a lost connection is tried again; `done` and
                `total` then mean nothing.
        """


def silent(
    task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
) -> None:
    """A progress callback that ignores all reports."""


_LISTENER: ContextVar[Progress] = ContextVar("listener", default=silent)


def listener() -> Progress:
    """The callback of this context: the one given to `listening`, else `silent`."""
    return _LISTENER.get()


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Context in which `listener()` is `progress`."""
    token = _LISTENER.set(progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)
