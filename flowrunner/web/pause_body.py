"""What a command says about a pause."""

from __future__ import annotations

from datetime import datetime

from flowrunner.errors import ValidationError
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import Json

_KEYS = frozenset({"reason", "until"})
_LONGEST_REASON = 500


def pause_of(content: dict[str, Json]) -> tuple[str, datetime | None]:
    """Returns reason and end; raises `ValidationError` (``request.body``)."""
    messages = [f"unknown key {key[:60]!r}" for key in content if key not in _KEYS]
    reason, until = content.get("reason", ""), content.get("until")
    if not isinstance(reason, str) or len(reason) > _LONGEST_REASON:
        messages.append(f"'reason' must be a text of at most {_LONGEST_REASON} characters")
    at = parse_moment(until) if isinstance(until, str) else None
    if until is not None and at is None:
        messages.append("'until' must be a time such as 2027-03-01T12:00:00Z")
    if messages:
        findings = [{"message": message} for message in messages]
        raise ValidationError("; ".join(messages), code="request.body", findings=findings)
    return reason if isinstance(reason, str) else "", at
