"""The strongest source wins, its origin is known, and every mistake is named at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flowrunner.config.loader import MOST_FINDINGS, load_settings
from flowrunner.config.settings import PLANNED, SETTINGS
from flowrunner.definitions.yaml_reader import YamlError, read_yaml
from flowrunner.errors import SettingsError
from tests.unit.config.documents import FOLDER, load

Finding = Mapping[str, Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file that exists; what it says is told to the reader."""
    path = tmp_path / "flowrunner.yaml"
    path.touch()
    return path


def findings_of(caught: pytest.ExceptionInfo[SettingsError]) -> list[Finding]:
    """Returns the findings, which any JSON writer must accept."""
    json.dumps(caught.value.findings)
    return list(caught.value.findings)


def only_finding(caught: pytest.ExceptionInfo[SettingsError]) -> Finding:
    """Returns the one finding, whose code is that of the error."""
    (finding,) = findings_of(caught)
    assert finding["code"] == caught.value.code
    return finding


def test_without_any_source_everything_is_default() -> None:
    """Without file, variables and flags the documented defaults hold, with absolute paths."""
    loaded = load()
    assert str(loaded.settings.server.listen) == "127.0.0.1:8080"
    assert loaded.settings.source.path == FOLDER / "flows"
    assert loaded.settings.storage.path == FOLDER / ".flowrunner"
    assert loaded.settings.server.control_socket == FOLDER / ".flowrunner/control.sock"
    assert loaded.settings.auth.local == "restricted"
    assert set(loaded.origins.values()) == {"default"}
    assert set(loaded.origins) == {setting.key for setting in SETTINGS.values()}


def test_each_source_wins_over_the_weaker_ones(file: Path) -> None:
    """A flag wins over a variable, a variable over the file, the file over the default."""
    loaded = load(
        {"server": {"listen": "127.0.0.1:1", "max_connections": 7}, "source": {"resync": "2m"}},
        file=file,
        environment={
            "FLOWRUNNER_SERVER__LISTEN": "127.0.0.1:2",
            "FLOWRUNNER_SERVER__MAX_CONNECTIONS": "8",
        },
        flags={"--listen": "127.0.0.1:3", "--flows": None},
    )
    assert str(loaded.settings.server.listen) == "127.0.0.1:3"
    assert loaded.settings.server.max_connections == 8
    assert loaded.settings.source.resync == 120
    assert loaded.origins["server.listen"] == "flag:--listen"
    assert loaded.origins["server.max_connections"] == "env:FLOWRUNNER_SERVER__MAX_CONNECTIONS"
    assert loaded.origins["source.resync"] == f"file:{file}:2:20"


def test_real_reader_gives_line_and_column(tmp_path: Path) -> None:
    """With the strict YAML reader the origin is the place of the value in the file."""
    path = tmp_path / "flowrunner.yaml"
    path.write_text("source:\n  # often\n  resync: 10s\nlogging:\n", encoding="utf-8")
    loaded = load_settings(file=path, environment={}, flags={}, folder=FOLDER, read_yaml=read_yaml)
    assert loaded.origins["source.resync"] == f"file:{path}:3:11"


def test_what_the_yaml_reader_raises_passes_through(tmp_path: Path) -> None:
    """A file that is no valid YAML keeps the reader's own finding with its position."""
    path = tmp_path / "flowrunner.yaml"
    path.write_text("server: {}\nserver: {}\n", encoding="utf-8")
    with pytest.raises(YamlError) as caught:
        load_settings(file=path, environment={}, flags={}, folder=FOLDER, read_yaml=read_yaml)
    assert (caught.value.finding.file, caught.value.finding.line) == (str(path), 2)


@pytest.mark.parametrize("data", [None, {}, {"server": None}], ids=["null", "none", "section"])
def test_empty_file_or_section_means_defaults(file: Path, data: Any) -> None:
    """An empty file, or a section whose lines are all commented out, changes nothing."""
    assert load(data, file=file) == load()


