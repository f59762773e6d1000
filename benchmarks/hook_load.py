"""Sends signed deliveries over raw sockets, in a process of its own, and tells how long each took.

Usage: python benchmarks/hook_load.py PORT PATH SECRET COUNT CONNECTIONS RATE

`RATE` is deliveries a second, each due at its moment whether or not those before are answered, and
measured from that moment, so that a server that stalls does not put the next ones off; 0: each
connection sends as soon as it has an answer. What is sent is made and signed before the first one.
Prints JSON: `seconds` from the first to the last, and `took`, `status` of each.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import selectors
import socket
import sys
import time
import uuid
from collections import deque
from dataclasses import dataclass, field

BODY_BYTES = 1024
_HEAD = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    "X-GitHub-Delivery: {delivery}\r\nX-Hub-Signature-256: sha256={digest}\r\n"
    "Content-Length: {length}\r\n\r\n"
)
_READ = 65_536


@dataclass(eq=False, slots=True)
class _Line:
    """One connection: when the delivery under way was due, and what of its answer has come."""

    socket: socket.socket
    due: float = 0.0
    answer: bytearray = field(default_factory=bytearray)


def request(path: str, secret: str, size: int = BODY_BYTES) -> bytes:
    """Returns a delivery as GitHub sends it, of this size, and unlike any other."""
    delivery = str(uuid.uuid4())
    body = json.dumps({"ref": "refs/heads/main", "id": delivery, "pad": ""}).encode()
    body = body[:-2] + b"x" * (size - len(body)) + b'"}'
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    head = _HEAD.format(path=path, delivery=delivery, digest=digest, length=len(body))
    return head.encode() + body


def main() -> None:
    """Sends, and prints what was measured."""
    port, path, secret, count, connections, rate = sys.argv[1:]
    waiting = deque(request(path, secret) for _ in range(int(count)))
    lines = [_connected(int(port)) for _ in range(int(connections))]
    print(json.dumps(_send_all(waiting, lines, float(rate))))


def _connected(port: int) -> _Line:
    line = _Line(socket.create_connection(("127.0.0.1", port)))
    line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def _send_all(waiting: deque[bytes], lines: list[_Line], rate: float) -> dict[str, object]:
    """Returns what was measured."""
    selector, idle = selectors.DefaultSelector(), deque(lines)
    for line in lines:
        selector.register(line.socket, selectors.EVENT_READ, line)
    took: list[float] = []
    status: list[int] = []
    count, sent, began = len(waiting), 0, time.perf_counter()
    while len(took) < count:
        due = began + sent / rate if rate else time.perf_counter()
        while waiting and idle and (not rate or due <= time.perf_counter()):
            line = idle.popleft()
            line.due = due
            line.socket.sendall(waiting.popleft())
            sent += 1
            due = began + sent / rate if rate else time.perf_counter()
        patience_s = max(0.0, due - time.perf_counter()) if rate and waiting and idle else 30.0
        for key, _ in selector.select(patience_s):
            found: _Line = key.data
            found.answer += found.socket.recv(_READ)
            if _is_whole(found.answer):
                took.append(time.perf_counter() - found.due)
                status.append(int(found.answer[9:12]))
                found.answer.clear()
                idle.append(found)
    return {"seconds": time.perf_counter() - began, "took": took, "status": status}


def _is_whole(answer: bytearray) -> bool:
    head, mark, body = bytes(answer).partition(b"\r\n\r\n")
    if not mark:
        return False
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return len(body) >= length


if __name__ == "__main__":
    main()
