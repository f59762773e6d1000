"""The form of what is kept of compiled files: lines of JSON, under one hash over all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any, Protocol

from flowrunner.definitions.claims import Claims, Place
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import Json


class Store(Protocol):
    """Keeps the entries of one generation as bytes; may lose them at any time."""

    def load(self) -> bytes | None:
        """Returns what was saved last, or None."""

    def save(self, data: bytes) -> None:
        """Keeps bytes, if that can be done."""


def sealed(lines: Iterable[bytes]) -> bytes:
    """Returns the bytes of lines, by which damage is seen."""
    rest = b"".join(line + b"\n" for line in lines)
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def checked_lines(data: bytes) -> Iterator[bytes]:
    """Yields the lines of `sealed`; none if they are not whole.

    One after the other: the memory of one is that of the next.
    """
    start = data.find(b"\n") + 1
    sum_ = hashlib.sha256(memoryview(data)[start:]).hexdigest().encode()
    if data[:start] != sum_ + b"\n":
        return
    rest = BytesIO(data)
    rest.seek(start)
    for line in rest:
        yield line[:-1]


def key_of(inputs: Iterable[bytes]) -> bytes:
    """Returns the key of what compiles from these inputs, in this order: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for data in inputs:
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest().encode()


def told_claims(claims: Claims) -> dict[str, Json]:
    """Returns claims as JSON; what `asdict` gives, in a tenth of its time."""
    told_maps = {
        key: {name: _told_place(place) for name, place in places.items()}
        for key, places in (
            ("hooks", claims.hooks),
            ("flows", claims.flows),
            ("calls", claims.calls),
            ("outputs", claims.outputs),
        )
    }
    return {"name": _told_place(claims.name), "group": _told_place(claims.group), **told_maps}


def _told_place(place: Place) -> dict[str, Json]:
    return {
        "line": place.line,
        "column": place.column,
        "pointer": place.pointer,
        "excerpt": place.excerpt,
    }


def claims_from(raw: Mapping[str, Any]) -> Claims:
    """Returns the claims of `told_claims`; raises `KeyError`, `TypeError` or `AttributeError`."""
    places = {
        key: {name: Place(**place) for name, place in raw[key].items()}
        for key in ("hooks", "flows", "calls", "outputs")
    }
    return Claims(name=Place(**raw["name"]), group=Place(**raw["group"]), **places)


def told(finding: Finding, own: str) -> dict[str, Json]:
    """Returns a finding; without a file when it is about the file itself, whose name may change."""
    elsewhere = "" if finding.file == own else finding.file
    return {**finding.to_json(), "file": elsewhere, "excerpt": finding.excerpt}


def finding_from(own: str, raw: dict[str, Any]) -> Finding:
    """Returns the finding of `told`; raises as `claims_from`, or `ValueError`."""
    return Finding(**{**raw, "file": raw["file"] or own, "severity": Severity(raw["severity"])})
