"""Fixtures of the NASLib tests: NASLib itself, a measured table, and runs by NASLib's Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_metrics, naslib_patches, naslib_space
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.loading import load


@pytest.fixture(scope="session")
def naslib() -> Any:
    """NASLib's package, patched."""
    try:
        return naslib_patches.require()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def measured_cache(reference: Path, shared: Any) -> Path:
    """A cache folder with the official 5V table at four epochs. Tests do not write there."""

    def convert(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ECNAS_CACHE", str(folder))
            patch.setenv("ECNAS_MIRROR", str(reference / "official"))
            load("5v-4epochs")

    folder: Path = shared.folder("measured-cache", convert)
    return folder


@pytest.fixture(scope="session")
def measured(measured_cache: Path) -> Iterator[Benchmark]:
    """The official 5V table at four epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECNAS_CACHE", str(measured_cache))
        yield load("5v-4epochs")


@pytest.fixture
def metric(naslib: Any) -> Any:
    """NASLib's enumeration of metrics, with ours."""
    return naslib_metrics.extend()


@pytest.fixture
def api(naslib: Any, measured: Benchmark) -> dict[str, Any]:
    """The dataset_api of the measured table, its costs counted from zero."""
    measured.reset_spent()
    return naslib_space.dataset_api(measured)


@pytest.fixture
def search(api: dict[str, Any], tmp_path: Path) -> Callable[..., Any]:
    """Runs an optimiser of NASLib's by its name through a Trainer and returns both."""
    from fvcore.common.config import CfgNode

    optimizers = naslib_patches.require("naslib.optimizers")
    trainer = naslib_patches.require("naslib.defaults.trainer").Trainer

    def run(
        name: str,
        *,
        metric: Any = None,
        seed: int = 0,
        epochs: int = 60,
        fidelity: int = -1,
    ) -> tuple[Any, Any]:
        folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        for part in ("search", "eval"):
            (folder / part).mkdir(parents=True)
        settings = {"seed": seed, "epochs": epochs, "fidelity": fidelity}
        settings |= {"checkpoint_freq": epochs, "sample_size": 10, "population_size": 20}
        config = CfgNode({"dataset": "cifar10", "save": str(folder), "search": settings})
        made = getattr(optimizers, name)(config)
        if metric is not None:
            made.performance_metric = metric
        made.adapt_search_space(naslib_space.EcnasSearchSpace(), dataset_api=api)
        runs = trainer(made, config, lightweight_output=True)
        runs.search()
        return made, runs

    return run
