"""Worlds: other tables that are as plausible as a modelled one, given what is known.

A modelled table is the middle of what its models hold possible. A world is one possibility: every
mean is moved by the doubt of the model times a field over the cells. The field has variance 1 at
each cell and is alike for like cells: a part is a random direction in a space of likeness, which
the perceptron of accuracies has learnt, and the rest is drawn for each cell by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.arrays import BLOCK, StoredArray
from naslib_ecnas.data.table import Table
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.exact import exp
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.models import AccuracyModel, Model, Perceptron

Array = NDArray[np.float64]

#: Cells' coordinates and the directions drawn in their space are rounded to so many binary digits,
#: so that their products are exact.
_BITS = 14

#: Metrics that differ between worlds, and the fields that move them: accuracies of one budget share
#: a field, times of all budgets do, and energies have one for 4 epochs and one for their growth.
MOVED = ("validation_accuracy", "test_accuracy", "training_time_s", "energy_kwh")
_SHARED, _BUDGET, _TIME, _ENERGY, _GROWTH = 0, 1, 5, 6, 7


@dataclass(frozen=True)
class Likeness(Model):
    """Coordinates of cells in which like ones lie in like directions."""

    SHIPPED = "worlds", ""

    directions: NDArray[np.float32]
    """(units, 32) whitened leading directions of the last hidden layer of the perceptron of
    accuracies, over the whole space ..."""
    origin: NDArray[np.float32]
    """... and (32,) what its mean over the space is moved by."""
    smooth: float
    """Share of a field's variance that like cells have in common."""
    shared: float
    """Share of the variance of accuracies' fields that all budgets have in common."""

    @cached_property
    def _coordinates(self) -> Perceptron:
        ranks = AccuracyModel.shipped().ranks
        return replace(ranks, layers=(*ranks.layers[:-1], (self.directions, self.origin)))

    def __call__(self, rows: NDArray[Any]) -> NDArray[np.int16]:
        """(n, 32) coordinates of (n,) rows, of length 1, times 2^14."""
        found = np.rint(self._coordinates(features(rows)) * 2**_BITS)
        length = np.sqrt(np.maximum((found**2).sum(axis=1), 1))  # of integers, so exact
        return np.asarray(np.rint(found / length[:, None] * 2**_BITS), dtype=np.int16)


@cache
def _block(number: int) -> NDArray[np.int16]:
    """Coordinates of 2,048 cells, which all worlds share."""
    end = min((number + 1) * BLOCK, len(Space()))
    return Likeness.shipped()(np.arange(number * BLOCK, end))


class WorldTable(Table):
    """A modelled table in another world, with the interface of `Table`.

    In a world the means are true, so that `<metric>_std` is what single trainings scatter:
    `<metric>_repeat_std`.

    Args:
        base: the modelled table, not a view of it.
        number: which world; equal numbers give equal values on every machine.
    """

    def __init__(self, base: Table, number: int) -> None:
        self.__dict__.update(vars(base))
        self._base, self._number = base, number
        self.name = f"{base.name}-world-{number}"
        self._known: dict[tuple[str, int], Array] = {}
        about = f"one of many possible tables: world {number} of {base.name}"
        self.attributes = {**base.attributes, "world": str(number), "description": about}
        self._show({name: (name, 1.0) for name in base.metrics}, base.provenance)

    def _arrays(self, names: Any) -> list[StoredArray]:
        return []

    def close(self) -> None:
        self._base.close()

    @property
    def closed(self) -> bool:
        return self._base.closed

    @property
    def _content(self) -> str:
        return f"{self._base.checksum}-world-{self._number}"

    def at_budget(self, name: str, budget: int) -> Array:
        at, factor = self._source(name)
        return self._at(at, budget)[:, None] * factor

    def record(self, position: int, budget: int, repeat: int) -> list[float]:
        sources = self._sources.values()
        return [float(self._at(name, budget)[position] * factor) for name, factor in sources]

    def verify(self) -> None:
        self._base.verify()

    # -- values of this world ----

    def field(self, which: int) -> Array:
        """(cells,) values of a field, with mean 0 and variance 1."""
        rng = np.random.default_rng([which, self._number])
        likeness, cells = Likeness.shipped(), len(self)
        direction = np.rint(rng.standard_normal(len(likeness.origin)) * 2**_BITS)
        blocks = range(-(-cells // BLOCK))
        along = np.concatenate([_block(number) @ direction for number in blocks])[:cells]
        along *= np.sqrt(likeness.smooth) * 2.0 ** (-2 * _BITS)
        along += np.sqrt(1 - likeness.smooth) * rng.standard_normal(cells)
        return along

    def _at(self, name: str, budget: int) -> Array:
        """(cells,) values of a metric of the base at one budget, kept."""
        if (name, budget) not in self._known:
            repeats = name.replace("_std", "_repeat_std")
            of_training = name.removesuffix("_std") in MOVED and repeats in self._base.metrics
            known = self._moved if name in MOVED else self._of_base
            self._known[name, budget] = known(repeats if of_training else name, budget)
        return self._known[name, budget]

    def _of_base(self, name: str, budget: int) -> Array:
        return self._base.at_budget(name, budget)[:, 0]

    def _moved(self, name: str, budget: int) -> Array:
        """(cells,) values of one of `MOVED`."""

        def doubt(at: int) -> Array:
            off, repeats = (self._of_base(f"{name}{part}_std", at) for part in ("", "_repeat"))
            return np.sqrt(np.maximum(off**2 - repeats**2, 0))

        mean, off = self._of_base(name, budget), doubt(budget)
        if name.endswith("accuracy"):
            shared = Likeness.shipped().shared
            field = np.sqrt(shared) * self.field(_SHARED)
            field += np.sqrt(1 - shared) * self.field(_BUDGET + budget)
            return np.asarray(np.clip(mean + off * field, 0, 1))
        relative = off / mean
        if name == "training_time_s":
            return np.asarray(mean * exp(relative * self.field(_TIME)))
        # What is more doubtful at a larger budget is the growth.
        first = np.minimum(doubt(0) / self._of_base(name, 0), relative)
        growth = np.sqrt(relative**2 - first**2)
        change = first * self.field(_ENERGY) + growth * self.field(_GROWTH)
        return np.asarray(mean * exp(change))
