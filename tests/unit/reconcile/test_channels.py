"""Flows that name channels: Ready with those in force, which a reload may exchange."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.model.channels import ChannelMap
from flowrunner.model.conditions import ConditionReason, ConditionType, Status
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.history import NoHistory
from flowrunner.reconcile.plan import make_plan
from flowrunner.registry.channels import ChannelRules
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.memory import MemoryStorage
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import FakeSecrets, flow_text, key_of, snapshot
from tests.fakes.inline_threads import run_inline
from tests.fakes.users import FakeUsers

RULE = {"on": ["failed"], "channels": ["oncall"]}
TELL = {"id": "t", "type": "notify", "params": {"channels": ["oncall"], "message": "m"}}
MAIL = {"id": "m", "type": "email", "params": {"channel": "oncall", "subject": "s", "body": "b"}}
FILES = {
    "rule.yaml": flow_text("rule", notify=[RULE]),
    "node.yaml": flow_text("node", nodes=[TELL]),
    "last.yaml": flow_text("last", **{"finally": [TELL]}),
    "mail.yaml": flow_text("mail", nodes=[MAIL]),
    "away.yaml": flow_text("away", nodes=[TELL], runs_on="elsewhere"),
    "none.yaml": flow_text("none"),
}


class Renewals(NoHistory):
    """Remembers which flows got new conditions between passes."""

    def __init__(self) -> None:
        self.flows: list[str] = []

    def renewed(self, entry: FlowEntry, revision: Revision) -> None:
        self.flows.append(entry.key.name)


class World:
    """The flows above under an applier."""

    def __init__(self, **channels: str) -> None:
        self.registry, self.clock, self.history = FlowRegistry(), FakeClock(), Renewals()
        self.applier = Applier(
            self.registry,
            MemoryStorage().flows,
            FakeSecrets(),
            self.clock,
            (),
            users=FakeUsers(),
        )
        self.applier.history = self.history
        self.use(channels)
        self.apply(FILES)

    def use(self, channels: Mapping[str, str]) -> None:
        rules = ChannelRules(channels=ChannelMap(host=channels))
        self.applier.channels.now = rules

    def apply(self, files: Mapping[str, bytes]) -> bool:
        plan = make_plan(snapshot(files), self.registry.entries)
        return run_inline(self.applier.apply(plan))

    @property
    def unready(self) -> dict[str, str]:
        """The flows that may not start, and why."""
        found: dict[str, str] = {}
        for key, entry in self.registry.entries.items():
            ready = entry.condition(ConditionType.READY)
            assert ready is not None
            if ready.status is Status.FALSE:
                assert ready.reason == ConditionReason.CHANNEL_MISSING
                found[key.name] = ready.message
        return found


def test_flow_lacks_what_its_rules_and_nodes_name() -> None:
    """Nodes of `finally` count; flows of other hosts are not asked."""
    lacks = "the settings have no channel 'oncall' for account default"
    assert World().unready == dict.fromkeys(("rule", "node", "last", "mail"), lacks)


def test_channel_that_comes_makes_flows_ready_at_once() -> None:
    """No pass and no edit is needed; what names no channel is not touched."""
    world = World()
    before = world.registry.entries
    world.clock.advance(60)
    world.use({"oncall": "slack"})
    world.applier.channels_changed()
    assert world.unready == {
        "mail": "the settings have no channel 'oncall' of type email: it is of type slack "
        "for account default"
    }
    ready = world.registry.entries[key_of("node")].condition(ConditionType.READY)
    assert ready is not None
    assert ready.last_transition_at == world.clock.now()
    for name in ("none", "away"):
        assert world.registry.entries[key_of(name)] is before[key_of(name)]
    assert sorted(world.history.flows) == ["last", "mail", "node", "rule"]
    world.use({"oncall": "email"})
    world.applier.channels_changed()
    assert world.unready == {}
    assert world.history.flows[4:] == ["mail"]


def test_channel_that_leaves_keeps_flows_from_starting() -> None:
    """The next pass says the same, and changes nothing."""
    world = World(oncall="email")
    assert world.unready == {}
    world.use({})
    world.applier.channels_changed()
    assert sorted(world.unready) == ["last", "mail", "node", "rule"]
    after = world.registry.entries
    assert not world.apply(FILES)
    assert world.registry.entries == after


def test_channels_that_stay_change_nothing() -> None:
    """A reload of other settings leaves every flow as it is."""
    world = World(oncall="email")
    before = world.registry.entries
    world.applier.channels_changed()
    assert world.registry.entries is before
    assert world.history.flows == []


def test_account_has_its_own() -> None:
    """Flows of the account `default` do not see the channels of another."""
    world = World()
    rules = ChannelRules(channels=ChannelMap(of_accounts={"pay": {"oncall": "email"}}))
    world.applier.channels.now = rules
    world.applier.channels_changed()
    assert "node" in world.unready
    assert rules.labels("pay", ["oncall", "gone"]) == ("pay/oncall",)
    assert rules.rules_of(FlowKey("pay", "gone"), world.registry) == ()
