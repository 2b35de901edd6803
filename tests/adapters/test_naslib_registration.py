"""The names under which NASLib knows the space and its tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters import naslib_patches, naslib_space
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import (
    UnknownMetricError,
    UnknownTableError,
)


def test_registration_reaches_earlier_importers(api: dict[str, Any], measured: Benchmark) -> None:
    from naslib.search_spaces import get_search_space, supported_search_spaces
    from naslib.utils import get_dataset_api

    naslib_space.register()
    naslib_space.register()
    kind = naslib_space.EcnasSearchSpace
    assert isinstance(get_search_space("ecnas", "cifar10"), kind)
    assert supported_search_spaces["ecnas"] is kind
    assert type(get_search_space("nasbench201", "cifar10")).__name__ == "NasBench201SearchSpace"
    assert get_dataset_api("test") is None
    with pytest.raises(UnknownTableError):
        get_dataset_api("ecnas", "no-such-table")
    with pytest.raises(KeyError):
        get_search_space("no-such-space", "cifar10")


def test_dataset_api_answers_nasbenchs_calls(api: dict[str, Any]) -> None:
    space = naslib_space.EcnasSearchSpace()
    space.set_spec(1500)
    spec = api["api"].ModelSpec(**space.get_spec())
    assert api["nb101_data"].is_valid(spec)
    found = api["nb101_data"].query(spec, epochs=4)
    assert found["validation_accuracy"] == api["ecnas"].query(1500).validation_accuracy


def test_the_default_table_is_the_whole_modelled_space(naslib: Any) -> None:
    naslib_space.register()
    from naslib.utils import get_dataset_api

    api = get_dataset_api("ecnas", "cifar10")
    assert len(api["ecnas"].rows) == 423_624
    space = naslib_space.EcnasSearchSpace()
    space.sample_random_architecture(dataset_api=api)
    metrics = naslib_patches.require("naslib.search_spaces.core.query_metrics").Metric
    energy, accuracy = (
        space.query(metric, "cifar10", dataset_api=api)
        for metric in (metrics.TRAIN_ENERGY, metrics.VAL_ACCURACY)
    )
    assert 0 < energy < 5
    assert 5 < accuracy < 100
    assert np.isnan(space.query(metrics.TRAIN_ACCURACY, "cifar10", dataset_api=api))
    with pytest.raises(UnknownMetricError):
        space.query(space.performance_objective(metrics.TRAIN_ACCURACY), "cifar10", dataset_api=api)
