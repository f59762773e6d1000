"""Channels over real sockets and processes: answers, time limits, TLS, bounds."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from flowrunner.model.ids import AttemptKey
from flowrunner.nodes.telling import Letter
from flowrunner.notify.channel import Channel, NotSentError, ReceiversRefusedError
from flowrunner.notify.command import CommandChannel
from flowrunner.notify.desk import attempt_id
from flowrunner.notify.mail import LETTERS_AT_ONCE, MailChannel, MailServer
from flowrunner.notify.message import Message
from flowrunner.notify.post import Poster
from flowrunner.system.descent import DescentFamilies
from flowrunner.system.process import LocalSpawner
from flowrunner.system.threads import Threads
from tests.fakes.clock import FakeClock
from tests.fakes.ids import sequential_id
from tests.fakes.records import BACKUP
from tests.unit.notify.notices import SENDER, make_notice

MESSAGE = Message(sender=SENDER, notices=(make_notice(),))
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(answer: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return talk


@asynccontextmanager
async def serving(
    talk: Talk, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Gives the port of a server that talks so; closes all its connections at the end."""
    talking: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            talking.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(talking):
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        await asyncio.sleep(0)


async def posted(talk: Talk, *, timeout_s: float = 30.0) -> None:
    """Posts to a server that talks so."""
    async with serving(talk) as port:
        url = f"http://127.0.0.1:{port}/in"
        await Poster(timeout_s=timeout_s, in_thread=asyncio.to_thread).post(url, b"{}", {"A": "b"})


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="empty"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nok", id="half-a-body"),
        pytest.param(b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 202 Fine\r\n\r\n", id="interim"),
    ],
)
def test_good_answers_are_taken(answer: bytes) -> None:
    """The status decides; a body is not waited for."""
    asyncio.run(posted(answering(answer)))


@pytest.mark.parametrize(
    ("answer", "message", "facts"),
    [
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "answered 302", (False, 0), id="redirect"
        ),
        pytest.param(
            b"HTTP/1.1 429 Slow\r\nRetry-After: 30\r\n\r\n", "answered 429", (False, 30), id="busy"
        ),
        pytest.param(b"HTTP/1.1 400 Bad\r\n\r\n", "answered 400", (True, 0), id="refused"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP", (False, 0), id="no-http"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nA: " + b"a" * 40_000,
            "head of the answer is longer than 32 KiB",
            (False, 0),
            id="endless-head",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n", "closed without", (False, 0), id="cut"),
        pytest.param(b"", "closed without", (False, 0), id="nothing"),
    ],
)
def test_other_answers_are_not_sent(answer: bytes, message: str, facts: tuple[bool, float]) -> None:
    """Redirects are not followed, heads are bounded, and some answers are final."""
    with pytest.raises(NotSentError, match=message) as caught:
        asyncio.run(posted(answering(answer)))
    assert (caught.value.is_refused, caught.value.retry_after_s) == facts


