"""What a channel is to who sends: one message, whole or not at all, within its own time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from flowrunner.errors import FlowError
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


class Channel(Protocol):
    """One way to tell somebody."""

    async def send(self, message: Message) -> None:
        """Returns when the receiver has it; within a bounded time. Safe to cancel.

        Raises:
            NotSentError: It has not, or not for sure; it may be sent again, with the same id.
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
