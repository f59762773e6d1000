"""Heads of requests are bounded, however they arrive."""

from __future__ import annotations

import json

import pytest

from flowrunner.web.middleware.head_limit import HEAD_BYTES, HEAD_FIELDS
from tests.unit.web.apps import public_app
from tests.unit.web.serving import get, serve, talk


def head(*fields: str) -> bytes:
    return get("/livez")[:-2] + "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (HEAD_BYTES + 4_000),
        head("X: " + "a" * HEAD_BYTES),
        head(*["X: " + "a" * 1000] * 17),
        get("/livez?" + "a" * HEAD_BYTES),
        head(*["X: a"] * (HEAD_FIELDS - 1)),
    ],
    ids=["endless", "one-long-header", "many-long-headers", "long-target", "many-headers"],
)
def test_large_head_is_refused(request_bytes: bytes) -> None:
    """A head over 16 KiB or 100 headers is answered 431, also when it is complete."""
    got = serve(public_app(), lambda server: talk(server, request_bytes))

    assert got.startswith(b"HTTP/1.1 431 ")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["code"] == "http.head_too_large"


def test_large_head_of_a_later_request_is_refused() -> None:
    """A large head behind another request, in one write, does not pass for having arrived whole."""
    first = get("/livez", close=False)

    got = serve(public_app(), lambda server: talk(server, first + head("X: " + "a" * HEAD_BYTES)))

    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 431 " in got


def test_ordinary_head_passes() -> None:
    """As many headers as are allowed, and close to 16 KiB, are served."""
    fields = ["X: " + "a" * 100] * (HEAD_FIELDS - 2)

    got = serve(public_app(), lambda server: talk(server, head(*fields)))

    assert got.startswith(b"HTTP/1.1 200 ")
