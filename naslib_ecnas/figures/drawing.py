"""Style, axes, captions and files that all figures share; the first to need matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError, MissingDependencyError
from naslib_ecnas.files import atomic_write
from naslib_ecnas.metrics import metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from naslib_ecnas.benchmark import Benchmark

Array = NDArray[np.float64]

#: Width of one column of a two-column paper, in inches.
COLUMN_WIDTH = 3.5
#: Width of both columns and the gap between them, in inches.
PAGE_WIDTH = 7.16

#: Characters of a caption per inch.
_LETTERS = 78 / COLUMN_WIDTH
#: Colours of Okabe and Ito, which people with any colour vision can tell apart.
INK = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#8C8C8C",
}

_ORDER = ("blue", "vermilion", "green", "purple", "orange", "sky", "black", "grey")
_LINES = ("-", "--", "-.", ":")

_STYLE: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.borderpad": 0.0,
    "legend.labelspacing": 0.3,
    "legend.columnspacing": 1.2,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.5,
    "svg.hashsalt": "ecnas",  # names within the file, else drawn at random
    "pdf.fonttype": 42,  # editable, and accepted by publishers, unlike Type 3
    "savefig.dpi": 300,
}


def line_of(place: int) -> tuple[str, str]:
    """Colour and line style of the method number `place`; distinct in black and white too."""
    # Each round of colours takes other styles.
    style = place + place // len(_ORDER)
    return INK[_ORDER[place % len(_ORDER)]], _LINES[style % len(_LINES)]


def style() -> AbstractContextManager[None]:
    """Context with our matplotlib settings; the user's are restored after it.

    Raises:
        MissingDependencyError: matplotlib is not installed, or not with these settings.
    """
    try:
        from matplotlib import rc_context
    except (ImportError, ValueError) as error:  # ValueError: of a bad setting, such as MPLBACKEND
        feature = "drawing a figure"
        raise MissingDependencyError("matplotlib", feature=feature, extra="plots") from error
    return rc_context(_STYLE)


@contextmanager
def captioned(height: float, caption: str, *, width: float = COLUMN_WIDTH) -> Iterator[Figure]:
    """A figure of a size in inches to draw into in our style, with small text below it.

    It has no window, and no state of pyplot changes.
    """
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        wrapped = textwrap.fill(caption, int(width * _LETTERS))
        figure.supxlabel(wrapped, fontsize=6, color="#444444", x=0.01, ha="left")


def save(figure: Figure, stem: Path, kinds: tuple[str, ...] = ("png", "pdf")) -> list[Path]:
    """Write a figure as `stem.png`, `stem.pdf`, ..., each completely or not at all.

    The files contain no date, so that the same figure gives the same bytes, and say that they are
    ours.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
        ConfigError: matplotlib cannot draw it with these settings of the environment.
    """
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in kinds]
    with style():
        for kind, path in zip(kinds, paths, strict=True):
            drawn = BytesIO()
            creator = "Author" if kind == "png" else "Creator"
            about = {**undated.get(kind, {}), creator: "naslib-ecnas"}
            try:
                figure.savefig(drawn, format=kind, metadata=about)
            except ValueError as error:  # of the environment, such as SOURCE_DATE_EPOCH
                raise ConfigError(f"matplotlib cannot draw a {kind} ({error})") from error
            with atomic_write(path) as file:
                file.write(drawn.getvalue())
    return paths


# -- panels and axes --------------------------------------------------------------------------


def panels(figure: Figure, count: int, **options: Any) -> list[Axes]:
    """`count` axes in one or two columns; options are those of `Figure.subplots`."""
    columns = min(2, count)
    grid = figure.subplots(-(-count // columns), columns, squeeze=False, **options)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    return list(grid.flat[:count])


def legend_above(axes: Axes, **options: Any) -> None:
    """A small legend of one panel, above its upper left corner."""
    place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.04), "borderaxespad": 0}
    axes.legend(**{**place, "fontsize": 6, **options})


def axis_unit(name: str, values: Array) -> tuple[float, str]:
    """Factor and label of an axis: a metric in its unit, but small energies in Wh."""
    found = metric(name)
    if found.unit == "kWh" and values.size and float(np.nanmedian(values)) < 1:
        return 1000.0, capitalised(f"{found.about} (Wh)")
    return 1.0, capitalised(found.label)


def scale_axes(
    axes: Axes, names: Sequence[str], points: Array, *, table: Array | None = None
) -> Array:
    """Label both axes, and make an axis logarithmic if its values span orders of magnitude.

    Args:
        names: metrics of the two axes.
        points: (n, 2) values that will be drawn, in the metrics' units.
        table: (k, 2) values that decide the units instead of the points, so that panels agree.

    Returns:
        (2,) factors from the metrics' units to those of the axes.
    """
    factors = []
    deciding = points if table is None else table
    for i, (which, name) in enumerate(zip("xy", names, strict=True)):
        factor, label = axis_unit(name, deciding[:, i])
        factors.append(factor)
        axes.set(**{f"{which}label": label})
        low, high = factor * float(points[:, i].min()), factor * float(points[:, i].max())
        # Only costs: shares between 0 and 1 stay linear even if they are small.
        if low > 0 and high / low > 8 and high > 1:
            axes.set(**{f"{which}scale": "log"})
            log_ticks(axes.xaxis if which == "x" else axes.yaxis, high / low)
    return np.array(factors)


def log_ticks(axis: Any, span: float) -> None:
    """Plain numbers 1, 2, 5, 10, ... at a logarithmic axis whose largest value is not far off."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if span < 1000:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(StrMethodFormatter("{x:,.9g}"))
    axis.set_minor_formatter(NullFormatter())


# -- captions ---------------------------------------------------------------------------------


def capitalised(text: str) -> str:
    """The text with a first capital letter; the others stay, as those of units must."""
    return text[:1].upper() + text[1:]


def origin_of(bench: Benchmark, name: str, **changed: Any) -> str:
    """Kind, device, PUE and repeats of a metric; no file names, which would fill a caption."""
    return str(replace(bench.provenance[name], source=None, note=None, **changed))


def origins(bench: Benchmark, names: Sequence[str]) -> str:
    """A sentence for each origin of the values: the metrics and `origin_of` them."""
    named: dict[str, list[str]] = {}
    for name in names:
        named.setdefault(origin_of(bench, name), []).append(metric(name).about)
    parts = []
    for origin, about in named.items():
        listed = " and ".join(filter(None, (", ".join(about[:-1]), about[-1])))
        parts.append(capitalised(f"{listed}: {origin}."))
    return " ".join(parts)
