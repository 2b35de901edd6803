"""`ecnas info`: the version, the cache folder and its tables, NASLib, and optional packages."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from typing import Any

from naslib_ecnas._version import __version__
from naslib_ecnas.console import (
    bytes_text,
    examples,
    installed_version,
    print_json,
    print_table,
)

__all__ = ["add_parser", "run"]

#: Optional package -> the feature that needs it, and the extra that installs it.
_OPTIONAL = {
    "matplotlib": ("plots", "plots"),
    "pyarrow": ("Parquet files", "parquet"),
    "torch": ("NASLib", "naslib"),
    "scikit-learn": ("NASLib", "naslib"),
    "networkx": ("NASLib", "naslib"),
    "lightgbm": ("fitting surrogates", "fit"),
    "orjson": ("faster conversion", None),
}


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    parser = subparsers.add_parser(
        "info",
        help="what is installed, and where files are kept",
        description="Show the version, the cache folder and the tables in it, whether NASLib is "
        "found, and which optional packages are installed.",
        **examples("ecnas info", "ecnas info --json"),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0."""
    found = _facts()
    if args.json:
        print_json(found)
        return 0
    naslib = found["naslib"]
    print_table(
        ("ecnas", found["version"]),
        [
            ("python", found["python"]),
            ("cache", found["cache"]["folder"]),
            ("mirror", found["mirror"] or "none (ECNAS_MIRROR is not set)"),
            ("naslib", naslib["home"] or f"not found: {naslib['remedy']}"),
        ],
    )
    print()
    tables = found["cache"]["tables"]
    if tables:
        rows = [(t["name"], bytes_text(t["size"]), t["path"]) for t in tables]
        print_table(("table", "size", "file"), rows, right=[1])
    else:
        print("no tables yet; this makes one: ecnas query 7v 0")
    print()
    rows = [
        (name, o["version"] or "missing", o["feature"] if o["version"] else o["install"])
        for name, o in found["optional"].items()
    ]
    print_table(("optional package", "version", "for"), rows)
    return 0


def _facts() -> dict[str, Any]:
    from naslib_ecnas.adapters import naslib_patches
    from naslib_ecnas.data.convert import tables_folder
    from naslib_ecnas.files import cache_folder

    home = naslib_patches.naslib_home()
    return {
        "version": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cache": {
            "folder": str(cache_folder()),
            "tables": [
                {"name": path.stem, "path": str(path), "size": path.stat().st_size}
                for path in sorted(_tables(tables_folder()))
            ],
        },
        "mirror": os.environ.get("ECNAS_MIRROR") or None,
        "naslib": {
            "home": None if home is None else str(home),
            "remedy": naslib_patches.REMEDY if home is None else None,
        },
        "optional": {
            name: {
                "version": installed_version(name),
                "feature": feature,
                "install": f"pip install 'naslib-ecnas[{extra}]'"
                if extra
                else f"pip install {name}",
            }
            for name, (feature, extra) in _OPTIONAL.items()
        },
    }


def _tables(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.ecnas") if not path.name.startswith(".")]
