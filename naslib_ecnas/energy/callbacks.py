"""Callbacks that measure the trainings of PyTorch Lightning and of Hugging Face's Trainer.

```python
with EnergyMeter() as meter:
    Trainer(callbacks=[lightning_callback(meter)]).fit(model)
for window in meter.windows:
    print(window.path, window.gpu_total_j)
```

The caller opens the meter in the process that trains, and closes it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from naslib_ecnas.energy.meter import Meter
from naslib_ecnas.errors import ConfigError, MissingDependencyError

#: Method that a host calls when a part begins, the one when it ends, and the name of its window.
_LIGHTNING = (
    ("on_fit_start", "on_fit_end", "fit"),
    ("on_train_epoch_start", "on_train_epoch_end", "epoch"),
    ("on_validation_start", "on_validation_end", "validation"),
    ("on_test_start", "on_test_end", "test"),
)
_TRANSFORMERS = (
    ("on_train_begin", "on_train_end", "train"),
    ("on_epoch_begin", "on_epoch_end", "epoch"),
)


def lightning_callback(meter: Meter) -> Any:
    """A callback for Lightning's Trainer: windows `fit`, and in it `epoch` and `validation`.

    A training that an exception ends has its windows too, with the type of the exception.

    Raises:
        MissingDependencyError: neither `lightning` nor `pytorch_lightning` is installed.
    """

    def on_exception(_: object, trainer: object, module: object, error: BaseException) -> None:
        with suppress(ConfigError):  # it came before the fit began
            meter.end("fit", error=type(error).__name__)

    packages = ("lightning.pytorch", "pytorch_lightning")
    return _callback(meter, packages, "Callback", _LIGHTNING, on_exception=on_exception)


def transformers_callback(meter: Meter) -> Any:
    """A callback for Hugging Face's Trainer: a window `train`, and in it one `epoch` after another.

    The Trainer does not say when an evaluation begins: one that follows an epoch is in `train`
    alone, one between two steps in `epoch` too.

    Raises:
        MissingDependencyError: `transformers` is not installed.
    """
    return _callback(meter, ("transformers",), "TrainerCallback", _TRANSFORMERS)


def _callback(
    meter: Meter,
    packages: tuple[str, ...],
    base: str,
    parts: tuple[tuple[str, str, str], ...],
    **methods: Any,
) -> Any:
    """An instance of a subclass of the first package's `base` that opens and closes windows."""
    for package in packages:
        with suppress(ModuleNotFoundError):
            parent = getattr(importlib.import_module(package), base)
            break
    else:
        raise MissingDependencyError(packages[0].partition(".")[0], feature="this callback")
    for begins, ends, name in parts:
        methods |= {begins: _method(meter.begin, name), ends: _method(meter.end, name)}
    return type("EnergyCallback", (parent,), methods)()


def _method(act: Callable[[str], object], name: str) -> Callable[..., None]:
    """A method of a callback; what it returned would replace the state of a host."""

    def method(*_: object, **__: object) -> None:
        act(name)

    return method
