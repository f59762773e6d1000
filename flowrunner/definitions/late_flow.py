"""Flows as a daemon keeps them: what arms them at hand, their nodes built when they first run.

Ten thousand flows wait most of the time, and their nodes are most of what they take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from flowrunner.definitions.build import NODE_LISTS, build_flow, flow_nodes, said_by_nodes
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.model.flow import FlowSpec, NodeSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.late import Late
from flowrunner.model.packed import PackedDefinition, packed_definition, plain

MOST_NODES = 100
"""Nodes beyond which a flow stays built: to build it on its first start would hold the loop."""


def packed_flow(
    spec: FlowSpec, definition: Mapping[str, Json], catalog: NodeCatalog
) -> tuple[FlowSpec, Mapping[str, Json]]:
    """Returns a flow that was built whole, without its nodes unless they are many."""
    packed, definition = packed_definition(definition), plain(definition)
    if len(spec.all_nodes) > MOST_NODES:
        return spec, packed
    return _with_late_nodes(spec, packed, definition, catalog), packed


def restored_flow(
    key: FlowKey, digest: Digest, definition: Mapping[str, Json], catalog: NodeCatalog
) -> tuple[FlowSpec, Mapping[str, Json]]:
    """Returns a flow that is known to build, as `packed_flow` does, without building its nodes.

    Raises:
        ValidationError: It does not build, as far as that was tried.
    """
    packed, definition = packed_definition(definition), plain(definition)
    count = sum(len(definition.get(part, ())) for part in NODE_LISTS)
    if count > MOST_NODES:
        return build_flow(key, digest, definition, catalog), packed
    bare = {name: [] if name in NODE_LISTS else value for name, value in definition.items()}
    spec = replace(build_flow(key, digest, bare, catalog), **said_by_nodes(definition))
    return _with_late_nodes(spec, packed, definition, catalog), packed


def _with_late_nodes(
    spec: FlowSpec,
    packed: PackedDefinition,
    definition: Mapping[str, Json],
    catalog: NodeCatalog,
) -> FlowSpec:
    nodes, finals = (
        Late(partial(_built, packed, part, catalog)) if definition.get(part) else ()
        for part in NODE_LISTS
    )
    return replace(spec, nodes=nodes, finals=finals)


def _built(packed: PackedDefinition, part: str, catalog: NodeCatalog) -> tuple[NodeSpec, ...]:
    return flow_nodes(packed.unpacked()[part], catalog)
