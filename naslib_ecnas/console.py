"""What all commands share: tables, numbers and progress on the screen, helps, common options.

Terminals get frames, colours and bars; files and pipes get plain aligned text.
"""

from __future__ import annotations

import argparse
import math
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from shutil import get_terminal_size
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from naslib_ecnas.files import to_json
from naslib_ecnas.progress import BYTES, listening

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.figures.summary import Study

__all__ = [
    "ConsoleProgress",
    "HelpFormatter",
    "add_study_options",
    "add_table_options",
    "bytes_text",
    "duration_text",
    "examples",
    "installed_version",
    "print_json",
    "print_lines",
    "print_table",
    "progress_bar",
    "quantity_text",
    "run_study",
    "show_help",
    "split_words",
    "table_options",
]

#: Blanks between two columns of a table.
_GAP = 2
#: Words longer than this (paths, say) are broken inside a table that lacks the width for them.
_WORD = 24
#: Checking a file smaller than this many bytes is too quick for a progress bar.
_SLOW_CHECK = 100_000_000

_UNITS = ("B", "kB", "MB", "GB", "TB")


# -- numbers and words ------------------------------------------------------------------------


def bytes_text(size: int | None) -> str:
    """A number of bytes as text, such as `2.1 MB`; a question mark for None."""
    if size is None:
        return "?"
    value, unit = float(size), 0
    while value >= 999.5 and unit + 1 < len(_UNITS):
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}"


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
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


# -- output -----------------------------------------------------------------------------------


def print_json(data: Any) -> None:
    """Print one JSON document; NaN and infinities, which JSON lacks, become null."""
    print(to_json(data, indent=2))


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
    if not file.isatty():
        longest = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in (headings, *rows):
            cells = [
                text.rjust(width) if i in right else text.ljust(width)
                for i, (text, width) in enumerate(zip(row, longest, strict=True))
            ]
            print("  ".join(cells).rstrip(), file=file)
        return
    widths = _widths(headings, rows, right, get_terminal_size().columns)
    if widths is None:
        _print_blocks(headings, rows, file)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
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


def _widths(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int], room: int
) -> list[int] | None:
    """Column widths that fit into `room`, narrowing the widest first; None if none fit."""
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [_least(column, numbers=i in right) for i, column in enumerate(columns)]
    over = sum(widths) + _GAP * len(widths) - room
    for _ in range(over):
        wide = [i for i, width in enumerate(widths) if width > least[i]]
        if not wide:
            return None
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _least(column: Sequence[str], *, numbers: bool) -> int:
    """Least readable width of a column, heading included: numbers whole, texts word by word."""
    heading, *texts = column
    words = max(map(len, heading.split()), default=0)
    if numbers:
        return max([words, *map(len, texts)])
    longest = max((len(word) for text in texts for word in text.split()), default=0)
    return max(words, min(longest, _WORD))


def _print_blocks(headings: Sequence[str], rows: Sequence[Sequence[str]], file: TextIO) -> None:
    """Print each line of the table as a block with one line for each column."""
    width = max(map(len, headings[1:]), default=0)
    for row in rows:
        print(f"{headings[0]} {row[0]}".strip(), file=file)
        for heading, text in zip(headings[1:], row[1:], strict=True):
            print(f"  {heading.ljust(width)}  {text}".rstrip(), file=file)


def print_lines(lines: Sequence[str]) -> None:
    """Print lines of prose, wrapped to the width of a terminal and unchanged elsewhere."""
    for line in lines:
        if sys.stdout.isatty():
            print(textwrap.fill(line, get_terminal_size().columns, subsequent_indent="    "))
        else:
            print(line)


# -- progress ---------------------------------------------------------------------------------


