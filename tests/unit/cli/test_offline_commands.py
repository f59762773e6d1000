"""Commands that need no daemon: validate, schema, config, serve, and run with a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from flowrunner.cli.commands import config, run, schema, serve, validate
from flowrunner.cli.errors import UsageError
from flowrunner.cli.exits import exit_of
from flowrunner.config.loader import LoadedSettings
from flowrunner.config.settings import SETTINGS, Settings
from flowrunner.daemon.local_run import LocalEnd
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.errors import SettingsError, StorageError, ValidationError
from flowrunner.model.execution import Failure
from flowrunner.model.finding import Finding, Severity
from tests.unit.cli.hosts import Process, Terminal, words

ERROR = Finding(file="a.yaml", line=1, column=1, code="FR109", message="not a flow", excerpt="x: 1")
WARNING = Finding(
    file="b.yaml", line=2, column=3, code="FR501", severity=Severity.WARNING, message="in UTC"
)


@dataclass(frozen=True)
class FakeReport:
    findings: tuple[Finding, ...] = ()
    flows: int = 2


class FakeCheck:
    """Meets `Validate`: finds what it was given and notes what it was asked."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = findings
        self.asked: list[tuple[list[str], bytes | None]] = []
        self.ways: list[tuple[bool, bool]] = []

    def __call__(
        self,
        paths: Sequence[str],
        *,
        stdin: bytes | None = None,
        settings: Settings | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        use_cache: bool = False,
    ) -> FakeReport:
        self.asked.append((list(paths), stdin))
        self.ways.append((settings is not None, use_cache))
        return FakeReport(findings=self.findings)


@pytest.mark.parametrize(
    ("findings", "options", "code"),
    [
        pytest.param((), "", 0, id="clean"),
        pytest.param((), "--strict", 0, id="clean-strict"),
        pytest.param((WARNING,), "", 0, id="warning"),
        pytest.param((WARNING,), "--strict", 3, id="warning-strict"),
        pytest.param((WARNING, ERROR), "", 3, id="error"),
        pytest.param((ERROR,), "--format json", 3, id="error-json"),
    ],
)
def test_validate_exits_by_what_was_found(
    findings: tuple[Finding, ...], options: str, code: int
) -> None:
    """Errors exit with 3, warnings only when they are to count."""
    check = FakeCheck(*findings)
    assert validate.execute(words(f"validate {options}"), Process().host, check) == code


def test_validate_prints_findings_and_their_number() -> None:
    """The findings come first, then one line that counts."""
    process = Process()
    validate.execute(words("validate a.yaml"), process.host, FakeCheck(ERROR, WARNING))
    assert process.out == (
        "a.yaml:1:1: FR109 error: not a flow\n"
        "    x: 1\n"
        "    ^\n"
        "b.yaml:2:3: FR501 warning: in UTC\n"
        "2 valid flows, 1 error, 1 warning\n"
    )


def test_validate_prints_json_for_programs() -> None:
    """`--format json` prints one document with the findings and the number of flows."""
    process = Process(stdout=Terminal())
    validate.execute(words("validate --format json"), process.host, FakeCheck(ERROR))
    assert json.loads(process.out) == {"findings": [ERROR.to_json()], "flows": 2}


def test_validate_colours_on_a_terminal_only() -> None:
    """On a terminal the kind of a finding is coloured, unless NO_COLOR says otherwise."""
    process, plain = Process(stdout=Terminal()), Process({"NO_COLOR": "1"}, stdout=Terminal())
    for each in (process, plain):
        validate.execute(words("validate"), each.host, FakeCheck(ERROR))
    assert "\x1b[31m" in process.out
    assert "\x1b" not in plain.out


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        pytest.param("", (["flows"], None), id="default"),
        pytest.param("a.yaml b", (["a.yaml", "b"], None), id="paths"),
        pytest.param("-", (["-"], b"text"), id="stdin"),
    ],
)
def test_validate_passes_on_what_to_check(given: str, asked: tuple[list[str], bytes]) -> None:
    """Without a path the folder `flows` is checked; standard input is read only for `-`."""
    check = FakeCheck()
    validate.execute(words(f"validate {given}"), Process(stdin=b"text").host, check)
    assert check.asked == [asked]


