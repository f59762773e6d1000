"""Webhooks: what their `auth` needs, and what has no effect with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrunner.definitions import codes
from flowrunner.definitions.build_triggers import waits
from flowrunner.definitions.checks.body_schemas import check_body_schema
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.model.body import Content
from flowrunner.model.finding import Finding
from flowrunner.model.hook_auth import PROVIDERS, AuthType
from flowrunner.model.ids import Json

_HMAC_ONLY = ("header", "algorithm", "encoding", "prefix")


def check_webhook(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    """Yields findings about one webhook, of which the schema is content."""
    kind, at = AuthType(raw["auth"]["type"]), (*path, "auth")
    yield from _secrets(subject, at, raw["auth"], kind)
    yield from _keys_of_type(subject, at, raw["auth"], kind)
    if "wait_timeout" in raw and not waits(raw):
        message = "'wait_timeout' has no effect without 'respond: wait'"
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS, message, path=(*path, "wait_timeout"), key=True
        )
    if "schema" in raw and raw.get("content") == Content.RAW:
        message = "'schema' has no effect on content that is 'raw'"
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS, message, path=(*path, "schema"), key=True
        )
    elif "schema" in raw:
        yield from check_body_schema(subject, (*path, "schema"), raw["schema"])
    if "dedupe" in raw and "key" not in raw["dedupe"] and not PROVIDERS[kind].delivery_id:
        message = f"'dedupe' needs a 'key': {kind} deliveries carry no id of their own"
        yield from _missing(subject, (*path, "dedupe"), message)


def _secrets(
    subject: Subject, at: Path, auth: Mapping[str, Json], kind: AuthType
) -> Iterator[Finding]:
    if kind is AuthType.NONE:
        for key in ("secret", "secrets"):
            if key in auth:
                yield _without_effect(subject, (*at, key), kind)
    elif "secret" in auth and "secrets" in auth:
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS,
            "either 'secret' or 'secrets'",
            path=(*at, "secrets"),
            key=True,
        )
    elif "secret" not in auth and "secrets" not in auth:
        message = "the key 'secret' is missing: the name of the secret"
        yield from _missing(subject, at, message)


def _keys_of_type(
    subject: Subject, at: Path, auth: Mapping[str, Json], kind: AuthType
) -> Iterator[Finding]:
    if kind is AuthType.HMAC:
        if "header" not in auth:
            message = "the key 'header' is missing: the header with the signature"
            yield from _missing(subject, at, message)
    else:
        for key in _HMAC_ONLY:
            if key in auth:
                yield _without_effect(subject, (*at, key), kind)
    if "tolerance" in auth and not PROVIDERS[kind].signs_time:
        yield _without_effect(subject, (*at, "tolerance"), kind)


def _without_effect(subject: Subject, path: Path, kind: AuthType) -> Finding:
    message = f"{path[-1]!r} has no effect with type {str(kind)!r}"
    return subject.document.finding(codes.EXCLUSIVE_KEYS, message, path=path, key=True)


def _missing(subject: Subject, path: Path, message: str) -> Iterator[Finding]:
    """Yields the finding about a missing key, unless it may be one that the schema complains of."""
    if not subject.is_doubtful(*path):
        yield subject.document.finding(codes.MISSING_KEY, message, path=path)
