"""Formats of texts: the words that `format` of an input takes, and what each of them means.

One check for all of them, whoever brings the value. All are linear in the text and look nothing
up: a host name need not resolve. What a type is stands in `flowrunner.model.values`.

Sources: RFC 3339 sections 5.6 and 5.7 (date, date-time), RFC 1123 section 2.1 (hostname), RFC 3986
(uri), RFC 4122 section 3 (uuid), the HTML standard, "valid e-mail address" (email). A duration is
that of the flow format, not that of ISO 8601.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from flowrunner.errors import ValidationError
from flowrunner.model.quantities import parse_duration


class TextFormat(StrEnum):
    """What a text may be asked to be; the words of JSON Schema where it has one."""

    DATE = "date"
    DATE_TIME = "date-time"
    DURATION = "duration"
    EMAIL = "email"
    HOSTNAME = "hostname"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    URI = "uri"
    UUID = "uuid"


_LONGEST_HOSTNAME = 253
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DIGITS = frozenset("0123456789")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
    r"(?:#(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?"
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def is_format(text: str, wanted: TextFormat) -> bool:
    """Whether a text is of a format."""
    try:
        return _CHECKS[wanted](text)
    except (ValueError, ValidationError):
        return False


def format_example(wanted: TextFormat) -> str:
    """Returns a text of the format, for messages."""
    return _EXAMPLES[wanted]


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text) and date.fromisoformat(text))


def parse_moment(text: str) -> datetime | None:
    """Returns the time that an RFC 3339 text with a zone names, or None when it names none.

    One that UTC has no year for, at an edge of the calendar, is none: nobody could use it.
    """
    if _DATE_TIME.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment


def is_written_moment(text: str) -> bool:
    """Whether a text that may be a time or an expression is meant as a time.

    It begins with a digit, as every RFC 3339 text does; an expression that does gives none.
    """
    return text.lstrip()[:1] in _DIGITS and "${{" not in text


def _is_date_time(text: str) -> bool:
    return parse_moment(text) is not None


def _is_duration(text: str) -> bool:
    return parse_duration(text) >= 0


def _is_email(text: str) -> bool:
    mailbox, separator, host = text.rpartition("@")
    return bool(separator and _MAILBOX.fullmatch(mailbox)) and _is_hostname(host)


def is_mailable(text: str) -> bool:
    """Whether an address may stand in a header and a command as it is.

    Narrower than the format `email`, which takes dots anywhere: a dot-string, and nothing that
    programs take for an encoded word and decode, line ends and all. Sources: RFC 5321 section
    4.1.2, RFC 2047 section 2.
    """
    mailbox = text.rpartition("@")[0]
    return _is_email(text) and all(mailbox.split(".")) and "=?" not in text


def _is_hostname(text: str) -> bool:
    labels = text.split(".")
    return len(text) <= _LONGEST_HOSTNAME and all(map(_LABEL.fullmatch, labels))


def _is_ipv4(text: str) -> bool:
    return bool(IPv4Address(text))


def _is_ipv6(text: str) -> bool:
    return "%" not in text and bool(IPv6Address(text))  # a zone means something on one host only


def _is_uri(text: str) -> bool:
    return bool(_URI.fullmatch(text) and urlsplit(text))  # which knows where brackets may stand


def _is_uuid(text: str) -> bool:
    return bool(_UUID.fullmatch(text))


_CHECKS: Mapping[TextFormat, Callable[[str], bool]] = {
    TextFormat.DATE: _is_date,
    TextFormat.DATE_TIME: _is_date_time,
    TextFormat.DURATION: _is_duration,
    TextFormat.EMAIL: _is_email,
    TextFormat.HOSTNAME: _is_hostname,
    TextFormat.IPV4: _is_ipv4,
    TextFormat.IPV6: _is_ipv6,
    TextFormat.URI: _is_uri,
    TextFormat.UUID: _is_uuid,
}
_EXAMPLES: Mapping[TextFormat, str] = {
    TextFormat.DATE: "2026-03-30",
    TextFormat.DATE_TIME: "2026-03-30T02:30:00Z",
    TextFormat.DURATION: "2h30m",
    TextFormat.EMAIL: "ops@example.com",
    TextFormat.HOSTNAME: "db1.example.com",
    TextFormat.IPV4: "192.0.2.1",
    TextFormat.IPV6: "2001:db8::1",
    TextFormat.URI: "https://example.com/a",
    TextFormat.UUID: "0190b8e4-5a1c-7000-8000-000000000000",
}
