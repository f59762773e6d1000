"""Text from outside made fit for a terminal: nothing that was logged or named can steer it."""

from __future__ import annotations

import re

_HARMLESS = re.compile(r"(\t|\x1b\[[0-9;:]{0,32}m)")
"""What a log line may do on a terminal: tabulate and change colours (ECMA-48, SGR)."""


def safe(text: str) -> str:
    """Returns text on one line, with an escape for each character that cannot be seen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def safe_line(text: str) -> str:
    """Returns a log line for a terminal: as `safe`, but with its tabs and colours."""
    if text.isprintable():
        return text
    parts = _HARMLESS.split(text)
    shown = [part if index % 2 else safe(part) for index, part in enumerate(parts)]
    return "".join(shown) + ("\x1b[0m" if "\x1b" in text else "")
