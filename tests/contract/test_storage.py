"""The storage contract, over every backend: what `flowrunner.storage.protocols` promises.

Backends with a disk have one promise more: what was answered is there after a crash.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.digest import digest_of
from flowrunner.model.execution import Cause, Failure, ItemEnd, ScheduleKey
from flowrunner.model.ids import Digest, FlowKey, Revision
from flowrunner.model.pause import Pause, PauseRecord
from flowrunner.model.states import AttemptState, ExecutionState, NodeState, SlotOutcome
from flowrunner.storage.factory import BACKENDS, make_storage
from flowrunner.storage.protocols import ExecutionQuery, Storage
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.ids import sequential_id
from tests.fakes.records import (
    BACKUP,
    DEFINITION,
    NIGHTLY,
    make_attempt,
    make_execution,
    make_node,
    make_parent,
    make_record,
    make_slots,
    minutes,
)

OTHER = FlowKey("team-a", "backup")
RUNNING, SUCCEEDED, FAILED = (
    ExecutionState.RUNNING,
    ExecutionState.SUCCEEDED,
    ExecutionState.FAILED,
)

Body = Callable[[Storage], Awaitable[None]]
Use = Callable[[Body], None]


def use_storage(backend: str, folder: Path, body: Body) -> None:
    """Runs a test's body with an open backend on a loop of its own."""

    async def main() -> None:
        storage = make_storage(backend, folder=folder, files=LocalFiles(), clock=FakeClock())
        await storage.open()
        try:
            await body(storage)
        finally:
            await storage.close()

    asyncio.run(main())


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Runs a body with each backend."""
    return lambda body: use_storage(request.param, tmp_path / "state", body)


@pytest.fixture
def crash_and_use(tmp_path: Path) -> Callable[[Body, Body], None]:
    """Runs a body on disk, takes the disk as it is at its end, and runs another one on that."""

    def run(before: Body, after: Body) -> None:
        folder, copy = tmp_path / "state", tmp_path / "copy"

        async def main(storage: Storage) -> None:
            await before(storage)
            shutil.copytree(folder, copy)

        use_storage("local", folder, main)
        use_storage("local", copy, after)

    return run


async def refused(write: Awaitable[object]) -> str:
    """Returns the code with which a write is refused."""
    with pytest.raises(StorageError) as caught:
        await write
    return caught.value.code


class TestStorage:
    def test_check_passes_when_the_state_can_be_used(self, use: Use) -> None:
        """A healthy backend passes its check again and again, also at the same moment."""

        async def body(storage: Storage) -> None:
            await asyncio.gather(storage.check(), storage.check())
            await storage.check()

        use(body)

    def test_close_may_be_called_twice(self, use: Use) -> None:
        """Closing a closed backend does nothing."""

        async def body(storage: Storage) -> None:
            await storage.close()
            await storage.close()

        use(body)


class TestFlows:
    def test_record_comes_back_as_it_was_kept(self, use: Use) -> None:
        """A created record is returned equal, and unknown keys give None."""
        record = make_record(vars={"ünïcode": "☃", "half": 0.5, "none": None, "list": [1, {}]})

        async def body(storage: Storage) -> None:
            await storage.flows.create(record)
            assert await storage.flows.get(BACKUP) == record
            assert await storage.flows.get(OTHER) is None

        use(body)

    def test_create_is_refused_when_the_key_exists(self, use: Use) -> None:
        """The record that was first stays."""

        async def body(storage: Storage) -> None:
            await storage.flows.create(make_record())
            assert await refused(storage.flows.create(make_record(generation=2))) == (
                "storage.conflict"
            )
            assert await storage.flows.get(BACKUP) == make_record()

        use(body)

    def test_update_replaces_the_record(self, use: Use) -> None:
        """After an update the new record is returned."""

        async def body(storage: Storage) -> None:
            await storage.flows.create(make_record())
            await storage.flows.update(make_record(generation=2, description="new"))
            assert await storage.flows.get(BACKUP) == make_record(generation=2, description="new")

        use(body)

    def test_update_is_refused_when_the_key_is_unknown(self, use: Use) -> None:
        """An update creates nothing."""

        async def body(storage: Storage) -> None:
            assert await refused(storage.flows.update(make_record())) == "storage.conflict"
            assert await storage.flows.get(BACKUP) is None

        use(body)

    def test_records_are_put_whether_they_are_known_or_not(self, use: Use) -> None:
        """Many are put at once: the new ones are added, the others replaced; none are none."""
        other = make_record(OTHER)

        async def body(storage: Storage) -> None:
            await storage.flows.put([])
            assert await storage.flows.list() == []
            await storage.flows.create(make_record())
            await storage.flows.put([make_record(generation=2, description="new"), other])
            await storage.flows.sync()
            assert await storage.flows.get(BACKUP) == make_record(generation=2, description="new")
            assert await storage.flows.get(OTHER) == other
            await storage.flows.put([make_record(generation=3)])
            await storage.flows.sync()
            assert await storage.flows.get(BACKUP) == make_record(generation=3)

        use(body)

    def test_what_is_remembered_of_records_is_what_they_are(self, use: Use) -> None:
        """Nothing changes by it, and sound records are read again without a complaint."""

        async def body(storage: Storage) -> None:
            await storage.flows.put([make_record(), make_record(OTHER)])
            await storage.flows.remember()
            assert await storage.flows.list() == [make_record(), make_record(OTHER)]
            assert await storage.flows.read_again() == frozenset()
            await storage.flows.put([make_record(generation=2)])
            assert await storage.flows.list() == [make_record(generation=2), make_record(OTHER)]

        use(body)

    def test_deleted_record_is_gone_and_can_be_created_again(self, use: Use) -> None:
        """Deleting removes the record; deleting what is not there does nothing."""

        async def body(storage: Storage) -> None:
            await storage.flows.create(make_record())
            await storage.flows.delete(BACKUP)
            await storage.flows.delete(BACKUP)
            assert await storage.flows.list() == []
            await storage.flows.create(make_record(generation=2))
            assert await storage.flows.list() == [make_record(generation=2)]

        use(body)

    def test_the_flows_that_left_are_kept_as_a_whole(self, use: Use) -> None:
        """None at first, then the last set that was put; the records are another matter."""

        async def body(storage: Storage) -> None:
            assert await storage.flows.left() == frozenset()
            await storage.flows.create(make_record())
            await storage.flows.put_left(frozenset({BACKUP, OTHER}))
            assert await storage.flows.left() == {BACKUP, OTHER}
            await storage.flows.put_left(frozenset())
            assert await storage.flows.left() == frozenset()
            assert await storage.flows.list() == [make_record()]

        use(body)

    def test_list_is_sorted_by_key_and_separated_by_account(self, use: Use) -> None:
        """Records of all accounts come sorted; one account sees its own alone."""
        keys = [OTHER, BACKUP, FlowKey("default", "alert")]

        async def body(storage: Storage) -> None:
            for key in keys:
                await storage.flows.create(make_record(key))
            await storage.flows.sync()
            assert [record.key for record in await storage.flows.list()] == sorted(keys)
            assert [record.key for record in await storage.flows.list("team-a")] == [OTHER]
            assert await storage.flows.list("nobody") == []

        use(body)


class TestDefinitions:
    def test_definition_comes_back_by_its_digest(self, use: Use) -> None:
        """A kept definition is returned equal, kept again it stays, others are None."""
        digest = digest_of(DEFINITION)

        async def body(storage: Storage) -> None:
            await storage.definitions.put(digest, DEFINITION)
            await storage.definitions.put(digest, DEFINITION)
            assert await storage.definitions.get(digest) == DEFINITION
            assert await storage.definitions.get(digest_of({})) is None
            assert await storage.definitions.get(Digest("sha256:short")) is None

        use(body)

    def test_execution_that_needs_its_definition_is_refused_without_it(self, use: Use) -> None:
        """Nothing is accepted that names a definition which is not kept, not even its cursor."""
        execution = replace(make_execution(1), digest=digest_of(DEFINITION))

        async def body(storage: Storage) -> None:
            with pytest.raises(StorageError) as caught:
                await storage.executions.create(
                    execution, cursor=(NIGHTLY, minutes(3)), needs_definition=True
                )
            assert caught.value.code == "storage.conflict"
            assert await storage.executions.get(execution.id) is None
            assert await storage.slots.cursor(NIGHTLY) is None

        use(body)

    def test_definition_that_is_being_put_is_there_for_its_execution(self, use: Use) -> None:
        """An execution is written behind its definition, without waiting for it."""
        digest = digest_of(DEFINITION)
        execution = replace(make_execution(1), digest=digest)

        async def body(storage: Storage) -> None:
            putting = storage.definitions.put(digest, DEFINITION)
            answer = await storage.executions.create(execution, needs_definition=True)
            assert answer.created
            await putting
            assert await storage.definitions.get(digest) == DEFINITION

        use(body)


class TestExecutions:
    def test_execution_comes_back_as_it_was_created(self, use: Use) -> None:
        """Everything that was pinned is returned, the payload byte for byte."""
        execution = replace(
            make_execution(start_key="slot:1", payload=bytes(range(256)), slot_at=minutes(0)),
            error=Failure(
                code="exit", message="☃ \ud800", details={"n": [1, None]}, quotes_data=True
            ),
            reason="signal:SIGKILL",
            group="web-1",
            is_forced=True,
            retry_of=sequential_id(7),
            parent=make_parent(sequential_id(8), "build", index=3, number=2, is_waited=True),
            started_at=minutes(2),
            outputs={"rows": 42, "text": "☃ \ud800", "none": None},
        )

        async def body(storage: Storage) -> None:
            assert await storage.executions.create(execution) == (execution.id, True)
            assert await storage.executions.get(execution.id) == execution
            assert await storage.executions.get(sequential_id(2)) is None

        use(body)

    def test_create_is_refused_when_the_id_exists(self, use: Use) -> None:
        """A second execution with the same id changes nothing, not even its schedule's cursor."""

        async def body(storage: Storage) -> None:
            await storage.executions.create(make_execution())
            again = storage.executions.create(
                make_execution(start_key="k"), cursor=(NIGHTLY, minutes(5))
            )
            assert await refused(again) == "storage.conflict"
            assert await storage.executions.get(sequential_id(1)) == make_execution()
            assert await storage.executions.find("k") is None
            assert await storage.slots.cursor(NIGHTLY) is None

        use(body)

    def test_same_start_key_is_the_same_execution(self, use: Use) -> None:
        """The second submission gets the id of the first, and writes the cursor alone."""

        async def body(storage: Storage) -> None:
            await storage.executions.create(make_execution(1, start_key="k"))
            second = make_execution(2, start_key="k")
            answer = await storage.executions.create(second, cursor=(NIGHTLY, minutes(9)))
            assert answer == (sequential_id(1), False)
            assert await storage.executions.get(second.id) is None
            assert await storage.slots.cursor(NIGHTLY) == minutes(9)

        use(body)

    def test_one_of_many_concurrent_submissions_creates(self, use: Use) -> None:
        """Whoever asks at the same moment with one key: one execution, one id for all."""

        async def body(storage: Storage) -> None:
            many = [make_execution(number, start_key="k") for number in range(1, 33)]
            answers = await asyncio.gather(*map(storage.executions.create, many))
            assert len({answer.id for answer in answers}) == 1
            assert [answer.created for answer in answers].count(True) == 1
            assert len(await storage.executions.list(ExecutionQuery())) == 1

        use(body)

    def test_start_key_is_free_again_when_its_execution_is_deleted(self, use: Use) -> None:
        """A key is taken for as long as its execution is kept."""

        async def body(storage: Storage) -> None:
            await storage.executions.create(make_execution(1, start_key="k"))
            await storage.executions.delete(sequential_id(1))
            assert await storage.executions.find("k") is None
            answer = await storage.executions.create(make_execution(2, start_key="k"))
            assert answer == (sequential_id(2), True)

        use(body)

    def test_update_changes_the_course_and_nothing_pinned(self, use: Use) -> None:
        """State, reason, error, times and outputs are replaced; what was pinned stays."""
        created = make_execution(start_key="k", payload=b"body")
        ended = replace(
            created,
            state=FAILED,
            reason="exit_code",
            error=Failure(code="node", message="dump failed"),
            outputs={"rows": [1, {"deep": True}]},
            started_at=minutes(1),
            ended_at=minutes(2),
        )
        tampered = replace(
            ended,
            flow=OTHER,
            start_key="other",
            inputs={},
            cause=Cause(trigger_id="x", trigger_type="y"),
        )

        async def body(storage: Storage) -> None:
            await storage.executions.create(created)
            await storage.executions.update(tampered)
            assert await storage.executions.get(created.id) == ended
            assert await storage.executions.find("k") == created.id

        use(body)

    def test_update_is_refused_when_the_id_is_unknown(self, use: Use) -> None:
        """An update creates nothing."""

        async def body(storage: Storage) -> None:
            assert await refused(storage.executions.update(make_execution())) == "storage.conflict"
            assert await storage.executions.get(sequential_id(1)) is None

        use(body)

    def test_delete_takes_the_journal_with_it(self, use: Use) -> None:
        """Nothing of a deleted execution is left, others stay; deleting again does nothing."""

        async def body(storage: Storage) -> None:
            for number in (1, 2):
                execution = make_execution(number, payload=b"body")
                await storage.executions.create(execution)
                await storage.journal.begin(make_attempt(execution.id, "next"))
                await storage.journal.finish(make_attempt(execution.id), make_node(execution.id))
            await storage.executions.delete(sequential_id(1))
            await storage.executions.delete(sequential_id(1))
            assert await storage.executions.get(sequential_id(1)) is None
            assert await storage.journal.attempts(sequential_id(1)) == []
            assert await storage.journal.nodes(sequential_id(1)) == []
            assert {each.key.execution for each in await storage.journal.running()} == {
                sequential_id(2)
            }

        use(body)

    @pytest.mark.parametrize(
        ("query", "numbers"),
        [
            pytest.param(ExecutionQuery(), [6, 5, 4, 3, 2, 1], id="all"),
            pytest.param(ExecutionQuery(account="team-a"), [6, 3], id="account"),
            pytest.param(ExecutionQuery(flow="backup"), [6, 4, 3, 1], id="name"),
            pytest.param(ExecutionQuery(account="default", flow="backup"), [4, 1], id="flow"),
            pytest.param(ExecutionQuery(states=(FAILED, RUNNING)), [6, 5, 3, 2], id="states"),
            pytest.param(ExecutionQuery(states=(RUNNING,)), [5, 2], id="unfinished"),
            pytest.param(
                ExecutionQuery(account="team-a", states=(RUNNING,)), [], id="unfinished-account"
            ),
            pytest.param(ExecutionQuery(limit=2), [6, 5], id="limit"),
            pytest.param(ExecutionQuery(before=sequential_id(5), limit=2), [4, 3], id="next-page"),
            pytest.param(
                ExecutionQuery(account="default", before=sequential_id(4), states=(RUNNING,)),
                [2],
                id="everything",
            ),
            pytest.param(ExecutionQuery(account="nobody"), [], id="none"),
        ],
    )
    def test_list_returns_a_page_newest_first(
        self, use: Use, query: ExecutionQuery, numbers: list[int]
    ) -> None:
        """Every filter narrows the page, and nothing is in it that may be large."""
        cases = [
            (1, BACKUP, SUCCEEDED),
            (2, FlowKey("default", "alert"), RUNNING),
            (3, OTHER, FAILED),
            (4, BACKUP, SUCCEEDED),
            (5, FlowKey("default", "alert"), RUNNING),
            (6, OTHER, FAILED),
        ]

        async def body(storage: Storage) -> None:
            for number, flow, state in cases:
                execution = make_execution(number, flow=flow, state=state, payload=b"body")
                cause = replace(execution.cause, context={"headers": {"a": "b"}})
                execution = replace(execution, cause=cause, inputs={"x": 1})
                await storage.executions.create(execution)
                await storage.executions.update(replace(execution, outputs={"rows": number}))
            found = await storage.executions.list(query)
            assert [each.id for each in found] == [sequential_id(number) for number in numbers]
            assert all(each.cause.payload is None for each in found)
            assert all(each.outputs is None for each in found)
            assert all(each.cause.context == each.inputs == {} for each in found)

        use(body)

    def test_inputs_are_returned_as_far_as_they_fit(self, use: Use) -> None:
        """They come in the order asked for and end with those that reach the bound."""
        ids = [sequential_id(number) for number in (3, 9, 2, 1)]

        async def body(storage: Storage) -> None:
            for number in (1, 2, 3):
                execution = replace(make_execution(number), inputs={"text": str(number) * 1000})
                await storage.executions.create(execution)
            inputs = storage.executions.inputs
            assert list(await inputs(ids, most_bytes=10_000)) == [ids[0], *ids[2:]]
            assert await inputs(ids, most_bytes=1) == {ids[0]: {"text": "3" * 1000}}
            assert list(await inputs(ids, most_bytes=1_100)) == [ids[0], ids[2]]
            assert await inputs([], most_bytes=1) == {}

        use(body)

    def test_unfinished_are_returned_oldest_first_with_payload(self, use: Use) -> None:
        """Queued and running executions come back whole."""
        states = [RUNNING, SUCCEEDED, ExecutionState.QUEUED, ExecutionState.CANCELLED]
        every = [
            make_execution(number, state=state, payload=b"body")
            for number, state in enumerate(states, start=1)
        ]

        async def body(storage: Storage) -> None:
            for execution in reversed(every):
                await storage.executions.create(execution)
            assert await storage.executions.unfinished() == [every[0], every[2]]

        use(body)

    def test_find_answers_by_key_and_age(self, use: Use) -> None:
        """A key is found if its execution was created at or after the moment asked for."""

        async def body(storage: Storage) -> None:
            await storage.executions.create(make_execution(1, start_key="k"))
            find = storage.executions.find
            assert await find("k") == sequential_id(1)
            assert await find("k", since=minutes(1)) == sequential_id(1)
            assert await find("k", since=minutes(2)) is None
            assert await find("other") is None

        use(body)

    def test_find_takes_the_first_of_several_keys_that_fits(self, use: Use) -> None:
        """Of several keys the first one counts whose execution is not too old."""

        async def body(storage: Storage) -> None:
            await storage.executions.create(make_execution(1, start_key="old"))
            await storage.executions.create(make_execution(2, start_key="new"))
            find = storage.executions.find
            assert await find("other", "new", "old") == sequential_id(2)
            assert await find("old", "new") == sequential_id(1)
            assert await find("old", "new", since=minutes(2)) == sequential_id(2)
            assert await find("old", "other", since=minutes(2)) is None

        use(body)

    def test_last_of_each_is_the_newest_that_ended(self, use: Use) -> None:
        """Per flow and account, unfinished ones and flows without an ended one left out."""
        cases = [
            (1, BACKUP, SUCCEEDED),
            (2, OTHER, SUCCEEDED),
            (3, BACKUP, FAILED),
            (4, BACKUP, RUNNING),
            (5, FlowKey("default", "waiting"), ExecutionState.QUEUED),
            (6, FlowKey("default", "zz"), FAILED),
        ]

        async def body(storage: Storage) -> None:
            assert await storage.executions.last_of_each() == {}
            for number, flow, state in cases:
                execution = make_execution(number, flow=flow, state=state, payload=b"body")
                await storage.executions.create(execution)
            assert await storage.executions.last_of_each() == {
                BACKUP: make_execution(3, state=FAILED),
                OTHER: make_execution(2, flow=OTHER, state=SUCCEEDED),
                FlowKey("default", "zz"): make_execution(
                    6, flow=FlowKey("default", "zz"), state=FAILED
                ),
            }

        use(body)

    def test_accepted_execution_survives_a_crash(
        self, crash_and_use: Callable[[Body, Body], None]
    ) -> None:
        """What `create` answered is there, payload and cursor with it."""
        execution = make_execution(start_key="k", payload=b"body")

        async def before(storage: Storage) -> None:
            await storage.executions.create(execution, cursor=(NIGHTLY, minutes(3)))

        async def after(storage: Storage) -> None:
            assert await storage.executions.unfinished() == [execution]
            assert await storage.slots.cursor(NIGHTLY) == minutes(3)
            assert not (await storage.executions.create(make_execution(2, start_key="k"))).created

        crash_and_use(before, after)


