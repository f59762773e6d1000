"""Findings as SARIF 2.1.0, which code scanning services and editors read.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from posixpath import normpath
from typing import Protocol
from urllib.parse import quote

from flowrunner import __version__
from flowrunner.cli.text import safe
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ABOUT = "https://flowrunner.dev/"
_ROOT = "%SRCROOT%"
"""Stands for the root of the checkout. Source: the name that SARIF's own examples use."""

_FINGERPRINT = "finding/v1"


class Rule(Protocol):
    """A code of findings; see `flowrunner.definitions.codes.Code`."""

    @property
    def code(self) -> str:
        """Stable, `FR` and three digits."""

    @property
    def title(self) -> str:
        """A few words."""

    @property
    def explanation(self) -> str:
        """What is wrong and how to put it right."""

    @property
    def is_advice(self) -> bool:
        """Whether its findings are warnings."""


def sarif_document(findings: Iterable[Finding], rules: Sequence[Rule]) -> Json:
    """Returns a log with one run; the rules are all codes, also those without a result."""
    places = {rule.code: index for index, rule in enumerate(rules)}
    driver = {
        "name": "FlowRunner",
        "version": __version__,
        "informationUri": _ABOUT,
        "rules": [_rule(rule) for rule in rules],
    }
    alike: Counter[str] = Counter()
    results = []
    for finding in findings:
        identity = _identity(finding)
        results.append(
            {
                "ruleId": finding.code,
                "ruleIndex": places[finding.code],
                "level": str(finding.severity),
                "message": {"text": _text(finding)},
                "locations": [_location(finding)],
                "partialFingerprints": {_FINGERPRINT: f"{identity}:{alike[identity]}"},
            }
        )
        alike[identity] += 1
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> Json:
    return {
        "id": rule.code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.explanation},
        "help": {"text": rule.explanation},
        "defaultConfiguration": {"level": "warning" if rule.is_advice else "error"},
    }


def _text(finding: Finding) -> str:
    hint = f"\nhint: {safe(finding.hint)}" if finding.hint else ""
    return safe(finding.message) + hint


def _location(finding: Finding) -> Json:
    physical: dict[str, Json] = {"artifactLocation": _artifact(finding.file)}
    if finding.line:
        physical["region"] = {"startLine": finding.line, "startColumn": finding.column}
    location: dict[str, Json] = {"physicalLocation": physical}
    if finding.pointer:
        location["logicalLocations"] = [{"fullyQualifiedName": safe(finding.pointer)}]
    return location


def _artifact(file: str) -> Json:
    path = quote(normpath(file).encode(errors="surrogateescape"))
    if path.startswith("/"):
        return {"uri": f"file://{path}"}
    return {"uri": path, "uriBaseId": _ROOT}


def _identity(finding: Finding) -> str:
    """Returns what stays when lines are added above: services tell old findings from new by it."""
    parts = f"{finding.code}\0{finding.pointer}\0{finding.message}"
    return hashlib.sha256(parts.encode(errors="surrogateescape")).hexdigest()
