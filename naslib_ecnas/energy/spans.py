"""The nesting of windows, common to all meters."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from naslib_ecnas.energy.window import Window, check_name
from naslib_ecnas.errors import ConfigError

__all__ = ["Span", "WindowMeter"]


class Span:
    """A window on its way; see `protocol.OpenWindow`."""

    def __init__(self, meter: WindowMeter, name: str) -> None:
        self.name = name
        self.path = name
        self.index = -1
        self.parent: int | None = None
        self.begun: Any = None
        self.result: Window | None = None
        self._meter = meter

    def __enter__(self) -> Span:
        self._meter._enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._meter._exit(self, "" if kind is None else kind.__name__)

    @property
    def window(self) -> Window:
        """The measurement, once the block has ended.

        Raises:
            ConfigError: the window is still open.
        """
        if self.result is None:
            raise ConfigError(
                "the window is still open",
                value=self.path,
                remedy="ask for its measurement after the with block",
            )
        return self.result


class WindowMeter:
    """Base of the meters: keeps windows, their numbers and who lies in whom."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: list[Span] = []
        self._done: list[Window] = []
        self._count = 0

    def window(self, name: str) -> Span:
        """A context manager that measures its block; windows nest.

        Raises:
            ConfigError: the name is empty or holds a slash.
        """
        return Span(self, check_name(name))

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows that have ended, in the order of ending."""
        with self._lock:
            return tuple(self._done)

    def _enter(self, span: Span) -> None:
        if span.index >= 0:
            raise ConfigError("a window measures one block only", value=span.path)
        with self._lock:
            span.index = self._count
            self._count += 1
            if self._open:
                above = self._open[-1]
                span.parent, span.path = above.index, f"{above.path}/{span.name}"
            self._open.append(span)
        try:
            span.begun = self._begin(span)
        except BaseException:  # an interrupt; a window that never began is nobody's parent
            self._forget(span)
            raise

    def _exit(self, span: Span, error: str) -> None:
        if span.result is not None:  # the meter was closed before its window
            return
        try:
            window = self._end(span, error)
            with self._lock:
                if span.result is None:
                    self._keep(span, window)
        finally:
            self._forget(span)

    def _keep(self, span: Span, window: Window) -> None:
        span.result = window
        self._done.append(window)
        self._forget(span)

    def _forget(self, span: Span) -> None:
        with self._lock:
            if span in self._open:
                self._open.remove(span)

    def _begin(self, span: Span) -> Any:
        """What to remember of a window's start."""
        raise NotImplementedError

    def _end(self, span: Span, error: str) -> Window:
        """The measurement from what was remembered."""
        raise NotImplementedError
