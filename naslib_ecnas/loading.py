"""`load`: from a name or a file to a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import SUFFIX, Table, at_place
from naslib_ecnas.errors import ConfigError, UnknownTableError, check_counts
from naslib_ecnas.files import exists, expanded, is_file
from naslib_ecnas.surrogate import EMBEDDED

if TYPE_CHECKING:
    from naslib_ecnas.progress import Progress

#: The table of `load()` and of commands without a table.
DEFAULT_TABLE = "7v"


def load(
    name_or_path: str | PathLike[str] = DEFAULT_TABLE,
    *,
    device: str | PathLike[str] | None = None,
    scaling: str | None = None,
    model: str | None = None,
    world: int | None = None,
    pue: float | None = None,
    carbon_intensity: float | str | None = None,
    fetch: bool = True,
    progress: Progress | None = None,
) -> Benchmark:
    """Open a table as a benchmark.

    `"7v"`, `"5v"` and `"4v"` are the tables that come with the package: every value in them is
    modelled, with its standard deviation, and `Benchmark.quality` says how good the models are.
    They are predicted when they are asked for, 2,048 cells at a time. What needs the whole space,
    such as a front, predicts it once, which takes a few seconds and is reported to
    `progress.listener()`, and keeps it in the cache where that can be written.

    Args:
        name_or_path: `"7v"`, `"5v"`, `"4v"`; a name that `ecnas data list` shows; or a file of
            any format that `ecnas data convert` reads.
        device: GPU that a modelled table's energy is for: a name such as `"titan-xp"`, or a file
            that `ecnas surrogate calibrate` wrote.
        scaling: how a modelled table's energy grows with epochs: `"affine"` (start-up does not
            grow; the default) or `"linear"` (as published: epochs / 4).
        model: energy model of a modelled table, `"ours"` (the default) or `"paper"`, the recipe of
            Bakhtiarifard et al. (2024), scaled linearly.
        world: number of another table, as plausible as a modelled one given what its models know:
            all means are moved by their doubt, alike for like cells. None is the modelled table.
        pue: power usage effectiveness for all energies; by default the table's own.
        carbon_intensity: gCO2eq/kWh, a country, `"EU"` or `"world"`; by default the table's own
            emissions, if it has any.
        fetch: whether a published file that is not here yet may be downloaded.
        progress: called with the progress of a fetch or a conversion.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the file is not here and could not, or must not, be downloaded.
        ConfigError: a setting is not possible, or not with this table.
        ProvenanceError: the PUE cannot be changed, since the table does not say what PUE it has.
    """
    modelled: dict[str, Any] = {"device": device, "scaling": scaling, "model": model}
    settings = {**modelled, "world": world, "fetch": fetch}
    table = _open(name_or_path, settings, progress)
    return Benchmark(at_place(table, pue, carbon_intensity))


def _open(
    name_or_path: str | PathLike[str], settings: dict[str, Any], progress: Progress | None = None
) -> Table:
    """The table of `load`, which another process opens by the same settings (`Table.opener`)."""
    if isinstance(name_or_path, str) and name_or_path in EMBEDDED:
        from naslib_ecnas.surrogate.tables import chosen, open_modelled

        given = {name: settings[name] for name in ("device", "scaling", "model")}
        table = open_modelled(chosen(name_or_path, **given))
        if settings["world"] is not None:
            from naslib_ecnas.surrogate.worlds import WorldTable

            check_counts(least=0, world=settings["world"])
            table = WorldTable(table, settings["world"])
    else:
        table = Table.open(table_file(name_or_path, **settings, progress=progress))
    device = settings["device"] and _absolute(settings["device"])
    table.opener = partial(_open, _absolute(name_or_path), {**settings, "device": device})
    if "failure_probability" in table.metrics:
        table.draw = _drawn
    return table


def _drawn(values: Mapping[str, NDArray[Any]], epochs: int, rng: Any) -> dict[str, NDArray[Any]]:
    """Single trainings from the values of a modelled table (`NoiseModel.drawn`)."""
    from naslib_ecnas.surrogate.noise import NoiseModel  # most tables need none

    return NoiseModel.shipped().drawn(values, epochs, rng)


def _absolute(name_or_path: str | PathLike[str]) -> str:
    """A name as it is, the path of a file as an absolute one."""
    path = expanded(name_or_path)
    bare = isinstance(name_or_path, str) and len(path.parts) == 1
    if not exists(path) or (bare and name_or_path in _names()):
        return str(name_or_path)
    return str(path.absolute())


def _names() -> list[str]:
    """Names of all tables: those that come with the package and those of the catalog."""
    from naslib_ecnas.data.catalog import tables

    return [*EMBEDDED, *(table.name for table in tables())]


def table_file(
    name_or_path: str | PathLike[str],
    *,
    device: str | PathLike[str] | None = None,
    scaling: str | None = None,
    model: str | None = None,
    world: int | None = None,
    fetch: bool = True,
    afresh: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The table file that `load` would open, predicted or converted if that was not yet done.

    Args:
        name_or_path, device, scaling, model, fetch, progress: see `load`.
        world: refused; a world is not kept in a file.
        afresh: make the file again, such as when it is damaged.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the file is not here and could not, or must not, be downloaded.
        ConfigError: a setting is not possible, or not with this table.
    """
    if not isinstance(name_or_path, (str, PathLike)):
        raise UnknownTableError("a table is given by its name or path", value=name_or_path)
    settings: dict[str, Any] = {"device": device, "scaling": scaling, "model": model}
    if world is not None:
        raise ConfigError("a world is one of the modelled tables 7v, 5v and 4v", value=world)
    if isinstance(name_or_path, str) and name_or_path in EMBEDDED:
        from naslib_ecnas.surrogate.tables import chosen, embedded

        return embedded(chosen(name_or_path, **settings), afresh=afresh, progress=progress)
    for setting, value in settings.items():
        if value is not None:
            message = f"{setting}= is for the modelled tables 7v, 5v and 4v, not for {name_or_path}"
            raise ConfigError(message, value=value)
    path = Path(name_or_path)
    if path.suffix == SUFFIX and is_file(path) and not afresh:
        return path
    from naslib_ecnas.data.convert import converted

    try:
        return converted(name_or_path, fetch=fetch, afresh=afresh, progress=progress)
    except UnknownTableError as error:
        if exists(path):
            raise
        remedy = f"the tables are {', '.join(_names())} (see: ecnas data list)"
        raise UnknownTableError(
            "no such file or table", value=str(name_or_path), remedy=remedy
        ) from error
