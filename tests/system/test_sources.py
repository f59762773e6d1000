"""The folder of flows as it goes wrong: gone, emptied, replaced, and full of bad files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import (
    INSTALLED,
    OPEN,
    RunningDaemon,
    command,
    daemon,
    eventually,
    ordinary_program,
)
from tests.system.flow_files import (
    EVERY_SECOND,
    NOTHING,
    flow_text,
    replace_file,
    says,
    write_flow,
)

pytestmark = pytest.mark.system

ORDINARY = ordinary_program()
SOON = {"FLOWRUNNER_SOURCE__RESYNC": "1s", **OPEN}
"""The environment of a daemon that looks every second, whatever the watcher hears."""


def findings(running: RunningDaemon) -> dict[str, set[str]]:
    """Returns the codes of findings by file: of rejected files and of flows."""
    flows: list[dict[str, Any]] = running.request("/api/v1/flows").json["items"]
    found: dict[str, set[str]] = {}
    for file in [*running.source()["rejected"], *flows]:
        codes = {finding["code"] for finding in file["findings"]}
        found.setdefault(file["path"], set()).update(codes)
    return found


def succeeded(running: RunningDaemon, flow: str) -> int:
    """Returns how many executions of a flow succeeded since the daemon started."""
    return int(running.metric("flowrunner_executions_total", flow=flow, state="succeeded") or 0)


def fires_on(running: RunningDaemon, flow: str) -> None:
    """Waits for two more executions of a flow."""
    before = succeeded(running, flow)
    eventually(lambda: succeeded(running, flow) >= before + 2, lambda: running.events)


def test_flows_keep_firing_while_the_folder_is_gone(flows: Path, state: Path) -> None:
    """SourceReady=False and /readyz 503 tell of it; with the folder back all is well again."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))
    aside = flows.with_name("aside")

    with daemon(flows, state, env=SOON) as running:
        flows.rename(aside)
        eventually(lambda: running.source_condition()["status"] == "False")
        assert running.source_condition()["reason"] == "SourceMissing"
        ready = running.request("/readyz")
        assert ready.status == 503
        assert "SourceMissing" in ready.text
        assert running.request("/livez").status == 200
        fires_on(running, "beat")

        aside.rename(flows)
        eventually(lambda: running.request("/readyz").status == 200)
        write_flow(flows, "beat", EVERY_SECOND, says("two"))
        eventually(lambda: running.flow("beat")["generation"] == 2)


def test_an_emptied_folder_changes_nothing(flows: Path, state: Path) -> None:
    """Deleting every flow at once looks like an accident, so all of them stay in force."""
    for name in ("beat", "other"):
        write_flow(flows, name, EVERY_SECOND, says(name))

    with daemon(flows, state, env=SOON) as running:
        for path in flows.iterdir():
            path.unlink()
        eventually(lambda: running.source_condition()["status"] == "False")
        assert running.source_condition()["reason"] == "SourceEmpty"
        assert running.request("/readyz").status == 503
        fires_on(running, "beat")
        assert [flow["name"] for flow in listed(running)] == ["beat", "other"]


