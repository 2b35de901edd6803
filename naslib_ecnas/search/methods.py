"""The search methods by name: this package's, those of other libraries, and users' own.

A method is named as in `METHODS` or `ADAPTED`, by an entry point of the group
`naslib_ecnas.methods` of an installed package, or as `module:Class`. Settings of its class may
follow: `semoa:population=20:preset=shipped`, `my_package.climber:Climber:parents=5`.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections import UserDict
from collections.abc import Mapping
from contextlib import suppress
from pkgutil import resolve_name
from typing import Any

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.plugins import installed, plugin
from naslib_ecnas.search.base import Optimiser


class _Methods(UserDict[str, Any]):
    """Classes by name, each imported from its module when it is first asked for."""

    def __getitem__(self, name: str) -> type[Optimiser]:
        if isinstance(self.data[name], str):
            self.data[name] = resolve_name(f"naslib_ecnas.search.{self.data[name]}")
        kind: type[Optimiser] = self.data[name]
        return kind


#: The methods of this package by name. A new one is a file and an entry here.
METHODS = _Methods(
    {
        "random": "random_search:RandomSearch",
        "semoa": "semoa:Semoa",
        "sh-emoa": "sh_emoa:ShEmoa",
        "mse-hvi": "mse_hvi:MseHvi",
        "ehvi": "ehvi:Ehvi",
        "mf-ehvi": "mf_ehvi:MfEhvi",
        "re": "regularised_evolution:RegularisedEvolution",
        "ls": "local_search:LocalSearch",
    }
)

#: Methods of other libraries: name -> (module in `naslib_ecnas.adapters`, class, package). A new
#: one is a line here.
ADAPTED: dict[str, tuple[str, str, str]] = {
    "nsga2": ("pymoo_host", "PymooNsga2", "pymoo"),
    "sms-emoa": ("pymoo_host", "SmsEmoa", "pymoo"),
    "motpe": ("optuna_host", "Motpe", "optuna"),
    "optuna-nsga2": ("optuna_host", "OptunaNsga2", "optuna"),
    "nsga3": ("optuna_host", "OptunaNsga3", "optuna"),
    "qnehvi": ("botorch_qnehvi", "Qnehvi", "botorch"),
}


def method_names() -> tuple[str, ...]:
    """Names of all methods: this package's first, then other libraries', then installed ones."""
    return (*METHODS, *ADAPTED, *installed("method"))


def method_of(text: str) -> tuple[str, dict[str, Any]]:
    """The name of a method and its settings, from a text such as `semoa:population=20`.

    A setting is a whole number, a number, `true`, `false`, `none` or else a text. The class is not
    imported.

    Raises:
        ConfigError: no method has this name, or a setting is named twice.
    """
    parts = text.split(":") if isinstance(text, str) else [""]
    first = next((i for i, part in enumerate(parts) if "=" in part), len(parts))
    name, given = ":".join(parts[:first]), [part.partition("=")[::2] for part in parts[first:]]
    own = re.fullmatch(r"[\w.]+:[^\W\d]\w*", name)
    if not (name in METHODS or name in ADAPTED or own or name in installed("method")):
        names = ", ".join(method_names())
        raise ConfigError(f"the method must be one of {names}, or module:Class", value=text)
    settings = {key: _value(value) for key, value in given}
    if len(settings) < len(given) or not all(key.isidentifier() for key in settings):
        raise ConfigError("settings of a method are name=value, each once", value=text)
    return name, settings


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    if re.fullmatch(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", text, re.IGNORECASE):
        for kind in (int, float):
            with suppress(ValueError):
                return kind(text)
    return text


_CLASS = "a subclass of Optimiser"


def _optimiser(found: object) -> type[Optimiser] | None:
    return found if isinstance(found, type) and issubclass(found, Optimiser) else None


def method_class(method: str | type[Optimiser]) -> type[Optimiser]:
    """The class of a method by its text, whose settings do not matter, or a class as it is.

    Raises:
        ConfigError: an unknown name, or no subclass of `Optimiser`.
        MissingDependencyError: the method's library is not installed.
    """
    found: Any = method
    name = method_of(method)[0] if isinstance(method, str) else ""
    if name in METHODS:
        found = METHODS[name]
    elif name in ADAPTED:
        module, kind, _ = ADAPTED[name]
        found = resolve_name(f"naslib_ecnas.adapters.{module}:{kind}")
    elif name:
        here = os.getcwd()  # where a script of one's own lies
        sys.path.append(here)
        try:
            own = ":" in name
            found = resolve_name(name) if own else plugin("method", name, _optimiser, _CLASS)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"the method cannot be imported: {error}", value=name) from error
        finally:
            sys.path.remove(here)
    optimiser = _optimiser(found)
    if optimiser is None:
        raise ConfigError(f"the method must be a name or {_CLASS}", value=found)
    return optimiser


def resolved(
    method: str | type[Optimiser], options: Mapping[str, Any] | None
) -> tuple[type[Optimiser], dict[str, Any]]:
    """The class of a method, and its settings: those of its text, then `options`.

    Raises:
        ConfigError: an unknown name or setting, or no subclass of `Optimiser`.
        MissingDependencyError: the method's library is not installed.
    """
    kind = method_class(method)
    given = {**(method_of(method)[1] if isinstance(method, str) else {}), **(options or {})}
    try:
        inspect.signature(kind).bind(None, **given)
    except TypeError as error:
        raise ConfigError(f"options of {kind.name} do not fit: {error}") from error
    return kind, given
