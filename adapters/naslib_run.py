"""NASLib's runner scripts, unchanged, with `search_space: ecnas`, and sweeps of them.

A runner is a script: it reads a config from its command line, builds every optimiser and every
search space by name, and takes one of each. `run` runs it in this process as `python runner.py`
would, with three additions:

- the config is checked, so that a wrong value is one clear error, not a traceback of NASLib;
- keys that the config lacks and NASLib has a default for are filled in;
- the script's own dictionary of search spaces gets `ecnas` at the moment when the script asks for
  the data of that space, which every runner does between making and using the dictionary.
"""

from __future__ import annotations

import contextlib
import logging
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from traceback import walk_tb
from typing import Any, NoReturn

from naslib_ecnas.adapters import naslib_config, naslib_space
from naslib_ecnas.adapters.naslib_config import RUNNERS, read
from naslib_ecnas.adapters.naslib_energy import measured
from naslib_ecnas.adapters.naslib_objectives import Objectives, completed
from naslib_ecnas.adapters.naslib_patches import ensure, rebound, require, versions
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.experiment import make_missing
from naslib_ecnas.comparison.runs import Run, Unit
from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError, as_int
from naslib_ecnas.files import expanded, is_file
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.search.methods import method_names
from naslib_ecnas.search.result import SearchResult

#: Keys of a config -> the dictionary of a runner that holds their possible values by name, and
#: where NASLib has the class of these values.
_CHOICES = {
    "search_space": ("supported_search_spaces", "search_spaces.core.graph:Graph"),
    "optimizer": ("supported_optimizers", "optimizers.core.metaclasses:MetaOptimizer"),
    "predictor": ("supported_predictors", "predictors.predictor:Predictor"),
}


#: Keys of a config, and the arguments of `get_dataset_api`, that choose the data.
_ASKED = ("search_space", "dataset")


# -- one run ----


@dataclass(frozen=True)
class NaslibRun:
    """A finished run of a runner."""

    folder: Path | None
    """Folder that NASLib wrote to; None for a script without `config.save`."""
    config: dict[str, Any]
    """The complete config that the runner was given."""
    filled: tuple[str, ...]
    """Keys that the config lacked and that got NASLib's default."""
    result: SearchResult | None
    """What the optimiser evaluated; None if the runner made no search on our space."""
    incumbent: dict[str, Any] | None
    """The evaluation of the best score (`Recorder.incumbent`); None without a result."""
    benchmark: Benchmark | None
    """The table; None with another search space."""


def run(
    runner: str | os.PathLike[str],
    config_file: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    objectives: Mapping[str, Any] | None = None,
) -> NaslibRun:
    """Run one of NASLib's runners, or a script that is written like one.

    The evaluations are written to `history.jsonl`, `front.json`, `spent.json` and `config.json` in
    the folder where NASLib writes, also if the run ends by an error. Afterwards `sys.argv`,
    `sys.path`, the working folder and the handlers of NASLib's logger are as before.

    Args:
        runner: a name of `naslib_config.RUNNERS`, or the path of a script.
        config_file: a config as NASLib's runners take it. With `search_space: ecnas`, `dataset`
            is `cifar10` for the table `7v`, or the name or file of another table.
        overrides: keys and values in turn, such as `"search.epochs", "200"`.
        objectives: replaces the section `objectives:` of the config.

    Raises:
        ConfigError, UnknownTableError, UnknownBudgetError: the config is not possible.
        MissingDependencyError: there is no NASLib, or the runner needs a missing package.
        Exception: any other error of the script.
    """
    config = read(Path(config_file), overrides)
    kind = RUNNERS.get(str(runner))
    naslib_space.register()
    script = expanded(runner).resolve()
    if kind is not None:
        script = ensure() / "naslib" / "runners" / runner / "runner.py"
    if not is_file(script):
        raise ConfigError(f"a runner is one of {', '.join(RUNNERS)}, or a script", value=runner)
    if objectives is not None:
        config["objectives"] = naslib_config.plain(objectives)
    filled = naslib_config.complete(config, kind)
    api = naslib_config.data_of(config, kind)
    start, result, incumbent = Path.cwd(), None, None
    with tempfile.TemporaryDirectory(prefix="ecnas-naslib-") as scratch:
        # Under the name of the user's file, which NASLib logs.
        file = Path(scratch) / Path(config_file).name
        file.write_text(require("yaml").safe_dump(config), encoding="utf-8")
        argv = [str(script), "--config-file", str(file)]
        with _restored(argv), measured(config), _offered(script, api, config) as saves:
            try:
                left = _executed(script)
            finally:
                # Falsy without an evaluation.
                if api is not None and (recorder := api["recorder"]):
                    about = {"sampling": api["sampling"], "versions_of_naslib": versions()}
                    folder = start / saves[-1] if saves else None
                    result = recorder.write(folder, **about) if folder else recorder.result()
                    incumbent = recorder.incumbent(result)
    save = getattr(left.get("config"), "save", None)
    where = None if save is None else start / save
    bench = None if api is None else api["ecnas"]
    return NaslibRun(where, config, filled, result, incumbent, bench)


