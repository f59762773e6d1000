"""Formats of texts: what each word of `format` takes and refuses."""

from __future__ import annotations

import pytest

from flowrunner.model.formats import TextFormat, format_example, is_format


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("date", "2024-02-29"),
        ("date-time", "2026-03-30T02:30:00Z"),
        ("date-time", "9999-12-31T23:59:59Z"),
        ("date-time", "2026-03-30t02:30:00.123456789+02:00"),
        ("duration", "500ms"),
        ("duration", "0s"),
        ("email", "first.last+tag@mail.example.com"),
        ("hostname", "localhost"),
        ("hostname", "a-1.example.com"),
        ("hostname", "a" * 63 + ".example"),
        ("ipv4", "0.0.0.0"),
        ("ipv6", "::"),
        ("ipv6", "::ffff:192.0.2.1"),
        ("uri", "mailto:ops@example.com"),
        ("uri", "https://[2001:db8::1]:8443/a%20b?q=1#top"),
        ("uuid", "0190B8E4-5a1c-7000-8000-000000000000"),
    ],
)
def test_text_of_the_format_is_taken(word: str, text: str) -> None:
    """What the source of a format allows passes."""
    assert is_format(text, TextFormat(word))


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("date", "2026-02-29"),
        ("date", "20260330"),
        ("date", "2026-3-30"),
        ("date", "2026-03-30\n"),
        ("date", "\u0662026-03-30"),
        ("date-time", "2026-03-30T02:30:00"),
        ("date-time", "2026-03-30 02:30:00Z"),
        ("date-time", "2026-03-30T24:00:00Z"),
        ("date-time", "2026-03-30T02:30:00+24:00"),
        ("date-time", "2026-03-30"),
        ("date-time", "9999-12-31T23:59:59-00:01"),
        ("date-time", "0001-01-01T00:00:00+00:01"),
        ("duration", "90"),
        ("duration", "PT1H"),
        ("duration", ""),
        ("email", "ops"),
        ("email", "@example.com"),
        ("email", "a b@example.com"),
        ("email", "ops@-example.com"),
        ("hostname", ""),
        ("hostname", "example.com."),
        ("hostname", "a_b"),
        ("hostname", "a" * 64),
        ("hostname", ".".join(["a" * 50] * 5)),
        ("ipv4", "192.0.2"),
        ("ipv4", "192.0.2.01"),
        ("ipv4", "192.0.2.256"),
        ("ipv6", "fe80::1%eth0"),
        ("ipv6", "192.0.2.1"),
        ("uri", "/a/b"),
        ("uri", "https://example.com/a b"),
        ("uri", "https://example.com/%zz"),
        ("uri", "https://[2001:db8::1/"),
        ("uri", "a:b#c#d"),
        ("uuid", "0190b8e45a1c70008000000000000000"),
        ("uuid", "{0190b8e4-5a1c-7000-8000-000000000000}"),
    ],
)
def test_other_text_is_refused(word: str, text: str) -> None:
    """What is only like the format does not pass, and no text raises."""
    assert not is_format(text, TextFormat(word))


@pytest.mark.parametrize("wanted", TextFormat, ids=str)
def test_every_format_has_an_example_of_its_own(wanted: TextFormat) -> None:
    """The example that messages show is of the format."""
    assert is_format(format_example(wanted), wanted)


@pytest.mark.parametrize("wanted", TextFormat, ids=str)
@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "1" * 1_000_000, "a." * 500_000, "%" * 1_000_000]
)
def test_long_text_is_judged_in_linear_time(wanted: TextFormat, text: str) -> None:
    """A million characters are refused at once: a check that went back and forth would not end."""
    assert not is_format(text, wanted)
