"""The example of docs/tracing.md is what the daemon and the command make of it."""

from __future__ import annotations

import re
from typing import Any

from flowrunner.cli.trace_text import trace_text
from flowrunner.engine.admission import Wait
from flowrunner.engine.tracing.values import (
    LEAST,
    MEMBER_LIMIT,
    NODE_LIMIT,
    PAGE_LIMIT,
    PAGE_WORK,
    VALUE_LIMIT,
)
from flowrunner.model.trace import NodeWaitKind
from flowrunner.web.trace_wire import trace_json
from tests.fakes.engine import FAILS, World, simulate
from tests.fakes.traces import trace_page
from tests.unit.docs.pages import code_spans, read, section, yaml_examples

PAGE = read("docs/tracing.md")


def test_example_has_the_trace_that_the_page_shows() -> None:
    """The flow of the page, whose `load` fails twice, has the trace that stands below it."""

    async def story(world: World) -> Any:
        outcome = await world.run(yaml_examples(PAGE)[0], inputs={"day": "monday"})
        return trace_json(await trace_page(world, outcome.execution.id))

    found = simulate(story, {"load": FAILS}, secrets={"TOKEN": "hunter2"})
    shown = re.search(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert trace_text(found) == shown[1].rstrip("\n")


def test_page_names_every_kind_of_wait() -> None:
    """The page lists what an open node and a queued execution may wait for."""
    listed = set(code_spans(section(PAGE, "## While it runs")))

    assert {str(kind) for kind in NodeWaitKind} <= listed
    assert {"suspended", "paused", "flow", "host", "account", "group", "turn"} <= listed
    assert set(Wait.__slots__) == {"is_held", "is_host_full", "is_account_full", "running", "ahead"}


def test_page_has_the_bounds_of_the_code() -> None:
    """Sizes on the page are those of the code."""
    text = section(PAGE, "## Secrets and sizes")
    mib = 1024**2

    for number in (VALUE_LIMIT, MEMBER_LIMIT, NODE_LIMIT, LEAST):
        assert re.search(rf"\b{number:,}\b", text)
    assert f"{PAGE_LIMIT // mib} MiB" in text
    assert f"{PAGE_WORK // mib} MiB" in text
