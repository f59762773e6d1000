"""Flows that tell people, tried out as `flowrunner run FILE` does: nothing leaves the host."""

from __future__ import annotations

from pathlib import Path

from flowrunner.daemon.local_run import execute_file
from tests.unit.docs.pages import read, section, yaml_examples


def test_example_of_the_page_works(tmp_path: Path) -> None:
    """The flow that `docs/writing-flows.md` shows says what it says; the log has it as not sent."""
    shown = section(read("docs/writing-flows.md"), "### Telling people: `notify` and `email`")
    (text,) = yaml_examples(shown)
    (tmp_path / "orders.yaml").write_text(text)
    load = tmp_path / "load"
    load.write_text("#!/bin/sh\necho rows=42\n")
    load.chmod(0o755)
    lines: list[str] = []

    end = execute_file(tmp_path / "orders.yaml", {"day": "2026-03-30"}, lines.append, {})

    assert end.state == "succeeded", end
    told = "42 rows of 2026-03-30 are loaded."
    receivers = "boss@example.com, team@example.com"
    not_sent = "NOT SENT, which only a daemon does"
    assert lines == [
        f"tell: {not_sent} (channels oncall): {told}",
        f"tell: {told}",
        "tell: Have a look before noon.",
        f"report: {not_sent} (channel mail, to {receivers}): Orders of 2026-03-30",
    ]


def test_computed_address_is_checked_without_a_server(tmp_path: Path) -> None:
    """What a daemon would refuse is refused when a file is tried out, too."""
    file = tmp_path / "mail.yaml"
    file.write_text(
        "version: 1\nname: mail\ninputs: {who: {type: string}}\nnodes:\n  - id: a\n"
        "    type: email\n"
        '    params: {channel: m, to: "${{ inputs.who }}", subject: s, body: b}\n'
    )
    end = execute_file(file, {"who": "me"}, lambda _: None, {})
    assert end.error is not None
    assert (end.state, end.error.code) == ("failed", "bad_address")
