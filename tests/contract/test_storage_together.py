"""The storage contract, over every backend: what is written together with a new execution."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.model.execution import Execution, FormerKey, Kept
from flowrunner.model.states import AttemptState, ExecutionState, NodeState
from flowrunner.storage.factory import BACKENDS
from flowrunner.storage.protocols import Storage
from tests.contract.test_storage import Use, use_storage
from tests.fakes.ids import sequential_id
from tests.fakes.records import (
    NIGHTLY,
    make_attempt,
    make_delivery,
    make_execution,
    make_node,
    minutes,
)

RUNNING = ExecutionState.RUNNING


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Runs a body with each backend."""
    return lambda body: use_storage(request.param, tmp_path / "state", body)


def ended(execution: Execution, reason: str) -> Execution:
    """An execution that was cancelled before it began."""
    state = ExecutionState.CANCELLED
    return replace(execution, state=state, reason=reason, ended_at=minutes(9))


def test_others_change_with_a_new_execution(use: Use) -> None:
    """Who waited has ended and who runs is asked to end, and all that was pinned stays."""
    waits, runs = make_execution(1, payload=b"x"), make_execution(2, state=RUNNING)

    async def body(storage: Storage) -> None:
        for each in (waits, runs):
            await storage.executions.create(each)
        also = (ended(waits, "superseded"), replace(runs, reason="replaced", inputs={}))
        answer = await storage.executions.create(make_execution(3), also=also)
        assert answer == (sequential_id(3), True)
        assert await storage.executions.get(waits.id) == also[0]
        assert await storage.executions.get(runs.id) == replace(runs, reason="replaced")
        assert [each.id for each in await storage.executions.unfinished()] == [
            runs.id,
            sequential_id(3),
        ]

    use(body)


def test_others_do_not_change_when_one_of_them_is_unknown(use: Use) -> None:
    """All or nothing: neither the new one, nor the cursor, nor those that are known."""
    waits = make_execution(1)

    async def body(storage: Storage) -> None:
        await storage.executions.create(waits)
        also = (ended(waits, "replaced"), ended(make_execution(8), "replaced"))
        with pytest.raises(StorageError) as caught:
            await storage.executions.create(
                make_execution(3, start_key="k"), cursor=(NIGHTLY, minutes(3)), also=also
            )
        assert caught.value.code == "storage.conflict"
        assert await storage.executions.get(waits.id) == waits
        assert await storage.executions.get(sequential_id(3)) is None
        assert await storage.executions.find("k") is None
        assert await storage.slots.cursor(NIGHTLY) is None

    use(body)


def test_known_start_key_changes_nobody(use: Use) -> None:
    """A start that was one before lets nobody go for it; the cursor moves all the same."""
    waits = make_execution(1)

    async def body(storage: Storage) -> None:
        await storage.executions.create(waits)
        await storage.executions.create(make_execution(2, start_key="k"))
        again = make_execution(3, start_key="k")
        kept = Kept(nodes=(make_node(again.id),))
        answer = await storage.executions.create(
            again, cursor=(NIGHTLY, minutes(3)), also=(ended(waits, "superseded"),), kept=kept
        )
        assert answer == (sequential_id(2), False)
        assert await storage.executions.get(waits.id) == waits
        assert await storage.journal.nodes(sequential_id(2)) == []
        assert await storage.slots.cursor(NIGHTLY) == minutes(3)

    use(body)


def test_new_execution_has_what_it_took_over(use: Use) -> None:
    """Its nodes, in their order, and its attempts are in the journal from the beginning."""
    execution = make_execution(1)
    kept = Kept(
        nodes=(
            make_node(execution.id, "second", state=NodeState.SKIPPED),
            make_node(execution.id, "first", outputs={"n": 1}),
        ),
        attempts=(make_attempt(execution.id, "first", state=AttemptState.SUCCEEDED, number=3),),
    )

    async def body(storage: Storage) -> None:
        await storage.executions.create(execution, kept=kept)
        assert await storage.executions.get(execution.id) == execution
        assert await storage.journal.nodes(execution.id) == list(kept.nodes)
        assert await storage.journal.attempts(execution.id) == list(kept.attempts)

    use(body)


