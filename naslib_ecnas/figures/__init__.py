"""Figures and tables of the EC-NAS paper from any table, one module each.

Each figure has a function that computes what it shows and one that draws it (`..._figure`).
matplotlib is imported only when a figure is drawn; a MissingDependencyError says that it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from naslib_ecnas.lazy import lazily

if TYPE_CHECKING:
    from naslib_ecnas.figures.budgets import Clouds as Clouds
    from naslib_ecnas.figures.budgets import clouds as clouds
    from naslib_ecnas.figures.budgets import clouds_figure as clouds_figure
    from naslib_ecnas.figures.devices import DeviceEnergies as DeviceEnergies
    from naslib_ecnas.figures.devices import device_energies as device_energies
    from naslib_ecnas.figures.devices import devices_figure as devices_figure
    from naslib_ecnas.figures.drawing import save as save
    from naslib_ecnas.figures.drawing import style as style
    from naslib_ecnas.figures.front import front_figure as front_figure
    from naslib_ecnas.figures.predictions import LearningCurve as LearningCurve
    from naslib_ecnas.figures.predictions import Predictions as Predictions
    from naslib_ecnas.figures.predictions import predictions_figure as predictions_figure
    from naslib_ecnas.figures.statistics import aggregates_figure as aggregates_figure
    from naslib_ecnas.figures.statistics import ranks_figure as ranks_figure
    from naslib_ecnas.figures.statistics import worlds_figure as worlds_figure
    from naslib_ecnas.figures.summary import Study as Study
    from naslib_ecnas.figures.summary import comparison_figure as comparison_figure
    from naslib_ecnas.figures.summary import methods_figure as methods_figure
    from naslib_ecnas.figures.summary import study as study
    from naslib_ecnas.figures.summary import summary_figure as summary_figure
    from naslib_ecnas.figures.swaps import Swaps as Swaps
    from naslib_ecnas.figures.swaps import swap_effects as swap_effects
    from naslib_ecnas.figures.swaps import swaps_figure as swaps_figure
    from naslib_ecnas.figures.tables import Saved as Saved
    from naslib_ecnas.figures.tables import saved_sheet as saved_sheet
    from naslib_ecnas.figures.tables import spaces_sheet as spaces_sheet

__all__, __getattr__ = lazily(__name__)
