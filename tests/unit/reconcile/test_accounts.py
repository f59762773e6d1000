"""Accounts in a pass: whose a file is, what that means for names, and for files of nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import RefusedError
from flowrunner.model.accounts import AccountMap
from flowrunner.model.conditions import ConditionReason, ConditionType, Status
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.plan import Plan, keep_all, make_plan
from flowrunner.reconcile.replan import Planner
from flowrunner.reconcile.scan import Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.memory import MemoryStorage
from flowrunner.triggers.dispatcher import ready_spec
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import COMPILER, NOT_YAML, FakeSecrets, flow_text, hook
from tests.fakes.files import FakeFiles
from tests.fakes.inline_threads import run_inline
from tests.fakes.users import FakeUsers
from tests.unit.reconcile.sources import linked

ACCOUNTS = AccountMap(folders={"pay": "payments", "web": "web"})
HINT = "move it into the folder of an account, or map this one in `accounts` of the settings"
COMPOSE = b"services: {}\n"


class Source:
    """Plans one pass after the other with accounts, each applied before the next."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.observed: Mapping[FlowKey, FlowEntry] = {}
        self.account_of = ACCOUNTS.account_of
        self.plan = Plan(entries={})
        if files is not None:
            self.read(files)

    def scan(self, files: Mapping[str, bytes]) -> Snapshot:
        """Reads the files from a folder."""
        tree = FakeFiles()
        tree.make_folder(Path("/flows"))
        for name, data in files.items():
            tree.write(Path("/flows") / name, data)
        account_of = self.account_of
        scanner = Scanner(tree, COMPILER, FolderTrees(tree), FakeClock(), account_of)
        return scanner.scan(Path("/flows"))

    def read(self, files: Mapping[str, bytes]) -> Source:
        self.plan = make_plan(self.scan(files), self.observed)
        self.observed = self.plan.entries
        return self

    @property
    def flows(self) -> dict[str, str]:
        """Key → path of every flow in force."""
        return {str(key): entry.path for key, entry in self.observed.items() if entry.spec}

    @property
    def rejected(self) -> list[tuple[str, str, int | None, int | None, str, str]]:
        return [
            (file.path, each.code, each.line, each.column, each.message, each.hint)
            for file in self.plan.rejected
            for each in file.findings
        ]


def test_first_folder_tells_the_account() -> None:
    """However deep a file lies, its flow belongs to the account of its first folder."""
    files = {"pay/a.yaml": flow_text("a"), "web/x/pay/b.yaml": flow_text("b")}
    assert Source(files).flows == {"payments/a": "pay/a.yaml", "web/b": "web/x/pay/b.yaml"}


def test_names_and_hook_paths_are_those_of_the_account() -> None:
    """Two accounts have flows and hooks of the same names; within one they stay unique."""
    text = flow_text("a", triggers=[hook("in")])
    source = Source({"pay/a.yaml": text, "web/a.yaml": text})
    assert source.flows == {"payments/a": "pay/a.yaml", "web/a": "web/a.yaml"}
    source.read({"pay/a.yaml": text, "web/a.yaml": text, "web/b.yaml": text})
    assert source.flows == {"payments/a": "pay/a.yaml", "web/a": "web/a.yaml"}
    assert [(path, code) for path, code, *_ in source.rejected] == [("web/b.yaml", "FR311")]


def test_flow_of_another_account_is_unknown() -> None:
    """A node starts flows of its own account, so that a name elsewhere is none."""
    source = Source()
    files = [linked("caller", "web/caller.yaml", starts="a"), linked("a", "pay/a.yaml")]
    rehomed = tuple(
        replace(file, account=ACCOUNTS.account_of(file.candidate.file)) for file in files
    )
    plan = make_plan(Snapshot(revision=Revision("r1"), files=rehomed), source.observed)
    (finding,) = plan.entries[FlowKey("web", "caller")].findings
    assert finding.message == "there is no flow 'a' in this account"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        pytest.param("ops/a.yaml", "no account has the folder 'ops'", id="folder"),
        pytest.param("a.yaml", "it lies in no folder", id="root"),
        pytest.param("payments/a.yaml", "no account has the folder 'payments'", id="account-name"),
    ],
)
def test_file_of_no_account_is_not_applied(path: str, where: str) -> None:
    """It is a finding at the top of the file that says what to do, and the others go on."""
    source = Source({path: flow_text("a"), "web/b.yaml": flow_text("b")})
    assert source.flows == {"web/b": "web/b.yaml"}
    message = f"the flow of this file belongs to no account: {where}"
    assert source.rejected == [(path, "FR117", 1, 1, message, HINT)]


