"""Command lines that are possible, and what makes each impossible."""

from __future__ import annotations

HUGE = "9" * 40
LONG = "x" * 5000
NO_FILE = ("missing/file", "", ".", LONG)
NO_TABLE = ("", "no-such-name", "../../etc/passwd", LONG, "a\tb", "/dev/null", "/", ",", "GARBAGE")
NO_FOLDER = ("TABLE", "TABLE/x", LONG, "/proc/x")
NO_WAIT = ("-1", "nan", "inf")

#: What no option of a kind can be, whatever the command.
BY_TYPE = {
    int: ("", "two", "1.5", "nan", "1e3", "0x10"),
    float: ("", "two", "1,5", "0x10"),
    "choices": ("", "no-such-choice"),
}
#: What an option or argument with a metavar can not be, unless its case says otherwise. The words
#: in capitals stand for files: TABLE a small table, GARBAGE no table, EMPTY a folder.
BY_METAVAR: dict[str, tuple[str, ...]] = {
    "TABLE": (*NO_TABLE, "EMPTY"),
    "TABLES": NO_TABLE,
    "METHODS": ("", ",", "annealing", "random,annealing", "random,random", LONG),
    "METRICS": ("", ",", "energy_kwh", "energy_kwh,joy", "energy_kwh,energy_kwh", LONG),
    "GPU": ("", "no-such-gpu", "missing.safetensors", "GARBAGE"),
    "SCALING": ("", "cubic"),
    "MODEL": ("", "theirs"),
    "RULE": ("", "later"),
    "P": ("0", "0.99", "-1", "nan", "inf", "1e9"),
    "G": ("", "Atlantis", "-1", "nan", "inf", "1e300"),
    "E": ("0", "-4", "5", HUGE),
    "N": ("0", "-1", "-" + HUGE),
    "S": ("0", "-1", "nan", "inf", "-inf"),
    "KWH": ("0", "-1", "nan", "inf", "-inf"),
    "SEED": ("-1", "-" + HUGE),
    "WORLD": ("-1", "-" + HUGE),
    "WIDTH": ("page", "0", "nan", "inf", "-3"),
    "CAMPAIGN": ("missing", "", "EMPTY", "TABLE", LONG),
    **dict.fromkeys(("NAME", "WHAT"), ()),  # any text is possible
}

Options = dict[str, tuple[str, ...]]

