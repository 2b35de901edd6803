"""Fronts, hypervolume, attainment, knee and ranks: moocore behind this package's names.

Values stand in the metrics' units, directions come from the metrics. moocore and scipy are
imported by the functions that use them, so that importing this package costs nothing.
"""

from naslib_ecnas.analysis.anytime import AnytimeBand, anytime, band, common_budgets
from naslib_ecnas.analysis.attainment import (
    AttainmentDifference,
    AttainmentSurface,
    attainment_difference,
    attainment_surface,
)
from naslib_ecnas.analysis.costs import costs_of, normalised
from naslib_ecnas.analysis.hypervolume import contributions, hypervolume
from naslib_ecnas.analysis.indicators import epsilon, epsilon_factor, igd_plus, paper_hypervolume
from naslib_ecnas.analysis.knee import extremes, knee
from naslib_ecnas.analysis.ranks import PairedScores, mean_ranks
from naslib_ecnas.analysis.scale import NADIR_MARGIN, Reference, Scale, checkpoints
from naslib_ecnas.analysis.significance import (
    FriedmanTest,
    PairComparison,
    friedman,
    holm,
    median_interval,
    pairwise,
    superiority,
)
from naslib_ecnas.nondominated import nondominated

__all__ = [
    "NADIR_MARGIN",
    "AnytimeBand",
    "AttainmentDifference",
    "AttainmentSurface",
    "FriedmanTest",
    "PairComparison",
    "PairedScores",
    "Reference",
    "Scale",
    "anytime",
    "attainment_difference",
    "attainment_surface",
    "band",
    "checkpoints",
    "common_budgets",
    "contributions",
    "costs_of",
    "epsilon",
    "epsilon_factor",
    "extremes",
    "friedman",
    "holm",
    "hypervolume",
    "igd_plus",
    "knee",
    "mean_ranks",
    "median_interval",
    "nondominated",
    "normalised",
    "pairwise",
    "paper_hypervolume",
    "superiority",
]
