"""Searches by NASLib's optimisers as methods of a comparison: `naslib:re`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from naslib_ecnas.adapters import naslib_space
from naslib_ecnas.adapters.naslib_config import check_predictor
from naslib_ecnas.adapters.naslib_patches import require
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.result import SearchResult

#: Optimisers by NASLib's names -> their classes.
OPTIMIZERS = {
    "rs": "RandomSearch",
    "re": "RegularizedEvolution",
    "ls": "LocalSearch",
    "bananas": "Bananas",
    "npenas": "Npenas",
}
#: The section `search` of their configs; a method's settings replace single values.
SETTINGS: dict[str, Any] = {
    "fidelity": -1,
    "num_init": 20,
    "sample_size": 10,
    "population_size": 30,
    "debug_predictor": False,
    "k": 10,
    "num_ensemble": 3,
    "predictor_type": "rf",
    "encoding_type": "adjacency_one_hot",
    "acq_fn_type": "its",
    "acq_fn_optimization": "mutation",
    "num_arches_to_mutate": 5,
    "max_mutations": 1,
    "num_candidates": 100,
    "use_zc_api": False,
}


def check(optimizer: str, settings: Mapping[str, Any]) -> None:
    """Check the name of an optimiser and settings of its config.

    Raises:
        ConfigError: an unknown name.
        MissingDependencyError: there is no NASLib, or it lacks a package.
    """
    if optimizer not in OPTIMIZERS or not settings.keys() <= SETTINGS.keys():
        names, keys = ", ".join(OPTIMIZERS), ", ".join(SETTINGS)
        text = f"NASLib's optimizers are {names}, with the settings {keys}"
        raise ConfigError(text, value=f"{optimizer} with {', '.join(settings) or 'no settings'}")
    require("naslib.optimizers")


def search(
    bench: Benchmark,
    optimizer: str,
    settings: Mapping[str, Any],
    *,
    objectives: Sequence[str],
    epochs: int | None,
    evaluations: int,
    seed: int,
) -> SearchResult:
    """A search by one of NASLib's optimisers, under its Trainer.

    The optimiser maximises the equally weighted sum of the objectives, scaled by the true front
    (`naslib_objectives.Scalarisation`); cells are drawn as NASLib draws them.

    Args:
        settings: values that replace some of `SETTINGS`.
        objectives, epochs, evaluations, seed: as of `naslib_ecnas.search.run`.

    Raises:
        ConfigError, MissingDependencyError: see `check` and `naslib_config.check_predictor`.
    """
    check(optimizer, settings)
    section: dict[str, Any] = {"metrics": list(objectives), "epochs": epochs}
    section["weights"] = [1 / len(objectives)] * len(objectives)
    method = f"naslib:{optimizer}"
    api = naslib_space.dataset_api(bench, objectives=section, seed=seed, method=method)
    chosen = {**SETTINGS, **settings, "seed": seed, "epochs": evaluations}
    chosen["checkpoint_freq"] = evaluations + 1
    require("naslib.utils").set_seed(seed)
    with tempfile.TemporaryDirectory(prefix="ecnas-naslib-") as folder:
        (Path(folder) / "search").mkdir()
        config = {"dataset": "cifar10", "save": folder, "optimizer": optimizer, "search": chosen}
        node = require("fvcore.common.config").CfgNode(config)
        check_predictor(node, None)
        made = getattr(require("naslib.optimizers"), OPTIMIZERS[optimizer])(node)
        made.adapt_search_space(naslib_space.EcnasSearchSpace(), dataset_api=api)
        trainer = require("naslib.defaults.trainer").Trainer(made, node, lightweight_output=True)
        # NASLib's own writes all epochs again after each one: nine tenths of a long run.
        trainer._log_to_json = lambda: None
        trainer.search()
    result: SearchResult = api["recorder"].result()
    return result
