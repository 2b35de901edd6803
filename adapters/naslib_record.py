"""Every evaluation of a NASLib search, kept with all objectives.

A `Recorder` rides in the `dataset_api` that NASLib hands to every query. What an optimiser asks for
as its performance metric becomes a `Recorded` objective there: it answers as before, or with the
number that a section `objectives:` makes, and notes the cell. Statistics that NASLib asks for
besides are not evaluations and are not noted.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.adapters import naslib_metrics
from naslib_ecnas.adapters.naslib_objective import Objective
from naslib_ecnas.adapters.naslib_scalarisation import Objectives, Scalarisation, completed
from naslib_ecnas.benchmark import Benchmark, Record
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.result import SearchResult

__all__ = ["Recorded", "Recorder"]


class Recorder:
    """What a search evaluated, in order.

    Args:
        bench: the table.
        objectives: what the optimiser shall look for; None for what it looks for anyway.
        seed: of the run; draws the weights of `chebyshev`.
        method: name of the optimiser, for the record.
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Objectives | None = None,
        *,
        seed: int = 0,
        method: str = "naslib",
    ) -> None:
        self.bench = bench
        self.objectives = objectives
        self.seed = seed
        self.method = method
        self._scalar = (
            None
            if objectives is None
            # A stream of its own: the search's numbers are those that it draws without us.
            else Scalarisation(objectives, bench, np.random.default_rng([seed, 0xEC]))
        )
        self._wanted: str | None = None
        self._rows, self._epochs, self._scores = array("i"), array("i"), array("d")
        self._weights: list[tuple[float, ...]] = []
        self._answers: dict[Any, Recorded] = {}

    def __len__(self) -> int:
        """Evaluations noted so far."""
        return len(self._rows)

    def __deepcopy__(self, memo: Any) -> Recorder:
        # NASLib copies what it is given now and then; evaluations have to meet in one place.
        return self

    def recorded(self, objective: Any) -> Recorded:
        """An objective, or a member of `Metric` of which more is better, that notes who asks."""
        if isinstance(objective, Recorded):
            return objective
        if objective not in self._answers:
            self._answers[objective] = Recorded(self, objective)
        return self._answers[objective]

    def note(self, record: Record, value: float) -> float:
        """Note an evaluation; returns what the optimiser shall be told of it."""
        weights = None
        if self._scalar is not None:
            names = self._scalar.objectives.metrics
            value, weights = self._scalar([self._value(record, name) for name in names])
        self._rows.append(record.row)
        self._epochs.append(record.epochs)
        self._scores.append(value)
        if weights is not None:
            self._weights.append(weights)
        return value

    def _value(self, record: Record, name: str) -> float:
        if name == "average_power_w":
            return naslib_metrics.read(record, name, self.bench)
        return float(record[name])

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives that are recorded: those of the section, or what was looked for with
        energy and accuracy."""
        if self.objectives is not None:
            return self.objectives.recorded()
        if self._wanted in (None, *OBJECTIVES):
            return OBJECTIVES
        return completed([str(self._wanted)])

    def wanted(self, name: str) -> None:
        """Note which metric the optimiser looks for."""
        self._wanted = name

    def result(self) -> SearchResult:
        """Front, hypervolume, knee and costs of what was evaluated.

        The front is of the evaluations at the largest budget among them.

        Raises:
            ConfigError: nothing was evaluated.
        """
        from naslib_ecnas.search.history import result_of

        return result_of(
            self.bench,
            rows=np.array(self._rows, dtype=np.int32),
            epochs=np.array(self._epochs, dtype=np.int64),
            objectives=self.names,
            method=self.method,
            seed=self.seed,
        )

    def notes(self) -> dict[str, list[Any]]:
        """What a line of the history says besides: the optimiser's number, drawn weights."""
        notes: dict[str, list[Any]] = {"score": self._scores.tolist()}
        if self._weights:
            notes["weights"] = [list(weights) for weights in self._weights]
        return notes

    def write(self, folder: Path) -> SearchResult:
        """Write history, front, costs and settings into a folder, over those of an earlier run.

        Raises:
            ConfigError: nothing was evaluated.
            StorageError: the folder cannot be written.
        """
        from naslib_ecnas.search import files

        result = self.result()
        files.prepare(folder, overwrite=True)
        files.write(result, folder, notes=self.notes())
        return result


class Recorded(Objective):
    """An objective whose answers are noted; equal to the metric that it stands for."""

    def __init__(self, recorder: Recorder, wanted: Any) -> None:
        is_objective = isinstance(wanted, Objective)
        name = wanted.name if is_objective else naslib_metrics.column(wanted)
        super().__init__(name, wanted.metric if is_objective else wanted)
        self._recorder = recorder
        self._inner = wanted
        section = recorder.objectives
        self.epochs = None if section is None else section.epochs
        recorder.wanted(name)

    def of(self, record: Record, bench: Benchmark) -> float:
        """The number for an architecture, which counts as evaluated with that."""
        if self._recorder.objectives is not None:
            return self._recorder.note(record, 0.0)
        if isinstance(self._inner, Objective):
            value = self._inner.of(record, bench)
        else:
            value = naslib_metrics.read(record, self.name, bench)
        return self._recorder.note(record, value)
