"""The storage contract, over every backend: what is written together with a new execution."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.execution import Execution, Kept
from flowrunner.model.states import AttemptState, ExecutionState, NodeState
from flowrunner.storage.factory import BACKENDS
from flowrunner.storage.protocols import Storage
from tests.contract.test_storage import Use, use_storage
from tests.fakes.ids import sequential_id
from tests.fakes.records import NIGHTLY, make_attempt, make_execution, make_node, minutes

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