@pytest.mark.parametrize("is_removed", [False, True])
def test_former_key_is_taken_while_its_execution_is_young(use: Use, *, is_removed: bool) -> None:
    """What was accepted under the key of before is the same, unless that is too long ago."""

    async def body(storage: Storage) -> None:
        first = make_execution(1, state=ExecutionState.SUCCEEDED, start_key="before")
        await storage.executions.create(first)
        if is_removed:
            await storage.executions.prune([first.id])
        new = make_execution(5, start_key="now")
        answers = [
            await storage.executions.create(new, former=FormerKey("before", minutes(since)))
            for since in (0, 1, 2)
        ]
        assert answers == [(first.id, False), (first.id, False), (new.id, True)]

    use(body)


def test_own_key_comes_before_the_former_one(use: Use) -> None:
    """Who has the key itself has it however long ago that was, whatever the former one says."""

    async def body(storage: Storage) -> None:
        for number, key in enumerate(("now", "before"), start=1):
            await storage.executions.create(make_execution(number, start_key=key))
        new = make_execution(9, start_key="now")
        former = FormerKey("before", minutes(0))
        assert await storage.executions.create(new, former=former) == (sequential_id(1), False)

    use(body)


def test_executions_that_come_at_once_know_of_each_other(use: Use) -> None:
    """Each is as if those before it were on disk already: their keys, and they themselves."""
    first = make_execution(1, start_key="k", payload=b"body")
    copy, later = make_execution(2, start_key="k"), make_execution(3, start_key="l")
    other = make_execution(4)
    gone = ended(first, "replaced")

    async def body(storage: Storage) -> None:
        create = storage.executions.create
        writes = (
            create(first),
            create(copy, delivery=make_delivery(2)),
            create(later, former=FormerKey("k", first.created_at)),
            create(other, also=(gone,)),
        )
        answers = [await each for each in writes]
        assert answers == [(first.id, True), (first.id, False), (first.id, False), (other.id, True)]
        assert await storage.executions.get(first.id) == gone
        assert await storage.executions.unfinished() == [other]
        (record,) = await storage.deliveries.list(DeliveryQuery(limit=9))
        assert (record.reason, record.execution) == (DeliveryReason.DUPLICATE, first.id)

    use(body)


def test_execution_that_is_refused_takes_no_other_one_with_it(use: Use) -> None:
    """Of those that come at once one has an id that is taken: the others are created."""
    known, new = make_execution(1), make_execution(2)

    async def body(storage: Storage) -> None:
        await storage.executions.create(known)
        create = storage.executions.create
        answers = await asyncio.gather(
            create(new), create(known), create(make_execution(3)), return_exceptions=True
        )
        assert isinstance(answers[1], StorageError)
        assert [answers[0], answers[2]] == [(new.id, True), (sequential_id(3), True)]
        assert len(await storage.executions.unfinished()) == len(answers)

    use(body)


def test_attempts_that_are_written_at_once_are_written_in_their_order(use: Use) -> None:
    """Begun and ended in one go each has its end; nodes are recorded in the order of the calls."""
    begun = [make_attempt(sequential_id(1), node=name) for name in ("b", "a")]
    done = [replace(each, state=AttemptState.SUCCEEDED, ended_at=minutes(3)) for each in begun]
    nodes = [make_node(sequential_id(1), node=name) for name in ("b", "a", "c")]

    async def body(storage: Storage) -> None:
        journal = storage.journal
        await storage.executions.create(make_execution(1))
        writes = (
            journal.begin(begun[0]),
            journal.finish(done[0], nodes[0]),
            journal.begin(begun[1]),
            journal.finish(done[1], nodes[1]),
            journal.settle(nodes[2:]),
        )
        for each in writes:
            await each
        assert await journal.attempts(sequential_id(1)) == [done[1], done[0]]
        assert await journal.nodes(sequential_id(1)) == nodes
        assert await journal.running() == []

    use(body)


def test_attempt_that_has_begun_begins_no_second_time(use: Use) -> None:
    """Not at once with its end either: that stays, and what else is written then."""
    begun = make_attempt(sequential_id(1))
    done = replace(begun, state=AttemptState.SUCCEEDED, ended_at=minutes(3))

    async def body(storage: Storage) -> None:
        journal = storage.journal
        await storage.executions.create(make_execution(1))
        other = make_attempt(sequential_id(1), node="other")
        answers = await asyncio.gather(
            journal.begin(begun),
            journal.finish(done),
            journal.begin(begun),
            journal.begin(other),
            return_exceptions=True,
        )
        assert [isinstance(each, StorageError) for each in answers] == [False, False, True, False]
        assert await journal.attempts(sequential_id(1)) == [done, other]

    use(body)