# -- around the script ----


@contextmanager
def _restored(argv: list[str]) -> Iterator[None]:
    """Give a script `argv` as its command line, and restore the process afterwards."""
    argv_before, path, folder = sys.argv, list(sys.path), Path.cwd()
    logger = logging.getLogger("naslib")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    setup = require("naslib.utils.log").setup_logger
    # It caches the folders it set up, and would set none up again.
    setup.cache_clear()
    sys.argv = argv
    sys.path.insert(0, str(Path(argv[0]).parent))  # as python does for a script
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv_before, path
        os.chdir(folder)
        # The next run writes to its own log file only.
        for handler in [h for h in logger.handlers if h not in handlers]:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate
        setup.cache_clear()


@contextmanager
def _offered(
    script: Path, api: dict[str, Any] | None, config: Mapping[str, Any]
) -> Iterator[list[str]]:
    """Answer `get_dataset_api` with `api`, and put the space into the script that asks for it.

    Yields:
        Folders that the asking scripts write to, in order; filled while the script runs.
    """
    saves: list[str] = []

    def data(original: Any, *args: Any, **kwargs: Any) -> Any:
        saves.extend(_checked(script, config))
        asked = [naslib_space.argument(original, key, args, kwargs) for key in _ASKED]
        ours = api is not None and asked == [config[key] for key in _ASKED]
        return api if ours else original(*args, **kwargs)

    def scores(original: Any, *args: Any, **kwargs: Any) -> Any:
        # The bbo runner asks for a table of zero-cost scores even if it does not use one.
        return original(*args, **kwargs) if api is None else _NoScores()

    utils = require("naslib.utils")
    with rebound(utils.get_dataset_api, data), rebound(utils.get_zc_benchmark_api, scores):
        yield saves


