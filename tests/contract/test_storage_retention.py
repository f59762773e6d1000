"""The storage contract, over every backend: what may be removed of the past, and what stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.model.digest import digest_of
from flowrunner.model.ids import FlowKey
from flowrunner.model.states import ExecutionState
from flowrunner.storage.factory import BACKENDS
from flowrunner.storage.protocols import ExecutionQuery, Expiry, Storage
from tests.contract.test_storage import Body, Use, use_storage
from tests.fakes.ids import sequential_id
from tests.fakes.records import (
    BACKUP,
    DEFINITION,
    NIGHTLY,
    make_attempt,
    make_execution,
    make_node,
    minutes,
)

OTHER = FlowKey("team-a", "backup")
DONE, RUNNING = ExecutionState.SUCCEEDED, ExecutionState.RUNNING
NEVER = minutes(-1_000)


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Runs a body with each backend."""
    return lambda body: use_storage(request.param, tmp_path / "state", body)


def holding(*states: ExecutionState, then: Body) -> Body:
    """Returns a body that begins with executions in these states, the first the oldest."""

    async def body(storage: Storage) -> None:
        for number, state in enumerate(states, 1):
            await storage.executions.create(
                make_execution(number, state=state, start_key=f"k{number}")
            )
        await then(storage)

    return body


async def expired(
    storage: Storage, *, keep: int = 1_000, before: int = -1_000, limit: int = 100
) -> list[int]:
    """Returns the numbers of the executions that may go."""
    rule = Expiry(flow=BACKUP, keep=keep, before=minutes(before), limit=limit)
    ids = [execution.id for execution in await storage.executions.expired(rule)]
    return [number for each in ids for number in range(20) if sequential_id(number) == each]


def test_surplus_goes_oldest_first(use: Use) -> None:
    """Beyond the newest so many, in order, and no more at once than the limit."""

    async def then(storage: Storage) -> None:
        assert await expired(storage, keep=3) == [1, 2]
        assert await expired(storage, keep=1, limit=2) == [1, 2]
        assert await expired(storage, keep=5) == []

    use(holding(*[DONE] * 5, then=then))


def test_old_ones_go(use: Use) -> None:
    """What was created before the moment, whatever the number."""

    async def then(storage: Storage) -> None:
        assert await expired(storage, before=3) == [1, 2]
        assert await expired(storage, before=3, keep=2) == [1, 2, 3]

    use(holding(*[DONE] * 5, then=then))


def test_unfinished_ones_and_the_newest_ended_stay(use: Use) -> None:
    """They may be old and many: what runs is not history, and the last end is what people ask."""

    async def then(storage: Storage) -> None:
        assert await expired(storage, keep=1, before=1_000) == [2]

    use(holding(RUNNING, DONE, DONE, RUNNING, ExecutionState.QUEUED, then=then))


def test_rule_is_of_one_flow(use: Use) -> None:
    """Another flow's executions neither go nor count."""

    async def then(storage: Storage) -> None:
        for number in (11, 12, 13):
            await storage.executions.create(make_execution(number, flow=OTHER, state=DONE))
        assert await storage.executions.flows() == [BACKUP, OTHER]
        assert await expired(storage, keep=2) == []

    use(holding(DONE, DONE, then=then))


def test_pruned_execution_is_gone_with_its_journal(use: Use) -> None:
    """Execution, payload, attempts and nodes; the others are untouched."""
    gone, kept = sequential_id(1), sequential_id(2)

    async def then(storage: Storage) -> None:
        for each in (gone, kept):
            await storage.journal.finish(make_attempt(each), make_node(each))
        await storage.executions.prune([gone, sequential_id(9)])
        assert await storage.executions.get(gone) is None
        assert await storage.journal.attempts(gone) == []
        assert await storage.journal.nodes(gone) == []
        assert len(await storage.journal.nodes(kept)) == 1

    use(holding(DONE, DONE, then=then))