class TestLife:
    def test_store_that_keeps_its_writes_is_healthy(self, use: Use) -> None:
        """Before and after a write, and after one that was refused for its own fault."""

        async def body(storage: Storage) -> None:
            assert storage.health.state.is_healthy
            await storage.executions.create(make_execution())
            again = storage.executions.create(make_execution())
            assert await refused(again) == "storage.conflict"
            await storage.check()
            assert storage.health.state.is_healthy

        use(body)

    def test_backup_is_a_file_or_refused(self, use: Use) -> None:
        """A backend with a disk makes one and knows when; one without says that it cannot."""

        async def body(storage: Storage) -> None:
            assert await storage.last_backup() is None
            made = asyncio.ensure_future(storage.backup())
            await asyncio.wait([made])
            last = await storage.last_backup()
            failure = made.exception()
            if isinstance(failure, StorageError):
                assert (failure.code, last) == ("storage.no_backup", None)
            else:
                assert made.result().exists()
                assert last is not None

        use(body)

    def test_state_of_its_own_was_not_restored(self, use: Use) -> None:
        """There is nothing to acknowledge, and to do so is no error."""

        async def body(storage: Storage) -> None:
            assert await storage.restored() is None
            await storage.acknowledge_restored()
            assert await storage.restored() is None

        use(body)


