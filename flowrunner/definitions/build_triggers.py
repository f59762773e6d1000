"""The triggers of a flow, from its checked definition: as `flowrunner.definitions.build`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from flowrunner.definitions.body_keywords import build_body_schema
from flowrunner.definitions.build_events import build_event_trigger
from flowrunner.definitions.templates import condition_of, if_of, templated_deep
from flowrunner.model.body import Content
from flowrunner.model.flow import (
    CATCHUP_WINDOW_S,
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


def build_triggers(key: FlowKey, definition: Mapping[str, Json]) -> tuple[Trigger, ...]:
    """Returns the triggers of a definition; raises as `build_flow`."""
    raw_triggers = definition.get("triggers", [])
    ids = trigger_ids(raw_triggers)
    return tuple(_trigger(key, str(ids[index]), raw) for index, raw in enumerate(raw_triggers))


def trigger_ids(triggers: list[dict[str, Json]]) -> list[str | None]:
    """Returns the id of each trigger: its own, else its type if it is the only one of it."""
    if len(triggers) == 1:
        return [triggers[0].get("id") or triggers[0]["type"]]
    counts = Counter(raw["type"] for raw in triggers)
    return [
        raw.get("id") or (raw["type"] if counts[raw["type"]] == 1 else None) for raw in triggers
    ]


def _trigger(key: FlowKey, trigger_id: str, raw: Mapping[str, Json]) -> Trigger:
    event = build_event_trigger(trigger_id, raw)
    if event is not None:
        return event
    inputs = {name: templated_deep(value) for name, value in raw.get("inputs", {}).items()}
    if raw["type"] == "schedule":
        window = raw.get("catchup_window")
        return ScheduleTrigger(
            id=trigger_id,
            schedule=_schedule(raw),
            is_enabled=raw.get("enabled", True),
            jitter_s=parse_duration(raw.get("jitter", "0s")),
            catchup=Catchup(raw.get("catchup", Catchup.LATEST)),
            catchup_window_s=CATCHUP_WINDOW_S if window is None else parse_duration(window),
            condition=if_of(raw),
            inputs=inputs,
        )
    dedupe = raw.get("dedupe", {})
    auth = _auth(raw["auth"])
    dedupe_key = dedupe.get("key")
    if dedupe_key is None:
        dedupe_key = PROVIDERS[auth.type].delivery_id or None
    return WebhookTrigger(
        id=trigger_id,
        is_enabled=raw.get("enabled", True),
        path=raw.get("path", f"{key.name}/{trigger_id}"),
        methods=tuple(raw.get("methods", ("POST",))),
        auth=auth,
        dedupe_key=None if dedupe_key is None else condition_of(dedupe_key),
        dedupe_window_s=parse_duration(dedupe.get("window", "24h")),
        content=Content(raw.get("content", Content.JSON)),
        max_body=parse_size(raw.get("max_body", "1MiB")),
        schema=build_body_schema(raw["schema"]) if "schema" in raw else None,
        wait_timeout_s=parse_duration(raw.get("wait_timeout", "30s")) if waits(raw) else None,
        rate_limit=parse_rate(raw.get("rate_limit", "")),
        condition=if_of(raw),
        inputs=inputs,
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
