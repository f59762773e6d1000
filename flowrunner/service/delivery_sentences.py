"""What became of a delivery, in words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flowrunner.model.delivery_record import DeliveryOutcome, DeliveryReason, DeliveryRecord
from flowrunner.service.slot_sentences import moment_text

WORDS: Mapping[DeliveryReason, str] = MappingProxyType(
    {
        DeliveryReason.ACCEPTED: "it started",
        DeliveryReason.SYNC: "it asked for a sync of the source",
        DeliveryReason.DUPLICATE: "it is a copy of the delivery that started",
        DeliveryReason.IF_FALSE: "the condition of the trigger was false",
        DeliveryReason.TRIAL: "the provider only tried the hook",
        DeliveryReason.CONCURRENCY: "another execution was in the way (on_conflict: skip)",
        DeliveryReason.NO_HOOK: "no flow in force had a hook of this path",
        DeliveryReason.METHOD: "the hook does not take this method",
        DeliveryReason.SECRET_MISSING: "this host had none of the secrets that the hook names",
        DeliveryReason.SIGNATURE: "bad signature: it carried no proof, or one by another secret",
        DeliveryReason.TIME: "stale time stamp: signed rightly, but further off than tolerance",
        DeliveryReason.OFF_HOST: "the hook asks for no proof, and it was not of this machine",
        DeliveryReason.SOURCE_RATE: "its sender came too often (server.rate_limit)",
        DeliveryReason.TOO_LARGE: "the body was too large",
        DeliveryReason.BUSY: "too many large bodies came at once",
        DeliveryReason.INCOMPLETE: "the body did not arrive whole: its sender was slow, or left",
        DeliveryReason.NOT_READY: "the flow was not ready",
        DeliveryReason.OTHER_HOST: "the flow runs on other hosts",
        DeliveryReason.SUSPENDED: "the file of the flow said suspend",
        DeliveryReason.PAUSED: "the flow was paused",
        DeliveryReason.OBSERVE: "the daemon only observed",
        DeliveryReason.DRAINING: "the daemon was stopping",
        DeliveryReason.DISK: "the disk had too little room",
        DeliveryReason.STORAGE: "the state could not be written or read",
        DeliveryReason.DEADLOCK: "it would have waited for itself",
        DeliveryReason.RATE: "more deliveries came than the hook takes (rate_limit)",
        DeliveryReason.QUEUE_FULL: "too many executions of the flow waited (queue_limit)",
        DeliveryReason.CONTENT_TYPE: "the content type was another one than the hook takes",
        DeliveryReason.BODY: "the body could not be read",
        DeliveryReason.SCHEMA: "the body did not fit the schema of the hook",
        DeliveryReason.INPUTS: "the inputs did not fit",
        DeliveryReason.EXPRESSION: "an expression of the trigger failed",
    }
)
"""Why, for each reason; what stood in the way comes behind it."""

_SAYS_IT = frozenset(
    {
        DeliveryReason.OBSERVE,
        DeliveryReason.DRAINING,
        DeliveryReason.SUSPENDED,
        DeliveryReason.PAUSED,
        DeliveryReason.QUEUE_FULL,
    }
)
"""Reasons that say all that the detail would say."""


def reason_text(record: DeliveryRecord, *, redacted: bool = False) -> str:
    """Returns why a delivery was answered as it was; redacted without what stood in the way."""
    text = WORDS[record.reason]
    if record.execution is not None:
        text += f" {record.execution}"
    if record.detail and not redacted and record.reason not in _SAYS_IT:
        text += f": {record.detail}"
    if record.repeats > 1:
        since = moment_text(record.first_at.replace(microsecond=0))
        text += f" ({record.repeats} such since {since})"
    return text


def last_delivery_text(record: DeliveryRecord, trigger: str) -> str:
    """Returns what became of the last delivery to a hook, as a part of a sentence."""
    at = moment_text(record.at.replace(microsecond=0))
    sender = f" from {record.source}" if record.source else ""
    named = f" ({record.delivery_id})" if record.delivery_id else ""
    outcome = record.reason.outcome
    verb = (
        "was accepted" if outcome is DeliveryOutcome.ACCEPTED else f"was answered {record.status}"
    )
    if outcome is DeliveryOutcome.REFUSED:
        verb = f"was refused with {record.status} ({record.reason})"
    return f"the last delivery to {trigger}{named}, {at}{sender}, {verb}: {reason_text(record)}"
