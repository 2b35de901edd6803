"""How the end of a command's help is laid out: examples in lines that can be copied."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["HelpText", "examples"]


class HelpText(argparse.HelpFormatter):
    """Wraps prose as argparse does, but leaves a text of several lines as it is written.

    argparse would run all lines together and break commands where the terminal ends.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return "\n".join(indent + line for line in text.splitlines())


def examples(*commands: str, title: str = "examples") -> dict[str, Any]:
    """Keyword arguments of `add_parser` that end a help with commands to copy.

    Args:
        commands: what to type, a line each; a longer one may hold line breaks of its own.
        title: what stands above them.
    """
    lines = [f"  {line}" for command in commands for line in command.splitlines()]
    return {"epilog": "\n".join([f"{title}:", *lines]), "formatter_class": HelpText}
