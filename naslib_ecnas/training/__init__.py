"""NAS-Bench-101 training of any cell in PyTorch: network, recipe, data.

Names load when they are first used, since most of them import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from naslib_ecnas.errors import MissingDependencyError

if TYPE_CHECKING:
    from naslib_ecnas.training.cifar10 import read_cifar10
    from naslib_ecnas.training.data import Cifar10, synthetic
    from naslib_ecnas.training.model import Network, RMSProp, build
    from naslib_ecnas.training.recipe import BUDGETS, RECIPES, Recipe
    from naslib_ecnas.training.record import TrainingRecord
    from naslib_ecnas.training.run import check_device, train

__all__ = [
    "BUDGETS",
    "RECIPES",
    "Cifar10",
    "Network",
    "RMSProp",
    "Recipe",
    "TrainingRecord",
    "build",
    "check_device",
    "read_cifar10",
    "synthetic",
    "train",
]

#: Modules that the names are in, each after those that it imports; the first two need no torch.
_HOMES = ("recipe", "record", "data", "model", "run", "cifar10")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        modules = (import_module(f"{__name__}.{home}") for home in _HOMES)
        return next(getattr(module, name) for module in modules if name in module.__all__)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError("torch", feature="training", extra="measure") from error


def __dir__() -> list[str]:
    return sorted(__all__)
