"""The outbox over every backend: a notice is in the write of what it is about, until it is sent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.conditions import Status
from flowrunner.model.flow_events import FlowEvent, FlowState
from flowrunner.model.ids import Revision
from flowrunner.model.mark import MarkChange, MarkKind
from flowrunner.model.notify import NotifyOn
from flowrunner.model.states import ExecutionState
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.notify.line import Bucket, Line
from flowrunner.notify.outbox import Outbox
from flowrunner.notify.sending import Outlet
from flowrunner.storage.factory import BACKENDS
from flowrunner.storage.protocols import Storage
from tests.contract.test_storage import Use, use_storage
from tests.fakes.clock import FakeClock
from tests.fakes.records import BACKUP, NOON, make_execution
from tests.unit.notify.notices import SENDER, Counts, FakeChannel, make_notice


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Runs a body with each backend."""
    return lambda body: use_storage(request.param, tmp_path / "state", body)


def make_outbox(storage: Storage, channel: FakeChannel) -> Outbox:
    line = Line(Bucket(None), is_for_people=True, takes_many=False)
    outlet = Outlet(channel=channel, line=line, news=asyncio.Event())
    return Outbox(
        outlets={"oncall": outlet},
        marks=storage.marks,
        clock=FakeClock(loop=None),
        sender=SENDER,
        counts=Counts(),
        health=ChannelHealth(("oncall",), FakeClock(loop=None)),
    )


async def sent_by_a_new_life(storage: Storage) -> list[str]:
    """Returns the ids of what another life sends; its marks are gone then."""
    channel = FakeChannel()
    box = make_outbox(storage, channel)
    await box.load()
    running = asyncio.create_task(box.run())
    async with asyncio.timeout(30):
        while await storage.marks.list(MarkKind.NOTICE):  # noqa: ASYNC110 - it is not told
            await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return channel.tried


def test_notice_is_in_the_write_of_the_end(use: Use) -> None:
    """What ends an execution keeps the notice; a write that is refused keeps none."""

    async def body(storage: Storage) -> None:
        notice = make_notice(at=NOON)
        marks = MarkChange(put=make_outbox(storage, FakeChannel()).accept([notice]))
        ended = make_execution(1, state=ExecutionState.FAILED)
        with pytest.raises(StorageError):
            await storage.executions.update(ended, marks=marks)
        assert await storage.marks.list(MarkKind.NOTICE) == {}
        await storage.executions.create(make_execution(1))
        await storage.executions.update(ended, marks=marks)
        assert await sent_by_a_new_life(storage) == [notice.id]
        assert await sent_by_a_new_life(storage) == []

    use(body)


def test_notice_is_in_the_write_of_an_event(use: Use) -> None:
    """A change of `Ready` and who is told of it are kept together."""

    async def body(storage: Storage) -> None:
        notice = make_notice(at=NOON)
        event = FlowEvent(
            flow=BACKUP,
            number=1,
            at=NOON,
            type="Ready",
            status=Status.FALSE,
            reason="SecretMissing",
            revision=Revision("r1"),
        )
        marks = MarkChange(put=make_outbox(storage, FakeChannel()).accept([notice]))
        await storage.events.record([event], {BACKUP: FlowState(number=1)}, marks=marks)
        assert await storage.events.list(BACKUP) == [event]
        assert await sent_by_a_new_life(storage) == [notice.id]

    use(body)


def test_what_a_node_says_is_durable_when_the_node_has_succeeded(use: Use) -> None:
    """A crash right after it loses nothing; told twice under one id it is one."""

    async def body(storage: Storage) -> None:
        notice = replace(make_notice(1, NotifyOn.MESSAGE, at=NOON), node="tell", subject="hello")
        await make_outbox(storage, FakeChannel()).tell([notice])
        await make_outbox(storage, FakeChannel()).tell([notice])
        assert await sent_by_a_new_life(storage) == [notice.id]
        assert await sent_by_a_new_life(storage) == []

    use(body)
