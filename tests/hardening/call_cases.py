"""What public calls cannot take: by an argument's type, by its name, and by the call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

NAN, INF = float("nan"), float("inf")


class Thing(str):
    """Stands for a thing of this name that a test makes (test_every_call.py)."""


class _Things:
    def __getattr__(self, name: str) -> Thing:
        return Thing(name)


T = _Things()

TEXT = (None, 7, 1.5, ["x"], b"x", object())
NAME = (*TEXT, "", "no-such-name", "../x", "x" * 5000, "x\x00y")
PATH = ("missing/file", "x" * 300, "x\x00y", ".")
NOWHERE = (Path("/proc/x/y"),)
POINTS = (None, "x", 3.0, [1.0, 2.0], [["a", "b"]], np.zeros((2, 2, 2)), [[1.0], [1.0, 2.0]])
ROWS = ("x", [1.5], [-1], [10**7], [None], [NAN], ["x"])
OBJECTIVES = (("energy_kwh", "joy"), (None, 3), ("energy_kwh", "energy_kwh"))
ANY_OBJECTIVES = ((), *OBJECTIVES)
FEW_CELLS = (0, -1, 7, 92)

#: By the type of an argument, whatever its name. Not None, unless it is no type of it.
BY_TYPE: dict[str, tuple[Any, ...]] = {
    "int": (None, "2", 1.5, NAN, [3], True),
    "float": (None, "2", NAN, [1.5]),
    "ArrayLike": ("x", ["a", "b"], [[1.0], [1.0, 2.0]]),
}
#: By the type of an argument whose name is not below: a number is a count or an extent.
OTHERS: dict[str, tuple[Any, ...]] = {"int": (0, -1), "float": (-1, INF)}
#: By the name of an argument.
BY_NAME: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("method", "recipe", "meter", "images", "shared", "x", "y", "against"), NAME),
    **dict.fromkeys(("occurrences", "scalarisation", "cluster_kind", "span", "form"), NAME),
    **dict.fromkeys(("values", "costs", "front", "points"), POINTS),
    "seed": (-1,),
    "epochs": (0, -4, 5, 2**70, "4", [4]),
    "pue": (0, -1, 0.5, INF, True),
    **dict.fromkeys(
        ("carbon", "carbon_intensity"), ("", "Atlantis", -1, NAN, INF, 1e300, True, [1], object())
    ),
    **dict.fromkeys(("confidence", "coverage"), (0, 1, -1)),
    "path": PATH,
    "folder": PATH,
    "objectives": ANY_OBJECTIVES,
    "rows": ROWS,
    "vertices": (0, 1, 8, -1),
}

#: Calls by name. The arguments of a call that is possible: those that are not here are things of
#: their names. What else makes it impossible, in place of what follows from names; () is nothing.
Case = tuple[dict[str, Any], dict[str, Any]]
PLAIN: Case = {}, {}
NAMED: Case = {"name": "energy_kwh"}, {"name": NAME}
METHOD = (None, 7, "", "annealing", ["random"], object())
TABLE_NAME = (*NAME, "GARBAGE")
_ARRAY = {"energy_kwh": np.ones((2, 1, 2))}

CALLS: dict[str, Case] = {
    # -- tables and queries --------------------------------------------------------------------
    "load": (
        {"name_or_path": "4v"},
        {
            "name_or_path": TABLE_NAME,
            "device": (7, "", "no-such-gpu", "missing.safetensors", ["titan-xp"]),
            "scaling": (7, "", "cubic", True),
            "model": (7, "", "theirs", ["ours"]),
        },
    ),
    "loading.table_file": ({"name_or_path": "4v"}, {"name_or_path": TABLE_NAME}),
    "metric": NAMED,
    "quality.bounds": ({"name": "energy_kwh", "mean": [1.0], "std": [0.1]}, {"name": NAME}),
    "Cell": (
        {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]},
        {
            "matrix": (
                *("x", 7, [[0, 1]], [[0, 2], [0, 0]], [[0, 0], [0, 0]], np.ones((8, 8))),
                *([["a", "b"], ["c", "d"]], np.full((2, 2), NAN), np.zeros((0, 0)), [[0.5]]),
            ),
            "ops": (7, [], ["input"], ["input", "pool", "output"], [None, None], "xx"),
        },
    ),
    "Space": PLAIN,
    "Benchmark.query": (
        {"self": T.bench, "cell": 3},
        {
            "cell": (None, 1.5, -1, 91, 10**30, "x", [1, 2], True, NAN, object()),
            "repeat": (-1, 1, 10**30),
        },
    ),
    "nasbench101.NASBench": ({"dataset_file": T.path}, {"dataset_file": (*PATH, "GARBAGE")}),
    **dict.fromkeys(
        [f"network.{name}" for name in ("parameters", "multiply_adds", "depth", "cell_depth")]
        + ["network.activation_elements"],
        PLAIN,
    ),
    # -- searches ------------------------------------------------------------------------------
    "search.run": ({"method": "random", "evaluations": 4}, {"method": METHOD, "out": ("x\x00y",)}),
    "search.check": ({"method": "random", "evaluations": 4}, {"method": METHOD}),
    "search.Limits": ({"evaluations": 4}, {"evaluations": (None, 0, -1), "epochs": (0, -1)}),
    "search.result_of": (
        {"rows": [1, 2], "epochs": [4, 4], "method": "mine"},
        {
            "rows": ([1], *ROWS),
            "epochs": ([4], [5, 5], [4.5, 4]),
            "budget": (0, -4, 5),
            **dict.fromkeys(("method", "seed", "skipped", "answered"), ()),
        },
    ),
    "search.Problem": ({}, {"rows": ([], *ROWS), "budgets": ((0,), (4, 4), ("4",))}),
    "search.RandomSearch": PLAIN,
    "search.Semoa": PLAIN,
    "search.RegularisedEvolution": PLAIN,
    "search.LocalSearch": PLAIN,
    "search.MseHvi": PLAIN,
    "search.ShEmoa": PLAIN,
    # -- analysis ------------------------------------------------------------------------------
    **{
        f"analysis.{name}": (
            {"reference": [1.0, 1.0]},
            {"reference": (None, [1.0], [[1.0, 1.0]], [NAN, 1.0])},
        )
        for name in ("hypervolume", "contributions")
    },
    "analysis.nondominated": PLAIN,
    "nondominated.nondominated": PLAIN,
    "nondominated.checked_points": ({"points": [[0.1]]}, {}),
    "analysis.costs_of": (
        {},
        {"values": (*POINTS, [[1.0, 2.0, 3.0]]), "objectives": OBJECTIVES[:2]},
    ),
    **{
        f"analysis.{name}": (
            {},
            {
                "values": (*POINTS, np.empty((0, 2)), [[NAN, 0.5]]),
                "objectives": ANY_OBJECTIVES[:3],
            },
        )
        for name in ("knee", "extremes")
    },
    "analysis.normalised": (
        {"ideal": [0.0, 1.0], "reference": [1.0, 0.0]},
        {
            "ideal": ([0.0], [NAN, 1.0], [2.0, 1.0]),
            "reference": ([0.0], [NAN, 1.0], [-1.0, 0.5]),
        },
    ),
    **{
        f"analysis.{name}": ({}, {"front": (*POINTS, np.empty((0, 2)))})
        for name in ("epsilon", "igd_plus")
    },
    "analysis.epsilon_factor": ({}, {"objectives": OBJECTIVES[:2]}),
    "analysis.paper_hypervolume": PLAIN,
    "analysis.checkpoints": ({"evaluations": 20}, {}),
    "analysis.common_budgets": (
        {"cumulatives": [[1.0, 2.0]]},
        {"cumulatives": ([], [[]], ["x"], [[2.0, 1.0]], [[NAN]])},
    ),
    "analysis.anytime": (
        {"cumulative": [1.0, 2.0], "budgets": [1.0, 2.0]},
        {"cumulative": ([1.0], [2.0, 1.0], [NAN, 1.0]), "budgets": ([[1.0]], [NAN]), "end": ()},
    ),
    "analysis.band": (
        {"curves": [[0.1, 0.2]], "budgets": [1.0, 2.0]},
        {"curves": ([0.1], np.empty((0, 2)), [[0.1]]), "budgets": ([1.0], [[1.0]])},
    ),
    "analysis.attainment_surface": (
        {"runs": [T.values]},
        {"runs": ([], ["x"], [[[1.0]]], [[["a", "b"]]]), "level": (0, -1, 1.5)}
        | {"objectives": ANY_OBJECTIVES[:3]},
    ),
    "analysis.attainment_difference": (
        {"a": [T.values], "b": [T.values]},
        {"a": ([], ["x"], [[[1.0]]]), "b": ([], ["x"]), "objectives": ANY_OBJECTIVES[:3]},
    ),
    "analysis.holm": ({"p_values": [0.1, 0.2]}, {"p_values": ([[0.1]], [-1.0], [1.5], [NAN])}),
    "analysis.median_interval": ({"values": [1.0, 2.0]}, {"values": ([], [[1.0]], [NAN])}),
    "analysis.pairwise": ({"against": None}, {"against": (7, "", "no-such-method")}),
    "analysis.superiority": (
        {"a": "a", "b": "b"},
        dict.fromkeys("ab", (None, 7, "", "no-such-method")),
    ),
    "analysis.PairedScores.of": (
        {"scores": {"a": {1: 0.5}, "b": {1: 0.7}}, "maximise": True},
        {
            "scores": (
                *({}, {"a": {1: 0.5}}, {"a": {}, "b": {}}, {"a": {1: 0.5}, "b": {2: 0.5}}),
                {"a": {1: NAN}, "b": {1: 0.5}},
            )
        },
    ),
    "quality.kendall_tau": (
        dict.fromkeys("ab", [1.0, 2.0]),
        {"a": ([1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0])},
    ),
    "quality.scores": (
        {"true": [1.0, 2.0], "predicted": [1.0, 2.0]},
        {"true": ([], [1.0], [[1.0, 2.0]]), "predicted": ([1.0],), "lower": (), "upper": ()},
    ),
    # -- campaigns -----------------------------------------------------------------------------
    "campaign.make_plan": (
        {"rows": (0, 2), "name": "x", "vertices": 4},
        {
            "rows": ((), (91,), (-1,), ("x",), (None,), (10**30,)),
            "epochs": ((), (0,), (-4,), ("4",)),
        },
    ),
    "campaign.DataChoice": (
        {"kind": "synthetic"},
        {"kind": (*NAME, "cifar10"), "path": ("x",)},
    ),
    "campaign.Settings": ({}, {"meter": (*NAME, "replay")}),
    "campaign.Pace": PLAIN,
    "campaign.Cluster": ({"kind": "local"}, {"kind": NAME, "hours": (0, -1, INF)}),
    **dict.fromkeys(
        [f"campaign.{name}" for name in ("work", "launch", "status", "validate", "Plan.read")],
        ({}, {}),
    ),
    "campaign.requeue": ({"names": []}, {}),
    "campaign.columns_of": PLAIN,
    "campaign.export": ({"out": T.new_csv}, {"out": (Path("x.txt"), Path("x"))}),
    # -- energy --------------------------------------------------------------------------------
    "energy.EnergyMeter": (
        {"devices": (), "cpu": False},
        {"sample_hz": (0, -1, INF), "devices": (7, ("no-such-gpu",), (-1,), (None,))},
    ),
    "energy.ReplayMeter.of_trace": (
        {"times_s": [0.0, 1.0], "powers_w": [5.0, 5.0]},
        {
            "times_s": ([], [0.0], [1.0, 0.0], [0.0, NAN]),
            "powers_w": ([], [5.0], [5.0, NAN], [-5.0, 5.0]),
        },
    ),
    "energy.NullMeter.window": (
        {"self": T.null_meter, "name": "x"},
        {"name": (None, 7, "", "a/b")},
    ),
    "energy.Window.from_json": (
        {"text": T.window},
        {"text": ("", "x", "[]", "{}", "[" * 100_000, '{"name": 1}', "9" * 5000)},
    ),
    # -- report, figures and comparisons -------------------------------------------------------
    "report.find_runs": ({"folders": []}, {"folders": tuple([path] for path in PATH[:3])}),
    "report.read_run": ({"folder": T.run}, {}),
    "report.gather": PLAIN,
    "report.write_page": ({"path": T.new_csv}, {"path": NOWHERE}),
    "figures.clouds": ({}, {"bins": ((0, 1), (-1, 5), ("a", "b"))}),
    "figures.device_energies": ({"benches": [T.bench]}, {"benches": ([],)}),
    "figures.predictions.read_learning_curve": ({"path": T.curve}, {}),
    "figures.predictions.fitted_rows": ({}, {"device": ("no-such-gpu", "")}),
    "figures.predictions.predictions": (
        {"modelled": T.bench, "measured": T.bench},
        {"epochs": ()},
    ),
    "figures.saved_sheet": ({"benches": [T.bench]}, {}),
    "figures.study": (
        {"methods": ["random"], "seeds": 1, "evaluations": 4},
        {"methods": ([], ["annealing"], ["random", "random"], [None])},
    ),
    "figures.swap_effects": PLAIN,
    "comparison.Grid": (
        {"methods": ("random",), "tables": ("4v",), "seeds": (0,), "evaluations": 4},
        {
            "methods": ((), ("random", "random"), ("annealing",), (7,)),
            "tables": ((), ("4v", "4v"), ("4v", "4v/")),
            "seeds": ((), (-1,), (1, 1), ("1",), (True,), (1.5,)),
            "objectives": (*ANY_OBJECTIVES, ("energy_kwh",)),
            "epochs": (),
        },
    ),
    "comparison.compare": ({"out": T.out}, {"cluster": ("no-such-cluster", "")}),
    "comparison.experiment.prepare": ({"out": T.out, "rules": {}}, {"out": NOWHERE}),
    "comparison.method_class": ({"name": "random"}, {"name": NAME}),
    "comparison.Run.read": ({"path": T.run_file}, {"path": tuple(map(Path, PATH))}),
    # -- data ----------------------------------------------------------------------------------
    "data.carbon.carbon_intensity": (
        {"choice": 100},
        {"choice": (None, *BY_NAME["carbon"])},
    ),
    **{
        f"data.catalog.{name}": ({"name": "4v-4epochs"}, {"name": NAME})
        for name in ("file_entry", "table_entry")
    },
    "data.catalog.read_catalog": ({"path": T.catalog}, {}),
    "data.convert.converted": (
        {"name_or_path": T.csv, "fetch": False},
        {"name_or_path": (*PATH[:3], "no-such-name", "4v-4epochs")},
    ),
    "data.convert.check_suffix": ({"path": "x.csv"}, {"path": ("x", "x.txt", "", "x.csv.gz")}),
    "data.convert.export": ({"path": T.new_csv}, {"path": ("x", "x.txt", "", "/proc/x.csv")}),
    "data.convert.verify": ({"name": T.path}, {"name": PATH[:3]}),
    **dict.fromkeys(
        ("data.convert.read", "data.convert.sniff", "data.nasbench_pickle.read_nasbench_pickle")
        + tuple(f"data.nasbench_tfrecord.read_{kind}" for kind in ("ecnas", "nasbench")),
        ({"path": T.csv}, {"vertices": ()}),
    ),
    "data.results_tree.read_results_tree": ({"folder": T.tmp}, {"vertices": ()}),
    **dict.fromkeys(
        ("data.long_form.write_csv", "data.long_form.write_parquet", "data.table.write_table")
        + ("data.nasbench_tfrecord.write_ecnas",),
        ({"path": T.new_csv}, {"path": NOWHERE}),
    ),
    "data.table.Table.open": PLAIN,
    "data.table.Columns": (
        {"name": "x", "vertices": 4, "rows": np.array([0, 1], np.int32), "budgets": (4,)}
        | {"repeats": 2, "values": _ARRAY, "provenance": T.provenance},
        {
            "rows": tuple(
                map(np.array, ([], [1, 0], [0, 0], [0.5, 1], [-1, 0], [0, 91], [[0, 1]]))
            ),
            "budgets": ((), (4, 4), (0,), (12, 4)),
            "values": (
                *({"joy": np.ones((2, 1, 2))}, {"energy_kwh": np.ones((2, 1, 1))}),
                {"energy_kwh": np.ones((2, 1, 2), dtype=np.float32)},
            ),
            "provenance": ({},),
        },
    ),
    "data.table.at_place": PLAIN,
    # -- models and training -------------------------------------------------------------------
    "surrogate.calibrate.choose": (
        {"cells": 8, "vertices": 4},
        {"cells": FEW_CELLS, "rows": ([], *ROWS), "spread": (-1, 2)},
    ),
    "surrogate.calibrate.calibrated": (
        {"source": T.path},
        {"source": PATH, "cells": FEW_CELLS, "span": ()},
    ),
    "surrogate.calibrate.calibrate": ({}, {"cells": FEW_CELLS}),
    "surrogate.devices.device_name": ({"text": "titan-xp"}, {"text": NAME}),
    "surrogate.evaluate.evaluate": ({"folder": T.tmp}, {}),
    "surrogate.modelled.energy_model": (
        {"choice": ["ours"]},
        {"choice": ([], [""], ["theirs"], ["paper-weights"], ["paper-weights", "missing"])},
    ),
    **dict.fromkeys(
        ("surrogate.models.Weights.load", "surrogate.paper.PaperModel.from_torch_file"),
        ({"path": T.weights}, {"path": (*PATH, "GARBAGE")}),
    ),
    "surrogate.paper.inputs": PLAIN,
    "training.check_device": (
        {"device": "cpu"},
        {"device": ("", "gpu", "cuda:99", "cpu:x", 1.5, None)},
    ),
    "training.read_cifar10": ({"folder": T.tmp}, {"form": ("no-such-form", "")}),
    "training.synthetic": ({"images_per_file": 4}, {}),
    "training.Recipe": (
        {"name": "x", "base_rate": 0.1},
        {"base_rate": (0, -1, INF), **dict.fromkeys(("decay", "momentum"), (-1, 2))},
    ),
}
