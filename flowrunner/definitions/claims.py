"""Where a file says what only all files together can judge: its name, its paths, other flows.

The text of a file is dropped once it is compiled; these few places are kept, so that a finding
between files points at the very word as one within a file does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from flowrunner.dataclass import dataclass
from flowrunner.definitions.build_triggers import trigger_ids
from flowrunner.definitions.codes import Code
from flowrunner.definitions.reads import reads_of
from flowrunner.definitions.references import flow_names, references_of
from flowrunner.model.finding import Finding, Severity, pointer_of

if TYPE_CHECKING:  # else every start would load a parser
    from flowrunner.definitions.document import Document, Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a file, as a finding needs it; by default the beginning."""

    line: int = 1
    column: int = 1
    pointer: str = ""
    excerpt: str = ""

    def finding(
        self,
        code: Code,
        message: str,
        *,
        file: str,
        hint: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Finding:
        """Returns a finding at this place."""
        return Finding(
            file=file,
            line=self.line,
            column=self.column,
            code=code.code,
            severity=severity,
            pointer=self.pointer,
            message=message,
            hint=hint,
            excerpt=self.excerpt,
        )


START = Place()
"""The beginning of a file, for what stands nowhere in particular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The places of one file.

    Attributes:
        name: Of the flow's name.
        hooks: Webhook path → where it is claimed; the trigger itself when it takes the default.
        flows: Name of another flow → where it is named first.
        calls: Pointer → where a node names another flow, or an input that it brings to it.
        outputs: `flow.output` of another flow → where an expression reads it first.
        group: Of the concurrency group.
    """

    name: Place = START
    hooks: Mapping[str, Place] = field(default_factory=dict)
    flows: Mapping[str, Place] = field(default_factory=dict)
    calls: Mapping[str, Place] = field(default_factory=dict)
    outputs: Mapping[str, Place] = field(default_factory=dict)
    group: Place = START


NO_CLAIMS = Claims()
"""Of a file that could not be read so far."""


def name_claim(document: Document) -> Claims:
    """Returns the claims of a file of which only the name is known to be good."""
    return Claims(name=_place(document, ("name",)))


def claims_of(document: Document) -> Claims:
    """Returns the claims of a file without errors."""
    data = document.data
    flows: dict[str, Place] = {}
    for found in flow_names(data):
        flows.setdefault(found.name, _place(document, found.path))
    has_group = "group" in data.get("concurrency", {})
    return Claims(
        name=_place(document, ("name",)),
        hooks=_hooks(document),
        flows=flows,
        calls=_calls(document) if flows else {},
        outputs=_outputs(document) if flows else {},
        group=_place(document, ("concurrency", "group")) if has_group else START,
    )


def _hooks(document: Document) -> dict[str, Place]:
    triggers = document.data.get("triggers", [])
    if not any(raw["type"] == "webhook" for raw in triggers):
        return {}
    own = f"{document.data['name']}/"
    return {
        raw.get("path", f"{own}{name}"): _place(document, ("triggers", index, "path"))
        for index, (raw, name) in enumerate(zip(triggers, trigger_ids(triggers), strict=True))
        if raw["type"] == "webhook"
    }


def _calls(document: Document) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for call in references_of(document.data).calls:
        for path in (("flow",), *(("inputs", name) for name in call.inputs)):
            place = _place(document, (*call.path, *path))
            found[place.pointer] = place
    return found


def _outputs(document: Document) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for read in reads_of(document.data):
        if read.name not in found:
            found[read.name] = _place(document, read.path, read.offset)
    return found


def _place(document: Document, path: Path, offset: int | None = None) -> Place:
    position = document.position(path) if offset is None else document.locate(path, offset)
    return Place(
        line=position.line,
        column=position.column,
        pointer=pointer_of(path),
        excerpt=document.excerpt(position.line),
    )
