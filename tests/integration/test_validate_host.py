"""`validate --settings`: what this host lacks for flows that are valid in themselves."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.cli.main import dispatch
from flowrunner.config.accounts import AccountSettings, SecretDirectory
from flowrunner.config.channel_kinds import channels_kind
from flowrunner.config.git_settings import GitSettings
from flowrunner.config.notify_settings import NotifySettings
from flowrunner.config.server_settings import ServerSettings
from flowrunner.config.settings import EngineSettings, Settings, SourceSettings
from flowrunner.daemon.offline import validate
from flowrunner.model.finding import Finding
from tests.definitions.examples import FOLDER
from tests.unit.cli.hosts import Process

FLOW = """\
version: 1
name: example
secrets: [TOKEN, OTHER]
triggers:
  - {id: one, type: webhook, auth: {type: github, secret: HOOK}}
  - {id: two, type: webhook, auth: {type: github, secrets: [NEW, OLD]}}
nodes: [{id: a, type: noop}]
"""
VALUE = "hunter2-hunter2"


def findings(folder: Path, environment: dict[str, str], text: str = FLOW) -> list[Finding]:
    """Returns what is found for a flow on a host with this environment."""
    file = folder / "example.yaml"
    file.write_text(text)
    report = validate([str(file)], settings=Settings(), environment=environment)
    assert report.flows == 1
    return list(report.findings)


def places(found: list[Finding]) -> list[tuple[int, int, str]]:
    return [(f.line, f.column, f.message.split("'")[1]) for f in found]


def test_every_missing_secret_is_told_where_it_is_named(tmp_path: Path) -> None:
    """A host without secrets lacks each one that the flow names, and the flow stays valid."""
    found = findings(tmp_path, {})
    assert {(f.code, f.is_error) for f in found} == {("FR601", True)}
    assert places(found) == [
        (3, 11, "TOKEN"),
        (3, 18, "OTHER"),
        (5, 59, "HOOK"),
        (6, 61, "NEW"),
        (6, 66, "OLD"),
    ]
    assert found[0].hint == "a file TOKEN in the credentials directory, or FLOWRUNNER_SECRET_TOKEN"


def test_what_another_host_has_to_have_is_not_missed_here(tmp_path: Path) -> None:
    """A flow whose labels this host lacks needs no secret here; with them it needs all."""
    (tmp_path / "a.yaml").write_text(f"{FLOW}runs_on: [db]\n")
    for labels, count in (((), 0), (("db",), 5)):
        settings = replace(Settings(), server=ServerSettings(labels=labels))
        report = validate([str(tmp_path)], settings=settings, environment={})
        assert len(report.findings) == count


def test_secrets_are_looked_up_as_the_daemon_does(tmp_path: Path) -> None:
    """Credentials and the environment count, empty ones do not; of a hook's secrets one will do."""
    (tmp_path / "TOKEN").write_text(VALUE)
    (tmp_path / "secrets_OTHER").write_text("")
    environment = {
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "FLOWRUNNER_SECRET_HOOK": VALUE,
        "FLOWRUNNER_SECRET_OLD": VALUE,
    }
    assert places(findings(tmp_path, environment)) == [(3, 18, "OTHER")]


def test_nothing_of_the_host_is_looked_at_without_settings(tmp_path: Path) -> None:
    """The same file on the same host has no findings when no host is asked about."""
    (tmp_path / "example.yaml").write_text(FLOW)
    assert validate([str(tmp_path / "example.yaml")]).findings == ()


def test_webhook_paths_are_judged_beside_missing_secrets(tmp_path: Path) -> None:
    """A flow that lacks a secret still claims its webhook path against others."""
    for name in ("a", "b"):
        hook = "{type: webhook, path: x, auth: {type: github, secret: HOOK}}"
        (tmp_path / f"{name}.yaml").write_text(
            f"version: 1\nname: {name}\ntriggers: [{hook}]\nnodes: [{{id: a, type: noop}}]\n"
        )
    report = validate([str(tmp_path)], settings=Settings())
    assert sorted(f.code for f in report.findings) == ["FR310", "FR310", "FR601", "FR601"]


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_value_of_a_secret_is_never_printed(tmp_path: Path, form: str) -> None:
    """In no format does the output hold the value of a secret that was found."""
    (tmp_path / "example.yaml").write_text(FLOW)
    (tmp_path / "settings.yaml").write_text("{}\n")
    process = Process({"FLOWRUNNER_SECRET_TOKEN": VALUE})
    given = f"validate --settings {tmp_path}/settings.yaml --format {form} {tmp_path}/example.yaml"
    assert dispatch(given.split(), process.host) == 3
    assert "FR601" in process.out
    assert VALUE not in process.out + process.err