class TestJournal:
    def test_attempt_is_running_from_begin_to_finish(self, use: Use) -> None:
        """Begun it is among the running; finished it has its end, and its node is recorded."""
        execution = make_execution()
        ended = replace(
            make_attempt(execution.id, state=AttemptState.FAILED),
            reason="exit_code",
            exit_code=3,
            error=Failure(code="node.exit", message="exit code 3", details={"code": 3}),
        )
        node = replace(
            make_node(execution.id, state=NodeState.FAILED, outputs={"rows": [1, 2.5, None]}),
            reason="exit_code",
            error=ended.error,
        )

        async def body(storage: Storage) -> None:
            await storage.executions.create(execution)
            await storage.journal.begin(make_attempt(execution.id))
            assert await storage.journal.running() == [make_attempt(execution.id)]
            assert await storage.journal.nodes(execution.id) == []
            await storage.journal.finish(ended, node)
            assert await storage.journal.running() == []
            assert await storage.journal.attempts(execution.id) == [ended]
            assert await storage.journal.nodes(execution.id) == [node]

        use(body)

    def test_begin_is_refused_when_the_attempt_is_known(self, use: Use) -> None:
        """One key is one attempt."""
        execution = make_execution()

        async def body(storage: Storage) -> None:
            await storage.executions.create(execution)
            await storage.journal.begin(make_attempt(execution.id))
            again = storage.journal.begin(make_attempt(execution.id))
            assert await refused(again) == "storage.conflict"

        use(body)

    def test_writes_are_refused_when_the_execution_is_unknown(self, use: Use) -> None:
        """No journal without its execution, and of several nodes none is kept."""
        known, unknown = sequential_id(1), sequential_id(2)

        async def body(storage: Storage) -> None:
            await storage.executions.create(make_execution(1))
            journal = storage.journal
            assert await refused(journal.begin(make_attempt(unknown))) == "storage.conflict"
            assert await refused(journal.finish(make_attempt(unknown))) == "storage.conflict"
            both = [make_node(known), make_node(unknown)]
            assert await refused(journal.settle(both)) == "storage.conflict"
            assert await journal.nodes(known) == []

        use(body)

    def test_finish_creates_the_attempt_that_was_not_begun(self, use: Use) -> None:
        """A node without side effects is journaled once, at its end."""
        execution = make_execution()
        attempt = make_attempt(execution.id, state=AttemptState.SUCCEEDED)

        async def body(storage: Storage) -> None:
            await storage.executions.create(execution)
            await storage.journal.finish(attempt)
            assert await storage.journal.attempts(execution.id) == [attempt]
            assert await storage.journal.nodes(execution.id) == []

        use(body)

    def test_attempts_come_in_order_of_their_key(self, use: Use) -> None:
        """By node, then item, then number, as numbers."""
        execution = make_execution()
        keys = [("b", 0, 1), ("a", 10, 1), ("a", 2, 10), ("a", 2, 9)]

        async def body(storage: Storage) -> None:
            await storage.executions.create(execution)
            for node, item, number in keys:
                attempt = make_attempt(execution.id, node, item_index=item, number=number)
                await storage.journal.begin(attempt)
            found = await storage.journal.attempts(execution.id)
            assert [each.key[1:] for each in found] == sorted(keys)
            assert await storage.journal.attempts(sequential_id(2)) == []

        use(body)

    def test_ends_of_items_are_kept_with_their_attempts(self, use: Use) -> None:
        """An attempt that decides its item has its outputs; one that another follows has not."""
        execution = make_execution()
        tried, failed, done = (
            make_attempt(execution.id, item_index=item, number=number, state=AttemptState.FAILED)
            for item, number in ((0, 1), (0, 2), (1, 1))
        )
        failed = replace(failed, item_end=ItemEnd())
        done = replace(done, state=AttemptState.SUCCEEDED, item_end=ItemEnd(outputs={"n": [1]}))

        async def body(storage: Storage) -> None:
            await storage.executions.create(execution)
            await storage.journal.begin(make_attempt(execution.id, item_index=1))
            for attempt in (tried, failed, done):
                await storage.journal.finish(attempt)
            assert await storage.journal.attempts(execution.id) == [tried, failed, done]

        use(body)

    def test_nodes_come_in_order_of_their_recording(self, use: Use) -> None:
        """Recorded again, the later record stands in the place of the first."""
        execution = make_execution()
        failed = make_node(execution.id, "b", state=NodeState.FAILED)
        again = make_node(execution.id, "b", outputs="done")
        skipped = [
            make_node(execution.id, name, state=NodeState.SKIPPED) for name in ("d", "a", "c")
        ]

        async def body(storage: Storage) -> None:
            await storage.executions.create(execution)
            await storage.journal.finish(make_attempt(execution.id, "b"), failed)
            await storage.journal.settle(skipped)
            await storage.journal.settle([])
            await storage.journal.settle([again])
            assert await storage.journal.nodes(execution.id) == [again, *skipped]

        use(body)

    def test_writes_are_kept_in_the_order_of_the_calls(self, use: Use) -> None:
        """When a later write is durable, one that nobody awaited yet is durable too."""
        execution = make_execution()

        async def body(storage: Storage) -> None:
            await storage.executions.create(execution)
            started = storage.executions.update(replace(execution, state=RUNNING))
            ended = storage.journal.finish(make_attempt(execution.id, "a"))
            await storage.journal.begin(make_attempt(execution.id, "b"))
            assert started.done()
            assert ended.done()
            await asyncio.gather(started, ended)

        use(body)

    def test_cancelled_wait_does_not_take_the_write_back(self, use: Use) -> None:
        """A write that was called is kept, whatever becomes of its caller."""
        execution = make_execution()

        async def body(storage: Storage) -> None:
            await storage.executions.create(execution)
            storage.journal.begin(make_attempt(execution.id, "a")).cancel()
            await storage.journal.begin(make_attempt(execution.id, "b"))
            found = await storage.journal.attempts(execution.id)
            assert [each.key.node for each in found] == ["a", "b"]

        use(body)

    def test_journal_survives_a_crash(self, crash_and_use: Callable[[Body, Body], None]) -> None:
        """What was begun is running, what was finished has its end, nodes keep their outputs."""
        execution = make_execution()
        ended = make_attempt(execution.id, "a", state=AttemptState.SUCCEEDED)
        node = make_node(execution.id, "a", outputs={"rows": 3})

        async def before(storage: Storage) -> None:
            await storage.executions.create(execution)
            await storage.journal.finish(ended, node)
            await storage.journal.begin(make_attempt(execution.id, "b"))

        async def after(storage: Storage) -> None:
            assert await storage.journal.running() == [make_attempt(execution.id, "b")]
            assert (await storage.journal.attempts(execution.id))[0] == ended
            assert await storage.journal.nodes(execution.id) == [node]

        crash_and_use(before, after)


