"""The only door to the `yaml` library: what its parser in C reports, one event after the other.

Its types are known here by name alone: what their objects have is said by protocols of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yaml import MarkedYAMLError, events
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # by which its loaders parse

__all__ = [
    "AliasEvent",
    "MappingEndEvent",
    "MappingStartEvent",
    "MarkedYAMLError",
    "ScalarEvent",
    "SequenceEndEvent",
    "SequenceStartEvent",
    "StreamEndEvent",
    "events_of",
]

AliasEvent: type[Any] = events.AliasEvent
MappingEndEvent: type[Any] = events.MappingEndEvent
MappingStartEvent: type[Any] = events.MappingStartEvent
ScalarEvent: type[Any] = events.ScalarEvent
SequenceEndEvent: type[Any] = events.SequenceEndEvent
SequenceStartEvent: type[Any] = events.SequenceStartEvent
StreamEndEvent: type[Any] = events.StreamEndEvent


def events_of(data: bytes) -> Callable[[], Any]:
    """Returns what gives the next event of a text, which raises `MarkedYAMLError`."""
    get_event: Callable[[], Any] = CParser(data).get_event
    return get_event
