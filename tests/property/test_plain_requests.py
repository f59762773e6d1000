"""A request that is read at a glance is one that the general parser reads, and reads the same."""

from __future__ import annotations

import h11
from hypothesis import event, example, given
from hypothesis import strategies as st

from flowrunner.web.plain_requests import PlainRequest, read_plain

HEAD = b"POST /hooks/a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
WHOLE = HEAD + b"X-A: b\r\n\r\n{}"

LINES = st.sampled_from(
    [b"POST /a HTTP/1.1", b"POST /a?b=%2f&c HTTP/1.1"] * 4
    + [b"POST  /a HTTP/1.1", b"POST /a HTTP/1.0", b"PUT /a HTTP/1.1", b"POST http://h/a HTTP/1.1"]
    + [b"POST * HTTP/1.1", b"POST /\xc3\xa9 HTTP/1.1", b"post /a HTTP/1.1", b" POST /a HTTP/1.1"]
)
NAMES = st.sampled_from([b"X-A", b"x-hub-signature-256", b"Accept", b"!#$%&'*+-.^_`|~"])
TEXTS = st.one_of(
    st.sampled_from([b"b", b"a, b", b"sha256=00", b"a: b"]),
    st.binary(max_size=6),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)).map(str.encode),
)
SPECIAL = st.sampled_from(
    [
        *(b"Host: i", b"Host:h", b"Content-Length: 2", b"content-length: 02", b"Content-Length: 3"),
        *(b"Connection: close", b"Connection: keep-alive", b"Connection: close, x"),
        *(b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Upgrade: h2c", b"TE: trailers"),
        *(b" folded", b"X-A : b", b"X-A:\tb", b"X-A: ", b"no colon", b": b", b"X\x00: b"),
    ]
)
FIELDS = st.one_of(st.builds(b"%b: %b".__mod__, st.tuples(NAMES, TEXTS)), SPECIAL)
ENDS = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\n\r\n", b""])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Requests as they come, with a turn here and there."""
    body = draw(st.binary(max_size=8))
    fields = [b"Host: h", b"Content-Length: %d" % len(body)]
    if draw(st.integers(0, 9)) == 0:
        fields.pop(draw(st.integers(0, 1)))
    fields = draw(st.permutations(fields + draw(st.lists(FIELDS, max_size=3))))
    lines = b"".join(each + draw(ENDS) for each in [draw(LINES), *fields])
    behind = draw(st.sampled_from([b""] * 8 + [b"x", b"GET / HTTP/1.1\r\n"]))
    return lines + b"\r\n" + body + behind


def read_by_h11(data: bytes) -> PlainRequest:
    """Returns the one request that the bytes are for h11; raises where they are another thing."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    request, body = connection.next_event(), b""
    assert isinstance(request, h11.Request)
    assert not connection.they_are_waiting_for_100_continue
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert not list(event.headers)
    assert connection.trailing_data == (b"", False)
    assert (request.method, request.http_version) == (b"POST", b"1.1")
    closes = connection.their_state is h11.MUST_CLOSE
    return PlainRequest(request.target, list(request.headers), body, closes)


@given(requests())
@example(WHOLE)
@example(HEAD + b"Connection: close\r\n\r\n{}")
def test_what_is_read_at_a_glance_is_what_the_parser_reads(data: bytes) -> None:
    """Target, headers, body and the wish for the connection are those of h11, and nothing is left.

    Source: RFC 9112, section 11.2: two readers of one request are how one is smuggled.
    """
    plain = read_plain(data)

    event("plain" if plain else "left to the parser")
    if plain is not None:
        assert plain == read_by_h11(data)


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_changed_byte_is_left_to_the_parser_or_read_as_it_does(
    at: int, put: bytes, cut: int
) -> None:
    """Whatever is put in, taken out or replaced, the two never read different requests."""
    data = WHOLE[:at] + put + WHOLE[at + cut :]
    plain = read_plain(data)

    if plain is not None:
        assert plain == read_by_h11(data)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_part_of_a_request_is_left_to_the_parser(end: int) -> None:
    """A request that has not come whole is none yet."""
    assert read_plain(WHOLE) is not None
    assert read_plain(WHOLE[:end]) is None
