"""The channel `email`: one message to all its receivers over SMTP. Sources: RFC 5321, RFC 5322.

`smtplib` speaks in a thread of its own, since it blocks; when its time is over, its connection is
shut down under it, so that no slow server holds the thread.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Collection
from contextlib import closing, suppress
from dataclasses import field
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import BinaryIO

from flowrunner.dataclass import dataclass
from flowrunner.nodes.telling import Letter
from flowrunner.notify.channel import NotSentError, ReceiversRefusedError, Secret, needed
from flowrunner.notify.connecting import connected_to
from flowrunner.notify.mail_text import MailParts, make_mail
from flowrunner.notify.message import Message
from flowrunner.system.clock import Clock
from flowrunner.system.threads import InThread

_LOG = logging.getLogger(__name__)
_FOR_GOOD = 500
"""Answers from here on say that another try would be in vain. Source: RFC 5321 section 4.2.1."""

LETTERS_AT_ONCE = 2
"""Letters of nodes that one channel hands in at once."""

MOST_SAID_BYTES = 256 * 1024
"""That a server may say in one conversation; a hundred refused receivers are a tenth of it."""

_MOST_NAMED = 5
_PORTS = {"none": 25, "starttls": 587, "tls": 465}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where and how mail is handed in.

    Attributes:
        port: None: the usual one of `security`.
        security: `starttls`, `tls` or `none`.
        timeout_s: Bound of the whole conversation.
        ca_file: Certificates that are trusted in the place of the system's.
        own_name: What this host calls itself.
    """

    host: str
    port: int | None
    security: str
    user: str | None
    password: Secret
    timeout_s: float
    ca_file: Path | None
    own_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailChannel:
    """Sends mail.

    Attributes:
        in_thread: Runs conversations.
        looking_up: Looks names up.
        turns: Bounds the letters of nodes that are handed in at once: flows that mail very much
            wait for each other, and neither for nor before what the daemon tells.
    """

    server: MailServer
    sender: str
    receivers: tuple[str, ...]
    in_thread: InThread
    looking_up: InThread
    clock: Clock
    turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(LETTERS_AT_ONCE), compare=False
    )

    async def send(self, message: Message) -> None:
        """Hands one message in for all receivers; its `Message-ID` is made of its id."""
        mail = _written(
            MailParts(
                name=message.id,
                sender=self.sender,
                to=self.receivers,
                subject=f"[FlowRunner] {message.subject}",
                text=message.text,
                at=self.clock.now(),
            )
        )
        try:
            refused = await self._hand_in(mail, self.receivers)
        except ReceiversRefusedError as error:  # of the channel itself: somebody may mend it
            raise NotSentError(error.message) from error
        if refused:  # the others have it, and shall not get it again
            _LOG.warning("notify.receivers_refused count=%d", len(refused))

    async def post(self, name: str, letter: Letter) -> int:
        """Hands a mail of a node in; raises `ReceiversRefusedError` when some do not get it."""
        to = letter.to or self.receivers
        mail = _written(
            MailParts(
                name=name,
                sender=self.sender,
                to=to,
                cc=letter.cc,
                subject=letter.subject,
                text=letter.body,
                at=self.clock.now(),
            )
        )
        receivers = tuple(dict.fromkeys((*to, *letter.cc, *letter.bcc)))
        async with self.turns:  # outside of the time that the conversation may take
            refused = await self._hand_in(mail, receivers)
        if refused:
            who = ", ".join(sorted(refused)[:_MOST_NAMED])
            text = f"{len(refused)} of {len(receivers)} receivers were refused ({who})"
            raise ReceiversRefusedError(f"{text}; the others have it", is_refused=True)
        return len(receivers)

    async def _hand_in(self, mail: EmailMessage, receivers: tuple[str, ...]) -> Collection[str]:
        """Returns the receivers that the server has refused, when the others have it.

        Raises:
            NotSentError: Nobody has it, or not for sure.
        """
        password = None
        if self.server.user is not None:
            password = needed(self.server.password, "the login")
        try:
            async with asyncio.timeout(self.server.timeout_s):
                return await self._talk(mail, receivers, password)
        except TimeoutError as error:
            raise NotSentError(f"not done within {self.server.timeout_s:g} s") from error
        except smtplib.SMTPDataError as error:
            # About this mail and no other: tried for a day, one that a filter hates, and whoever
            # can write into one, would keep all others back.
            is_final = error.smtp_code >= _FOR_GOOD
            text = f"the server answered {error.smtp_code} to the mail"
            raise NotSentError(text, is_refused=is_final) from error
        except smtplib.SMTPResponseException as error:
            raise NotSentError(f"the server answered {error.smtp_code}") from error
        except smtplib.SMTPRecipientsRefused as error:
            is_final = all(code >= _FOR_GOOD for code, _ in error.recipients.values())
            text = "the server refused the receivers"
            raise ReceiversRefusedError(text, is_refused=is_final) from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotSentError(f"{type(error).__name__}: {_plain(error)}") from error

    async def _talk(
        self, mail: EmailMessage, receivers: tuple[str, ...], password: str | None
    ) -> Collection[str]:
        port = self.server.port or _PORTS[self.server.security]
        connected = await connected_to(self.server.host, port, self.looking_up)
        talk = _Talk(self.server, connected)
        try:
            work = partial(talk.hand_in, mail, self.sender, receivers, password)
            return await self.in_thread(work)
        finally:
            talk.stop()


