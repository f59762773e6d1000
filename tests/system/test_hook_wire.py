"""The table of deliveries that are confusing on the wire: answers, log, metric, executions.

Each is bytes on a socket of a real daemon; a case names all of its answers. What a case is asked
to prove is signed rightly, so that nothing but the confusion can refuse it. Deliveries that are
refused for what they prove or hold stand in `tests/unit/triggers/test_hook_refusals.py`.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, PATIENCE_S, RunningDaemon, daemon, eventually
from tests.system.deliveries import SECRET_IN_ENVIRONMENT, github_headers, hook
from tests.system.flow_files import NOTHING, write_flow

pytestmark = pytest.mark.system

PATH = "/hooks/default/a/webhook"
POST = f"POST {PATH} HTTP/1.1"
RESULTS = ("accepted", "duplicate", "unauthorized", "unsupported", "unprocessable", "too_large")
_NUMBERS = count(1)

Answer = tuple[int, str]
"""Status, and code of the problem; empty where it is none."""
ACCEPTED: Answer = (202, "")
MALFORMED: Answer = (400, "http.malformed")
UNPROVEN: Answer = (401, "auth.invalid")
NO_JSON: Answer = (422, "delivery.json")
TYPE: Answer = (415, "delivery.content_type")
TOO_LARGE: Answer = (413, "http.too_large")
HEAD: Answer = (431, "http.head_too_large")


def new_body() -> bytes:
    """A body that no other delivery has."""
    return json.dumps({"n": next(_NUMBERS)}).encode()


def delivery(
    body: bytes | None = None,
    *,
    line: str = POST,
    fields: Sequence[str] = (),
    framing: Sequence[str] | None = None,
    sent: Callable[[bytes], bytes] = bytes,
    content_type: str = "application/json",
    is_last: bool = True,
) -> bytes:
    """Returns a request that is signed as GitHub signs it.

    Args:
        body: What is signed.
        line: The request line.
        fields: Further headers.
        framing: The headers that tell the end of the body; by default its length.
        sent: The body → what is sent after the head.
        content_type: What the body is said to be.
        is_last: Whether the connection is to be closed after the answer.
    """
    body = new_body() if body is None else body
    signed = github_headers(body, f"delivery-{next(_NUMBERS)}")
    head = [line, "Host: localhost", f"Content-Type: {content_type}"]
    head += [f"{name}: {text}" for name, text in signed.items() if name != "Content-Type"]
    head += [f"Content-Length: {len(body)}"] if framing is None else framing
    head += ["Connection: close"] if is_last else []
    return "\r\n".join([*head, *fields, "", ""]).encode("latin-1") + sent(body)


def in_chunks(body: bytes, *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """Returns a body as one chunk."""
    return b"%x%s\r\n%s\r\n0\r\n%s\r\n" % (len(body), extension, body, trailer)


CHUNKED = ("Transfer-Encoding: chunked",)
HIDDEN = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""A request that stands where one reader sees a body and another the next request."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Bytes, and what comes of them; without answers the connection is closed without one."""

    sent: bytes
    answers: tuple[Answer, ...]
    result: str = ""

    @property
    def started(self) -> int:
        return self.answers.count(ACCEPTED)


def refused(sent: bytes, *answers: Answer, result: str = "") -> Case:
    return Case(sent=sent, answers=answers, result=result)


def taken(sent: bytes, *more: Answer) -> Case:
    return Case(sent=sent, answers=(ACCEPTED, *more), result="accepted")


