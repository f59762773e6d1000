"""What nodes of type `notify` and `email` ask for, and who carries it out, behind a Protocol.

Channels, their secrets and the outbox are the business of `flowrunner.notify`, so that flows are
checked where nothing can be sent.
"""

from __future__ import annotations

from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.errors import ExecutionError
from flowrunner.model.ids import AttemptKey, FlowKey

CHANNEL_MISSING, NOT_SENT = "channel_missing", "not_sent"
"""Codes of errors: the settings have no such channel any more; a message has not arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What an attempt of `notify` says; its texts are masked.

    Attributes:
        key: The attempt: what it says has one id for each channel, however often it is sent.
        channels: Names, as its account knows them.
        subject: One line.
        is_waited: Whether it is sent now, once, in the place of being left to the outbox.
    """

    key: AttemptKey
    flow: FlowKey
    channels: tuple[str, ...]
    subject: str
    message: str
    is_waited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail of an attempt of `email`; its texts are masked.

    Attributes:
        key: The attempt: the mail has one id, however often it is sent.
        channel: The name of one of type `email`, as its account knows it.
        to: Checked addresses; empty: those of the channel.
        subject: One line.
    """

    key: AttemptKey
    flow: FlowKey
    channel: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    body: str


class TellsPeople(Protocol):
    """Carries out what nodes ask for."""

    async def tell(self, saying: Saying) -> str:
        """Returns what became of it, in a few words: durably in the outbox, or sent.

        Raises:
            ExecutionError: ``channel_missing``; ``outbox_full`` or ``not_recorded``: the outbox
                does not take it; ``not_sent``: of one that is waited for, final when a receiver
                will never take it.
        """

    async def mail(self, letter: Letter) -> str:
        """Returns what became of it when the server of the channel has taken it for all receivers.

        Raises:
            ExecutionError: ``channel_missing``; ``not_sent``: final when some receivers were
                refused and the others have it, or all for good.
        """


class NoChannels:
    """Meets `TellsPeople` where there are no channels: checks need none."""

    async def tell(self, saying: Saying) -> str:
        """Raises `ExecutionError`: ``channel_missing``."""
        raise missing(saying.channels[0])

    async def mail(self, letter: Letter) -> str:
        """Raises `ExecutionError`: ``channel_missing``."""
        raise missing(letter.channel)


def missing(name: str) -> ExecutionError:
    """Returns the error of a channel that is not there."""
    return ExecutionError(f"there is no channel {name!r}", code=CHANNEL_MISSING)
