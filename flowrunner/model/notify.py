"""Who is told what about a flow: the rules of `notify`, and one notice. Source: FLOW_FORMAT 2.

A rule says which events are told, over which channels, and from how many failures on. A notice is
one event for one channel: it says what happened and where, never what went in or came out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.quantities import parse_duration, render_duration

CHANNEL_NAME = "^[a-z0-9][a-z0-9_-]{0,62}$"
"""What a channel may be called."""

MOST_IN_A_ROW, MOST_IN_WINDOW = 1_000, 100
"""The most failures that `after_consecutive` and `window` may wait for."""

LONGEST_WINDOW_S = 30 * 86_400.0
"""The longest `window.within`."""


class NotifyOn(StrEnum):
    """What happens to a flow that somebody may be told of.

    `started` and `message` are no words of a rule: channels of type `ping` are told of starts, and
    a node of type `notify` says something of its own.
    """

    FAILED = "failed"
    RECOVERED = "recovered"
    LATE = "late"
    SUCCEEDED = "succeeded"
    READY = "ready"
    NOT_READY = "not_ready"
    STARTED = "started"
    MESSAGE = "message"


RULE_WORDS = tuple(
    str(word) for word in NotifyOn if word not in (NotifyOn.STARTED, NotifyOn.MESSAGE)
)
"""What a rule may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """So many failures within a time, in seconds."""

    failures: int
    within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyRule:
    """One rule.

    Attributes:
        channels: Names, each once.
        after_consecutive: From which failure in a row on failures are told.
        window: How many failures there must have been lately, in a row or not; None: any.
    """

    on: tuple[NotifyOn, ...]
    channels: tuple[str, ...]
    after_consecutive: int = 1
    window: Window | None = None

    @property
    def threshold(self) -> str:
        """What failures must come to before they are told; rules with the same text agree."""
        window = self.window
        return f"{self.after_consecutive}" + (
            f"/{window.failures}/{window.within_s:g}" if window else ""
        )


NotifyRules = tuple[NotifyRule, ...]


def thresholds_without_effect(rule: Mapping[str, Json]) -> tuple[str, ...]:
    """Returns the keys of a rule that say from which failure on, where it tells of no failures."""
    is_about_failures = not {NotifyOn.FAILED, NotifyOn.RECOVERED}.isdisjoint(rule["on"])
    keys = () if is_about_failures else ("after_consecutive", "window")
    return tuple(key for key in keys if key in rule)


def build_rules(written: Json) -> NotifyRules:
    """Returns the rules of a list that was checked."""
    return tuple(_rule(each) for each in written)


def written_rules(rules: NotifyRules) -> list[Json]:
    """Returns rules as one would write them."""
    return [_written(each) for each in rules]


def _rule(raw: Mapping[str, Json]) -> NotifyRule:
    window = raw.get("window")
    return NotifyRule(
        on=tuple(NotifyOn(word) for word in raw["on"]),
        channels=tuple(raw["channels"]),
        after_consecutive=int(raw.get("after_consecutive", 1)),
        window=None
        if window is None
        else Window(failures=int(window["failures"]), within_s=parse_duration(window["within"])),
    )


def _written(rule: NotifyRule) -> Json:
    written: dict[str, Json] = {"on": list(map(str, rule.on)), "channels": list(rule.channels)}
    if rule.after_consecutive != 1:
        written["after_consecutive"] = rule.after_consecutive
    if rule.window is not None:
        within = render_duration(rule.window.within_s)
        written["window"] = {"failures": rule.window.failures, "within": within}
    return written


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event for one channel.

    Attributes:
        id: Names event and channel, the same in every life of the daemon.
        channel: `NAME`, or `ACCOUNT/NAME` for a channel of an account.
        execution: Its id; empty where the event is not about one.
        state: Of the execution, or of the condition `Ready`.
        reason: A constant: why it is in that state; may be empty.
        message: A sentence, masked; may be empty. Of a node what it says, in any number of lines.
        node: Which node says it; empty where none does.
        subject: What a node says in one line.
        count: How many events it stands for.
    """

    id: str
    channel: str
    on: NotifyOn
    flow: FlowKey
    at: datetime
    execution: str = ""
    state: str = ""
    reason: str = ""
    message: str = ""
    revision: str = ""
    node: str = ""
    subject: str = ""
    count: int = 1

    def over(self, channel: str) -> Notice:
        """Returns the notice of the same event for another channel."""
        return replace(self, id=f"{self.id}:{channel}", channel=channel)

    def to_json(self) -> dict[str, Json]:
        """Returns what is kept of it besides its id, its channel and its flow."""
        return {
            "on": str(self.on),
            "at": self.at.astimezone(UTC).isoformat(),
            "execution": self.execution,
            "state": self.state,
            "reason": self.reason,
            "message": self.message,
            "revision": self.revision,
            "node": self.node,
            "subject": self.subject,
            "count": self.count,
        }


def notice_of(notice_id: str, channel: str, flow: FlowKey, kept: Mapping[str, Json]) -> Notice:
    """Returns the notice of which `to_json` was kept."""
    return Notice(
        id=notice_id,
        channel=channel,
        flow=flow,
        on=NotifyOn(kept["on"]),
        at=datetime.fromisoformat(kept["at"]),
        execution=kept["execution"],
        state=kept["state"],
        reason=kept["reason"],
        message=kept["message"],
        revision=kept["revision"],
        node=kept.get("node", ""),  # what an earlier version kept has none
        subject=kept.get("subject", ""),
        count=kept["count"],
    )
