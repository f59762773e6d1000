"""Promises of `flowrunner.reconcile.plan`: what a snapshot means against what is in force."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from flowrunner.definitions import codes
from flowrunner.reconcile.plan import keep_all, make_plan
from tests.fakes.definitions import NOT_YAML, broken_text, flow_text, key_of, snapshot
from tests.unit.reconcile.sources import Source, found_codes, names, rejected, unread

A, B = key_of("a"), key_of("b")
WARNED = {"triggers": [{"type": "schedule", "cron": "0 3 * * *"}]}
"""A fixed hour without a zone: a warning, and no error."""


# Coming, changing, going


def test_new_file_adds_its_flow() -> None:
    """A valid file of an unknown name is a new flow of generation 1, in force at this revision."""
    plan = Source().plan({"a.yaml": flow_text("a")})
    entry = plan.entries[key_of("a")]
    assert names(plan.changed) == ["a"]
    assert (entry.path, entry.revision) == ("a.yaml", "r1")
    assert (entry.generation, entry.observed_generation) == (1, 1)
    assert entry.spec is not None
    assert entry.definition["name"] == "a"


def test_unchanged_file_changes_nothing() -> None:
    """A second look at the same source gives the same objects."""
    source = Source({"a.yaml": flow_text("a"), "b.yaml": broken_text("b")})
    before = dict(source.observed)
    plan = source.plan({"a.yaml": flow_text("a"), "b.yaml": broken_text("b")})
    assert not plan.changed
    assert not plan.removed
    assert all(plan.entries[key] is entry for key, entry in before.items())


def test_edit_brings_the_new_version_into_force() -> None:
    """A changed definition is in force at the revision of this pass, under a new generation."""
    source = Source({"a.yaml": flow_text("a")})
    plan = source.plan({"a.yaml": flow_text("a", description="new")})
    entry = source.entry("a")
    assert names(plan.changed) == ["a"]
    assert entry.definition["description"] == "new"
    assert (entry.revision, source.counts("a")) == ("r2", (2, 2))


def test_revert_counts_anew() -> None:
    """An older definition that comes back is in force since it came back."""
    first, second = flow_text("a"), flow_text("a", description="new")
    source = Source({"a.yaml": first})
    source.plan({"a.yaml": second})
    source.plan({"a.yaml": first})
    assert (source.entry("a").revision, source.counts("a")) == ("r3", (3, 3))


@pytest.mark.parametrize(
    "top", [pytest.param({}, id="clean"), pytest.param(WARNED, id="with-a-warning")]
)
def test_formatting_changes_nothing(top: Mapping[str, object]) -> None:
    """The same definition in other words keeps version, revision and generation."""
    source = Source({"a.yaml": flow_text("a", **top)})
    before = source.entry("a")
    plan = source.plan({"a.yaml": b"# a comment\n" + flow_text("a", **top)})
    after = source.entry("a")
    assert not plan.changed
    assert after.spec is before.spec
    assert (after.revision, source.counts("a")) == ("r1", (1, 1))


def test_formatting_moves_findings() -> None:
    """Findings always speak of the file as it is now."""
    source = Source({"a.yaml": flow_text("a", **WARNED)})
    source.plan({"a.yaml": b"# a comment\n" + flow_text("a", **WARNED)})
    (finding,) = source.entry("a").findings
    assert finding.line == 2


def test_vanished_file_removes_its_flow() -> None:
    """A flow whose file is gone leaves; the others stay untouched."""
    source = Source({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    before = source.entry("b")
    plan = source.plan({"b.yaml": flow_text("b")})
    assert names(plan.removed) == ["a"]
    assert names(plan.entries) == ["b"]
    assert plan.entries[key_of("b")] is before


def test_renamed_file_keeps_the_flow() -> None:
    """The name is the identity: a renamed file keeps version, revision and generation."""
    source = Source({"a.yaml": flow_text("a")})
    before = source.entry("a")
    plan = source.plan({"sub/b.yaml": flow_text("a")})
    after = source.entry("a")
    assert not plan.changed
    assert not plan.removed
    assert (after.path, after.revision, source.counts("a")) == ("sub/b.yaml", "r1", (1, 1))
    assert after.spec is before.spec


def test_other_name_is_another_flow() -> None:
    """A file that takes another name removes one flow and adds one."""
    source = Source({"a.yaml": flow_text("a")})
    plan = source.plan({"a.yaml": flow_text("b")})
    assert (names(plan.removed), names(plan.entries)) == (["a"], ["b"])


def test_files_may_swap_their_names() -> None:
    """Names are judged over the whole source: a swap is two renames and no duplicate."""
    source = Source({"1.yaml": flow_text("a"), "2.yaml": flow_text("b")})
    plan = source.plan({"1.yaml": flow_text("b"), "2.yaml": flow_text("a")})
    assert not plan.rejected
    assert not plan.changed
    assert (source.path("a"), source.path("b")) == ("2.yaml", "1.yaml")


def test_files_may_swap_names_and_change() -> None:
    """A swap together with an edit is both."""
    source = Source({"1.yaml": flow_text("a"), "2.yaml": flow_text("b")})
    plan = source.plan({"1.yaml": flow_text("b", description="new"), "2.yaml": flow_text("a")})
    assert names(plan.changed) == ["b"]
    assert not plan.rejected


# Invalid files


def test_invalid_new_version_keeps_the_last_good_one() -> None:
    """A broken edit leaves the version in force, with the findings and a generation ahead."""
    source = Source({"a.yaml": flow_text("a")})
    before = source.entry("a")
    plan = source.plan({"a.yaml": broken_text("a")})
    after = source.entry("a")
    assert not plan.changed
    assert after.spec is before.spec
    assert after.revision == "r1"
    assert source.counts("a") == (2, 1)
    assert any(finding.is_error for finding in after.findings)


def test_each_broken_content_is_a_generation() -> None:
    """A generation counts contents: seen again it is the same, another one is the next."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"a.yaml": broken_text("a", 1)})
    source.plan({"a.yaml": broken_text("a", 1)})
    assert source.counts("a") == (2, 1)
    source.plan({"a.yaml": broken_text("a", 2)})
    assert source.counts("a") == (3, 1)


