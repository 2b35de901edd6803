"""Finished runs to compare with: those that ship with the package, or those of a comparison."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.comparison.experiment import LIMITS, rules_of
from naslib_ecnas.comparison.runs import Run, Unit, opened
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import atomic_write, from_json, is_folder, to_json
from naslib_ecnas.search.loop import Limits
from naslib_ecnas.search.result import QUANTITIES, Ledger, SearchResult

#: What stands for the runs that ship with the package.
REFERENCE = "reference"
_SHIPPED = "reference_runs.jsonl.gz"


@dataclass(frozen=True, eq=False)
class Reference:
    """Runs of methods, to be compared with others under other limits."""

    about: str
    """Where they are from."""
    runs: tuple[Run, ...]
    rules: Mapping[str, Any]
    """The rules under which they were made, as in `comparison.json`; empty for several."""

    @classmethod
    def of(cls, source: str) -> Reference:
        """The runs of the package (`"reference"`), or of a folder of `ecnas compare`.

        Raises:
            ConfigError: it is neither.
            FormatError: a run of the folder is damaged.
        """
        if source == REFERENCE:
            packed = files("naslib_ecnas.data").joinpath(_SHIPPED).read_bytes()
            first, *lines = gzip.decompress(packed).splitlines()
            made = ", ".join(f"{name} {v}" for name, v in from_json(first)["versions"].items())
            return cls(f"reference results, made by {made}", tuple(map(Run.of_json, lines)), {})
        folder = Path(source)
        rules = rules_of(folder) if is_folder(folder) else {}
        if not rules:
            message = f"what to compare against must be {REFERENCE} or a folder of ecnas compare"
            raise ConfigError(message, value=source)
        paths = sorted((folder / "runs").rglob("seed-*.json"))
        return cls(f"runs of {folder}", tuple(map(Run.read, paths)), rules)

    def write(self, path: Path, versions: Mapping[str, str]) -> None:
        """Pack the runs as the file that ships; equal runs give equal bytes."""
        lines = [to_json({"versions": versions}), *(run.to_json() for run in self.runs)]
        with atomic_write(path) as file:
            text = "\n".join(lines).encode("utf-8")
            file.write(gzip.compress(text, compresslevel=9, mtime=0))

    def results(
        self, tables: Sequence[str], setting: Mapping[str, Any], rules: Mapping[str, Any]
    ) -> tuple[dict[Unit, SearchResult], tuple[str, ...]]:
        """The runs on some tables, each as far as a comparison's limits allow, and notes.

        Methods are named `ehvi (ref)`. One of which a run was made under other rules, or ended
        before the limits, is left out, and a note says so.

        Args:
            setting: further arguments of `load`.
            rules: of the comparison, see `rules_of`.

        Raises:
            ProvenanceError: a run searched another version of a table.
            ConfigError: no method is left.
        """
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            if run.table in tables and run.world is None:
                groups.setdefault((run.table, run.method), []).append(run)
        found: dict[Unit, SearchResult] = {}
        notes = []
        for (table, method), runs in groups.items():
            cut = [self._cut(run, setting, rules) for run in runs]
            whys = dict.fromkeys(why for why in cut if isinstance(why, str))
            if whys:
                notes.append(f"{method} (ref) on {table} is left out: {'; '.join(whys)}.")
                continue
            for run, result in zip(runs, cut, strict=True):
                if isinstance(result, SearchResult):
                    found[Unit(table, f"{method} (ref)", run.seed)] = result
        if not found:
            why = notes[0].rstrip(".") if notes else f"they are on other tables than {tables}"
            raise ConfigError(f"the {self.about} have no run that can be compared: {why}")
        return found, (*notes, f"(ref): {self.about}.")

    def _cut(
        self, run: Run, setting: Mapping[str, Any], rules: Mapping[str, Any]
    ) -> SearchResult | str:
        """The part of a run that some rules allow, or why it cannot be compared under them."""
        bench = opened(run.table, setting)
        whole = run.result(bench)  # refuses another version of the table
        epochs = rules.get("epochs") or bench.budgets[-1]
        there = list(run.objectives), run.budget, run.noise, run.workers
        wanted = rules["objectives"], epochs, rules["noise"], rules.get("workers") or 1
        if there != wanted:
            return "it was run for other objectives, epochs, noise or workers"
        trained = np.column_stack([run.rows, run.epochs])
        if rules.get("free_repeats") and len(np.unique(trained, axis=0)) < len(trained):
            return "its repeats were charged"
        given = {what: rules.get(name) for name, what in LIMITS.items()}
        limits = Limits(**given)
        sums = np.column_stack([whole.cumulative[name] for name in QUANTITIES])
        fits, stopper = limits.fitting(sums)
        equal = bool(self.rules) and all(self.rules.get(name) == rules.get(name) for name in LIMITS)
        own = len(np.unique(run.rows[run.epochs == run.budget]))
        every = Ledger.of(bench, run.objectives, run.budget).complete.sum()
        if not (equal or stopper or fits == limits.evaluations or own == every) or not fits:
            return "a run ended before this limit"
        if fits < len(run.rows) and run.noise:
            return "noisy runs cannot be cut to this limit"
        return replace(run, rows=run.rows[:fits], epochs=run.epochs[:fits]).result(bench)
