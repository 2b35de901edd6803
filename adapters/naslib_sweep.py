"""One NASLib config, several optimisers, seeds and objectives: every combination run and compared.

A section `sweep:` of the config, or the command line, says which:

    sweep:
      optimizers: [rs, re, ls]
      seeds: 10
      objectives:
        accuracy: {metrics: [validation_accuracy]}
        both: {metrics: [validation_accuracy, energy_kwh], weights: [0.5, 0.5]}

NASLib's files of each run are below `naslib/`; what the runs evaluated is kept as `ecnas compare`
keeps it, and read by the same analysis.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_ecnas.adapters import naslib_compat, naslib_config, naslib_run, naslib_space
from naslib_ecnas.adapters.naslib_scalarisation import Objectives, completed
from naslib_ecnas.comparison.compare import clear, missing, prepare
from naslib_ecnas.comparison.execute import execute, only_one
from naslib_ecnas.comparison.grid import Unit, seeds_of
from naslib_ecnas.comparison.run_file import Run
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import METRICS

__all__ = ["SECTION", "Sweep", "SweepUnit", "sweep"]

#: Section of a config.
SECTION = "sweep"


@dataclass(frozen=True)
class Sweep:
    """What is swept; make it by `of`."""

    runner: str
    config_file: Path
    overrides: tuple[str, ...]
    table: str
    optimizers: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: Mapping[str, Mapping[str, Any] | None]
    """Objectives by the name of the variant; `""` for those of the config itself."""
    objectives: tuple[str, ...]
    """Metrics that span the fronts of all runs."""

    @classmethod
    def of(
        cls,
        config_file: Path,
        overrides: Sequence[str] = (),
        *,
        runner: str = "nas",
        optimizers: Sequence[str] | None = None,
        seeds: int | Sequence[int] | None = None,
    ) -> Sweep:
        """The sweep of a config.

        Args:
            config_file: a config as NASLib's runners take it, with our sections.
            overrides: keys and values in turn.
            runner: `nas`, `bbo`, or the path of a script.
            optimizers: NASLib's names; those of the config where left out.
            seeds: a number of them, or which; those of the config where left out.

        Raises:
            ConfigError: nothing to sweep, or a value that is not possible.
        """
        naslib_compat.ensure()
        config = naslib_config.read(config_file)
        naslib_config.override(config, overrides)
        section = naslib_config.plain(config.get(SECTION) or {})
        unknown = next((k for k in section if k not in ("optimizers", "seeds", "objectives")), None)
        if unknown is not None:
            raise ConfigError(
                "sweep knows no such key", value=unknown, expected="optimizers, seeds, objectives"
            )
        if config.get("search_space") != naslib_space.NAME:
            raise ConfigError(
                "a sweep is over the search space ecnas",
                value=f"search_space: {config.get('search_space')}",
                expected="search_space: ecnas",
            )
        variants = section.get("objectives") or {"": config.get(naslib_config.OBJECTIVES)}
        if not isinstance(variants, dict):
            raise ConfigError(
                "sweep.objectives has to be a section",
                value=variants,
                expected="names, and for each what a section objectives holds",
            )
        metrics: list[str] = []
        for chosen in variants.values():
            if chosen is not None:
                metrics += Objectives.of(chosen).metrics
        dataset = config.get("dataset")
        return cls(
            runner=runner,
            config_file=config_file,
            overrides=tuple(overrides),
            table=naslib_space.DEFAULT_TABLE if dataset in (None, "cifar10") else str(dataset),
            optimizers=_optimizers(
                optimizers or section.get("optimizers") or config.get("optimizer")
            ),
            seeds=_seeds(section.get("seeds", [config.get("seed", 0)]) if seeds is None else seeds),
            variants=variants,
            # In one order, whichever variant names them first.
            objectives=completed([name for name in METRICS if name in metrics]),
        )

    def units(self) -> list[SweepUnit]:
        """Every combination, seeds outermost so that all variants progress alike."""
        return [
            SweepUnit(
                Unit(self.table, self._label(optimizer, variant), seed), self, optimizer, variant
            )
            for seed in self.seeds
            for variant in self.variants
            for optimizer in self.optimizers
        ]

    @staticmethod
    def _label(optimizer: str, variant: str) -> str:
        return f"naslib:{optimizer}/{variant}" if variant else f"naslib:{optimizer}"

    def rules(self) -> dict[str, Any]:
        """What has to be equal for runs to be comparable."""
        config = naslib_config.read(self.config_file)
        naslib_config.override(config, self.overrides)
        whole = naslib_config.plain(config)
        for key in (SECTION, "seed", "optimizer", "out_dir", naslib_config.OBJECTIVES):
            whole.pop(key, None)
        return {
            "runner": str(self.runner),
            "config": whole,
            "objectives": list(self.objectives),
            # A variant that comes later is a variant more; one that changed is another sweep.
            **{f"variant {name}": plain for name, plain in self.variants.items()},
        }


def sweep(
    chosen: Sweep,
    out: Path,
    *,
    jobs: int = 1,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> list[Unit]:
    """Make the runs of a sweep that are not there yet; resumable as `compare` is.

    Raises:
        ConfigError: the folder is another sweep's, or somebody is at work in it.
        Exception: whatever a run raises.
    """
    works = chosen.units()
    api = naslib_space.dataset_api(chosen.table)
    for section in chosen.variants.values():
        if section is not None:
            Objectives.of(section).check(api["ecnas"])
    prepare(out, chosen.rules())
    with only_one(out):
        units = [work.unit for work in works]
        clear(units, out)
        absent = set(missing(units, out, {chosen.table: api["ecnas"].table.checksum}))
        total, done = len(works), len(works) - len(absent)
        if on_progress:
            on_progress(done, total, "")

        def ended(work: _Job) -> None:
            nonlocal done
            done += 1
            if on_progress:
                on_progress(done, total, str(work.work.unit))

        execute(
            _Job.do,
            [_Job(work, out.resolve()) for work in works if work.unit in absent],
            jobs=jobs,
            on_done=ended,
        )
    return [work.unit for work in works]


@dataclass(frozen=True)
class SweepUnit:
    """One run of a sweep."""

    unit: Unit
    sweep: Sweep
    optimizer: str
    variant: str

    def run(self, out: Path) -> Run:
        """Run NASLib's runner for it, its output kept from the terminal (NASLib's log has it).

        Raises:
            ConfigError: the runner made no search.
        """
        chosen = self.sweep
        overrides = [*chosen.overrides, "optimizer", self.optimizer, "seed", str(self.unit.seed)]
        overrides += ["out_dir", str(out / "naslib" / (self.variant or "runs"))]
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            done = naslib_run.run(
                chosen.runner,
                chosen.config_file,
                overrides,
                objectives=chosen.variants[self.variant],
            )
        if done.result is None:
            raise ConfigError(
                "the runner evaluated nothing",
                value=chosen.runner,
                expected="a search, such as nas",
            )
        result = done.result
        return Run(
            table=chosen.table,
            checksum=result.config.checksum,
            method=self.unit.method,
            seed=self.unit.seed,
            objectives=chosen.objectives,
            budget=result.config.epochs,
            rows=result.rows,
            epochs=result.epochs,
        )


@dataclass(frozen=True)
class _Job:
    work: SweepUnit
    out: Path

    def do(self) -> None:
        self.work.run(self.out).write(self.out / self.work.unit.file)


def _optimizers(chosen: Any) -> tuple[str, ...]:
    names = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, (list, tuple)) or not names or len(set(names)) < len(names):
        raise ConfigError(
            "a sweep needs optimizers, each once",
            value=chosen,
            expected="sweep.optimizers: [rs, re], or --optimizers rs,re",
        )
    return tuple(str(name) for name in names)


def _seeds(chosen: Any) -> tuple[int, ...]:
    seeds = seeds_of(chosen) if isinstance(chosen, (int, list, tuple)) else ()
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise ConfigError(
            "a sweep needs seeds",
            value=chosen,
            expected="a number of seeds, or a list of them",
        )
    return seeds
