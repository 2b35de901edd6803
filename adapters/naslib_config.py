"""Configs of NASLib's runners: reading, overriding, completing and checking them.

A key that neither NASLib nor this package knows is kept.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from naslib_ecnas.adapters import naslib_space
from naslib_ecnas.adapters.naslib_patches import check_complete, require
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, check_counts
from naslib_ecnas.files import is_file, read_bytes

#: NASLib's own runners -> NASLib's name for the kind of config that they read.
RUNNERS: dict[str, str] = {
    "nas": "nas",
    "bbo": "bbo-bs",
    "nas_predictors": "nas_predictor",
    "predictors": "predictor",
    "statistics": "statistics",
    "zc": "zc",
}

#: NASLib's optimisers that learn a predictor, which `search.predictor_type` names.
LEARNING = ("bananas", "npenas")


#: Keys of a config that choose among the tables of one name, and how cells are drawn.
TABLE_KEYS = ("device", "scaling", "model", "world", "pue", "carbon_intensity", "sampling")


def read(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A config as plain dictionaries.

    Args:
        path: a YAML file.
        overrides: keys and values in turn, such as `"search.epochs", "200"`.

    Raises:
        ConfigError: the file is missing or not YAML, or a key cannot be set.
    """
    # First, before the seconds that importing NASLib takes.
    if not is_file(path):
        raise ConfigError(f"there is no config file {path}")
    # NASLib's reader runs a file that ends in .py as a program.
    if path.suffix not in (".yaml", ".yml", ""):
        raise ConfigError("a config file ends in .yaml or .yml", value=str(path))
    load = require("naslib.utils").load_config
    try:
        read_bytes(path, most=1 << 20)  # NASLib would read it whatever its size
        config = plain(load(path))
    except Exception as error:  # every parser has errors of its own
        text = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as a config: {text}") from error
    if len(overrides) % 2:
        text = " ".join(overrides)
        raise ConfigError("overrides are keys and values in turn, as in seed 3", value=text)
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        _set(config, key, text)
    for name in ("search", "evaluation"):
        if not isinstance(config.get(name, {}), dict):
            raise ConfigError(f"{name} must be a section of keys", value=config[name])
    return config


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as plain dictionaries."""
    return {k: plain(v) if isinstance(v, Mapping) else v for k, v in config.items()}


def _set(config: dict[str, Any], key: str, text: str) -> None:
    """Set a key to a value of the command line; an unknown key is added."""
    if key.startswith("-") and key != "--seed":
        raise ConfigError("no such option of a NASLib runner", value=key)
    # NASLib has an option --seed, which it reads and forgets.
    *sections, name = key.removeprefix("--").split(".")
    node = config
    for section in sections:
        node = node.setdefault(section, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{section} is a value and has no keys", value=key)
    if isinstance(node.get(name), dict):
        raise ConfigError(f"{key} is a section; set {key}.KEY", value=text)
    node[name] = _value(key, text, node.get(name))


def _value(key: str, text: str, old: Any) -> Any:
    """The value of a text, of the old value's type if there is an old value."""
    if isinstance(old, str):
        return text
    try:
        new = ast.literal_eval({"true": "True", "false": "False", "null": "None"}.get(text, text))
    except (ValueError, SyntaxError):
        new = _listed(text) if text[:1] in ("[", "{") else text
    if isinstance(old, float) and type(new) is int:
        new = float(new)
    if old is not None and new is not None and type(new) is not type(old):
        raise ConfigError(f"{key} must be a value like {old!r}", value=text)
    return new


def _listed(text: str) -> Any:
    """A list or section in YAML, such as [energy_kwh, validation_accuracy]; else the text."""
    yaml = require("yaml")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def complete(config: dict[str, Any], kind: str | None) -> tuple[str, ...]:
    """Add missing keys that have a default in NASLib, and return their names.

    Only keys that a search does not depend on: NASLib's defaults of `search` are for another kind
    of search, so a missing one stays an error.

    Args:
        config: the config, which is changed.
        kind: a value of `RUNNERS`; None for a script of the user's, which may be of any kind: a key
            too many does no harm.
    """
    filled = []
    if kind in ("nas", None) and "evaluation" not in config:
        # get_config_from_args writes into the section, which the shipped nas config lacks.
        config["evaluation"] = plain(require("naslib.utils").load_default_config("nas").evaluation)
        filled.append("evaluation")
    if kind in ("bbo-bs", None) and "search" in config and "use_zc_api" not in config["search"]:
        # Bananas and Npenas assume False if it is missing; the runner itself needs it.
        config["search"]["use_zc_api"] = False
        filled.append("search.use_zc_api")
    return tuple(filled)


