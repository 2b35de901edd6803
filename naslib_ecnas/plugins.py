"""Tables, methods and metrics that installed packages add by entry points.

The groups are `naslib_ecnas.tables`, `naslib_ecnas.methods` and `naslib_ecnas.metrics`. They are
read only when a name is not one of this package, since reading them takes longer than a query.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from naslib_ecnas.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

T = TypeVar("T")


@cache
def _points(kind: str) -> EntryPoints:
    from importlib.metadata import entry_points

    return entry_points(group=f"naslib_ecnas.{kind}s")


def installed(kind: str) -> dict[str, str]:
    """The names that installed packages add, each with its package, in alphabetical order.

    Args:
        kind: `table`, `method` or `metric`. Nothing of the packages is imported.
    """
    return {p.name: p.dist.name if p.dist else p.module for p in sorted(_points(kind))}


def plugin(kind: str, name: str, accept: Callable[[object], T | None], wanted: str) -> T:
    """What an installed package adds under a name of `installed`.

    Args:
        kind, name: see `installed`.
        accept: returns the thing to use for the object of the entry point, None if it is no such.
        wanted: what the object must be, for the error.

    Raises:
        PluginError: it cannot be imported, is something else, or two packages add this name.
    """
    points = [point for point in _points(kind) if point.name == name]
    package = " and ".join(p.dist.name if p.dist else p.module for p in points)
    if len(points) > 1:
        raise PluginError(f"{package} both add the {kind} {name}", package=package)
    try:
        found = accept(points[0].load())
    except Exception as error:  # whatever the code of others raises
        text = f"the {kind} {name} of the package {package} cannot be used"
        raise PluginError(f"{text}: {type(error).__name__}: {error}", package=package) from error
    if found is None:
        text = f"the {kind} {name} of the package {package} must be {wanted}"
        raise PluginError(text, package=package, value=points[0].value)
    return found
