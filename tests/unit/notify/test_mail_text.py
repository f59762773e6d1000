"""A mail as text: what it is made of stays in its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowrunner.notify.mail_text import MailParts, make_mail
from tests.fakes.records import NOON

PARTS = MailParts(
    name="an id",
    sender="flows@example.com",
    to=("a@example.com", "b@example.com"),
    subject="all is well",
    text="really\n",
    at=NOON,
)


def test_headers_say_who_what_and_when() -> None:
    """The id of a mail follows from its name; nobody answers it by machine; there is no `Cc`."""
    mail = make_mail(PARTS)
    assert dict(mail) | {"Message-ID": ""} == {
        "From": "flows@example.com",
        "To": "a@example.com, b@example.com",
        "Subject": "all is well",
        "Date": "Mon, 01 Mar 2027 12:00:00 +0000",
        "Message-ID": "",
        "X-FlowRunner-Id": "an id",
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
        "MIME-Version": "1.0",
    }
    assert mail["Message-ID"] == make_mail(replace(PARTS, text="x"))["Message-ID"]
    assert mail["Message-ID"] != make_mail(replace(PARTS, name="x"))["Message-ID"]
    assert mail.get_content() == "really\n"


@pytest.mark.parametrize("word", ["=?x?q?=0A?=", "=?utf-8?b?CkJjYzogYUBiLmM=?=", "=?utf-8?q?=0D?="])
def test_encoded_word_is_no_line_end(word: str) -> None:
    """Python decodes an encoded word that a header is set to; the mail must not end there."""
    data = make_mail(replace(PARTS, subject=f"a {word} b")).as_bytes()
    assert f"Subject: a {word.replace('=?', '= ?')} b\r\n".encode() in data
    assert data.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize("address", ["=?x?q?=0A?=@example.com", ".@example.com", "a@b\nBcc: c@d"])
@pytest.mark.parametrize("key", ["sender", "to", "cc"])
def test_what_is_no_address_makes_no_mail(key: str, address: str) -> None:
    """Whoever brings it: settings, a file, or an expression."""
    wrong = {
        "sender": replace(PARTS, sender=address),
        "to": replace(PARTS, to=(address,)),
        "cc": replace(PARTS, cc=(address,)),
    }[key]
    with pytest.raises(ValueError, match="address"):
        make_mail(wrong)