class TestSlots:
    def test_cursor_begins_where_it_is_opened_first(self, use: Use) -> None:
        """Opening sets an unknown cursor and leaves a known one."""

        async def body(storage: Storage) -> None:
            assert await storage.slots.cursor(NIGHTLY) is None
            assert await storage.slots.open(NIGHTLY, minutes(5)) == minutes(5)
            assert await storage.slots.open(NIGHTLY, minutes(9)) == minutes(5)
            assert await storage.slots.cursor(NIGHTLY) == minutes(5)

        use(body)

    def test_many_are_opened_as_each_alone(self, use: Use) -> None:
        """Known schedules keep their cursors, the others begin where they are told to."""
        many = {
            NIGHTLY._replace(trigger=f"t{number}"): minutes(number + 1) for number in range(1_200)
        }

        first = NIGHTLY._replace(flow=FlowKey(NIGHTLY.flow.account, "a"))
        changed = first._replace(fingerprint="0 4 * * *@UTC")

        async def body(storage: Storage) -> None:
            for known in (NIGHTLY, changed):
                await storage.slots.open(known, minutes(5))
            wanted = {first: minutes(7), NIGHTLY: minutes(9), **many}
            assert await storage.slots.open_all(wanted) == {**wanted, NIGHTLY: minutes(5)}
            assert await storage.slots.open_all({**wanted, changed: minutes(8)}) == {
                **wanted,
                NIGHTLY: minutes(5),
                changed: minutes(5),
            }
            assert await storage.slots.cursor(NIGHTLY._replace(trigger="t1199")) == minutes(1_200)
            assert await storage.slots.open_all({}) == {}
            found = await storage.slots.cursors()
            assert found == {**wanted, NIGHTLY: minutes(5), changed: minutes(5)}

        use(body)

    def test_changed_schedule_has_a_cursor_of_its_own(self, use: Use) -> None:
        """Flow, trigger and fingerprint together name a cursor."""
        others = [
            NIGHTLY._replace(fingerprint="0 4 * * *@UTC"),
            NIGHTLY._replace(trigger="weekly"),
            NIGHTLY._replace(flow=OTHER),
        ]

        async def body(storage: Storage) -> None:
            await storage.slots.open(NIGHTLY, minutes(5))
            assert [await storage.slots.cursor(other) for other in others] == [None] * 3

        use(body)

    def test_forgotten_schedule_begins_anew(self, use: Use) -> None:
        """A cursor that was removed opens where it is asked to."""
        weekly = NIGHTLY._replace(trigger="weekly")

        async def body(storage: Storage) -> None:
            await storage.slots.open(NIGHTLY, minutes(5))
            await storage.slots.open(weekly, minutes(5))
            await storage.slots.forget([NIGHTLY, NIGHTLY._replace(flow=OTHER)], minutes(5))
            assert await storage.slots.cursor(NIGHTLY) is None
            assert await storage.slots.cursor(weekly) == minutes(5)
            assert await storage.slots.open(NIGHTLY, minutes(7)) == minutes(7)

        use(body)

    def test_no_slot_joins_a_row_of_a_forgotten_schedule(self, use: Use) -> None:
        """Rows from before stay, and what comes after begins one of its own."""

        async def body(storage: Storage) -> None:
            await storage.slots.record(make_slots(1, 1))
            await storage.slots.forget([NIGHTLY], minutes(1))
            await storage.slots.record(make_slots(8, 8))
            assert await storage.slots.list(BACKUP) == [make_slots(8, 8), make_slots(1, 1)]

        use(body)

    def test_cursor_later_than_now_is_not_forgotten(self, use: Use) -> None:
        """What was accounted for before the clock was set back is not accounted for again."""

        async def body(storage: Storage) -> None:
            await storage.slots.record(make_slots(1, 5))
            await storage.slots.forget([NIGHTLY], minutes(4))
            assert await storage.slots.open(NIGHTLY, minutes(4)) == minutes(5)
            await storage.slots.record(make_slots(6, 6))
            assert await storage.slots.list(BACKUP) == [make_slots(6, 6), make_slots(1, 5)]

        use(body)

    @pytest.mark.parametrize(
        ("after", "until", "found"),
        [(0, 9, [6, 4, 1]), (1, 5, [6, 4]), (6, 9, []), (0, 0, []), (2, 3, [4]), (0, 1, [1])],
    )
    def test_rows_are_found_by_time(
        self, use: Use, after: int, until: int, found: list[int]
    ) -> None:
        """Rows that reach into an interval are there, the latest first, each with its evidence."""
        other = NIGHTLY._replace(flow=OTHER)
        rows = [
            make_slots(1, 1),
            replace(make_slots(2, 4, reason="if"), digest=Digest("d"), evidence={"if": "false"}),
            make_slots(5, 6),
        ]

        async def body(storage: Storage) -> None:
            for row in [*rows, make_slots(1, 6, schedule=other)]:
                await storage.slots.record(row)
            got = await storage.slots.between(
                BACKUP, after=minutes(after), until=minutes(until), limit=9
            )
            assert got == [row for row in reversed(rows) if row.last in map(minutes, found)]
            one = await storage.slots.between(
                BACKUP, after=minutes(after), until=minutes(until), limit=1
            )
            assert one == got[:1]

        use(body)

    def test_last_instant_is_the_latest_of_all_that_is_recorded(self, use: Use) -> None:
        """Cursors, decisions and the creation of executions all show that it was that late."""

        async def body(storage: Storage) -> None:
            assert await storage.slots.last_instant() is None
            await storage.executions.create(make_execution(1))
            created = (await storage.executions.list(ExecutionQuery()))[0].created_at
            assert await storage.slots.last_instant() == created
            await storage.slots.record(replace(make_slots(1, 1), decided_at=minutes(50)))
            assert await storage.slots.last_instant() == minutes(50)
            await storage.slots.open(NIGHTLY._replace(trigger="other"), minutes(90))
            assert await storage.slots.last_instant() == minutes(90)

        use(body)

    def test_executions_are_found_by_their_slot(self, use: Use) -> None:
        """Of one flow, the latest slot first, and none without a slot."""

        async def body(storage: Storage) -> None:
            for number, at in enumerate((3, None, 1, 2, 4)):
                made = make_execution(number)
                slot = None if at is None else minutes(at)
                kind = "retry" if number == 2 else made.cause.trigger_type
                cause = replace(made.cause, slot_at=slot, trigger_type=kind)
                await storage.executions.create(replace(made, cause=cause, start_key=None))
            found = await storage.executions.of_slots(
                make_execution(9).flow, after=minutes(1), until=minutes(3), limit=9
            )
            assert [each.cause.slot_at for each in found] == [minutes(3), minutes(2)]
            assert not await storage.executions.of_slots(
                OTHER, after=minutes(0), until=minutes(9), limit=9
            )
            retried = await storage.executions.of_slots(
                make_execution(9).flow,
                after=minutes(0),
                until=minutes(9),
                limit=9,
                trigger_type="retry",
            )
            assert [each.cause.slot_at for each in retried] == [minutes(1)]
            first = await storage.executions.of_slots(
                make_execution(9).flow, after=minutes(0), until=minutes(9), limit=1
            )
            assert [each.cause.slot_at for each in first] == [minutes(4)]

        use(body)

    @pytest.mark.parametrize("moved_to", [3, 8], ids=["back", "forward"])
    def test_cursor_never_goes_back(self, use: Use, moved_to: int) -> None:
        """Neither a start nor a record of the past takes accounted slots back."""

        async def body(storage: Storage) -> None:
            await storage.slots.open(NIGHTLY, minutes(5))
            await storage.executions.create(make_execution(1), cursor=(NIGHTLY, minutes(moved_to)))
            assert await storage.slots.cursor(NIGHTLY) == minutes(max(5, moved_to))
            await storage.slots.record(make_slots(1, 1))
            assert await storage.slots.cursor(NIGHTLY) == minutes(max(5, moved_to))

        use(body)

    def test_equal_outcomes_in_a_row_are_one_row(self, use: Use) -> None:
        """The row grows, its first slot stays, and the cursor is at its last."""

        async def body(storage: Storage) -> None:
            await storage.slots.record(make_slots(1, 1))
            await storage.slots.record(make_slots(2, 4))
            assert await storage.slots.list(BACKUP) == [make_slots(1, 4)]
            assert await storage.slots.cursor(NIGHTLY) == minutes(4)

        use(body)

    @pytest.mark.parametrize(
        ("outcome", "reason"),
        [
            pytest.param(SlotOutcome.SKIPPED, "down", id="outcome"),
            pytest.param(SlotOutcome.MISSED, "not_ready", id="reason"),
            pytest.param(SlotOutcome.MISSED, "down", id="digest-or-evidence"),
        ],
    )
    def test_another_outcome_begins_another_row(
        self, use: Use, outcome: SlotOutcome, reason: str
    ) -> None:
        """A row holds one outcome, for one reason, of one version; back to it is another row."""
        rows = [
            replace(make_slots(1, 1), digest=Digest("d")),
            make_slots(2, 2, outcome=outcome, reason=reason),
            replace(make_slots(3, 3), evidence={"by": "x"}),
            make_slots(4, 4),
            replace(make_slots(5, 5), revision=Revision("r")),
        ]

        async def body(storage: Storage) -> None:
            for row in rows:
                await storage.slots.record(row)
            assert await storage.slots.list(BACKUP) == rows[::-1]

        use(body)

    def test_old_rows_go_but_none_that_may_grow(self, use: Use) -> None:
        """Rows from before go, a few at a time; the open one, the young and the cursors stay."""
        other = NIGHTLY._replace(trigger="other")
        down = SlotOutcome.MISSED

        async def body(storage: Storage) -> None:
            await storage.slots.record(replace(make_slots(1, 1), schedule=other))  # still open
            for at in range(1, 6):
                reason = "down" if at % 2 else "late"
                await storage.slots.record(make_slots(at, at, outcome=down, reason=reason))
            assert await storage.slots.prune(minutes(4), limit=2) == 2
            assert await storage.slots.prune(minutes(4), limit=2) == 1
            kept = await storage.slots.list(BACKUP)
            assert [(row.schedule, row.first) for row in kept] == [
                (NIGHTLY, minutes(5)),
                (NIGHTLY, minutes(4)),
                (other, minutes(1)),
            ]
            assert await storage.slots.prune(minutes(9), limit=9) == 1
            assert await storage.slots.cursor(NIGHTLY) == minutes(5)
            await storage.slots.record(replace(make_slots(6, 6), schedule=other))
            assert [row.count for row in await storage.slots.list(BACKUP)][-1] == 2

        use(body)

    def test_start_in_between_begins_another_row(self, use: Use) -> None:
        """A row never spans a slot that started; a start of another schedule does not matter."""
        other = NIGHTLY._replace(trigger="weekly")

        async def body(storage: Storage) -> None:
            await storage.slots.record(make_slots(1, 1))
            await storage.executions.create(make_execution(1), cursor=(other, minutes(2)))
            await storage.slots.record(make_slots(2, 2))
            await storage.executions.create(make_execution(2), cursor=(NIGHTLY, minutes(3)))
            await storage.slots.record(make_slots(4, 4))
            assert await storage.slots.list(BACKUP) == [make_slots(4, 4), make_slots(1, 2)]

        use(body)

    def test_schedules_do_not_join_each_other(self, use: Use) -> None:
        """Rows of two schedules of one flow stay apart, however they alternate."""
        weekly = NIGHTLY._replace(trigger="weekly")

        async def body(storage: Storage) -> None:
            for minute in (1, 2):
                await storage.slots.record(make_slots(minute, minute))
                await storage.slots.record(make_slots(minute, minute, schedule=weekly))
            assert await storage.slots.list(BACKUP) == [
                make_slots(1, 2, schedule=weekly),
                make_slots(1, 2),
            ]

        use(body)

    def test_list_is_of_one_flow_and_bounded(self, use: Use) -> None:
        """Rows of other flows are not in it, and no more than the limit."""
        foreign = ScheduleKey(flow=OTHER, trigger="nightly", fingerprint="f")

        async def body(storage: Storage) -> None:
            await storage.slots.record(make_slots(1, 1, schedule=foreign))
            for minute in range(1, 6):
                await storage.slots.record(make_slots(minute, minute, reason=f"r{minute}"))
            found = await storage.slots.list(BACKUP, limit=2)
            assert [row.reason for row in found] == ["r5", "r4"]

        use(body)

    def test_ledger_survives_a_crash(self, crash_and_use: Callable[[Body, Body], None]) -> None:
        """Rows and cursor are there, and the next slot joins the row from before."""

        async def before(storage: Storage) -> None:
            await storage.slots.record(make_slots(1, 3))

        async def after(storage: Storage) -> None:
            assert await storage.slots.cursor(NIGHTLY) == minutes(3)
            await storage.slots.record(make_slots(4, 4))
            assert await storage.slots.list(BACKUP) == [make_slots(1, 4)]

        crash_and_use(before, after)


