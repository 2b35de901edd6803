"""How commands show things: tables, byte counts and progress, in colour on terminals only."""

from __future__ import annotations

import argparse
import math
import sys
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
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
    "HelpText",
    "ShownProgress",
    "add_study_options",
    "add_table_options",
    "bytes_text",
    "duration_text",
    "examples",
    "print_json",
    "print_lines",
    "print_table",
    "searched",
    "setting",
]


#: Between two columns of a table, and at its edges.
_GAP = 2

#: Longer words of a table's texts, such as paths, are broken where there is no room.
_WORD = 24

#: Bytes from which on checking a file takes long enough to be shown.
_SLOW_CHECK = 100_000_000

_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_text(size: int | None) -> str:
    """A number of bytes for reading, such as `2.1 MB`; a question mark for None."""
    if size is None:
        return "?"
    value, unit = float(size), 0
    while value >= 999.5 and unit + 1 < len(_UNITS):
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}"


def duration_text(seconds: float) -> str:
    """Seconds for reading, such as `16 s`, `25 min` or `3.4 h`."""
    if not math.isfinite(seconds):
        return "unknown time"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def print_json(data: Any) -> None:
    """Print one JSON document; NaN and infinities, which JSON has not, become null."""
    print(to_json(data, indent=2))


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    file: TextIO | None = None,
) -> None:
    """Print a table: framed and coloured on a terminal, plain aligned text elsewhere.

    On a terminal texts are broken between words where they do not fit; where even that does not
    do, each row is a block of lines. No number is ever cut.

    Args:
        headings: of the columns.
        rows: one text for each column.
        right: columns that are aligned to the right.
        file: where to, by default stdout.
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
    """Widths of columns that fit together, the widest narrowed first; None where none do."""
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
    """The width below which a column, its heading first, cannot be read: numbers keep their
    digits, texts are broken between words."""
    heading, *texts = column
    words = max(map(len, heading.split()), default=0)
    if numbers:
        return max([words, *map(len, texts)])
    longest = max((len(word) for text in texts for word in text.split()), default=0)
    return max(words, min(longest, _WORD))


def _print_blocks(headings: Sequence[str], rows: Sequence[Sequence[str]], file: TextIO) -> None:
    """A block for each row, a line for each column: all of what a narrow table would cut."""
    width = max(map(len, headings[1:]), default=0)
    for row in rows:
        print(f"{headings[0]} {row[0]}".strip(), file=file)
        for heading, text in zip(headings[1:], row[1:], strict=True):
            print(f"  {heading.ljust(width)}  {text}".rstrip(), file=file)


def print_lines(lines: Sequence[str]) -> None:
    """Print lines of prose, broken between words on a terminal and whole elsewhere."""
    for line in lines:
        if sys.stdout.isatty():
            print(textwrap.fill(line, get_terminal_size().columns, subsequent_indent="    "))
        else:
            print(line)


class ShownProgress:
    """Shows long work on stderr: bars on a terminal, single lines elsewhere.

    It hears of what it is passed to as `progress`, and, as the listener within its block, of the
    rest.

    Example:
        with ShownProgress() as progress:
            fetch(entry, progress=progress)
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._heard: AbstractContextManager[None] | None = None

    def __enter__(self) -> ShownProgress:
        self._heard = listening(self)
        self._heard.__enter__()
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
        if self._heard is not None:
            self._heard.__exit__(kind, error, trace)

    def started(
        self, name: str, doing: str, total: int | None, done: int, unit: str = BYTES
    ) -> None:
        if not sys.stderr.isatty():
            if doing != "checking":
                amount = bytes_text(total) if unit == BYTES else f"{total:,} {unit}"
                size = f" ({amount})" if total is not None else ""
                rest = f", from byte {done:,} on" if done else ""
                self._line(f"{doing} {name}{size}{rest}")
            return
        if doing == "checking" and (total is None or total < _SLOW_CHECK):
            return
        bars = self._shown()
        label = f"{doing} {name}"
        with suppress(KeyError):
            bars.remove_task(self._tasks.pop(name))
        self._tasks[name] = bars.add_task(label, total=total, completed=done, unit=unit)

    def advanced(self, name: str, done: int) -> None:
        if self._bars is not None and name in self._tasks:
            self._bars.update(self._tasks[name], completed=done)

    def finished(self, name: str) -> None:
        if self._bars is not None and name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))

    def noted(self, name: str, message: str) -> None:
        self._line(f"{name}: {message}")

    def _line(self, text: str) -> None:
        if self._bars is not None:
            from rich.text import Text

            self._bars.console.print(Text(text, style="dim"))
        else:
            print(text, file=sys.stderr)

    def _shown(self) -> Bars:
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


