"""Figures and tables of the EC-NAS paper from any table, one module each.

Each figure has a function that computes what it shows and one that draws it (`..._figure`).
Names load when they are first used; matplotlib is imported only when a figure is drawn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOME = {
    **dict.fromkeys(("Clouds", "clouds", "clouds_figure"), "budgets"),
    **dict.fromkeys(("DeviceEnergies", "device_energies", "devices_figure"), "devices"),
    "save": "drawing",
    "front_figure": "front",
    **dict.fromkeys(("LearningCurve", "Predictions", "predictions_figure"), "predictions"),
    **dict.fromkeys(("Study", "comparison_figure", "methods_figure", "study"), "summary"),
    "summary_figure": "summary",
    **dict.fromkeys(("Swaps", "swap_effects", "swaps_figure"), "swaps"),
    **dict.fromkeys(("Saved", "saved_sheet", "spaces_sheet"), "tables"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
