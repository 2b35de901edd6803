"""Fronts, hypervolume, attainment, knee, ranks and tests of significance.

Values are in the metrics' units; the metrics know which direction is better. moocore and scipy
are imported by the functions that use them, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from naslib_ecnas.lazy import lazily
from naslib_ecnas.nondominated import nondominated as nondominated

if TYPE_CHECKING:
    from naslib_ecnas.analysis.attainment import AttainmentDifference as AttainmentDifference
    from naslib_ecnas.analysis.attainment import AttainmentSurface as AttainmentSurface
    from naslib_ecnas.analysis.attainment import attainment_difference as attainment_difference
    from naslib_ecnas.analysis.attainment import attainment_surface as attainment_surface
    from naslib_ecnas.analysis.indicators import epsilon as epsilon
    from naslib_ecnas.analysis.indicators import epsilon_factor as epsilon_factor
    from naslib_ecnas.analysis.indicators import igd_plus as igd_plus
    from naslib_ecnas.analysis.indicators import paper_hypervolume as paper_hypervolume
    from naslib_ecnas.analysis.pareto import contributions as contributions
    from naslib_ecnas.analysis.pareto import costs_of as costs_of
    from naslib_ecnas.analysis.pareto import extremes as extremes
    from naslib_ecnas.analysis.pareto import hypervolume as hypervolume
    from naslib_ecnas.analysis.pareto import knee as knee
    from naslib_ecnas.analysis.pareto import normalised as normalised
    from naslib_ecnas.analysis.scale import NADIR_MARGIN as NADIR_MARGIN
    from naslib_ecnas.analysis.scale import AnytimeBand as AnytimeBand
    from naslib_ecnas.analysis.scale import Reference as Reference
    from naslib_ecnas.analysis.scale import Scale as Scale
    from naslib_ecnas.analysis.scale import anytime as anytime
    from naslib_ecnas.analysis.scale import band as band
    from naslib_ecnas.analysis.scale import checkpoints as checkpoints
    from naslib_ecnas.analysis.scale import common_budgets as common_budgets
    from naslib_ecnas.analysis.significance import FriedmanTest as FriedmanTest
    from naslib_ecnas.analysis.significance import PairComparison as PairComparison
    from naslib_ecnas.analysis.significance import PairedScores as PairedScores
    from naslib_ecnas.analysis.significance import friedman as friedman
    from naslib_ecnas.analysis.significance import holm as holm
    from naslib_ecnas.analysis.significance import mean_ranks as mean_ranks
    from naslib_ecnas.analysis.significance import median_interval as median_interval
    from naslib_ecnas.analysis.significance import pairwise as pairwise
    from naslib_ecnas.analysis.significance import superiority as superiority

__all__, __getattr__ = lazily(
    __name__,
    attainment="AttainmentDifference AttainmentSurface attainment_difference attainment_surface",
    indicators="epsilon epsilon_factor igd_plus paper_hypervolume",
    pareto="contributions costs_of extremes hypervolume knee normalised",
    scale="NADIR_MARGIN AnytimeBand Reference Scale anytime band checkpoints common_budgets",
    significance=(
        "FriedmanTest PairComparison PairedScores friedman holm mean_ranks "
        "median_interval pairwise superiority"
    ),
)
__all__ += ["nondominated"]
