"""The triggers of a flow, from its checked definition: as `flowrunner.definitions.build`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from flowrunner.definitions.body_keywords import build_body_schema
from flowrunner.definitions.build_events import build_event_trigger
from flowrunner.definitions.templates import condition_of, if_template, templated_deep
from flowrunner.model.body import Content
from flowrunner.model.flow import (
    Catchup,
    ScheduleTrigger,
    Trigger,
    WebhookTrigger,
)
from flowrunner.model.hook_auth import PROVIDERS, TOLERANCE_S, AuthType, Proof, WebhookAuth
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.quantities import parse_duration, parse_size
from flowrunner.model.rates import parse_rate
from flowrunner.model.schedule import (
    DstPolicy,
    EverySchedule,
    Repeated,
    Schedule,
    Skipped,
    parse_cron,
)

_Words: TypeAlias = Mapping[str, tuple[str, Callable[[Json], Any]]]
"""Words of a definition: the field that each becomes, and what makes the one of the other."""

_OF_ALL: _Words = {
    "enabled": ("is_enabled", bool),
    "if": ("condition", if_template),
    "inputs": ("inputs", templated_deep),
}
_OF_SCHEDULE: _Words = {
    **_OF_ALL,
    "jitter": ("jitter_s", parse_duration),
    "catchup": ("catchup", Catchup),
    "catchup_window": ("catchup_window_s", parse_duration),
}
_OF_WEBHOOK: _Words = {
    **_OF_ALL,
    "methods": ("methods", tuple),
    "content": ("content", Content),
    "max_body": ("max_body", parse_size),
    "schema": ("schema", build_body_schema),
    "rate_limit": ("rate_limit", parse_rate),
}
_OF_DEDUPE: _Words = {"window": ("dedupe_window_s", parse_duration)}


def build_triggers(key: FlowKey, triggers: list[dict[str, Json]]) -> tuple[Trigger, ...]:
    """Returns the triggers of a definition; raises as `build_flow`."""
    ids = trigger_ids(triggers)
    return tuple([_trigger(key, str(ids[index]), raw) for index, raw in enumerate(triggers)])


def trigger_ids(triggers: list[dict[str, Json]]) -> list[str | None]:
    """Returns the id of each trigger: its own, else its type if it is the only one of it."""
    if len(triggers) == 1:
        return [triggers[0].get("id") or triggers[0]["type"]]
    counts = Counter(raw["type"] for raw in triggers)
    return [
        raw.get("id") or (raw["type"] if counts[raw["type"]] == 1 else None) for raw in triggers
    ]


def _trigger(key: FlowKey, trigger_id: str, raw: Mapping[str, Json]) -> Trigger:
    match raw["type"]:
        case "schedule":
            return ScheduleTrigger(
                id=trigger_id, schedule=_schedule(raw), **_given(raw, _OF_SCHEDULE)
            )
        case "webhook":
            return _webhook(key, trigger_id, raw)
        case _:
            return build_event_trigger(trigger_id, raw)


def _given(raw: Mapping[str, Json], words: _Words) -> dict[str, Any]:
    """Returns the fields of a trigger that its definition says something about; most say little."""
    given: dict[str, Any] = {}
    for word, value in raw.items():
        known = words.get(word)
        if known is not None:
            field, build = known
            given[field] = build(value)
    return given


def _webhook(key: FlowKey, trigger_id: str, raw: Mapping[str, Json]) -> WebhookTrigger:
    auth, dedupe = _auth(raw["auth"]), raw.get("dedupe", {})
    dedupe_key = dedupe.get("key")
    if dedupe_key is None:
        dedupe_key = PROVIDERS[auth.type].delivery_id or None
    given = _given(raw, _OF_WEBHOOK) | _given(dedupe, _OF_DEDUPE)
    if waits(raw):
        given["wait_timeout_s"] = parse_duration(raw.get("wait_timeout", "30s"))
    return WebhookTrigger(
        id=trigger_id,
        path=raw.get("path", f"{key.name}/{trigger_id}"),
        auth=auth,
        dedupe_key=None if dedupe_key is None else condition_of(dedupe_key),
        **given,
    )


def waits(raw: Mapping[str, Json]) -> bool:
    """Whether a webhook answers with the end of its execution."""
    return bool(raw.get("respond") == "wait")


def _schedule(raw: Mapping[str, Json]) -> Schedule:
    if "every" in raw:
        return EverySchedule(period_s=int(parse_duration(raw["every"])))
    timezone, dst = raw.get("timezone", "UTC"), raw.get("dst")
    return (
        parse_cron(raw["cron"], timezone, _dst(dst)) if dst else parse_cron(raw["cron"], timezone)
    )


def _dst(raw: Mapping[str, Json]) -> DstPolicy:
    return DstPolicy(
        skipped=Skipped(raw.get("skipped", Skipped.RUN_AFTER)),
        repeated=Repeated(raw.get("repeated", Repeated.ONCE)),
    )


def _auth(raw: Mapping[str, Json]) -> WebhookAuth:
    kind = AuthType(raw["type"])
    row = PROVIDERS[kind]
    tolerance = raw.get("tolerance")
    return WebhookAuth(
        type=kind,
        secrets=tuple(raw.get("secrets") or (raw[key] for key in ("secret",) if key in raw)),
        proof=_own_proof(raw) if kind is AuthType.HMAC else row.proof,
        whsec_proof=row.whsec_proof,
        tolerance_s=TOLERANCE_S if tolerance is None else parse_duration(tolerance),
    )


def _own_proof(raw: Mapping[str, Json]) -> Proof:
    """Returns the proof that a flow describes itself."""
    return Proof(
        header=str(raw["header"]).lower(),
        algorithm=raw.get("algorithm", "sha256"),
        encoding=raw.get("encoding", "hex"),
        prefix=raw.get("prefix", ""),
    )
