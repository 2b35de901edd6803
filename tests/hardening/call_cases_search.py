"""Public calls of tables, searches and analysis, and what makes each impossible."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import call_kinds as no
import numpy as np
from call_kinds import Call, each

from naslib_ecnas import search

LIMITS: dict[str, tuple[Any, ...]] = {
    "evaluations": ("5", 1.5, 0, -1, float("nan"), True),
    "max_energy_kwh": ("5", 0, -1, float("nan"), float("inf"), True),
    "max_epochs": ("5", 1.5, 0, -1, True),
    "max_time_s": ("5", 0, -1, float("nan"), float("inf"), True),
    "seed": no.SEED,
}

SEARCHES: dict[str, Call] = {
    "load": Call(
        lambda t: {"name_or_path": "4v"},
        {
            "name_or_path": (*no.NAME, "GARBAGE"),
            "device": (7, "", "no-such-gpu", "missing.safetensors", ["titan-xp"]),
            "scaling": (7, "", "cubic", True),
            "model": (7, "", "theirs", ["ours"]),
            "pue": no.PUE,
            "carbon_intensity": no.CARBON,
        },
    ),
    "loading.table_file": Call(
        lambda t: {"name_or_path": "4v"}, {"name_or_path": (*no.NAME, "GARBAGE")}
    ),
    "metric": Call(lambda t: {"name": "energy_kwh"}, {"name": no.NAME}),
    "Cell": Call(
        lambda t: {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]},
        {
            "matrix": (
                *("x", 7, [[0, 1]], [[0, 2], [0, 0]], [[0, 0], [0, 0]], np.ones((8, 8))),
                *([["a", "b"], ["c", "d"]], np.full((2, 2), np.nan), np.zeros((0, 0)), [[0.5]]),
            ),
            "ops": (7, [], ["input"], ["input", "pool", "output"], [None, None], "xx"),
        },
    ),
    "Space": Call(lambda t: {"vertices": 4}, {"vertices": (None, "4", 4.5, 0, 1, 8, -1, True)}),
    "Benchmark": Call(
        lambda t: {"cell": 3},
        {
            "cell": (None, 1.5, -1, 91, 10**30, "x", [1, 2], True, float("nan"), object()),
            "epochs": no.EPOCHS,
            "repeat": ("0", 0.5, -1, 1, 10**30, True),
        },
        lambda t: t.bench.query,
    ),
    "search.run": Call(
        lambda t: {"bench": t.bench, "method": "random", "evaluations": 4, "seed": 0},
        {
            "method": (None, 7, "", "annealing", ["random"], object()),
            "objectives": no.OBJECTIVES,
            "epochs": no.EPOCHS,
            "out": ("x\x00y",),
            **LIMITS,
        },
    ),
    "search.check": Call(
        lambda t: {"method": "random", "evaluations": 4, "seed": 0},
        {"method": (None, 7, "", "annealing", ["random"], object()), **LIMITS},
    ),
    "search.Limits": Call(
        lambda t: {"evaluations": 4},
        {
            "evaluations": LIMITS["evaluations"],
            "epochs": LIMITS["max_epochs"],
            "seconds": LIMITS["max_time_s"],
            "energy_kwh": LIMITS["max_energy_kwh"],
        },
        more=({"evaluations": None},),
    ),
    "search.result_of": Call(
        lambda t: {
            "bench": t.bench,
            "rows": [1, 2],
            "epochs": [4, 4],
            "method": "mine",
            "seed": 0,
            "objectives": ("energy_kwh", "validation_accuracy"),
        },
        {
            "rows": ([1], *no.ROWS),
            "epochs": ([4], [5, 5], ["a", "b"], [4.5, 4]),
            "objectives": no.OBJECTIVES,
            "budget": no.EPOCHS,
        },
    ),
    "search.Problem": Call(
        lambda t: {"space": t.space, "rng": t.rng},
        {"rows": ([], *no.ROWS), "budgets": ((0,), (4, 4), ("4",))},
    ),
    **{
        f"search.{name}": Call(lambda t: {"problem": search.Problem(t.space, t.rng)}, bad)
        for name, bad in {
            "RandomSearch": {"batch": no.COUNT},
            "Semoa": {
                "population": no.COUNT,
                **each(("1", -1, float("nan"), float("inf")), "edge_changes", "op_changes"),
            },
            "RegularisedEvolution": each(no.COUNT, "population", "sample"),
            "LocalSearch": {"initial": no.COUNT},
            "MseHvi": each(no.COUNT, "initial", "batch", "pool"),
            "ShEmoa": each(no.COUNT, "population", "bracket"),
        }.items()
    },
    **{
        f"analysis.{name}": Call(
            lambda t: {"costs": [[0.1, 0.2]], "reference": [1.0, 1.0]},
            {"costs": no.POINTS, "reference": (None, "x", [1.0], [[1.0, 1.0]], [np.nan, 1.0])},
        )
        for name in ("hypervolume", "contributions")
    },
    "analysis.nondominated": Call(lambda t: {"costs": [[0.1, 0.2]]}, {"costs": no.POINTS}),
    "nondominated.nondominated": Call(lambda t: {"costs": [[0.1, 0.2]]}, {"costs": no.POINTS}),
    "nondominated.checked_points": Call(lambda t: {"points": [[0.1]]}, {"points": no.POINTS}),
    "analysis.costs_of": Call(
        lambda t: {"values": t.points, "objectives": t.names},
        {"values": (*no.POINTS, [[1.0, 2.0, 3.0]]), "objectives": no.OBJECTIVES[1:3]},
    ),
    **{
        f"analysis.{name}": Call(
            lambda t: {"values": t.points, "objectives": t.names},
            {
                "values": (*no.POINTS, np.empty((0, 2)), [[np.nan, 0.5]]),
                "objectives": no.OBJECTIVES[:3],
            },
        )
        for name in ("knee", "extremes")
    },
    "analysis.normalised": Call(
        lambda t: {
            "values": t.points,
            "objectives": t.names,
            "ideal": [0.0, 1.0],
            "reference": [1.0, 0.0],
        },
        {
            "values": no.POINTS,
            "objectives": no.OBJECTIVES[:3],
            "ideal": ("x", [0.0], [np.nan, 1.0], [2.0, 1.0]),
            "reference": ("x", [0.0], [np.nan, 1.0], [-1.0, 0.5]),
        },
    ),
    **{
        f"analysis.{name}": Call(
            lambda t: {"values": t.points, "front": t.points, "scale": t.scale},
            {"values": no.POINTS, "front": (*no.POINTS, np.empty((0, 2)))},
        )
        for name in ("epsilon", "igd_plus")
    },
    "analysis.epsilon_factor": Call(
        lambda t: {"values": t.points, "front": t.points, "objectives": t.names},
        {"values": no.POINTS, "objectives": no.OBJECTIVES[1:3], "front": no.POINTS},
    ),
    "analysis.paper_hypervolume": Call(
        lambda t: {"values": t.points}, {"values": no.POINTS, "objectives": no.OBJECTIVES[:3]}
    ),
    "analysis.checkpoints": Call(
        lambda t: {"evaluations": 20, "steps": 5}, {"evaluations": no.COUNT, "steps": no.COUNT}
    ),
    "analysis.common_budgets": Call(
        lambda t: {"cumulatives": [[1.0, 2.0]], "steps": 3},
        {"cumulatives": ([], [[]], ["x"], [[2.0, 1.0]], [[np.nan]]), "steps": no.COUNT},
    ),
    "analysis.anytime": Call(
        lambda t: {
            "values": t.points,
            "scale": t.scale,
            "cumulative": [1.0, 2.0],
            "budgets": [1.0, 2.0],
        },
        {
            "values": no.POINTS,
            "cumulative": ("x", [1.0], [2.0, 1.0], [np.nan, 1.0]),
            "budgets": ("x", [[1.0]], [np.nan]),
        },
    ),
    "analysis.band": Call(
        lambda t: {"curves": [[0.1, 0.2]], "budgets": [1.0, 2.0]},
        {"curves": ("x", [0.1], np.empty((0, 2)), [[0.1]]), "budgets": ("x", [1.0], [[1.0]])},
    ),
    "analysis.attainment_surface": Call(
        lambda t: {"runs": [t.points], "objectives": t.names},
        {
            "runs": ([], ["x"], [[[1.0]]], [[["a", "b"]]]),
            "objectives": no.OBJECTIVES[:3],
            "level": ("x", 0, -1, 1.5, float("nan"), None),
        },
    ),
    "analysis.attainment_difference": Call(
        lambda t: {"a": [t.points], "b": [t.points], "objectives": t.names},
        {"a": ([], ["x"], [[[1.0]]]), "b": ([], ["x"]), "objectives": no.OBJECTIVES[:3]},
    ),
    "analysis.holm": Call(
        lambda t: {"p_values": [0.1, 0.2]}, {"p_values": ("x", [[0.1]], [-1.0], [1.5], [np.nan])}
    ),
    "analysis.median_interval": Call(
        lambda t: {"values": [1.0, 2.0], "rng": t.rng},
        {
            "values": ("x", [], [[1.0]], [np.nan]),
            "confidence": no.CONFIDENCE,
            "resamples": no.COUNT,
        },
    ),
    "analysis.pairwise": Call(
        lambda t: {"scores": t.scores, "rng": t.rng},
        {"against": (7, "", "no-such-method"), "confidence": no.CONFIDENCE, "resamples": no.COUNT},
    ),
    "analysis.superiority": Call(
        lambda t: {"scores": t.scores, "a": "a", "b": "b"},
        {"a": (None, 7, "", "no-such-method"), "b": (None, 7, "", "no-such-method")},
    ),
    "analysis.PairedScores": Call(
        lambda t: {"scores": {"a": {1: 0.5}, "b": {1: 0.7}}, "maximise": True},
        {
            "scores": (
                *({}, {"a": {1: 0.5}}, {"a": {}, "b": {}}, {"a": {1: 0.5}, "b": {2: 0.5}}),
                {"a": {1: float("nan")}, "b": {1: 0.5}},
            )
        },
        lambda t: import_module("naslib_ecnas.analysis").PairedScores.of,
    ),
    "quality.kendall_tau": Call(
        lambda t: {"a": [1.0, 2.0], "b": [1.0, 2.0]},
        {"a": ("x", [1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0])},
    ),
    "quality.scores": Call(
        lambda t: {"true": [1.0, 2.0], "predicted": [1.0, 2.0]},
        {"true": ("x", [], [1.0], [[1.0, 2.0]]), "predicted": ("x", [1.0])},
    ),
    "quality.bounds": Call(
        lambda t: {"name": "energy_kwh", "mean": [1.0], "std": [0.1]},
        {"name": no.NAME, "coverage": no.CONFIDENCE},
    ),
    **{
        f"network.{name}": Call(lambda t: {"rows": [1]}, {"rows": no.ROWS})
        for name in ("parameters", "multiply_adds", "activation_elements", "depth", "cell_depth")
    },
}
