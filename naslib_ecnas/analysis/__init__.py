"""Fronts, hypervolume, attainment, knee, ranks and tests of significance.

Values are in the metrics' units; the metrics know which direction is better. moocore and scipy
are imported by the functions that use them, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from naslib_ecnas.lazy import lazily

if TYPE_CHECKING:
    from naslib_ecnas.analysis.curves import AnytimeBand as AnytimeBand
    from naslib_ecnas.analysis.curves import anytime as anytime
    from naslib_ecnas.analysis.curves import attainment_surface as attainment_surface
    from naslib_ecnas.analysis.curves import band as band
    from naslib_ecnas.analysis.curves import checkpoints as checkpoints
    from naslib_ecnas.analysis.curves import common_budgets as common_budgets
    from naslib_ecnas.analysis.curves import mean_until as mean_until
    from naslib_ecnas.analysis.pareto import Scale as Scale
    from naslib_ecnas.analysis.pareto import contributions as contributions
    from naslib_ecnas.analysis.pareto import costs_of as costs_of
    from naslib_ecnas.analysis.pareto import epsilon as epsilon
    from naslib_ecnas.analysis.pareto import extremes as extremes
    from naslib_ecnas.analysis.pareto import hypervolume as hypervolume
    from naslib_ecnas.analysis.pareto import igd_plus as igd_plus
    from naslib_ecnas.analysis.pareto import knee as knee
    from naslib_ecnas.analysis.pareto import paper_hypervolume as paper_hypervolume
    from naslib_ecnas.analysis.scores import Estimate as Estimate
    from naslib_ecnas.analysis.scores import PairTest as PairTest
    from naslib_ecnas.analysis.scores import Profile as Profile
    from naslib_ecnas.analysis.scores import RunScores as RunScores
    from naslib_ecnas.analysis.scores import a12 as a12
    from naslib_ecnas.analysis.scores import compare_runs as compare_runs
    from naslib_ecnas.analysis.scores import friedman as friedman
    from naslib_ecnas.analysis.scores import improvements as improvements
    from naslib_ecnas.analysis.scores import interquartile_mean as interquartile_mean
    from naslib_ecnas.analysis.scores import interquartile_means as interquartile_means
    from naslib_ecnas.analysis.scores import mean_ranks as mean_ranks
    from naslib_ecnas.analysis.scores import pairwise as pairwise
    from naslib_ecnas.analysis.scores import profiles as profiles
    from naslib_ecnas.analysis.scores import run_ranks as run_ranks
    from naslib_ecnas.analysis.significance import Practical as Practical
    from naslib_ecnas.analysis.significance import RankTest as RankTest
    from naslib_ecnas.analysis.significance import blocks_needed as blocks_needed
    from naslib_ecnas.analysis.significance import critical_difference as critical_difference
    from naslib_ecnas.analysis.significance import detectable as detectable
    from naslib_ecnas.analysis.significance import groups as groups
    from naslib_ecnas.analysis.significance import holm as holm
    from naslib_ecnas.analysis.significance import practical as practical
    from naslib_ecnas.analysis.significance import rank_sum_test as rank_sum_test
    from naslib_ecnas.analysis.significance import runs_needed as runs_needed
    from naslib_ecnas.analysis.significance import signed_rank_test as signed_rank_test
    from naslib_ecnas.nondominated import nondominated as nondominated

__all__, __getattr__ = lazily(__name__)
