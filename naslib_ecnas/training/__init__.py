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
    from naslib_ecnas.training.model import Network, build
    from naslib_ecnas.training.recipe import BUDGETS, RECIPES, Recipe
    from naslib_ecnas.training.record import TrainingRecord
    from naslib_ecnas.training.rmsprop import RMSProp
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

_HOMES = {
    "BUDGETS": "recipe",
    "RECIPES": "recipe",
    "Recipe": "recipe",
    "TrainingRecord": "record",
    "Cifar10": "data",
    "synthetic": "data",
    "read_cifar10": "cifar10",
    "Network": "model",
    "build": "model",
    "RMSProp": "rmsprop",
    "check_device": "run",
    "train": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError("torch", feature="training", extra="measure") from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
