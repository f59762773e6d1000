"""Promises of `flowrunner.reconcile.apply`: the store first, then everybody in one turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pytest

from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.ids import FlowKey
from flowrunner.model.pause import Pause
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.history import NoHistory
from flowrunner.reconcile.plan import keep_all, make_plan
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.storage.memory_flows import MemoryFlows
from flowrunner.triggers.dispatcher import ready_spec
from tests.fakes.clock import DEFAULT_START, FakeClock
from tests.fakes.definitions import (
    NOT_YAML,
    FakeSecrets,
    broken_text,
    entry,
    flow_text,
    hook,
    key_of,
    snapshot,
)
from tests.fakes.inline_threads import run_inline
from tests.fakes.users import FakeUsers
from tests.unit.reconcile.sources import Files

A, B = key_of("a"), key_of("b")


class FaultyFlows(MemoryFlows):
    """A store that fails by order, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: set[str] = set()
        self.calls: list[str] = []
        self.sync_s = 0.0
        """Of virtual time."""
        self.meanwhile: Callable[[], None] = lambda: None

    async def put(self, records: Sequence[FlowRecord]) -> None:
        for record in records:
            self._check(f"put {record.key.name}")
            await super().put([record])
            self.calls.append(f"put {record.key.name}")

    async def delete(self, key: FlowKey) -> None:
        self._check(f"delete {key.name}")
        await super().delete(key)
        self.calls.append(f"delete {key.name}")

    async def sync(self) -> None:
        self._check("sync")
        await asyncio.sleep(self.sync_s)
        self.meanwhile()
        self.calls.append("sync")

    def _check(self, call: str) -> None:
        if call in self.fails:
            raise StorageError("no room", code="storage.full")


class Remembers(NoHistory):
    """A history that has told the same of every flow."""

    def __init__(self, told: tuple[Condition, ...]) -> None:
        self._told = told

    def recorded(self, key: FlowKey) -> tuple[Condition, ...]:
        return self._told


class Subscriber:
    """Remembers what it was told, and what the registry said at that moment."""

    def __init__(self, registry: FlowRegistry, calls: list[str]) -> None:
        self.told: list[tuple[Mapping[FlowKey, FlowEntry], frozenset[FlowKey]]] = []
        self.fails = False
        self._registry = registry
        self._calls = calls

    def flows_changed(
        self, entries: Mapping[FlowKey, FlowEntry], removed: frozenset[FlowKey]
    ) -> None:
        if self.fails:
            raise RuntimeError("a subscriber with a fault")
        assert entries is self._registry.entries
        self._calls.append("told")
        self.told.append((entries, removed))


class World:
    """An applier with its surroundings; each `apply` plans the files against the registry."""

    def __init__(self) -> None:
        self.registry = FlowRegistry()
        self.store = FaultyFlows()
        self.secrets = FakeSecrets()
        self.users = FakeUsers()
        self.clock = FakeClock()
        self.subscriber = Subscriber(self.registry, self.store.calls)
        self.restart()

    def restart(self) -> None:
        """Forgets what only memory knew, but for the registry."""
        self.applier = Applier(
            self.registry,
            self.store,
            self.secrets,
            self.clock,
            (self.subscriber,),
            users=self.users,
        )

    def apply(self, files: Files, revision: str = "r1") -> bool:
        plan = make_plan(snapshot(files, revision), self.registry.entries)
        return run_inline(self.applier.apply(plan))

    def record(self, key: FlowKey) -> FlowRecord | None:
        return run_inline(self.store.get(key))

    def condition(self, key: FlowKey, kind: ConditionType) -> tuple[Status, ConditionReason, str]:
        found = self.registry.entries[key].condition(kind)
        assert found is not None
        return (found.status, found.reason, found.message)

    def ready(self, key: FlowKey) -> tuple[Status, ConditionReason]:
        return self.condition(key, ConditionType.READY)[:2]


@pytest.fixture
def world() -> World:
    return World()


# The order


