"""Configs of NASLib's runners: read, overridden, completed and checked before anything runs.

A wrong value is one clear error here instead of a traceback out of NASLib. A key that neither
NASLib nor this package knows is kept.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from naslib_ecnas.adapters import naslib_compat, naslib_space
from naslib_ecnas.errors import ConfigError, UnknownBudgetError
from naslib_ecnas.storage import is_file

__all__ = [
    "CHOICES",
    "OBJECTIVES",
    "check_choices",
    "check_file",
    "check_objectives",
    "choices",
    "fill",
    "override",
    "plain",
    "read",
    "section",
    "table",
]

_SUFFIXES = (".yaml", ".yml", "")
#: Our section of a config.
OBJECTIVES = "objectives"
#: Kinds of NASLib's configs that are for a search with an optimiser.
SEARCHES = ("nas", "bbo-bs", "nas_predictor")

#: Keys of a config -> the dictionary of a runner that says which values it knows.
CHOICES = {
    "search_space": "supported_search_spaces",
    "optimizer": "supported_optimizers",
    "predictor": "supported_predictors",
}


def check_file(path: Path) -> None:
    """Refuse what is no config file, before the seconds that NASLib takes to import.

    Raises:
        ConfigError: there is no such file, or it is of another kind.
    """
    if not is_file(path):
        raise ConfigError(
            "there is no such config file",
            value=str(path),
            expected="a YAML file as NASLib's runners take it",
        )
    if path.suffix not in _SUFFIXES:
        # NASLib's reader runs a file that ends in .py as a program.
        raise ConfigError(
            "a config of another kind",
            value=str(path),
            expected="a file that ends in " + " or ".join(filter(None, _SUFFIXES)),
        )


def read(path: Path) -> Any:
    """The config as a node of NASLib's kind.

    Raises:
        ConfigError: as of `check_file`, or it cannot be read.
    """
    check_file(path)
    try:
        config = naslib_compat.require("naslib.utils").load_config(path)
    except Exception as error:  # every parser has errors of its own
        raise ConfigError(
            f"{path} cannot be read as a config: {' '.join(str(error).split())}",
            expected="a YAML file of keys and values",
        ) from error
    for section in ("search", "evaluation"):
        if section in config and not isinstance(config[section], dict):
            raise ConfigError(
                f"{section} has to be a section", value=config[section], expected="keys in it"
            )
    return config


def override(config: Any, overrides: Sequence[str]) -> None:
    """Set what the command line says; a key that nobody knows is kept as a new one."""
    if len(overrides) % 2:
        raise ConfigError(
            "overrides are keys and values in turn",
            value=" ".join(overrides),
            expected="such as: search.epochs 200 optimizer re",
        )
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        # NASLib has an option --seed, which it reads and forgets.
        *sections, name = ("seed" if key == "--seed" else key).split(".")
        if key.startswith("-") and key != "--seed":
            raise ConfigError("no such option", value=key, expected="--config-file FILE, KEY VALUE")
        node = config
        for section in sections:
            if section not in node:
                node[section] = type(config)()
            node = node[section]
            if not isinstance(node, dict):
                raise ConfigError("this key has no keys below it", value=key)
        if isinstance(node.get(name), dict):
            raise ConfigError("this key is a section", value=key, expected=f"{key}.KEY VALUE")
        node[name] = _value(key, text, node.get(name))


def _value(key: str, text: str, old: Any) -> Any:
    """The value that a text stands for, of the old one's type where there is an old one."""
    if isinstance(old, str):
        return text
    try:
        new = ast.literal_eval({"true": "True", "false": "False", "null": "None"}.get(text, text))
    except (ValueError, SyntaxError):
        new = text
    if isinstance(old, float) and type(new) is int:
        new = float(new)
    if old is not None and new is not None and type(new) is not type(old):
        raise ConfigError(
            f"{key} cannot be set to this", value=text, expected=f"a value like {old!r}"
        )
    return new


