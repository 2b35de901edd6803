"""Command lines that are possible, and what makes each impossible."""

from __future__ import annotations

from call_kinds import each

HUGE = "9" * 40
LONG = "x" * 5000
#: What no option of a kind can be, whatever the command.
NO_INTEGER = ("", "two", "1.5", "nan", "1e3", "0x10")
NO_NUMBER = ("", "two", "1,5", "0x10")
NO_CHOICE = ("", "no-such-choice")
NO_LIMIT = ("0", "-1", "nan", "inf", "-inf")
NO_COUNT = ("0", "-1", "-" + HUGE)
NO_NAME = ("", "no-such-name", "../../etc/passwd", LONG, "a\tb", "/dev/null", "/")
NO_PUE = ("0", "0.99", "-1", "nan", "inf", "1e9")
NO_CARBON = ("", "Atlantis", "-1", "nan", "inf", "1e300")
NO_EPOCHS = ("0", "-4", "5", HUGE)
NO_FILE = ("missing/file", "", ".", LONG)
TABLE_OPTIONS = {
    "--device": ("", "no-such-gpu", "missing.npz", "GARBAGE"),
    "--scaling": ("", "cubic"),
    "--model": ("", "theirs"),
    "--pue": NO_PUE,
    "--carbon-intensity": NO_CARBON,
}
NO_TABLES = (*NO_NAME, ",", "GARBAGE")
NO_METHODS = ("", ",", "annealing", "random,annealing", "random,random", LONG)
NO_OBJECTIVES = ("", ",", "energy_kwh", "energy_kwh,joy", "energy_kwh,energy_kwh", LONG)