@pytest.mark.parametrize("runs_before", [0, 1])
def test_refused_user_is_told_where_it_is_named(tmp_path: Path, runs_before: int) -> None:
    """At each key, or at the name of the flow for a user of a folder's defaults; cached or not."""
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "_defaults.yaml").write_text("defaults: {user: no-such-user}\n")
    text = """version: 1
name: {}
defaults: {}
nodes:
  - {{id: a, run: id{}}}
"""
    (flows / "a.yaml").write_text(text.format("a", "{user: not-there}", ""))
    (flows / "b.yaml").write_text(text.format("b", "{}", ""))
    own = pwd.getpwuid(os.geteuid()).pw_name
    (flows / "c.yaml").write_text(text.format("c", "{}", f", user: {own}"))
    environment = {"HOME": str(tmp_path)}
    for _ in range(runs_before):
        validate([str(flows)], environment=environment, use_cache=True)
    report = validate([str(flows)], settings=Settings(), environment=environment, use_cache=True)
    found = [(Path(f.file).name, f.line, f.column, f.code, f.message) for f in report.findings]
    assert found[:2] == [
        ("a.yaml", 3, 18, "FR602", "this host has no user not-there"),
        ("b.yaml", 2, 7, "FR602", "this host has no user no-such-user"),
    ]
    assert len(found) == 2


def test_invalid_file_is_not_asked_for_secrets(tmp_path: Path) -> None:
    """What is wrong with the file itself comes first."""
    (tmp_path / "bad.yaml").write_text(FLOW.replace("type: noop", "type: nope"))
    report = validate([str(tmp_path / "bad.yaml")], settings=Settings())
    assert [f.code for f in report.findings] == ["FR305"]


def test_host_adds_findings_and_takes_none_away() -> None:
    """With the host looked at, every finding of the files alone is there as before."""
    alone = set(validate([str(FOLDER)]).findings)
    both = set(validate([str(FOLDER)], settings=Settings()).findings)
    assert alone <= both
    assert {finding.code for finding in both - alone} == {"FR601", "FR602", "FR604", "FR605"}


# Accounts

SHELL = """\
version: 1
name: {name}
secrets: [TOKEN]
nodes:
  - {{id: a, run: id}}
  - {{id: b, type: noop}}
finally:
  - {{id: c, type: wait, timeout: 1m, params: {{probe: id, every: 5s}}}}
"""


def with_accounts(root: Path, **accounts: AccountSettings) -> Settings:
    """Settings of a host whose flows lie below a folder."""
    named = {name: replace(each, folder=each.folder or name) for name, each in accounts.items()}
    return Settings(source=SourceSettings(path=root), accounts=named)


def told(paths: list[Path], settings: Settings | None) -> list[tuple[str, str, int | None]]:
    """Returns name of the file, code and line of everything that is found."""
    found = validate([str(path) for path in paths], settings=settings).findings
    return [(Path(each.file).name, each.code, each.line) for each in found]


def put(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(SHELL.format(name=name))
    return file


def test_accounts_are_judged_with_the_settings_alone(tmp_path: Path) -> None:
    """With settings each file is judged by its account: its secrets and its node types."""
    flows = tmp_path / "flows"
    for folder, name in ((flows / "pay", "a"), (flows / "web", "b"), (flows, "c")):
        put(folder, name)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "TOKEN").write_text("value")
    source = (SecretDirectory(tmp_path / "secrets"),)
    settings = with_accounts(
        flows,
        pay=AccountSettings(secrets=source),
        web=AccountSettings(node_types=("noop", "wait")),
    )
    assert told([flows], None) == []
    assert told([flows], settings) == [
        ("c.yaml", "FR117", 1),
        ("b.yaml", "FR601", 3),
        ("b.yaml", "FR603", 5),
        ("b.yaml", "FR603", 8),
    ]
    report = validate([str(flows / "web")], settings=settings)
    assert [(each.message, each.hint) for each in report.findings[:2]] == [
        (
            "account web of this host has no secret 'TOKEN'",
            "put it into a source of accounts.web.secrets of the settings",
        ),
        (
            "account web may not use the node type shell",
            "accounts.web.node_types of the settings lists those that it may",
        ),
    ]