def test_correction_brings_the_flow_forward() -> None:
    """After a broken version the corrected one is in force, and no finding stays."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"a.yaml": broken_text("a")})
    source.plan({"a.yaml": flow_text("a", description="good")})
    assert source.counts("a") == (3, 3)
    assert not source.entry("a").findings


def test_return_to_the_version_in_force_keeps_its_revision() -> None:
    """After a broken version the old one comes back: it never was out of force."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"a.yaml": broken_text("a")})
    plan = source.plan({"a.yaml": flow_text("a")})
    assert not plan.changed
    assert (source.entry("a").revision, source.counts("a")) == ("r1", (3, 3))
    assert not source.entry("a").findings


def test_flow_that_never_was_valid_is_known_without_a_version() -> None:
    """A new broken file with a readable name is a flow with findings and nothing in force."""
    source = Source()
    plan = source.plan({"a.yaml": broken_text("a")})
    assert source.entry("a").spec is None
    assert source.counts("a") == (1, 0)
    assert not plan.changed
    assert plan.errors == 1
    source.plan({"a.yaml": flow_text("a")})
    assert source.counts("a") == (2, 2)


def test_broken_file_may_be_renamed() -> None:
    """A rename of a broken file is no new content and no other flow."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"a.yaml": broken_text("a")})
    source.plan({"b.yaml": broken_text("a")})
    assert (source.path("a"), source.counts("a")) == ("b.yaml", (2, 1))
    assert {finding.file for finding in source.entry("a").findings} == {"b.yaml"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(NOT_YAML, id="broken-yaml"),
        pytest.param(b"version: 1\nnodes: []\n", id="no-name"),
        pytest.param(b"version: 1\nname: Not Good\nnodes: []\n", id="malformed-name"),
        pytest.param(b"services: {}\n", id="no-flow-at-all"),
        pytest.param(b"", id="empty"),
        pytest.param(b"version: 1\nname: b\nname: c\nnodes: []\n", id="name-twice"),
    ],
)
def test_nameless_file_stands_for_the_flow_it_held(data: bytes) -> None:
    """A file whose name cannot be read any more keeps its flow on the last good version."""
    source = Source({"a.yaml": flow_text("a")})
    plan = source.plan({"a.yaml": data})
    assert not plan.removed
    assert not plan.rejected
    assert source.entry("a").spec is not None
    assert source.counts("a") == (2, 1)


def test_nameless_file_of_no_flow_is_rejected() -> None:
    """A new file without a readable name is reported by its path."""
    plan = Source().plan({"a.yaml": NOT_YAML})
    assert rejected(plan) == {"a.yaml": ["FR101"]}
    assert not plan.entries


def test_unreadable_file_is_no_new_generation() -> None:
    """Without content nothing new was seen: the flow stays as it is, with the finding."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({}, unread("a.yaml"))
    assert source.counts("a") == (1, 1)
    assert found_codes(source.entry("a")) == ["FR110"]
    source.plan({}, unread("a.yaml", codes.TOO_LARGE))
    assert found_codes(source.entry("a")) == ["FR106"]
    source.plan({"a.yaml": flow_text("a")})
    assert source.counts("a") == (1, 1)
    assert not source.entry("a").findings