def test_unreadable_file_of_no_account_keeps_nothing() -> None:
    """It hides no flow of any account, so that what vanished leaves."""
    source = Source({"web/a.yaml": flow_text("a"), "web/b.yaml": flow_text("b")})
    source.read({"web/b.yaml": flow_text("b"), "x.yaml": NOT_YAML})
    assert source.flows == {"web/b": "web/b.yaml"}
    assert [code for _, code, *_ in source.rejected] == ["FR117"]


def test_foreign_file_is_told_as_what_it_is() -> None:
    """What is no flow at all is no matter of accounts."""
    source = Source({"compose.yaml": COMPOSE, "web/a.yaml": flow_text("a")})
    assert [code for _, code, *_ in source.rejected] == ["FR109"]


def test_unreadable_name_keeps_the_flows_of_its_account_alone() -> None:
    """The file might be any vanished flow of its folder, and none of another one."""
    source = Source({"pay/a.yaml": flow_text("a"), "web/b.yaml": flow_text("b")})
    source.read({"web/broken.yaml": NOT_YAML})
    assert source.flows == {"web/b": "web/b.yaml"}
    (finding,) = source.observed[FlowKey("web", "b")].findings
    assert finding.code == "FR116"


def test_move_between_accounts_is_delete_and_create() -> None:
    """The flow of the old account leaves, and that of the new one begins anew."""
    source = Source({"pay/a.yaml": flow_text("a")})
    source.read({"pay/a.yaml": flow_text("a", description="2")})
    source.read({"web/a.yaml": flow_text("a", description="2")})
    assert source.plan.removed == {FlowKey("payments", "a")}
    assert source.plan.changed == {FlowKey("web", "a")}
    assert source.observed[FlowKey("web", "a")].generation == 1


def test_move_out_of_all_accounts_removes_the_flow() -> None:
    """A flow that belongs to nobody any more does not stay in force."""
    source = Source({"pay/a.yaml": flow_text("a")}).read({"ops/a.yaml": flow_text("a")})
    assert source.flows == {}
    assert source.plan.removed == {FlowKey("payments", "a")}


def test_settings_that_map_another_account_move_its_flows() -> None:
    """The same files under other settings: what was there leaves, though its file stays."""
    source = Source({"pay/a.yaml": flow_text("a"), "pay/b.yaml": NOT_YAML})
    source.account_of = AccountMap(folders={"pay": "shop"}).account_of
    source.read({"pay/a.yaml": flow_text("a"), "pay/b.yaml": NOT_YAML})
    assert source.flows == {"shop/a": "pay/a.yaml"}
    source.account_of = AccountMap(folders={"web": "web"}).account_of
    source.read({"pay/a.yaml": flow_text("a"), "pay/b.yaml": NOT_YAML})
    assert source.flows == {}


def test_defaults_above_and_within_accounts_apply() -> None:
    """What stands at the root reaches every account, what stands in a folder its own."""
    source = Source(
        {
            "_defaults.yaml": b"env: {ALL: '1'}\n",
            "pay/_defaults.yaml": b"env: {PAY: '1'}\n",
            "pay/a.yaml": flow_text("a"),
            "web/b.yaml": flow_text("b"),
        }
    )
    env = {str(key): dict(entry.definition["env"]) for key, entry in source.observed.items()}
    assert env == {"payments/a": {"ALL": "1", "PAY": "1"}, "web/b": {"ALL": "1"}}


def test_edit_within_an_account_takes_the_short_way() -> None:
    """An edit of one file is judged alone, to the same plan as by the long way."""
    source, planner = Source(), Planner()
    first = source.scan({"pay/a.yaml": flow_text("a"), "web/a.yaml": flow_text("a")})
    plan = planner.plan(first, {})
    planner.carried_out(first, plan)
    edited = source.scan(
        {"pay/a.yaml": flow_text("a"), "web/a.yaml": flow_text("a", description="2")}
    )
    files = tuple(
        old if old.content == new.content else new
        for old, new in zip(first.files, edited.files, strict=True)
    )
    edited = replace(edited, files=files)
    short = planner.plan(edited, plan.entries)
    assert short.touched == frozenset({FlowKey("web", "a")})
    assert short.entries == make_plan(edited, plan.entries).entries


# What an account may not


def applied(
    files: Mapping[str, bytes], accounts: AccountMap, secrets: FakeSecrets | None = None
) -> FlowRegistry:
    """Returns the registry after a first pass with these accounts."""
    registry, source = FlowRegistry(), Source()
    source.account_of = accounts.account_of
    applier = Applier(
        registry,
        MemoryStorage().flows,
        secrets or FakeSecrets(),
        FakeClock(),
        (),
        users=FakeUsers(),
        accounts=accounts,
    )
    run_inline(applier.apply(make_plan(source.scan(files), {})))
    return registry


def ready(registry: FlowRegistry, account: str, name: str) -> tuple[Status, str, str]:
    condition = registry.entries[FlowKey(account, name)].condition(ConditionType.READY)
    assert condition is not None
    return (condition.status, condition.reason, condition.message)


