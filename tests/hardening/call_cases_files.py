"""Public calls of campaigns, meters, pages, comparisons, files and models, and what makes each
impossible."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
from call_kinds import (
    NO_CARBON,
    NO_COUNT,
    NO_EPOCHS,
    NO_NAME,
    NO_OBJECTIVES,
    NO_PATH,
    NO_PUE,
    NO_ROWS,
    NO_SEED,
    Call,
)

from naslib_ecnas.provenance import Provenance

FILES: dict[str, Call] = {
    # -- campaigns -----------------------------------------------------------------------------
    "campaign.make_plan": Call(
        lambda t: {"rows": (0, 2), "name": "x", "vertices": 4, "data": t.data},
        {
            "rows": ((), (91,), (-1,), ("x",), (None,), (10**30,)),
            "vertices": (None, "4", 1, 8, -1),
            "epochs": ((), (0,), (-4,), ("4",)),
            "repeats": (None, "2", 0, -1),
            "recipe": NO_NAME,
            "seed": (None, "2", -1),
            "limit": ("2", 0, -1),
        },
    ),
    "campaign.DataChoice": Call(
        lambda t: {"kind": "synthetic"},
        {"kind": (*NO_NAME, "cifar10"), "path": ("x",), "images_per_file": (None, "2", 0, -1)},
    ),
    "campaign.Settings": Call(
        lambda t: {},
        {
            "meter": (*NO_NAME, "replay"),
            "baseline_s": (None, "2", -1, float("nan"), float("inf")),
            "warm_up_s": ("2", -1, float("nan"), float("inf")),
            "images": NO_NAME,
            "steps": ("2", 0, -1),
            "batch_size": ("2", 0, -1),
            "evaluate_images": ("2", 0, -1),
        },
    ),
    "campaign.Pace": Call(
        lambda t: {},
        {
            "tries": (None, "2", 0, -1),
            "beat_s": (None, "2", 0, -1, float("nan"), float("inf")),
            "stale_s": (None, "2", 0, -1, float("nan"), float("inf")),
        },
    ),
    "campaign.Cluster": Call(
        lambda t: {"kind": "local"},
        {
            "kind": NO_NAME,
            "workers": (None, "2", 0, -1),
            "cpus": (None, "2", 0, -1),
            "hours": (None, "2", 0, -1, float("nan"), float("inf")),
        },
    ),
    "campaign.Plan": Call(
        lambda t: {"folder": t.campaign},
        {"folder": tuple(map(Path, NO_PATH))},
        lambda t: import_module("naslib_ecnas.campaign").Plan.read,
    ),
    "campaign.work": Call(
        lambda t: {"folder": t.campaign, "settings": t.settings, "limit": 1},
        {"folder": tuple(map(Path, NO_PATH)), "limit": (0, -1)},
    ),
    "campaign.launch": Call(
        lambda t: {"folder": t.campaign, "settings": t.settings, "cluster": t.cluster},
        {"folder": tuple(map(Path, NO_PATH))},
    ),
    "campaign.status": Call(
        lambda t: {"folder": t.campaign}, {"folder": tuple(map(Path, NO_PATH))}
    ),
    "campaign.validate": Call(
        lambda t: {"folder": t.campaign}, {"folder": tuple(map(Path, NO_PATH))}
    ),
    "campaign.requeue": Call(
        lambda t: {"folder": t.campaign, "names": []},
        {"folder": tuple(map(Path, NO_PATH))},
    ),
    "campaign.columns_of": Call(
        lambda t: {"folder": t.campaign},
        {"folder": tuple(map(Path, NO_PATH)), "pue": NO_PUE[1:6], "carbon": NO_CARBON},
    ),
    "campaign.export": Call(
        lambda t: {"folder": t.campaign, "out": t.tmp / "x.csv"},
        {"folder": tuple(map(Path, NO_PATH)), "out": (Path("x.txt"), Path("x"))},
    ),
    # -- energy --------------------------------------------------------------------------------
    "energy.EnergyMeter": Call(
        lambda t: {"devices": (), "cpu": False},
        {
            "sample_hz": (None, "2", 0, -1, float("nan"), float("inf")),
            "shared": NO_NAME,
            "devices": (7, ("no-such-gpu",), (-1,), (None,)),
        },
    ),
    "energy.ReplayMeter": Call(
        lambda t: {"times_s": [0.0, 1.0], "powers_w": [5.0, 5.0]},
        {
            "times_s": ([], [0.0], [1.0, 0.0], [0.0, np.nan], "x"),
            "powers_w": ([], [5.0], [5.0, np.nan], [-5.0, 5.0], "x"),
        },
        lambda t: import_module("naslib_ecnas.energy").ReplayMeter.of_trace,
    ),
    "energy.NullMeter": Call(
        lambda t: {"name": "x"},
        {"name": (None, 7, "", "a/b")},
        lambda t: lambda name: t.null_meter.window(name).__enter__(),
    ),
    "energy.Window": Call(
        lambda t: {"text": t.window},
        {"text": ("", "x", "[]", "{}", "[" * 100_000, '{"name": 1}', "9" * 5000)},
        lambda t: import_module("naslib_ecnas.energy").Window.from_json,
    ),
    # -- report and figures --------------------------------------------------------------------
    "report.find_runs": Call(
        lambda t: {"folders": []}, {"folders": tuple([path] for path in NO_PATH)}
    ),
    "report.read_run": Call(lambda t: {"folder": t.run}, {"folder": tuple(map(Path, NO_PATH))}),
    "report.gather": Call(lambda t: {"bench": t.bench}, {"epochs": NO_EPOCHS}),
    "figures.clouds": Call(
        lambda t: {"bench": t.bench},
        {"x": NO_NAME, "y": NO_NAME, "bins": ((0, 1), (-1, 5), ("a", "b"))},
    ),
    "figures.device_energies": Call(
        lambda t: {"benches": [t.bench]}, {"benches": ([],), "epochs": NO_EPOCHS}
    ),
    "figures.predictions.read_learning_curve": Call(lambda t: {"path": t.curve}, {"path": NO_PATH}),
    "figures.predictions.fitted_rows": Call(lambda t: {}, {"device": ("no-such-gpu", "")}),
    "figures.predictions.predictions": Call(
        lambda t: {"modelled": t.bench, "measured": t.bench}, {"epochs": NO_EPOCHS}
    ),
    "figures.saved_sheet": Call(lambda t: {"benches": [t.bench]}, {}),
    "figures.study": Call(
        lambda t: {"bench": t.bench, "methods": ["random"], "seeds": 1, "evaluations": 4},
        {
            "methods": ([], ["annealing"], ["random", "random"], [None]),
            "seeds": NO_COUNT,
            "evaluations": NO_COUNT,
            "epochs": NO_EPOCHS,
        },
    ),
    "figures.swap_effects": Call(
        lambda t: {"bench": t.bench},
        {"epochs": NO_EPOCHS, "occurrences": NO_NAME},
    ),
    # -- comparisons ---------------------------------------------------------------------------
    "comparison.Grid": Call(
        lambda t: {"methods": ("random",), "tables": ("4v",), "seeds": (0,), "evaluations": 4},
        {
            "methods": ((), ("a", "a")),
            "tables": ((), ("4v", "4v"), ("4v", "4v/")),
            "seeds": ((), (-1,), (1, 1), ("1",), (True,), (1.5,)),
            "evaluations": NO_COUNT,
            "objectives": (*NO_OBJECTIVES, ("energy_kwh",)),
        },
    ),
    "comparison.compare": Call(
        lambda t: {"grid": t.grid, "out": t.tmp / "compared"}, {"jobs": NO_COUNT}
    ),
    "comparison.execute.execute": Call(
        lambda t: {"work": print, "units": []},
        {"jobs": NO_COUNT, "cluster": ("no-such-cluster", "")},
    ),
    "comparison.execute.check_jobs": Call(lambda t: {"jobs": 1}, {"jobs": NO_COUNT}),
    "comparison.method_class": Call(lambda t: {"name": "random"}, {"name": NO_NAME}),
    "comparison.Run": Call(
        lambda t: {"path": t.run_file},
        {"path": tuple(map(Path, NO_PATH))},
        lambda t: import_module("naslib_ecnas.comparison").Run.read,
    ),
    # -- data ----------------------------------------------------------------------------------
    "data.carbon.carbon_intensity": Call(lambda t: {"choice": 100}, {"choice": NO_CARBON}),
    "data.catalog.file_entry": Call(lambda t: {"name": "4v-4epochs"}, {"name": NO_NAME}),
    "data.catalog.table_entry": Call(lambda t: {"name": "4v-4epochs"}, {"name": NO_NAME}),
    "data.catalog.read_catalog": Call(lambda t: {"path": t.catalog}, {"path": NO_PATH}),
    "data.convert.converted": Call(
        lambda t: {"name_or_path": t.csv, "fetch": False},
        {"name_or_path": (*NO_PATH, "no-such-name", "4v-4epochs")},
    ),
    "data.convert.check_suffix": Call(
        lambda t: {"path": "x.csv"}, {"path": ("x", "x.txt", "", "x.csv.gz")}
    ),
    "data.convert.export": Call(
        lambda t: {"table": t.bench.table, "path": t.tmp / "x.csv"},
        {"path": ("x", "x.txt", "", "/proc/x.csv")},
    ),
    **{
        f"data.{name}": Call(
            lambda t: {"path": t.csv},
            {"path": (*NO_PATH, ".")},
        )
        for name in (
            *("convert.read", "convert.sniff", "nasbench_tfrecord.read_ecnas"),
            *("nasbench_tfrecord.read_nasbench", "nasbench_pickle.read_nasbench_pickle"),
        )
    },
    "data.results_tree.read_results_tree": Call(
        lambda t: {"folder": t.tmp}, {"folder": (*NO_PATH, ".")}
    ),
    "data.table.Table": Call(
        lambda t: {"path": t.table},
        {"path": (*NO_PATH, ".")},
        lambda t: import_module("naslib_ecnas.data.table").Table.open,
    ),
    "data.table.Columns": Call(
        lambda t: {
            "name": "x",
            "vertices": 4,
            "rows": np.array([0, 1], dtype=np.int32),
            "budgets": (4,),
            "repeats": 1,
            "values": {"energy_kwh": np.ones((2, 1, 1))},
            "provenance": {"energy_kwh": Provenance("synthetic")},
        },
        {
            "rows": tuple(
                map(np.array, ([], [1, 0], [0, 0], [0.5, 1], [-1, 0], [0, 91], [[0, 1]]))
            ),
            "budgets": ((), (4, 4), (0,), (12, 4)),
            "values": ({"joy": np.ones((2, 1, 1))}, {"energy_kwh": np.ones((2, 1, 2))}),
            "provenance": ({},),
        },
    ),
    "data.convert.verify": Call(
        lambda t: {"name": str(t.table), "progress": t.silent}, {"name": NO_PATH}
    ),
    "data.table.at_place": Call(
        lambda t: {"table": t.bench.table, "pue": None, "carbon_intensity": None},
        {"pue": NO_PUE, "carbon_intensity": NO_CARBON},
    ),
    # -- models --------------------------------------------------------------------------------
    "surrogate.calibrate.choose": Call(
        lambda t: {"cells": 8, "vertices": 4},
        {
            "cells": (None, "8", 8.5, 0, -1, 7, 92, True),
            "vertices": (None, "4", 1, 8, -1),
            "rows": ([], *NO_ROWS),
            "seed": NO_SEED,
            "cost": (None, "1", -1, float("nan"), float("inf")),
            "spread": (None, "1", -1, 2, float("nan")),
        },
    ),
    "surrogate.devices.device_name": Call(lambda t: {"text": "titan-xp"}, {"text": NO_NAME}),
    "surrogate.calibrate.calibrated": Call(
        lambda t: {"source": t.table},
        {
            "source": NO_PATH,
            "cells": (0, -1, 7, 92),
            "pue": NO_PUE,
            "seed": NO_SEED,
        },
    ),
    "surrogate.models.Weights": Call(
        lambda t: {"path": t.weights},
        {"path": (*NO_PATH, ".", "GARBAGE")},
        lambda t: import_module("naslib_ecnas.surrogate.models").Weights.load,
    ),
    "surrogate.evaluate.evaluate": Call(lambda t: {"folder": t.tmp}, {"folder": NO_PATH}),
    "surrogate.modelled.energy_model": Call(
        lambda t: {"choice": ["ours"]},
        {"choice": ([], [""], ["theirs"], ["paper-weights"], ["paper-weights", "missing"])},
    ),
    "surrogate.calibrate.calibrate": Call(
        lambda t: {"measurements": t.measurements},
        {"cells": (0, -1, 7, 92, "8"), "seed": NO_SEED},
    ),
    "surrogate.paper.PaperModel": Call(
        lambda t: {"path": t.weights},
        {"path": (*NO_PATH, ".", "GARBAGE")},
        lambda t: import_module("naslib_ecnas.surrogate.paper").PaperModel.from_torch_file,
    ),
    "surrogate.paper.inputs": Call(lambda t: {"rows": [1]}, {"rows": NO_ROWS}),
    "nasbench101.NASBench": Call(
        lambda t: {"dataset_file": str(t.table)}, {"dataset_file": (*NO_PATH, "GARBAGE")}
    ),
    # -- training ------------------------------------------------------------------------------
    "training.check_device": Call(
        lambda t: {"device": "cpu"}, {"device": ("", "gpu", "cuda:99", "cpu:x", 1.5, None)}
    ),
    "training.read_cifar10": Call(
        lambda t: {"folder": t.tmp},
        {"folder": (*NO_PATH, "."), "form": ("no-such-form", ""), "images_per_file": (0, -1)},
    ),
    "training.synthetic": Call(
        lambda t: {"seed": 0, "images_per_file": 4}, {"images_per_file": (0, -1), "seed": (-1,)}
    ),
    "training.Recipe": Call(
        lambda t: {"name": "x", "base_rate": 0.1},
        {
            "base_rate": (0, -1, float("nan"), float("inf")),
            "batch_size": (0, -1),
            "decay": (-1, 2, float("nan")),
            "momentum": (-1, 2, float("nan")),
            "images": NO_NAME,
        },
    ),
    # -- what writes ---------------------------------------------------------------------------
    **{
        f"data.{name}": Call(
            lambda t: {"path": t.tmp / "x", "columns": t.columns}, {"path": ("/proc/x/y",)}
        )
        for name in (
            *("long_form.write_csv", "long_form.write_parquet", "table.write_table"),
            "nasbench_tfrecord.write_ecnas",
        )
    },
    "comparison.compare.prepare": Call(
        lambda t: {"out": t.tmp / "compared", "rules": {}}, {"out": (Path("/proc/x"),)}
    ),
    "report.write_page": Call(
        lambda t: {"page": t.page, "path": t.tmp / "x.html"}, {"path": (Path("/proc/x.html"),)}
    ),
}