def test_unreadable_broken_file_is_the_same_generation_again() -> None:
    """A broken file that was unreadable for a while is not counted twice."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"a.yaml": broken_text("a")})
    source.plan({}, unread("a.yaml"))
    source.plan({"a.yaml": broken_text("a")})
    assert source.counts("a") == (2, 1)


# What cannot be told


def test_nothing_is_removed_while_a_name_cannot_be_read() -> None:
    """A new nameless file might be the flow that vanished in the same pass."""
    source = Source({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    before = dict(source.observed)
    plan = source.plan({"b.yaml": flow_text("b"), "moved.yaml": NOT_YAML})
    assert not plan.removed
    assert not plan.changed
    assert plan.entries[B] is before[B]
    assert plan.entries[A].spec is before[A].spec
    assert rejected(plan) == {"moved.yaml": ["FR101"]}


def test_kept_flow_says_which_file_keeps_it() -> None:
    """The flow names its own file, which is gone, and the one that might be it."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"y.yaml": NOT_YAML, "x.yaml": NOT_YAML, "z.yaml": NOT_YAML})
    (finding,) = source.entry("a").findings
    assert (finding.file, finding.code) == ("a.yaml", codes.UNIDENTIFIED_FILE.code)
    assert "x.yaml and 2 more" in finding.message


def test_kept_flow_is_clean_again_once_its_file_is_back() -> None:
    """The same file at its old place is the same flow, without a finding or a new generation."""
    source = Source({"a.yaml": flow_text("a")})
    before = source.entry("a")
    source.plan({"x.yaml": NOT_YAML})
    plan = source.plan({"a.yaml": flow_text("a")})
    assert not plan.changed
    assert source.entry("a") == before


def test_flow_kept_for_long_stays_the_same() -> None:
    """Another pass over the same doubtful source changes nothing."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"x.yaml": NOT_YAML})
    before = dict(source.observed)
    assert source.plan({"x.yaml": NOT_YAML}).entries == before


def test_removal_follows_once_all_names_can_be_read() -> None:
    """What vanished is removed in the first pass that can tell."""
    source = Source({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    source.plan({"b.yaml": flow_text("b"), "c.yaml": NOT_YAML})
    plan = source.plan({"b.yaml": flow_text("b"), "c.yaml": flow_text("c")})
    assert names(plan.removed) == ["a"]
    assert names(plan.entries) == ["b", "c"]


def test_nameless_file_turns_out_to_be_the_vanished_flow() -> None:
    """A renamed and broken file is the same flow again once it is corrected."""
    source = Source({"a.yaml": flow_text("a")})
    before = source.entry("a")
    source.plan({"moved.yaml": NOT_YAML})
    plan = source.plan({"moved.yaml": flow_text("a")})
    assert not plan.changed
    assert (source.path("a"), source.entry("a").spec) == ("moved.yaml", before.spec)


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "after-a-restart"])
def test_nameless_file_that_held_a_flow_holds_up_removals(*, restarted: bool) -> None:
    """It may hold the one that vanished: moved over its own flow, which was deleted, and broken."""
    source = Source({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    if restarted:
        source.restart()
    plan = source.plan({"b.yaml": NOT_YAML})
    assert not plan.removed
    assert found_codes(source.entry("a")) == [codes.UNIDENTIFIED_FILE.code]
    assert found_codes(source.entry("b")) == [codes.SYNTAX.code]
    plan = source.plan({"b.yaml": flow_text("a")})
    assert (names(plan.removed), names(plan.changed)) == (["b"], [])
    assert source.path("a") == "b.yaml"


def test_broken_file_with_a_name_holds_up_nothing() -> None:
    """A file that still says which flow it is leaves no doubt about the others."""
    source = Source({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    plan = source.plan({"b.yaml": broken_text("b")})
    assert names(plan.removed) == ["a"]


@pytest.mark.parametrize(
    ("text", "is_removed"),
    [
        pytest.param("services: {web: {image: nginx}}", True, id="compose-file"),
        pytest.param("version: '3'\nservices: {}", True, id="compose-file-with-version"),
        pytest.param("- hosts: all", True, id="list"),
        pytest.param("replicas: 3", True, id="values"),
        pytest.param("", False, id="empty"),
        pytest.param("version: 1", False, id="cut-short"),
        pytest.param("name: a\nnodse: []", False, id="misspelt"),
    ],
)
def test_file_that_is_something_else_holds_up_nothing(text: str, *, is_removed: bool) -> None:
    """A whole document of another kind hides no flow; what may be part of one does."""
    source = Source({"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    plan = source.plan({"b.yaml": flow_text("b"), "other.yaml": text.encode()})
    assert names(plan.removed) == (["a"] if is_removed else [])


def test_kept_flow_is_not_lost_when_its_old_path_breaks() -> None:
    """A flow kept for want of a name outlives a broken file, as the flow at its path does."""
    source = Source({"1.yaml": flow_text("old")})
    source.plan({"1.yaml": flow_text("new"), "2.yaml": NOT_YAML})
    assert names(source.observed) == ["new", "old"]
    plan = source.plan({"1.yaml": NOT_YAML})
    assert not plan.removed
    assert names(plan.entries) == ["new", "old"]


# Names claimed twice


def test_incumbent_keeps_its_name() -> None:
    """A second file of a name is rejected and names the first, whatever their order."""
    source = Source({"m.yaml": flow_text("a")})
    before = source.entry("a")
    for newcomer in ("b.yaml", "z.yaml"):
        plan = source.plan({"m.yaml": flow_text("a"), newcomer: flow_text("a", description="copy")})
        assert rejected(plan) == {newcomer: [codes.DUPLICATE_FLOW.code]}
        assert "m.yaml" in plan.rejected[0].findings[0].message
        assert plan.entries[key_of("a")] is before


def test_incumbent_may_be_edited_beside_a_newcomer() -> None:
    """The incumbent's own changes go on, also to a broken version."""
    source = Source({"m.yaml": flow_text("a")})
    newcomer = {"b.yaml": flow_text("a", description="copy")}
    source.plan({"m.yaml": flow_text("a", description="mine"), **newcomer})
    assert source.entry("a").definition["description"] == "mine"
    source.plan({"m.yaml": broken_text("a"), **newcomer})
    assert source.entry("a").definition["description"] == "mine"
    assert source.counts("a") == (3, 2)


