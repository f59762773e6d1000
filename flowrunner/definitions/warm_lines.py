"""One entry of what a daemon keeps of compiled files: a line of fields, the candidate in them.

In the same form a file comes from a process that compiled it ahead.

Fields stand between tabs, which JSON never holds. What a restart asks of each of ten thousand
files is a field of its own; what it seldom asks for stays text until somebody does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from typing import Any, NamedTuple

from flowrunner.definitions.cache_lines import (
    claims_from,
    finding_from,
    told,
    told_claims,
)
from flowrunner.definitions.claims import Claims
from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.folder_defaults import Layers
from flowrunner.definitions.late_flow import gist_of
from flowrunner.definitions.seen import Seen, facts_text
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Json
from flowrunner.model.json_text import encoder
from flowrunner.system.files import FileStat

_ENCODE = encoder()
_NO_FINDINGS = b"[]"
_FOREIGN = b"f"
_FIELD = b"\t"


class Version(NamedTuple):
    """A version of a flow: its spec, and the definition it was built from."""

    spec: FlowSpec
    definition: Mapping[str, Json]


class Line(NamedTuple):
    """One entry as it is kept; a field is empty where there is nothing to say.

    Attributes:
        key: Of what the file compiled from.
        facts: By which it is found unread.
        content: Its hash, as the scan knows it.
        digest: Of the flow.
        name: Of the flow.
        as_of: The month for which the findings hold, as its first day.
        foreign: Whether it is known to be no flow.
        findings: As JSON.
        claims: As JSON.
        gist: What arms the flow; see `flowrunner.definitions.late_flow`.
    """

    key: bytes
    facts: bytes
    content: bytes
    digest: bytes
    name: bytes
    as_of: bytes
    foreign: bytes
    findings: bytes
    claims: bytes
    gist: bytes

    @property
    def text(self) -> bytes:
        """All fields as one text, without a line break."""
        return _FIELD.join(self)

    @property
    def is_clean(self) -> bool:
        """Whether there are no findings."""
        return self.findings == _NO_FINDINGS

    def candidate(self, file: str, version: Version | None) -> Candidate:
        """Returns the candidate of a file, with the version of its digest.

        Raises:
            ValueError: It makes no sense; so do `TypeError`, `KeyError`, `AttributeError`.
        """
        findings = () if self.is_clean else json.loads(self.findings)
        return Candidate(
            file=file,
            name=self.name.decode() or None,
            is_foreign=self.foreign == _FOREIGN,
            spec=version and version.spec,
            definition=version and version.definition,
            findings=tuple(finding_from(file, each) for each in findings),
            as_of=date.fromisoformat(self.as_of.decode()) if self.as_of else None,
            claims=LateClaims(self.claims),
        )


_FIELDS = len(Line._fields)


class LateClaims(Claims):
    """Claims that stay text until one is asked for: most files never quarrel with another."""

    __slots__ = ("text",)

    text: bytes

    def __init__(self, text: bytes) -> None:
        object.__setattr__(self, "text", text)

    def __getattr__(self, name: str) -> Any:
        """Reads the text: a field that has no value yet was asked for."""
        if name not in _CLAIMS:
            raise AttributeError(name)
        made = claims_from(json.loads(self.text))
        for field in _CLAIMS:
            object.__setattr__(self, field, getattr(made, field))
        return getattr(made, name)

    def __eq__(self, other: object) -> bool:
        """Whether other claims, late or not, say the same."""
        if not isinstance(other, Claims):
            return NotImplemented
        return all(getattr(self, field) == getattr(other, field) for field in _CLAIMS)

    __hash__ = None  # type: ignore[assignment]  # as of all claims: they hold dictionaries


_CLAIMS = tuple(field.name for field in fields(Claims))


class ReadFile(NamedTuple):
    """A file of this life: what it compiled to, and what its text stood in."""

    key: bytes
    candidate: Candidate
    around: tuple[bytes, bytes, bytes]


class Entry(NamedTuple):
    """An entry of the next life.

    Attributes:
        gist: Of the flow, where it is known already.
    """

    file: str
    read: ReadFile
    seen: Seen | None
    gist: bytes | None = None

    @property
    def facts(self) -> bytes:
        """By which it is found unread."""
        return b"" if self.seen is None else facts_key(self.seen.stat, self.read.around)

    @property
    def text(self) -> bytes:
        """The line in which it is kept."""
        key, candidate, _ = self.read
        digest, gist = "", self.gist
        if candidate.spec is not None and candidate.definition is not None:
            digest = candidate.spec.digest
            gist = gist_of(candidate.spec, candidate.definition) if gist is None else gist
        line = line_for(key, candidate, digest, gist or b"")
        content = b"" if self.seen is None else self.seen.content.encode()
        return line._replace(facts=self.facts, content=content).text


def line_for(key: bytes, candidate: Candidate, digest: str, gist: bytes) -> Line:
    """Returns the line of a candidate, with the digest and the gist of its flow if it has one."""
    as_of = candidate.as_of
    return Line(
        key=key,
        facts=b"",
        content=b"",
        digest=digest.encode(),
        name=(candidate.name or "").encode(),
        as_of=b"" if as_of is None else as_of.isoformat().encode(),
        foreign=_FOREIGN if candidate.is_foreign else b"",
        findings=_findings_text(candidate) if candidate.findings else _NO_FINDINGS,
        claims=_claims_text(candidate.claims),
        gist=gist,
    )


def line_of(text: bytes) -> Line | None:
    """Returns the line of a text; None if it is not one."""
    parts = text.split(_FIELD)
    return Line._make(parts) if len(parts) == _FIELDS else None


def around_of(file: str, account: str, layers: Layers) -> tuple[bytes, bytes, bytes]:
    """Returns what decides besides the text of a file what it compiles to."""
    name = file.encode(errors="surrogateescape")
    return layers.fingerprint.encode(), name, account.encode()


def facts_key(stat: FileStat, around: tuple[bytes, bytes, bytes]) -> bytes:
    """Returns the key of a file by its facts alone; empty for a name that fits into no line."""
    key = b" ".join((facts_text(stat).encode(), *around))
    return b"" if _FIELD in key or b"\n" in key else key


def _findings_text(candidate: Candidate) -> bytes:
    return _json([told(finding, candidate.file) for finding in candidate.findings])


def _claims_text(claims: Claims) -> bytes:
    """Returns the text of claims; that of late ones without reading it."""
    return claims.text if isinstance(claims, LateClaims) else _json(told_claims(claims))


def _json(value: Json) -> bytes:
    return _ENCODE(value).encode()
