"""Figures and tables of the EC-NAS paper from any table, one module each.

Each figure has a function that computes what it shows and one that draws it (`..._figure`).
matplotlib is imported only when a figure is drawn; a MissingDependencyError says that it is needed.
"""

from naslib_ecnas.figures.budgets import Clouds, clouds, clouds_figure
from naslib_ecnas.figures.devices import DeviceEnergies, device_energies, devices_figure
from naslib_ecnas.figures.drawing import save
from naslib_ecnas.figures.front import front_figure
from naslib_ecnas.figures.predictions import LearningCurve, Predictions, predictions_figure
from naslib_ecnas.figures.summary import (
    Study,
    comparison_figure,
    methods_figure,
    study,
    summary_figure,
)
from naslib_ecnas.figures.swaps import Swaps, swap_effects, swaps_figure
from naslib_ecnas.figures.tables import Saved, saved_sheet, spaces_sheet

__all__ = [
    "Clouds",
    "DeviceEnergies",
    "LearningCurve",
    "Predictions",
    "Saved",
    "Study",
    "Swaps",
    "clouds",
    "clouds_figure",
    "comparison_figure",
    "device_energies",
    "devices_figure",
    "front_figure",
    "methods_figure",
    "predictions_figure",
    "save",
    "saved_sheet",
    "spaces_sheet",
    "study",
    "summary_figure",
    "swap_effects",
    "swaps_figure",
]