#: A command line that is possible, and what makes it impossible, by option or argument. The
#: words in capitals stand for files: TABLE a small table, GARBAGE no table, EMPTY a folder.
CASES: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "info": ("", {}),
    "doctor": ("", {}),
    "data list": ("", {}),
    "data fetch": ("4v-4epochs", {"names": NO_NAME}),
    "data verify": ("TABLE", {"names": (*NO_NAME, "GARBAGE", "EMPTY")}),
    "data convert": (
        "TABLE --out x.ecnas",
        {
            "source": (*NO_NAME, "GARBAGE", "EMPTY"),
            "--out": ("x.txt", "", "TABLE/x.ecnas", "/proc/x.ecnas", "/dev/null"),
        },
    ),
    "data export": (
        "TABLE x.csv",
        {
            "source": (*NO_NAME, "GARBAGE", "EMPTY"),
            "out": ("x.txt", "", "TABLE/x.csv", "/proc/x.csv", "EMPTY", LONG),
        },
    ),
    "data build": (
        "7v --nasbench GARBAGE --out x.ecnas",
        {
            "name": ("4v", ""),
            "--nasbench": (*NO_FILE, "GARBAGE", "EMPTY"),
            "--energy-model": ("", "theirs", "paper-weights"),
            "--scaling": ("", "cubic"),
            "--device": ("", "no-such-gpu"),
            "--out": ("x.txt"),
        },
    ),
    "data card": (
        "TABLE --out card.json",
        {
            "source": (*NO_NAME, "GARBAGE", "EMPTY"),
            "--out": ("TABLE/x.json", "EMPTY", "/proc/x.json"),
            **each((), "--licence", "--citation", "--url"),
            "--published": ("2024-13-01", "today"),
        },
    ),
    "completion": ("bash", {"shell": ("cmd", "")}),
    "query": (
        "4v 0",
        {
            "table": (*NO_NAME, "GARBAGE", "EMPTY"),
            "cell": ("91", "-92", HUGE, "", "x", "011001000:input,pool,output", "f" * 32, LONG),
            "--epochs": NO_EPOCHS,
            "--repeat": ("1", "-1", HUGE),
            **TABLE_OPTIONS,
        },
    ),
    "search": (
        "--table 4v --evaluations 12 --out found --no-plot",
        {
            "--table": NO_TABLES,
            "--method": ("", "annealing", "Semoa ", LONG),
            "--evaluations": NO_COUNT,
            "--max-energy": NO_LIMIT,
            "--max-epochs": NO_COUNT,
            "--max-time": NO_LIMIT,
            "--seed": ("-1", "-" + HUGE),
            "--epochs": NO_EPOCHS,
            "--objectives": NO_OBJECTIVES,
            "--out": ("TABLE", "TABLE/x", LONG, "/proc/x"),
            **TABLE_OPTIONS,
        },
    ),
    "compare": (
        "--methods random --tables 4v --seeds 1 --evaluations 12 --no-plot --out compared",
        {
            "--methods": NO_METHODS,
            "--tables": (*NO_TABLES, "4v,4v"),
            "--seeds": ("", ",", "0", "-1", "x", "1,x", "3,3", "1,-2"),
            "--evaluations": NO_COUNT,
            "--objectives": NO_OBJECTIVES,
            "--epochs": NO_EPOCHS,
            "--jobs": ("0", "-1", "-" + HUGE),
            "--cluster": (),
            "--out": ("TABLE", "TABLE/x", LONG, "/proc/x"),
            **TABLE_OPTIONS,
        },
    ),
    "surrogate evaluate": ("", {"--data": (*NO_FILE, "EMPTY", "TABLE")}),
    "surrogate fit": (
        "--target energy --data EMPTY --out fitted.npz",
        {
            **each((), "--target", "--model"),
            "--data": (*NO_FILE, "EMPTY", "TABLE"),
            "--out": (""),
            "--seed": ("-1",),
        },
    ),
    "surrogate choose": (
        "--cells 3 --vertices 4",
        {
            "--cells": (*NO_COUNT, "92", HUGE),
            "--vertices": ("0", "1", "8", "-1", HUGE),
            "--cost": ("nan", "inf", "-1"),
            "--seed": ("-1",),
        },
    ),
    "surrogate calibrate": (
        "--measurements TABLE --out gpu.npz",
        {
            "--measurements": (*NO_NAME, "GARBAGE", "EMPTY"),
            "--cells": (*NO_COUNT, "92", HUGE),
            **each((), "--device", "--span"),
            "--pue": NO_PUE,
            "--out": ("TABLE/x.npz", "EMPTY", "/proc/x.npz"),
            "--seed": ("-1",),
        },
    ),
    "surrogate learning-curve": (
        "--data EMPTY",
        {
            "--data": (*NO_FILE, "EMPTY", "TABLE"),
            "--model": ("", "theirs"),
            "--draws": NO_COUNT,
            "--sizes": (",", "x", "0", "-1", "1,x"),
            "--seed": ("-1",),
        },
    ),
    "naslib": (
        "nas --config-file GARBAGE",
        {
            "runner": ("", "no-such-runner", "missing.py", "EMPTY"),
            "--config-file": (*NO_FILE, "GARBAGE", "EMPTY"),
            "overrides": ("seed", "seed 1 search", "no.such.key 1"),
        },
    ),
    "figure": (
        "1 --table 4v --out figures",
        {
            "number": ("0", "7", "-1", HUGE),
            "--table": NO_TABLES,
            "--out": ("TABLE/x",),
            "--epochs": ("4", "0"),
            **each((), "--measurements", "--learning-curve", "--occurrences", "--devices"),
            **each((), "--methods", "--seeds", "--evaluations"),
            **TABLE_OPTIONS,
        },
    ),
    "figure 2": (
        "--table 4v --measurements TABLE --out figures",
        {
            "--measurements": (*NO_NAME, "GARBAGE", "EMPTY"),
            "--learning-curve": (*NO_FILE[:1], "GARBAGE", "EMPTY", "TABLE"),
        },
    ),
    "figure 3": ("--table 4v --out figures", {"--occurrences": ("", "two"), "--epochs": ("5",)}),
    "figure 4": (
        "--table 4v --out figures",
        {"--devices": (",", "no-such-gpu", "rtx-3090,rtx-3090"), "--epochs": ("5",)},
    ),
    "figure 5": (
        "--table 4v --methods random --seeds 1 --evaluations 12 --out figures",
        {
            "--methods": NO_METHODS,
            **each(NO_COUNT, "--seeds", "--evaluations"),
            "--epochs": NO_EPOCHS,
        },
    ),
    "table": (
        "2 --table 4v --methods random --seeds 1 --evaluations 12 --out tables",
        {
            "number": ("0", "4", "-1", HUGE),
            "--table": (*NO_TABLES, "4v,5v"),
            "--out": ("TABLE/x", "TABLE", "/proc/x"),
            "--epochs": NO_EPOCHS,
            "--methods": NO_METHODS,
            **each(NO_COUNT, "--seeds", "--evaluations"),
            **TABLE_OPTIONS,
        },
    ),
    "report": (
        "--table 4v --out page.html",
        {
            "runs": ("EMPTY", "TABLE", "missing", "", LONG),
            "--table": NO_TABLES,
            "--out": ("TABLE", "TABLE/x.html", "EMPTY", "/proc/x.html", LONG),
            "--epochs": NO_EPOCHS,
            **TABLE_OPTIONS,
        },
    ),
    "measure plan": (
        "--space 4v --limit 2 --data synthetic --out planned",
        {
            "--space": (),
            "--cells": (*NO_FILE, "GARBAGE", "EMPTY", "TABLE"),
            "--design": (*NO_COUNT, "92", HUGE),
            "--epochs": ("", ",", "0", "-4", "x", "4,x"),
            "--repeats": NO_COUNT,
            "--limit": (*NO_COUNT,),
            "--data": ("", "imagenet", "tfrecord", "synthetic EMPTY EMPTY", "synthetic EMPTY"),
            "--images-per-file": NO_COUNT,
            "--recipe": (),
            "--seed": ("-1",),
            "--out": ("TABLE", "TABLE/x", LONG, "/proc/x"),
        },
    ),
    "measure run": (
        "CAMPAIGN --device cpu --meter none --limit 1 --steps 1 --batch-size 2",
        {
            "campaign": ("missing", "", "EMPTY", "TABLE", LONG),
            "--device": ("", "cuda:77", "tpu", "cpu:x"),
            "--meter": ("", "watts", "replay", "replay missing", "replay GARBAGE", "none x y"),
            "--gpu": (),
            "--baseline": ("-1", "nan", "inf"),
            "--warm-up": ("-1", "nan", "inf"),
            "--images": (),
            **each(NO_COUNT, "--limit", "--tries"),
            "--stale": ("0", "-1", "nan", "inf"),
            **each(NO_COUNT, "--steps", "--batch-size", "--evaluate-images"),
            **each((), "--cluster", "--workers", "--gres", "--partition", "--cpus", "--hours"),
        },
    ),
    "measure run --cluster local": (
        "CAMPAIGN --device cpu --meter none --limit 1 --steps 1 --batch-size 2",
        {"--workers": NO_COUNT, "--cpus": NO_COUNT, "--hours": ("0", "-1", "nan", "inf")},
    ),
    "measure status": ("CAMPAIGN", {"campaign": ("missing", "", "EMPTY", "TABLE")}),
    "measure validate": ("CAMPAIGN", {"campaign": ("missing", "", "EMPTY", "TABLE")}),
    "measure export": (
        "CAMPAIGN --out measured.csv --allow-synthetic",
        {
            "campaign": ("missing", "", "EMPTY", "TABLE"),
            "--out": ("", "x.txt", "TABLE/x.csv", "EMPTY", "/proc/x.csv"),
            "--pue": NO_PUE,
            "--carbon-intensity": NO_CARBON,
            **each((), "--energy", "--span"),
        },
    ),
}
