"""What is said: one notice, several equal ones, or many in one message.

It names flow, account, state, reason, execution, revision and host, never inputs or outputs, but
for what a node of type `notify` says in so many words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Json
from flowrunner.model.notify import Notice, NotifyOn

MOST_LINES = 20
"""Notices that a summary names; the rest is a number."""

_WORDS = {
    NotifyOn.FAILED: "failed",
    NotifyOn.RECOVERED: "recovered",
    NotifyOn.LATE: "is late",
    NotifyOn.SUCCEEDED: "succeeded",
    NotifyOn.READY: "is ready again",
    NotifyOn.NOT_READY: "is not ready",
    NotifyOn.STARTED: "started",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who speaks.

    Attributes:
        public_url: Where people reach the daemon; None: no links.
    """

    host: str
    public_url: str | None = None

    def link(self, notice: Notice) -> str:
        """Returns the address of what a notice is about; empty where there is none."""
        if self.public_url is None:
            return ""
        base = f"{self.public_url.rstrip('/')}/api/v1"
        if notice.execution:
            return f"{base}/executions/{notice.execution}"
        return f"{base}/flows/{notice.flow.account}/{notice.flow.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent at once.

    Attributes:
        notices: At least one, the oldest first.
        left_out: How many more there were that nobody could keep.
    """

    sender: Sender
    notices: tuple[Notice, ...]
    left_out: int = 0

    @property
    def id(self) -> str:
        """The same for the same notices, so that a receiver can tell a message sent twice."""
        if len(self.notices) == 1:
            return self.notices[0].id
        told = "\n".join(each.id for each in self.notices)
        return f"group:{hashlib.sha256(told.encode()).hexdigest()[:32]}"

    @property
    def count(self) -> int:
        """How many events it is about."""
        return sum(each.count for each in self.notices) + self.left_out

    @property
    def is_summary(self) -> bool:
        """Whether it is about more than one kind of event of one flow."""
        kinds = {kind_of(each) for each in self.notices}
        return len(kinds) > 1 or self.left_out > 0

    @property
    def subject(self) -> str:
        """One line."""
        if self.is_summary:
            return f"{self.count} notifications from {self.sender.host}"
        return headline(self.notices[-1], self.sender) + _times(self.count)

    @property
    def text(self) -> str:
        """All of it, in lines."""
        return "\n".join(self._lines())

    def to_json(self) -> dict[str, Json]:
        """Returns it for machines: one event, or `notifications.summary` with its items."""
        newest = self.notices[-1]
        if not self.is_summary:
            data = {**notice_json(newest, self.sender), "count": self.count}
            name = str(newest.on)
        else:
            items = [notice_json(each, self.sender) for each in self.notices[:100]]
            data = {"host": self.sender.host, "count": self.count, "items": items}
            name = "summary"
        at = newest.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        prefix = "notifications" if self.is_summary else "flow"
        return {"type": f"{prefix}.{name}", "timestamp": at, "data": data}

    def _lines(self) -> Iterator[str]:
        if not self.is_summary:
            yield from _details(self.notices[-1], self.sender)
            if self.count > 1:
                yield f"times: {self.count}"
            return
        yield self.subject
        for notice in self.notices[:MOST_LINES]:
            reason = f" ({notice.reason})" if notice.reason else ""
            yield f"- {headline(notice, self.sender)}{_times(notice.count)}{reason}"
        named = sum(each.count for each in self.notices[:MOST_LINES])
        if self.count > named:
            yield f"{self.count - named} more"


def kind_of(notice: Notice) -> tuple[FlowKey, NotifyOn, str]:
    """Returns what equal notices have in common; what a node says is like nothing else."""
    return notice.flow, notice.on, notice.id if notice.on is NotifyOn.MESSAGE else ""


def headline(notice: Notice, sender: Sender) -> str:
    """Returns a notice in a few words."""
    account, name = notice.flow
    flow = name if account == DEFAULT_ACCOUNT else f"{account}/{name}"
    if notice.on is NotifyOn.MESSAGE:
        return f"{flow}: {notice.subject}"
    return f"{flow} {_WORDS[notice.on]} on {sender.host}"


def notice_json(notice: Notice, sender: Sender) -> dict[str, Json]:
    """Returns a notice for machines; what is not known is left out."""
    facts = {
        "id": notice.id,
        "on": str(notice.on),
        "account": notice.flow.account,
        "flow": notice.flow.name,
        "state": notice.state,
        "reason": notice.reason,
        "message": notice.message,
        "subject": notice.subject,
        "execution": notice.execution,
        "node": notice.node,
        "revision": notice.revision,
        "host": sender.host,
        "at": notice.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "link": sender.link(notice),
    }
    return {key: value for key, value in facts.items() if value}


def _details(notice: Notice, sender: Sender) -> Iterator[str]:
    yield headline(notice, sender)
    if notice.on is NotifyOn.MESSAGE:
        yield from ("", notice.message, "")
        notice = replace(notice, message="")
    shown = (
        "account",
        "flow",
        "state",
        "reason",
        "message",
        "execution",
        "node",
        "revision",
        "host",
    )
    facts = notice_json(notice, sender)
    for key in (*shown, "at", "link"):
        if key in facts:
            yield f"{key}: {facts[key]}"


def _times(count: int) -> str:
    return f", {count} times" if count > 1 else ""
