"""Which channels fail, since when and why: a condition of the daemon, worked out of its tries.

A channel fails from the first try that did not arrive until one does. That is known in this life of
the daemon alone: what waits is tried at once after a restart, which tells again. One that lacks a
secret could send nothing, and is told before it has to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from flowrunner.dataclass import dataclass
from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.system.clock import Clock

MOST_NAMED = 20
"""Failing channels that the condition names; the rest is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A channel that fails.

    Attributes:
        tries: How many in a row did not arrive.
        why: Of the latest.
    """

    since: datetime
    tries: int
    why: str


class ChannelHealth:
    """Told of every try; must be used in the event loop.

    Args:
        labels: All channels.
        clock: Says since when.
    """

    def __init__(self, labels: Collection[str], clock: Clock) -> None:
        self._labels = frozenset(labels)
        self._clock = clock
        self._failing: dict[str, Trouble] = {}
        self._lacking: Mapping[str, tuple[str, ...]] = {}
        self._working_since = self._failing_since = clock.now()

    @property
    def failing(self) -> Mapping[str, Trouble]:
        """The channels that fail, by their labels."""
        return self._failing

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The condition `ChannelsWorking`; none where there are no channels."""
        if not self._labels:
            return ()
        if self._is_well:
            working = Condition(
                type=ConditionType.CHANNELS_WORKING,
                status=Status.TRUE,
                reason=ConditionReason.WORKING,
                last_transition_at=self._working_since,
            )
            return (working,)
        broken = Condition(
            type=ConditionType.CHANNELS_WORKING,
            status=Status.FALSE,
            reason=ConditionReason.CHANNEL_FAILING,
            message=self._told(),
            last_transition_at=self._failing_since,
        )
        return (broken,)

    @property
    def summary(self) -> str:
        """One line about all channels; empty where there are none."""
        if not self._labels:
            return ""
        return f"{len(self._labels)} channels, none fails" if self._is_well else self._told()

    def failed(self, label: str, why: str) -> None:
        """Learns of a try that did not arrive."""
        if label not in self._labels:
            return  # it has left while it was tried
        known = self._failing.get(label)
        if known is not None:
            self._failing[label] = replace(known, tries=known.tries + 1, why=why)
            return
        now = self._clock.now()
        if self._is_well:
            self._failing_since = now
        self._failing[label] = Trouble(since=now, tries=1, why=why)

    def worked(self, label: str) -> None:
        """Learns of one that did."""
        if self._failing.pop(label, None) is not None and self._is_well:
            self._working_since = self._clock.now()

    def lack(self, found: Mapping[str, tuple[str, ...]]) -> None:
        """Learns which channels lack which secrets now."""
        was_well = self._is_well
        self._lacking = {label: found[label] for label in found if label in self._labels}
        if was_well and not self._is_well:
            self._failing_since = self._clock.now()
        elif self._is_well and not was_well:
            self._working_since = self._clock.now()

    def replace(self, labels: Collection[str]) -> None:
        """Learns which channels there are now; those that have left fail no more."""
        self._labels = frozenset(labels)
        for label in self._failing.keys() - self._labels:
            self.worked(label)
        self.lack(self._lacking)

    @property
    def _is_well(self) -> bool:
        return not self._failing and not self._lacking

    def _told(self) -> str:
        texts = [
            *(f"{label}: {it.why} ({_tries(it)})" for label, it in self._failing.items()),
            *(
                f"{label}: it lacks the secret {' and '.join(names)}"
                for label, names in self._lacking.items()
                if label not in self._failing
            ),
        ]
        if len(texts) > MOST_NAMED:
            texts[MOST_NAMED:] = [f"{len(texts) - MOST_NAMED} more"]
        return "; ".join(texts)


def _tries(trouble: Trouble) -> str:
    since = trouble.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{trouble.tries} {'try' if trouble.tries == 1 else 'tries'} since {since}"
