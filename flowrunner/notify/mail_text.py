"""One mail as text: its headers and its plain body. Pure. Sources: RFC 5322, RFC 3834.

Apart from `flowrunner.notify.mail`, which hands it in.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from flowrunner.dataclass import dataclass
from flowrunner.model.formats import is_mailable

_POLICY = SMTP.clone(max_line_length=300)
"""Lines that hold the longest id: folded, it would be encoded, and no filter could read it."""

ENCODED = "=?"
"""Begins an encoded word, which Python decodes as it takes a header in: `=?x?q?=0A?=` would end the
headers of the mail. Source: RFC 2047 section 2.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailParts:
    """What a mail is made of.

    Attributes:
        name: What it is known by: its `Message-ID` is made of it.
        sender: An address, as are those of `to` and `cc`.
        subject: One line; it arrives as it stands, but for what begins an encoded word.
        text: Any text; half surrogate pairs become question marks.
    """

    name: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    subject: str
    text: str
    at: datetime


def make_mail(parts: MailParts) -> EmailMessage:
    """Returns the mail.

    Raises:
        ValueError: The subject is more than a line, or an address is none.
    """
    if not all(map(is_mailable, (parts.sender, *parts.to, *parts.cc))):
        raise ValueError("an address is none")
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = parts.sender
    mail["To"] = ", ".join(parts.to)
    if parts.cc:
        mail["Cc"] = ", ".join(parts.cc)
    subject = parts.subject.replace(ENCODED, "= ?")
    mail["Subject"] = subject.encode(errors="replace").decode()
    mail["Date"] = format_datetime(parts.at)
    digest = hashlib.sha256(parts.name.encode()).hexdigest()[:32]
    mail["Message-ID"] = f"<{digest}@{parts.sender.rpartition('@')[2]}>"
    mail["X-FlowRunner-Id"] = parts.name
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody shall answer that he is away
    text = parts.text.encode(errors="replace").decode()
    mail.set_content(text.removesuffix("\n") + "\n")
    return mail
