"""What a training or a campaign may ask of a meter, whichever meter it is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from naslib_ecnas.energy.window import Window

__all__ = ["Meter", "OpenWindow"]


class OpenWindow(Protocol):
    """What `with meter.window(name) as w` binds."""

    @property
    def name(self) -> str:
        """The window's name."""
        ...

    @property
    def index(self) -> int:
        """The window's number in the order of opening; known at once."""
        ...

    @property
    def window(self) -> Window:
        """The measurement, once the block has ended.

        Raises:
            ConfigError: the window is still open.
        """
        ...


@runtime_checkable
class Meter(Protocol):
    """Windows of energy. A window never raises for a fault of a sensor."""

    def window(self, name: str) -> AbstractContextManager[OpenWindow]:
        """Measure a block; windows nest."""
        ...

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows that have ended, in the order of ending."""
        ...

    def close(self) -> None:
        """Stop measuring; a second call does nothing."""
        ...
