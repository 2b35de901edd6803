"""Quality of modelled values: reports, intervals, scores."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import ConfigError, FormatError, UnknownMetricError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.quality import (
    HEADINGS,
    Z90,
    Quality,
    QualityLine,
    bounds,
    kendall_tau,
    log_scores,
    metric_scores,
    ranked_scores,
    scores,
)
from naslib_ecnas.surrogate import TARGETS
from naslib_ecnas.surrogate.modelled import shipped_quality

# -- reports ----

SCORES = {"cells": 3448, "mae": 0.2119, "mape": 1.495, "r2": 0.99, "tau": 0.966, "coverage": 0.9}
PARTS = {"6": SCORES, "5": {"cells": 2}}
QUALITY = Quality(
    (
        QualityLine("energy", "synthetic folds", "Wh", SCORES, PARTS, "others .330"),
        QualityLine("accuracy", "synthetic", "", {"cells": 10}),
    )
)


def test_a_report_is_printed_as_a_table_and_kept_as_json() -> None:
    assert [line.target for line in QUALITY] == ["energy", "accuracy"]
    assert len(QUALITY) == 2
    assert QUALITY["energy"].scores == SCORES
    with pytest.raises(UnknownMetricError, match="energy, accuracy, got 'power'"):
        QUALITY["power"]
    first, second = QUALITY.tables()[0][1:]
    assert first == ("energy", "3,448", "0.212 Wh", "1.50", "0.990", "0.966", "-/.900/-")
    assert second == ("accuracy", "10", *["-"] * 5)
    names = [row[0] for row in QUALITY.tables(by_vertices=True)[0][1:]]
    assert names == ["energy", "  5 vertices", "  6 vertices", "accuracy"]
    lines = str(QUALITY).split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) <= 100
    assert all(heading in lines[0] for heading in HEADINGS)
    assert lines[0].index("tau") + 3 == lines[1].index("0.966") + 5  # flush right
    assert str(Quality(())).split() == " ".join(HEADINGS).split()
    out = json.loads(json.dumps(QUALITY.to_json(), allow_nan=False))
    assert out[0]["by_vertices"] == PARTS
    empty = {"unit": "", "by_vertices": {}, "anchor": "", "by_rank": {}}
    assert out[1] == {"target": "accuracy", "about": "synthetic", "scores": {"cells": 10}, **empty}
    assert Quality.from_json(out) == QUALITY


def test_a_report_has_tables_of_errors_of_ranks_and_of_single_trainings() -> None:
    covered = {"coverage_50": 0.5123, "coverage": 1.0, "coverage_99": 0.99}
    part = {"cells": 48, "mae": 0.0217, "offset": -0.0012, "offset_error": 0.0034, "overlap": 0.5}
    counted = {"cells": 9, "expected": 27.0, "expected_error": 5.2, "seen": 28}
    lines = (
        QualityLine("accuracy", "synthetic", "", covered, by_rank={"lowest 1 %": part | covered}),
        QualityLine("failures", "synthetic", "", counted),
        QualityLine("order", "synthetic", "", {"cells": 9, "expected": 0.61234, "seen": 0.6}),
    )
    errors, ranks, counts = Quality(lines).tables()
    assert errors == [HEADINGS, ("accuracy", *["-"] * 5, ".51/1.00/.990")]
    assert ranks[1] == ("accuracy", *[""] * 6)
    found = dict(zip(ranks[0], ranks[2], strict=True))
    assert found == {
        "by prediction": "  lowest 1 %",
        "cells": "48",
        "MAE": "0.0217",
        "too high": "-0.0012",
        "tau": "-",
        "overlap": "0.50",
        "in 50/90/99 %": ".51/1.00/.990",
    }
    assert counts[1:] == [
        ("failures", "9", "27 +- 5.2", "28"),
        ("order", "9", "0.6123 +- -", "0.6"),
    ]
    parts = str(Quality(lines)).split("\n\n")
    assert [text.split("\n")[1][:8] for text in parts] == ["accuracy", "accuracy", "failures"]
    assert Quality(lines[1:]).tables() == [counts]
    assert Quality.from_json(Quality(lines).to_json()) == Quality(lines)


@pytest.fixture
def table(tmp_path: Path, table_file: Callable[..., Path]) -> Callable[..., Table]:
    """Makes tables of synthetic numbers with any attributes."""

    def made(**attributes: str) -> Table:
        values, path = {"energy_kwh": np.ones((2, 1, 1))}, tmp_path / "synthetic.ecnas"
        return Table.open(table_file(path, values, budgets=(4,), attributes=attributes))

    return made


def test_reports_come_from_tables(table: Callable[..., Table]) -> None:
    assert Quality.of_table(table(quality=json.dumps(QUALITY.to_json()))) == QUALITY
    assert len(Quality.of_table(table(quality="[]"))) == 0
    with pytest.raises(UnknownMetricError, match="table synthetic has no report"):
        Quality.of_table(table(licence="none"))
    line = QUALITY.to_json()[1]
    odd: list[Any] = [3, None, {}, [3], ["a"], [{}], [{**line, "more": 1}]]
    for name, values in {
        "scores": (3, {"cells": True}, {"mae": "many"}, {"mape": None}),
        "by_vertices": (3, None, {"5": 3}, {"5": [1]}),
        "anchor": (3, None),
    }.items():
        odd += [[{**line, name: value}] for value in values]
    for text in ("", "{", *map(json.dumps, odd)):
        with pytest.raises(FormatError, match=r"synthetic\.ecnas: the report"):
            Quality.of_table(table(quality=text))


def test_shipped_reports_fit_a_terminal() -> None:
    quality = Quality.from_json(shipped_quality(*TARGETS))
    assert len(quality) >= 12
    text = str(quality)
    assert max(map(len, text.splitlines())) <= 100
    tables = quality.tables()
    assert text.count("\n") == sum(map(len, tables)) + len(tables) - 2
    for line in quality:
        assert line.scores["cells"] >= 10, line.target
        assert line.about, line.target
        assert quality[line.target] is line
        for each in line.by_vertices.values():
            assert each["cells"] <= line.scores["cells"]


# -- intervals ----

BOTH = ("energy_kwh", "validation_accuracy")
COVERAGE = st.floats(0.01, 0.999)


def test_fractions_are_symmetric_and_clipped_and_costs_in_the_logarithm() -> None:
    found = bounds("validation_accuracy", [0.5, 0.9], [0.1, 0.01])
    np.testing.assert_allclose(found, [[0.3355, 0.6645], [0.88355, 0.91645]], rtol=1e-12)
    for name in sorted(name for name, m in METRICS.items() if m.upper == 1.0):
        high, low, both = bounds(name, [0.95, 0.02, 0.5], [0.1, 0.1, 9]).tolist()
        assert (high[1], low[0], both) == (1, 0, [0, 1])
    # Costs are symmetric in the logarithm.
    factor = math.exp(1.645 * 0.2)
    for name in ("energy_kwh", "co2_g", "training_time_s", "halfway_energy_kwh"):
        np.testing.assert_allclose(bounds(name, 10.0, 2.0), [10 / factor, 10 * factor], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "freedom"),
    [("test_accuracy", 10), ("training_time_s", 5), ("energy_kwh", 4), ("co2_g", 4)],
)
def test_other_coverages_are_quantiles_of_t_scaled_to_nine_tenths(name: str, freedom: int) -> None:
    assert pytest.approx(NormalDist().inv_cdf(0.95), abs=2e-4) == Z90
    for coverage in (0.5, 0.9, 0.99):
        z = 1.645 * t.ppf(0.5 + coverage / 2, freedom) / t.ppf(0.95, freedom)
        _, high = bounds(name, 0.5, 0.01, coverage)
        wanted = 0.5 + z * 0.01 if name == "test_accuracy" else 0.5 * math.exp(z * 0.02)
        assert high == pytest.approx(wanted, rel=1e-12)


@given(st.sampled_from(BOTH), st.floats(1e-6, 1), st.floats(0, 2), COVERAGE, COVERAGE)
def test_properties_of_bounds(
    name: str, mean: float, relative: float, one: float, other: float
) -> None:
    (low, high), (lower, higher) = (
        bounds(name, mean, relative * mean, coverage) for coverage in sorted((one, other))
    )
    assert 0 <= lower <= low <= mean * (1 + 1e-12)
    assert higher >= high >= mean * (1 - 1e-12)
    if name == "energy_kwh":
        assert low * high == pytest.approx(mean**2)
        in_wh = bounds(name, 1000 * mean, 1000 * relative * mean, max(one, other))
        np.testing.assert_allclose(in_wh, [1000 * lower, 1000 * higher])
    else:
        assert higher <= 1


@pytest.mark.filterwarnings("error")
def test_missing_values_have_no_bounds() -> None:
    for name in BOTH:
        found = bounds(name, [np.nan, 0.5, 0.5], [0.1, np.nan, 0.0])
        assert np.isnan(found[:2]).all()
        assert found[2].tolist() == [0.5, 0.5]
    assert np.isnan(bounds("energy_kwh", [0.0, -1.0], [0.1, 0.1])).all()
    for coverage in (90, True):
        with pytest.raises(ConfigError, match=r"coverage must be .* above 0 and below 1"):
            bounds("energy_kwh", 1, 1, coverage)


# -- scores ----

VECTORS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-4, 4), min_size=n, max_size=n)] * 2)
)


def counted_tau(a: list[int], b: list[int]) -> float:
    """Tau-b from every pair."""
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]
    signs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in pairs]
    product = math.prod(sum(s[k] != 0 for s in signs) for k in (0, 1))
    return sum(x * y for x, y in signs) / math.sqrt(product) if product else math.nan


@settings(max_examples=150, deadline=None)
@given(VECTORS)
def test_tau_equals_counting(vectors: tuple[list[int], list[int]]) -> None:
    np.testing.assert_allclose(kendall_tau(*vectors), counted_tau(*vectors), atol=1e-12)


def test_tau_at_its_ends() -> None:
    a = np.random.default_rng(0).normal(size=5000)
    assert (kendall_tau(a, a), kendall_tau(a, -a)) == (1, -1)
    for n in (0, 1, 3):
        assert math.isnan(kendall_tau(np.ones(n), np.arange(n)))


def test_scores_in_closed_form() -> None:
    found = scores([1, 2, 4], [2, 2, 3])
    assert found.cells == 3
    assert found.mae == pytest.approx(2 / 3)
    assert found.mape == pytest.approx(100 * (1 + 0 + 0.25) / 3)
    assert found.r2 == pytest.approx(1 - 2 / (14 / 3))
    assert found.tau == pytest.approx(2 / math.sqrt(3 * 2))
    assert found.bias == 1
    assert found.coverage is None
    for wrong, message in (([], "at least one pair"), ([[1.0, 2.0]], "two vectors")):
        with pytest.raises(ConfigError, match=message):
            scores(wrong, wrong)
    # With a deviation of the logarithm, the intervals are by a factor, here 1.5 either way.
    by_log = log_scores([1, 2, 4], [2, 2, 3], np.full(3, np.log(1.5) / 1.645))
    assert (by_log.mae, by_log.coverage) == (found.mae, pytest.approx(2 / 3))
    # Errors of 0, 1, 2 and 5 deviations; those of fractions are within .63, 1.645 and 2.88.
    true = np.array([0.5, 0.51, 0.52, 0.55])
    many = metric_scores("test_accuracy", true, np.full(4, 0.5), np.full(4, 0.01))
    assert (many.coverage_50, many.coverage, many.coverage_99) == (0.25, 0.5, 0.75)
    assert many.mae == pytest.approx(0.02)
    # Their JSON has numbers only.
    odd = scores([0, 0], [1, 1])
    assert math.isinf(odd.mape)
    assert math.isnan(odd.r2)
    text = json.dumps(odd.to_json(), allow_nan=False)
    assert json.loads(text) == {"cells": 2, "mae": 1.0}


def test_scores_of_the_lowest_and_highest_in_closed_form() -> None:
    """Of 1,000 cells in order; the ten lowest are predicted too high, twenty of others swapped."""
    true = np.linspace(0.3, 0.9, 1000)
    predicted = true.copy()
    predicted[:10] += 0.0019
    predicted[[*range(940, 960)]], predicted[[*range(960, 980)]] = true[960:980], true[940:960]
    found = ranked_scores("test_accuracy", true, predicted, np.full(1000, 0.0005))
    assert list(found) == ["lowest 1 %", "highest 5 %", "highest 1 %"]
    low, five, one = found.values()
    assert (low["cells"], low["overlap"]) == (10, pytest.approx(0.8))
    assert (five["cells"], five["overlap"]) == (50, pytest.approx(0.8))
    assert five["offset"] == pytest.approx(10 * 20 * 0.6 / 999 / 50, abs=1e-6)
    assert (one["mae"], one["offset"], one["tau"], one["coverage_99"]) == (0, 0, 1, 1)
    for cells, parts in ((400, ["highest 5 %"]), (100, [])):
        assert list(ranked_scores("test_accuracy", *[true[:cells]] * 3)) == parts
