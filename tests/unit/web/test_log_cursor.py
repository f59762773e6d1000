"""The cursor of logs goes out as a word and comes back as it was, or not at all."""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64encode
from random import Random

import pytest

from flowrunner.errors import ValidationError
from flowrunner.service.views import LogCursor
from flowrunner.web.log_cursor import pack_cursor, unpack_cursor
from flowrunner.web.middleware.head_limit import HEAD_BYTES


def packed(content: str) -> str:
    return urlsafe_b64encode(zlib.compress(content.encode())).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        LogCursor(),
        LogCursor(offsets={"dump.1.log": 0}),
        LogCursor(done=(1, 0, 3), offsets={"dump.1.log": 12, "load_rows.0.2.log": 1 << 40}),
        LogCursor(items={"0": (0, 3, 4, 10_000)}, tries={"0.3": 2}),
    ],
    ids=["empty", "start", "more", "items"],
)
def test_cursor_comes_back(cursor: LogCursor) -> None:
    """What was packed is unpacked, and needs no escaping in a URL."""
    text = pack_cursor(cursor)

    assert unpack_cursor(text) == cursor
    assert text.replace("-", "").replace("_", "").isalnum()


def test_cursor_of_many_nodes_fits_a_request() -> None:
    """The cursor of 10,000 nodes, whatever is read of them, fits the head of a request."""
    random = Random(1)
    cursor = LogCursor(
        done=tuple(random.randrange(3) for _ in range(10_000)),
        offsets={f"node_{number}.1.log": number * 7_919 for number in range(200)},
    )

    assert len(pack_cursor(cursor)) < HEAD_BYTES * 3 // 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "abcde",
        "é",
        packed("nonsense"),
        packed("[1]"),
        packed("[[], []]"),
        packed("[1, {}]"),
        packed("[[-1], {}]"),
        packed("[[true], {}]"),
        packed('["1", {}]'),
        packed('[[], {"dump.1.log": -1}]'),
        packed('[[], {"dump.1.log": 9223372036854775808}]'),
        packed('[[], {"dump.1.log": 9223372036854775807}]'),
        packed('[[], {"dump.1.log": true}]'),
        packed('[[], {"dump.1.log": "1"}]'),
        packed('[[], {"../../etc/passwd": 1}]'),
        packed('[[], {"/etc/passwd": 1}]'),
        packed('[[], {}, {"0": [0]}, {}]'),
        packed('[[], {}, {"0": [3, 1]}, {}]'),
        packed('[[], {}, {"0": "01"}, {}]'),
        packed('[[], {}, {"x": [0, 1]}, {}]'),
        packed('[[], {}, {}, {"0.1": true}]'),
        packed('[[], {}, {}, {"../1": 1}]'),
        packed("[[], {}, {}]"),
        packed("[" * 200_000),
        packed(json.dumps({"a": " " * 10_000_000})),
    ],
    ids=[
        "empty",
        "no-word",
        "cut",
        "not-ascii",
        "no-json",
        "list",
        "two-lists",
        "number",
        "negative-attempts",
        "bool-attempts",
        "text-attempts",
        "negative",
        "beyond-64-bits",
        "beyond-any-file",
        "bool",
        "text",
        "parent",
        "absolute",
        "half-a-range",
        "range-that-falls",
        "text-for-a-range",
        "node-without-number",
        "bool-tries",
        "parent-for-an-item",
        "items-alone",
        "nested",
        "bomb",
    ],
)
def test_forged_cursor_is_refused(text: str) -> None:
    """Whatever is not a cursor of ours is an invalid parameter and nothing worse."""
    with pytest.raises(ValidationError) as caught:
        unpack_cursor(text)
    assert caught.value.code == "request.parameter"