def test_server_that_drips_is_left_alone_in_time() -> None:
    """One deadline holds for the whole answer, however busy the server is with it."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(NotSentError, match=r"no answer within 0\.1 s"):
        asyncio.run(posted(drip, timeout_s=0.1))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y", "nothing", "http://[::1"]
)
def test_secret_that_is_no_address_posts_nothing(url: str) -> None:
    """An address out of a secret is held to what a request line may hold."""
    with pytest.raises(NotSentError):
        asyncio.run(Poster(timeout_s=30, in_thread=asyncio.to_thread).post(url, b"", {}))


@pytest.mark.parametrize(
    ("given", "headers", "expected"),
    [
        ("me:p%40ss@", {}, "Basic bWU6cEBzcw=="),
        ("me@", {}, "Basic bWU6"),
        ("me:p@", {"Authorization": "Bearer t"}, "Bearer t"),
    ],
)
def test_user_and_password_of_an_address_are_a_login(
    given: str, headers: dict[str, str], expected: str
) -> None:
    """They go by the header for them, which another one may take the place of, and by no other."""
    heads: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 204 Fine\r\n\r\n")

    async def main() -> int:
        async with serving(talk) as port:
            poster = Poster(timeout_s=30, in_thread=asyncio.to_thread)
            await poster.post(f"http://{given}127.0.0.1:{port}/in", b"", headers)
            return port

    port = asyncio.run(main())
    lines = heads[0].split("\r\n")
    assert f"Host: 127.0.0.1:{port}" in lines
    assert [line for line in lines if line.startswith("Authorization")] == [
        f"Authorization: {expected}"
    ]
    assert "@" not in heads[0]


def test_names_are_looked_up_by_threads_of_their_own() -> None:
    """A channel waits for none of the threads that all share, and so takes none from the others."""
    server, release = Postmaster(), threading.Event()

    async def main() -> None:
        threads = Threads(2, "own")
        async with (
            serving(answering(b"HTTP/1.1 204 Fine\r\n\r\n"), "localhost") as port,
            mailing_by(server.serve, threads) as channel,
        ):
            loop = asyncio.get_running_loop()
            loop.set_default_executor(ThreadPoolExecutor(1))
            busy = loop.run_in_executor(None, release.wait)
            try:
                poster = Poster(timeout_s=30, in_thread=threads.run)
                await poster.post(f"http://localhost:{port}/", b"", {})
                await channel.send(MESSAGE)
            finally:
                release.set()
                await busy
                threads.close()

    asyncio.run(main())
    assert len(server.mails) == 1


def run_command(argv: tuple[str, ...], timeout_s: float = 30.0) -> None:
    async def main() -> None:
        spawner = LocalSpawner(DescentFamilies())
        channel = CommandChannel(
            argv=argv, environment={"PATH": "/usr/bin:/bin"}, timeout_s=timeout_s, spawner=spawner
        )
        try:
            await channel.send(MESSAGE)
        finally:
            spawner.close()

    asyncio.run(main())


def test_command_reads_the_message(tmp_path: Path) -> None:
    """It finds JSON on its standard input, and the id in its environment."""
    script = f'cat > {tmp_path}/told; echo "$NOTIFICATION_ID" > {tmp_path}/id; env > {tmp_path}/env'
    run_command(("/bin/sh", "-c", script))
    told = json.loads((tmp_path / "told").read_text())
    assert (told["id"], told["text"]) == (MESSAGE.id, MESSAGE.text)
    assert (tmp_path / "id").read_text() == f"{MESSAGE.id}\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("/bin/sh", "-c", "exit 3"), "exit code 3"),
        (("/bin/sh", "-c", "kill -9 $$"), "SIGKILL"),
        (("/no/such/program",), "command not found"),
    ],
)
def test_command_that_fails_has_not_told(argv: tuple[str, ...], message: str) -> None:
    """Anything but exit code 0 is a failure that says how."""
    with pytest.raises(NotSentError, match=message):
        run_command(argv)


def test_command_is_killed_when_its_time_is_over() -> None:
    """What it started goes with it."""
    with pytest.raises(NotSentError, match=r"longer than 0\.2 s"):
        run_command(("/bin/sh", "-c", "sleep 1000 & sleep 1000"), timeout_s=0.2)


async def mailed(port: int, security: str, *, ca_file: Path | None, timeout_s: float) -> None:
    threads = Threads(1, "mail")
    server = MailServer(
        host="localhost",
        port=port,
        security=security,
        user="me" if security != "none" else None,
        password=lambda: "pass word",
        timeout_s=timeout_s,
        ca_file=ca_file,
        own_name="web1",
    )
    channel: Channel = MailChannel(
        server=server,
        sender="a@example.com",
        receivers=("b@example.com",),
        in_thread=threads.run,
        looking_up=threads.run,
        clock=FakeClock(),
    )
    try:
        await channel.send(MESSAGE)
    finally:
        await asyncio.to_thread(threads.close)


class MailBox:
    """An SMTP server that wants TLS and a login before it takes a mail."""

    def __init__(self, security: str, tls: ssl.SSLContext) -> None:
        self._security = security
        self._tls = tls
        self.said: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            self.said.append(line)
            answer = "250 fine"
            if line.startswith("ehlo"):
                answer = "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN"
            elif line == "STARTTLS":
                writer.write(b"220 go\r\n")
                await writer.start_tls(self._tls)
                continue
            elif line.startswith("AUTH"):
                answer = "235 welcome"
            elif line == "data":
                writer.write(b"354 go\r\n")
                self.said.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            writer.write(f"{answer}\r\n".encode())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_mail_goes_over_tls_that_is_verified(security: str, tmp_path: Path) -> None:
    """Login and mail come after the handshake; a certificate that is not trusted gets neither."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert),
        ),
        check=True,
        capture_output=True,
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    box, distrusted = MailBox(security, tls), MailBox(security, tls)

    async def send(to: MailBox, ca_file: Path | None) -> None:
        async with serving(to.serve, "localhost", tls if security == "tls" else None) as port:
            await mailed(port, security, ca_file=ca_file, timeout_s=30)

    asyncio.run(send(box, cert))
    assert [line for line in box.said if line.startswith("AUTH PLAIN")]
    assert "Subject: [FlowRunner] backup failed on web1" in "".join(box.said)
    with pytest.raises(NotSentError, match="SSLCertVerificationError"):
        asyncio.run(send(distrusted, None))
    assert [line for line in distrusted.said if line.startswith(("AUTH", "mail", "data"))] == []