class _NoScores:
    """Stands for NASLib's precomputed zero-cost scores, and raises an error when it is used."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise ConfigError(
            "NASLib has no precomputed zero-cost scores of these cells",
            remedy="compute them: ZeroCost(method).query(architecture, dataloader=images)",
        )

    keys = items = values = get = __getitem__ = __contains__ = __iter__ = __len__ = _refuse


def _checked(script: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Check the choices of the config, put the space into the script's `supported_search_spaces`,
    and yield the folder that it writes to."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename != str(script):
            continue
        names = {**frame.f_globals, **frame.f_locals}
        found = {key: _choices(names, *where) for key, where in _CHOICES.items()}
        spaces = found["search_space"]
        asked = [str(config.get(key)) for key in _ASKED]
        if isinstance(spaces, dict) and naslib_space.table_of(*asked) is not None:
            space = naslib_space.EcnasSearchSpace
            # A script may hold classes, and make an object of the one that it takes.
            classes = bool(spaces) and all(isinstance(value, type) for value in spaces.values())
            spaces[asked[0]] = space if classes else space()
        made, name = found["optimizer"], str(config.get("optimizer"))
        if isinstance(made, dict) and naslib_space.table_of(*asked) is not None:
            from naslib_ecnas.adapters.naslib_optimizer import EcnasOptimizer

            if name not in made and (":" in name or name in method_names()):
                made[name] = EcnasOptimizer(names["config"], name)
        for key, choices in found.items():
            if isinstance(choices, dict):
                naslib_config.check_choice(key, config.get(key), choices)
        if isinstance(made, dict):
            able = [key for key in made if not getattr(made[key], "using_step_function", False)]
            if name not in able:
                text = "trains a network of all cells, which a table does not have"
                raise ConfigError(f"{name} {text}; optimizer must be one of {', '.join(able)}")
        settings = names.get("config")
        if settings is not None and any(found.values()):
            naslib_config.check_predictor(settings, found["predictor"])
        save = getattr(settings, "save", None)
        if isinstance(save, str):
            yield save


def _choices(names: Mapping[str, Any], usual: str, kind: str) -> dict[str, Any] | None:
    """The dictionary of a usual name, or else of values of a kind, among the names of a script."""
    module, _, name = kind.partition(":")
    kinds: Any = getattr(require(f"naslib.{module}"), name)

    def holds(found: Any) -> bool:
        values = found.values() if isinstance(found, dict) else ()
        return bool(values) and all(
            issubclass(value if isinstance(value, type) else type(value), kinds) for value in values
        )

    return names.get(usual) or next((found for found in names.values() if holds(found)), None)


def _executed(script: Path) -> dict[str, Any]:
    """The script's global names after it has run.

    A typed error is raised where the config, the script or a missing package made it fail.
    """
    try:
        return runpy.run_path(str(script), run_name="__main__")
    except EcnasError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("naslib"):
            raise
        package = error.name.partition(".")[0]
        raise MissingDependencyError(package, feature=f"the runner {script}") from error
    except FileNotFoundError as error:
        if "naslib" not in Path(str(error.filename)).parts:
            raise
        raise ConfigError(
            f"{script} needs a file that is not there", value=error.filename
        ) from error
    except (AttributeError, KeyError) as error:
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        node: Any = frames[-1].f_locals.get("self")
        if isinstance(error, AttributeError) and type(node).__name__ == "CfgNode":
            config = next((f.f_globals["config"] for f in frames if "config" in f.f_globals), node)
            keys = [*(key for key, value in config.items() if value is node), error.args[0]]
            raise ConfigError(f"the config lacks the key {'.'.join(keys)}") from error
        if error.args == (naslib_space.NAME,) and frames[-1].f_code.co_filename == str(script):
            raise ConfigError(
                f"{script} must make a dictionary of search spaces before it calls "
                f"get_dataset_api, or take the space {naslib_space.NAME} from get_search_space"
            ) from error
        raise


# -- sweeps ----


@dataclass(frozen=True)
class Sweep:
    """Optimisers, seeds and objectives of one config, every combination of which is run.

    A section `sweep:` of the config names them; make the object by `of`::

        sweep:
          optimizers: [rs, re, ls]
          seeds: 10
          objectives:
            accuracy: {metrics: [validation_accuracy]}
            both: {metrics: [validation_accuracy, energy_kwh], weights: [0.5, 0.5]}

    NASLib's files of each run are below `naslib/`; the evaluations are stored as `ecnas compare`
    stores them, and read by the same analysis.
    """

    runner: str
    config_file: Path
    overrides: tuple[str, ...]
    config: Mapping[str, Any]
    """What the file and the overrides say."""
    table: str
    optimizers: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: Mapping[str, Mapping[str, Any] | None]
    """Objectives by name of the variant; `""` for the config's own objectives."""
    objectives: tuple[str, ...]
    """Metrics of the fronts of all runs."""

    @classmethod
    def of(
        cls,
        config_file: Path,
        overrides: Sequence[str] = (),
        *,
        runner: str = "nas",
    ) -> Sweep:
        """The sweep of a config.

        Args:
            config_file, overrides: as `run` takes them.
            runner: `nas`, `bbo`, or the path of a script.

        Raises:
            ConfigError: nothing to sweep, or an impossible value.
        """
        config = read(config_file, overrides)
        section = config.get("sweep") or {}
        known = ("optimizers", "seeds", "objectives")
        if not isinstance(section, dict) or not set(section) <= set(known):
            keys = ", ".join(known)
            raise ConfigError(f"sweep must be a section with the keys {keys}", value=section)
        asked = [config.get(key) for key in _ASKED]
        table = naslib_space.table_of(*asked)
        if table is None:
            raise ConfigError(f"a sweep needs search_space: {naslib_space.NAME}", value=asked[0])
        variants = section.get("objectives") or {"": config.get("objectives")}
        if not isinstance(variants, dict):
            raise ConfigError("sweep.objectives must be a section of objectives", value=variants)
        chosen = [Objectives.of(variant) for variant in variants.values() if variant is not None]
        metrics = {name for objectives in chosen for name in objectives.metrics}
        names = section.get("optimizers") or config.get("optimizer")
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list | tuple) or not names or len(set(names)) < len(names):
            raise ConfigError("sweep.optimizers must be a list of names, each once", value=names)
        seeds = section.get("seeds", [config.get("seed", 0)])
        listed = range(seeds) if as_int(seeds) is not None else seeds
        each = tuple(listed) if isinstance(listed, range | list | tuple) else ()
        if not each or any(as_int(seed) is None or seed < 0 for seed in each):
            text = "sweep.seeds must be a number of seeds or a list of them"
            raise ConfigError(text, value=seeds)
        return cls(
            runner=runner,
            config_file=config_file,
            overrides=tuple(overrides),
            config=config,
            table=table,
            optimizers=tuple(map(str, names)),
            seeds=each,
            variants=variants,
            # Always in the order of METRICS, whichever variant names them first.
            objectives=completed([name for name in METRICS if name in metrics]),
        )

    def units(self) -> dict[Unit, tuple[str, str]]:
        """Optimiser and variant of each run, one seed after the other."""
        return {
            Unit(self.table, f"naslib:{name}/{variant}".rstrip("/"), seed): (name, variant)
            for seed, variant, name in product(self.seeds, self.variants, self.optimizers)
        }

    def rules(self) -> dict[str, Any]:
        """The settings that must be equal for runs to be comparable."""
        varied = ("sweep", "seed", "optimizer", "out_dir", "objectives")
        return {
            "runner": str(self.runner),
            "config": {key: value for key, value in self.config.items() if key not in varied},
            "objectives": list(self.objectives),
            # Variants may be added later; a variant that changed makes it another sweep.
            **{f"variant {name}": section for name, section in self.variants.items()},
        }


