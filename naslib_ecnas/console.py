"""What commands print: tables, numbers and the progress of long work.

Terminals get frames, colours and bars; files and pipes get plain aligned text.
"""

from __future__ import annotations

import json
import math
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

from naslib_ecnas.errors import StorageError, printable
from naslib_ecnas.files import to_json
from naslib_ecnas.progress import BYTES, Progress, listening

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

#: Words longer than this (paths, say) are broken inside a table that lacks the width for them.
_WORD = 24
#: Checking a file smaller than this many bytes is too quick for a progress bar.
_SLOW_CHECK = 100_000_000
_WEEK_S = 7 * 24 * 3600.0
#: Seconds between two lines of progress about the same task.
_PAUSE_S = 60.0


# -- numbers and words ------------------------------------------------------------------------


def bytes_text(size: float | None) -> str:
    """A number of bytes as text, such as `2.1 MB`; a question mark for None."""
    if size is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def duration_text(seconds: float) -> str:
    """A duration as text, such as `16 s`, `25 min` or `3.4 h`."""
    if not math.isfinite(seconds):
        return "unknown time"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def quantity_text(value: float, form: str, unit: str = "") -> str:
    """A number in a format with its unit, such as `7.5 kWh`; `unknown kWh` for NaN."""
    text = f"{value:{form}}" if math.isfinite(value) else "unknown"
    return f"{text} {unit}".strip()


