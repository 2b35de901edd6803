"""Names of packages that are imported when they are first used, so that starting costs little."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

_IMPORT = re.compile(r"^    from (\S+) import \(?\s*(\w+) as \2\b", re.MULTILINE)


def lazily(package: str) -> tuple[list[str], Callable[[str], Any]]:
    """The `__all__` and the `__getattr__` of a package, whose `dir` then lists these names.

    They are the names that its file imports for type checkers, by `from HOME import NAME as NAME`
    below `if TYPE_CHECKING:`. Modules of the package itself are not in `__all__`.
    """
    module = sys.modules[package]
    source = vars(module)["__loader__"].get_data(module.__file__).decode()
    home = {name: where for where, name in _IMPORT.findall(source)}

    def getattribute(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if home[name] == package:
            return import_module(f"{package}.{name}")
        value = getattr(import_module(home[name]), name)
        setattr(module, name, value)
        return value

    vars(module)["__dir__"] = lambda: sorted(home)
    return sorted(name for name in home if home[name] != package), getattribute