class ConsoleProgress:
    """Progress of long work on stderr: bars on a terminal, single lines elsewhere.

    Pass it as `progress`. Within its `with` block it also receives the progress of work that takes
    no such argument (see `naslib_ecnas.progress.listening`).

    Example:
        with ConsoleProgress() as progress:
            fetch(entry, progress=progress)
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._begun: set[str] = set()
        self._listening: AbstractContextManager[None] | None = None

    def __enter__(self) -> ConsoleProgress:
        self._listening = listening(self)
        self._listening.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        if self._listening is not None:
            self._listening.__exit__(kind, error, trace)

    def __call__(
        self, task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        """Take one report, see `naslib_ecnas.progress.Progress`."""
        if note:
            self._line(f"{task}: {note}")
        elif not sys.stderr.isatty():
            if task not in self._begun and not task.startswith("checking"):
                amount = f"{total:,} {unit}" if total is not None and unit != BYTES else ""
                if total is not None and unit == BYTES:
                    amount = bytes_text(total)
                rest = f", from byte {done:,} on" if done and unit == BYTES else ""
                self._line(f"{task}{amount and f' ({amount})'}{rest}")
            self._begun.add(task)
        elif task.startswith("checking") and (total is None or total < _SLOW_CHECK):
            return
        elif done == total:
            if task in self._tasks:
                self._started_bars().remove_task(self._tasks.pop(task))
        elif task in self._tasks:
            self._started_bars().update(self._tasks[task], completed=done, total=total)
        else:
            bars = self._started_bars()
            self._tasks[task] = bars.add_task(task, total=total, completed=done, unit=unit)

    def _line(self, text: str) -> None:
        if self._bars is not None:
            from rich.text import Text

            self._bars.console.print(Text(text, style="dim"))
        else:
            print(text, file=sys.stderr)

    def _started_bars(self) -> Bars:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                Task,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )
            from rich.text import Text

            class Amount(DownloadColumn):
                def render(self, task: Task) -> Text:
                    if task.total is None or task.fields["unit"] == BYTES:
                        return super().render(task) if task.total is not None else Text("")
                    amount = f"{int(task.completed):,}/{int(task.total):,} {task.fields['unit']}"
                    return Text(amount, style="progress.download")

            class Speed(TransferSpeedColumn):
                def render(self, task: Task) -> Text:
                    return super().render(task) if task.fields["unit"] == BYTES else Text("")

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                Amount(),
                Speed(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bars.start()
        return self._bars


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr that follows calls of (done, total); yields None if it is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


# -- helps and options ------------------------------------------------------------------------


class HelpFormatter(argparse.HelpFormatter):
    """Wraps prose as argparse does, but keeps the line breaks of a text of several lines.

    argparse would join the example commands and break them at the edge of the terminal.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return "\n".join(indent + line for line in text.splitlines())


def examples(*commands: str, title: str = "examples") -> dict[str, Any]:
    """Keyword arguments of `add_parser` that end a help with commands to copy.

    Args:
        commands: one command each; a long one may contain line breaks.
        title: heading of the commands.
    """
    lines = [f"  {line}" for command in commands for line in command.splitlines()]
    return {"epilog": "\n".join([f"{title}:", *lines]), "formatter_class": HelpFormatter}


def show_help(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """The `run` of a command that only groups actions: it prints the help and returns 0."""

    def show(args: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return show


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that opens a table: device, PUE, carbon intensity."""
    group = parser.add_argument_group("energy and emissions of the table")
    group.add_argument(
        "--device",
        metavar="GPU",
        help="GPU of a modelled table (7v, 5v, 4v): a name such as titan-xp, or a file that "
        "`ecnas surrogate calibrate` wrote",
    )
    group.add_argument(
        "--scaling",
        metavar="HOW",
        help="energy over epochs of a modelled table: affine (the default) or linear",
    )
    group.add_argument(
        "--model", metavar="NAME", help="energy model of a modelled table: ours (default) or paper"
    )
    group.add_argument(
        "--pue",
        type=float,
        metavar="P",
        help="power usage effectiveness: energy that the data centre draws for each kWh of its "
        "machines (default: the table's)",
    )
    group.add_argument(
        "--carbon-intensity",
        metavar="G",
        help="gCO2eq/kWh, a country such as DK, or world (default: the table's emissions)",
    )


def table_options(args: argparse.Namespace) -> dict[str, Any]:
    """The values of the options of `add_table_options`, as keyword arguments of `load`."""
    return {
        name: getattr(args, name)
        for name in ("device", "scaling", "model", "pue", "carbon_intensity")
    }


def add_study_options(parser: argparse.ArgumentParser, of: str) -> None:
    """Add the options of figures and tables that run searches.

    Args:
        parser: parser of the command.
        of: the figures or tables that need the searches, for the heading of the group.
    """
    group = parser.add_argument_group(f"searches for {of}")
    group.add_argument("--methods", metavar="A,B", help="comma-separated (default: all methods)")
    group.add_argument(
        "--seeds", type=int, default=10, metavar="N", help="runs of each method (%(default)s)"
    )
    group.add_argument(
        "--evaluations",
        type=int,
        default=500,
        metavar="N",
        help="trainings that each run is charged for (%(default)s)",
    )


def run_study(bench: Benchmark, args: argparse.Namespace) -> Study:
    """Run the searches that the options of `add_study_options` ask for.

    Raises:
        EcnasError: a setting is not possible.
    """
    from naslib_ecnas.figures.summary import study

    with progress_bar("searching") as on_progress:
        return study(
            bench,
            None if args.methods is None else split_words(args.methods),
            seeds=args.seeds,
            evaluations=args.evaluations,
            epochs=args.epochs,
            on_progress=on_progress,
        )