def test_validate_reads_no_more_than_a_definition_may_have() -> None:
    """Endless standard input is cut right behind the limit, so that it is refused as too large."""
    check = FakeCheck()
    endless = Process(stdin=b"x" * (3 * 1024**2))
    validate.execute(words("validate -"), endless.host, check)
    assert check.asked == [(["-"], b"x" * (1024**2 + 1))]


def test_validate_keeps_to_the_files_unless_told_otherwise(tmp_path: Path) -> None:
    """Without `--settings` nothing of the host is looked at; the cache is on unless refused."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("logging: {level: debug}\n")
    check = FakeCheck()
    for options in ("", "--no-cache", f"--settings {settings}"):
        validate.execute(words(f"validate {options}"), Process().host, check)
    assert check.ways == [(False, True), (False, False), (True, True)]


@pytest.mark.parametrize("text", ["servr: {}\n", "a: [\n", None])
def test_validate_does_not_begin_with_bad_settings(tmp_path: Path, text: str | None) -> None:
    """A settings file that `serve` would refuse, or none at all, is an error of its own."""
    file = tmp_path / "settings.yaml"
    if text is not None:
        file.write_text(text)
    check = FakeCheck()
    with pytest.raises(SettingsError) as caught:
        validate.execute(words(f"validate --settings {file}"), Process().host, check)
    assert exit_of(caught.value) == 4
    assert check.asked == []


def test_validate_speaks_to_github() -> None:
    """`--format github` prints workflow commands and nothing else; no findings print nothing."""
    process, clean = Process(), Process()
    validate.execute(words("validate --format github"), process.host, FakeCheck(ERROR, WARNING))
    validate.execute(words("validate --format github"), clean.host, FakeCheck())
    assert process.out.splitlines() == [
        "::error file=a.yaml,line=1,col=1,title=FR109::not a flow",
        "::warning file=b.yaml,line=2,col=3,title=FR501::in UTC",
    ]
    assert clean.out == ""


def test_validate_prints_sarif() -> None:
    """`--format sarif` prints one log, also when nothing was found."""
    process, clean = Process(), Process()
    validate.execute(words("validate --format sarif"), process.host, FakeCheck(ERROR))
    validate.execute(words("validate --format sarif"), clean.host, FakeCheck())
    (run,) = json.loads(process.out)["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["FR109"]
    (run,) = json.loads(clean.out)["runs"]
    assert run["results"] == []


def test_schema_prints_the_schema_of_flows() -> None:
    """By default the schema is that of the flow format."""
    process = Process()
    assert schema.execute(words("schema"), process.host, lambda: {"title": "flow"}) == 0
    assert json.loads(process.out) == {"title": "flow"}


def test_defaults_schema_is_printed() -> None:
    """The schema of `_defaults.yaml` has a word of its own."""
    process = Process()
    assert schema.execute(words("schema defaults"), process.host) == 0
    assert json.loads(process.out)["title"] == "FlowRunner defaults of a folder, version 1"


@pytest.mark.parametrize("given", ["schema settings", "config schema"])
def test_settings_schema_is_printed(given: str) -> None:
    """Both commands print the schema that is published."""
    process = Process()
    command = schema if given.startswith("schema") else config
    assert command.execute(words(given), process.host) == 0
    assert json.loads(process.out)["title"] == "FlowRunner settings"


def test_config_show_tells_value_and_origin() -> None:
    """Every setting is a line with its value and where that comes from."""
    process = Process({"FLOWRUNNER_LOGGING__LEVEL": "debug"})
    given = words("config show --listen 127.0.0.1:0")
    assert config.execute(given, process.host, read_yaml) == 0
    lines = {line.split()[0]: line.split()[1:] for line in process.out.splitlines()}
    assert lines["KEY"] == ["VALUE", "ORIGIN"]
    assert lines["server.listen"] == ["127.0.0.1:0", "flag:--listen"]
    assert lines["logging.level"] == ["debug", "env:FLOWRUNNER_LOGGING__LEVEL"]
    assert lines["server.max_body"] == ["4MiB", "default"]
    assert len(lines) == len(SETTINGS) + 1


def test_config_show_for_programs_is_a_list() -> None:
    """JSON has one object for each setting."""
    process = Process()
    assert config.execute(words("config show --json"), process.host, read_yaml) == 0
    items = json.loads(process.out)["items"]
    assert items[0] == {"key": "server.listen", "value": "127.0.0.1:8080", "origin": "default"}


def test_config_check_says_that_all_is_well() -> None:
    """Valid settings are confirmed."""
    process = Process()
    assert config.execute(words("config check"), process.host, read_yaml) == 0
    assert process.out == "the settings are valid\n"


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        pytest.param("servr: {}\n", "settings.unknown_key", ":1:1", id="unknown-key"),
        pytest.param("a: [\n", "FR101", ":2:1", id="not-yaml"),
    ],
)
def test_broken_settings_file_is_an_error_of_settings(
    tmp_path: Path, text: str, code: str, place: str
) -> None:
    """Whatever is wrong with the file, commands exit with 4 and `serve` with 78."""
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        config.execute(words(f"config check --config {file}"), Process().host, read_yaml)
    assert caught.value.code == code
    told = str(caught.value.findings[0].get("origin")) + caught.value.message
    assert f"{file}{place}" in told
    assert (exit_of(caught.value), exit_of(caught.value, serving=True)) == (4, 78)


Read = Callable[[], LoadedSettings]


def test_serve_hands_over_the_settings() -> None:
    """The daemon gets what the flags and the environment say, now and when it reads them again."""
    given: list[tuple[LoadedSettings, bool, bool]] = []

    def fake_serve(
        loaded: LoadedSettings, read: Read, *, accept_state_loss: bool, observe: bool
    ) -> int:
        given.append((loaded, accept_state_loss, observe))
        assert read() == loaded
        return 7

    process = Process({"FLOWRUNNER_SOURCE__RESYNC": "5m"})
    arguments = words(
        "serve --flows f --state /s --listen 127.0.0.1:0 --accept-state-loss --observe"
    )
    assert serve.execute(arguments, process.host, fake_serve, read_yaml) == 7
    ((loaded, accept_state_loss, observe),) = given
    assert accept_state_loss
    assert observe
    assert loaded.settings.source.path == Path.cwd() / "f"
    assert loaded.settings.source.resync == 300
    assert str(loaded.settings.server.control_socket) == "/s/control.sock"
    assert loaded.origins["server.listen"] == "flag:--listen"
    assert (process.out, process.err) == ("", "")


def test_serve_is_not_begun_with_bad_settings() -> None:
    """All that is wrong with the settings is known before the daemon's code is loaded."""

    def never(loaded: LoadedSettings, read: Read, *, accept_state_loss: bool, observe: bool) -> int:
        raise AssertionError(loaded, read, accept_state_loss, observe)

    arguments = words("serve --listen 0.0.0.0:80")
    with pytest.raises(SettingsError, match="loopback"):
        serve.execute(arguments, Process().host, never, read_yaml)


