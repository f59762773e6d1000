"""Errors as a person reads them on standard error: `flowrunner: …`, then `hint: …`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowrunner.cli.errors import CommandError, UsageError
from flowrunner.cli.text import safe
from flowrunner.errors import FlowError, NotFoundError, ValidationError

_WHAT_THERE_IS = "`flowrunner flows` and `flowrunner executions` list what there is"


def lines_of(error: FlowError) -> Iterator[str]:
    """Yields the lines about an error: one or more for each finding it holds."""
    if isinstance(error, ValidationError) and error.findings:
        for finding in error.findings:
            yield _line(_located(finding, error), finding.get("code", error.code))
            yield from _hint(finding.get("hint", ""))
        return
    yield _line(error.message, "" if isinstance(error, UsageError) else error.code)
    if isinstance(error, CommandError):
        yield from _hint(error.hint)
        yield from (f"  {safe(choice)}" for choice in error.choices)
    elif isinstance(error, NotFoundError) and error.code == NotFoundError.default_code:
        yield from _hint(_WHAT_THERE_IS)


def _line(message: str, code: str) -> str:
    return f"flowrunner: {safe(message)}" + (f" [{safe(code)}]" if code else "")


def _hint(hint: str) -> Iterator[str]:
    if hint:
        yield f"hint: {safe(hint)}"


def _located(finding: Mapping[str, Any], error: ValidationError) -> str:
    """Returns the message of a finding with what it is about."""
    message = _named(finding, error)
    origin = str(finding.get("origin", ""))
    if origin.startswith("file:"):
        return f"{origin.removeprefix('file:')}: {message}"
    return message + (f" ({origin})" if origin not in ("", "default") else "")


def _named(finding: Mapping[str, Any], error: ValidationError) -> str:
    message = str(finding.get("message", error.message))
    if len(error.findings) == 1:
        return error.message  # which tells everything about the only one
    if "file" in finding:
        return f"{finding['file']}:{finding.get('line')}:{finding.get('column')}: {message}"
    return f"input {finding['input']!r} {message}" if "input" in finding else message
