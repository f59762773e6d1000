"""Promises of `flowrunner.reconcile.prune`: a deletion of many waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from flowrunner.errors import RefusedError
from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.plan import Plan
from flowrunner.reconcile.prune import PruneGuard
from flowrunner.registry.entry import FlowEntry, PassResult
from flowrunner.storage.memory_flows import MemoryFlows
from tests.fakes.definitions import COMPILER, broken_text, flow_text, key_of
from tests.fakes.definitions import entries as run_entries
from tests.fakes.inline_threads import run_inline
from tests.unit.reconcile.test_reconciler import ROOT, World

TEN = [f"f{n}" for n in range(10)]


class Pruned(World):
    """A world whose flows can be deleted, whose daemon can be restarted, and that can approve."""

    def __init__(self, flows: int = 10) -> None:
        super().__init__()
        self.fill(f"f{n}" for n in range(flows))
        self.request()

    def fill(self, names: Iterable[str]) -> None:
        for name in names:
            self.put(f"{name}.yaml")

    def delete(self, *names: str) -> PassResult:
        for name in names:
            self.files.remove(ROOT / f"{name}.yaml")
        return self.request()

    def restart(self) -> None:
        """A new daemon: the store is all that it has of the one before."""
        kept = run_inline(self.store.list())
        self.wire()
        found = {}
        for record in kept:
            spec = COMPILER.compile_definition(record.key, record.definition)
            found[record.key] = FlowEntry(
                key=record.key,
                path=record.path,
                spec=spec,
                definition=record.definition,
                revision=record.revision,
                observed_generation=1,
            )
        self.registry.replace(found)

    @property
    def names(self) -> list[str]:
        return [key.name for key in self.registry.entries]

    def held(self) -> Condition:
        kinds = {each.type: each for each in self.registry.source.conditions}
        return kinds[ConditionType.PRUNE_HELD]

    def approve(self, revision: Revision | None = None) -> PassResult:
        hold = self.registry.source.hold
        shown = revision or (hold.revision if hold else Revision(""))
        return run_inline(self.reconciler.allow_prune(shown))


@pytest.fixture
def world() -> Pruned:
    return Pruned()


def is_held(result: PassResult) -> bool:
    return result.result == "held"


# What is held


@pytest.mark.parametrize(
    ("there", "gone", "held"),
    [(10, 6, True), (10, 5, False), (9, 5, True), (5, 4, False), (7, 4, False), (20, 10, False)],
)
def test_more_than_half_and_at_least_five_is_held(there: int, gone: int, *, held: bool) -> None:
    """Half of the flows may leave, and any four."""
    world = Pruned(there)
    result = world.delete(*(f"f{n}" for n in range(gone)))
    assert (is_held(result), len(world.names)) == (held, there if held else there - gone)


def test_a_hold_says_what_and_how(world: Pruned) -> None:
    """The condition has reason, count, some names and the command; the source is read all right."""
    result = world.delete(*TEN[:7])
    held = world.held()
    assert (held.status, held.reason) == (Status.TRUE, ConditionReason.MASS_DELETION)
    assert held.message == (
        "7 of the 10 flows of account default are gone (f0, f1, f2 and 4 more); "
        f"`flowrunner reconcile --allow-prune {result.revision}` approves that"
    )
    assert (result.message, result.removed) == (held.message, 0)
    assert world.source()[:2] == (Status.TRUE, ConditionReason.SOURCE_READ)
    assert world.registry.source.fresh_at == world.clock.monotonic()


def test_the_whole_pass_of_the_account_is_held(world: Pruned) -> None:
    """Nothing that comes or changes beside a mass deletion comes into force."""
    before = dict(world.registry.entries)
    world.put("new.yaml")
    world.put("f9.yaml", flow_text("f9", description="edited"))
    world.delete(*TEN[:6])
    assert dict(world.registry.entries) == before
    assert run_inline(world.store.get(key_of("new"))) is None


def test_other_accounts_go_on() -> None:
    """Judged is each account by its own flows, and the others of the plan are carried out."""
    guard = PruneGuard(MemoryFlows())
    spec = run_entries({"a.yaml": flow_text("a")})[key_of("a")].spec
    keys = [FlowKey(account, name) for account in ("one", "two") for name in TEN]
    observed = {key: FlowEntry(key=key, path=key.name, spec=spec) for key in keys}
    removed = frozenset(key for key in keys if key.account == "one") | {keys[-1]}
    entries = {key: entry for key, entry in observed.items() if key not in removed}
    plan = Plan(entries=entries, removed=removed)
    judged = run_inline(guard.judge(plan, observed, Revision("r2")))
    assert judged.plan.removed == {keys[-1]}
    assert dict(judged.plan.entries) == {key: observed[key] for key in keys[:-1]}
    assert judged.hold is not None
    assert {key.account for key in judged.hold.flows} == {"one"}


def test_flows_that_never_were_valid_are_no_loss(world: Pruned) -> None:
    """Broken files that go away count neither as what was there nor as what is gone."""
    broken = [f"b{n}" for n in range(20)]
    for name in broken:
        world.put(f"{name}.yaml", broken_text(name))
    world.request()
    assert not is_held(world.delete(*broken))
    assert world.names == TEN


def test_files_that_come_back_end_the_hold(world: Pruned) -> None:
    """Nothing has changed in between, and nothing is left of it."""
    world.delete(*TEN[:6])
    world.fill(TEN[:6])
    assert world.request().result == "unchanged"
    assert (world.held().status, world.held().reason) == (
        Status.FALSE,
        ConditionReason.NOTHING_HELD,
    )
    assert run_inline(world.store.left()) == frozenset()


def test_a_hold_stays_through_passes_over_the_same_source(world: Pruned) -> None:
    """A second look at the same files is no approval, and the condition keeps its time."""
    world.delete(*TEN[:6])
    since = world.held().last_transition_at
    world.clock.advance(60)
    assert is_held(world.request())
    assert (world.held().status, world.held().last_transition_at) == (Status.TRUE, since)


# Against what


def test_slow_erosion_is_held(world: Pruned) -> None:
    """A few at a time, each pass below the limit, are many against the approved set."""
    assert not is_held(world.delete(*TEN[:3]))
    assert not is_held(world.delete(*TEN[3:5]))
    assert is_held(world.delete("f5"))
    assert len(world.names) == 5


def test_erosion_is_remembered_over_a_restart(world: Pruned) -> None:
    """A daemon that did not see the first flows leave counts them all the same."""
    world.delete(*TEN[:5])
    world.restart()
    assert is_held(world.delete("f5"))


def test_a_hold_is_found_again_after_a_restart(world: Pruned) -> None:
    """The last good set is armed, and the first pass holds what the last one held."""
    world.delete(*TEN[:8])
    world.restart()
    assert is_held(world.request())
    assert world.names == TEN


def test_flows_that_come_and_go_are_no_erosion(world: Pruned) -> None:
    """A new flow takes the place of one that left, for ever."""
    for n in range(30):
        world.put(f"g{n}.yaml")
        assert not is_held(world.delete(f"g{n - 10}" if n >= 10 else f"f{n}"))
    assert run_inline(world.store.left()) == frozenset()


def test_a_flow_that_comes_back_has_not_left(world: Pruned) -> None:
    """Deleting and restoring the same ones is no erosion."""
    for _ in range(4):
        assert not is_held(world.delete(*TEN[:4]))
        world.fill(TEN[:4])
        world.request()
    assert run_inline(world.store.left()) == frozenset()


def test_what_leaves_is_noted_before_it_leaves(world: Pruned) -> None:
    """If that cannot be written the pass fails and the flows stay."""
    world.store.is_full = True
    assert world.delete("f0").result == "failed"
    assert world.names == TEN


# The approval


def test_an_approval_lets_them_go_for_good(world: Pruned) -> None:
    """What is left is the set that counts from now on."""
    world.delete(*TEN[:7])
    result = world.approve()
    assert (result.result, result.removed, world.names) == ("applied", 7, TEN[7:])
    assert world.held().status is Status.FALSE
    assert run_inline(world.store.left()) == frozenset()
    world.restart()
    assert world.request().result == "applied"
    assert not is_held(world.delete("f7"))


def test_an_approval_covers_earlier_losses(world: Pruned) -> None:
    """Erosion that was approved does not count again."""
    world.delete(*TEN[:5])
    world.delete("f5")
    world.approve()
    assert run_inline(world.store.left()) == frozenset()


def test_an_approval_is_for_what_was_shown(world: Pruned) -> None:
    """When more is gone by then, nothing goes, and the new hold can be approved."""
    world.delete(*TEN[:6])
    shown = world.held().message
    world.files.remove(ROOT / "f6.yaml")
    world.revisions.next = Revision("another")
    with pytest.raises(RefusedError, match="7 of the 10") as refused:
        world.approve()
    assert (refused.value.code, len(world.names)) == ("prune.moved", 10)
    assert world.held().message != shown
    world.approve()
    assert world.names == TEN[7:]


def test_the_same_name_of_another_content_is_not_what_was_shown(world: Pruned) -> None:
    """A worktree has one revision for many contents: what goes beyond the shown flows is held."""
    world.delete(*TEN[:6])
    world.files.remove(ROOT / "f6.yaml")
    with pytest.raises(RefusedError):
        world.approve()
    assert world.names == TEN


def test_an_approval_of_another_revision_is_refused(world: Pruned) -> None:
    """It names what is held instead, and no pass is run."""
    world.delete(*TEN[:6])
    passes = len(world.passes)
    with pytest.raises(RefusedError, match="not old") as refused:
        world.approve(Revision("old"))
    assert (refused.value.code, len(world.passes)) == ("prune.moved", passes)


def test_there_must_be_something_to_approve(world: Pruned) -> None:
    """An approval in advance would approve what nobody has seen."""
    with pytest.raises(RefusedError) as refused:
        world.approve(Revision("stable"))
    assert refused.value.code == "prune.none"
    assert is_held(world.delete(*TEN[:6]))


def test_an_empty_source_can_be_approved() -> None:
    """The last flow can be removed on purpose; until then it stays whatever its number."""
    world = Pruned()
    world.delete(*TEN[:4])
    result = world.delete(*TEN[4:])
    assert (result.result, world.held().reason) == ("held", ConditionReason.SOURCE_EMPTY)
    assert world.source()[:2] == (Status.FALSE, ConditionReason.SOURCE_EMPTY)
    assert world.approve().removed == 6
    assert world.names == []
    assert world.source()[:2] == (Status.TRUE, ConditionReason.SOURCE_READ)
    assert world.held().status is Status.FALSE


def test_an_approval_beside_a_running_pass_waits_for_it(world: Pruned) -> None:
    """One pass at a time: the approval is judged by what the pass before it found."""
    world.delete(*TEN[:6])

    async def both() -> list[object]:
        world.fill(TEN[:6])
        approving = world.reconciler.allow_prune(Revision("stable"))
        return list(
            await asyncio.gather(
                world.reconciler.request("command"), approving, return_exceptions=True
            )
        )

    _, refused = run_inline(both())
    assert isinstance(refused, RefusedError)
    assert (refused.code, world.names) == ("prune.none", TEN)