def test_relative_paths_start_where_they_are_written(file: Path) -> None:
    """A relative path in the file starts at the file's folder, any other at the current one."""
    loaded = load(
        {"source": {"path": "flows"}},
        file=file,
        environment={"FLOWRUNNER_STORAGE__PATH": "state"},
        flags={},
    )
    assert loaded.settings.source.path == file.parent / "flows"
    assert loaded.settings.storage.path == FOLDER / "state"


def test_relative_settings_file_is_looked_for_in_the_current_folder() -> None:
    """The settings file itself is relative to the current folder."""
    with pytest.raises(SettingsError) as caught:
        load(file=Path("missing.yaml"))
    assert only_finding(caught)["origin"] == f"file:{FOLDER}/missing.yaml"


def test_unit_folders_are_defaults(file: Path) -> None:
    """Under systemd state and socket lie in the unit's folders unless something else is said."""
    environment = {
        "STATE_DIRECTORY": "/var/lib/flowrunner:/var/lib/other",
        "RUNTIME_DIRECTORY": "/run/flowrunner",
    }
    loaded = load({"storage": {"path": "/srv/state"}}, file=file, environment=environment)
    assert loaded.settings.storage.path == Path("/srv/state")
    assert loaded.settings.server.control_socket == Path("/run/flowrunner/control.sock")
    assert loaded.origins["server.control_socket"] == "env:RUNTIME_DIRECTORY"
    assert load(environment=environment).origins["storage.path"] == "env:STATE_DIRECTORY"


@pytest.mark.parametrize("given", [{}, {"control_socket": None}], ids=["absent", "null"])
def test_control_socket_lies_in_the_state_folder_by_default(file: Path, given: Any) -> None:
    """Without a path of its own, and with null, the socket lies in the state folder."""
    loaded = load({"server": given}, file=file, flags={"--state": "/s"})
    assert loaded.settings.server.control_socket == Path("/s/control.sock")
    assert loaded.origins["server.control_socket"] == "default"


def test_control_socket_of_107_bytes_is_possible() -> None:
    """The longest path that the kernel takes is taken."""
    path = "/" + "x" * 106
    loaded = load(environment={"FLOWRUNNER_SERVER__CONTROL_SOCKET": path})
    assert str(loaded.settings.server.control_socket) == path


def test_too_long_control_socket_is_refused_where_it_comes_from() -> None:
    """A socket path over 107 bytes, counted in UTF-8, is refused and blames the state folder."""
    with pytest.raises(SettingsError) as caught:
        load(flags={"--state": "/" + "é" * 50})
    finding = only_finding(caught)
    assert (finding["code"], finding["origin"]) == ("settings.path", "flag:--state")
    assert "114 bytes" in finding["message"]
    assert "shorter" in finding["hint"]


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1:8080", id="usual"),
        pytest.param("127.9.9.9:0", id="whole-network-and-port-0"),
        pytest.param("[::1]:8080", id="ipv6"),
        pytest.param("localhost:8080", id="name"),
    ],
)
def test_loopback_is_accepted_and_rendered_as_written(address: str) -> None:
    """Loopback addresses of both families are accepted."""
    assert str(load(flags={"--listen": address}).settings.server.listen) == address


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("0.0.0.0:8080", id="all-addresses"),
        pytest.param("[::]:8080", id="all-ipv6-addresses"),
        pytest.param("192.168.1.5:8080", id="private-network"),
        pytest.param("[::ffff:127.0.0.1]:8080", id="mapped"),
        pytest.param("localhost.example.com:8080", id="name"),
        pytest.param("127.1:8080", id="short-form"),
    ],
)
def test_listening_off_loopback_is_refused(address: str) -> None:
    """Any other host is refused as long as there is no token, and the hint says how to make one."""
    with pytest.raises(SettingsError) as caught:
        load(flags={"--listen": address})
    assert caught.value.code == "settings.listen_off_loopback"
    assert "flowrunner token new" in only_finding(caught)["hint"]


def test_overridden_host_off_loopback_does_not_matter(file: Path) -> None:
    """Only the address in force must be loopback: a flag can narrow what a file opens."""
    loaded = load(
        {"server": {"listen": "0.0.0.0:80"}}, file=file, flags={"--listen": "127.0.0.1:0"}
    )
    assert str(loaded.settings.server.listen) == "127.0.0.1:0"


