"""Errors read as `flowrunner: …` with a code to look up, and a hint where there is one."""

from __future__ import annotations

from flowrunner.cli.errors import NoDaemonError, UsageError
from flowrunner.cli.messages import lines_of
from flowrunner.errors import FlowError, NotFoundError, SettingsError, StorageError, ValidationError


def told(error: FlowError) -> list[str]:
    return list(lines_of(error))


def test_error_shows_message_and_code() -> None:
    """The code stands behind the message, so that it can be looked up."""
    error = StorageError("the state is in use by process 7", code="storage.locked")
    assert told(error) == ["flowrunner: the state is in use by process 7 [storage.locked]"]


def test_usage_error_shows_its_hint_without_a_code() -> None:
    """What was typed wrong needs no code, but a way on."""
    error = UsageError("unknown command 'flws'", hint="did you mean flows?")
    assert told(error) == ["flowrunner: unknown command 'flws'", "hint: did you mean flows?"]


def test_missing_daemon_shows_its_hint() -> None:
    """An error of the command line has its hint on the next line."""
    error = NoDaemonError("nothing listens", hint="start one")
    assert told(error) == ["flowrunner: nothing listens [no_daemon]", "hint: start one"]


def test_what_is_not_there_comes_with_the_commands_that_list() -> None:
    """Who misses a flow or an execution is told how to see which there are."""
    assert told(NotFoundError("there is no flow default/x")) == [
        "flowrunner: there is no flow default/x [not_found]",
        "hint: `flowrunner flows` and `flowrunner executions` list what there is",
    ]


def test_settings_show_every_finding_with_its_place() -> None:
    """All findings are told, each with its origin and its own code and hint."""
    findings = (
        {"code": "a.b", "message": "first", "origin": "file:/etc/f.yaml:3:5", "hint": "do this"},
        {"code": "c.d", "message": "second", "origin": "env:X", "hint": ""},
        {"code": "e.f", "message": "third", "origin": "default", "hint": ""},
    )
    assert told(SettingsError("first (and 2 more)", findings=findings)) == [
        "flowrunner: /etc/f.yaml:3:5: first [a.b]",
        "hint: do this",
        "flowrunner: second (env:X) [c.d]",
        "flowrunner: third [e.f]",
    ]


def test_findings_in_a_file_show_their_place() -> None:
    """Several findings of a file are told with file, line and column."""
    finding = {"file": "a.yaml", "line": 2, "column": 3, "code": "FR101", "message": "no"}
    assert told(ValidationError("two", findings=(finding, finding))) == [
        "flowrunner: a.yaml:2:3: no [FR101]",
        "flowrunner: a.yaml:2:3: no [FR101]",
    ]


def test_inputs_are_named_each() -> None:
    """Each input that does not fit is told by its name."""
    findings = [{"input": "day", "message": "is required"}, {"input": "x", "message": "is wrong"}]
    assert told(ValidationError("both", code="input.invalid", findings=findings)) == [
        "flowrunner: input 'day' is required [input.invalid]",
        "flowrunner: input 'x' is wrong [input.invalid]",
    ]


def test_single_finding_is_told_by_the_message_of_the_error() -> None:
    """One finding is told as the error tells it, with the hint of the finding."""
    finding = {"parameter": "limit", "message": "must be a number", "hint": "try 7"}
    error = ValidationError("parameter 'limit': must be a number", findings=[finding])
    assert told(error) == [
        "flowrunner: parameter 'limit': must be a number [validation]",
        "hint: try 7",
    ]


def test_message_from_outside_cannot_steer_the_terminal() -> None:
    """Control characters in a message are shown as escapes, on one line."""
    assert told(FlowError("a\x1b[2J\nb")) == ["flowrunner: a\\x1b[2J\\nb [internal]"]
