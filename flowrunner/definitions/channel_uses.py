"""Reads from a definition which channels its nodes name: those of type `notify` and `email`.

Neither type is needed for this, only their words. Names are literals, so that a missing channel is
told before anything runs. Rules of `notify` are read by `flowrunner.model.notify`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flowrunner.model.channels import EMAIL, ChannelUse
from flowrunner.model.ids import Json

_NOTIFY = "notify"


class PlacedUse(NamedTuple):
    """A channel that a node names, and where it stands in the definition."""

    use: ChannelUse
    path: tuple[str | int, ...]


def channel_uses(definition: Mapping[str, Json]) -> Iterator[PlacedUse]:
    """Yields every use in the nodes of a definition that fits the schema."""
    for part in ("nodes", "finally"):
        for number, raw in enumerate(definition.get(part, ())):
            params, path = raw.get("params", {}), (part, number, "params")
            if raw.get("type") == _NOTIFY:
                for index, name in enumerate(params["channels"]):
                    yield PlacedUse(ChannelUse(name), (*path, "channels", index))
            elif raw.get("type") == EMAIL:
                yield PlacedUse(ChannelUse(params["channel"], EMAIL), (*path, "channel"))


def channels_named(definition: Mapping[str, Json]) -> tuple[ChannelUse, ...]:
    """Returns each use once, sorted."""
    return tuple(sorted({found.use for found in channel_uses(definition)}))