def fill(config: Any, kind: str | None, home: Path) -> tuple[str, ...]:
    """Give a config what it lacks and NASLib has a default for; says what.

    Only what a search does not depend on: NASLib's defaults of `search` are for another kind of
    search, and an experiment that leaves one out is better told so.
    """
    filled = []
    # A script of the user's may be any of them; a key too many does no harm.
    if kind in ("nas", None) and "evaluation" not in config:
        # get_config_from_args writes into the section, which the shipped nas config lacks.
        defaults = naslib_compat.require("naslib.utils").load_default_config("nas")
        config["evaluation"] = defaults.evaluation
        filled.append("evaluation")
    if kind in ("bbo-bs", None) and "search" in config and "use_zc_api" not in config["search"]:
        # Bananas and Npenas take False where it is missing; the runner itself reads it bare.
        config["search"]["use_zc_api"] = False
        filled.append("search.use_zc_api")
    _require(config, "search_space")
    _require(config, "dataset")
    return tuple(filled)


def _require(config: Any, key: str) -> None:
    if config.get(key) is None:
        expected = {
            "search_space": "search_space: ecnas",
            "dataset": "dataset: cifar10 (the table 7v), or the name or file of another table",
        }
        raise ConfigError(f"the config lacks the key {key}", expected=expected[key])


def choices(script: Path) -> dict[str, list[str]]:
    """Names in the dictionaries `supported_...` of a script, by the key that chooses from them."""
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{script} is no Python script: {error}") from error
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            for choice, dictionary in CHOICES.items():
                if dictionary in names and len(keys) == len(node.value.keys):
                    found[choice] = [str(key) for key in keys]
    if "search_space" in found:
        found["search_space"].append(naslib_space.NAME)
    return found


def check_choices(config: Any, known: dict[str, list[str]]) -> None:
    for key, names in known.items():
        value = config.get(key)
        if value is None:
            raise ConfigError(f"the config lacks the key {key}", expected=", ".join(names))
        if value not in names:
            near = difflib.get_close_matches(str(value), names, 1)
            raise ConfigError(
                f"this runner knows no such {key}",
                value=value,
                expected=", ".join(names),
                remedy=f"did you mean {near[0]}?" if near else None,
            )


def table(config: Any) -> dict[str, Any]:
    """The data of the experiment, which what it is asked for fits."""
    if not isinstance(config["dataset"], str):
        raise ConfigError(
            "dataset has to be a name", value=config["dataset"], expected="cifar10 or a table"
        )
    search = config.get("search") or {}
    api: dict[str, Any] = naslib_space.dataset_api_of(
        config["search_space"],
        config["dataset"],
        objectives=config.get(OBJECTIVES),
        seed=_seed(config),
        method=f"naslib:{config.get('optimizer') or config.get('predictor') or 'script'}",
    )
    if search.get("use_zc_api") or "zc" in search:
        raise ConfigError(
            "NASLib has no table of zero-cost scores for ecnas",
            value="search.zc" if "zc" in search else "search.use_zc_api: True",
            expected="search.use_zc_api: False and no search.zc",
        )
    bench = api["ecnas"]
    fidelity = search.get("fidelity", -1)
    if fidelity not in (-1, None, *bench.budgets) or isinstance(fidelity, bool):
        raise UnknownBudgetError(
            f"search.fidelity is no budget of the table {bench.name}",
            value=fidelity,
            expected=", ".join(map(str, bench.budgets)) + " epochs, or -1 for the largest",
        )
    epochs = search.get("epochs")
    if epochs is not None and (type(epochs) is not int or epochs < 1):
        raise ConfigError("search.epochs is no number of steps", value=epochs, expected="1 or more")
    return api


def check_objectives(config: Any, kind: str | None) -> None:
    """Refuse objectives where nothing would look for them."""
    if OBJECTIVES not in config:
        return
    if config.get("search_space") != naslib_space.NAME:
        raise ConfigError(
            "objectives are for the search space ecnas",
            value=f"search_space: {config.get('search_space')}",
            expected="search_space: ecnas, or no objectives",
        )
    if kind not in (*SEARCHES, None):
        raise ConfigError(
            "objectives are for searches, and this runner makes none",
            value=OBJECTIVES,
            expected="the runner nas or bbo, or a script",
        )


def _seed(config: Any) -> int:
    seed = config.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigError("seed is no seed", value=seed, expected="a whole number from 0 to 2^32-1")
    return seed


def section(config: Any, keys: Mapping[str, Any]) -> Any:
    """A section of the config's kind."""
    node = type(config)()
    for key, value in keys.items():
        node[key] = section(config, value) if isinstance(value, Mapping) else value
    return node


def plain(config: Any) -> dict[str, Any]:
    return {k: plain(v) if isinstance(v, dict) else v for k, v in config.items()}
