"""Files that are no flows at all: one finding says so, instead of thirty about their keys."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from itertools import islice

from flowrunner.definitions import codes
from flowrunner.definitions.document import Document
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json

_HINT = (
    "a flow has the keys version, name and nodes; files beginning with _ are not read, nor what "
    ".flowrunnerignore lists"
)
_FOREIGN_KEYS = frozenset({"apiVersion", "services", "jobs"})
_OWN_KEYS = frozenset({"version", "name", "nodes", "triggers", "inputs", "finally"})
"""Keys that a flow which is only half there may begin with."""

_LOOKED_AT = 20
"""Values of a mapping or items of a list that are looked into."""


def not_a_flow(document: Document) -> Finding | None:
    """Returns the one finding of a file that is no flow at all, or None.

    A file with either of `version` and `nodes` is meant as a flow and gets all its findings; but
    compose files have a `version` too, and a manifest of Kubernetes may have `nodes`.
    """
    data = document.data
    kind = _kind_of(data)
    if isinstance(data, dict) and not {"apiVersion", "kind"} <= data.keys():
        if "nodes" in data or data.get("version") == 1 or ("version" in data and not kind):
            return None
        typo = next((k for k in data if difflib.get_close_matches(k, ["version", "nodes"])), None)
        if typo and not kind:
            hint = f"did you misspell {typo!r}? {_HINT}"
            return document.finding(codes.NOT_A_FLOW, "not a flow", hint=hint)
    message = f"not a flow, but {kind}" if kind else "not a flow"
    return document.finding(codes.NOT_A_FLOW, message, hint=_HINT)


def is_foreign(data: Json) -> bool:
    """Whether data that is no flow is no part of one either; an empty file may be cut short."""
    if isinstance(data, dict):
        is_known = bool(_FOREIGN_KEYS & data.keys())
        return is_known or (bool(data) and not _OWN_KEYS & data.keys())
    return isinstance(data, list)


def _kind_of(data: Json) -> str:
    """Returns what else a file is, as far as its first keys show; empty when they do not."""
    if isinstance(data, list):
        items = [item for item in data[:_LOOKED_AT] if isinstance(item, dict)]
        return "an Ansible playbook" if any("hosts" in item for item in items) else ""
    if not isinstance(data, dict):
        return ""
    return next((kind for kind, fits in _KINDS.items() if fits(data)), "")


def _is_gitlab(data: Mapping[str, Json]) -> bool:
    if _OWN_KEYS & data.keys():
        return False
    jobs = [value for value in islice(data.values(), _LOOKED_AT) if isinstance(value, dict)]
    has_script = any("script" in job for job in jobs)
    return has_script or (isinstance(data.get("stages"), list) and bool(jobs))


_KINDS: Mapping[str, Callable[[Mapping[str, Json]], bool]] = {
    "a Kubernetes manifest": lambda data: "apiVersion" in data,
    "a compose file": lambda data: "services" in data,
    "a GitHub workflow": lambda data: "jobs" in data and "on" in data,
    "a file of another runner": lambda data: "jobs" in data or isinstance(data.get("steps"), list),
    "a GitLab CI file": _is_gitlab,
    "an OpenAPI document": lambda data: "openapi" in data or "swagger" in data,
}