def test_newcomer_gets_the_name_when_the_incumbent_leaves() -> None:
    """Once the first file is gone the second one is the flow."""
    source = Source({"m.yaml": flow_text("a")})
    newcomer = {"b.yaml": flow_text("a", description="copy")}
    source.plan({"m.yaml": flow_text("a"), **newcomer})
    plan = source.plan(newcomer)
    assert not plan.removed
    assert source.entry("a").definition["description"] == "copy"
    assert (source.path("a"), source.counts("a")) == ("b.yaml", (2, 2))


def test_without_an_incumbent_nobody_gets_the_name() -> None:
    """Two new files of one name are both rejected, each naming the other."""
    plan = Source().plan({"a.yaml": flow_text("x"), "b.yaml": flow_text("x")})
    assert not plan.entries
    assert rejected(plan) == {path: [codes.DUPLICATE_FLOW.code] for path in ("a.yaml", "b.yaml")}
    assert "b.yaml" in plan.rejected[0].findings[0].message
    assert "a.yaml" in plan.rejected[1].findings[0].message


def test_three_claimants_are_all_named() -> None:
    """With more than two files each rejection names all the others."""
    plan = Source().plan({path: flow_text("x") for path in ("a.yaml", "b.yaml", "c.yaml")})
    assert "b.yaml, c.yaml" in plan.rejected[0].findings[0].message


def test_contested_name_keeps_the_version_in_force() -> None:
    """Two new files instead of the old one: neither is applied, the last good version stays."""
    source = Source({"old.yaml": flow_text("x")})
    before = source.entry("x")
    claims = {"a.yaml": flow_text("x", description="a"), "b.yaml": flow_text("x", description="b")}
    plan = source.plan(claims)
    assert not plan.changed
    assert not plan.removed
    assert source.entry("x").spec is before.spec
    assert set(found_codes(source.entry("x"))) == {codes.DUPLICATE_FLOW.code}
    source.plan({"a.yaml": claims["a.yaml"]})
    assert source.entry("x").definition["description"] == "a"
    assert not source.entry("x").findings


def test_contested_name_is_settled_by_the_old_file() -> None:
    """When the first file comes back the flow is as it was."""
    source = Source({"old.yaml": flow_text("x")})
    before = source.entry("x")
    source.plan({"a.yaml": flow_text("x"), "b.yaml": flow_text("x")})
    source.plan({"old.yaml": flow_text("x")})
    assert source.entry("x") == before


