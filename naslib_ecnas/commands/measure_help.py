"""What the help of `ecnas measure` says of its actions, with examples to copy."""

from __future__ import annotations

from typing import Any

from naslib_ecnas.commands.help_text import examples

__all__ = ["CAMPAIGN", "described"]

_REHEARSAL = (
    "ecnas measure plan --space 4v --design 8 --data synthetic \\\n"
    "    --images-per-file 4 --out rehearsal"
)

#: Action -> what to type.
_COMMANDS = {
    "plan": (
        "ecnas measure plan --space 7v --design 20 --data cifar10 DIR --out my-gpu",
        _REHEARSAL,
    ),
    "run": (
        "ecnas measure run my-gpu --device cuda:0",
        "ecnas measure run my-gpu --cluster slurm --workers 4 --partition gpu",
        "ecnas measure run rehearsal --device cpu --meter none --steps 2 \\\n"
        "    --batch-size 2 --evaluate-images 2 --limit 1",
    ),
    "status": ("ecnas measure status my-gpu",),
    "validate": ("ecnas measure validate my-gpu --requeue",),
    "export": (
        "ecnas measure export my-gpu --out my-gpu.csv",
        "ecnas measure export rehearsal --out rehearsal.csv --allow-synthetic",
    ),
}

#: What ends the help of the command itself: a campaign from its plan to its file.
CAMPAIGN = examples(
    _COMMANDS["plan"][0],
    _COMMANDS["run"][0],
    *_COMMANDS["status"],
    *_COMMANDS["validate"],
    _COMMANDS["export"][0],
)


def described(action: str, what: str) -> dict[str, Any]:
    """Keyword arguments of `add_parser` for an action: a line of help, and it as a sentence."""
    return {
        "help": what,
        "description": f"{what[0].upper()}{what[1:]}.",
        **examples(*_COMMANDS[action]),
    }
