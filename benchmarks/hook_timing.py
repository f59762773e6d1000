"""Whether the time of a 401 tells what is wrong: a hook that is unknown, or a proof that is.

Usage: python benchmarks/hook_timing.py [--samples N] [--bytes N]

Each kind of refusal is compared with an unknown path by the same method, in turns and in a random
order within each turn: in process, where nothing hides a difference, and over loopback, as the
nearest stranger sees it. `AUC` is the share of pairs in which the kind took longer: 0.5 says that
nothing can be told, 0 and 1 that one sample is enough.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.disk import DISK
from benchmarks.in_daemon import in_a_daemon
from benchmarks.restarts import Started
from flowrunner.daemon.build import Parts
from flowrunner.model.delivery import Delivery

SECRETS = {f"FLOWRUNNER_SECRET_{name}": f"the secret {name}" for name in ("ONE", "TWO", "THREE")}
UNLIMITED = {"FLOWRUNNER_SERVER__RATE_LIMIT": "off"}
"""By default a stranger gets 100 samples a second."""
FLOW = """\
version: 1
name: bench
triggers:
  - {id: github, type: webhook, auth: {type: github, secret: ONE}}
  - {id: rotated, type: webhook, auth: {type: github, secrets: [ONE, TWO, THREE]}}
  - {id: lacking, type: webhook, auth: {type: github, secret: ABSENT}}
  - {id: sha512, type: webhook, auth: {type: hmac, secret: ONE, header: X-Sig, algorithm: sha512}}
  - {id: stripe, type: webhook, auth: {type: stripe, secret: ONE}}
  - {id: slack, type: webhook, auth: {type: slack, secret: ONE}}
  - {id: bearer, type: webhook, auth: {type: bearer, secret: ONE}}
  - {id: open, type: webhook, auth: {type: none}}
nodes:
  - {id: only, type: noop}
"""
UNKNOWN, UNKNOWN_PUT = "unknown path", "unknown path, PUT"
WRONG_METHOD = "wrong method, PUT"
BASES = {WRONG_METHOD: UNKNOWN_PUT}
"""What a kind is compared with, if not with an unknown path: the sender knows his own method."""
HEADERS = {
    "content-type": "application/json",
    "x-hub-signature-256": "sha256=" + "0" * 64,
    "x-sig": "0" * 128,
    "stripe-signature": "t=1700000000,v1=" + "0" * 64,
    "x-slack-request-timestamp": "1700000000",
    "x-slack-signature": "v0=" + "0" * 64,
    "authorization": "Bearer wrong",
}


def refusals(size: int) -> Mapping[str, Delivery]:
    """Returns a delivery for each way to be refused, all with the same headers and body."""
    common = Delivery(
        path="default/bench/github",
        method="POST",
        headers=HEADERS,
        query={},
        body=b"x" * size,
        source="bench",
        is_local=False,
    )
    kinds = ("github", "rotated", "lacking", "sha512", "stripe", "slack", "bearer", "open")
    return {
        UNKNOWN: replace(common, path="default/bench/nothing"),
        "unknown account": replace(common, path="nobody/bench/nothing"),
        UNKNOWN_PUT: replace(common, path="default/bench/nothing", method="PUT"),
        WRONG_METHOD: replace(common, method="PUT"),
        **{f"bad proof: {kind}": replace(common, path=f"default/bench/{kind}") for kind in kinds},
    }


async def in_process(
    parts: Parts, kinds: Mapping[str, Delivery], count: int
) -> dict[str, list[float]]:
    """Returns the seconds of each delivery of each kind, from the daemon's own side."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind in in_turns(kinds, count):
        began = time.perf_counter()
        answer = await parts.service.deliver(kinds[kind])
        found[kind].append(time.perf_counter() - began)
        assert answer.status == 401, kind
        await asyncio.sleep(0)
    return {kind: took[count // 10 :] for kind, took in found.items()}  # those before warm up


def over_loopback(kinds: Mapping[str, Delivery], count: int) -> dict[str, list[float]]:
    """Returns the seconds of each delivery of each kind, on one connection to a real daemon."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        flows = Path(folder) / "flows"
        flows.mkdir()
        (flows / "bench.yaml").write_text(FLOW)
        with closing(Started(flows, Path(folder) / "state", {**SECRETS, **UNLIMITED})) as daemon:
            daemon.wait_ready()
            with socket.create_connection(("127.0.0.1", daemon.port)) as line:
                for kind in in_turns(kinds, count):
                    sent = request_of(kinds[kind])
                    began = time.perf_counter()
                    line.sendall(sent)
                    got = line.recv(65_536)
                    found[kind].append(time.perf_counter() - began)
                    assert got.startswith(b"HTTP/1.1 401 "), got
                    assert got.endswith(b"}"), got
    return {kind: took[count // 10 :] for kind, took in found.items()}


def in_turns(kinds: Mapping[str, Delivery], count: int) -> Iterator[str]:
    """Yields every kind so many times, and a tenth more to warm up, in an order of chance."""
    order = list(kinds)
    for _ in range(count + count // 10):
        random.shuffle(order)
        yield from order


def request_of(delivery: Delivery) -> bytes:
    """Returns a delivery as it is sent."""
    lines = [f"{delivery.method} /hooks/{delivery.path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {text}" for name, text in delivery.headers.items()]
    lines += [f"Content-Length: {len(delivery.body)}", "Via: 1.1 bench"]
    return "\r\n".join([*lines, "", ""]).encode() + delivery.body


def auc(these: Sequence[float], others: Sequence[float]) -> float:
    """Returns the share of pairs in which one of these is the larger one; ties count half."""
    ranked = sorted(others)
    less = sum(bisect_left(ranked, it) + bisect_right(ranked, it) for it in these) / 2
    return less / (len(these) * len(others))


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description="Compare the times of refusals.")
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--bytes", type=int, action="append", help="sizes of bodies")
    arguments = parser.parse_args()
    for size in arguments.bytes or [1_024, 1_048_576]:
        kinds, count = refusals(size), arguments.samples
        inside = in_a_daemon(FLOW, partial(in_process, kinds=kinds, count=count), SECRETS)
        show(f"in process, {size} bytes", inside)
        show(f"over loopback, {size} bytes", over_loopback(kinds, count))


def show(what: str, found: Mapping[str, Sequence[float]]) -> None:
    """Prints a table of each kind against an unknown path."""
    print(f"\n| {what} | median | difference | AUC |\n|---|---|---|---|")
    for kind, took in found.items():
        base = found[BASES.get(kind, UNKNOWN)]
        apart = 1e6 * (median(took) - median(base))
        print(f"| {kind} | {1e6 * median(took):.0f} µs | {apart:+.1f} µs | {auc(took, base):.3f} |")


if __name__ == "__main__":
    main()
