"""Findings as workflow commands, which GitHub Actions shows beside the changed lines.

Source: GitHub documentation, "Workflow commands for GitHub Actions", error and warning messages;
the escapes are those of `actions/toolkit`, `packages/core/src/command.ts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import normpath

from flowrunner.cli.text import safe
from flowrunner.model.finding import Finding

_DATA: Mapping[str, str] = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY: Mapping[str, str] = {**_DATA, ":": "%3A", ",": "%2C"}


def render_github(findings: Iterable[Finding]) -> str:
    """Returns a line for each finding; it begins with `::error` or `::warning`."""
    return "\n".join(map(_command, findings))


def _command(finding: Finding) -> str:
    properties = {"file": normpath(finding.file)}
    if finding.line:
        properties.update(line=str(finding.line), col=str(finding.column))
    properties["title"] = finding.code
    listed = ",".join(f"{key}={_escaped(text, _PROPERTY)}" for key, text in properties.items())
    hint = f"\nhint: {finding.hint}" if finding.hint else ""
    return f"::{finding.severity} {listed}::{_escaped(finding.message + hint, _DATA)}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    """Returns text for a command; what is left of control characters is shown, not obeyed."""
    return safe("".join(escapes.get(char, char) for char in text))
