"""Options of every command that opens a table: which device, which PUE, whose electricity."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_table_options", "setting"]


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options, in a group of their own."""
    group = parser.add_argument_group("energy and emissions of the table")
    group.add_argument(
        "--device",
        metavar="GPU",
        help="of a modelled table (7v, 5v, 4v): the GPU, such as titan-xp, or a file that "
        "`ecnas surrogate calibrate` wrote",
    )
    group.add_argument(
        "--scaling",
        metavar="HOW",
        help="of a modelled table: energy over epochs affine (the default) or linear",
    )
    group.add_argument(
        "--model", metavar="NAME", help="of a modelled table: ours (the default) or paper"
    )
    group.add_argument(
        "--pue",
        type=float,
        metavar="P",
        help="power usage effectiveness: what the data centre draws for each kWh of its machines "
        "(the table's own)",
    )
    group.add_argument(
        "--carbon-intensity",
        metavar="G",
        help="gCO2eq/kWh, a country such as DK, or world (the table's own emissions)",
    )


def setting(args: argparse.Namespace) -> dict[str, Any]:
    """What was chosen, as keyword arguments of `load`."""
    return {
        name: getattr(args, name)
        for name in ("device", "scaling", "model", "pue", "carbon_intensity")
    }