def split_words(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list, without blanks and empty parts."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution; None if it is not installed."""
    from importlib import metadata  # takes as long as the rest of a start

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


# -- output -----------------------------------------------------------------------------------


class _Printable:
    """A text stream that keeps text from elsewhere from steering a terminal (`printable`).

    What its encoding lacks is written as an escape, too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._try(self._stream.write, self.shown(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, act: Callable[..., object], *given: str) -> None:
        try:
            act(*given)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"the output cannot be written ({error.strerror})") from error

    def shown(self, text: str) -> str:
        """The text as it is written."""
        code = getattr(self._stream, "encoding", None) or "utf-8"
        return printable(text, lines=True).encode(code, "backslashreplace").decode(code)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def rich_proxied_file(self) -> TextIO:
        """The terminal or file behind all proxies, on which rich draws what it was given."""
        found = self._stream
        while (inner := getattr(found, "rich_proxied_file", None)) is not None:
            found = inner
        return found


@contextmanager
def printing() -> Iterator[None]:
    """Context in which all that is printed is printable, and a closed stdout or stderr is none."""
    before = sys.stdout, sys.stderr
    with ExitStack() as stack:
        streams = [s or stack.enter_context(open(os.devnull, "w")) for s in before]
        sys.stdout, sys.stderr = map(_Printable, streams)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def print_json(data: Any) -> None:
    """Print one JSON document; NaN and infinities, which JSON lacks, become null."""
    text = to_json(data, indent=2)
    if _Printable(sys.stdout).shown(text) != text:
        text = json.dumps(json.loads(text), indent=2)
    print(text)


def print_lines(lines: Sequence[str]) -> None:
    """Print lines of prose, wrapped to the width of a terminal and unchanged elsewhere."""
    for line in lines:
        if sys.stdout.isatty():
            line = textwrap.fill(line, get_terminal_size().columns, subsequent_indent="    ")
        print(line)


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    file: TextIO | None = None,
) -> None:
    """Print a table: framed and coloured on a terminal, plain aligned text elsewhere.

    On a terminal that is too narrow, texts are broken between words; if that is not enough, each
    line of the table becomes a block of lines. Numbers are never cut.

    Args:
        headings: one for each column.
        rows: lines of the table, one text for each column.
        right: numbers of the columns that are aligned to the right.
        file: stream to print to, stdout by default.
    """
    file = sys.stdout if file is None else file
    headings, *rows = (list(map(printable, row)) for row in (headings, *rows))
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    if not file.isatty():
        for row in (headings, *rows):
            cells = [
                f"{text:{'>' if i in right else '<'}{widths[i]}}" for i, text in enumerate(row)
            ]
            print("  ".join(cells).rstrip(), file=file)
        return
    least = [_least(*column, whole=i in right) for i, column in enumerate(columns)]
    while sum(widths) + 2 * len(widths) - 2 > get_terminal_size().columns:
        wide = [i for i, width in enumerate(widths) if width > least[i]]
        if not wide:
            _print_blocks(headings, rows, file)
            return
        widths[max(wide, key=widths.__getitem__)] -= 1
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold"
    )
    for i, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="right" if i in right else "left",
            width=widths[i],
            style="bold cyan" if i == 0 else None,
        )
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=file).print(table)


def _least(heading: str, *texts: str, whole: bool) -> int:
    """Least readable width of a column: its texts whole, or word by word."""
    parts = texts if whole else [word[:_WORD] for text in texts for word in text.split()]
    return max(map(len, [*heading.split(), *parts]), default=0)


def _print_blocks(headings: Sequence[str], rows: Sequence[Sequence[str]], file: TextIO) -> None:
    """Print each line of the table as a block with one line for each column."""
    width = max(map(len, headings[1:]), default=0)
    for row in rows:
        print(f"{headings[0]} {row[0]}".strip(), file=file)
        for heading, text in zip(headings[1:], row[1:], strict=True):
            print(f"  {heading:{width}}  {text}".rstrip(), file=file)


# -- progress ---------------------------------------------------------------------------------


@contextmanager
def progress(*, slow: bool = False) -> Iterator[Progress]:
    """Progress of long work on stderr: bars on a terminal, single lines elsewhere.

    Within the `with` block it is the listener (see `naslib_ecnas.progress.listening`).

    Args:
        slow: draw once a second only, since drawing takes energy that may be measured, and estimate
            the remaining time from all units, each of which may take hours.

    Examples:
        with progress():
            compare(grid, out)
    """
    with ExitStack() as stack:
        shown = _Bars(stack, slow) if sys.stderr.isatty() else _Lines()
        stack.enter_context(listening(shown))
        yield shown


def notes(
    task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
) -> None:
    """Progress of which only the messages for the user are shown."""
    if note:
        print(f"{task}: {note}", file=sys.stderr, flush=True)


def _amount(number: float, unit: str) -> str:
    return bytes_text(number) if unit == BYTES else f"{number:,.0f} {unit}".strip()


class _Lines:
    """Prints the first report of a task, and then one a minute."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def __call__(
        self, task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        now = time.monotonic()
        if note:
            notes(task, note=note)
        elif not task.startswith("checking") and now >= self._due.get(task, now):
            self._due[task] = now + _PAUSE_S
            of = "" if total is None else f" ({_amount(total, unit)})"
            so_far = f", {_amount(done, BYTES if unit == BYTES else '')} done" if done else ""
            print(f"{task}{of}{so_far}", file=sys.stderr, flush=True)


class _Bars:
    """Draws a bar for each task that is not finished, and erases them at the end."""

    def __init__(self, stack: ExitStack, slow: bool) -> None:
        self._stack = stack
        self._slow = slow
        self._tasks: dict[str, TaskID] = {}
        self._endless: set[str] = set()

    def __call__(
        self, task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        task = printable(task)
        if note:
            text = f"{task}: {printable(note)}"
            self.bars.console.print(text, style="dim", markup=False, highlight=False)
            return
        if task.startswith("checking") and (total is None or total < _SLOW_CHECK):
            return
        if task not in self._tasks:
            while self._endless:  # a task without a total ends where the next one begins
                self.bars.remove_task(self._tasks.pop(self._endless.pop()))
            self._tasks[task] = self.bars.add_task(task, total=total, unit=unit)
        if total is None:
            self._endless.add(task)
        else:
            self._endless.discard(task)
        self.bars.update(self._tasks[task], completed=done, total=total)
        if done == total:
            self.bars.remove_task(self._tasks.pop(task))

    @cached_property
    def bars(self) -> Bars:
        """The drawing, which starts with the first report."""
        from rich.console import Console
        from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars
        from rich.text import Text

        class Amount(ProgressColumn):
            def render(self, task: Task) -> Text:
                if task.total is None:
                    return Text()
                unit = task.fields["unit"]
                speed = f", {bytes_text(task.speed)}/s" if unit == BYTES and task.speed else ""
                done = bytes_text(task.completed) if unit == BYTES else f"{task.completed:,.0f}"
                return Text(f"{done} of {_amount(task.total, unit)}{speed}", style="green")

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            Amount(),
            TimeRemainingColumn(),
        )
        screen = Console(stderr=True)
        # rich would send what is printed to a file or a pipe to the screen, too.
        redirected = sys.stdout.isatty()
        bars = self._stack.enter_context(
            Bars(
                *columns,
                console=screen,
                transient=True,
                redirect_stdout=redirected,
                refresh_per_second=1 if self._slow else 10,
                speed_estimate_period=_WEEK_S if self._slow else 30.0,
            )
        )
        # Once more, over the streams that rich has put in place, which obey what is printed.
        self._stack.enter_context(printing())
        return bars
