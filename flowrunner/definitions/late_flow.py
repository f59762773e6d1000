"""Flows as a daemon keeps them: what arms them at hand, the rest built when they first run.

Ten thousand flows wait most of the time, and their nodes are most of what they take. What is at
hand can be kept from one life to the next as the gist of a flow: what arms it out of its
definition, with what its nodes say of it, and behind that what lists show of it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import fields, replace
from functools import lru_cache, partial
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any

from flowrunner.definitions.build import (
    ARMING,
    NODE_FIELDS,
    NODE_LISTS,
    PARTS,
    arming_fields,
    build_flow,
    build_part,
    said_by_nodes,
)
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.model.channels import ChannelUse
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.json_text import encoder
from flowrunner.model.late import Late, LateMapping
from flowrunner.model.packed import PackedDefinition, packed_definition, plain
from flowrunner.model.references import NO_REFERENCES

MOST_NODES = 100
"""Nodes beyond which a flow stays built: to build it on its first start would hold the loop."""

_SAID = "said"
"""The key of a gist that is none of a definition: what nodes say."""
_SHOWN = ("description", "labels")
"""What lists show of a flow: fields, and keys of a definition."""
_PART = "\x1f"
"""Between the two halves of a gist: JSON holds no such character."""
_HOOK = '"type":"webhook"'
"""Is in the gist of a flow with a webhook, whose path may be that of its name."""
_MOST_SHARED = 4_096
_ENCODE = encoder()
_SAID_FIELDS = ("users", "node_types", "channels")
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


class LateFlow(FlowSpec):
    """A flow of which no more than its gist was looked at; the rest is built when it is asked for.

    It is one of the same generation of the code, so that its definition is known to build.
    """

    __slots__ = ("_catalog", "_definition", "_shown")

    _catalog: NodeCatalog
    _definition: PackedDefinition
    _shown: str

    def __getattr__(self, name: str) -> Any:
        """Makes a field that has no value yet, and those that are made with it."""
        if name in _SHOWN:
            shown = json.loads(self._shown)
            made = {"description": shown.get("description", ""), "labels": shown.get("labels", {})}
        elif name in _FIELDS:
            whole, _ = restored_flow(self.key, self.digest, self._definition, self._catalog)
            made = {field: getattr(whole, field) for field in _BUILT_LATE}
        else:
            raise AttributeError(name)
        for field, value in made.items():
            _SET[field](self, value)
        return made[name]

    def __eq__(self, other: object) -> bool:
        """Whether another flow, late or not, says the same."""
        if not isinstance(other, FlowSpec):
            return NotImplemented
        return _VALUES(self) == _VALUES(other)

    __hash__ = None  # type: ignore[assignment]  # as of every flow: it holds dictionaries


_FIELDS = tuple(field.name for field in fields(FlowSpec))
_VALUES = attrgetter(*_FIELDS)
_NOBODY = FlowKey("", "")
_ARMED = (*_SAID_FIELDS, "references", *arming_fields(_NOBODY, {}))
_OWN = ("key", "digest", "_shown", "_definition", "_catalog")
_AT_HAND = frozenset((*_ARMED, *_OWN))
_SET = {
    name: member.__set__
    for each in (FlowSpec, LateFlow)
    for name, member in vars(each).items()
    if isinstance(member, MemberDescriptorType)
}
"""What fills a slot of a flow that refuses to be changed."""
_PUT_ARMED, _PUT_OWN = ([_SET[name] for name in names] for names in (_ARMED, _OWN))
_BUILT_LATE = tuple(name for name in _FIELDS if name not in _AT_HAND.union(_SHOWN))


def flow_of_gist(
    key: FlowKey, digest: Digest, definition: PackedDefinition, gist: bytes, catalog: NodeCatalog
) -> FlowSpec:
    """Returns the spec that `restored_flow` would, without a look into the definition.

    Raises what data of no known form raises.
    """
    arming, _, shown = gist.decode().partition(_PART)
    spec = LateFlow.__new__(LateFlow)
    made = _armed(key, arming) if _HOOK in arming else _armed_alike(arming)
    for put, value in zip(_PUT_ARMED, made, strict=True):
        put(spec, value)
    for put, value in zip(_PUT_OWN, (key, digest, shown, definition, catalog), strict=True):
        put(spec, value)
    return spec


def _armed(key: FlowKey, arming: str) -> tuple[Any, ...]:
    """Returns the values of `_ARMED` of a text of the first half of a gist."""
    raw = json.loads(arming)
    users, node_types, channels = raw[_SAID]  # as `_SAID_FIELDS`
    said = tuple(users), tuple(node_types), tuple([ChannelUse(*use) for use in channels])
    return (*said, NO_REFERENCES, *arming_fields(key, raw).values())


@lru_cache(maxsize=_MOST_SHARED)
def _armed_alike(arming: str) -> tuple[Any, ...]:
    """Returns what `_armed` does where it is the same for each flow: of many one may be like it."""
    return _armed(_NOBODY, arming)


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
    arming: dict[str, Json] = {key: raw[key] for key in ARMING if key in raw}
    arming[_SAID] = [said_by[field] for field in _SAID_FIELDS]
    shown = {key: raw[key] for key in _SHOWN if key in raw}
    return (_ENCODE(arming) + _PART + _ENCODE(shown)).encode()


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
