"""Attempts for tests of single node types, without an engine."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

from flowrunner.model.ids import AttemptKey
from flowrunner.nodes.context import Directories, ExecutionContext
from flowrunner.system.output import Stream
from tests.fakes.clock import FakeClock
from tests.fakes.ids import sequential_id
from tests.fakes.records import BACKUP, NOON


class Notes:
    """Meets `AttemptSink` for whoever only adds notes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)

    @property
    def is_congested(self) -> bool:
        return False

    def feed(self, stream: Stream, data: bytes) -> None:
        raise AssertionError(f"nothing prints {data!r} on {stream}")

    def end(self, stream: Stream) -> None:
        raise AssertionError(f"there is no {stream}")


def make_context(notes: Notes | None = None, hidden: tuple[str, ...] = ()) -> ExecutionContext:
    """The first attempt of the node `sub` of an execution of `BACKUP`."""
    return ExecutionContext(
        flow=BACKUP,
        key=AttemptKey(sequential_id(1), "sub", 0, 1),
        node_type="flow",
        inputs={},
        upstream={},
        hidden=hidden,
        started_at=NOON,
        directories=Directories(work=Path("/w"), flow=Path("/f"), private=Path("/p")),
        place=nullcontext,
        sink=notes or Notes(),
        logger=logging.LoggerAdapter(logging.getLogger("test"), {}),
        clock=FakeClock(),
    )
