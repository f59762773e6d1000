"""The effective definition: what a file says together with what it leaves to defaults.

Defaults stand in it where they have their effect, on the nodes, so that it does not matter where
one came from: equal effects are equal definitions, with one digest. It is complete by itself, and
is what the stores keep: a restart on it needs no other file.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.definitions.build import NODE_LISTS, facts_of, has_script
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.document import Document, Path
from flowrunner.definitions.folder_defaults import Layers, merged_defaults
from flowrunner.model.ids import Json


def effective_definition(
    document: Document, layers: Layers, catalog: NodeCatalog
) -> dict[str, Json]:
    """Returns the effective definition of a file that has no errors, below those defaults."""
    data: dict[str, Json] = dict(document.data)
    defaults = merged_defaults(layers.defaults, data.pop("defaults", {}))
    given = {
        "env": {**layers.env, **env_text(document, ("env",), data.pop("env", {}))},
        "labels": {**layers.labels, **data.pop("labels", {})},
        "retention": {**layers.retention, **data.pop("retention", {})},
    }
    data.update((key, value) for key, value in given.items() if value)
    if layers.notify is not None:
        data.setdefault("notify", layers.notify)
    for part in NODE_LISTS:
        if part in data:
            data[part] = [
                _node(document, (part, index), node, defaults, catalog)
                for index, node in enumerate(data[part])
            ]
    return data


def env_text(
    document: Document, path: tuple[str | int, ...], env: Mapping[str, Json]
) -> dict[str, Json]:
    """Returns an environment whose scalars are texts, as they were written."""
    return {
        name: value
        if value is None or isinstance(value, str)
        else document.source_text((*path, name))
        for name, value in env.items()
    }


def _node(
    document: Document,
    path: Path,
    node: Mapping[str, Json],
    defaults: Mapping[str, Json],
    catalog: NodeCatalog,
) -> dict[str, Json]:
    given = _reaching(node, defaults, catalog)
    found = {**given, **node}
    if "retry" in found:
        found["retry"] = {**given.get("retry", {}), **found["retry"]}
    if "env" in node:
        found["env"] = env_text(document, (*path, "env"), node["env"])
    return found


def _reaching(
    node: Mapping[str, Json], defaults: Mapping[str, Json], catalog: NodeCatalog
) -> dict[str, Json]:
    """Returns the defaults that have an effect on a node of its type."""
    facts = facts_of(node, catalog) if defaults else None
    if facts is None:
        return {}
    reach = {"timeout": facts.acts_outside, "retry": facts.acts_outside}
    reach |= dict.fromkeys(("kill_after", "working_dir", "user"), facts.is_shell_like)
    reach["shell"] = has_script(node)
    return {key: value for key, value in defaults.items() if reach[key]}
