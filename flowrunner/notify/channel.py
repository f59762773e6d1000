"""What a channel is to who sends: one message, whole or not at all, within its own time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from flowrunner.errors import FlowError
from flowrunner.nodes.telling import Letter
from flowrunner.notify.message import Message


class NotSentError(FlowError):
    """A message did not arrive, or it is not known whether it did.

    Attributes:
        is_refused: Whether the receiver will never take this message.
        retry_after_s: How long the receiver wants to be left alone, in seconds; 0: it did not say.
    """

    default_code = "notify.not_sent"

    def __init__(
        self, message: str, *, is_refused: bool = False, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.is_refused = is_refused
        self.retry_after_s = retry_after_s


class ReceiversRefusedError(NotSentError):
    """A mail was not taken for receivers of its own: no fault of the channel."""


class Channel(Protocol):
    """One way to tell somebody."""

    async def send(self, message: Message) -> None:
        """Returns when the receiver has it; within a bounded time. Safe to cancel.

        Raises:
            NotSentError: It has not, or not for sure; it may be sent again, with the same id.
        """


@runtime_checkable
class Mails(Protocol):
    """A channel that also sends mail of nodes."""

    async def post(self, name: str, letter: Letter) -> int:
        """Returns how many receivers there were, when the server has taken it for all of them.

        Args:
            name: The same for the same letter.
            letter: Its receivers and texts; without receivers it is for those of the channel.

        Raises:
            NotSentError: As `Channel.send`; `ReceiversRefusedError` about some or all receivers.
        """


Secret: TypeAlias = Callable[[], str | None]
"""Gives a secret as it is now, None where there is none."""


def needed(secret: Secret, what: str) -> str:
    """Returns a secret.

    Raises:
        NotSentError: There is none; `what` says for what.
    """
    value = secret()
    if value is None:
        raise NotSentError(f"the secret for {what} is missing")
    return value
