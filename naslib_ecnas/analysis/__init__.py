"""Fronts, hypervolume, attainment, knee, ranks and tests of significance.

Values are in the metrics' units; the metrics know which direction is better. moocore and scipy
are imported by the functions that use them, so that importing this package costs nothing.
"""

from naslib_ecnas.analysis.attainment import (
    AttainmentDifference,
    AttainmentSurface,
    attainment_difference,
    attainment_surface,
)
from naslib_ecnas.analysis.indicators import epsilon, epsilon_factor, igd_plus, paper_hypervolume
from naslib_ecnas.analysis.pareto import (
    contributions,
    costs_of,
    extremes,
    hypervolume,
    knee,
    normalised,
)
from naslib_ecnas.analysis.scale import (
    NADIR_MARGIN,
    AnytimeBand,
    Reference,
    Scale,
    anytime,
    band,
    checkpoints,
    common_budgets,
)
from naslib_ecnas.analysis.significance import (
    FriedmanTest,
    PairComparison,
    PairedScores,
    friedman,
    holm,
    mean_ranks,
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