def test_serve_lets_errors_of_the_daemon_through() -> None:
    """What keeps the daemon from starting is told by the one table of exit codes."""

    def locked(
        loaded: LoadedSettings, read: Read, *, accept_state_loss: bool, observe: bool
    ) -> int:
        assert read().origins == loaded.origins
        assert loaded.origins["storage.path"] == "default"
        assert not accept_state_loss
        assert not observe
        raise StorageError("in use", code="storage.locked")

    with pytest.raises(StorageError):
        serve.execute(words("serve"), Process().host, locked, read_yaml)


def never_run(*_given: object) -> LocalEnd:
    raise AssertionError


def local(end: str | LocalEnd, *lines: str, asked: list[Any] | None = None) -> run.RunLocal:
    """Meets `RunLocal`: prints lines and ends in a state."""

    def fake(path: Path, inputs: Mapping[str, str], emit: Callable[[str], None]) -> LocalEnd:
        if asked is not None:
            asked.append((path, dict(inputs)))
        for line in lines:
            emit(line)
        return LocalEnd(end) if isinstance(end, str) else end

    return fake


@pytest.mark.parametrize(
    ("word", "is_file"),
    [
        pytest.param("backup", False, id="name"),
        pytest.param("backup.yaml", True, id="yaml"),
        pytest.param("backup.yml", True, id="yml"),
        pytest.param("./backup", True, id="slash"),
    ],
)
def test_file_is_told_from_a_name(*, word: str, is_file: bool) -> None:
    """A flow's name has neither slash nor suffix, so that no option is needed for a file."""
    assert run.is_file(word) is is_file


