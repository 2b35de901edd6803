"""NASLib's runner scripts, unchanged, with `search_space: ecnas`.

A runner is a script: it reads a config from its command line, builds every optimiser and every
search space by name, and takes one of each. Here it runs in this process as `python runner.py`
would, with three things seen to. The config is checked first, so that a wrong value is one clear
error instead of a traceback out of NASLib. What the config lacks and NASLib has a default for is
filled in. And the script's own dictionary of search spaces gets `ecnas` at the moment when the
script asks for the data of that space, which every runner does between making and using it.
"""

from __future__ import annotations

import logging
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from naslib_ecnas.adapters import naslib_compat, naslib_config, naslib_space
from naslib_ecnas.adapters.naslib_config import CHOICES
from naslib_ecnas.adapters.naslib_mends import replace_code
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError
from naslib_ecnas.search.result import SearchResult
from naslib_ecnas.storage import is_file

__all__ = ["RUNNERS", "NaslibRun", "run"]

#: NASLib's own runners -> what NASLib calls the kind of config that they read.
RUNNERS: dict[str, str] = {
    "nas": "nas",
    "bbo": "bbo-bs",
    "nas_predictors": "nas_predictor",
    "predictors": "predictor",
    "statistics": "statistics",
}


@dataclass(frozen=True)
class NaslibRun:
    """A runner that has run."""

    folder: Path | None
    """Where NASLib wrote; None of a script that has no `config.save`."""
    config: dict[str, Any]
    """The config that the runner was given, complete."""
    filled: tuple[str, ...]
    """Keys of it that were missing and got NASLib's default."""
    result: SearchResult | None
    """What the optimiser evaluated; None where the runner made no search on our space."""
    benchmark: Benchmark | None
    """The table; None where the search space is another one."""


def run(
    runner: str | os.PathLike[str],
    config_file: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    objectives: Mapping[str, Any] | None = None,
) -> NaslibRun:
    """Run one of NASLib's runners, or a script that is written like one.

    Into the folder where NASLib writes come `history.jsonl`, `front.json`, `spent.json` and
    `config.json`, of every evaluation that the optimiser asked for, up to an error if one ends the
    run.

    `sys.argv`, `sys.path`, the working folder and the handlers of NASLib's logger are afterwards
    as before, whatever happens.

    Args:
        runner: a name of `RUNNERS`, or the path of a script.
        config_file: as NASLib's runners take it. With `search_space: ecnas`, `dataset` is
            `cifar10` for the table `7v`, or the name or file of another table.
        overrides: keys and values in turn, such as `"search.epochs", "200"`.
        objectives: instead of the section `objectives:` of the config.

    Raises:
        ConfigError: a key is missing, or has a value that is not possible.
        UnknownTableError: there is no such table.
        UnknownBudgetError: `search.fidelity` is no budget of the table.
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: the runner needs a package that is not installed.
        Exception: whatever else the script raises.
    """
    naslib_config.check_file(Path(config_file))
    home = naslib_compat.ensure()
    script = _script(runner, home)
    naslib_space.register()
    config = naslib_config.read(Path(config_file))
    naslib_config.override(config, overrides)
    if objectives is not None:
        config[naslib_config.OBJECTIVES] = naslib_config.section(config, objectives)
    filled = naslib_config.fill(config, RUNNERS.get(str(runner)), home)
    known = naslib_config.choices(script)
    naslib_config.check_choices(config, known)
    naslib_config.check_objectives(config, RUNNERS.get(str(runner)))
    api = naslib_config.table(config) if config.get("search_space") == naslib_space.NAME else None
    start = Path.cwd()
    results: list[SearchResult | None] = []
    with ExitStack() as stack:
        # Under the name of the user's file, which NASLib logs.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ecnas-naslib-"))
        complete = Path(folder) / Path(config_file).name
        complete.write_text(config.dump(), encoding="utf-8")
        own = script.parent if str(runner) not in RUNNERS else None
        stack.enter_context(_process([str(script), "--config-file", str(complete)], own))
        stack.enter_context(_logging())
        saves = stack.enter_context(_data(script, api, config["dataset"]))
        stack.enter_context(_clear_errors(script))
        stack.callback(lambda: results.append(_written(api, [start / save for save in saves])))
        left = runpy.run_path(str(script), run_name="__main__")
    save = getattr(left.get("config"), "save", None)
    return NaslibRun(
        None if save is None else start / save,
        naslib_config.plain(config),
        filled,
        results[0],
        None if api is None else api["ecnas"],
    )


def _written(api: dict[str, Any] | None, folders: Sequence[Path]) -> SearchResult | None:
    """Write what was evaluated to where NASLib writes, if anything was."""
    recorder = None if api is None else api["recorder"]
    if not recorder:
        return None
    found: SearchResult = recorder.write(folders[-1]) if folders else recorder.result()
    return found


def _script(runner: str | os.PathLike[str], home: Path) -> Path:
    name = str(runner)
    path = Path(name).expanduser()
    if name in RUNNERS:
        path = home / "naslib" / "runners" / name / "runner.py"
    if not is_file(path):
        raise ConfigError(
            "there is no such runner of NASLib's and no such script",
            value=name,
            expected=", ".join(RUNNERS) + ", or the path of a script",
        )
    return path.resolve()


# -- around the run -------------------------------------------------------------------------


@contextmanager
def _process(argv: list[str], folder: Path | None) -> Iterator[None]:
    """The process as a script finds it that was started with `argv`."""
    saved = sys.argv, list(sys.path), Path.cwd()
    sys.argv = argv
    if folder is not None:
        # As python does for a script. NASLib's own import nothing from beside themselves.
        sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = saved[0], saved[1]
        os.chdir(saved[2])


