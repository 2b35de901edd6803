"""`load`: from a name or a file to a benchmark."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import SUFFIX, Table
from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.files import exists, is_file

if TYPE_CHECKING:
    from naslib_ecnas.progress import Progress

__all__ = ["DEFAULT_TABLE", "load", "table_file"]

#: The table of every command that is not told another.
DEFAULT_TABLE = "7v"


def load(
    name_or_path: str | PathLike[str] = DEFAULT_TABLE,
    *,
    device: str | PathLike[str] | None = None,
    scaling: str | None = None,
    model: str | None = None,
    pue: float | None = None,
    carbon_intensity: float | str | None = None,
    fetch: bool = True,
    progress: Progress | None = None,
) -> Benchmark:
    """Open a table as a benchmark.

    `"7v"`, `"5v"` and `"4v"` are the tables that come with the package: every value in them is
    modelled, with its standard deviation, and `Benchmark.quality` says how good the models are.
    Their first use predicts the space, which takes a few seconds; later ones map a file.

    Args:
        name_or_path: `"7v"`, `"5v"`, `"4v"`; a name that `ecnas data list` shows; or a file of
            any format that `ecnas data convert` reads.
        device: of a modelled table, the GPU whose energy it shall be: a name such as
            `"titan-xp"`, or a file that `ecnas surrogate calibrate` wrote.
        scaling: of a modelled table, how energy grows with epochs: `"affine"` (start-up does not
            grow; the default) or `"linear"` (as published: epochs / 4).
        model: of a modelled table, `"ours"` (the default) or `"paper"`, whose energies are those
            of the recipe of Bakhtiarifard et al. (2024), scaled linearly.
        pue: power usage effectiveness for all energies; the table's own where left out.
        carbon_intensity: gCO2eq/kWh, a country's code or `"world"`; the table's own emissions,
            if it has any, where left out.
        fetch: whether a published file that is not here yet may be brought.
        progress: hears how far a fetch or a conversion is.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the file is not here and could not, or must not, be brought.
        ConfigError: a setting is not possible, or not with this table.
        ProvenanceError: the PUE cannot be changed since the table does not say what it is.
    """
    path = table_file(
        name_or_path, device=device, scaling=scaling, model=model, fetch=fetch, progress=progress
    )
    table = Table.open(path)
    if pue is not None or carbon_intensity is not None:
        from naslib_ecnas.data.table import at_place

        table = at_place(table, pue, carbon_intensity)
    return Benchmark(table)


def table_file(
    name_or_path: str | PathLike[str],
    *,
    device: str | PathLike[str] | None = None,
    scaling: str | None = None,
    model: str | None = None,
    fetch: bool = True,
    afresh: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The table file of what `load` would open, made where that was not yet done.

    Args:
        name_or_path, device, scaling, model, fetch, progress: as of `load`.
        afresh: make it even where that was done, such as when it was damaged.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the file is not here and could not, or must not, be brought.
        ConfigError: a setting is not possible, or not with this table.
    """
    if not isinstance(name_or_path, (str, PathLike)):
        raise UnknownTableError(
            "no such table",
            value=name_or_path,
            expected="a name or a path",
            remedy="list the tables with: ecnas data list",
        )
    if isinstance(name_or_path, str):
        from naslib_ecnas.surrogate.modelled import EMBEDDED, embedded

        if name_or_path in EMBEDDED:
            return embedded(
                name_or_path,
                device=device,
                scaling=scaling,
                model=model,
                afresh=afresh,
                progress=progress,
            )
    chosen = {"device": device, "scaling": scaling, "model": model}
    set_here = [name for name, value in chosen.items() if value is not None]
    if set_here:
        raise ConfigError(
            f"{set_here[0]}= is for the modelled tables",
            value=f"{name_or_path}, {set_here[0]}={chosen[set_here[0]]}",
            expected="one of 7v, 5v, 4v",
            remedy="leave it out: what a published table holds was measured on its own device",
        )
    path = Path(name_or_path)
    if path.suffix == SUFFIX and is_file(path) and not afresh:
        return path
    from naslib_ecnas.data.convert import converted

    try:
        return converted(name_or_path, fetch=fetch, afresh=afresh, progress=progress)
    except UnknownTableError as error:
        if exists(path):
            raise
        # The catalog is of published files and does not know what comes with the package.
        raise UnknownTableError(
            error.what,
            value=error.value,
            expected=f"7v, 5v or 4v, or {error.expected}",
            remedy=error.remedy,
        ) from error
