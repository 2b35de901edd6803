"""Reports of quality: from headers that lack things to a table for a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from naslib_ecnas.errors import FormatError, UnknownMetricError
from naslib_ecnas.quality import HEADINGS, Quality

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


class _Table:
    """What `of_table` asks of a table."""

    name, path = "synthetic", "synthetic.ecnas"

    def __init__(self, **attributes: str) -> None:
        self.attributes = attributes


def test_of_a_table() -> None:
    found = Quality.of_table(_Table(quality=json.dumps(HEADERS)))  # type: ignore[arg-type]
    assert found == Quality.of_headers(HEADERS)
    with pytest.raises(UnknownMetricError, match="synthetic"):
        Quality.of_table(_Table())  # type: ignore[arg-type]
    for text in ("{", "3", "[3]", '[{"quality": [1]}]'):
        with pytest.raises(FormatError):
            Quality.of_table(_Table(quality=text))  # type: ignore[arg-type]