def test_account_is_the_same_by_whatever_path_a_file_is_named(tmp_path: Path) -> None:
    """The root, the folder of an account, one above the root and the file itself agree."""
    flows = tmp_path / "flows"
    file = put(flows / "web" / "deep", "b")
    settings = with_accounts(flows, web=AccountSettings(node_types=("noop", "wait", "shell")))
    link = tmp_path / "link"
    link.symlink_to(flows)
    for path in (flows, flows / "web", flows / "web" / "deep", tmp_path, file, link):
        assert told([path], settings) == [("b.yaml", "FR601", 3)], path
    other = put(tmp_path / "elsewhere" / "web", "b")
    for path in (other.parent.parent, other):
        assert told([path], settings) == [("b.yaml", "FR601", 3)], path
    lost = put(tmp_path / "elsewhere" / "ops", "d")
    for path in (lost.parent.parent / "ops", lost):
        assert told([path], settings) == [("d.yaml", "FR117", 1)], path


@pytest.mark.parametrize("subfolder", [None, "hosts/web"])
@pytest.mark.parametrize("named", ["folder", "file", "checkout"])
def test_accounts_of_a_repository_begin_in_its_folder(
    subfolder: str | None, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the daemon pulls has its account below `source.git.path`, not below `source.path`."""
    root = tmp_path / (subfolder or "")
    file = root / "flows" / "pay" / "example.yaml"
    file.parent.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    file.write_text("version: 1\nname: example\nnodes: [{id: a, type: noop}]\n")
    monkeypatch.chdir(tmp_path)
    git = GitSettings(url="https://example.com/flows.git", path=subfolder)
    accounts = {"payments": AccountSettings(folder="flows")}
    settings = Settings(source=SourceSettings(git=git), accounts=accounts)
    path = {"folder": root, "file": file, "checkout": tmp_path}[named]
    report = validate([str(path)], settings=settings)
    assert (report.findings, report.flows) == ((), 1)


INBOX = """\
version: 1
name: {name}
triggers:
  - {{id: nightly, type: schedule, every: 1d}}
  - {{id: in, type: file, path: "{path}/*.csv"}}
nodes:
  - {{id: only, type: noop}}
"""


@pytest.mark.parametrize("runs_before", [0, 1], ids=["alone", "after-another-run"])
def test_folders_that_an_account_may_not_look_into_are_told(
    runs_before: int, tmp_path: Path
) -> None:
    """A path outside of the account's roots is a finding with the settings, also from the cache."""
    flows, environment = tmp_path / "flows", {"HOME": str(tmp_path)}
    for account, path in (("pay", "/srv/pay/in"), ("web", "/srv/pay/in")):
        (flows / account).mkdir(parents=True)
        text = INBOX.format(name=account, path=path)
        (flows / account / f"{account}.yaml").write_text(text)
    for _ in range(runs_before):
        validate([str(flows)], environment=environment, use_cache=True)
    settings = with_accounts(
        flows,
        pay=AccountSettings(roots=(Path("/srv/pay"),)),
        web=AccountSettings(roots=(Path("/srv/payments"),)),
    )
    found = validate(
        [str(flows)], settings=settings, environment=environment, use_cache=True
    ).findings
    assert [(Path(f.file).name, f.code, f.line, f.column, f.message) for f in found] == [
        ("web.yaml", "FR604", 5, 32, "account web may not look into this folder")
    ]
    assert found[0].hint.startswith("accounts.web.roots of the settings")


def test_folders_of_the_account_default_are_of_the_engine(tmp_path: Path) -> None:
    """Without accounts `engine.roots` says where flows may look; by default nowhere."""
    (tmp_path / "a.yaml").write_text(INBOX.format(name="a", path="/srv/in"))
    settings = Settings(engine=EngineSettings(roots=(Path("/srv"),)))
    assert told([tmp_path], settings) == []
    assert told([tmp_path], Settings()) == [("a.yaml", "FR604", 5)]


def test_same_name_in_two_accounts_is_no_duplicate_with_settings(tmp_path: Path) -> None:
    """Without settings all is one account, and so the names clash; with them they do not."""
    for account in ("pay", "web"):
        put(tmp_path / account, "a")
    assert {code for _, code, _ in told([tmp_path], None)} == {"FR311"}
    settings = with_accounts(tmp_path, pay=AccountSettings(), web=AccountSettings())
    assert {code for _, code, _ in told([tmp_path], settings)} == {"FR601"}


def test_cache_knows_no_accounts(tmp_path: Path) -> None:
    """What was compiled without settings serves with them, and other accounts later."""
    put(tmp_path / "web", "a")
    for settings, codes in (
        (None, []),
        (with_accounts(tmp_path, web=AccountSettings(node_types=())), ["FR601", *["FR603"] * 4]),
        (with_accounts(tmp_path, pay=AccountSettings()), ["FR117"]),
        (with_accounts(tmp_path, web=AccountSettings()), ["FR601"]),
    ):
        environment = {"HOME": str(tmp_path)}
        report = validate(
            [str(tmp_path)], settings=settings, environment=environment, use_cache=True
        )
        assert [each.code for each in report.findings] == codes


def test_standard_input_belongs_to_the_default_account(tmp_path: Path) -> None:
    """No folder tells whose a text is."""
    settings = with_accounts(tmp_path, web=AccountSettings(node_types=()))
    text = SHELL.format(name="a").encode()
    report = validate(["-"], stdin=text, settings=settings)
    assert [each.code for each in report.findings] == ["FR601"]


def found_beside_oncall(flows: Path, environment: dict[str, str]) -> tuple[Finding, ...]:
    """Validates on a host that has one channel."""
    (channel,) = channels_kind().parse({"oncall": {"type": "exec", "argv": ["page"]}}, flows)
    settings = Settings(notify=NotifySettings(channels=(channel,)))
    return validate(
        [str(flows)], settings=settings, environment=environment, use_cache=True
    ).findings


@pytest.mark.parametrize("runs_before", [0, 1], ids=["alone", "after-another-run"])
def test_channels_that_the_host_does_not_have_are_told(runs_before: int, tmp_path: Path) -> None:
    """An unknown channel is a finding at its name, or at the flow for one of a `_defaults.yaml`."""
    flows, environment = tmp_path / "flows", {"HOME": str(tmp_path)}
    flows.mkdir()
    rules = "notify: [{on: [failed], channels: [oncall, pager]}]\n"
    (flows / "_defaults.yaml").write_text(rules)
    nodes = "nodes: [{id: only, type: noop}]\n"
    (flows / "a.yaml").write_text(f"version: 1\nname: a\n{rules}{nodes}")
    (flows / "b.yaml").write_text(f"version: 1\nname: b\n{nodes}")
    (flows / "c.yaml").write_text(f"version: 1\nname: c\nnotify: []\n{nodes}")
    for _ in range(runs_before):
        validate([str(flows)], environment=environment, use_cache=True)
    found = found_beside_oncall(flows, environment)
    assert [(Path(f.file).name, f.code, f.line, f.column, f.message) for f in found] == [
        ("a.yaml", "FR605", 3, 44, "this host has no channel 'pager'"),
        ("b.yaml", "FR605", 2, 7, "this host has no channel 'pager', which a _defaults.yaml names"),
    ]


@pytest.mark.parametrize("runs_before", [0, 1], ids=["alone", "after-another-run"])
def test_channels_that_nodes_name_are_looked_for(runs_before: int, tmp_path: Path) -> None:
    """One that is missing, or of another type, is a finding at its name; not for another host."""
    flows, environment = tmp_path / "flows", {"HOME": str(tmp_path)}
    flows.mkdir()
    nodes = (
        "nodes:\n"
        "  - {id: a, type: notify, params: {channels: [oncall, pager], message: m}}\n"
        "finally:\n"
        "  - {id: b, type: email, params: {channel: oncall, subject: s, body: b}}\n"
    )
    (flows / "a.yaml").write_text(f"version: 1\nname: a\n{nodes}")
    (flows / "b.yaml").write_text(f"version: 1\nname: b\nruns_on: elsewhere\n{nodes}")
    for _ in range(runs_before):
        validate([str(flows)], environment=environment, use_cache=True)
    found = found_beside_oncall(flows, environment)
    wrong_type = "this host has no channel 'oncall' of type email: it is of type exec"
    assert [(Path(f.file).name, f.code, f.line, f.column, f.message) for f in found] == [
        ("a.yaml", "FR605", 4, 55, "this host has no channel 'pager'"),
        ("a.yaml", "FR605", 6, 44, wrong_type),
    ]