# How the end of a command's help is laid out: examples in lines that can be copied.


class HelpText(argparse.HelpFormatter):
    """Wraps prose as argparse does, but leaves a text of several lines as it is written.

    argparse would run all lines together and break commands where the terminal ends.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return "\n".join(indent + line for line in text.splitlines())


def examples(*commands: str, title: str = "examples") -> dict[str, Any]:
    """Keyword arguments of `add_parser` that end a help with commands to copy.

    Args:
        commands: what to type, a line each; a longer one may hold line breaks of its own.
        title: what stands above them.
    """
    lines = [f"  {line}" for command in commands for line in command.splitlines()]
    return {"epilog": "\n".join([f"{title}:", *lines]), "formatter_class": HelpText}


# Options of every command that opens a table: which device, which PUE, whose electricity.


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options, in a group of their own."""
    group = parser.add_argument_group("energy and emissions of the table")
    group.add_argument(
        "--device",
        metavar="GPU",
        help="of a modelled table (7v, 5v, 4v): the GPU, such as titan-xp, or a file that "
        "`ecnas surrogate calibrate` wrote",
    )
    group.add_argument(
        "--scaling",
        metavar="HOW",
        help="of a modelled table: energy over epochs affine (the default) or linear",
    )
    group.add_argument(
        "--model", metavar="NAME", help="of a modelled table: ours (the default) or paper"
    )
    group.add_argument(
        "--pue",
        type=float,
        metavar="P",
        help="power usage effectiveness: what the data centre draws for each kWh of its machines "
        "(the table's own)",
    )
    group.add_argument(
        "--carbon-intensity",
        metavar="G",
        help="gCO2eq/kWh, a country such as DK, or world (the table's own emissions)",
    )


def setting(args: argparse.Namespace) -> dict[str, Any]:
    """What was chosen, as keyword arguments of `load`."""
    return {
        name: getattr(args, name)
        for name in ("device", "scaling", "model", "pue", "carbon_intensity")
    }


# Options of the figures and tables that need searches, and the searches.


def add_study_options(parser: argparse.ArgumentParser, of: str) -> None:
    """Add the options, in a group of their own.

    Args:
        parser: of the command.
        of: which figures or tables need them.
    """
    group = parser.add_argument_group(f"searches, for {of}")
    group.add_argument("--methods", metavar="A,B", help="comma-separated (all there are)")
    group.add_argument(
        "--seeds", type=int, default=10, metavar="N", help="runs of each method (%(default)s)"
    )
    group.add_argument(
        "--evaluations",
        type=int,
        default=500,
        metavar="N",
        help="trainings to charge each run for (%(default)s)",
    )


def searched(bench: Benchmark, args: argparse.Namespace) -> Study:
    """Run the searches that were asked for, with a bar on stderr where that is a terminal.

    Raises:
        EcnasError: a setting is not possible.
    """
    from naslib_ecnas.figures.summary import study

    methods = None
    if args.methods is not None:
        methods = [name.strip() for name in args.methods.split(",") if name.strip()]

    def run(on_progress: object = None) -> Study:
        return study(
            bench,
            methods,
            seeds=args.seeds,
            evaluations=args.evaluations,
            epochs=args.epochs,
            on_progress=on_progress,  # type: ignore[arg-type]
        )

    if not sys.stderr.isatty():
        return run()
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("searching", total=None)
        return run(lambda made, total: bar.update(task, completed=made, total=total))
