"""From the bytes of a file to its candidate and definition: reading, checks, defaults.

Apart from the compiler, which loads it for the first file: a start that knows all of them from the
life before needs no parser and no check.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import NamedTuple

from flowrunner.definitions.candidate import Candidate, Draft, FileText
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.checks import OF_DEFAULTS, OF_FLOWS, Check, depends_on_date
from flowrunner.definitions.checks.texts import FEW_TEXTS, Texts
from flowrunner.definitions.claims import NO_CLAIMS, claims_of, name_claim
from flowrunner.definitions.defaults_schema import defaults_schema
from flowrunner.definitions.document import Document
from flowrunner.definitions.effective import effective_definition, env_text
from flowrunner.definitions.examine import Examined, Examiner, Surroundings
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.foreign import is_foreign, not_a_flow
from flowrunner.definitions.schema import FlowSchema
from flowrunner.definitions.schema_parts import FLOW_NAME
from flowrunner.definitions.yaml_reader import YamlError, read_yaml
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json

_BELOW_BROKEN = Surroundings(doubtful=frozenset({("env",)}), inherited=None)
_FLOW_NAME = re.compile(FLOW_NAME)


class _Read(NamedTuple):
    """A flow that was read, and what is to be examined of it."""

    document: Document
    name: str | None
    layers: Layers
    examined: Examined


class Drafts:
    """Reads files and says what is wrong with them.

    Args:
        catalog: The node types.
        schema: The merged schema of a flow.
        as_of: Tells for which month findings are worked out.
        texts: How many texts with expressions are kept parsed; None: a few.
    """

    def __init__(
        self,
        catalog: NodeCatalog,
        schema: FlowSchema,
        as_of: Callable[[], date],
        texts: int | None,
    ) -> None:
        self._catalog = catalog
        self._as_of = as_of
        self._texts = Texts(FEW_TEXTS if texts is None else texts)
        self._flows = self._examiner(schema, OF_FLOWS)

    @cached_property
    def _defaults(self) -> Examiner:
        return self._examiner(FlowSchema(defaults_schema()), OF_DEFAULTS)

    def _examiner(self, schema: FlowSchema, checks: Sequence[Check]) -> Examiner:
        return Examiner(schema, checks, self._catalog, self._as_of, self._texts)

    def draft(self, text: FileText) -> Draft:
        """Returns the candidate of a file without its flow, and the definition of that.

        While the defaults above it are broken there is no definition, and their findings come
        before those of the file.
        """
        read = _read(text)
        if isinstance(read, Candidate):
            return read, None
        return self._drafted(read, self._flows.examine(*read.examined))

    def drafts(self, texts: Iterable[FileText]) -> list[Draft]:
        """Returns what `draft` does of each, step by step for all of them."""
        read = [_read(text) for text in texts]
        good = [each for each in read if isinstance(each, _Read)]
        findings = iter(self._flows.examine_each([each.examined for each in good]))
        return [
            (each, None) if isinstance(each, Candidate) else self._drafted(each, next(findings))
            for each in read
        ]

    def _drafted(self, read: _Read, own: tuple[Finding, ...]) -> Draft:
        document, name, layers = read.document, read.name, read.layers
        findings = layers.broken + own
        as_of = self._as_of() if depends_on_date(document.data) else None
        is_flow = name is not None and not any(finding.is_error for finding in findings)
        if is_flow:
            claims = claims_of(document)
        else:
            claims = NO_CLAIMS if name is None else name_claim(document)
        candidate = Candidate(
            file=document.file, name=name, findings=findings, as_of=as_of, claims=claims
        )
        definition = effective_definition(document, layers, self._catalog) if is_flow else None
        return candidate, definition

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says; never raises for anything the file holds.

        An empty file says nothing, which is no mistake.
        """
        content = hashlib.sha256(data).hexdigest()
        try:
            document = read_yaml(data, file=file)
        except YamlError as error:
            return FolderDefaults(file=file, content=content, findings=(error.finding,))
        written = {} if document.data is None else document.data
        findings = self._defaults.examine(document, written, _OF_DEFAULTS)
        found = FolderDefaults(file=file, content=content, document=document, findings=findings)
        if found.is_broken:
            return found
        env = env_text(document, ("env",), written.get("env", {}))
        return replace(found, data=written, env=env)


def _read(text: FileText) -> _Read | Candidate:
    """Reads a file; returns its candidate if it is no flow."""
    data, file, layers = text
    try:
        document = read_yaml(data, file=file)
    except YamlError as error:
        return Candidate(file=file, findings=(*layers.broken, error.finding))
    foreign = not_a_flow(document)
    if foreign is not None:
        return Candidate(file=file, is_foreign=is_foreign(document.data), findings=(foreign,))
    name = _name(document.data)
    if layers.broken:  # of its environment nothing is known
        return _Read(document, name, layers, Examined(document, document.data, _BELOW_BROKEN))
    seen = layers.document(document, name)
    around = Surroundings(complete=layers.with_env, inherited=layers.defaults)
    return _Read(document, name, layers, Examined(seen, document.data, around))


def _name(data: Mapping[str, Json]) -> str | None:
    name = data.get("name")
    return name if isinstance(name, str) and _FLOW_NAME.fullmatch(name) else None


def _without_nodes(data: Mapping[str, Json]) -> Mapping[str, Json]:
    """Returns the data of a `_defaults.yaml` as checks of definitions want it."""
    return {**data, "nodes": []}


_OF_DEFAULTS = Surroundings(complete=_without_nodes)