def test_mail_server_that_says_nothing_is_left_in_time() -> None:
    """Its thread ends with the time, so that nothing waits for the server at a stop."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        async with serving(silent, "localhost") as port:
            await mailed(port, "none", ca_file=None, timeout_s=0.2)

    with pytest.raises(NotSentError, match=r"not done within 0\.2 s|TimeoutError"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        pytest.param([b"220-more\r\n" * 100_000], "said more than 262144 bytes", id="endless"),
        pytest.param(
            [b"220 here\r\n", b"250 here\r\n"],
            "SMTPNotSupportedError: STARTTLS extension not supported by server",
            id="no-starttls",
        ),
        pytest.param([b"554 go away: secret\r\n"], "^the server answered 554$", id="unwilling"),
        pytest.param([], "SMTPServerDisconnected: Connection unexpectedly closed", id="silent"),
    ],
)
def test_mail_server_that_is_none_is_told_by_what_is_wrong(
    answers: list[bytes], message: str
) -> None:
    """What it says is bounded, and no part of what is told."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            writer.write(answer)
            await writer.drain()
            await reader.readline()

    async def main() -> None:
        async with serving(talk, "localhost") as port:
            await mailed(port, "starttls", ca_file=None, timeout_s=30)

    with pytest.raises(NotSentError, match=message):
        asyncio.run(main())


def test_login_that_smtp_cannot_say_is_told_as_what_it_is() -> None:
    """The conversation is over before anything of it is sent, and the secret is not quoted."""
    said: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode():
            said.append(line)
            writer.write(b"250-here\r\n250 AUTH PLAIN\r\n")

    async def main() -> None:
        threads = Threads(1, "mail")
        async with mailing_by(talk, threads) as channel:
            server = replace(channel.server, user="me", password=lambda: "geheimnisvoll-ä")
            await replace(channel, server=server).send(MESSAGE)

    with pytest.raises(NotSentError, match="user or password hold others than ASCII") as caught:
        asyncio.run(main())
    assert "geheimnis" not in caught.value.message
    assert not [line for line in said if line.startswith("AUTH")]


class Postmaster:
    """An SMTP server that answers each receiver as it is told."""

    def __init__(self, *, to_mails: str = "250 fine", **answers: str) -> None:
        self._to_mails = to_mails
        self._answers = answers
        self.mails: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            answer = "250 fine"
            if line.lower().startswith("rcpt"):
                answer = self._answers.get(line.partition("<")[2].partition("@")[0], answer)
            elif line == "data":
                writer.write(b"354 go\r\n")
                self.mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                answer = self._to_mails
            writer.write(f"{answer}\r\n".encode())


@asynccontextmanager
async def mailing_by(talk: Talk, threads: Threads) -> AsyncIterator[MailChannel]:
    """Gives a channel over such a server."""
    async with serving(talk, "localhost") as port:
        yield MailChannel(
            server=MailServer(
                host="localhost",
                port=port,
                security="none",
                user=None,
                password=lambda: None,
                timeout_s=30,
                ca_file=None,
                own_name="web1",
            ),
            sender="flows@example.com",
            receivers=("oncall@example.com",),
            in_thread=threads.run,
            looking_up=threads.run,
            clock=FakeClock(),
        )