@pytest.mark.parametrize(
    ("section", "name", "value", "code", "message"),
    [
        pytest.param("server", "listen", "8080", "value", "not HOST:PORT", id="port-alone"),
        pytest.param("server", "listen", ":8080", "value", "not HOST:PORT", id="no-host"),
        pytest.param("server", "listen", "::1:8080", "value", "not HOST:PORT", id="no-brackets"),
        pytest.param("server", "listen", "[x]:8080", "value", "not HOST:PORT", id="bracketed-name"),
        pytest.param("server", "listen", "127.0.0.1:65536", "value", "HOST:PORT", id="high-port"),
        pytest.param("server", "listen", 8080, "type", "8080 is not HOST:PORT", id="number"),
        pytest.param("server", "max_body", 4096, "type", "needs a unit", id="size-bare"),
        pytest.param("server", "max_body", "1B", "value", "out of range", id="size-too-small"),
        pytest.param("server", "max_connections", "9", "type", "whole number", id="count-text"),
        pytest.param("server", "max_connections", True, "type", "whole number", id="count-bool"),
        pytest.param("server", "max_connections", 0, "value", "out of range", id="count-too-small"),
        pytest.param("server", "labels", "db", "type", "not a list of labels", id="labels-text"),
        pytest.param("server", "labels", ["a b"], "value", "'a b' is no label", id="label-space"),
        pytest.param("server", "labels", [1], "value", "1 is no label", id="label-number"),
        pytest.param("server", "facts", ["a=b"], "type", "not a map of facts", id="facts-list"),
        pytest.param("server", "facts", {"A": 1}, "value", "no name of a fact", id="fact-name"),
        pytest.param("server", "facts", {"a": []}, "value", "[] is no fact", id="fact-list"),
        pytest.param("server", "facts", {"a": None}, "value", "None is no fact", id="fact-null"),
        pytest.param("server", "facts", {"a": "x" * 1025}, "value", "no fact", id="fact-long"),
        pytest.param("source", "resync", 60, "type", "needs a unit", id="duration-bare"),
        pytest.param("source", "resync", "60", "value", "needs a unit", id="duration-digits"),
        pytest.param("source", "resync", "500ms", "value", "out of range", id="duration-short"),
        pytest.param("source", "resync", None, "type", "None is not a duration", id="null"),
        pytest.param("source", "path", "", "path", "'' is not a path", id="path-empty"),
        pytest.param("source", "path", "a\0b", "path", "is not a path", id="path-with-zero"),
        pytest.param("source", "path", "~/flows", "path", "not expanded", id="path-of-home"),
        pytest.param("source", "path", ["flows"], "type", "not a path", id="path-list"),
        pytest.param("storage", "backend", "redis", "value", "'redis' is not known", id="word"),
        pytest.param("auth", "local", False, "type", "not a word", id="word-bool"),
    ],
)
def test_value_that_does_not_fit_is_refused_with_its_place(
    file: Path, section: str, name: str, value: Any, code: str, message: str
) -> None:
    """A wrong value gives one finding with key, reason, place and a hint."""
    with pytest.raises(SettingsError) as caught:
        load({section: {name: value}}, file=file)
    finding = only_finding(caught)
    assert finding["code"] == f"settings.{code}"
    assert finding["message"].startswith(f"{section}.{name}: ")
    assert message in finding["message"]
    assert finding["origin"] == f"file:{file}:2:20"
    assert finding["hint"]


def test_variable_that_is_no_number_is_refused() -> None:
    """The text of a variable becomes a number only when it is one."""
    with pytest.raises(SettingsError) as caught:
        load(environment={"FLOWRUNNER_ENGINE__MAX_RUNNING_NODES": "many"})
    assert only_finding(caught)["code"] == "settings.type"


