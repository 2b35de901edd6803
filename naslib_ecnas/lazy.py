"""Names of packages that are imported when they are first used, so that starting costs little."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazily(
    package: str, modules: str = "", /, **homes: str
) -> tuple[list[str], Callable[[str], Any]]:
    """The `__all__` and the `__getattr__` of a package, whose `dir` then lists these names.

    Args:
        package: its `__name__`.
        modules: modules and packages in it that need no import of their own, separated by spaces;
            not in `__all__`.
        homes: module of the package -> the names that are imported from it, separated by spaces.
    """
    whole = modules.split()
    home = {name: module for module, names in homes.items() for name in names.split()}

    def getattribute(name: str) -> Any:
        if name in whole:
            return import_module(f"{package}.{name}")
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(home)
    vars(sys.modules[package])["__dir__"] = lambda: sorted([*names, *whole])
    return names, getattribute
