"""Search methods (ask/tell, one file each) and the loop that runs them over a benchmark."""

from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.loop import check, run
from naslib_ecnas.search.methods import METHODS
from naslib_ecnas.search.random_search import RandomSearch
from naslib_ecnas.search.result import SearchConfig, SearchResult
from naslib_ecnas.search.semoa import Semoa

__all__ = [
    "METHODS",
    "Optimiser",
    "RandomSearch",
    "SearchConfig",
    "SearchResult",
    "Semoa",
    "check",
    "run",
]
