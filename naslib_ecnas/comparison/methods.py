"""Every method that can be compared, those on other libraries included, by its name."""

from __future__ import annotations

from importlib import import_module

from naslib_ecnas.errors import ConfigError, MissingDependencyError
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.methods import METHODS

__all__ = ["ADAPTED", "method_class", "names"]

_HERE = "naslib_ecnas.adapters"

#: Methods of other libraries: name -> (module, class, what to install). A new one is a line here.
ADAPTED: dict[str, tuple[str, str, str]] = {
    "nsga2": (f"{_HERE}.pymoo_methods", "PymooNsga2", "pymoo"),
    "sms-emoa": (f"{_HERE}.pymoo_methods", "SmsEmoa", "pymoo"),
    "motpe": (f"{_HERE}.optuna_methods", "Motpe", "optuna"),
    "optuna-nsga2": (f"{_HERE}.optuna_methods", "OptunaNsga2", "optuna"),
    "nsga3": (f"{_HERE}.optuna_methods", "OptunaNsga3", "optuna"),
    "qnehvi": (f"{_HERE}.botorch_qnehvi", "Qnehvi", "botorch"),
}


def names() -> tuple[str, ...]:
    """All names, our own methods first."""
    return (*METHODS, *ADAPTED)


def method_class(name: str) -> type[Optimiser]:
    """The class of a method.

    Raises:
        ConfigError: there is none of this name.
        MissingDependencyError: its library is not installed.
    """
    if isinstance(name, str) and name in METHODS:
        return METHODS[name]
    if not isinstance(name, str) or name not in ADAPTED:
        raise ConfigError(
            "no such search method",
            value=name,
            expected="one of " + ", ".join(names()),
            remedy="choose one of these",
        )
    module, kind, package = ADAPTED[name]
    try:
        found: type[Optimiser] = getattr(import_module(module), kind)
    except ImportError as error:
        extra = "botorch" if package == "botorch" else "search"
        raise MissingDependencyError(package, feature=f"the method {name}", extra=extra) from error
    return found