def check_choice(key: str, value: Any, names: Collection[str]) -> None:
    """Raise ConfigError unless a key of a config is one of some names."""
    known = ", ".join(map(str, names))
    if value is None:
        raise ConfigError(f"the config lacks the key {key}, one of {known}")
    if value not in names:
        near = difflib.get_close_matches(str(value), names, 1)
        remedy = f"did you mean {near[0]}?" if near else None
        raise ConfigError(f"{key} must be one of {known}", value=value, remedy=remedy)


def check_predictor(config: Any, predictors: Mapping[str, Any] | None) -> None:
    """Check the predictor of a search, or of a script's dictionary, before anything is evaluated.

    Raises:
        ConfigError: NASLib has no predictor of this name.
        StandInError: it needs a package that is not installed.
    """
    chosen = (predictors or {}).get(config.get("predictor"))
    if chosen is None and config.get("optimizer") in LEARNING:
        name = config.search.get("predictor_type")
        settings = {"num_ensemble": 1, "ss_type": "nasbench101", "config": config}
        ensemble = require("naslib.predictors.ensemble").Ensemble(predictor_type=name, **settings)
        try:
            chosen = ensemble.get_ensemble()[0]
        except KeyError as error:
            raise ConfigError(
                "search.predictor_type is no predictor of NASLib", value=name
            ) from error
    if chosen is not None:
        check_complete(type(chosen))


def data_of(config: Mapping[str, Any], kind: str | None) -> dict[str, Any] | None:
    """The `dataset_api` of a config; None for another search space than ours.

    Raises:
        ConfigError, UnknownTableError, UnknownBudgetError: the config is not possible.
    """
    for key, example in (("search_space", "ecnas"), ("dataset", "cifar10 for the table 7v")):
        if config.get(key) is None:
            raise ConfigError(f"the config lacks the key {key}, such as {key}: {example}")
    space, objectives = config["search_space"], config.get("objectives")
    seed = config.get("seed", 0)
    table = naslib_space.table_of(space, config["dataset"])
    if objectives is not None and table is None:
        raise ConfigError(f"objectives need search_space: {naslib_space.NAME}", value=space)
    if objectives is not None and kind in ("predictor", "statistics", "zc"):
        raise ConfigError("objectives are for the runners nas and bbo, or a script", value=kind)
    if table is None:
        return None
    if not isinstance(config["dataset"], str):
        raise ConfigError("dataset must be cifar10 or a table", value=config["dataset"])
    if config.get("resume"):
        raise ConfigError("resume must be left out: NASLib's runners start every search anew")
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigError("seed must be a whole number from 0 to 2^32 - 1", value=seed)
    search = config.get("search", {})
    if kind != "zc" and (search.get("use_zc_api") or "zc" in search):
        key = "search.zc" if "zc" in search else "search.use_zc_api"
        raise ConfigError(f"{key} must be left out: NASLib has no zero-cost scores for ecnas")
    if search.get("epochs") is not None:
        check_counts(**{"search.epochs": search["epochs"]})
    fidelity = search.get("fidelity", -1)
    if isinstance(objectives, Mapping) and fidelity not in (-1, None):
        # Optimisers that ignore the fidelity evaluate at it too, and scores have its scale.
        objectives = {"epochs": fidelity, **objectives}
    api = naslib_space.dataset_api(
        table,
        objectives=objectives,
        seed=seed,
        method=f"naslib:{config.get('optimizer') or config.get('predictor') or 'script'}",
        **{key: config[key] for key in TABLE_KEYS if config.get(key) is not None},
    )
    budgets = api["ecnas"].budgets
    if fidelity not in (-1, None, *budgets) or isinstance(fidelity, bool):
        known = ", ".join(map(str, budgets))
        text = f"search.fidelity must be -1 or a budget of {table}, {known} epochs"
        raise UnknownBudgetError(text, value=fidelity)
    return api