def test_a_start_without_the_folder_runs_the_last_good_flows(flows: Path, state: Path) -> None:
    """What was in force before the stop is armed again, and the daemon keeps looking."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))
    with daemon(flows, state) as running:
        assert running.stop() == 0
    aside = flows.rename(flows.with_name("aside"))

    with daemon(flows, state, env=SOON) as running:
        assert running.request("/readyz").status == 503
        fires_on(running, "beat")
        aside.rename(flows)
        eventually(lambda: running.request("/readyz").status == 200)


def test_a_first_start_without_a_folder_waits_for_it(flows: Path, state: Path) -> None:
    """Nothing to run is no reason to end; flows come into force when the folder appears."""
    flows.rmdir()

    with daemon(flows, state, env=SOON) as running:
        assert running.request("/readyz").status == 503
        flows.mkdir()
        write_flow(flows, "hello", says("hi"))
        eventually(lambda: [flow["name"] for flow in listed(running)] == ["hello"])
        assert running.request("/readyz").status == 200


def test_every_bad_file_is_a_finding_and_the_others_run(flows: Path, state: Path) -> None:
    """Each of these files gets its code, the daemon lives, and the good flow fires."""
    bad = spoil(flows)
    write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state, env=OPEN) as running:
        found = findings(running)
        assert {path: code for path, code in bad.items() if code not in found[path]} == {}
        assert running.request("/readyz").status == 200
        assert found["beat.yaml"] == set()
        fires_on(running, "beat")
        listing = running.command("flows").stdout
        assert [path for path in bad if path not in listing] == []


def test_validate_finds_what_the_daemon_finds(flows: Path, state: Path) -> None:
    """What CI says about a folder is what the daemon says, code by code and place by place."""
    spoil(flows)
    write_flow(flows, "good", says("hi"))

    done = command("validate", "--format", "json", ".", cwd=flows)
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    offline = {(it["file"], it["code"], it["line"], it["column"]) for it in report["findings"]}

    with daemon(flows, state) as running:
        items = [*running.source()["rejected"], *listed(running)]
        online = {
            (file["path"], finding["code"], finding["line"], finding["column"])
            for file in items
            for finding in file["findings"]
        }
    assert offline == online
    assert report["flows"] == 1


def test_odd_file_names_are_no_danger(flows: Path, state: Path) -> None:
    """Names that are no text, hold line breaks, look like options or are long work as any other."""
    names = [
        b"\xff\xfe.yaml",
        b"line\nbreak.yaml",
        b"--output=x.yaml",
        b"x" * 250 + b".yaml",
        "\u00e9.yaml".encode(),
    ]
    for number, name in enumerate(names):
        path = os.fsencode(flows) + b"/" + name
        Path(os.fsdecode(path)).write_text(flow_text(f"odd-{number}", says("hi")), "utf-8")
    (flows / os.fsdecode(b"\xff.yaml")).write_text("a: b\n", encoding="utf-8")

    for _ in range(2):  # the second start reads what the first one kept
        with daemon(flows, state, env=OPEN) as running:
            assert len(listed(running)) == len(names)
            assert len(running.source()["rejected"]) == 1
            for number in range(len(names)):
                assert running.condition(f"odd-{number}")["status"] == "True"
                assert running.ended(running.start(f"odd-{number}"))["state"] == "succeeded"
            assert "odd-0" in running.command("flows", "-o", "wide").stdout
            assert running.request("/metrics").status == 200
            told = running.request("/api/v1/flows/default/odd-0/events").json["items"]
            assert (told[-1]["reason"], told[-1]["message"]) == ("Created", "\udcff\udcfe.yaml")
            assert running.command("flows", "odd-0", "--events").returncode == 0
            assert "history.not_recorded" not in running.events


def test_the_last_of_many_quick_edits_is_in_force(flows: Path, state: Path) -> None:
    """However fast a file changes, the daemon ends at what it says last."""
    write_flow(flows, "edited", says("v0"))

    with daemon(flows, state, env=OPEN) as running:
        for number in range(1, 100):
            write_flow(flows, "edited", says(f"v{number}"))

        def word() -> str:
            definition = running.request("/api/v1/flows/default/edited/definition").json
            return str(definition["nodes"][0]["params"]["values"]["word"])

        eventually(lambda: word() == "v99", word)
        assert running.condition("edited")["status"] == "True"


def spoil(folder: Path) -> dict[str, str]:
    """Fills a folder with one file for each way to be wrong; returns the code of each."""
    texts = {
        "broken.yaml": ("FR101", "version: 1\nname: broken\nnodes: [\n"),
        "duplicate-key.yaml": ("FR102", flow_text("duplicate-key", NOTHING, NOTHING)),
        "tag.yaml": ("FR103", "!!python/object/apply:os.system [id]\n"),
        "documents.yaml": ("FR104", f"{flow_text('documents', NOTHING)}---\na: b\n"),
        "brackets.yaml": ("FR105", "[" * 200_000 + "]" * 200_000),
        "huge.yaml": ("FR106", "# " + "x" * (10 * 1024 * 1024)),
        "no-flow.yaml": ("FR109", "services: {web: {image: nginx}}\n"),
        "unknown-key.yaml": ("FR201", flow_text("unknown-key", "foo: 1\n", NOTHING)),
        "wrong-type.yaml": ("FR203", flow_text("wrong-type", "nodes: many\n")),
        "missing-node.yaml": (
            "FR302",
            flow_text("missing-node", "nodes: [{id: a, type: noop, needs: [b]}]\n"),
        ),
        "cycle.yaml": (
            "FR303",
            flow_text(
                "cycle",
                "nodes:\n",
                "  - {id: a, type: noop, needs: [b]}\n",
                "  - {id: b, type: noop, needs: [a]}\n",
            ),
        ),
        "twin-a.yaml": ("FR311", flow_text("twin", NOTHING)),
        "twin-b.yaml": ("FR311", flow_text("twin", NOTHING)),
    }
    for name, (_, text) in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    os.mkfifo(folder / "pipe.yaml")
    (folder / "outside.yaml").symlink_to("/etc/hostname")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    codes = {name: code for name, (code, _) in texts.items()}
    return {**codes, "pipe.yaml": "FR110", "outside.yaml": "FR111", "loop.yaml": "FR110"}


@pytest.mark.skipif(ORDINARY is None, reason="root needs setpriv of the package util-linux")
def test_a_file_that_may_not_be_read_keeps_its_last_good_version(flows: Path, state: Path) -> None:
    """A file without permission is a finding, and its flow goes on as it was."""
    path = write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state, env=OPEN, program=ORDINARY or INSTALLED) as running:
        path.chmod(0)
        assert running.command("reconcile", "--wait", check=False).returncode == 3
        assert findings(running)["beat.yaml"] == {"FR110"}
        assert running.condition("beat")["status"] == "False"
        fires_on(running, "beat")
        path.chmod(0o644)
        running.reconcile()
        assert running.condition("beat")["status"] == "True"


@pytest.mark.skipif(ORDINARY is None, reason="root needs setpriv of the package util-linux")
def test_a_folder_that_may_not_be_read_changes_nothing(flows: Path, state: Path) -> None:
    """What cannot be seen may still be there, so no flow below it is taken for deleted."""
    (flows / "team").mkdir()
    write_flow(flows / "team", "beat", EVERY_SECOND, says("one"))
    write_flow(flows, "other", NOTHING)

    with daemon(flows, state, env=OPEN, program=ORDINARY or INSTALLED) as running:
        (flows / "team").chmod(0)
        try:
            assert running.command("reconcile", "--wait", check=False).returncode == 1
            assert running.source_condition()["reason"] == "SourceUnreadable"
            assert "team" in running.source_condition()["message"]
            assert running.request("/readyz").status == 503
            fires_on(running, "beat")
        finally:
            (flows / "team").chmod(0o755)
        running.reconcile()
        assert running.request("/readyz").status == 200


def test_a_newcomer_does_not_take_the_name_of_a_flow_in_force(flows: Path, state: Path) -> None:
    """The file that holds the name keeps it; the other one is rejected and told by whom."""
    path = write_flow(flows, "zebra", EVERY_SECOND, says("incumbent"))

    with daemon(flows, state, env=OPEN) as running:
        digest = running.flow("zebra")["digest"]
        text = flow_text("zebra", EVERY_SECOND, says("newcomer"))
        replace_file(flows / "a.yaml", text)
        eventually(lambda: findings(running).get("a.yaml") == {"FR311"})
        (rejected,) = running.source()["rejected"]
        assert "zebra.yaml" in rejected["findings"][0]["message"]
        flow = running.flow("zebra")
        assert (flow["path"], flow["digest"]) == ("zebra.yaml", digest)
        assert running.condition("zebra")["status"] == "True"

        path.unlink()
        eventually(lambda: running.flow("zebra").get("path") == "a.yaml")
        assert findings(running) == {"a.yaml": set()}


def test_an_editor_saves_by_renaming_and_only_the_new_version_is_seen(
    flows: Path, state: Path
) -> None:
    """Swap file, backup, test file and rename, as vim has it: one new generation, no findings."""
    path = write_flow(flows, "edited", says("one"))

    with daemon(flows, state, env=OPEN) as running:
        (flows / ".edited.yaml.swp").write_bytes(b"b0VIM 9.0\0")
        (flows / "4913").touch()
        (flows / "4913").unlink()
        path.rename(flows / "edited.yaml~")
        path.write_text(flow_text("edited", says("two")), encoding="utf-8")
        (flows / "edited.yaml~").unlink()
        (flows / ".edited.yaml.swp").unlink()

        eventually(lambda: running.flow("edited").get("generation") == 2, lambda: running.events)
        assert findings(running) == {"edited.yaml": set()}
        assert running.condition("edited")["status"] == "True"


def test_a_link_to_a_release_is_followed_when_it_is_swapped(tmp_path: Path, state: Path) -> None:
    """git-sync's way: the root is a link, and moving it puts a whole release in force."""
    releases, root = tmp_path / "releases", tmp_path / "current"
    for number, word in ((1, "one"), (2, "two")):
        (releases / str(number)).mkdir(parents=True)
        write_flow(releases / str(number), "hello", says(word))
    write_flow(releases / "2", "new", says("new"))
    root.symlink_to(releases / "1")

    with daemon(root, state, env=OPEN) as running:
        assert [flow["name"] for flow in listed(running)] == ["hello"]
        staged = tmp_path / "staged"
        staged.symlink_to(releases / "2")
        staged.rename(root)
        shutil.rmtree(releases / "1")

        eventually(lambda: len(listed(running)) == 2, lambda: running.events)
        execution = running.ended(running.start("hello"))
        assert execution["nodes"][0]["outputs"] == {"word": "two"}


def test_what_is_not_meant_as_a_flow_is_left_alone(flows: Path, state: Path) -> None:
    """Hidden files, underscores, tests, backups and ignored paths give no findings."""
    write_flow(flows, "hello", says("hi"))
    (flows / ".flowrunnerignore").write_text("charts/\n", encoding="utf-8")
    for name in (".ci.yaml", "_shared.yaml", "hello.test.yaml", "hello.yaml~", "notes.md"):
        (flows / name).write_text("a: b\n", encoding="utf-8")
    for folder in (".github", "charts"):
        (flows / folder).mkdir()
        (flows / folder / "values.yaml").write_text("a: b\n", encoding="utf-8")
    (flows / "deeper").mkdir()
    write_flow(flows / "deeper", "below", says("hi"))

    with daemon(flows, state) as running:
        assert findings(running) == {"hello.yaml": set(), "deeper/below.yaml": set()}


def listed(running: RunningDaemon) -> list[dict[str, Any]]:
    """Returns all flows."""
    return [dict(flow) for flow in running.request("/api/v1/flows").json["items"]]
