"""Style, axes, captions and files that all figures share; the first to need matplotlib."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
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
    from matplotlib.image import AxesImage

    from naslib_ecnas.benchmark import Benchmark

Array = NDArray[np.float64]

#: Width of one column of a two-column paper (88.9 mm), in inches.
COLUMN_WIDTH = 3.5
#: Width of both columns and the gap between them (181.9 mm), in inches.
PAGE_WIDTH = 7.16
#: Files of a figure: three pictures, and the caption as text.
KINDS = ("pdf", "svg", "png", "txt")
#: Smallest missing share of the hypervolume that is drawn; smaller ones are drawn there.
LEAST = 1e-4

#: Colours of Okabe and Ito, which people with any colour vision can tell apart, in the order in
#: which methods take them.
INK = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
    "grey": "#8C8C8C",
}
_LINES = ("-", "--", "-.", ":")

_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("font.size", "axes.labelsize", "axes.titlesize"), 8.0),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), 7.0),
    **dict.fromkeys(("legend.fontsize", "legend.title_fontsize"), 7.0),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    **dict.fromkeys(("xtick.minor.width", "ytick.minor.width"), 0.4),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "legend.borderpad": 0.0,
    "legend.labelspacing": 0.3,
    "legend.columnspacing": 1.2,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.5,
    "svg.hashsalt": "ecnas",  # names within the file, else drawn at random
    "svg.fonttype": "none",  # text that can be searched and edited, not outlines
    "pdf.fonttype": 42,  # editable, and accepted by publishers, unlike Type 3
    "savefig.dpi": 300,
}

#: What `style` was given: width in inches, None for each figure's own, and whether captions are
#: drawn.
_page: ContextVar[tuple[float | None, bool]] = ContextVar("page", default=(None, True))


def line_of(place: int) -> tuple[str, str]:
    """Colour and line style of the method number `place`; distinct in black and white too."""
    turn, colour = divmod(place, len(INK))  # each turn of the colours takes other styles
    return list(INK.values())[colour], _LINES[(place + turn) % len(_LINES)]


def style(width: str | None = None, *, caption: bool | None = None) -> AbstractContextManager[None]:
    """Context in which figures are drawn with our settings; the user's are restored after it.

    Args:
        width: of all figures that are drawn within: `"column"` (88.9 mm) or `"text"` (181.9 mm) of
            a two-column paper, or a number of millimetres; by default each figure's own.
        caption: whether the caption is drawn below each figure; by default it is.

    Raises:
        ConfigError: the width is neither a known name nor 50 to 500 mm.
        MissingDependencyError: on entry, matplotlib is not installed, or not with these settings.
    """
    known = {"column": COLUMN_WIDTH, "text": PAGE_WIDTH}
    try:
        inches = None if width is None else known[width] if width in known else float(width) / 25.4
    except (TypeError, ValueError):
        inches = 0.0
    if inches is not None and not 50 <= 25.4 * inches <= 500:
        raise ConfigError("the width must be column, text or 50 to 500 mm", value=width)
    return _styled(inches, caption)


@contextmanager
def _styled(inches: float | None, caption: bool | None) -> Iterator[None]:
    try:
        from matplotlib import rc_context
    except (ImportError, ValueError) as error:  # ValueError: of a bad setting, such as MPLBACKEND
        feature = "drawing a figure"
        raise MissingDependencyError("matplotlib", feature=feature, extra="plots") from error
    outer = _page.get()
    new = outer[0] if inches is None else inches, outer[1] if caption is None else caption
    token = _page.set(new)
    try:
        with rc_context(_STYLE):
            yield
    finally:
        _page.reset(token)


@contextmanager
def panels(
    caption: str,
    count: int = 1,
    *,
    height: float,
    width: float = COLUMN_WIDTH,
    least: float = math.inf,
    polar: Sequence[int] = (),
    letters: bool = False,
    labels: tuple[str, str] = ("", ""),
    **options: Any,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure in our style with panels in a grid to draw into, and its caption as text below them.

    The figure has no window, and no state of pyplot changes. Its label is the caption.

    Args:
        count: number of panels; as many stand in a row as fit.
        height: of a panel, in inches.
        width: of the figure, in inches, unless `style` has another.
        least: smallest width of a panel, in inches; by default a row has one panel.
        polar: places of the panels with polar axes.
        letters: whether to title the panels (a), (b), ...
        labels: of the x axes of the lowest panels and of the y axes of the first ones in a row.
        options: those of `Figure.subplots`.
    """
    with style():
        from matplotlib.figure import Figure

        chosen, shown = _page.get()
        width = chosen or width
        columns = max(1, min(count, int(width / least)))
        rows = -(-count // columns)
        size = width, rows * height + 0.3
        figure = Figure(figsize=size, layout="constrained", label=caption)
        every: list[Axes] = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
        for axes in every[count:]:
            axes.set_axis_off()
        for place, axes in enumerate(every[:count]):
            axes.set_xlabel(labels[0] if place + columns >= count else "")
            axes.set_ylabel("" if place % columns else labels[1])
        for place in polar:
            where = every[place].get_subplotspec()
            every[place].remove()
            every[place] = figure.add_subplot(where, projection="polar")  # type: ignore[arg-type]
        if letters:
            for place, axes in enumerate(every[:count]):
                axes.set_title(f"({'abcdefgh'[place]})", loc="left")
        yield figure, every[:count]
        if shown:
            lines = textwrap.wrap(caption, int(22.3 * figure.get_figwidth()))
            figure.set_figheight(figure.get_figheight() + 0.1 * len(lines) + 0.1)
            figure.supxlabel("\n".join(lines), fontsize=6, color="#444444", x=0.01, ha="left")


def save(figure: Figure, stem: Path, kinds: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write a figure as `stem.png`, `stem.pdf`, ..., each completely or not at all.

    The kind `"txt"` is the caption as text, which is also in the metadata of the pictures. The
    files contain no date, so that the same figure gives the same bytes, and say that they are ours.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
        ConfigError: matplotlib cannot draw it with these settings of the environment.
    """
    caption = str(figure.get_label())
    ours = "naslib-ecnas"
    about: dict[str, dict[str, Any]] = {
        "pdf": {"Creator": ours, "Subject": caption, "CreationDate": None},
        "svg": {"Creator": ours, "Description": caption, "Date": None},
        "png": {"Author": ours, "Description": caption},
    }
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in kinds]
    with style():
        for kind, path in zip(kinds, paths, strict=True):
            drawn = BytesIO(f"{caption}\n".encode() if kind == "txt" else b"")
            try:
                if kind != "txt":
                    figure.savefig(drawn, format=kind, metadata=about[kind])
            except ValueError as error:  # of the environment, such as SOURCE_DATE_EPOCH
                raise ConfigError(f"matplotlib cannot draw a {kind} ({error})") from error
            with atomic_write(path) as file:
                file.write(drawn.getvalue())
    return paths


# -- legends and matrices -------------------------------------------------------------------------


def legend(figure: Figure, *every: Axes, entry: float = 1.7, **options: Any) -> None:
    """A legend of some panels above them, in columns of `entry` inches; each label comes once."""
    found: dict[str, Any] = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = max(1, int(figure.get_figwidth() / entry))
    options = {"loc": "outside upper left", "ncols": columns, "alignment": "left", **options}
    every_handle: list[Any] = figure.legend(found.values(), found, **options).legend_handles
    for handle in every_handle:  # dots of a cloud are too faint and small for a legend
        handle.set_alpha(1.0)
        if hasattr(handle, "set_sizes"):
            handle.set_sizes(np.maximum(handle.get_sizes(), 9.0))


def matrix(
    axes: Axes,
    shades: Array,
    texts: Mapping[tuple[int, int], str],
    names: Sequence[str],
    **look: Any,
) -> AxesImage:
    """Draw an (n, n) matrix as shades, with texts by (row, column) that can be read on them.

    `look` are options of `imshow`; a NaN has no shade.
    """
    image = axes.imshow(shades, aspect="auto", **look)
    for (i, j), text in texts.items():
        # Weights of the eye (Rec. 601): white on dark fields, black on light ones.
        *colour, opacity = image.to_rgba(shades[i, j])
        dark = opacity > 0 and np.dot(colour, (0.299, 0.587, 0.114)) < 0.5
        look = {"ha": "center", "va": "center", "color": "white" if dark else "black"}
        axes.text(j, i, text, fontsize=6.5, **look)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


# -- axes -------------------------------------------------------------------------------------


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
            log_axis(axes, which, low, high)
    return np.array(factors)


def log_axis(axes: Axes, which: str, low: float, high: float) -> None:
    """Make the x or y axis logarithmic, with as many plain numbers from low to high as fit."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    area = axes.get_window_extent()
    inches = (area.width if which == "x" else area.height) / axes.figure.dpi
    most = max(2, int(inches / 0.35))
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    digits, count = [1.0], 0
    for digits in ([1.0, 2.0, 5.0], [1.0, 3.0], [1.0]):
        ticks = np.outer(decades, digits)
        count = int(((ticks > low / 1.05) & (ticks < high * 1.05)).sum())
        if count <= most:
            break
    axis.set_major_locator(LogLocator(subs=digits) if count > 1 else MaxNLocator(most))
    axis.set_major_formatter(FuncFormatter(_number))
    axis.set_minor_formatter(NullFormatter())


def _number(value: float, place: int | None = None) -> str:
    plain = 1e-5 < value < 1e6
    return f"{value:,.9g}" if plain else f"$10^{{{round(np.log10(value))}}}$"


def missing_axis(axes: Axes, which: str, shares: Array) -> None:
    """Label the axis of missing shares of the hypervolume; logarithmic if they span a lot."""
    axes.set(**{f"{which}label": "Missing hypervolume"})
    low, high = float(shares.min()), float(shares.max())
    if high / low > 8:
        log_axis(axes, which, low, high)


# -- clouds of cells --------------------------------------------------------------------------

#: More points than this are drawn as their density.
MANY = 5000


def binned(points: Array, *log: bool) -> tuple[NDArray[np.int64], Array, Array]:
    """(i, j) counts of (n, 2) points in bins, and the i + 1 and j + 1 edges of the bins, which are
    logarithmic in x and y where `log` says so."""
    edges = []
    for values, bins, wide in zip(points.T, (110, 80), log, strict=True):
        low, high = (np.log(v) if wide else v for v in (values.min(), values.max()))
        # Margins keep the extremes off the frame and give a single value a width.
        room = 0.02 * (high - low) or 0.01
        found = np.linspace(low - room, high + room, bins + 1)
        edges.append(np.exp(found) if wide else found)
    count = np.histogram2d(points[:, 0], points[:, 1], bins=edges)[0]
    return count.astype(np.int64), edges[0], edges[1]


def cloud(axes: Axes, points: Array, shades: str, **look: Any) -> Any:
    """Draw (n, 2) points. Of many, draw and return an image of their density: darker is more, on a
    logarithmic scale from 1, and bins without points are white."""
    if len(points) <= MANY:
        axes.scatter(*points.T, linewidths=0, rasterized=len(points) > 1000, **look)
        return None
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, LogNorm

    count, x, y = binned(points, axes.get_xscale() == "log", axes.get_yscale() == "log")
    # Without the lightest shades a single cell can be seen.
    kept = ListedColormap(colormaps[shades](np.linspace(0.22, 1.0, 256)))
    held = np.where(count > 0, count, np.nan).T
    axes.scatter([], [], linewidths=0, marker="s", **{**look, "s": 20})  # for the legend
    # As an image within the PDF, since thousands of fields would make it large.
    image: dict[str, Any] = {"cmap": kept, "norm": LogNorm(1), "rasterized": True, "zorder": 1}
    return axes.pcolormesh(x, y, held, linewidth=0, **image)


def colour_bar(figure: Figure, image: Any, every: Sequence[Axes], **options: Any) -> Axes:
    """A thin bar of the image's colours above all panels; returns its axes."""
    look = {"location": "top", "aspect": 13 * figure.get_figwidth(), "pad": 0.02, **options}
    bar = figure.colorbar(image, ax=every, **look)
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=6, length=2, width=0.4)
    return bar.ax


# -- texts ------------------------------------------------------------------------------------


def capitalised(text: str) -> str:
    """The text with a first capital letter; the others stay, as those of units must."""
    return text[:1].upper() + text[1:]


def signed(value: float, digits: int) -> str:
    """The value with a plus or a real minus sign."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def origin_of(bench: Benchmark, name: str, epochs: int | None = None, **changed: Any) -> str:
    """Kind, device, PUE and repeats of a metric; no file names, which would fill a caption.

    The smallest budget of a scaled table is measured, which counts if `epochs` is that budget.
    """
    origin = bench.provenance[name]
    if origin.kind == "scaled" and epochs == bench.budgets[0]:
        origin = replace(origin, kind="measured")
    return str(replace(origin, source=None, note=None, **changed))


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
