"""Search methods (ask/tell, one file each) and the loop that runs them over a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naslib_ecnas.lazy import lazily

if TYPE_CHECKING:
    from naslib_ecnas.search.accounting import Limits as Limits
    from naslib_ecnas.search.base import Batch as Batch
    from naslib_ecnas.search.base import Optimiser as Optimiser
    from naslib_ecnas.search.base import Problem as Problem
    from naslib_ecnas.search.ehvi import Ehvi as Ehvi
    from naslib_ecnas.search.local_search import LocalSearch as LocalSearch
    from naslib_ecnas.search.loop import check as check
    from naslib_ecnas.search.loop import run as run
    from naslib_ecnas.search.methods import METHODS as METHODS
    from naslib_ecnas.search.mf_ehvi import MfEhvi as MfEhvi
    from naslib_ecnas.search.mse_hvi import MseHvi as MseHvi
    from naslib_ecnas.search.random_search import RandomSearch as RandomSearch
    from naslib_ecnas.search.regularised_evolution import (
        RegularisedEvolution as RegularisedEvolution,
    )
    from naslib_ecnas.search.result import SearchConfig as SearchConfig
    from naslib_ecnas.search.result import SearchResult as SearchResult
    from naslib_ecnas.search.result import result_of as result_of
    from naslib_ecnas.search.semoa import Semoa as Semoa
    from naslib_ecnas.search.sh_emoa import ShEmoa as ShEmoa

__all__, __getattr__ = lazily(__name__)
