"""`load`: from a name or a file to a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import SUFFIX, Table, at_place
from naslib_ecnas.errors import ConfigError, UnknownTableError, check_counts
from naslib_ecnas.files import exists, expanded, is_file
from naslib_ecnas.plugins import installed, plugin
from naslib_ecnas.surrogate import EMBEDDED

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
) -> Benchmark:
    """Open a table as a benchmark.

    `"7v"`, `"5v"` and `"4v"` are the tables that come with the package: every value in them is
    modelled, with its standard deviation, and `Benchmark.quality` says how good the models are.
    They are predicted when they are asked for, 2,048 cells at a time. What needs the whole space,
    such as a front, predicts it once, which takes a few seconds, and keeps it in the cache where
    that can be written. This, fetches and conversions report to `progress.listening`.

    Args:
        name_or_path: `"7v"`, `"5v"`, `"4v"`; a name that `ecnas data list` shows, such as one that
            an installed package adds; or a file of any format that `ecnas data convert` reads.
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

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the file is not here and could not, or must not, be downloaded.
        ConfigError: a setting is not possible, or not with this table.
        ProvenanceError: the PUE cannot be changed, since the table does not say what PUE it has.
        PluginError: a package that adds the table is broken.
    """
    settings: dict[str, Any] = {"device": device, "scaling": scaling, "model": model}
    table = _open(name_or_path, {**settings, "world": world, "fetch": fetch})
    return Benchmark(at_place(table, pue, carbon_intensity))


def _open(name_or_path: str | PathLike[str], settings: dict[str, Any]) -> Table:
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
        for setting in ("device", "scaling", "model", "world"):
            if (value := settings[setting]) is not None:
                of = f"the modelled tables 7v, 5v and 4v, not for {name_or_path}"
                raise ConfigError(f"{setting}= is for {of}", value=value)
        table = Table.open(table_file(name_or_path, fetch=settings["fetch"]))
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
    name_or_path: str | PathLike[str], *, fetch: bool = True, afresh: bool = False
) -> Path:
    """The table file that `load` would open, predicted or converted if that was not yet done.

    Args:
        name_or_path, fetch: see `load`.
        afresh: make the file again, such as when it is damaged.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the file is not here and could not, or must not, be downloaded.
    """
    if not isinstance(name_or_path, (str, PathLike)) or name_or_path == "":
        raise UnknownTableError("a table is given by its name or path", value=name_or_path)
    if isinstance(name_or_path, str) and name_or_path in EMBEDDED:
        from naslib_ecnas.surrogate.tables import chosen, embedded

        return embedded(chosen(name_or_path), afresh=afresh)
    path = Path(name_or_path)
    if path.suffix == SUFFIX and is_file(path) and not afresh:
        return path
    from naslib_ecnas.data.catalog import named
    from naslib_ecnas.data.convert import converted

    name = str(name_or_path)
    if not any(named(name)) and not exists(expanded(name_or_path)):
        if name not in installed("table"):
            names = ", ".join([*_names(), *installed("table")])
            remedy = f"the tables are {names} (see: ecnas data list)"
            raise UnknownTableError("no such file or table", value=name, remedy=remedy)
        name_or_path = plugin("table", name, _their_file, _THEIRS)
    return converted(name_or_path, fetch=fetch, afresh=afresh)


_THEIRS = "the path of a file or folder that exists, or a function that returns it"


def _their_file(found: object) -> Path | None:
    """The file or folder that an entry point names: its path, or a function that returns it."""
    found = found() if callable(found) else found
    return Path(found) if isinstance(found, (str, PathLike)) and exists(Path(found)) else None
