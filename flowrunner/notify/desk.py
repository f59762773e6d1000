"""Where nodes of type `notify` and `email` are served: meets `flowrunner.nodes.telling`.

What a node says is told over the channels that its account has at that moment. Each message has an
id made of the attempt and the channel, so that a receiver can tell one that comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from flowrunner.errors import ExecutionError, StorageError
from flowrunner.model.ids import AttemptKey, FlowKey
from flowrunner.model.notify import Notice, NotifyOn
from flowrunner.nodes.telling import NOT_SENT, Letter, Saying, missing
from flowrunner.notify.channel import NotSentError, ReceiversRefusedError
from flowrunner.notify.outbox import FullError, Outbox
from flowrunner.registry.channels import ChannelDirectory
from flowrunner.system.clock import Clock


class NodeDesk:
    """Serves nodes.

    Args:
        directory: The channels in force.
        outbox: Keeps and sends.
        clock: Says when something is said.
    """

    def __init__(self, directory: ChannelDirectory, outbox: Outbox, clock: Clock) -> None:
        self._directory = directory
        self._outbox = outbox
        self._clock = clock

    async def tell(self, saying: Saying) -> str:
        """Returns when the outbox has it durably or, of one that is waited for, when it is sent."""
        labels = [self._label(saying.flow, name) for name in saying.channels]
        notice = Notice(
            id=f"{attempt_id(saying.key)}:{NotifyOn.MESSAGE}",
            channel="",
            on=NotifyOn.MESSAGE,
            flow=saying.flow,
            at=self._clock.now(),
            execution=saying.key.execution,
            node=saying.key.node,
            subject=saying.subject,
            message=saying.message,
        )
        notices = [notice.over(label) for label in labels]
        if saying.is_waited:
            await self._send(notices)
            return f"told {', '.join(saying.channels)}"
        try:
            await self._outbox.tell(notices)
        except FullError as error:
            raise ExecutionError(error.message, code="outbox_full") from error
        except StorageError as error:
            text = f"the message could not be kept: {error.message}"
            raise ExecutionError(text, code="not_recorded") from error
        return f"in the outbox for {', '.join(saying.channels)}"

    async def mail(self, letter: Letter) -> str:
        """Returns when the server has taken it for all receivers."""
        label = self._label(letter.flow, letter.channel)
        try:
            count = await self._outbox.mail(label, attempt_id(letter.key), letter)
        except NotSentError as error:
            raise ExecutionError(
                f"channel {letter.channel}: {error.message}",
                code=NOT_SENT,
                final=error.is_refused,
                quotes_data=isinstance(error, ReceiversRefusedError),
            ) from error
        return f"mailed by {letter.channel} to {count} receiver{'s' if count > 1 else ''}"

    async def _send(self, notices: Iterable[Notice]) -> None:
        """Sends all at once.

        Raises:
            ExecutionError: ``not_sent``: some have not arrived; the others have.
        """
        notices = tuple(notices)
        sending = (self._outbox.send(notice) for notice in notices)
        ended = await asyncio.gather(*sending, return_exceptions=True)
        failed = {
            notice.channel.rpartition("/")[2]: error
            for notice, error in zip(notices, ended, strict=True)
            if error is not None
        }
        for error in failed.values():
            if not isinstance(error, NotSentError):
                raise error
        if failed:
            text = "; ".join(f"channel {name}: {error}" for name, error in failed.items())
            is_final = all(isinstance(it, NotSentError) and it.is_refused for it in failed.values())
            raise ExecutionError(text, code=NOT_SENT, final=is_final)

    def _label(self, flow: FlowKey, name: str) -> str:
        label = self._directory.channels.label(flow.account, name)
        if label is None:
            raise missing(name)
        return label


def attempt_id(key: AttemptKey) -> str:
    """Returns what names an attempt in every life of the daemon.

    Without a dot, which ends an id where it is signed as Standard Webhooks.
    """
    return f"{key.execution}:{key.node}:{key.item_index}:{key.number}"