def test_store_is_written_before_anybody_is_told(world: World) -> None:
    """Definitions are kept and durable before the registry and the triggers know them."""
    assert world.apply({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    assert world.store.calls == ["put a", "put b", "sync", "told"]


def test_registry_and_subscribers_change_in_one_turn(world: World) -> None:
    """A subscriber that is told sees the registry it is told of."""
    world.apply({"a.yaml": flow_text("a")})
    entries, removed = world.subscriber.told[0]
    assert list(entries) == [A]
    assert removed == frozenset()


def test_pause_that_comes_while_records_are_brought_to_the_disk_counts(world: World) -> None:
    """What is put in force then says so, though its conditions were worked out before."""

    def pause() -> None:
        world.registry.set_pause(A, Pause(at=DEFAULT_START))
        world.applier.renew_conditions(A)

    world.store.sync_s, world.store.meanwhile = 1.0, pause
    world.apply({"a.yaml": flow_text("a")})
    assert world.condition(A, ConditionType.PAUSED)[0] is Status.TRUE


@pytest.mark.parametrize("fails", [False, True], ids=["meanwhile", "failed"])
def test_pause_before_a_first_look_is_on_disk_tells_nothing_of_it(
    world: World, *, fails: bool
) -> None:
    """A file that was invalid in an earlier life stays so until the version after it is kept."""

    def pause() -> None:
        world.registry.set_pause(A, Pause(at=DEFAULT_START))
        world.applier.renew_conditions(A)
        seen.append(world.condition(A, ConditionType.VALID)[0])

    seen: list[Status] = []
    known = World()
    known.apply({"a.yaml": flow_text("a")})
    known.apply({"a.yaml": broken_text("a")})
    world.apply({"a.yaml": flow_text("a")})
    world.restart()
    world.applier.history = Remembers(known.registry.entries[A].conditions)
    files = {"a.yaml": flow_text("a", description="another")}
    if fails:
        world.store.fails = {"sync"}
        with pytest.raises(StorageError):
            world.apply(files)
        pause()
    else:
        world.store.sync_s, world.store.meanwhile = 1.0, pause
        world.apply(files)
        assert world.condition(A, ConditionType.VALID)[0] is Status.TRUE
    assert seen == [Status.FALSE]


def test_store_fault_changes_nothing(world: World) -> None:
    """A pass whose definitions cannot be kept leaves registry and triggers as they were."""
    world.apply({"a.yaml": flow_text("a")})
    before = world.registry.entries
    world.store.fails = {"put b"}
    with pytest.raises(StorageError):
        world.apply({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    assert world.registry.entries is before
    assert len(world.subscriber.told) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("put b", id="first-record"),
        pytest.param("put c", id="second-record"),
        pytest.param("delete a", id="removal"),
        pytest.param("sync", id="sync"),
    ],
)
def test_next_pass_makes_up_for_a_store_fault(world: World, fault: str) -> None:
    """After a fault in the middle of its writes the same pass succeeds."""
    world.apply({"a.yaml": flow_text("a")})
    files = {"b.yaml": flow_text("b"), "c.yaml": flow_text("c")}
    world.store.fails = {fault}
    with pytest.raises(StorageError):
        world.apply(files)
    world.store.fails = set()
    assert world.apply(files)
    records = run_inline(world.store.list())
    assert [record.key.name for record in records] == ["b", "c"]
    assert [key.name for key in world.registry.entries] == ["b", "c"]


def test_record_of_a_failed_pass_does_not_outlive_it(world: World) -> None:
    """A flow that was kept but never came into force leaves no record when its file goes."""
    world.store.fails = {"sync"}
    with pytest.raises(StorageError):
        world.apply({"a.yaml": flow_text("a")})
    assert world.record(A) is not None
    world.store.fails = set()
    world.apply({})
    assert world.record(A) is None


def test_version_of_a_failed_pass_does_not_outlive_it(world: World) -> None:
    """A version that was kept but never came into force is overwritten when it is taken back."""
    world.apply({"a.yaml": flow_text("a")})
    world.store.fails = {"sync"}
    with pytest.raises(StorageError):
        world.apply({"a.yaml": flow_text("a", description="new")})
    world.store.fails = set()
    world.apply({"a.yaml": flow_text("a")})
    record = world.record(A)
    assert record is not None
    assert "description" not in record.definition


def test_record_in_the_way_is_overwritten(world: World) -> None:
    """A record that could not be read at start does not keep its flow out."""
    world.apply({"a.yaml": flow_text("a")})
    world.registry.replace({})
    assert world.apply({"a.yaml": flow_text("a", description="new")})
    record = world.record(A)
    assert record is not None
    assert record.definition["description"] == "new"


def test_record_removed_by_hand_is_written_again(world: World) -> None:
    """A record that is gone does not keep the new version out."""
    world.apply({"a.yaml": flow_text("a")})
    run_inline(MemoryFlows.delete(world.store, A))
    assert world.apply({"a.yaml": flow_text("a", description="new")})
    assert world.record(A) is not None


def test_failing_subscriber_is_told_again(world: World) -> None:
    """Who failed to take a change in is told in the next pass, also of what has left."""
    world.apply({name: flow_text(name[0]) for name in ("a.yaml", "b.yaml", "c.yaml")})
    world.subscriber.fails = True
    for left in ("bc", "c"):
        with pytest.raises(RuntimeError):
            world.apply({f"{name}.yaml": flow_text(name) for name in left})
    world.subscriber.fails = False
    assert not world.apply({"c.yaml": flow_text("c")})
    entries, removed = world.subscriber.told[-1]
    assert [key.name for key in entries] == ["c"]
    assert removed == {A, B}
    world.apply({"c.yaml": flow_text("c")})
    assert len(world.subscriber.told) == 2


# What is kept


def test_record_is_the_version_in_force(world: World) -> None:
    """A record holds definition, path, revision, digest and generation of the version in force."""
    world.apply({"a.yaml": flow_text("a")})
    record = world.record(A)
    known = world.registry.entries[A]
    assert record is not None
    assert record.definition == known.definition
    assert (record.path, record.revision, record.digest) == ("a.yaml", "r1", known.digest)
    assert (record.generation, record.updated_at) == (1, DEFAULT_START)


def test_broken_version_does_not_touch_the_record(world: World) -> None:
    """What is broken is never kept."""
    world.apply({"a.yaml": flow_text("a")})
    before = world.record(A)
    world.store.calls.clear()
    assert world.apply({"a.yaml": broken_text("a")})
    assert world.store.calls == ["told"]
    assert world.record(A) == before


def test_record_of_a_broken_renamed_file_keeps_its_generation(world: World) -> None:
    """The path of a record follows the file; its generation stays that of its definition."""
    world.apply({"a.yaml": flow_text("a")})
    world.apply({"a.yaml": broken_text("a")})
    world.apply({"b.yaml": broken_text("a")})
    record = world.record(A)
    assert record is not None
    assert (record.path, record.generation) == ("b.yaml", 1)


def test_flow_without_a_version_has_no_record(world: World) -> None:
    """A flow that never was valid is known in memory alone."""
    world.apply({"a.yaml": broken_text("a")})
    assert world.record(A) is None
    assert A in world.registry.entries
    world.apply({})
    assert A not in world.registry.entries


def test_new_version_replaces_the_record(world: World) -> None:
    """An edit is one write."""
    world.apply({"a.yaml": flow_text("a")})
    world.store.calls.clear()
    world.apply({"a.yaml": flow_text("a", description="new")}, "r2")
    assert world.store.calls == ["put a", "sync", "told"]
    record = world.record(A)
    assert record is not None
    assert (record.revision, record.generation) == ("r2", 2)


def test_removed_flow_leaves_no_record(world: World) -> None:
    """A flow that left is gone from the store, and who listens learns its key."""
    world.apply({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    world.store.calls.clear()
    assert world.apply({"b.yaml": flow_text("b")})
    assert world.store.calls == ["delete a", "sync", "told"]
    assert world.subscriber.told[-1][1] == {A}


def test_formatting_is_not_written(world: World) -> None:
    """The same definition in other words costs no write."""
    world.apply({"a.yaml": flow_text("a")})
    world.store.calls.clear()
    world.apply({"a.yaml": b"# a comment\n" + flow_text("a")})
    assert world.store.calls == ["told"]


# What is the same


def test_unchanged_pass_tells_nobody(world: World) -> None:
    """A pass without a difference writes nothing and wakes nobody."""
    files = {"a.yaml": flow_text("a"), "b.yaml": broken_text("b"), "c.yaml": NOT_YAML}
    world.apply(files)
    before = world.registry.entries
    world.store.calls.clear()
    world.clock.advance(60)
    assert not world.apply(files)
    assert world.store.calls == []
    assert world.registry.entries is before


def test_unchanged_entries_are_the_same_objects(world: World) -> None:
    """An edit of one flow leaves the entries of the others untouched."""
    world.apply({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    before = world.registry.entries[B]
    world.clock.advance(60)
    world.apply({"a.yaml": flow_text("a", description="new"), "b.yaml": flow_text("b")})
    assert world.registry.entries[B] is before


def test_first_apply_tells_what_was_there_already(world: World) -> None:
    """What the registry held before the first pass is told once, changed or not."""
    world.registry.replace({A: entry("a")})
    run_inline(world.applier.apply(keep_all(world.registry.entries)))
    assert [list(entries) for entries, _ in world.subscriber.told] == [[A]]


# Secrets


def test_missing_secret_makes_the_flow_not_ready(world: World) -> None:
    """A flow that names a secret this host does not have is not Ready, and says which."""
    world.apply({"a.yaml": flow_text("a", secrets=["KEY", "OTHER"])})
    assert world.registry.entries[A].missing_secrets == ("KEY", "OTHER")
    status, reason, message = world.condition(A, ConditionType.READY)
    assert (status, reason) == (Status.FALSE, ConditionReason.SECRET_MISSING)
    assert message == "this host has no secret KEY, OTHER"
    assert world.condition(A, ConditionType.VALID)[0] is Status.TRUE


def test_missing_flow_makes_the_flow_not_ready(world: World) -> None:
    """One that names a flow that is not there says so, until it is there; its file is valid."""
    call = {"a.yaml": flow_text("a", nodes=[{"id": "x", "type": "flow", "params": {"flow": "b"}}])}
    world.apply(call)
    status, reason, message = world.condition(A, ConditionType.READY)
    assert (status, reason) == (Status.FALSE, ConditionReason.FLOW_MISSING)
    assert "there is no flow 'b'" in message
    assert world.condition(A, ConditionType.VALID)[0] is Status.TRUE
    world.apply({**call, "b.yaml": flow_text("b")})
    assert world.ready(A) == (Status.TRUE, ConditionReason.READY)


def test_secret_that_comes_makes_the_flow_ready(world: World) -> None:
    """The next pass sees a secret that was provided or taken away, though no file changed."""
    files = {"a.yaml": flow_text("a", secrets=["KEY"]), "b.yaml": flow_text("b")}
    world.apply(files)
    world.secrets.texts["KEY"] = "value"
    assert world.apply(files)
    assert world.ready(A) == (Status.TRUE, ConditionReason.READY)
    del world.secrets.texts["KEY"]
    assert run_inline(world.applier.apply(keep_all(world.registry.entries)))
    assert world.ready(A) == (Status.FALSE, ConditionReason.SECRET_MISSING)
    assert world.ready(B) == (Status.TRUE, ConditionReason.READY)


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        pytest.param([], ("NEW", "OLD"), id="none"),
        pytest.param(["OLD"], (), id="the-old-one"),
        pytest.param(["NEW"], (), id="the-new-one"),
        pytest.param(["NEW", "OLD"], (), id="both"),
    ],
)
def test_one_secret_of_a_hook_is_enough(
    world: World, there: list[str], missing: tuple[str, ...]
) -> None:
    """While a hook's secret is changed one of them will do."""
    world.secrets.texts = dict.fromkeys(there, "value")
    world.apply({"a.yaml": flow_text("a", triggers=[hook("push", "NEW", "OLD")])})
    assert world.registry.entries[A].missing_secrets == missing


def test_each_hook_needs_a_secret_of_its_own(world: World) -> None:
    """The secret of one hook does not help another."""
    world.secrets.texts = {"ONE": "value"}
    hooks = [hook("one", "ONE", id="one"), hook("two", "TWO", id="two")]
    world.apply({"a.yaml": flow_text("a", triggers=hooks)})
    assert world.registry.entries[A].missing_secrets == ("TWO",)


# Users


def as_user(name: str, user: str) -> bytes:
    """A flow whose one node runs as a user."""
    return flow_text(name, nodes=[{"id": "a", "run": "id", "user": user}])


def test_refused_user_makes_the_flow_not_ready(world: World) -> None:
    """A flow that names a user as whom nothing can run is not Ready, and its file is valid."""
    world.users.problems["deploy"] = "no"
    world.apply({"a.yaml": as_user("a", "deploy"), "b.yaml": as_user("b", "backup")})
    message = world.condition(A, ConditionType.READY)
    assert message == (Status.FALSE, ConditionReason.USER_NOT_PERMITTED, "no")
    assert world.condition(A, ConditionType.VALID)[0] is Status.TRUE
    assert world.ready(B) == (Status.TRUE, ConditionReason.READY)
    with pytest.raises(RefusedError, match="no") as caught:
        ready_spec(world.registry.entries[A])
    assert caught.value.code == "not_ready"
    assert ready_spec(world.registry.entries[B]).users == ("backup",)


def test_user_that_comes_makes_the_flow_ready(world: World) -> None:
    """The next pass sees it, though no file changed; each user is asked for once."""
    world.users.problems["deploy"] = "no"
    files = {"a.yaml": as_user("a", "deploy"), "b.yaml": as_user("b", "deploy")}
    world.apply(files)
    assert world.users.asked == ["deploy"]
    del world.users.problems["deploy"]
    assert world.apply(files)
    assert world.ready(A) == (Status.TRUE, ConditionReason.READY)


# Conditions


EVERY = [{"type": "schedule", "every": "1h"}]
OFF = {"type": "schedule", "every": "1h", "enabled": False}


@pytest.mark.parametrize(
    ("data", "ready", "valid", "scheduled"),
    [
        pytest.param(flow_text("a"), "Ready", "Valid", "NoSchedule", id="good"),
        pytest.param(flow_text("a", triggers=EVERY), "Ready", "Valid", "Scheduled", id="scheduled"),
        pytest.param(flow_text("a", triggers=[OFF]), "Ready", "Valid", "Disabled", id="disabled"),
        pytest.param(
            flow_text("a", triggers=[{**OFF, "id": "off"}, {**EVERY[0], "id": "on"}]),
            "Ready",
            "Valid",
            "Scheduled",
            id="one-of-two-disabled",
        ),
        pytest.param(broken_text("a"), "Invalid", "Invalid", "NotReady", id="never-valid"),
    ],
)
def test_conditions_tell_the_state(
    world: World, data: bytes, ready: str, valid: str, scheduled: str
) -> None:
    """`Ready`, `Valid` and `Scheduled` say what is true, each with its reason."""
    world.apply({"a.yaml": data})
    found = {c.type: (c.status, c.reason) for c in world.registry.entries[A].conditions}
    assert {kind: str(reason) for kind, (_, reason) in found.items()} == {
        ConditionType.READY: ready,
        ConditionType.VALID: valid,
        ConditionType.SCHEDULED: scheduled,
        ConditionType.SUSPENDED: "NotSuspended",
        ConditionType.PAUSED: "NotPaused",
    }
    true = {"Ready", "Valid", "Scheduled"}
    assert all((status is Status.TRUE) == (reason in true) for status, reason in found.values())


def test_broken_version_is_told_with_its_place(world: World) -> None:
    """`Ready=False` says file, line, column and code; the old schedule stays armed."""
    world.apply({"a.yaml": flow_text("a", triggers=EVERY)})
    world.apply({"a.yaml": b"version: 1\nname: a\nnodes:\n  - {id: only, type: nothing}\n"})
    status, reason, message = world.condition(A, ConditionType.READY)
    assert (status, reason) == (Status.FALSE, ConditionReason.INVALID_NEW_VERSION)
    assert message.startswith("a.yaml:4:")
    assert ": FR305 " in message
    assert world.condition(A, ConditionType.VALID)[0] is Status.FALSE
    assert world.condition(A, ConditionType.SCHEDULED)[0] is Status.TRUE


def test_warning_is_no_error(world: World) -> None:
    """A flow with advice alone is Ready and Valid."""
    triggers = [{"type": "schedule", "cron": "0 3 * * *"}]
    world.apply({"a.yaml": flow_text("a", triggers=triggers)})
    assert world.registry.entries[A].findings
    assert world.ready(A) == (Status.TRUE, ConditionReason.READY)


def test_conflicts_between_files_have_reasons_of_their_own(world: World) -> None:
    """A taken path and a contested name are told apart from a broken file."""
    world.secrets.texts = {"TOKEN": "value"}
    hooked = flow_text("a", triggers=[hook("push")])
    world.apply({"a.yaml": hooked, "b.yaml": flow_text("b", triggers=[hook("push")])})
    assert world.ready(A) == (Status.FALSE, ConditionReason.WEBHOOK_PATH_CLAIMED)
    world.apply({"a.yaml": hooked})
    assert world.ready(A) == (Status.TRUE, ConditionReason.READY)
    world.apply({"x.yaml": flow_text("a"), "y.yaml": flow_text("a")})
    assert world.ready(A) == (Status.FALSE, ConditionReason.DUPLICATE_NAME)


def test_transition_time_changes_with_the_status_alone(world: World) -> None:
    """Another reason or message keeps the time; another status sets it."""

    def since() -> timedelta:
        found = world.registry.entries[A].condition(ConditionType.READY)
        assert found is not None
        return found.last_transition_at - DEFAULT_START

    world.apply({"a.yaml": flow_text("a")})
    world.clock.advance(10)
    world.apply({"a.yaml": flow_text("a", description="new")})
    assert since() == timedelta(0)
    world.clock.advance(10)
    world.apply({"a.yaml": broken_text("a", 1)})
    assert since() == timedelta(seconds=20)
    world.clock.advance(10)
    world.apply({"a.yaml": broken_text("a", 2)})
    assert since() == timedelta(seconds=20)
    world.clock.advance(10)
    world.apply({"a.yaml": flow_text("a")})
    assert since() == timedelta(seconds=40)


def test_first_pass_makes_durable_what_a_killed_daemon_wrote(world: World) -> None:
    """Records of an earlier life are synced once, though the pass finds nothing to write."""
    files: Files = {"a.yaml": flow_text("a")}
    world.apply(files)
    world.restart()
    world.store.calls.clear()

    for _ in range(2):
        world.apply(files)

    assert world.store.calls.count("sync") == 1


def test_start_arms_what_is_kept_though_the_disk_fails(world: World) -> None:
    """Putting in force what is kept already needs no sync; the pass that needs one fails."""
    world.apply({"a.yaml": flow_text("a")})
    world.restart()
    world.store.fails, world.store.calls[:] = {"sync"}, []

    run_inline(world.applier.arm(keep_all(world.registry.entries)))

    assert world.store.calls == ["told"]
    with pytest.raises(StorageError):
        world.apply({"a.yaml": flow_text("a")})
