"""A meter without sensors: it keeps the windows and their times, and says that no more is known."""

from __future__ import annotations

import time

from naslib_ecnas.energy.reading import invalid
from naslib_ecnas.energy.spans import Span, WindowMeter
from naslib_ecnas.energy.window import CpuState, Window

__all__ = ["NullMeter"]


class NullMeter(WindowMeter):
    """Windows with time only; their energy is `unmeasured`, which is NaN and not 0.

    The one reading of each window stands under the name `unmeasured` too.
    """

    def __enter__(self) -> NullMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to let go of."""

    def _begin(self, span: Span) -> tuple[float, float]:
        return time.monotonic(), time.time()

    def _end(self, span: Span, error: str) -> Window:
        started, started_unix = span.begun
        return Window(
            name=span.name,
            path=span.path,
            index=span.index,
            parent=span.parent,
            started=started,
            stopped=time.monotonic(),
            started_unix=started_unix,
            stopped_unix=time.time(),
            energy_j={
                "unmeasured": invalid(
                    "unmeasured", "this meter has no sensors", method="unmeasured"
                )
            },
            cpu_state=CpuState("off", "this meter has no sensors"),
            error=error,
        )
