"""What `ecnas measure run` shows while it measures: a line for each training, bars between them."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from naslib_ecnas.console import duration_text
from naslib_ecnas.errors import StorageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from naslib_ecnas.campaign import Done
    from naslib_ecnas.campaign.plan import Unit

__all__ = ["MeasureProgress"]

#: Drawing costs the CPU, whose energy may be measured; and a training lasts minutes.
_REDRAW_S = 1.0
#: A unit may last an hour, and the rate has to be that of several.
_RATE_PERIOD_S = 7 * 24 * 3600.0


class MeasureProgress:
    """Bars on stderr where it is a terminal, for the campaign and for the training at hand; and a
    line on stdout for each training that has ended.

    Both count what all workers of the campaign have recorded.

    Args:
        folder: of the campaign.

    Raises:
        UnknownTableError, FormatError: no campaign.
    """

    def __init__(self, folder: Path) -> None:
        from naslib_ecnas.campaign.plan import Plan

        self._folder = folder
        self._units = frozenset(Plan.read(folder).by_name)
        self._planned = len(self._units)
        self._began, self._first = time.monotonic(), 0
        self._first = self._recorded()
        self._bars: Progress | None = None
        self._all: TaskID | None = None
        self._one: TaskID | None = None
        self._drawn = -math.inf

    def __enter__(self) -> MeasureProgress:
        if sys.stderr.isatty():
            self._bars = _bars()
            self._all = self._bars.add_task(
                "units", total=self._planned, completed=self._first, left="left"
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def stepped(self, unit: Unit, made: int, due: int) -> None:
        """A step of a training was submitted; 0 of 0 before the first, while it rests or warms up.

        Called from within a measured window, so that it does next to nothing.
        """
        now = time.monotonic()
        if self._bars is None or (due and now < self._drawn + _REDRAW_S):
            return
        self._drawn = now
        if not due or self._one is None:
            self._cleared()
            self._one = self._bars.add_task("", total=None, left="")
        if due:
            self._bars.update(
                self._one, description=str(unit), total=due, completed=made, left="left"
            )
        else:
            self._bars.update(self._one, description=f"{unit}: before training")

    def told(self, done: Done) -> None:
        """An attempt has ended."""
        recorded = self._recorded()
        detail = f": {done.detail}" if done.detail else ""
        line = f"{done.unit}: {done.how} after {duration_text(done.seconds)}{detail}"
        print(f"{line} ({recorded:,} of {self._planned:,}{self._to_come(recorded)})", flush=True)
        if self._bars is not None and self._all is not None:
            self._cleared()
            self._bars.update(self._all, completed=recorded)

    def _cleared(self) -> None:
        """Without the bar of a training that has ended."""
        if self._bars is not None and self._one is not None:
            self._bars.remove_task(self._one)
        self._one = None

    def _to_come(self, recorded: int) -> str:
        left, made = self._planned - recorded, recorded - self._first
        if left <= 0 or made <= 0:
            return ""
        seconds = (time.monotonic() - self._began) / made * left
        return f", about {duration_text(seconds)} to come"

    def _recorded(self) -> int:
        from naslib_ecnas.campaign.measurement import recorded

        try:
            return len(self._units & recorded(self._folder))
        except StorageError:  # a disk that does not answer for a moment ends no campaign
            return self._first


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
        refresh_per_second=1 / _REDRAW_S,
        speed_estimate_period=_RATE_PERIOD_S,
        transient=True,
    )
