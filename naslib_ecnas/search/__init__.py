"""Search methods (ask/tell, one file each) and the loop that runs them over a benchmark."""

from naslib_ecnas.search.accounting import Limits, result_of
from naslib_ecnas.search.base import Batch, Optimiser, Problem
from naslib_ecnas.search.local_search import LocalSearch
from naslib_ecnas.search.loop import METHODS, check, run
from naslib_ecnas.search.mse_hvi import MseHvi
from naslib_ecnas.search.random_search import RandomSearch
from naslib_ecnas.search.regularised_evolution import RegularisedEvolution
from naslib_ecnas.search.result import SearchConfig, SearchResult
from naslib_ecnas.search.semoa import Semoa
from naslib_ecnas.search.sh_emoa import ShEmoa

__all__ = [
    "METHODS",
    "Batch",
    "Limits",
    "LocalSearch",
    "MseHvi",
    "Optimiser",
    "Problem",
    "RandomSearch",
    "RegularisedEvolution",
    "SearchConfig",
    "SearchResult",
    "Semoa",
    "ShEmoa",
    "check",
    "result_of",
    "run",
]
