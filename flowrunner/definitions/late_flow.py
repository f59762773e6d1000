"""Flows as a daemon keeps them: what arms them at hand, their nodes built when they first run.

Ten thousand flows wait most of the time, and their nodes are most of what they take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from flowrunner.definitions.build import NODE_LISTS, build_flow, flow_nodes
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
    nodes, finals = _late_nodes(packed, definition, catalog)
    return replace(spec, nodes=nodes, finals=finals), packed


def restored_flow(
    key: FlowKey, digest: Digest, definition: Mapping[str, Json], catalog: NodeCatalog
) -> tuple[FlowSpec, Mapping[str, Json]]:
    """Returns a flow that is known to build, as `packed_flow` does, without building its nodes.

    Raises:
        ValidationError: It does not build, as far as that was tried.
    """
    packed, definition = packed_definition(definition), plain(definition)
    is_large = sum(len(definition.get(part, ())) for part in NODE_LISTS) > MOST_NODES
    nodes = None if is_large else _late_nodes(packed, definition, catalog)
    return build_flow(key, digest, definition, catalog, nodes), packed


def _late_nodes(
    packed: PackedDefinition, definition: Mapping[str, Json], catalog: NodeCatalog
) -> Iterator[Sequence[NodeSpec]]:
    """Yields the nodes of both lists, built at the first look at them."""
    for part in NODE_LISTS:
        yield Late(partial(_built, packed, part, catalog)) if definition.get(part) else ()


def _built(packed: PackedDefinition, part: str, catalog: NodeCatalog) -> tuple[NodeSpec, ...]:
    return flow_nodes(packed.unpacked()[part], catalog)
