"""`ecnas info`: the version, the cache folder and its tables, NASLib, and optional packages."""

from __future__ import annotations

import argparse
import os
import platform
from typing import Any

from naslib_ecnas._version import __version__
from naslib_ecnas.commands.options import JSON, command
from naslib_ecnas.console import bytes_text, installed_version, print_json, print_table

#: Optional package -> the feature that needs it, and how to install it.
_OPTIONAL = {
    "matplotlib": ("plots", "pip install 'naslib-ecnas[plots]'"),
    "pyarrow": ("Parquet files", "pip install 'naslib-ecnas[tables]'"),
    "torch": ("NASLib", "pip install 'naslib-ecnas[naslib]'"),
    "scikit-learn": ("NASLib", "pip install 'naslib-ecnas[naslib]'"),
    "networkx": ("NASLib", "pip install 'naslib-ecnas[naslib]'"),
    **{
        package: (f"NASLib's {use}", f"pip install {package}")
        for package, use in {
            "tensorboard": "runner bbo",
            "xgboost": "predictor xgb",
            "ngboost": "predictor ngb",
            "pyro-ppl": "predictors gp, sparse_gp, var_sparse_gp",
            "pybnn": "predictors bayes_lin_reg, bohamiann, dngo",
            "grakel": "predictor gpwl",
        }.items()
    },
    "lightgbm": ("fitting surrogates", "pip install 'naslib-ecnas[fit]'"),
    "orjson": ("faster conversion", "pip install orjson"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command(parser, run, "ecnas info", "ecnas info --json")(*JSON)


def run(args: argparse.Namespace) -> None:
    """Show the version, the cache folder and the tables in it, whether NASLib is found, and which
    optional packages are installed."""
    found = _facts()
    if args.json:
        print_json(found)
        return
    naslib = found["naslib"]
    lines = [
        ("python", found["python"]),
        ("cache", found["cache"]["folder"]),
        ("mirror", found["mirror"] or "none (ECNAS_MIRROR is not set)"),
        ("naslib", naslib["home"] or f"not found: {naslib['remedy']}"),
        ("patched", f"{naslib['patches']} names of NASLib, in memory, when it is used"),
    ]
    print_table(("ecnas", found["version"]), lines)
    print()
    if tables := found["cache"]["tables"]:
        rows = [(t["name"], bytes_text(t["size"]), t["path"]) for t in tables]
        print_table(("table", "size", "file"), rows, right=[1])
    else:
        print("no tables yet; this makes one: ecnas query 7v 0")
    print()
    rows = [
        (
            name,
            o["version"] or "missing",
            o["feature"] + ("" if o["version"] else f": {o['install']}"),
        )
        for name, o in found["optional"].items()
    ]
    print_table(("optional package", "version", "for"), rows)


def _facts() -> dict[str, Any]:
    from naslib_ecnas.adapters import naslib_patches
    from naslib_ecnas.data.cache import place_of_cache, tables_in_cache

    home = naslib_patches.naslib_home()
    return {
        "version": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cache": {
            "folder": place_of_cache(),
            "tables": [
                {"name": name, "path": str(path), "size": path.stat().st_size}
                for name, path in tables_in_cache().items()
            ],
        },
        "mirror": os.environ.get("ECNAS_MIRROR") or None,
        "naslib": {
            "home": None if home is None else str(home),
            "remedy": naslib_patches.REMEDY if home is None else None,
            "patches": len(naslib_patches.report()["patches"]),
        },
        "optional": {
            name: {"version": installed_version(name), "feature": feature, "install": install}
            for name, (feature, install) in _OPTIONAL.items()
        },
    }