WAITS = [{"id": "w", "type": "wait", "timeout": "1m", "params": {"probe": "true", "every": "5s"}}]


@pytest.mark.parametrize(
    ("nodes", "refused"),
    [
        pytest.param([{"id": "a", "run": "true"}], "shell", id="run"),
        pytest.param([{"id": "a", "type": "noop"}], "", id="allowed"),
        pytest.param(
            [{"id": "a", "type": "exec", "params": {"argv": ["true"]}}], "exec", id="exec"
        ),
        pytest.param([{"id": "w", "type": "wait", "params": {"for": "1m"}}], "", id="wait"),
        pytest.param(WAITS, "shell", id="probe"),
    ],
)
def test_node_type_that_an_account_may_not_use_makes_a_flow_not_ready(
    nodes: list[dict[str, object]], refused: str
) -> None:
    """A forbidden type keeps the flow from starting, though its file is valid; others may."""
    node_types = {"web": frozenset({"noop", "wait"})}
    accounts = AccountMap(folders={"pay": "payments", "web": "web"}, node_types=node_types)
    text = flow_text("a", nodes=nodes)
    registry = applied({"pay/a.yaml": text, "web/a.yaml": text}, accounts)
    assert ready(registry, "payments", "a")[0] is Status.TRUE
    entry = registry.entries[FlowKey("web", "a")]
    valid = entry.condition(ConditionType.VALID)
    assert valid is not None
    assert valid.status is Status.TRUE
    if not refused:
        assert ready(registry, "web", "a")[0] is Status.TRUE
        return
    message = f"account web may not use the node type {refused}"
    reason = ConditionReason.NODE_TYPE_NOT_PERMITTED
    assert ready(registry, "web", "a") == (Status.FALSE, reason, message)
    with pytest.raises(RefusedError, match=message) as caught:
        ready_spec(entry)
    assert caught.value.code == "not_ready"


def test_type_within_finally_counts() -> None:
    """A forbidden type is one wherever it stands."""
    accounts = AccountMap(folders={"web": "web"}, node_types={"web": frozenset({"noop"})})
    text = flow_text("a", **{"finally": [{"id": "z", "run": "true"}]})
    registry = applied({"web/a.yaml": text}, accounts)
    assert ready(registry, "web", "a")[1] == ConditionReason.NODE_TYPE_NOT_PERMITTED


def test_flow_of_an_account_that_is_gone_does_not_start() -> None:
    """Until a pass has read the source, what is in force from before may not start."""
    registry = applied({"a.yaml": flow_text("a")}, AccountMap())
    before = registry.entries
    applier = Applier(
        registry, MemoryStorage().flows, FakeSecrets(), FakeClock(), (), accounts=ACCOUNTS
    )
    run_inline(applier.arm(keep_all(before)))
    message = "the settings have no account default"
    assert ready(registry, "default", "a") == (Status.FALSE, ConditionReason.NO_ACCOUNT, message)


def test_missing_secret_names_the_account() -> None:
    """The same secret may be there for another account, so the condition says whose is missing."""
    secrets = FakeSecrets({"KEY": "value"})
    accounts = AccountMap(folders={"web": "web", "default": "default"})
    text = flow_text("a", secrets=["KEY"])
    registry = applied({"web/a.yaml": text, "default/a.yaml": text}, accounts, secrets)
    assert ready(registry, "default", "a")[0] is Status.TRUE
    message = "account web of this host has no secret KEY"
    assert ready(registry, "web", "a") == (Status.FALSE, ConditionReason.SECRET_MISSING, message)


def test_users_are_asked_for_by_account() -> None:
    """A user of one account is refused to the other, each asked for once."""
    registry, source, users = FlowRegistry(), Source(), FakeUsers()
    users.problems["web/deploy"] = "not for web"
    applier = Applier(
        registry,
        MemoryStorage().flows,
        FakeSecrets(),
        FakeClock(),
        (),
        users=users,
        accounts=ACCOUNTS,
    )
    text = flow_text("a", nodes=[{"id": "a", "run": "id", "user": "deploy"}])
    run_inline(applier.apply(make_plan(source.scan({"pay/a.yaml": text, "web/a.yaml": text}), {})))
    assert ready(registry, "payments", "a")[0] is Status.TRUE
    reason = ConditionReason.USER_NOT_PERMITTED
    assert ready(registry, "web", "a") == (Status.FALSE, reason, "not for web")


def test_without_accounts_all_is_default() -> None:
    """The key of a file in any folder is that of the account `default`."""
    source = Source()
    source.account_of = AccountMap().account_of
    assert source.read({"pay/a.yaml": flow_text("a")}).flows == {"default/a": "pay/a.yaml"}
