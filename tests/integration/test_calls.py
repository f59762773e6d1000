"""Flows that start flows, wired as the daemon is: with real processes, without a daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.daemon.local_run import LocalEnd, execute_file
from flowrunner.errors import ValidationError
from tests.unit.docs.pages import read, section, yaml_examples

NOTHING = "version: 1\nname: {name}\nnodes: [{{id: x, type: noop}}]\n"


def execute(path: Path) -> tuple[LocalEnd, list[str]]:
    """Executes a file as `flowrunner run FILE` does; returns its end and what it printed."""
    lines: list[str] = []
    return execute_file(path, {}, lines.append, {}), lines


def call(folder: Path, flow: str, *, inputs: str = "{}") -> Path:
    path = folder / "caller.yaml"
    path.write_text(
        "version: 1\nname: caller\nnodes:\n"
        f"  - {{id: sub, type: flow, params: {{flow: {flow}, inputs: {inputs}}}}}\n"
    )
    return path


def test_example_of_the_page_works(tmp_path: Path) -> None:
    """The flows that `docs/writing-flows.md` shows find each other and do what it says."""
    shown = section(read("docs/writing-flows.md"), "### Other flows: `flow`")
    for text in (*yaml_examples(shown), NOTHING.format(name="mirror")):
        name = text.split("name: ")[1].split("\n")[0]
        (tmp_path / f"{name}.yaml").write_text(text)
    end, lines = execute(tmp_path / "nightly.yaml")

    assert end.state == "succeeded", end
    assert "tell: 42 rows" in lines
    assert [line.split(" ")[0] for line in lines] == ["index:", "tell:", "mirror:"]


def test_flow_is_found_by_the_name_of_its_file(tmp_path: Path) -> None:
    """One that stands in another file, or whose file has another flow, is not there."""
    (tmp_path / "one.yaml").write_text(NOTHING.format(name="two"))
    (tmp_path / "three.yml").write_text(NOTHING.format(name="three"))

    assert execute(call(tmp_path, "three"))[0].state == "succeeded"
    for name in ("one", "two"):
        end, _ = execute(call(tmp_path, name))
        assert end.error is not None
        assert (end.state, end.error.code) == ("failed", "flow_missing")


def test_flows_behind_the_first_one_are_found_too(tmp_path: Path) -> None:
    """What the other flow starts is looked for as well."""
    middle = call(tmp_path, "leaf").read_text().replace("name: caller", "name: middle")
    (tmp_path / "middle.yaml").write_text(middle)
    (tmp_path / "leaf.yaml").write_text(NOTHING.format(name="leaf"))

    assert execute(call(tmp_path, "middle"))[0].state == "succeeded"


def test_mistakes_between_the_files_are_told_first(tmp_path: Path) -> None:
    """As `validate` tells them: nothing runs."""
    (tmp_path / "child.yaml").write_text(NOTHING.format(name="child"))
    with pytest.raises(ValidationError) as caught:
        execute(call(tmp_path, "child", inputs="{day: 1}"))
    assert [finding["code"] for finding in caught.value.findings] == ["FR317"]


def test_flow_that_starts_itself_is_refused(tmp_path: Path) -> None:
    """The file that is executed is not one of its own siblings, and a circle it is all the same."""
    with pytest.raises(ValidationError) as caught:
        execute(call(tmp_path, "caller"))
    assert [finding["code"] for finding in caught.value.findings] == ["FR315"]