LETTER = Letter(
    key=AttemptKey(sequential_id(1), "n" * 63, 9_999, 100),
    flow=BACKUP,
    channel="mail",
    to=(),
    cc=(),
    bcc=(),
    subject="Grüße",
    body=".\n" + "ä" * 2_000,
)


async def letter_to(server: Postmaster, *to: str) -> int:
    """Mails a letter by such a server."""
    threads = Threads(1, "mail")
    letter = replace(LETTER, to=tuple(f"{name}@example.com" for name in to))
    try:
        async with mailing_by(server.serve, threads) as channel:
            return await channel.post(attempt_id(letter.key), letter)
    finally:
        await asyncio.to_thread(threads.close)


def test_flows_that_mail_very_much_wait_for_each_other() -> None:
    """A channel hands in few letters at once, and what the daemon tells does not wait for them."""
    gate, busy = asyncio.Event(), 0
    server = Postmaster()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        busy += 1
        is_last = busy > LETTERS_AT_ONCE
        if not is_last:
            await gate.wait()
        await server.serve(reader, writer)

    async def main() -> None:
        threads = Threads(8, "mail")
        async with mailing_by(talk, threads) as channel:
            letters = [
                asyncio.create_task(channel.post(str(n), LETTER)) for n in range(LETTERS_AT_ONCE)
            ]
            while busy < LETTERS_AT_ONCE:  # noqa: ASYNC110 - the server tells no event
                await asyncio.sleep(0)
            letters.append(asyncio.create_task(channel.post("more", LETTER)))
            await channel.send(MESSAGE)
            assert (busy, len(server.mails)) == (LETTERS_AT_ONCE + 1, 1)
            assert "backup failed" in server.mails[0]
            gate.set()
            await asyncio.gather(*letters)
            assert len(server.mails) == LETTERS_AT_ONCE + 2
        await asyncio.to_thread(threads.close)

    asyncio.run(main())


def test_letter_without_receivers_goes_to_those_of_the_channel() -> None:
    """Its id stands in one line that a filter can read, and the text arrives whole."""
    server = Postmaster()
    assert asyncio.run(letter_to(server)) == 1
    (text,) = server.mails
    mail = email.message_from_string(text.removesuffix(".\r\n"), policy=email.policy.default)
    assert f"X-FlowRunner-Id: {sequential_id(1)}:{'n' * 63}:9999:100\r\n" in text
    assert (mail["To"], mail["Subject"]) == ("oncall@example.com", "Grüße")
    assert isinstance(mail, EmailMessage)
    assert mail.get_content().splitlines() == [".", "ä" * 2_000]


@pytest.mark.parametrize(
    ("answer", "is_refused"), [("554 looks like spam", True), ("451 later", False)]
)
def test_mail_that_the_server_will_never_take_keeps_no_other_back(
    answer: str, *, is_refused: bool
) -> None:
    """What it says to the text of a mail is about that mail alone: for good, or for now."""
    server = Postmaster(to_mails=answer)

    async def main() -> None:
        threads = Threads(1, "mail")
        try:
            async with mailing_by(server.serve, threads) as channel:
                await channel.send(MESSAGE)
        finally:
            await asyncio.to_thread(threads.close)

    with pytest.raises(NotSentError, match=rf"the server answered {answer[:3]} to the") as caught:
        asyncio.run(main())
    assert caught.value.is_refused is is_refused
    assert "spam" not in caught.value.message


def test_refused_receivers_fail_a_letter() -> None:
    """For good when others have it or none ever will; a server that is busy may be tried again."""
    server = Postmaster(gone="550 nobody", busy="450 later")
    for to, message, is_refused, mails in (
        (("a", "gone"), r"1 of 2 receivers were refused \(gone@example.com\); the others", True, 1),
        (("gone",), "the server refused the receivers", True, 1),
        (("busy",), "the server refused the receivers", False, 1),
    ):
        with pytest.raises(ReceiversRefusedError, match=message) as caught:
            asyncio.run(letter_to(server, *to))
        assert caught.value.is_refused is is_refused
        assert len(server.mails) == mails