CASES = {
    # two ends of one body
    "length-and-chunks": refused(
        delivery(framing=("Content-Length: 3", *CHUNKED), sent=in_chunks), MALFORMED
    ),
    "length-and-chunks-that-hide-a-request": refused(
        delivery(
            b"0\r\n\r\n" + HIDDEN,
            framing=(f"Content-Length: {5 + len(HIDDEN)}", *CHUNKED),
            is_last=False,
        ),
        MALFORMED,
    ),
    "two-lengths": refused(delivery(fields=("Content-Length: 99",)), MALFORMED),
    "list-of-lengths": refused(delivery(framing=("Content-Length: 8, 99",)), MALFORMED),
    "signed-length": refused(delivery(framing=("Content-Length: +8",)), MALFORMED),
    "negative-length": refused(delivery(framing=("Content-Length: -1",)), MALFORMED),
    "hexadecimal-length": refused(delivery(framing=("Content-Length: 0x8",)), MALFORMED),
    "endless-length": refused(delivery(framing=(f"Content-Length: {'9' * 40}",)), MALFORMED),
    "other-coding": refused(delivery(framing=("Transfer-Encoding: gzip, chunked",)), MALFORMED),
    "misspelt-coding": refused(delivery(framing=("Transfer-Encoding: xchunked",)), MALFORMED),
    "chunk-without-size": refused(
        delivery(framing=CHUNKED, sent=lambda body: b"zz\r\n" + body), MALFORMED
    ),
    "chunk-with-extension": taken(
        delivery(framing=CHUNKED, sent=lambda body: in_chunks(body, extension=b";a=b"))
    ),
    "trailer-that-claims-a-signature": taken(
        delivery(
            framing=CHUNKED,
            sent=lambda body: in_chunks(body, trailer=b"X-Hub-Signature-256: sha256=00\r\n"),
        )
    ),
    "bytes-behind-the-body": taken(delivery(is_last=False) + HIDDEN, (200, "")),
    # heads
    "folded-first-header": refused(delivery(line=f"{POST}\r\n X: y"), MALFORMED),
    "folded-header": taken(delivery(fields=("X-A: b", " c"))),
    "space-before-the-colon": refused(delivery(fields=("X-A : b",)), MALFORMED),
    "bare-cr": refused(delivery(fields=("X-A: b\rX-B: c",)), MALFORMED),
    "nul": refused(delivery(fields=("X-A: b\0c",)), MALFORMED),
    "lone-lf": taken(delivery().replace(b"\r\n", b"\n")),
    "two-hosts": refused(delivery(fields=("Host: evil.example",)), MALFORMED),
    "no-host": refused(delivery().replace(b"Host: localhost\r\n", b""), MALFORMED),
    "large-header": refused(delivery(fields=(f"X: {'a' * 20_000}",)), HEAD),
    "10000-headers": refused(delivery(fields=["X: a"] * 10_000), HEAD),
    "101-headers": refused(delivery(fields=["X: a"] * 101), HEAD),
    "no-http": refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", MALFORMED),
    "http-0.9": refused(f"POST {PATH}\r\n\r\n".encode(), MALFORMED),
    "http-1.0": taken(delivery(line=f"POST {PATH} HTTP/1.0")),
    "http-2": refused(delivery(line=f"POST {PATH} HTTP/2.0"), (505, "http.version")),
    # paths
    "whole-address": taken(delivery(line=f"POST http://localhost{PATH} HTTP/1.1")),
    "whole-address-with-a-user": refused(
        delivery(line=f"POST http://a@localhost{PATH} HTTP/1.1"), MALFORMED
    ),
    "double-slash": refused(delivery(line=f"POST /{PATH} HTTP/1.1"), (404, "not_found")),
    "encoded-upwards": refused(
        delivery(line="POST /hooks/default/x/%2e%2e/a/webhook HTTP/1.1"),
        UNPROVEN,
        result="unauthorized",
    ),
    "encoded-twice": refused(
        delivery(line="POST /hooks/default/%2561/webhook HTTP/1.1"), UNPROVEN, result="unauthorized"
    ),
    "encoded-nul": refused(
        delivery(line=f"POST {PATH}%00 HTTP/1.1"), UNPROVEN, result="unauthorized"
    ),
    "no-utf-8": refused(delivery(line=f"POST {PATH}%ff HTTP/1.1"), UNPROVEN, result="unauthorized"),
    "fragment": refused(delivery(line=f"POST {PATH}#x HTTP/1.1"), UNPROVEN, result="unauthorized"),
    "path-parameter": refused(
        delivery(line=f"POST {PATH};a=b HTTP/1.1"), UNPROVEN, result="unauthorized"
    ),
    "encoded-once": taken(delivery(line="POST /%68ooks/default/%61/webhook HTTP/1.1")),
    # one after the other
    "pipelined": taken(delivery(is_last=False) + delivery(), ACCEPTED),
    "pipelined-behind-a-forgery": Case(
        sent=delivery(is_last=False).replace(b"sha256=", b"sha256=0") + delivery(),
        answers=(UNPROVEN, ACCEPTED),
        result="unauthorized",
    ),
    "pipelined-behind-a-malformed-one": refused(
        delivery(fields=("X-A : b",), is_last=False) + delivery(), MALFORMED
    ),
    # bodies
    "bom": taken(delivery(b"\xef\xbb\xbf" + new_body())),
    "key-twice": taken(delivery(b'{"n": 0, "n": %d}' % next(_NUMBERS))),
    "utf-16": refused(delivery('{"n": 1}'.encode("utf-16")), NO_JSON, result="unprocessable"),
    "utf-16-without-bom": refused(
        delivery('{"n": 1}'.encode("utf-16-le")), NO_JSON, result="unprocessable"
    ),
    "utf-32": refused(delivery('{"n": 1}'.encode("utf-32")), NO_JSON, result="unprocessable"),
    "latin-1": refused(delivery('{"n": "é"}'.encode("latin-1")), NO_JSON, result="unprocessable"),
    "deep": refused(delivery(b"[" * 65 + b"]" * 65), NO_JSON, result="unprocessable"),
    "deep-enough-for-a-crash": refused(
        delivery(b"[" * 400_000 + b"]" * 400_000), NO_JSON, result="unprocessable"
    ),
    "long-number": refused(delivery(b"9" * 5_000), NO_JSON, result="unprocessable"),
    "large-number": refused(delivery(b"[1e400]"), NO_JSON, result="unprocessable"),
    "not-a-number": refused(delivery(b"[NaN]"), NO_JSON, result="unprocessable"),
    "endless-number": refused(delivery(b"[-Infinity]"), NO_JSON, result="unprocessable"),
    "two-values": refused(delivery(b"{} {}"), NO_JSON, result="unprocessable"),
    "gzip": refused(
        delivery(gzip.compress(b"{}"), fields=("Content-Encoding: gzip",)),
        TYPE,
        result="unsupported",
    ),
    "gzip-that-says-nothing": refused(
        delivery(gzip.compress(b"{}")), NO_JSON, result="unprocessable"
    ),
    "no-encoding": taken(delivery(fields=("Content-Encoding: identity",))),
    "form": refused(
        delivery(b"n=1", content_type="application/x-www-form-urlencoded"),
        TYPE,
        result="unsupported",
    ),
    "multipart": refused(
        delivery(content_type='multipart/form-data; boundary="application/json"'),
        TYPE,
        result="unsupported",
    ),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """A daemon with one hook, whose flow does nothing."""
    place = tmp_path_factory.mktemp("wire")
    (place / "flows").mkdir()
    keep = {"FLOWRUNNER_ENGINE__RETENTION_EXECUTIONS": "10000"}
    write_flow(place / "flows", "a", hook(), NOTHING)
    env = {**OPEN, **SECRET_IN_ENVIRONMENT, **keep}
    with daemon(place / "flows", place / "state", env=env) as found:
        yield found


def talk(running: RunningDaemon, *pieces: bytes) -> bytes:
    """Sends bytes, and returns all that comes back until the daemon closes."""
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.settimeout(PATIENCE_S)
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        with connection.makefile("rb") as stream:
            return stream.read()


def answers_of(got: bytes) -> tuple[Answer, ...]:
    """Returns status and code of each answer."""
    found = []
    while got:
        head, _, rest = got.partition(b"\r\n\r\n")
        length = int(re.findall(rb"content-length: (\d+)", head.lower())[0])
        body, got = rest[:length], rest[length:]
        is_problem = b"application/problem+json" in head
        found.append((int(head.split()[1]), json.loads(body)["code"] if is_problem else ""))
    return tuple(found)


def counted(running: RunningDaemon) -> dict[str, float]:
    """Returns how many answers each result has had, over all hooks."""
    name = "flowrunner_webhook_requests_total"
    hooks = ("default/a/webhook", "_unknown")
    return {
        result: sum(running.metric(name, hook=hook, result=result) or 0 for hook in hooks)
        for result in RESULTS
    }


@pytest.mark.parametrize("name", CASES)
def test_confusing_delivery(running: RunningDaemon, name: str) -> None:
    """It has these answers and no other, each its line or count, and starts what it says."""
    case = CASES[name]
    ids = {it["id"] for it in running.executions("a")}
    before, written, unread = counted(running), len(running.output), unread_by(running)

    got = answers_of(talk(running, case.sent))

    assert got == case.answers
    assert len({it["id"] for it in running.executions("a")} - ids) == case.started
    added = {result: number - before[result] for result, number in counted(running).items()}
    assert added["accepted"] == case.started
    if case.result:
        assert added[case.result] >= 1
    assert sum(added.values()) == len(
        [it for it in got if it in {ACCEPTED, UNPROVEN, NO_JSON, TYPE}]
    )
    is_unread = unread_by(running) > unread
    for answer in got:
        is_counted = is_unread and answer in {MALFORMED, HEAD}
        if not is_counted and answer[0] != 200:  # a read that succeeds has no line
            eventually(partial(has_line, running, answer, written), lambda: name)


def has_line(running: RunningDaemon, answer: Answer, written: int) -> bool:
    status, code = answer
    line = rf"http\.request .* status={status} " + (rf".* code={code}" if code else "")
    return re.search(line, running.output[written:]) is not None


def unread_by(running: RunningDaemon) -> float:
    """Returns how many requests could not be read, of which not each has a line."""
    return running.metric("flowrunner_http_unread_total", reason="malformed") or 0


def test_body_of_200_mb_is_neither_read_nor_kept(running: RunningDaemon) -> None:
    """It is refused from its head, or from its first pieces, and the daemon's memory stays."""
    piece = b"x" * 1_000_000
    before = peak_kib(running)

    for framing, pieces in (
        ((f"Content-Length: {200 * len(piece)}",), [piece] * 200),
        (CHUNKED, [b"%x\r\n%s\r\n" % (len(piece), piece)] * 200),
    ):
        head = delivery(b"", framing=framing)
        got = answers_of(talk(running, head, *pieces))
        # Who goes on sending is cut off in the end, which can overtake the answer.
        assert got in {(TOO_LARGE,), ()}

    assert running.request("/livez").status == 200
    assert peak_kib(running) - before < 64 * 1024


def peak_kib(running: RunningDaemon) -> int:
    """Returns the most memory that the daemon has had, in KiB."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])