def sweep(chosen: Sweep, out: Path, *, jobs: int = 1) -> list[Unit]:
    """Make the runs of a sweep that a folder does not have yet, `jobs` at a time.

    It is resumable as `compare` is.

    Raises:
        ConfigError: the folder belongs to another sweep, or another process works in it.
        Exception: any error of a run.
    """
    bench = naslib_space.dataset_api(chosen.table)["ecnas"]
    for section in chosen.variants.values():
        if section is not None:
            Objectives.of(section).values(bench)
    return make_missing(
        partial(_write_run, chosen, out.resolve()),
        list(chosen.units()),
        out,
        rules=chosen.rules(),
        checksums={chosen.table: bench.table.checksum},
        jobs=jobs,
    )


def _write_run(chosen: Sweep, out: Path, unit: Unit) -> None:
    """Run NASLib's runner without its output to the terminal, and write the evaluations."""
    optimizer, variant = chosen.units()[unit]
    overrides = [*chosen.overrides, "optimizer", optimizer, "seed", str(unit.seed)]
    overrides += ["out_dir", str(out / "naslib" / (variant or "runs"))]
    section = chosen.variants[variant]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        result = run(chosen.runner, chosen.config_file, overrides, objectives=section).result
    if result is None:
        raise ConfigError("the runner of a sweep must make a search", value=chosen.runner)
    made = Run.of(result, table=chosen.table, method=unit.method)
    replace(made, objectives=chosen.objectives).write(out / unit.file)