def _plain(error: Exception) -> str:
    """Returns what this host says of it, without anything that the server has said."""
    if isinstance(error, (smtplib.SMTPNotSupportedError, smtplib.SMTPServerDisconnected)):
        return str(error)
    if isinstance(error, UnicodeEncodeError):
        return "user or password hold others than ASCII characters"
    said = error.strerror if isinstance(error, OSError) else None
    return said or "not handed in"


def _written(parts: MailParts) -> EmailMessage:
    try:
        return make_mail(parts)
    except ValueError as error:
        raise NotSentError(f"it cannot be written as a mail: {error}", is_refused=True) from error


class _Talk:
    """One conversation over a connection; its second handle ends it from outside."""

    def __init__(self, server: MailServer, connected: socket.socket) -> None:
        self._server = server
        self._connected = connected
        self._handle = connected.dup()
        self._turn = threading.Lock()
        self._is_over = self._has_begun = False

    def hand_in(
        self, mail: EmailMessage, sender: str, receivers: tuple[str, ...], password: str | None
    ) -> Collection[str]:
        """Runs in a thread; returns the receivers that were refused."""
        with self._turn:
            if self._is_over:
                return ()
            self._has_begun = True
        server, connected = self._server, self._connected
        connected.settimeout(server.timeout_s)
        context = None
        if server.security != "none":
            context = ssl.create_default_context(cafile=server.ca_file)
        if server.security == "tls" and context is not None:
            connected = context.wrap_socket(connected, server_hostname=server.host)
        with closing(connected), closing(_Client(connected, server)) as client:
            client.ehlo()
            if server.security == "starttls":
                client.starttls(context=context)
                client.ehlo()
            if server.user is not None and password is not None:
                client.login(server.user, password)
            refused = client.send_message(mail, sender, receivers)
            with suppress(smtplib.SMTPException, OSError):
                client.quit()
        return refused

    def stop(self) -> None:
        """Ends it where it stands; from the loop."""
        with suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)
        self._handle.close()
        with self._turn:
            self._is_over = True
            if not self._has_begun:  # else the thread closes it, which uses it
                self._connected.close()


class _Answers:
    """What a server says, up to a bound: `smtplib` would keep the lines of an answer without end.

    Args:
        lines: Where it is read.
    """

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines
        self._left = MOST_SAID_BYTES

    def readline(self, size: int) -> bytes:
        """Returns a line; raises `OSError` when it is too much."""
        line = self._lines.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise OSError(f"the server said more than {MOST_SAID_BYTES} bytes")
        return line

    def close(self) -> None:
        """Reads no more."""
        self._lines.close()


class _Client(smtplib.SMTP):
    """Speaks over a connection that is there already, and does not listen for ever."""

    def getreply(self) -> tuple[int, bytes]:
        """Returns code and text of an answer."""
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock.makefile("rb"))
        return super().getreply()

    def __init__(self, connected: socket.socket, server: MailServer) -> None:
        self._connected = connected
        super().__init__(server.host, 1, local_hostname=server.own_name, timeout=server.timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002
        """Stands in the place of what would connect."""
        return self._connected
