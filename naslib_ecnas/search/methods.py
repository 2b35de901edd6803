"""The table of search methods by name: a new method is a file and a line here."""

from __future__ import annotations

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.local_search import LocalSearch
from naslib_ecnas.search.mse_hvi import MseHvi
from naslib_ecnas.search.random_search import RandomSearch
from naslib_ecnas.search.regularised_evolution import RegularisedEvolution
from naslib_ecnas.search.semoa import Semoa
from naslib_ecnas.search.sh_emoa import ShEmoa

__all__ = ["METHODS", "method_of"]

METHODS: dict[str, type[Optimiser]] = {
    "random": RandomSearch,
    "semoa": Semoa,
    "sh-emoa": ShEmoa,
    "mse-hvi": MseHvi,
    "re": RegularisedEvolution,
    "ls": LocalSearch,
}


def method_of(name: str) -> type[Optimiser]:
    """The class of a method.

    Raises:
        ConfigError: an unknown name.
    """
    found = METHODS.get(name)
    if found is None:
        raise ConfigError(f"the method must be one of {', '.join(METHODS)}", value=name)
    return found
