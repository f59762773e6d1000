"""A target in absolute form is served as its path, of the host that it names.

Source: RFC 9112, section 3.2.2; RFC 9110, sections 4.2.1 and 4.2.4.
"""

from __future__ import annotations

import json
import logging

import pytest

from tests.unit.web.apps import public_app
from tests.unit.web.serving import get, serve, talk


def answer(request: bytes) -> bytes:
    return serve(public_app(local="open"), lambda server: talk(server, request))


@pytest.mark.parametrize(
    "target",
    ["http://localhost/livez", "HTTP://LOCALHOST:8080/livez", "https://localhost/livez?a=b"],
)
def test_absolute_target_is_its_path(target: str) -> None:
    """Scheme and host stand before what is asked for, in any letters."""
    assert answer(get(target)).startswith(b"HTTP/1.1 200 ")


def test_absolute_target_keeps_its_parameters() -> None:
    """What stands behind the question mark belongs to the path."""
    target = "http://localhost/api/v1/flows?limit=1&colour=red"

    assert b"'colour'" in answer(get(target))


def test_target_without_a_path_asks_for_the_root() -> None:
    """An empty path is `/`, where there is nothing."""
    assert answer(get("http://localhost")).startswith(b"HTTP/1.1 404 ")


def test_host_is_that_of_the_target() -> None:
    """A page that makes a browser send its own name cannot pass by a `Host` that is ours."""
    ours = get("/api/v1/flows")

    assert answer(ours).startswith(b"HTTP/1.1 200 ")
    assert answer(get("http://localhost/api/v1/flows")).startswith(b"HTTP/1.1 200 ")
    assert answer(get("http://evil.example/api/v1/flows")).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("target", ["http:///livez", "http://user@localhost/livez", "http://"])
def test_target_without_a_host_or_with_a_user_is_refused(target: str) -> None:
    """Such an address is none of HTTP, and is answered 400."""
    got = answer(get(target))

    assert got.startswith(b"HTTP/1.1 400 ")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["code"] == "http.malformed"


@pytest.mark.parametrize("target", ["ftp://localhost/livez", "*", "localhost:80", "livez"])
def test_other_forms_are_no_addresses_here(target: str) -> None:
    """What is neither a path nor of HTTP is nothing that could be served."""
    assert answer(get(target)).startswith(b"HTTP/1.1 404 ")


def test_log_has_the_path(caplog: pytest.LogCaptureFixture) -> None:
    """The line of the access log says what was asked for, as for every other request."""
    with caplog.at_level(logging.DEBUG):
        answer(get("http://localhost/livez"))

    assert any(" path=/livez " in record.getMessage() for record in caplog.records)
