"""Fronts, hypervolume, knee and extremes: moocore behind this package's names and directions.

moocore is imported by the functions that use it, so that importing this package costs nothing.
"""

from naslib_ecnas.analysis.hypervolume import contributions, hypervolume
from naslib_ecnas.analysis.knee import extremes, knee
from naslib_ecnas.analysis.scale import Scale, checkpoints, costs_of, normalised
from naslib_ecnas.nondominated import nondominated

__all__ = [
    "Scale",
    "checkpoints",
    "contributions",
    "costs_of",
    "extremes",
    "hypervolume",
    "knee",
    "nondominated",
    "normalised",
]