@pytest.mark.parametrize(
    ("flows", "state"),
    [
        pytest.param("f", "f/state", id="below"),
        pytest.param("f", "f/_s/deep", id="underscore"),
        pytest.param("f", "f", id="the-same"),
        pytest.param("f", "f/.s/../t", id="spelling"),
        pytest.param("f", "link/s", id="through-a-link"),
        pytest.param("link", "f/s", id="flows-by-a-link"),
        pytest.param("/", "s", id="everything"),
    ],
)
def test_state_among_the_flows_is_refused(tmp_path: Path, flows: str, state: str) -> None:
    """The daemon's own files must not be read as flows, whatever the folders are called."""
    (tmp_path / "f").mkdir()
    (tmp_path / "link").symlink_to("f")
    with pytest.raises(SettingsError) as caught:
        load(flags={"--flows": f"{tmp_path / flows}", "--state": f"{tmp_path / state}"})
    finding = only_finding(caught)
    assert finding["code"] == "settings.state_among_flows"
    assert finding["origin"] == "flag:--state"


@pytest.mark.parametrize(
    ("flows", "state"),
    [
        pytest.param(".", ".flowrunner", id="dot"),
        pytest.param("f", "f/.hidden/state", id="below-a-dot"),
        pytest.param("f", "f2", id="same-beginning"),
        pytest.param("s/flows", "s", id="flows-in-the-state"),
        pytest.param(".git/f", "s", id="flows-below-a-dot"),
    ],
)
def test_state_beside_the_flows_is_accepted(tmp_path: Path, flows: str, state: str) -> None:
    """What the scan does not look at harms nobody."""
    loaded = load(flags={"--flows": f"{tmp_path / flows}", "--state": f"{tmp_path / state}"})
    assert loaded.settings.storage.path == tmp_path / state


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        pytest.param({"debounce": "10s"}, "2:20", id="debounce-above-default-limit"),
        pytest.param({"debounce_limit": "100ms"}, "2:20", id="limit-below-default-debounce"),
    ],
)
def test_debounce_limit_below_debounce_blames_what_was_written(
    file: Path, source: Any, origin: str
) -> None:
    """The limit must not be below the quiet time, whichever of the two was changed."""
    with pytest.raises(SettingsError) as caught:
        load({"source": source}, file=file)
    finding = only_finding(caught)
    assert finding["code"] == "settings.value"
    assert finding["origin"] == f"file:{file}:{origin}"


@pytest.mark.parametrize(
    ("data", "key", "hint"),
    [
        pytest.param(
            {"server": {"lisen": 1}},
            "server.lisen",
            "did you mean listen in the section server?",
            id="misspelt-name",
        ),
        pytest.param(
            {"resync": "1m"},
            "resync",
            "did you mean resync in the section source?",
            id="no-section",
        ),
        pytest.param(
            {"server": {"debounce": "1s"}},
            "server.debounce",
            "did you mean debounce in the section source?",
            id="other-section",
        ),
        pytest.param(
            {"sever": {"x": 1}}, "sever", "did you mean the section server?", id="misspelt-section"
        ),
        pytest.param(
            {"auth": {"qqq": 1}}, "auth.qqq", "auth has: local, tokens", id="nothing-like-it"
        ),
        pytest.param(
            {"qqq": 1},
            "qqq",
            "sections: server, source, storage, auth, engine, notify, logging, accounts",
            id="no-section-like-it",
        ),
    ],
)
def test_unknown_key_in_the_file_is_refused_with_a_hint(
    file: Path, data: Any, key: str, hint: str
) -> None:
    """An unknown key is an error at its place, with what was probably meant."""
    with pytest.raises(SettingsError) as caught:
        load(data, file=file)
    finding = only_finding(caught)
    assert finding == {
        "code": "settings.unknown_key",
        "message": f"unknown key '{key}'",
        "origin": f"file:{file}:{len(key.split('.'))}:1",
        "hint": hint,
    }