@pytest.mark.parametrize(
    ("state", "code"), [("succeeded", 0), ("failed", 1), ("timed_out", 1), ("cancelled", 1)]
)
def test_file_is_executed_here_and_exits_by_its_state(state: str, code: int) -> None:
    """A file needs no daemon: its lines are printed and its final state decides."""
    process = Process()
    asked: list[Any] = []
    given = words("run f/a.yaml --input k=v --follow")
    assert run.execute(given, process.host, local(state, "a: 1", "b: 2", asked=asked)) == code
    assert process.out == "a: 1\nb: 2\n"
    assert process.err == ("" if code == 0 else f"f/a.yaml: {state}\n")
    assert asked == [(Path("f/a.yaml"), {"k": "v"})]


def test_file_that_fails_says_where_and_why() -> None:
    """Which node failed, and how, is told as `--follow` tells it of the daemon."""
    process = Process()
    end = LocalEnd(
        "failed", "exit_code", Failure(code="node_failed", message="node report: exit code 3")
    )
    assert run.execute(words("run a.yaml"), process.host, local(end)) == 1
    assert process.err == "a.yaml: failed (exit_code): node_failed: node report: exit code 3\n"


def test_local_takes_any_path() -> None:
    """With `--local` the word is a file, whatever it looks like."""
    asked: list[Any] = []
    run.execute(words("run backup --local"), Process().host, local("succeeded", asked=asked))
    assert asked == [(Path("backup"), {})]


def test_output_of_a_file_cannot_steer_a_terminal() -> None:
    """On a terminal control characters of the output are shown, not obeyed."""
    process = Process(stdout=Terminal())
    run.execute(words("run a.yaml"), process.host, local("succeeded", "a: \x1b]0;x\x07"))
    assert "\x1b]" not in process.out


def test_file_with_findings_is_shown_as_by_validate() -> None:
    """A file that is no valid flow is not executed; its findings come with their lines."""

    def invalid(*_given: object) -> LocalEnd:
        raise ValidationError("a.yaml has 1 errors", findings=[ERROR.to_json()])

    process, check = Process(), FakeCheck(ERROR)
    assert run.execute(words("run a.yaml"), process.host, invalid, check) == 3
    assert process.err == "a.yaml:1:1: FR109 error: not a flow\n    x: 1\n    ^\n"
    assert check.asked == [(["a.yaml"], None)]


def test_wrong_inputs_of_a_file_are_no_findings() -> None:
    """Inputs that do not fit are told as such."""

    def refusing(*_given: object) -> LocalEnd:
        findings = [{"input": "day", "message": "is required"}]
        raise ValidationError("input 'day' is required", code="input.invalid", findings=findings)

    with pytest.raises(ValidationError, match="day"):
        run.execute(words("run a.yaml"), Process().host, refusing, FakeCheck())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param("run a.yaml --account x", "--account has no meaning", id="account"),
        pytest.param("run a.yaml --socket x", "--socket has no meaning", id="socket"),
        pytest.param("run a --local --state x", "--state has no meaning", id="state"),
        pytest.param("run a.yaml --input x", "is not name=value", id="input-without-value"),
        pytest.param("run a.yaml --input =x", "is not name=value", id="input-without-name"),
        pytest.param("run a.yaml --input a=1 --input a=2", "given twice", id="input-twice"),
    ],
)
def test_run_refuses_what_it_would_have_to_ignore(given: str, told: str) -> None:
    """An option without effect is an error, and so is an input that is none."""
    with pytest.raises(UsageError, match=told):
        run.execute(words(given), Process().host, never_run)
