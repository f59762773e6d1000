"""How much the outputs of nodes take: 256 KiB each, 4 MiB all those of an execution.

Source: FLOW_FORMAT 4, outputs. They are held in memory for as long as their execution runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from flowrunner.model.ids import Json

EXECUTION_LIMIT = 4 * 1024 * 1024
"""Bytes of the outputs of all nodes of an execution."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def size_of(outputs: Mapping[str, Json]) -> int:
    """Returns the bytes of the values, texts as they are and anything else as JSON.

    Raises:
        ValueError: A value cannot be told as JSON.
        TypeError: Likewise.
        RecursionError: One is nested too deeply for that.
    """
    return sum(len(_text(value).encode(errors="surrogatepass")) for value in outputs.values())


def _text(value: Json) -> str:
    return value if isinstance(value, str) else _ENCODER.encode(value)