def test_unknown_variable_is_refused_with_the_nearest_variable() -> None:
    """A variable with the two underscores that names no setting is an error, by its own name."""
    with pytest.raises(SettingsError) as caught:
        load(environment={"FLOWRUNNER_SERVER__LISTENS": "x"})
    finding = only_finding(caught)
    assert finding["origin"] == "env:FLOWRUNNER_SERVER__LISTENS"
    assert finding["hint"] == "did you mean FLOWRUNNER_SERVER__LISTEN?"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("FLOWRUNNER_SECRET_DEPLOY", id="secret"),
        pytest.param("FLOWRUNNER_SECRET_A__B", id="secret-with-two-underscores"),
        pytest.param("FLOWRUNNER_SOCKET", id="socket-of-the-commands"),
        pytest.param("OTHER__THING", id="foreign"),
    ],
)
def test_other_variables_are_no_settings(name: str) -> None:
    """Variables without the prefix or the two underscores, and every secret, are left alone."""
    assert load(environment={name: "x"}) == load()


@pytest.mark.parametrize("key", sorted(PLANNED))
def test_planned_key_is_refused_as_planned(file: Path, key: str) -> None:
    """A key of the design that does not work yet is refused, in a file and as a variable."""
    section, _, name = key.partition(".")
    variable = f"FLOWRUNNER_{section}__{name or 'ANY'}__DEEPER".upper()
    with pytest.raises(SettingsError) as caught:
        load(
            {section: {name: {"any": 1}} if name else {"any": 1}},
            file=file,
            environment={variable: "x"},
        )
    assert caught.value.code == "settings.planned_key"
    in_file, in_variable = findings_of(caught)
    assert in_file["hint"].startswith("planned")
    assert in_variable["origin"] == f"env:{variable}"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(["server"], id="list"),
        pytest.param("server", id="text"),
        pytest.param({"server": ["listen"]}, id="section-as-list"),
        pytest.param({"server": 8080}, id="section-as-number"),
    ],
)
def test_file_or_section_that_is_no_map_is_refused(file: Path, data: Any) -> None:
    """File and sections must be maps."""
    with pytest.raises(SettingsError) as caught:
        load(data, file=file)
    finding = only_finding(caught)
    assert finding["code"] == "settings.type"
    assert "not a map" in finding["message"]


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    """An unreadable file, bad variables and bad flags are reported together."""
    with pytest.raises(SettingsError) as caught:
        load(
            file=tmp_path,
            environment={"FLOWRUNNER_LOGGING__LEVEL": "loud", "FLOWRUNNER_X__Y": "1"},
            flags={"--listen": "0.0.0.0:80"},
        )
    assert [finding["code"] for finding in findings_of(caught)] == [
        "settings.path",
        "settings.value",
        "settings.unknown_key",
        "settings.listen_off_loopback",
    ]
    assert caught.value.code == "settings"
    assert "(and 3 more)" in caught.value.message


def test_overridden_value_must_still_be_well_formed(file: Path) -> None:
    """A mistake in the file is reported even when a flag wins over it."""
    with pytest.raises(SettingsError) as caught:
        load({"server": {"listen": 1}}, file=file, flags={"--listen": "127.0.0.1:0"})
    assert only_finding(caught)["code"] == "settings.type"


def test_number_of_findings_is_bounded(file: Path) -> None:
    """A wrong file with thousands of keys gives a bounded list."""
    with pytest.raises(SettingsError) as caught:
        load({f"key{number}": 1 for number in range(5000)}, file=file)
    assert len(findings_of(caught)) == MOST_FINDINGS


def test_settings_file_that_is_a_fifo_is_refused(tmp_path: Path) -> None:
    """A FIFO is refused at once instead of waiting for its other end."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(SettingsError) as caught:
        load(file=path)
    assert "not a regular file" in only_finding(caught)["message"]


def test_texts_that_are_no_utf8_stay_printable(tmp_path: Path) -> None:
    """Names and values with foreign bytes reach neither a finding nor an origin as they are."""
    with pytest.raises(SettingsError) as caught:
        load(
            file=tmp_path / os.fsdecode(b"\xff.yaml"),
            environment={os.fsdecode(b"FLOWRUNNER_X__\xff"): "x"},
            flags={"--listen": os.fsdecode(b"\xff:1")},
        )
    for finding in findings_of(caught):
        for text in finding.values():
            text.encode()