class TestPauses:
    def test_record_comes_back_as_it_was_kept(self, use: Use) -> None:
        """Each flow has its latest record, with or without a pause."""
        pause = Pause(at=minutes(1), reason="☃", uid=1000, until=minutes(9), digest=Digest("d"))

        async def body(storage: Storage) -> None:
            assert await storage.pauses.list() == {}
            await storage.pauses.put(BACKUP, PauseRecord(pause=Pause(at=minutes(0))))
            await storage.pauses.put(OTHER, PauseRecord(cleared_at=minutes(2)))
            await storage.pauses.put(BACKUP, PauseRecord(pause=pause, cleared_at=minutes(3)))
            assert await storage.pauses.list() == {
                BACKUP: PauseRecord(pause=pause, cleared_at=minutes(3)),
                OTHER: PauseRecord(cleared_at=minutes(2)),
            }

        use(body)

    def test_deleted_record_is_gone(self, use: Use) -> None:
        """A delete removes the record of one flow; there need not be one."""

        async def body(storage: Storage) -> None:
            await storage.pauses.put(BACKUP, PauseRecord(cleared_at=minutes(2)))
            await storage.pauses.delete(OTHER)
            await storage.pauses.delete(BACKUP)
            await storage.pauses.delete(BACKUP)
            assert await storage.pauses.list() == {}

        use(body)
