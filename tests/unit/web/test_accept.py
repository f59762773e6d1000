"""A client gets the representation it prefers."""

from __future__ import annotations

import pytest

from flowrunner.web.accept import preferred

OFFERS = ("text/plain", "application/json")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("application/json", "application/json"),
        ("Application/JSON", "application/json"),
        ("application/json, text/plain;q=0.5", "application/json"),
        ("text/plain;q=0.1, */*;q=0.9", "application/json"),
        ("application/*", "application/json"),
        ("text/*;q=0, */*", "application/json"),
        ("text/html, application/xhtml+xml", "text/plain"),
        ("application/json;q=nonsense", "text/plain"),
        (",;,", "text/plain"),
    ],
)
def test_preferred_follows_the_header(accept: str, chosen: str) -> None:
    """The most exact range decides a quality, the best quality the answer, the first offer ties."""
    assert preferred(accept, OFFERS) == chosen