@contextmanager
def _logging() -> Iterator[None]:
    """Handlers that a run adds are closed: the next one writes to its own file alone."""
    logger = logging.getLogger("naslib")
    before, level, propagate = list(logger.handlers), logger.level, logger.propagate
    setup: Any = naslib_compat.require("naslib.utils.log").setup_logger
    # It remembers what it set up, and would not do so again for the same folder.
    setup.cache_clear()
    try:
        yield
    finally:
        for handler in [h for h in logger.handlers if h not in before]:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate
        setup.cache_clear()


@contextmanager
def _data(script: Path, api: dict[str, Any] | None, wanted: str) -> Iterator[list[str]]:
    """While it lasts, whoever asks for the data of ecnas also gets the space into the script.

    Yields where the scripts that asked write to, in order.
    """
    saves: list[str] = []
    if api is None:
        yield saves
        return
    original = naslib_space.dataset_api_of
    utils = naslib_compat.require("naslib.utils")
    zero_cost = utils.get_zc_benchmark_api
    code, defaults = zero_cost.__code__, zero_cost.__defaults__

    def dataset_api_of(search_space: Any = None, dataset: Any = None, **settings: Any) -> Any:
        if not (isinstance(search_space, str) and search_space.lower() == naslib_space.NAME):
            return original(search_space, dataset, **settings)
        saves.extend(_offer(script, search_space))
        return api if dataset == wanted else original(search_space, dataset, **settings)

    naslib_space.dataset_api_of = dataset_api_of
    # The bbo runner asks for a table of scores even when it shall not use one.
    replace_code(zero_cost, _no_scores)
    try:
        yield saves
    finally:
        naslib_space.dataset_api_of = original
        zero_cost.__code__, zero_cost.__defaults__ = code, defaults


def _no_scores(search_space: Any, dataset: Any) -> Any:
    return None


def _offer(script: Path, name: str) -> list[str]:
    """Put the space into the script's `supported_search_spaces`, wherever it stands by now.

    Returns:
        Where the script writes to, if it has a config that says so.
    """
    saves = []
    for names in _scopes(script):
        spaces = names.get(CHOICES["search_space"])
        if isinstance(spaces, dict) and name not in spaces:
            space = naslib_space.EcnasSearchSpace
            # A script may keep classes, and make the one that it takes.
            classes = bool(spaces) and all(isinstance(value, type) for value in spaces.values())
            spaces[name] = space if classes else space()
        config = names.get("config")
        optimizers = names.get(CHOICES["optimizer"])
        if isinstance(optimizers, dict) and config is not None:
            _check_optimizer(optimizers, getattr(config, "optimizer", None))
        save = getattr(config, "save", None)
        if isinstance(save, str):
            saves.append(save)
    return saves


def _scopes(script: Path) -> Iterator[dict[str, Any]]:
    """The names of each function of the script that is running, and of the script itself."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == str(script):
            yield frame.f_locals
            if frame.f_locals is not frame.f_globals:
                yield frame.f_globals
        frame = frame.f_back


def _check_optimizer(optimizers: dict[str, Any], chosen: Any) -> None:
    # Optimisers that take steps train one network of all cells; a table has none.
    if getattr(optimizers.get(chosen), "using_step_function", False):
        able = [k for k, v in optimizers.items() if not getattr(v, "using_step_function", False)]
        raise ConfigError(
            "this optimizer trains a network of all cells, which a table cannot replace",
            value=chosen,
            expected=", ".join(able),
        )


# -- errors of the run ----------------------------------------------------------------------


@contextmanager
def _clear_errors(script: Path) -> Iterator[None]:
    """Tell what is wrong with the config or the installation, where that is what failed."""
    try:
        yield
    except EcnasError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("naslib"):
            raise
        package = error.name.partition(".")[0]
        raise MissingDependencyError(package, feature=f"the runner {script}") from error
    except (AttributeError, KeyError) as error:
        raised = _missing_key(error) or _missing_space(error, script)
        if raised is None:
            raise
        raise raised from error


def _missing_key(error: BaseException) -> ConfigError | None:
    """The error for a key that a config lacks, if that is what was raised."""
    frames = _frames(error.__traceback__)
    node = frames[-1].f_locals.get("self")
    if not (isinstance(error, AttributeError) and type(node).__name__ == "CfgNode"):
        return None
    whole = next((f.f_globals["config"] for f in frames if "config" in f.f_globals), node)
    name = str(error.args[0])
    where = _place(whole, node)
    return ConfigError(
        f"the config lacks the key {where}{name}",
        remedy=f"add {where}{name}: VALUE to it; the configs beside NASLib's runners show values",
    )


def _place(whole: Any, node: Any) -> str:
    """The section that a node of a config is, with a dot."""
    for key, value in whole.items() if isinstance(whole, dict) else ():
        if value is node:
            return f"{key}."
    return "search." if node is not whole else ""


def _missing_space(error: BaseException, script: Path) -> ConfigError | None:
    if not isinstance(error, KeyError) or error.args != (naslib_space.NAME,):
        return None
    if _frames(error.__traceback__)[-1].f_code.co_filename != str(script):
        return None
    return ConfigError(
        f"{script} knows no search space of this name",
        value=naslib_space.NAME,
        expected="a dictionary supported_search_spaces, made before get_dataset_api is called",
        remedy="or take the space from naslib.search_spaces.get_search_space",
    )


def _frames(traceback: TracebackType | None) -> list[FrameType]:
    frames = []
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames
