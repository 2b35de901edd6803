"""Reports of quality: from headers that lack things to a table for a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import FormatError, UnknownMetricError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.quality import HEADINGS, Quality
from naslib_ecnas.surrogate.modelled import TARGETS, reported

SCORES = {"cells": 3448, "mae": 0.2119, "mape": 1.495, "r2": 0.99, "tau": 0.966, "coverage": 0.9}
HEADERS: list[dict[str, Any]] = [
    {
        "split": "synthetic folds",
        "quality": {
            "energy": {**SCORES, "unit": "Wh", "by_vertices": {"6": SCORES, "5": {"cells": 2}}}
        },
        "anchors": {"energy": "others .330"},
    },
    {"quality": {"accuracy": {"cells": 10, "about": "synthetic"}}},
    {"quality": None, "anchors": None},
    {},
]


def test_lines_of_headers() -> None:
    quality = Quality.of_headers(HEADERS)
    assert [line.target for line in quality] == ["energy", "accuracy"]
    assert len(quality) == 2
    energy = quality["energy"]
    assert (energy.unit, energy.anchor, energy.about) == ("Wh", "others .330", "synthetic folds")
    assert energy.scores == SCORES
    assert quality["accuracy"].about == "synthetic"
    assert quality["accuracy"].anchor == ""
    with pytest.raises(UnknownMetricError, match="energy, accuracy"):
        quality["power"]


def test_rows() -> None:
    quality = Quality.of_headers(HEADERS)
    first, second = quality.rows()
    assert first == ("energy", "3,448", "0.212 Wh", "1.50", "0.990", "0.966", "0.900")
    assert second == ("accuracy", "10", *["-"] * 5)
    assert [row[0] for row in quality.rows(by_vertices=True)] == [
        "energy",
        "  5 vertices",
        "  6 vertices",
        "accuracy",
    ]


def test_printed() -> None:
    lines = str(Quality.of_headers(HEADERS)).split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) <= 100
    assert all(heading in lines[0] for heading in HEADINGS)
    assert lines[0].index("tau") + 3 == lines[1].index("0.966") + 5  # flush right
    assert str(Quality(())).split() == " ".join(HEADINGS).split()


def test_json() -> None:
    out = json.loads(json.dumps(Quality.of_headers(HEADERS).to_json(), allow_nan=False))
    assert out[0]["scores"] == SCORES
    assert out[0]["by_vertices"]["5"] == {"cells": 2}
    assert out[1] == {
        "target": "accuracy",
        "about": "synthetic",
        "unit": "",
        "scores": {"cells": 10},
        "by_vertices": {},
        "anchor": "",
    }


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Table]:
    """Tables of synthetic numbers with any attributes."""

    def made(**attributes: str) -> Table:
        columns = Columns(
            name="synthetic",
            vertices=4,
            rows=np.array([0, 3], dtype=np.int32),
            budgets=(4,),
            repeats=1,
            values={"energy_kwh": np.ones((2, 1, 1))},
            provenance={"energy_kwh": Provenance("synthetic")},
            attributes=attributes,
        )
        write_table(tmp_path / "synthetic.ecnas", columns)
        return Table.open(tmp_path / "synthetic.ecnas")

    return made


def test_of_a_table(table: Callable[..., Table]) -> None:
    found = Quality.of_table(table(quality=json.dumps(HEADERS)))
    assert found == Quality.of_headers(HEADERS)
    assert len(Quality.of_table(table(quality="[]"))) == 0


def test_of_a_table_that_says_nothing(table: Callable[..., Table]) -> None:
    with pytest.raises(UnknownMetricError, match="synthetic") as caught:
        Quality.of_table(table(licence="none"))
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "3",
        "null",
        "[3]",
        '["a"]',
        '[{"quality": [1]}]',
        '[{"quality": {"a": 3}}]',
        '[{"quality": {"a": {}}, "anchors": 3}]',
        '[{"quality": {"a": {"by_vertices": 3}}}]',
        '[{"quality": {"a": {"by_vertices": {"5": 3}}}}]',
        '[{"quality": {"a": {"by_vertices": {"5": [1]}}}}]',
    ],
)
def test_of_a_table_that_is_damaged(table: Callable[..., Table], text: str) -> None:
    with pytest.raises(FormatError, match=r"synthetic\.ecnas"):
        Quality.of_table(table(quality=text))


def test_headers_that_lack_things() -> None:
    odd = {"a": {"cells": True, "mae": "many", "mape": None, "by_vertices": None}}
    (line,) = Quality.of_headers([{"quality": odd}])
    assert line.scores == {}
    assert (line.about, line.unit, line.anchor, line.by_vertices) == ("", "", "", {})
    whole = Quality((line,))
    assert whole.rows(by_vertices=True) == [("a", *["-"] * 6)]
    assert len(str(whole).splitlines()) == 2


def test_shipped_reports_fit_a_terminal() -> None:
    quality = Quality.of_headers(reported(target) for target in TARGETS)
    assert len(quality) >= 12
    text = str(quality)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("\n") == len(quality)
    for line in quality:
        assert line.scores["cells"] >= 10, line.target
        assert line.about, line.target
        assert quality[line.target] is line
        for scores in line.by_vertices.values():
            assert scores["cells"] <= line.scores["cells"]
    json.dumps(quality.to_json(), allow_nan=False)


def test_modelled_tables_say_how_good_they_are() -> None:
    text = str(ecnas.load("4v").quality)
    for target in ("energy at 4 epochs", "validation accuracy at 108 epochs", "training time"):
        assert target in text
