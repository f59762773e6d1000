"""Mails of nodes: whatever a text holds, it gets into no header and no command but its own."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.policy import default
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.errors import ExecutionError
from flowrunner.nodes.builtin.email import EmailNode
from flowrunner.nodes.telling import Letter, Saying
from flowrunner.notify.mail_text import MailParts, make_mail
from tests.fakes.records import NOON
from tests.profile import examples
from tests.unit.nodes.attempts import make_context

HEADERS = {
    *("from", "to", "cc", "subject", "date", "message-id", "x-flowrunner-id", "auto-submitted"),
    *("content-type", "content-transfer-encoding", "mime-version"),
}
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\0", "\x0b", "\x85", "\u2028", "\n.\n", "=?x?q?=0A?="])
TEXT = st.lists(st.one_of(ENDS, st.text(max_size=20), st.just("Bcc: a@b.c")), max_size=6).map(
    "".join
)


class Ear:
    """Meets `TellsPeople`; keeps the letter."""

    letter: Letter

    async def tell(self, saying: Saying) -> str:
        raise AssertionError(saying)

    async def mail(self, letter: Letter) -> str:
        self.letter = letter
        return ""


ADDRESSES = st.builds(
    "{}@example.com".format,
    st.one_of(
        st.just("=?x?q?=0ABcc=3A_a?="),
        st.from_regex(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", fullmatch=True),
    ),
)


@settings(max_examples=examples(200))
@given(addresses=st.lists(ADDRESSES, min_size=1, max_size=3))
def test_addresses_are_refused_or_stay_addresses(addresses: list[str]) -> None:
    """Nothing that passes for an address adds a header, or a receiver."""
    ear = Ear()
    params = {"channel": "mail", "cc": addresses, "subject": "s", "body": "b"}
    try:
        asyncio.run(EmailNode(lambda: ear).execute(make_context(), params))
    except ExecutionError as error:
        assert error.code == "bad_address"  # noqa: PT017 - some are, some are not
        return
    parts = MailParts(
        name="n", sender="a@b.c", to=("x@y.z",), cc=ear.letter.cc, subject="s", text="b", at=NOON
    )
    read = message_from_bytes(make_mail(parts).as_bytes(), policy=default)
    assert len(list(read)) == len(HEADERS)
    assert read["To"] == "x@y.z"


@settings(max_examples=examples(200))
@given(subject=TEXT, body=TEXT)
def test_texts_stay_in_their_places(subject: str, body: str) -> None:
    """The mail that arrives has the headers that every mail has, one subject, and the body."""
    ear = Ear()
    params: dict[str, Any] = {"channel": "mail", "to": "a@example.com", "cc": "b@example.com"}
    node = EmailNode(lambda: ear)
    asyncio.run(node.execute(make_context(), {**params, "subject": subject, "body": body}))
    letter = ear.letter

    mail = make_mail(
        MailParts(
            name="n",
            sender="flows@example.com",
            to=letter.to,
            cc=letter.cc,
            subject=letter.subject,
            text=letter.body,
            at=NOON,
        )
    )
    read = message_from_bytes(mail.as_bytes(), policy=default)

    names = [name.lower() for name in read]
    assert (set(names), len(names)) == (HEADERS, len(HEADERS))
    assert (read["To"], read["Cc"]) == ("a@example.com", "b@example.com")
    subjects = [line for line in mail.as_bytes().split(b"\r\n") if line.startswith(b"Subject:")]
    assert len(subjects) == len(str(read["Subject"]).splitlines() or [""]) == 1
    assert read.get_content().split() == letter.body.split()
