"""Whether a worker's device is warm, so that its next unit can be measured like the others."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["PAUSE_S", "WARM_UP", "Warmth"]

#: Name of the meter's window of a warm-up; like those of rest it is in no energy of a record.
WARM_UP = "warm-up"
#: Pause in s after which a GPU has cooled down so far that it has to be warmed up again.
PAUSE_S = 180.0


class Warmth:
    """When a worker's device last trained.

    Args:
        clock: time in s; a test gives its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None

    @property
    def cold(self) -> bool:
        """Whether no unit was measured by this process, or none lately."""
        return self._last is None or self._clock() - self._last > PAUSE_S

    def keep(self) -> None:
        """Take note that a unit was measured just now."""
        self._last = self._clock()