#: A command line that is possible, and what makes it impossible where the metavar does not say.
CASES: dict[str, tuple[str, Options]] = {
    **{name: ("", {}) for name in ("info", "doctor", "data list")},
    "completion": ("bash", {}),
    "data fetch": ("4v-4epochs", {"names": NO_TABLE}),
    "data verify": ("TABLE", {"names": (*NO_TABLE, "EMPTY")}),
    "data convert": ("TABLE", {}),
    "data export": (
        "TABLE x.csv",
        {"out": ("x.txt", "", "TABLE/x.csv", "/proc/x.csv", "EMPTY", LONG)},
    ),
    "data build": (
        "7v --nasbench GARBAGE --out x.ecnas",
        {
            "--nasbench": (*NO_FILE, "GARBAGE", "EMPTY"),
            "--energy-model": ("", "theirs"),
            "--out": ("x.txt",),
        },
    ),
    "data card": (
        "TABLE --out card.json",
        {"--out": ("TABLE/x.json", "EMPTY", "/proc/x.json")},
    ),
    "query": (
        "4v 0",
        {
            "cell": ("91", "-92", HUGE, "", "x", "011001000:input,pool,output", "f" * 32, LONG),
            "--repeat": ("1", "-1", HUGE),
        },
    ),
    "search": (
        "--table 4v --evaluations 12 --out found --no-plot",
        {
            "--method": ("", "annealing", "Semoa ", LONG),
            "--carbon-trace": (*NO_FILE, "GARBAGE", "EMPTY", "TABLE"),
            "--out": NO_FOLDER,
        },
    ),
    "compare": (
        "--methods random --tables 4v --seeds 1 --evaluations 12 --no-plot --out compared",
        {
            "--tables": (*NO_TABLE, "4v,4v"),
            "--seeds": ("", ",", "0", "-1", "x", "1,x", "3,3", "1,-2"),
            "--baseline": ("", "annealing", "semoa", LONG),
            "--against": ("", "nobody", "/dev/null", LONG),
            "--rope": ("-1", "nan", "inf", "x"),
            "--out": NO_FOLDER,
        },
    ),
    "surrogate evaluate": ("", {}),
    "surrogate fit": (
        "--target energy --data EMPTY --out fitted.safetensors",
        {"--out": ("",)},
    ),
    "surrogate choose": (
        "--cells 3 --vertices 4",
        {
            "--cells": (*BY_METAVAR["N"], "92", HUGE),
            "--vertices": ("0", "1", "8", "-1", HUGE),
        },
    ),
    "surrogate calibrate": (
        "--measurements TABLE --out gpu.safetensors",
        {
            "--cells": (*BY_METAVAR["N"], "92", HUGE),
            "--out": ("TABLE/x.safetensors", "EMPTY", "/proc/x.safetensors"),
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
            "--out": ("TABLE/x",),
            **dict.fromkeys(("--measurements", "--occurrences", "--devices"), ()),
            **dict.fromkeys(("--methods", "--seeds", "--evaluations"), ()),
        },
    ),
    "table": (
        "2 --table 4v --methods random --seeds 1 --evaluations 12 --out tables",
        {
            "number": ("0", "4", "-1", HUGE),
            "--table": (*NO_TABLE, "4v,5v"),
            "--out": ("TABLE/x", "TABLE", "/proc/x"),
        },
    ),
    "report": (
        "--table 4v --out page.html",
        {
            "runs": ("EMPTY", "TABLE", "missing", "", LONG),
            "--out": ("TABLE", "TABLE/x.html", "EMPTY", "/proc/x.html", LONG),
        },
    ),
    "measure plan": (
        "--space 4v --limit 2 --data synthetic --out planned",
        {
            "--cells": (*NO_FILE, "GARBAGE", "EMPTY", "TABLE"),
            "--design": (*BY_METAVAR["N"], "92", HUGE),
            "--epochs": ("", ",", "0", "-4", "x", "4,x"),
            "--data": ("", "imagenet", "tfrecord", "synthetic EMPTY EMPTY", "synthetic EMPTY"),
            "--device": ("", "cuda:77", "tpu", "cpu:x"),
            "--out": NO_FOLDER,
        },
    ),
    "measure run": (
        "CAMPAIGN --device cpu --meter none --limit 1 --steps 1 --batch-size 2",
        {
            "--device": ("", "cuda:77", "tpu", "cpu:x"),
            "--meter": ("", "watts", "none x y"),
            **dict.fromkeys(("--baseline", "--warm-up"), NO_WAIT),
            **dict.fromkeys(("--workers", "--cpus", "--hours"), ()),
            "--gpus": ("", "some", "77", "-1"),
        },
    ),
    "measure check": (
        "--device cpu --only cost",
        {
            "--device": ("", "cuda:77", "tpu", "cpu:x"),
            "--only": ("", ",", "none", "cost,none"),
            "--out": ("", "EMPTY", "TABLE/x.json", "missing/x.json"),
        },
    ),
    **{f"measure {action}": ("CAMPAIGN", {}) for action in ("status", "validate")},
    # Without a command it does nothing; what stands behind one is the command's.
    "energy": (
        "",
        {
            "--gpus": ("", ",", "GPU-ffff"),
            "--out": ("", "EMPTY", "TABLE/x.json", "missing/x.json"),
            "command": (),
        },
    ),
    "measure export": (
        "CAMPAIGN --out measured.csv --allow-synthetic",
        {
            "--out": ("", "x.txt", "TABLE/x.csv", "EMPTY", "/proc/x.csv"),
            "--extrapolate": ("", "4", "4,x", "12,4", "0,4"),
        },
    ),
}
#: The same for options that only these lines use.
MORE: dict[str, tuple[str, Options]] = {
    "figure 2": (
        "--table 4v --measurements TABLE --out figures",
        {"--measurements": BY_METAVAR["TABLE"]},
    ),
    "figure 3": ("--table 4v --out figures", {"--occurrences": ("", "two"), "--epochs": ("5",)}),
    "figure 4": (
        "--table 4v --out figures",
        {"--devices": (",", "no-such-gpu", "rtx-3090,rtx-3090"), "--epochs": ("5",)},
    ),
    "figure 5": (
        "--table 4v --methods random --seeds 1 --evaluations 12 --out figures",
        {
            "--methods": BY_METAVAR["METHODS"],
            **dict.fromkeys(("--seeds", "--evaluations"), BY_METAVAR["N"]),
            "--epochs": BY_METAVAR["E"],
        },
    ),
    "measure run --cluster local": (
        "CAMPAIGN --device cpu --meter none --limit 1 --steps 1 --batch-size 2",
        {**dict.fromkeys(("--workers", "--cpus"), BY_METAVAR["N"]), "--hours": BY_METAVAR["S"]},
    ),
}