def test_unfinished_execution_cannot_be_pruned(use: Use) -> None:
    """Whatever was computed before: what is queued or runs stays."""

    async def then(storage: Storage) -> None:
        await storage.executions.prune([sequential_id(1), sequential_id(2)])
        left = await storage.executions.list(ExecutionQuery())
        assert [execution.id for execution in left] == [sequential_id(2)]

    use(holding(DONE, RUNNING, then=then))


def test_start_key_of_a_pruned_execution_stays_taken(use: Use) -> None:
    """A copy of its delivery, or its slot once more, starts nothing, until the key is freed."""
    first, again = sequential_id(1), make_execution(7, start_key="k1")

    async def then(storage: Storage) -> None:
        executions = storage.executions
        await executions.prune([first])
        assert await executions.find("k1") == first
        assert await executions.find("k1", since=minutes(1)) == first
        assert await executions.find("k1", since=minutes(2)) is None
        assert await executions.create(again) == (first, False)
        assert await executions.get(again.id) is None
        assert await executions.forget_keys(minutes(1), limit=10) == 0
        assert await executions.forget_keys(minutes(2), limit=10) == 1
        assert await executions.find("k1") is None
        assert (await executions.create(again)).created

    use(holding(DONE, DONE, then=then))


def test_keys_are_freed_in_pieces(use: Use) -> None:
    """At most so many at once, and fewer at the end."""

    async def then(storage: Storage) -> None:
        await storage.executions.prune([sequential_id(number) for number in range(1, 6)])
        freed = [await storage.executions.forget_keys(minutes(99), limit=2) for _ in range(4)]
        assert freed == [2, 2, 1, 0]

    use(holding(*[DONE] * 6, then=then))


def test_cursor_stays_when_its_execution_goes(use: Use) -> None:
    """The slot of a pruned execution is accounted for as before."""

    async def then(storage: Storage) -> None:
        await storage.executions.create(make_execution(3, state=DONE), cursor=(NIGHTLY, minutes(3)))
        await storage.executions.prune([sequential_id(3)])
        assert await storage.slots.open(NIGHTLY, minutes(1)) == minutes(3)

    use(holding(DONE, DONE, then=then))


def test_definitions_can_be_listed_removed_and_put_again(use: Use) -> None:
    """A removed one is unknown; put again it is there, though it was put before."""
    digest = digest_of(DEFINITION)

    async def then(storage: Storage) -> None:
        assert await storage.definitions.list() == []
        await storage.definitions.put(digest, DEFINITION)
        assert await storage.definitions.list() == [digest]
        assert await storage.executions.digests() == {digest}
        await storage.definitions.delete(digest)
        await storage.definitions.delete(digest)
        assert await storage.definitions.get(digest) is None
        await storage.definitions.put(digest, DEFINITION)
        assert await storage.definitions.get(digest) == DEFINITION

    use(holding(DONE, then=then))


def test_definition_that_was_put_since_a_moment_stays(use: Use) -> None:
    """One that an execution is about to name is not removed under it; an older one goes."""
    digest = digest_of(DEFINITION)

    async def then(storage: Storage) -> None:
        before = storage.definitions.mark()
        await storage.definitions.put(digest, DEFINITION)
        await storage.definitions.delete(digest, unless_put_since=before)
        assert await storage.definitions.get(digest) == DEFINITION
        after = storage.definitions.mark()
        await storage.definitions.delete(digest, unless_put_since=after)
        assert await storage.definitions.get(digest) is None
        await storage.definitions.put(digest, DEFINITION)
        await storage.definitions.delete(digest, unless_put_since=after)
        assert await storage.definitions.get(digest) == DEFINITION

    use(holding(DONE, then=then))


def test_empty_store_has_nothing_to_remove(use: Use) -> None:
    """No flows, no digests, nothing expired."""

    async def body(storage: Storage) -> None:
        assert await storage.executions.flows() == []
        assert await storage.executions.digests() == set()
        assert await expired(storage, keep=1, before=1_000) == []
        assert await storage.executions.forget_keys(NEVER, limit=10) == 0

    use(body)