def test_broken_incumbent_keeps_its_name() -> None:
    """A copy does not take the flow over while the name of the first file cannot be read."""
    source = Source({"m.yaml": flow_text("a")})
    before = source.entry("a")
    copy = {"b.yaml": flow_text("a", description="copy")}
    plan = source.plan({"m.yaml": NOT_YAML, **copy})
    assert source.entry("a").spec is before.spec
    assert source.path("a") == "m.yaml"
    assert rejected(plan) == {"b.yaml": [codes.DUPLICATE_FLOW.code]}
    assert plan.rejected[0].findings[0].hint == ("correct that file first: its name cannot be read")
    plan = source.plan({"m.yaml": flow_text("a"), **copy})
    assert source.path("a") == "m.yaml"


def test_nothing_is_removed_when_a_nameless_file_may_have_moved() -> None:
    """A broken file whose flow is claimed elsewhere might hold the flow that vanished."""
    source = Source({"1.yaml": flow_text("a"), "2.yaml": flow_text("b")})
    plan = source.plan({"1.yaml": flow_text("b"), "2.yaml": NOT_YAML})
    assert not plan.removed
    assert names(plan.entries) == ["a", "b"]


# Restarts


def test_restart_changes_nothing() -> None:
    """After a restart the same files keep version, revision and generation."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"a.yaml": flow_text("a", description="new")})
    source.restart()
    plan = source.plan({"a.yaml": flow_text("a", description="new")})
    assert not plan.changed
    assert (source.entry("a").revision, source.counts("a")) == ("r2", (2, 2))


def test_restart_with_a_broken_file_keeps_the_last_good_version() -> None:
    """A broken file is still one generation ahead of the version in force."""
    source = Source({"a.yaml": flow_text("a")})
    source.plan({"a.yaml": broken_text("a")})
    source.restart()
    source.plan({"a.yaml": broken_text("a")})
    assert source.counts("a") == (2, 1)
    assert source.entry("a").spec is not None


def test_restart_counts_from_the_version_in_force() -> None:
    """Broken versions seen before a restart are forgotten: the next content counts from there."""
    source = Source({"a.yaml": flow_text("a")})
    for number in (1, 2, 3):
        source.plan({"a.yaml": broken_text("a", number)})
    assert source.counts("a") == (4, 1)
    source.restart()
    source.plan({"a.yaml": broken_text("a", 3)})
    assert source.counts("a") == (2, 1)


def test_edit_while_down_is_an_edit() -> None:
    """A version that came while the daemon was down is the next generation."""
    source = Source({"a.yaml": flow_text("a")})
    source.restart()
    plan = source.plan({"a.yaml": flow_text("a", description="new")})
    assert names(plan.changed) == ["a"]
    assert (source.entry("a").revision, source.counts("a")) == ("r2", (2, 2))


def test_rename_while_down_keeps_the_flow() -> None:
    """A file renamed while the daemon was down is the same flow."""
    source = Source({"a.yaml": flow_text("a")})
    source.restart()
    plan = source.plan({"b.yaml": flow_text("a")})
    assert not plan.changed
    assert (source.path("a"), source.counts("a")) == ("b.yaml", (1, 1))


# The plan itself


def test_errors_count_what_keeps_files_out() -> None:
    """Errors of flows and of rejected files count, warnings do not."""
    plan = Source().plan(
        {"a.yaml": broken_text("a"), "b.yaml": NOT_YAML, "c.yaml": flow_text("c", **WARNED)}
    )
    assert plan.errors == 2


def test_rejected_files_are_in_order_of_their_paths() -> None:
    """The list of rejected files is the same for the same source."""
    plan = Source().plan(dict.fromkeys(("c.yaml", "a.yaml", "b.yaml"), NOT_YAML))
    assert [file.path for file in plan.rejected] == ["a.yaml", "b.yaml", "c.yaml"]


def test_keep_all_keeps_all() -> None:
    """The plan of a pass that saw nothing changes nothing."""
    source = Source({"a.yaml": flow_text("a")})
    plan = keep_all(source.observed)
    assert plan.entries == source.observed
    assert not plan.changed
    assert not plan.removed


def test_empty_snapshot_removes_everything() -> None:
    """Whether an empty source is believed is for the reconciler to say: the plan believes it."""
    source = Source({"a.yaml": flow_text("a")})
    assert names(make_plan(snapshot({}), source.observed).removed) == ["a"]


def test_accounts_are_one() -> None:
    """Every file belongs to the account `default`: settings cannot map others yet."""
    plan = Source().plan({"team/a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    assert {key.account for key in plan.entries} == {"default"}
