"""Flows as a daemon keeps them: what arms them at hand, the rest built when they first run.

Ten thousand flows wait most of the time, and their nodes are most of what they take. What is at
hand can be kept from one life to the next as the gist of a flow: a definition without all that is
built late, and with what its nodes say of the flow.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from flowrunner.definitions.build import (
    NODE_FIELDS,
    NODE_LISTS,
    PARTS,
    build_flow,
    build_part,
    said_by_nodes,
)
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.model.channels import ChannelUse
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.late import Late, LateMapping
from flowrunner.model.packed import PackedDefinition, packed_definition, plain
from flowrunner.model.references import NO_REFERENCES

MOST_NODES = 100
"""Nodes beyond which a flow stays built: to build it on its first start would hold the loop."""

_LATE, _SAID = "late", "said"
"""The keys of a gist that are none of a definition: which parts there are, what nodes say."""
_SAID_FIELDS = ("users", "node_types", "channels")
_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_EMPTY: Mapping[str, Any] = {field: () if field in NODE_FIELDS else {} for field in PARTS}
"""Shared by all flows that have no such part: nobody writes into a spec."""


def packed_flow(
    spec: FlowSpec, definition: Mapping[str, Json], catalog: NodeCatalog
) -> tuple[FlowSpec, Mapping[str, Json]]:
    """Returns a flow that was built whole, without its parts unless its nodes are many."""
    packed, definition = packed_definition(definition), plain(definition)
    if len(spec.all_nodes) > MOST_NODES:
        return spec, packed
    return replace(spec, **_late_parts(packed, _parts_in(definition), catalog)), packed


def restored_flow(
    key: FlowKey, digest: Digest, definition: Mapping[str, Json], catalog: NodeCatalog
) -> tuple[FlowSpec, Mapping[str, Json]]:
    """Returns a flow that is known to build, as `packed_flow` does, without building its parts.

    Raises:
        ValidationError: It does not build, as far as that was tried.
    """
    packed, definition = packed_definition(definition), plain(definition)
    if _is_large(definition):
        return build_flow(key, digest, definition, catalog), packed
    late = _late_parts(packed, _parts_in(definition), catalog)
    parts = {**late, **said_by_nodes(definition)}
    return build_flow(key, digest, definition, catalog, parts), packed


def flow_of_gist(
    key: FlowKey, digest: Digest, definition: PackedDefinition, gist: bytes, catalog: NodeCatalog
) -> FlowSpec:
    """Returns the spec that `restored_flow` would, without a look into the definition.

    Raises what data of no known form raises.
    """
    raw = json.loads(gist.decode())
    users, node_types, channels = raw[_SAID]  # as `_SAID_FIELDS`
    parts = {
        **_late_parts(definition, raw[_LATE], catalog),
        "users": tuple(users),
        "node_types": tuple(node_types),
        "channels": tuple(ChannelUse(*use) for use in channels),
        "references": NO_REFERENCES,
    }
    return build_flow(key, digest, raw, catalog, parts)


def gist_of(spec: FlowSpec, definition: Mapping[str, Json]) -> bytes:
    """Returns the gist of a flow; empty for the few that are restored from their definition.

    Those name other flows, or have many nodes.
    """
    said = {field: getattr(spec, field) for field in (*_SAID_FIELDS, "references")}
    return _gist(plain(definition), said)


def gist_of_definition(definition: Mapping[str, Json]) -> bytes:
    """Returns the gist of a flow that is not built, as `gist_of`."""
    return _gist(definition, said_by_nodes(definition))


def _gist(raw: Mapping[str, Json], said_by: Mapping[str, Any]) -> bytes:
    if said_by["references"] != NO_REFERENCES or _is_large(raw):
        return b""
    said = [said_by[field] for field in _SAID_FIELDS]
    kept = {key: value for key, value in raw.items() if key not in PARTS.values()}
    return _ENCODE({**kept, _LATE: _parts_in(raw), _SAID: said}).encode()


def _is_large(definition: Mapping[str, Json]) -> bool:
    return sum(len(definition.get(part, ())) for part in NODE_LISTS) > MOST_NODES


def _parts_in(definition: Mapping[str, Json]) -> list[str]:
    return [field for field, key in PARTS.items() if definition.get(key)]


def _late_parts(
    packed: PackedDefinition, present: Container[str], catalog: NodeCatalog
) -> dict[str, Any]:
    """Returns the parts of a flow, each built at the first look at it."""
    make = partial(_built, packed, catalog)
    return {
        field: empty
        if field not in present
        else (Late(make, field) if field in NODE_FIELDS else LateMapping(make, field))
        for field, empty in _EMPTY.items()
    }


def _built(packed: PackedDefinition, catalog: NodeCatalog, field: str) -> Any:
    return build_part(field, packed.unpacked(), catalog)
