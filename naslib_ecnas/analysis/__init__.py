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
    from naslib_ecnas.analysis.bootstrap import Estimate as Estimate
    from naslib_ecnas.analysis.bootstrap import Profile as Profile
    from naslib_ecnas.analysis.bootstrap import improvements as improvements
    from naslib_ecnas.analysis.bootstrap import interquartile_means as interquartile_means
    from naslib_ecnas.analysis.bootstrap import profiles as profiles
    from naslib_ecnas.analysis.exact import RankTest as RankTest
    from naslib_ecnas.analysis.exact import blocks_needed as blocks_needed
    from naslib_ecnas.analysis.exact import detectable as detectable
    from naslib_ecnas.analysis.exact import holm as holm
    from naslib_ecnas.analysis.exact import power as power
    from naslib_ecnas.analysis.exact import rank_sum_test as rank_sum_test
    from naslib_ecnas.analysis.exact import runs_needed as runs_needed
    from naslib_ecnas.analysis.exact import shift_interval as shift_interval
    from naslib_ecnas.analysis.exact import signed_rank_test as signed_rank_test
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
    from naslib_ecnas.analysis.scale import mean_until as mean_until
    from naslib_ecnas.analysis.significance import Practical as Practical
    from naslib_ecnas.analysis.significance import critical_difference as critical_difference
    from naslib_ecnas.analysis.significance import friedman as friedman
    from naslib_ecnas.analysis.significance import groups as groups
    from naslib_ecnas.analysis.significance import mean_ranks as mean_ranks
    from naslib_ecnas.analysis.significance import pairwise as pairwise
    from naslib_ecnas.analysis.significance import practical as practical
    from naslib_ecnas.analysis.unpaired import PairTest as PairTest
    from naslib_ecnas.analysis.unpaired import RunScores as RunScores
    from naslib_ecnas.analysis.unpaired import a12 as a12
    from naslib_ecnas.analysis.unpaired import compare_runs as compare_runs
    from naslib_ecnas.analysis.unpaired import interquartile_mean as interquartile_mean
    from naslib_ecnas.analysis.unpaired import run_ranks as run_ranks

__all__, __getattr__ = lazily(
    __name__,
    attainment="AttainmentDifference AttainmentSurface attainment_difference attainment_surface",
    bootstrap="Estimate Profile improvements interquartile_means profiles",
    exact=(
        "RankTest blocks_needed detectable holm power rank_sum_test runs_needed shift_interval "
        "signed_rank_test"
    ),
    indicators="epsilon epsilon_factor igd_plus paper_hypervolume",
    pareto="contributions costs_of extremes hypervolume knee normalised",
    scale=(
        "NADIR_MARGIN AnytimeBand Reference Scale anytime band checkpoints common_budgets "
        "mean_until"
    ),
    significance="Practical critical_difference friedman groups mean_ranks pairwise practical",
    unpaired="PairTest RunScores a12 compare_runs interquartile_mean run_ranks",
)
__all__ += ["nondominated"]
